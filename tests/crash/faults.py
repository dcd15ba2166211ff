"""Row D06: the ledger under a failing disk. The LD_PRELOAD shim (tests/lib/fault_preload.c) makes writes and syncs of the data
directory fail; nothing may be acknowledged without its data, the errors must be clear, and service must come back by itself."""
import http.client
import os
import re
import shutil
import tempfile
import threading
import time

from ledger import World
from plain import make_plain, shim


class Fault:
    """rule: CALL:N:ERROR:COUNT of the shim; lasting: until the disk is 'repaired' (the daemon lives, lets people log in, reads on, and
    /health answers 503 with these words), else the fault passes by itself."""

    def __init__(self, name, rule, lasting=None):
        self.name, self.rule, self.lasting = name, rule, lasting


FAULTS = [
    Fault("disk full for a while: refused with resource-constraint, taken again when there is room", "anywrite:1:ENOSPC:0", "The disk is full"),
    Fault("quota exceeded for a while", "anywrite:1:EDQUOT:0", "The disk is full"),
    Fault("sync fails for a while", "anysync:1:EIO:0", "The disk refuses writes"),
    Fault("the 1st write fails", "anywrite:1:EIO:1"),
    Fault("the 2nd write fails", "anywrite:2:EIO:1"),
    Fault("the 3rd write fails", "anywrite:3:EIO:1"),
    Fault("the 8th write fails", "anywrite:8:EIO:1"),
    Fault("the 21st write is full disk", "anywrite:21:ENOSPC:1"),
    Fault("the 5th write is short", "anywrite:5:short:1"),
    Fault("the 1st sync fails", "anysync:1:EIO:1"),
    Fault("the 4th sync fails", "anysync:4:EIO:1"),
]


class Watched(threading.Thread):
    """Keeps the daemon running like an init system does: starts it again when it has ended, once the disk is well."""

    def __init__(self, srv, world):
        super().__init__(daemon=True)
        self.srv, self.world, self.exits = srv, world, []
        self.may_start, self.over = threading.Event(), threading.Event()
        self.may_start.set()

    def run(self):
        while not self.over.wait(0.05):
            if self.srv.proc and self.srv.proc.poll() is not None:
                self.world.up.clear()
                self.exits.append(self.srv._reap(5))
            if self.srv.proc is None and self.may_start.is_set():
                try:
                    self.srv.start()
                    self.world.up.set()
                except AssertionError as e:
                    self.exits.append(self.srv._reap(5))
                    if len(self.exits) > 20:
                        self.world.errors.append(str(e))
                        return

    def stop(self):
        self.over.set()
        self.join(60)


def _wait(what, test, watched, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not test():
        if time.monotonic() > deadline:
            raise AssertionError("waited %d s for: %s; %s\nlog:\n%s" % (timeout_s, what, watched.world.summary(), watched.srv.log_tail(15)))
        time.sleep(0.05)


def _count(path):
    try:
        with open(path) as f:
            return len(f.readlines())
    except FileNotFoundError:
        return 0


def _health(srv):
    """Status and body of /health; empty while nobody listens."""
    try:
        c = http.client.HTTPConnection("127.0.0.1", srv.ports["http"], timeout=10)
        c.request("GET", "/health")
        answer = c.getresponse()
        return "%d %s" % (answer.status, answer.read().decode())
    except OSError:
        return ""


def shown(srv, event):
    return [l for l in srv.log if re.match(r"\S+ (error|warn) " + re.escape(event), l)]


def fault_round(tap, args, fault):
    srv = make_plain(domains=["ledger.test"], limits={"offline_flush": 50000, "sm_queue": 50000})
    bad_disk, fault_log = os.path.join(srv.dir, "bad"), os.path.join(srv.dir, "faults.log")
    srv.env = {"LD_PRELOAD": shim("fault_preload", srv.dir), "FAULT_PRELOAD": "%s:%s" % (fault.rule, srv.data),
               "FAULT_PRELOAD_WHILE": bad_disk, "FAULT_PRELOAD_LOG": fault_log}
    srv.expected_errors = [".*"]
    w = World(srv, tempfile.mkdtemp(prefix="ledger-"), args.clients, "fault %s" % args.seed)
    w.start()
    watched = Watched(srv, w)
    watched.start()
    try:
        bad = _hurt(tap, fault, w, watched, bad_disk, fault_log)
    finally:
        watched.stop()
        w.done.set()
    srv.stop()
    srv.check_log()
    assert not bad, "%d broken promises (ledgers in %s)\n%s" % (len(bad), w.folder, "\n".join(bad[:20]))
    shutil.rmtree(w.folder)


def _hurt(tap, fault, w, watched, bad_disk, fault_log):
    """Load, then the fault, then a well disk again; returns the broken promises."""
    srv = watched.srv

    def acked():
        return sum(len(t.ledger.acked) for t in w.talkers)

    def refused():
        return sum(len(t.ledger.refused) for t in w.talkers)
    _wait("load", lambda: acked() > 50, watched)
    if fault.lasting:
        watched.may_start.clear()
    open(bad_disk, "w").close()
    _wait("the fault to hit", lambda: _count(fault_log) > 0, watched)
    if fault.lasting:
        _wait("an error for the senders or an orderly exit", lambda: refused() or watched.exits, watched)
        time.sleep(0.3)  # let it hurt for a while
        assert w.archive(w.names[0]), "no login and no reading of the archive while the disk is bad"
        _wait("503 at /health with the reason", lambda: re.search("^503 .*" + fault.lasting, _health(srv)), watched)
        assert not watched.exits, "the daemon ended on %s, it should refuse writes only; log:\n%s" % (fault.rule, srv.log_tail(15))
    os.unlink(bad_disk)
    watched.may_start.set()
    mark = acked()
    _wait("service to come back", lambda: acked() > mark + 50 or w.errors, watched)
    _wait("200 at /health", lambda: _health(srv).startswith("200 "), watched)
    pending = w.settle()
    bad = w.check()
    if pending:
        bad.insert(0, "did not become quiet, still waiting for: %s" % " ".join(pending[:10]))
    bad += ["%s refused with %s" % (m, c) for t in w.talkers for m, c in t.ledger.refused.items() if c != "resource-constraint"]
    bad += ["exit code %s" % c for c in watched.exits if c != 1]
    _wait("a line in the log that tells of the fault", lambda: shown(srv, "store."), watched)
    tap.note("%s: %s; exits %s; %s" % (fault.name, w.summary(), watched.exits, shown(srv, "store.")[0]))
    return bad
