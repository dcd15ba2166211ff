"""Marks in the log of the power-cut recorder, and the clients whose promises they are (row D02).

The clients are those of the ledger test; each thing that the server promised them (an acknowledged message, the h of an <a/>, stored
private XML, a finished backup) goes into the recorder's log at the moment it arrives (tests/power/promise.h lists the marks).
"""
import os
import struct
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from ledger import TRANSPORTS, Talker, World  # noqa: E402


class Log:
    """Appends marks: struct log_head of tests/power/log.h, then the text; one write each, so the kernel keeps the order."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def mark(self, text):
        data = text.encode()
        os.write(self.fd, struct.pack("=QQQII", ord("A"), 0, 0, 0, len(data)) + data)


class MarkingTalker(Talker):
    """Marks what its ledger calls acknowledged, and each h."""

    def __init__(self, world, name, transport, log):
        super().__init__(world, name, transport)
        self.log = log
        put = self.ledger.put

        def put_and_mark(kind, *fields):
            if kind == "acked":
                log.mark("acked " + fields[0])
            put(kind, *fields)
        self.ledger.put = put_and_mark

    def _acked(self, h):
        super()._acked(h)
        if self.sm_id:
            self.log.mark("sm %s %d" % (self.sm_id, h))


class MarkingWorld(World):
    def __init__(self, server, folder, clients, seed, log):
        super().__init__(server, folder, clients, seed)
        self.talkers = [MarkingTalker(self, n, TRANSPORTS[i % len(TRANSPORTS)], log) for i, n in enumerate(self.names)]


class Storer(threading.Thread):
    """Stores private XML again and again, so that pages of the store are freed and used anew."""

    def __init__(self, world, name, log):
        super().__init__(daemon=True)
        self.world, self.name, self.log = world, name, log
        self.stored = 0

    def run(self):
        w = self.world
        try:
            c = w.client(self.name, "store")
            c.login("PLAIN")
            while not w.quiet.is_set():
                n = self.stored + 1
                answer = c.iq("set", "<query xmlns='jabber:iq:private'><p xmlns='test:power' fill='%s'>%s:%d</p></query>"
                              % ("x" * (n % 7 * 900), self.name, n))
                assert answer["type"] == "result", "private XML: %s" % answer
                self.log.mark("private %s %d" % (self.name, n))
                self.stored = n
            c.close()
        except Exception as e:  # noqa: shown by the checker
            w.errors.append("%s: %s: %s" % (self.name, type(e).__name__, e))
