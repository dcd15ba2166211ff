"""Rows X02-X06, X09, X15, A05: limits of the parser, tested by bytes in every state."""
import time

from client import header
from rows import DOMAIN, lives, row, send_all, stream_error

STATES = ("before login", "after STARTTLS", "logged in", "resumed")


def stream_in(b, state):
    """A stream in one of the states."""
    if state == "before login":
        return b.opened()
    if state == "after STARTTLS":
        c = b.client(port="starttls")
        c.starttls()
        c.open()
        return c
    if state == "logged in":
        return b.online("anna", "x")
    c = b.online("anna", "x")
    sm_id = c.enable_sm()["id"]
    c.drop()
    c = b.client("anna")
    c.login("PLAIN", bind=False)
    c.send("<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>" % sm_id)
    el = c.stanza()
    assert el.name == "resumed", "not resumed: %s" % el
    return c


def each_state(b, fn, states=STATES):
    for state in states:
        try:
            fn(stream_in(b, state), state in STATES[:2], state)
        except AssertionError as e:
            raise AssertionError("%s: %s" % (state, e)) from e


@row("X02 X09 nesting too deep closes with policy-violation in every state", vestnik_only=True)
def deep(b):
    def one(c, early, state):
        depth = 9 if early else 65
        c.send("<iq type='get' id='d' to='%s'>" % DOMAIN + "<a xmlns='urn:a'>" * depth)
        stream_error(c, "policy-violation")
    each_state(b, one)


@row("X02 nesting up to the limit is answered", vestnik_only=True)
def deep_enough(b):
    c = b.online()
    c.send("<iq type='get' id='d' to='%s'>" % DOMAIN + "<a xmlns='urn:a'>" * 60 + "</a>" * 60 + "</iq>")
    el = c.until(lambda e: e["id"] == "d")
    assert el["type"] == "error", el
    lives(c)


@row("X03 X09 too many elements close with policy-violation in every state", vestnik_only=True)
def many(b):
    def one(c, early, state):
        send_all(c, b"<iq type='get' id='m'><x xmlns='urn:a'>" + b"<a/>" * (33 if early else 4001) + b"</x></iq>")
        stream_error(c, "policy-violation")
    each_state(b, one)
    c = b.online()
    c.send("<iq type='get' id='m' to='%s'><x xmlns='urn:a'>" % DOMAIN + "<a/>" * 3990 + "</x></iq>")
    assert c.until(lambda e: e["id"] == "m")["type"] == "error"
    lives(c)


