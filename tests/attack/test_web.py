"""Rows W01-W05, W11, X21 and the rows of streams over WebSocket and BOSH."""
import json
import os
import socket
import struct
import time

import web
from client import Client
from rows import DOMAIN, lives, row, stream_error

OPEN = "<open xmlns='%s' to='%s' version='1.0'/>" % (web.NS_FRAMING, DOMAIN)


def http(b):
    return web.Http(b.server.ports["http"])


def answer(b, raw, timeout_s=20):
    """Status of the answer to raw bytes on a new connection; 0 when it was closed without one."""
    with socket.create_connection(("127.0.0.1", b.server.ports["http"]), timeout_s) as s:
        s.sendall(raw)
        data = b""
        while b"\r\n\r\n" not in data:
            got = s.recv(65536)
            if not got:
                return 0, b""
            data += got
        return int(data.split()[1]), data


def get(b, path, **headers):
    lines = {"Host": "localhost", "Connection": "close"}
    lines.update((k.replace("_", "-"), v) for k, v in headers.items())
    return answer(b, ("GET %s HTTP/1.1\r\n%s\r\n" % (path, "".join("%s: %s\r\n" % kv for kv in lines.items()))).encode())


def upgrade_status(b, **headers):
    s = socket.create_connection(("127.0.0.1", b.server.ports["http"]), 20)
    try:
        web.upgrade(s, **headers)
        return 101
    except web.Upgrade as e:
        return e.status
    finally:
        s.close()


def online(b, transport, user="anna", resource=None, **kw):
    c = Client(b.server.ports["http"], DOMAIN, user, "pw-" + user, resource, transport=transport, **kw)
    c.login("PLAIN")
    return c


@row("W01 a page of a foreign origin gets 403 before the upgrade; own and listed ones get in", vestnik_only=True,
     options="http: { origins: [\"https://portal.example.org\"] }")
def origins(b):
    for origin, status in ((None, 101), ("http://localhost", 101), ("https://localhost", 101), ("https://portal.example.org", 101),
                           ("http://portal.example.org", 403), ("https://portal.example.org.evil", 403), ("https://evil.example", 403),
                           ("https://portal.example.org:444", 403), ("http://localhost:81", 403), ("http://localhost.evil", 403), ("null", 403),
                           ("http://evil/localhost", 403), ("", 403)):
        got = upgrade_status(b, **({"Origin": origin} if origin is not None else {}))
        assert got == status, "Origin %r: %d, expected %d" % (origin, got, status)


@row("W01 RFC 6455 4.2: an upgrade without its headers or for another protocol is refused", vestnik_only=True)
def bad_upgrades(b):
    for headers, status in (({"Sec_WebSocket_Version": "8"}, 426), ({"Upgrade": "h2c"}, 426), ({"Connection": "keep-alive"}, 426),
                            ({"Sec_WebSocket_Protocol": "chat"}, 400), ({"Sec_WebSocket_Protocol": None}, 400),
                            ({"Sec_WebSocket_Key": "short"}, 400), ({"Sec_WebSocket_Key": None}, 400)):
        got = upgrade_status(b, **headers)
        assert got == status, "%s: %d, expected %d" % (headers, got, status)


def raw_ws(b, opened=True):
    s = socket.create_connection(("127.0.0.1", b.server.ports["http"]), 20)
    frames = web.Frames(web.upgrade(s))
    if opened:
        s.sendall(web.frame(1, OPEN.encode()))
    return s, frames


def close_code(s, frames):
    """Reads up to the close frame; its code, and whether the connection ended after it. 0: closed without one."""
    while True:
        f = frames.take()
        if f and f[0] == 8:
            return int.from_bytes(f[1][:2], "big")
        if f:
            continue
        try:
            data = s.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            return 0
        frames.held += data


