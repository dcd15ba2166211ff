"""Rows E01-E03, E05, E10, A20: floods, slow readers, a storm of logins, no more descriptors, a clock that jumps."""
import json
import os
import resource
import select
import signal
import socket
import subprocess
import threading
import time

from client import Client
from plain import make_plain, plain_build, shim
from rows import DOMAIN, USERS, Bench, lives, row


@row("E03 a flood of one client arrives whole and in order, others are served meanwhile",
     limits={"rate_stanzas": 2000, "rate_stanzas_burst": 200, "rate_bytes": 10000000})
def flood(b):
    a, c, other = b.online("anna", "f"), b.online("boris", "f"), b.online("clara", "f")
    count = 3000
    data = b"".join(b"<message to='%s' type='chat' id='f%d'><body>%d</body></message>" % (c.jid.encode(), i, i) for i in range(count))
    t = threading.Thread(target=a.sock.sendall, args=(data,))
    t.start()
    lives(other)
    got = 0
    while got < count:
        el = c.stanza(30)
        if el.name == "message":
            assert el["id"] == "f%d" % got, "%s after f%d" % (el["id"], got - 1)
            got += 1
    t.join()


@row("E01 a client that does not read is let go; its messages wait for it and memory stays bounded", vestnik_only=True)
def slow_reader(b):
    slow = b.client("boris", "slow")
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.login("PLAIN")
    slow.presence()
    a = b.online("anna", "e01")
    before = b.memory_kb()
    body = "y" * 4000
    count = 3000
    for i in range(count):
        a.send("<message to='%s' type='chat' id='s%d'><body>%d %s</body></message>" % (slow.bare, i, i, body))
        if i % 100 == 99:
            a.ping()
    grown = b.memory_kb() - before
    limit = 200 * 1024
    assert grown < limit, "memory grew by %d KiB for one slow reader" % grown
    slow.drop()
    a.ping()
    c = b.client("boris", "fresh")
    c.login("PLAIN")
    c.send("<presence/>")
    seen = set()
    while len(seen) < 1000:  # as many as limit offline_flush hands over; all of them are in the archive
        el = c.stanza(30)
        if el.name == "message" and el["id"] and el["id"].startswith("s"):
            seen.add(el["id"])
    lives(a)


@row("E05 when descriptors run out the server survives, does not spin, and serves again", own=True, vestnik_only=True)
def descriptors(b):
    resource.prlimit(b.server.proc.pid, resource.RLIMIT_NOFILE, (96, 96))
    held = []
    for _ in range(200):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", b.server.ports["plain"]))
        held.append(s)
    select.select([], [], [], 0.5)  # the time over which the CPU is measured
    before = b.cpu_s()
    select.select([], [], [], 1.0)
    used = b.cpu_s() - before
    for s in held:
        s.close()
    assert used < 0.5, "%.2f s CPU in one second without descriptors" % used
    lives(b.online("anna"))


@row("A20 connections that come and go at every stage leave no memory behind", vestnik_only=True)
def churn(b):
    def stages(i):
        c = Client(b.server.ports["plain"], DOMAIN, "anna", USERS["anna"], "churn")
        stage = i % 6
        if stage >= 1:
            c.send("<stream:stream ")
        if stage >= 2:
            c.parser.reset()
            c.send("xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>" % DOMAIN)
            c.event()
            c.stanza()
        if stage >= 3:
            c.auth("PLAIN")
        if stage >= 4:
            c.open()
        if stage >= 5:
            c.bind()
        c.drop()
    for i in range(300):
        stages(i)
    lives(b.online("boris", "sync"))
    before = b.memory_kb()
    for i in range(1200):
        stages(i)
    lives(b.online("boris", "sync"))
    grown = b.memory_kb() - before
    assert grown < 32768, "1,200 connections left %d KiB (quarantine of ASan included)" % grown  # 27 KiB each would be a leak
    assert len(os.listdir("/proc/%d/fd" % b.server.proc.pid)) < 200, "descriptors left open"


PEOPLE, GROUP = 5000, 20


@row("E02 5,000 people log in at once: no error, everybody gets the roster and the presences of his department and nobody else's", vestnik_only=True)
def storm(_):
    load = os.path.join(plain_build(), "bench", "load")
    csv = "id,login,password,full_name,department,position,email,phone,head\n" + "".join(
        "%d,u%d,pw,User %d,Company/Room %d,,,,no\n" % (i + 1, i, i, i // GROUP) for i in range(PEOPLE))
    with make_plain(domains=["storm.test"], options="company: { visibility: department }") as srv:
        srv.import_org(csv)
        run = subprocess.run([load, "morning", "--port", str(srv.ports["plain"]), "--domain", "storm.test", "--password", "pw", "--mechanism", "SCRAM-SHA-1",
                              "--users", str(PEOPLE), "--group", str(GROUP), "--concurrency", str(PEOPLE), "--pid", str(srv.proc.pid),
                              "--settle", "1"], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, "%s%s\n%s" % (run.stdout, run.stderr, srv.log_tail(5))
        got = json.loads(run.stdout)
        for name in ("morning_missing", "morning_repeated", "morning_strangers", "away_missing", "lost_connections", "stanza_errors"):
            assert got[name] == 0, run.stdout
        assert got["roster_items"] == GROUP - 1, run.stdout


def archive_of(c, with_jid):
    """Bodies and stamps of the archive with one person, in its order."""
    del c.kept[:]
    fin = c.iq("set", "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
               "<field var='with'><value>%s</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>100</max></set></query>" % with_jid)
    assert fin["type"] == "result", fin
    rows = [e.find("result", "urn:xmpp:mam:2").find("forwarded") for e in c.kept if e.find("result", "urn:xmpp:mam:2")]
    return [(r.find("message").child_text("body"), r.find("delay")["stamp"]) for r in rows]


@row("E10 the clock jumps an hour ahead and back, and the machine sleeps: nobody is disconnected, order and archive stay right, a session is resumed",
     vestnik_only=True)
def clock_jumps(_):
    srv = make_plain(domains=[DOMAIN], limits={"ping_ms": 5000, "ping_timeout_ms": 4000})
    offset = os.path.join(srv.dir, "offset")
    srv.env = {"LD_PRELOAD": shim("clock_preload", srv.dir), "CLOCK_PRELOAD": offset}
    with srv:
        srv.add_users(USERS)
        b = Bench(srv)
        idle = [b.online("clara", "idle%d" % i) for i in range(8)]
        a, c = b.online("anna", "e10"), b.online("boris", "e10")
        lost = b.online("dora", "lost")
        sm_id = lost.enable_sm()["id"]
        lost.drop()
        sent = 0
        for jump in (0, 3600, -3600, 0, "sleep"):
            if jump == "sleep":
                srv.proc.send_signal(signal.SIGSTOP)
                time.sleep(10)  # longer than it takes to call a silent client dead
                srv.proc.send_signal(signal.SIGCONT)
            else:
                with open(offset, "w") as f:
                    f.write(str(jump))
            for _ in range(10):
                a.message(c.bare, "<body>%d</body>" % sent)
                el = c.until(lambda e: e.name == "message")
                assert el.child_text("body") == str(sent), el
                sent += 1
            for one in idle:
                lives(one)
        got = archive_of(a, c.bare)
        assert [body for body, _ in got] == [str(i) for i in range(sent)], got
        assert [stamp for _, stamp in got] == sorted(stamp for _, stamp in got), "stamps go back: %s" % got
        back = b.client("dora")
        back.login("PLAIN", bind=False)
        back.send("<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>" % sm_id)
        assert back.stanza().name == "resumed"
        lives(back)