@row("X04 X09 stanzas over the size limit close with policy-violation, those below pass, in every state", vestnik_only=True)
def big(b):
    def one(c, early, state):
        limit = 8192 if early else 262144
        text = b"x" * 1000 + b"<b/>"
        send_all(c, b"<message to='nobody@" + DOMAIN.encode() + b"'>" + text * (limit // len(text) - 1))
        if early:
            send_all(c, text * 2)
        else:
            send_all(c, text * 3 + b"</message>")
        stream_error(c, "policy-violation", "not-authorized")
    each_state(b, one)
    c = b.online()
    body = "y" * (262144 - 100)
    c.message(c.bare, "<body>%s</body>" % body, msg_id="big")
    el = c.until(lambda e: e["id"] == "big")
    assert el.child_text("body") == body
    lives(c)


@row("X05 an endless start tag, attribute or name is cut within the token limit, in every state", vestnik_only=True)
def endless(b):
    def one(c, early, state):
        limit = 4096 if early else 16384
        before = b.memory_kb()
        send_all(c, b"<message a='")
        sent = 0
        c.sock.settimeout(10)
        try:
            while sent < 256 * 1024:  # no more: what the kernel takes beyond says nothing of the server
                c.sock.sendall(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
        stream_error(c, "policy-violation", "not-authorized")
        grown = b.memory_kb() - before
        assert grown < 8192, "memory grew by %d KiB" % grown
        c.close()
    each_state(b, one)


@row("X06 a 15 KiB attribute sent byte by byte costs little CPU", vestnik_only=True)
def byte_by_byte(b):
    c = b.online()
    data = b"<iq type='get' id='s' to='%s'><q xmlns='urn:a' v='%s'/></iq>" % (DOMAIN.encode(), b"v" * 15000)
    before = b.cpu_s()
    for i in range(len(data)):
        c.sock.sendall(data[i:i + 1])
    c.until(lambda e: e["id"] == "s")
    used = b.cpu_s() - before
    assert used < 5, "15,000 segments cost %.2f s" % used  # quadratic work would be far beyond, reads alone far below


@row("X15 too many attributes and namespace declarations close the stream", vestnik_only=True)
def attributes(b):
    for text in ("".join(" a%d='1'" % i for i in range(65)), "".join(" xmlns:n%d='urn:n%d'" % (i, i) for i in range(17))):
        c = b.online()
        send_all(c, ("<iq type='get' id='a'><q xmlns='urn:a'%s/></iq>" % text).encode())
        stream_error(c, "policy-violation", "not-well-formed")
    c = b.online()
    c.send("<iq type='get' id='a' to='%s'><q xmlns='urn:a'%s/></iq>" % (DOMAIN, "".join(" a%d='1'" % i for i in range(60))))
    assert c.until(lambda e: e["id"] == "a")["type"] == "error"


@row("A05 bytes glued behind <starttls/> never run", vestnik_only=True)
def injection(b):
    c = b.opened(port="starttls")
    glued = header(DOMAIN) + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAcHctYW5uYQ==</auth>"
    c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + glued)
    seen = []
    while True:
        kind, el = c.event()
        if kind in ("end", "eof"):
            break
        seen.append(el.name if el is not None else kind)
        assert "success" not in seen, "login ran in clear text"
        if seen[-1] == "proceed":
            break
    if "proceed" in seen:
        try:
            c.start_tls()
            c.send(header(DOMAIN))
            kind, _ = c.event()
            assert kind in ("end", "eof"), "the stream goes on with glued bytes"
        except OSError:
            pass
    c.close()


@row("A05 white space behind <starttls/> is thrown away: go-sendxmpp ends it with a line end", vestnik_only=True)
def blank_behind_starttls(b):
    c = b.opened(port="starttls")
    c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/> \r\n")
    el = c.stanza()
    assert el.name == "proceed", "answered by %s" % el
    c.start_tls()
    c.open()
    c.close()


@row("A05 the same in a segment of its own, before and after <proceed/>; anything else there ends the stream", vestnik_only=True)
def late_blank(b):
    for early, late, good in ((" ", "\n", True), ("", " \r\n", True), ("", "\n<auth/>", False), ("", " " * 65, False)):
        c = b.opened(port="starttls")
        c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        c.send(early)
        assert c.stanza().name == "proceed"
        c.send(late)
        try:
            c.start_tls()
            assert good, "TLS goes on behind %r" % late
            c.open()
        except OSError:
            assert not good, "the handshake breaks behind %r and %r" % (early, late)
        c.close()


@row("X17 bytes glued behind <auth/> do not run before the login is decided", vestnik_only=True)
def glued_auth(b):
    watch = b.online("boris", "w")
    c = b.opened("anna")
    c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAd3Jvbmc=</auth>"
           "<message to='%s' type='chat' id='glued'><body>glued</body></message>" % watch.jid)
    while c.event()[0] not in ("end", "eof"):
        pass
    watch.ping()
    assert not watch.kept, "arrived: %s" % watch.kept


@row("X08 many STARTTLS and SASL restarts, some with garbage behind, leave the server well")
def restarts(b):
    for i in range(60):
        c = b.client("anna", port="starttls")
        c.starttls()
        if i % 3 == 0:
            c.send(header(DOMAIN) + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAcHctYW5uYQ==</auth>" + header(DOMAIN))
        elif i % 3 == 1:
            c.open()
            c.auth("PLAIN")
            c.send(header(DOMAIN))
        c.drop()
    lives(b.online())


@row("E07 compression is neither offered nor accepted")
def compression(b):
    c = b.opened()
    assert not c.features.find("compression"), c.features
    c.send("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>")
    kind, el = c.event()
    assert kind in ("end", "eof") or el.name in ("failure", "error"), el


@row("W11 a client that never logs in is cut off after the login time", limits={"login_ms": 1000})
def silent(b):
    quiet = [b.client() for _ in range(3)]
    half = b.opened()
    began = time.monotonic()
    for c in quiet + [half]:
        while c.event(20)[0] != "eof":
            pass
    assert time.monotonic() - began > 0.5, "cut off too early"