FRAMES = (  # bytes behind the upgrade, expected close code
    ("not masked", web.frame(1, OPEN.encode(), mask=False), 1002),
    ("RSV1", web.frame(1, OPEN.encode(), rsv=4), 1002),
    ("RSV2", web.frame(1, OPEN.encode(), rsv=2), 1002),
    ("RSV3", web.frame(1, OPEN.encode(), rsv=1), 1002),
    ("opcode 3", web.frame(3, b"x"), 1002),
    ("opcode 7", web.frame(7, b"x"), 1002),
    ("opcode 11", web.frame(11, b"x"), 1002),
    ("opcode 15", web.frame(15, b"x"), 1002),
    ("binary", web.frame(2, OPEN.encode()), 1003),
    ("continuation without a start", web.frame(0, b"x"), 1002),
    ("text inside a fragmented text", web.frame(1, b"<a", fin=False) + web.frame(1, b"/>"), 1002),
    ("binary inside a fragmented text", web.frame(1, b"<a", fin=False) + web.frame(2, b"/>"), 1002),
    ("fragmented ping", web.frame(9, b"x", fin=False), 1002),
    ("ping of 126 bytes", web.frame(9, b"x" * 126), 1002),
    ("length not in its shortest form, 16 bits", b"\x81\xfe\x00\x05" + b"\0\0\0\0" + b"<a/> ", 1002),
    ("length not in its shortest form, 64 bits", b"\x81\xff" + struct.pack(">Q", 5) + b"\0\0\0\0" + b"<a/> ", 1002),
    ("length of 2^63", b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0" + b"<", 1002),
    ("length of 2^62", b"\x81\xff" + struct.pack(">Q", 1 << 62) + b"\0\0\0\0" + b"<", 1009),
    ("17 fragments", web.frame(1, b"<", fin=False) + web.frame(0, b"a", fin=False) * 16, 1008),
    ("8 KiB + 1 before login", web.frame(1, b"<a>" + b"x" * 8190), 1009),
    ("8 KiB + 1 in fragments", web.frame(1, b"<a>" + b"x" * 4000, fin=False) + web.frame(0, b"x" * 4190), 1009),
    ("bad UTF-8", web.frame(1, b"<a>\xc0\x80</a>"), 1007),
    ("surrogate", web.frame(1, b"<a>\xed\xa0\x80</a>"), 1007),
    ("close", web.frame(8, b"\x03\xe8"), 1000),
    ("close without a code", web.frame(8, b""), 1000),
    ("close with a reason", web.frame(8, b"\x03\xe9bye"), 1000),
    ("close of one byte", web.frame(8, b"\x03"), 1002),
    ("close with a reserved code", web.frame(8, struct.pack(">H", 1005)), 1002),
    ("close with code 999", web.frame(8, struct.pack(">H", 999)), 1002),
    ("close with a reason that is no UTF-8", web.frame(8, b"\x03\xe8\xff"), 1002),
)


@row("X21 frames that RFC 6455 forbids, or that are too large or too many, end with their close code, whole and byte by byte", vestnik_only=True)
def frames(b):
    wrong = []
    for opened in (False, True):
        for piece in (1 << 20, 1):
            for name, data, code in FRAMES:
                if piece == 1 and len(data) > 2000:
                    continue
                s, fr = raw_ws(b, opened)
                try:
                    for i in range(0, len(data), piece):
                        s.sendall(data[i:i + piece])
                except OSError:
                    pass
                got = close_code(s, fr)
                if got != code:
                    wrong.append("%s (opened %s, pieces of %d): %d, expected %d" % (name, opened, piece, got, code))
                s.close()
    assert not wrong, "\n".join(wrong)


@row("X21 a header that claims 2^62 bytes allocates nothing", vestnik_only=True)
def claims(b):
    before = b.memory_kb()
    for _ in range(20):
        s, fr = raw_ws(b)
        s.sendall(b"\x81\xff" + struct.pack(">Q", 1 << 62) + b"\0\0\0\0" + b"<")
        assert close_code(s, fr) == 1009
        s.close()
    assert b.memory_kb() - before < 20000, "grew by %d KiB" % (b.memory_kb() - before)


@row("X21 16 fragments, pings between them, and 10,000 pings are answered; the stream lives", vestnik_only=True)
def pings(b):
    s, fr = raw_ws(b, opened=False)
    pieces = OPEN.encode()
    step = len(pieces) // 15
    cut = [pieces[i:i + step] for i in range(0, len(pieces), step)][:15]
    cut.append(pieces[sum(map(len, cut)):])
    for i, p in enumerate(cut):
        s.sendall(web.frame(1 if i == 0 else 0, p, fin=i == 15) + web.frame(9, b"p%d" % i))
    pongs, open_seen = 0, False
    while pongs < 16 or not open_seen:
        f = fr.take()
        if f is None:
            data = s.recv(65536)
            assert data, "closed"
            fr.held += data
            continue
        pongs += f[0] == 10
        open_seen = open_seen or (f[0] == 1 and f[1].startswith(b"<open "))
    s.close()
    c = online(b, "ws")
    for _ in range(100):
        c.sock.sock.sendall(web.frame(9, b"x" * 125) * 100)
        lives(c)
    c.goodbye()


BOTH = ("ws", "bosh")


def each(b, fn):
    for transport in BOTH:
        for early in (True, False):
            c = Client(b.server.ports["http"], DOMAIN, "anna", "pw-anna", transport=transport)
            try:
                c.open() if early else c.login("PLAIN")
                fn(c, early)
            except AssertionError as e:
                raise AssertionError("%s, %s: %s" % (transport, "before login" if early else "logged in", e)) from e
            c.close()


@row("X01 X09 DTD, comments, PIs and unknown entities over WebSocket and BOSH", vestnik_only=True)
def xml_tricks(b):
    for inner, conditions in (("<!--x-->", ("restricted-xml",)), ("<?p x?>", ("restricted-xml",)), ("&foo;", ("not-well-formed",))):
        each(b, lambda c, early: (c.send("<iq type='get' id='a' to='%s'><q xmlns='urn:a'>%s</q></iq>" % (DOMAIN, inner)),
                                  stream_error(c, *conditions)))
    for text, code in (("<!DOCTYPE a [<!ENTITY b 'c'>]>" + OPEN, "restricted-xml"), ("<?xml version='1.0' encoding='utf-16'?>" + OPEN,
                                                                                  "unsupported-encoding")):
        s, fr = raw_ws(b, opened=False)
        s.sendall(web.frame(1, text.encode()))
        data = b""
        while b"</stream:error>" not in data:
            got = s.recv(65536)
            assert got, data
            data += got
        assert code.encode() in data, data
        s.close()


@row("X02 X03 X04 X05 X09 X15 limits of a stanza hold over WebSocket and BOSH before and after login", vestnik_only=True)
def limits(b):
    def deep(c, early):
        c.send("<iq type='get' id='d' to='%s'>" % DOMAIN + "<a xmlns='urn:a'>" * (9 if early else 65) + "</a>" * (9 if early else 65) + "</iq>")
        stream_error(c, "policy-violation")

    def many(c, early):
        c.send("<iq type='get' id='d' to='%s'>" % DOMAIN + "<a xmlns='urn:a'/>" * (33 if early else 4001) + "</iq>")
        stream_error(c, "policy-violation")

    def large(c, early):
        n = (8192 if early else 262144) + 1
        head, tail = "<iq type='get' id='d' to='%s' xmlns='jabber:client'><a xmlns='urn:a'>" % DOMAIN, "</a></iq>"
        c.send(head + "x" * (n - len(head) - len(tail)) + tail)
        stream_error(c, "policy-violation")

    def token(c, early):
        c.send("<iq type='get' id='d' to='%s' a='%s'/>" % (DOMAIN, "x" * (4096 if early else 16384)))
        stream_error(c, "policy-violation")

    def attributes(c, early):
        c.send("<iq type='get' id='d' to='%s' %s/>" % (DOMAIN, " ".join("a%d='1'" % i for i in range(65))))
        stream_error(c, "policy-violation")
    for fn in (deep, many, large, token, attributes):
        each(b, fn)
    for transport in BOTH:  # and up to them all is well
        c = online(b, transport)
        head, tail = "<iq type='get' id='d' to='%s' xmlns='jabber:client'><a xmlns='urn:a'>" % DOMAIN, "</a></iq>"
        c.send(head + "x" * (262144 - len(head) - len(tail)) + tail)
        assert c.until(lambda e: e["id"] == "d")["type"] == "error"
        c.send("<iq type='get' id='e' to='%s'>" % DOMAIN + "<a xmlns='urn:a'/>" * 4000 + "</iq>")
        assert c.until(lambda e: e["id"] == "e")["type"] == "error"
        lives(c)
        c.goodbye()


def body(rid, attrs="", inner=""):
    return ("<body xmlns='%s' rid='%d' xmlns:xmpp='urn:xmpp:xbosh' %s>%s</body>" % (web.NS_BODY, rid, attrs, inner)).encode()


def create(b, h, rid=1000, attrs="wait='5' hold='1'", **headers):
    status, _, text = h.post("/bosh", body(rid, "to='%s' xmpp:version='1.0' ver='1.6' %s" % (DOMAIN, attrs)), **headers)
    assert status == 200, status
    return web.attributes(web.TOKEN.match(text).group(0)), text


def ping(n):
    return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE%d'/>" % n


@row("W02 BOSH: content type, foreign origins, sids of 128 bits", vestnik_only=True)
def bosh_forgery(b):
    h = http(b)
    for headers, status in (({"Content_Type": "application/x-www-form-urlencoded"}, 415), ({"Content_Type": "text/plain"}, 415),
                            ({"Content_Type": None}, 415), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
                            ({"Origin": "https://evil.example", "Content_Type": "text/plain"}, 403)):
        got = h.post("/bosh", body(1, "to='%s' wait='1' hold='1'" % DOMAIN), **headers)
        assert got[0] == status, "%s: %d" % (headers, got[0])
        assert "access-control-allow-origin" not in got[1], got[1]
    sids = {create(b, h)[0]["sid"] for _ in range(20)}
    assert len(sids) == 20 and all(len(s) == 22 for s in sids), sids
    _, headers, text = h.post("/bosh", body(5, "sid='%s'" % ("x" * 22)))
    assert b"item-not-found" in text and b"terminate" in text, text
    assert "set-cookie" not in headers


@row("W02 BOSH: a repeated rid gets the same body and acts once; one far away ends the session", vestnik_only=True)
def bosh_rid(b):
    h = http(b)
    a, _ = create(b, h)
    sid = "sid='%s'" % a["sid"]
    first = h.post("/bosh", body(1001, sid, ping(1)))[2]
    assert b"<failure" in first, first
    again = h.post("/bosh", body(1001, sid, ping(2)))[2]
    assert again == first, "%r is not %r" % (again, first)
    assert b"<failure" in h.post("/bosh", body(1002, sid, ping(3)))[2]
    far = h.post("/bosh", body(1005, sid))[2]
    assert b"item-not-found" in far, far
    assert b"terminate" in h.post("/bosh", body(1003, sid))[2]
    a, _ = create(b, h)
    old = h.post("/bosh", body(900, "sid='%s'" % a["sid"]))[2]
    assert b"item-not-found" in old, old


@row("W02 BOSH: key sequences; a wrong key and a stolen rid end in item-not-found", vestnik_only=True)
def bosh_keys(b):
    import hashlib
    keys = ["seed"]
    for _ in range(4):
        keys.append(hashlib.sha1(keys[-1].encode()).hexdigest())
    h = http(b)
    a, _ = create(b, h, attrs="wait='5' hold='1' newkey='%s'" % keys[4])
    sid = "sid='%s'" % a["sid"]
    first = h.post("/bosh", body(1001, sid + " key='%s'" % keys[3], ping(1)))[2]
    assert b"<failure" in first, first
    assert h.post("/bosh", body(1001, sid + " key='%s'" % keys[3]))[2] == first
    assert b"item-not-found" in h.post("/bosh", body(1001, sid + " key='%s'" % keys[0]))[2], "answers are given to whoever knows the rid"
    assert b"<failure" in h.post("/bosh", body(1002, sid + " key='%s' newkey='%s'" % (keys[2], hashlib.sha1(b"n").hexdigest()), ping(2)))[2]
    assert b"<failure" in h.post("/bosh", body(1003, sid + " key='n'", ping(3)))[2]
    assert b"item-not-found" in h.post("/bosh", body(1004, sid + " key='wrong'", ping(4)))[2]


@row("XEP-0124 9, 10, 11: hold and wait, requests out of order, pause, terminate, inactivity", vestnik_only=True, limits={"bosh_inactivity_ms": 1500})
def bosh_manners(b):
    one, two = http(b), http(b)
    a, _ = create(b, one, attrs="wait='1' hold='1'")
    assert a["hold"] == "1" and a["requests"] == "2" and a["wait"] == "1" and "inactivity" in a and "maxpause" in a, a
    sid = "sid='%s'" % a["sid"]
    began = time.monotonic()
    held = one.post("/bosh", body(1001, sid))[2]
    assert web.units(held)[0] and b"terminate" not in held and time.monotonic() - began > 0.8, "a request is held for its wait"
    two.sock = None
    s = socket.create_connection(("127.0.0.1", b.server.ports["http"]), 20)
    late = body(1003, sid)
    s.sendall(b"POST /bosh HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(late) + late)
    first = one.post("/bosh", body(1002, sid, ping(2)))[2]
    assert b"<failure" in first, first
    one.post("/bosh", body(1004, sid + " pause='3'"))
    time.sleep(2)  # longer than the inactivity, shorter than the pause
    got = one.post("/bosh", body(1005, sid, ping(5)))[2]
    assert b"<failure" in got, got
    last = one.post("/bosh", body(1006, sid + " type='terminate'"))[2]
    assert b"terminate" in last and b"condition" not in last, last
    s.close()
    a, _ = create(b, one)
    deadline = time.monotonic() + 20
    probe = {}
    while time.monotonic() < deadline:  # ends by itself
        time.sleep(1.7)
        probe = one.post("/bosh", body(1001, "sid='%s'" % a["sid"], ping(1)))[2]
        if b"item-not-found" in probe:
            return
    raise AssertionError("a silent session does not end: %r" % probe)


@row("W03 addresses that strangers write into headers change nothing; those of a listed proxy are the client's", vestnik_only=True,
     options="http: { trusted_proxies: [\"127.0.0.2\", \"10.0.0.0/8\"] }")
def proxies(b):
    def ask(source, **headers):
        name = "/w03-%d" % int.from_bytes(os.urandom(4), "big")
        with socket.create_connection(("127.0.0.1", b.server.ports["http"]), 20, (source, 0)) as s:
            s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n" % (
                name, "".join("%s: %s\r\n" % (k.replace("_", "-"), v) for k, v in headers.items()))).encode())
            while s.recv(65536):
                pass
        for _ in range(200):
            for line in b.server.log:
                if name in line:
                    return [w for w in line.split() if w.startswith("ip=")][0][3:].strip('"')
            time.sleep(0.02)
        raise AssertionError("no log line for " + name)
    for source, headers, ip in (
            ("127.0.0.3", {"X_Forwarded_For": "203.0.113.7"}, "127.0.0.3"), ("127.0.0.3", {"Forwarded": "for=203.0.113.7"}, "127.0.0.3"),
            ("127.0.0.2", {"X_Forwarded_For": "203.0.113.7"}, "203.0.113.7"), ("127.0.0.2", {"Forwarded": "for=203.0.113.7;proto=https"}, "203.0.113.7"),
            ("127.0.0.2", {"Forwarded": "for=\"[2001:db8::1]:4711\""}, "2001:db8::1"),
            ("127.0.0.2", {"X_Forwarded_For": "198.51.100.1, 203.0.113.7, 10.1.2.3"}, "203.0.113.7"),
            ("127.0.0.2", {"X_Forwarded_For": "203.0.113.7, nonsense"}, "127.0.0.2"), ("127.0.0.2", {}, "127.0.0.2")):
        got = ask(source, **headers)
        assert got == ip, "%s %s: %s, expected %s" % (source, headers, got, ip)


