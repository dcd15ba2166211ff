"""A raw XMPP client on a socket: sends bytes, hands out events; and the usual ways to log in. One object, one thread."""
import os
import select
import socket
import ssl
import struct
import time

import sasl
import web
from xmltree import NS_STREAM, StreamParser, escape, parse_fragment

TIMEOUT_S = float(os.environ.get("TEST_TIMEOUT", "15"))
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
NS_SASL2 = "urn:xmpp:sasl:2"
NS_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
NS_BIND2 = "urn:xmpp:bind:0"
NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SM = "urn:xmpp:sm:3"
NS_FAST = "urn:xmpp:fast:0"


class Timeout(AssertionError):
    pass


class AuthFailed(AssertionError):
    def __init__(self, el):
        super().__init__("login refused: %s" % el)
        self.el = el
        self.condition = el.elements()[0].name if el.elements() else None


def tls_context(**kw):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if kw.get("alpn"):
        ctx.set_alpn_protocols([kw["alpn"]])
    if kw.get("cert"):
        ctx.load_cert_chain(*kw["cert"])
    return ctx


class Conn:
    """Bytes and events of one connection. transport: tcp, ws (port is that of HTTP) or bosh."""

    def __init__(self, port, host="127.0.0.1", direct_tls=False, transport="tcp", **tls):
        if transport == "tcp":
            self.sock = socket.create_connection((host, port), TIMEOUT_S)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = {"ws": web.WebSocket, "bosh": web.Bosh}[transport](port, host)
        self.tls_options = tls
        self.parser = StreamParser()
        self.eof = False
        self.on_send = None
        self.trace = []
        if direct_tls:
            self.start_tls()

    def start_tls(self):
        self.sock = tls_context(**self.tls_options).wrap_socket(self.sock, server_hostname=self.tls_options.get("sni"))
        self.parser.held = b""
        self.parser.reset()

    def cert_der(self):
        return self.sock.getpeercert(True)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogatepass")
        self.trace.append((">", data))
        if self.on_send:
            return self.on_send(self, data)
        self.sock.sendall(data)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass
        self.eof = True

    def drop(self):
        """Vanishes without a word: RST instead of FIN, so the server sees a lost connection."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def _read(self, timeout_s):
        """Reads once. False when nothing came in time."""
        pending = hasattr(self.sock, "pending") and self.sock.pending()
        if not pending and not select.select([self.sock], [], [], max(timeout_s, 0))[0]:
            return False
        try:
            data = self.sock.recv(65536)
        except (ssl.SSLWantReadError, InterruptedError):
            return True
        except (ConnectionError, ssl.SSLError, OSError):
            data = b""
        if not data:
            self.eof = True
            return True
        self.trace.append(("<", data))
        self.parser.feed(data)
        return True

    def poll(self, timeout_s=0.0):
        """Next event or None. ("eof", None) once the peer has closed and all events were taken."""
        deadline = time.monotonic() + timeout_s
        while not self.parser.events:
            if self.eof:
                return ("eof", None)
            left = deadline - time.monotonic()
            if not self._read(left) and left <= 0:
                return None
        return self.parser.events.pop(0)

    def event(self, timeout_s=None):
        ev = self.poll(TIMEOUT_S if timeout_s is None else timeout_s)
        if ev is None:
            raise Timeout("nothing arrived in time; %s" % self.tail())
        return ev

    def push_back(self, ev):
        self.parser.events.insert(0, ev)

    def stanza(self, timeout_s=None):
        kind, el = self.event(timeout_s)
        if kind != "stanza":
            raise AssertionError("expected a stanza, got %s %s; %s" % (kind, el, self.tail()))
        return el

    def until(self, test, timeout_s=None, keep=None):
        """Reads stanzas until test(el) holds; others go to the list keep (or are dropped)."""
        deadline = time.monotonic() + (TIMEOUT_S if timeout_s is None else timeout_s)
        while True:
            el = self.stanza(max(deadline - time.monotonic(), 0.001))
            if test(el):
                return el
            if keep is not None:
                keep.append(el)

    def tail(self, n=6):
        """The last bytes in both directions, for a failure report."""
        out = []
        for way, data in self.trace[-n:]:
            out.append("%s %s" % (way, data[-600:].decode("utf-8", "replace")))
        return "last bytes:\n" + "\n".join(out)


def header(domain, frm=None, extra="version='1.0'"):
    who = " from='%s'" % escape(frm) if frm else ""
    return ("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' to='%s'%s %s>"
            % (NS_STREAM, escape(domain), who, extra))


class Client(Conn):
    """A client of one account. login() does everything up to a bound session."""

    def __init__(self, port, domain, user=None, password=None, resource=None, **kw):
        super().__init__(port, **kw)
        self.domain, self.user, self.password, self.resource = domain, user, password, resource
        self.jid = None
        self.features = None
        self.next_id = 0
        self.kept = []
        self.sm_id = None

    def open(self, frm=None):
        """Sends a stream header; returns the features."""
        self.send(header(self.domain, frm))
        kind, el = self.event()
        if kind != "header":
            raise AssertionError("expected a stream header, got %s; %s" % (kind, self.tail()))
        self.stream_header = el
        self.features = self.stanza()
        assert self.features.name == "features", "expected features, got %s" % self.features
        return self.features

    def starttls(self):
        self.open()
        self.send("<starttls xmlns='%s'/>" % NS_TLS)
        el = self.stanza()
        assert el.name == "proceed", "expected proceed, got %s" % el
        self.start_tls()

    def mechanisms(self, ns=NS_SASL):
        box = self.features.find("mechanisms", ns) if ns == NS_SASL else self.features.find("authentication", ns)
        return [m.text() for m in box.all("mechanism")] if box else []

    def _scram(self, mechanism):
        if mechanism.endswith("-PLUS"):
            return sasl.Scram(mechanism, self.user, self.password, "p=tls-server-end-point,,",
                              sasl.end_point_hash(self.cert_der()))
        return sasl.Scram(mechanism, self.user, self.password)

    def auth(self, mechanism="SCRAM-SHA-256", authzid=""):
        """Classic SASL on an open stream; AuthFailed with the failure element."""
        head = "<auth xmlns='%s' mechanism='%s'>" % (NS_SASL, mechanism)
        if mechanism == "PLAIN":
            self.send(head + sasl.b64(sasl.plain(self.user, self.password, authzid)) + "</auth>")
        else:
            sc = self._scram(mechanism)
            self.send(head + sasl.b64(sc.first()) + "</auth>")
            el = self.stanza()
            if el.name != "challenge":
                raise AuthFailed(el)
            self.send("<response xmlns='%s'>%s</response>" % (NS_SASL, sasl.b64(sc.final(sasl.unb64(el.text())))))
        el = self.stanza()
        if el.name != "success":
            raise AuthFailed(el)
        if mechanism != "PLAIN":
            sc.check(sasl.unb64(el.text()))

    def bind(self):
        res = "<resource>%s</resource>" % escape(self.resource) if self.resource else ""
        el = self.iq("set", "<bind xmlns='%s'>%s</bind>" % (NS_BIND, res))
        if el["type"] != "result":
            raise AssertionError("bind refused: %s" % el)
        self.jid = el.path("bind", "jid").text()
        self.bare, _, self.resource = self.jid.partition("/")
        return self.jid

    def login(self, mechanism="SCRAM-SHA-256", starttls=False, bind=True):
        if starttls:
            self.starttls()
        self.open()
        self.auth(mechanism)
        self.open()
        return self.bind() if bind else None

    def auth2(self, mechanism="SCRAM-SHA-256", inline="", attrs="", first=None):
        """SASL2 (XEP-0388) on an open stream; returns <success/>, AuthFailed otherwise. first overrides the initial response."""
        if first is None and mechanism == "PLAIN":
            first = sasl.plain(self.user, self.password)
        sc = None
        if first is None:
            sc = self._scram(mechanism)
            first = sc.first()
        self.send("<authenticate xmlns='%s' mechanism='%s'%s><initial-response>%s</initial-response>%s</authenticate>"
                  % (NS_SASL2, mechanism, attrs, sasl.b64(first), inline))
        el = self.stanza()
        if sc and el.name == "challenge":
            self.send("<response xmlns='%s'>%s</response>" % (NS_SASL2, sasl.b64(sc.final(sasl.unb64(el.text())))))
            el = self.stanza()
        if el.name != "success":
            raise AuthFailed(el)
        if sc:
            sc.check(sasl.unb64(el.child_text("additional-data")))
        self.jid = el.child_text("authorization-identifier")
        self.bare, _, self.resource = self.jid.partition("/")
        return el

    # --- stanzas ---------------------------------------------------------------------------------------------------------
    def new_id(self, prefix="t"):
        self.next_id += 1
        return "%s%d" % (prefix, self.next_id)

    def iq(self, kind, child, to=None, timeout_s=None):
        """Sends an iq and waits for its answer; other stanzas that arrive meanwhile are kept in self.kept."""
        iq_id = self.new_id("q")
        where = " to='%s'" % escape(to) if to else ""
        self.send("<iq type='%s' id='%s'%s>%s</iq>" % (kind, iq_id, where, child))
        return self.until(lambda e: e.name == "iq" and e["id"] == iq_id and e["type"] in ("result", "error"),
                          timeout_s, self.kept)

    def ping(self):
        """A barrier: everything we sent before was read by the server."""
        return self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", self.domain)

    def presence(self, inner=""):
        """Becomes available and waits for the reflected presence of our own."""
        self.send("<presence>%s</presence>" % inner if inner else "<presence/>")
        self.until(lambda e: e.name == "presence" and e["from"] == self.jid, keep=self.kept)

    def enable_sm(self, resume=True):
        self.send("<enable xmlns='%s'%s/>" % (NS_SM, " resume='true'" if resume else ""))
        el = self.until(lambda e: e.ns == NS_SM and e.name in ("enabled", "failed"), keep=self.kept)
        assert el.name == "enabled", "sm refused: %s" % el
        self.sm_id = el["id"]
        return el

    def goodbye(self):
        """Closes the stream properly and waits for the server's end of it."""
        self.send("</stream:stream>")
        while self.event()[0] not in ("end", "eof"):
            pass
        self.close()

    def message(self, to, inner, kind="chat", msg_id=None):
        msg_id = msg_id or self.new_id("m")
        self.send("<message type='%s' to='%s' id='%s'>%s</message>" % (kind, escape(to), msg_id, inner))
        return msg_id


def fragment(text):
    return parse_fragment(text)[0]
