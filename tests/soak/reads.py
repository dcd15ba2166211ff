"""Row D08: backup and check run again and again while messages are written and values overwritten. Pages that were freed are used again, so the
file stays below one and a half times its live data, and no read transaction is left. Most of the data rests, as an archive does; what is overwritten
is small, as everything that changes often in ours is."""
import os
import random
import re
import shutil
import tempfile
import threading
import urllib.request

import server as servers
from plain import plain_vestnikd
from ledger import World

RESTING, RESTING_BYTES = 20, 200000
ELEMENTS, BYTES = 64, 12000
GROWTH = 1.5


class Overwriter(threading.Thread):
    """Stores RESTING large pieces of private XML (XEP-0049) and ELEMENTS small ones, then overwrites these at random with another size."""

    def __init__(self, world, name):
        super().__init__(daemon=True)
        self.world, self.name = world, name
        self.filled = threading.Event()
        self.stored = 0

    def put(self, c, i, size):
        answer = c.iq("set", "<query xmlns='jabber:iq:private'><e%d xmlns='test:soak'>%s</e%d></query>" % (i, "x" * size, i))
        assert answer["type"] == "result", "private XML: %s" % answer
        self.stored += 1
        del c.trace[:]

    def run(self):
        rng = random.Random("%s %s" % (self.world.seed, self.name))
        try:
            c = self.world.client(self.name, "store")
            c.login("PLAIN")
            for i in range(RESTING):
                self.put(c, ELEMENTS + i, RESTING_BYTES)
            for i in range(ELEMENTS):
                self.put(c, i, BYTES)
            self.filled.set()
            while not self.world.quiet.is_set():
                self.put(c, rng.randrange(ELEMENTS), rng.randint(1, BYTES))
                self.world.pause.wait(0.01)  # a bounded rate, or the growth would measure how fast the machine is
            c.close()
        except Exception as e:  # noqa: shown by the checker
            self.world.errors.append("%s: %s: %s" % (self.name, type(e).__name__, e))
            self.filled.set()


class Again(threading.Thread):
    """Does one thing after the other until all is quiet."""

    def __init__(self, world, what):
        super().__init__(daemon=True)
        self.world, self.what, self.times = world, what, 0

    def run(self):
        while not self.world.quiet.is_set() and not self.world.errors:
            try:
                self.what()
                self.times += 1
            except Exception as e:  # noqa: shown by the checker
                self.world.errors.append("%s: %s" % (type(e).__name__, e))


class Reads:
    def __init__(self, args):
        self.args = args
        self.srv = servers.make("vestnik", domains=["ledger.test"], limits={"offline_flush": 50000, "sm_queue": 50000, "private_bytes": 16777216})
        daemon = plain_vestnikd()
        self.srv.command = lambda: [daemon, "-c", self.srv.conf]
        self.folder = tempfile.mkdtemp(prefix="ledger-")
        self.world = World(self.srv, self.folder, 4, args.seed)
        self.copy = os.path.join(self.srv.dir, "copy")
        self.live = []

    def backup(self):
        self.srv.ctl("backup", self.copy)
        self.live.append(os.path.getsize(os.path.join(self.copy, "data.mdb")))
        shutil.rmtree(self.copy)

    def check(self):
        self.srv.ctl("check")

    def metric(self, name):
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.srv.ports["http"], timeout=20) as f:
            return float(re.search(r"^%s (\S+)$" % name, f.read().decode(), re.M).group(1))

    def run(self, tap):
        w = self.world
        w.start()
        writers = [Overwriter(w, n) for n in w.names]
        for t in writers:
            t.start()
        for t in writers:
            t.filled.wait(60)
        jobs = [Again(w, self.backup), Again(w, self.check)]
        for t in jobs:
            t.start()
        used = []
        for _ in range(int(self.args.seconds / 0.25)):
            w.pause.wait(0.25)  # how long it soaks, not a wait for something
            used.append(self.metric("vestnik_used_bytes"))
        pending = w.settle()
        for t in jobs + writers:
            t.join(60)
        bad = w.check()
        assert not bad and not pending, "\n".join(bad[:20] + ["waiting for %s" % p for p in pending])
        self.backup()
        live, most, slow = self.live[-1], max(used), self.metric("vestnik_slow_reads_total")
        tap.note("%d backups, %d checks, %d values overwritten, live data %.1f MB, file at most %.1f MB, %d reads above 100 ms; %s" % (
            jobs[0].times, jobs[1].times, sum(t.stored for t in writers), live / 1e6, most / 1e6, slow, w.summary()))
        assert jobs[0].times >= 3 and jobs[1].times >= 3, "too few backups or checks to speak of"
        assert sum(t.stored for t in writers) > 5 * ELEMENTS * len(writers), "too few values were overwritten to speak of"
        assert most < GROWTH * live, "the file grew to %.2f times its live data" % (most / live)
        assert slow <= len(self.live), "%d slow reads, but only the %d backups may last longer than 100 ms" % (slow, len(self.live))
        assert self.metric("vestnik_readers") == 0, "a read transaction is left"
        self.srv.stop()
        self.srv.check_log()
        shutil.rmtree(self.folder)


def run(tap, args):
    tap.run("D08 backup and check again and again under load: the file stays below %.1f times its live data, no reader is left" % GROWTH, Reads(args).run, tap)