@row("A04 W03 no login over a connection that a proxy got without encryption", vestnik_only=True, options="http: { trusted_proxies: [\"127.0.0.1\"] }")
def plain_proxy(b):
    assert upgrade_status(b, X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="http") == 403
    assert upgrade_status(b, X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https") == 101
    h = http(b)
    assert h.post("/bosh", body(1, "to='%s'" % DOMAIN), X_Forwarded_For="203.0.113.7")[0] == 403


@row("W04 posts of foreign pages get 403, preflights are answered for listed ones only", vestnik_only=True,
     options="http: { origins: [\"https://portal.example.org\"] }")
def preflight(b):
    def options(origin):
        return answer(b, ("OPTIONS /bosh HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: %s\r\nAccess-Control-Request-Method: POST\r\n\r\n"
                          % origin).encode())
    status, head = options("https://portal.example.org")
    assert status == 204 and b"Access-Control-Allow-Origin: https://portal.example.org\r\n" in head, head
    assert b"Access-Control-Allow-Methods: POST, OPTIONS\r\n" in head and b"Content-Type" in head, head
    status, head = options("https://evil.example")
    assert b"Access-Control-Allow-Origin" not in head, head
    assert http(b).post("/api/v1/users/add", b"{}", Origin="https://evil.example", Content_Type="application/json")[0] == 403


@row("W05 paths that are not in plain form are refused, encoded ones are read once", vestnik_only=True)
def paths(b):
    for path, status in (("/setup/../health", 400), ("/%2e%2e/health", 400), ("/./health", 400), ("/%2e/health", 400), ("//health", 400), ("/x%2fhealth", 400),
                         ("/x%5chealth", 400), ("/x\\health", 400), ("/%u002e", 400), ("/a%00", 400), ("/a%0d%0ab", 400), ("/%ff", 400), ("/%", 400), ("/%4", 400),
                         ("health", 400), ("/health;x", 404), ("/%2500", 404), ("/h%65alth", 200), ("http://localhost/health", 200), ("/health?../..", 200)):
        got = get(b, path)[0]
        assert got == status, "%s: %d, expected %d" % (path, got, status)


@row("W11 slow heads, slow bodies and framing without content end; another client is served meanwhile", vestnik_only=True,
     limits={"http_head_ms": 1000, "preauth_connections_ip": 300})
def slow(b):
    def opened(data):
        s = socket.create_connection(("127.0.0.1", b.server.ports["http"]), 30)
        s.sendall(data)
        return s

    def status_of(s):
        data = b""
        while True:
            got = s.recv(65536)
            if not got:
                return int(data.split()[1]) if data else 0
            data += got
    slow_ones = [opened(b"GET / HTTP/1.1\r\nHost:") for _ in range(280)]
    c = online(b, "ws")
    lives(c)
    assert get(b, "/health")[0] == 200
    c.goodbye()
    assert {status_of(s) for s in slow_ones} == {408}
    assert status_of(opened(b"POST /bosh HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\nx")) == 408
    tiny = b"1;" + b"e" * 2000 + b"\r\nx\r\n"
    assert status_of(opened(b"POST /bosh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + tiny * 30)) == 400
    assert status_of(opened(b"POST /bosh HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nabcde")) == 415


def stat(b, name):
    return json.loads(b.server.ctl("--json", "stats").stdout)[name]


@row("W11 half-open connections of one address have a limit", vestnik_only=True, limits={"preauth_connections_ip": 20})
def half_open(b):
    before = stat(b, "connections")
    held = [socket.create_connection(("127.0.0.1", b.server.ports["http"]), 30) for _ in range(20)]
    # Workers accept on their own: a request before all are in would take the place of one of them.
    for _ in range(500):
        if stat(b, "connections") >= before + 20:
            break
    assert get(b, "/health")[0] == 429, "the 21st connection was served"
    for s in held:
        s.close()
    for _ in range(200):
        if get(b, "/health")[0] == 200:
            return
        time.sleep(0.02)
    raise AssertionError("their end does not make room")


@row("E03 X09 floods over WebSocket and BOSH are slowed down, not dropped", vestnik_only=True,
     limits={"rate_stanzas": 100, "rate_stanzas_burst": 20, "rate_bytes": 1073741824, "rate_bytes_burst": 1073741824})
def floods(b):
    for transport in BOTH:
        c = online(b, transport)
        began = time.monotonic()
        c.send("".join("<iq type='get' id='f%d' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>" % (i, DOMAIN) for i in range(200)))
        for i in range(200):
            assert c.stanza()["id"] == "f%d" % i, "answers are in order, none is missing"
        lives(c)
        assert time.monotonic() - began > 1, "%s: not slowed down" % transport
        c.goodbye()


@row("A17 D16 a session moves between TCP, WebSocket and BOSH by resumption", vestnik_only=True, limits={"bosh_inactivity_ms": 1000})
def roam(b):
    c = online(b, "ws", resource="r")
    sm_id = c.enable_sm()["id"]
    for transport in ("bosh", "tcp", "ws", "bosh"):
        c.drop()
        c = Client(b.server.ports["plain" if transport == "tcp" else "http"], DOMAIN, "anna", "pw-anna", transport=transport)
        c.login("PLAIN", bind=False)
        c.send("<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>" % sm_id)
        el = c.stanza()
        assert el.name == "resumed", "%s: %s" % (transport, el)
    c.close()


@row("W03 XEP-0156 host-meta in both forms names WebSocket and BOSH at the host that was asked, readable by any page", vestnik_only=True)
def host_meta(b):
    status, text = get(b, "/.well-known/host-meta", Host="chat.example.org:1", Origin="https://elsewhere.example")
    assert status == 200 and b"Access-Control-Allow-Origin: *\r\n" in text, text
    assert b"urn:xmpp:alt-connections:websocket' href='ws://chat.example.org:1/ws'" in text, text
    assert b"urn:xmpp:alt-connections:xbosh' href='http://chat.example.org:1/bosh'" in text, text
    status, text = get(b, "/.well-known/host-meta.json", Host="chat.example.org")
    assert status == 200 and b'"href":"ws://chat.example.org/ws"' in text and b"application/json" in text, text
    assert b"<x" not in get(b, "/.well-known/host-meta", Host="<x'")[1]
