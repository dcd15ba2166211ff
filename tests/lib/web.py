"""XMPP over WebSocket (RFC 7395) and BOSH (XEP-0124, 0206) for client.py: objects with the face of a socket that speaks a TCP stream. What is written
to them, header, stanzas and end tag, is cut into elements and goes out as messages or bodies; what comes back is handed on as bytes of a stream."""
import base64
import hashlib
import os
import queue
import re
import socket
import struct
import threading

NS_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
NS_BODY = "http://jabber.org/protocol/httpbind"
STREAM_HEAD = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' %s>"
TOKEN = re.compile(rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->|<\?.*?\?>|<(?:[^'\"<>]|'[^']*'|\"[^\"]*\")*>", re.S)


def units(held):
    """Cuts complete top-level elements, headers and end tags off; returns (units, rest)."""
    out, depth, start, at = [], 0, 0, 0
    while True:
        m = TOKEN.search(held, at)
        if not m:
            return out, held[start:]
        tag, at = m.group(0), m.end()
        if tag.startswith((b"<!", b"<?")):
            if depth == 0:
                start = at
            continue
        if depth == 0 and (tag.startswith(b"<stream:stream") or tag.startswith(b"</")):
            out.append(tag)
            start = at
            continue
        depth += -1 if tag.startswith(b"</") else 0 if tag.endswith(b"/>") else 1
        if depth == 0:
            out.append(held[start:at].strip())
            start = at


def standalone(element):
    """An element out of a stream as a document of its own: with its namespaces."""
    head, sep, rest = re.match(rb"(<[^\s/>]+)([\s/>])(.*)$", element, re.S).groups()
    tag = TOKEN.match(element).group(0)
    if not re.search(rb"\sxmlns=", tag):
        head += b" xmlns='jabber:client'"
    if b"stream:" in element and not re.search(rb"\sxmlns:stream=", tag):
        head += b" xmlns:stream='http://etherx.jabber.org/streams'"
    return head + sep + rest


def attributes(tag):
    return dict((k.decode(), v[1:-1].decode()) for k, v in re.findall(rb"([\w:]+)\s*=\s*('[^']*'|\"[^\"]*\")", tag))


def written(attrs):
    return " ".join("%s='%s'" % kv for kv in attrs.items())


class Upgrade(AssertionError):
    def __init__(self, head, body):
        super().__init__(head)
        self.status = int(head.split()[1])
        self.body = body


def frame(opcode, payload, fin=True, mask=True, rsv=0):
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    n = len(payload)
    bit = 0x80 if mask else 0
    head += bytes([bit | n]) if n < 126 else struct.pack(">BH", bit | 126, n) if n < 65536 else struct.pack(">BQ", bit | 127, n)
    if not mask:
        return head + payload
    key = os.urandom(4)
    long_key = (key * (n // 4 + 1))[:n]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(long_key, "big")).to_bytes(n, "big")


def upgrade(sock, path="/ws", host="localhost", **headers):
    """The opening handshake; raises Upgrade with the status when it is refused. Returns what came behind the answer."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Protocol": "xmpp"}
    lines.update((k.replace("_", "-"), v) for k, v in headers.items())
    sock.sendall(("GET %s HTTP/1.1\r\n%s\r\n" % (path, "".join("%s: %s\r\n" % kv for kv in lines.items() if kv[1] is not None))).encode())
    held = b""
    while b"\r\n\r\n" not in held:
        data = sock.recv(65536)
        if not data:
            raise Upgrade("HTTP/1.1 000 closed", b"")
        held += data
    head, _, rest = held.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise Upgrade(head.decode(), rest)
    want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    assert b"Sec-WebSocket-Accept: " + want in head and b"Sec-WebSocket-Protocol: xmpp" in head, head
    return rest


class Frames:
    """Frames of the server, one by one: (opcode, payload)."""

    def __init__(self, held=b""):
        self.held = held

    def take(self):
        h = self.held
        if len(h) < 2:
            return None
        n, at = h[1] & 127, 2
        assert h[0] & 0xf0 == 0x80 and not h[1] & 128, "a frame that is cut, compressed or masked"
        if n == 126:
            n, at = int.from_bytes(h[2:4], "big"), 4
        elif n == 127:
            n, at = int.from_bytes(h[2:10], "big"), 10
        if len(h) < at + n or (n and len(h) < at):
            return None
        self.held = h[at + n:]
        return h[0] & 15, h[at:at + n]


class WebSocket:
    """Like a connected socket. wire: called with (self, bytes) instead of sending (tests/split)."""

    def __init__(self, port, host="127.0.0.1", context=None, **headers):
        self.sock = socket.create_connection((host, port), 15)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.sock = context.wrap_socket(self.sock)
        self.frames = Frames(upgrade(self.sock, **headers))
        self.out = self.held = b""
        self.wire = None
        self.close_code = None
        self.pings = 0

    def fileno(self):
        return self.sock.fileno()

    def setsockopt(self, *args):
        self.sock.setsockopt(*args)

    def pending(self):
        return bool(self.out) or len(self.frames.held) > 1 or (hasattr(self.sock, "pending") and self.sock.pending())

    def send_wire(self, data):
        if self.wire:
            self.wire(self, data)
        else:
            self.sock.sendall(data)

    def message(self, data):
        self.send_wire(frame(1, data))

    def sendall(self, data):
        found, self.held = units(self.held + data)
        for unit in found:
            if unit.startswith(b"<stream:stream"):
                attrs = {k: v for k, v in attributes(unit).items() if not k.startswith("xmlns")}
                self.message(("<open xmlns='%s' %s/>" % (NS_FRAMING, written(attrs))).encode())
            elif unit.startswith(b"</"):
                self.message(("<close xmlns='%s'/>" % NS_FRAMING).encode())
            else:
                self.message(standalone(unit))

    def _translate(self, text):
        tag = TOKEN.match(text).group(0)
        if b"xmlns='" + NS_FRAMING.encode() in tag:
            assert tag == text, "open and close are empty: %r" % text
            attrs = {k: v for k, v in attributes(tag).items() if k != "xmlns"}
            return (STREAM_HEAD % written(attrs)).encode() if tag.startswith(b"<open") else b"</stream:stream>"
        assert re.search(rb"\sxmlns(:stream)?='", tag), "a message that names no namespace: %r" % text[:200]
        return text

    def recv(self, n):
        if not self.out:
            f = self.frames.take()
            while f is None:
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self.frames.held += data
                f = self.frames.take()
            if f[0] == 1:
                self.out = self._translate(f[1])
            elif f[0] == 8:
                self.close_code = int.from_bytes(f[1][:2], "big") if f[1] else 1005
                return b""
            elif f[0] == 9:
                self.pings += 1
                self.send_wire(frame(10, f[1]))
            if not self.out:
                raise InterruptedError
        out, self.out = self.out[:n], self.out[n:]
        return out

    def close(self):
        self.sock.close()


class Http:
    """One keep-alive connection; answers (status, headers, body)."""

    def __init__(self, port, host="127.0.0.1"):
        self.where = (host, port)
        self.sock = None

    def post(self, path, body, timeout_s=120, **headers):
        lines = {"Host": "localhost", "Content-Type": "text/xml; charset=utf-8", "Content-Length": str(len(body))}
        lines.update((k.replace("_", "-"), v) for k, v in headers.items())
        head = "POST %s HTTP/1.1\r\n%s\r\n" % (path, "".join("%s: %s\r\n" % kv for kv in lines.items() if kv[1] is not None))
        if self.sock is None:
            self.sock = socket.create_connection(self.where, 15)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.held = b""
        self.sock.settimeout(timeout_s)
        self.sock.sendall(head.encode() + body)
        return self.answer()

    def answer(self):
        while b"\r\n\r\n" not in self.held:
            self._more()
        head, _, self.held = self.held.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        n = int(headers.get("content-length", 0))
        while len(self.held) < n:
            self._more()
        body, self.held = self.held[:n], self.held[n:]
        return int(lines[0].split()[1]), headers, body

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed by the server")
        self.held += data

    def close(self):
        if self.sock:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.sock.close()


class Bosh:
    """Like a connected socket; two threads with a connection each keep one request at the server."""

    def __init__(self, port, host="127.0.0.1", path="/bosh", **headers):
        self.port, self.host, self.path, self.headers = port, host, path, headers
        self.r, self.w = socket.socketpair()
        self.todo = queue.Queue()
        self.lock = threading.Lock()
        self.rid = self.first_rid = int.from_bytes(os.urandom(4), "big") + 1
        self.created = threading.Event()
        self.sid = self.domain = None
        self.header_seen = self.over = False
        self.headers_due = 0
        self.waiting = {}
        self.next_out = self.rid
        self.outstanding = 0
        self.held = b""
        self.conns = []
        for _ in range(2):
            threading.Thread(target=self._work, args=(Http(port, host),), daemon=True).start()

    def fileno(self):
        return self.r.fileno()

    def setsockopt(self, *args):
        pass

    def recv(self, n):
        return self.r.recv(n)

    def body(self, rid, attrs="", inner=b""):
        sid = " sid='%s'" % self.sid if self.sid else ""
        return ("<body xmlns='%s' rid='%d'%s%s>" % (NS_BODY, rid, sid, attrs)).encode() + inner + b"</body>"

    def _queue(self, attrs="", inner=b""):
        with self.lock:
            self.outstanding += 1
            self.todo.put((self.rid, attrs, inner))
            self.rid += 1

    def sendall(self, data):
        found, self.held = units(self.held + data)
        inner = b""
        for unit in found:
            if unit.startswith(b"<stream:stream"):
                a = attributes(unit)
                attrs = "".join(" %s='%s'" % (k, a[k]) for k in ("to", "from", "xml:lang") if k in a)
                version = " xmpp:version='%s'" % a["version"] if "version" in a else ""
                if self.header_seen:
                    attrs += " xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'"
                else:
                    attrs += " content='text/xml; charset=utf-8' ver='1.6' wait='60' hold='1' xmlns:xmpp='urn:xmpp:xbosh'" + version
                self.header_seen = True
                self.headers_due += 1
                self._queue(attrs)
            elif unit.startswith(b"</"):
                self._queue(" type='terminate'", inner)
                inner = b""
            else:
                inner += standalone(unit)
        if inner:
            self._queue("", inner)

    def _work(self, http):
        self.conns.append(http)
        while not self.over:
            item = self.todo.get()
            if item is None:
                return
            if item[0] != self.first_rid:
                self.created.wait(15)
            try:
                status, _, body = http.post(self.path, self.body(*item), **self.headers)
                assert status == 200, "status %d" % status
            except (OSError, AssertionError, ValueError):
                self._end()
                return
            with self.lock:
                self.waiting[item[0]] = body
                while self.next_out in self.waiting:
                    self._deliver(self.waiting.pop(self.next_out))
                    self.next_out += 1
                self.outstanding -= 1
                poll = self.outstanding == 0 and not self.over
            if poll:
                self._queue()

    def _deliver(self, body):
        tag = TOKEN.match(body).group(0)
        attrs = attributes(tag)
        out = b""
        if "sid" in attrs and not self.sid:
            self.sid = attrs["sid"]
            self.created.set()
        if self.headers_due and b"<stream:" in body:
            self.headers_due -= 1
            self.domain = attrs.get("from", self.domain)
            out = (STREAM_HEAD % written({"id": attrs.get("authid", "again"), "version": "1.0", "xml:lang": "en",
                                          **({"from": self.domain} if self.domain else {})})).encode()
        inner = b"" if tag.endswith(b"/>") else body[len(tag):-len(b"</body>")]
        for unit in units(inner)[0]:
            head = TOKEN.match(unit).group(0)
            assert re.search(rb"\sxmlns(:stream)?='", head), "an element that names no namespace: %r" % unit[:200]
        out += inner
        over = attrs.get("type") == "terminate"
        if over:
            out += b"</stream:stream>"
        try:
            self.w.sendall(out)
        except OSError:
            over = True
        if over:
            self._end()

    def _end(self):
        self.over = True
        self.created.set()
        self.todo.put(None)
        self.todo.put(None)
        try:
            self.w.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self._end()
        for c in self.conns:
            c.close()
        self.r.close()
