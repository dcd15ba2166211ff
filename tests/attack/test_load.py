"""Rows E01, E03, E05: floods, slow readers, no more descriptors."""
import os
import resource
import select
import socket
import threading

from client import Client
from rows import DOMAIN, USERS, lives, row


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
