"""What the attack tests share: the list of rows, a server of their own when limits matter, short ways to open streams."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import server as servers  # noqa: E402
from client import Client  # noqa: E402
from tap import Skip  # noqa: E402

DOMAIN = "attack.test"
USERS = {n: "pw-" + n for n in ("anna", "boris", "clara", "dora", "mallory")}
ROWS = []


class Row:
    def __init__(self, name, fn, own, limits, options, vestnik_only):
        self.name, self.fn, self.own, self.limits, self.options, self.vestnik_only = name, fn, own, limits, options, vestnik_only

    def play(self, kind, bench):
        if kind != "vestnik" and (self.vestnik_only or self.limits or self.options):
            raise Skip("for vestnik only")
        if not self.own:
            return self.fn(bench)
        srv = servers.make(kind, domains=[DOMAIN], limits=self.limits, options=self.options)
        with srv:
            srv.add_users(USERS)
            self.fn(Bench(srv))


def row(name, own=False, limits=None, options="", vestnik_only=False):
    """Marks a test. own: a server of its own."""
    def mark(fn):
        ROWS.append(Row(name, fn, own or bool(limits) or bool(options), limits, options, vestnik_only))
        return fn
    return mark


class Bench:
    """A running server and ways to reach it."""

    def __init__(self, srv):
        self.server = srv

    def client(self, user="anna", resource=None, port="plain", domain=DOMAIN, **kw):
        return Client(self.server.ports[port], domain, user, USERS.get(user, "pw-" + user), resource, **kw)

    def opened(self, user="anna", port="plain", **kw):
        """Stream open, not logged in."""
        c = self.client(user, port=port, **kw)
        c.open()
        return c

    def online(self, user="anna", resource=None, mechanism="PLAIN", presence=True):
        c = self.client(user, resource)
        c.login(mechanism)
        if presence:
            c.presence()
        return c

    def memory_kb(self):
        """Resident memory of the server."""
        with open("/proc/%d/status" % self.server.proc.pid) as f:
            return int([l for l in f if l.startswith("VmRSS")][0].split()[1])

    def cpu_s(self):
        """User and system time of the server so far."""
        with open("/proc/%d/stat" % self.server.proc.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stream_error(c, *conditions):
    """Reads until the stream error; asserts its condition and that the connection ends."""
    while True:
        kind, el = c.event()
        assert kind not in ("end", "eof"), "the stream ended without an error; %s" % c.tail()
        if kind == "stanza" and el.name == "error" and el.ns == "http://etherx.jabber.org/streams":
            break
    names = [k.name for k in el.elements()]
    assert set(names) & set(conditions), "stream error %s, expected %s" % (names, "/".join(conditions))
    kind, _ = c.event()
    assert kind in ("end", "eof"), "after a stream error came %s" % kind
    if kind == "end":
        assert c.event()[0] == "eof", "the connection stays open after a stream error"
    c.close()


def lives(c):
    """The stream still answers."""
    el = c.ping()
    assert el["type"] == "result", "ping: %s" % el


def send_all(c, data):
    """Sends although the server may close in the middle; returns how much went out."""
    try:
        c.sock.sendall(data)
    except OSError:
        pass
