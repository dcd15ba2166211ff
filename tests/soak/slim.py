"""A thousand XMPP clients in one thread: a state machine for each on non-blocking sockets. They log in (PLAIN), ask for the roster, become
available, use stream management (XEP-0198), send numbered messages, resume after a lost connection and keep account of what came."""
import collections
import selectors
import socket
import time

import sasl
from client import NS_SASL, NS_SM, header
from xmltree import StreamParser

NS_SID = "urn:xmpp:sid:0"
NS_STREAMS = "http://etherx.jabber.org/streams"


class Slim:
    def __init__(self, crowd, name):
        self.crowd, self.name = crowd, name
        self.sock = self.sm_id = None
        self.state = "away"           # away, connecting, auth, bind, enabling, resuming, ready
        self.handled = self.acked_to = self.number = 0
        self.unacked = collections.deque()
        self.acked, self.received = [], collections.defaultdict(list)    # received: body -> stanza ids
        self.resumes = self.logins = self.rosters = self.pushes = 0
        self.presences = collections.Counter()

    # --- connection ------------------------------------------------------------------------------------------------------
    def connect(self):
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.parser, self.out = StreamParser(), b""
        self.state, self.authenticated = "connecting", False
        self.sock.connect_ex(("127.0.0.1", self.crowd.port))
        self.crowd.selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        self.send(header(self.crowd.domain))

    def lose(self):
        """The connection is gone; what is to be resumed stays."""
        if self.sock:
            self.crowd.selector.unregister(self.sock)
            self.sock.close()
        self.sock, self.state = None, "away"

    def send(self, text):
        if not self.sock:
            return
        self.out += text.encode()
        if self.state != "connecting":
            self.flush()

    def flush(self):
        try:
            n = self.sock.send(self.out)
        except BlockingIOError:
            n = 0
        except OSError:
            return self.lose()
        self.out = self.out[n:]
        self.crowd.selector.modify(self.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0), self)

    def ready(self, mask):
        if mask & selectors.EVENT_WRITE:
            if self.state == "connecting":
                self.state = "auth"
            self.flush()
        if self.sock and mask & selectors.EVENT_READ:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return self.lose()
            self.parser.feed(data)
            while self.sock and self.parser.events:
                kind, el = self.parser.events.pop(0)
                if kind == "stanza":
                    self.take(el)

    # --- login -----------------------------------------------------------------------------------------------------------
    def take(self, el):
        if el.ns == NS_STREAMS:
            if el.name == "features":
                self.features()
            return
        if el.ns == NS_SASL:
            assert el.name == "success", "%s: %s" % (self.name, el)
            self.authenticated = True
            return self.send(header(self.crowd.domain))
        if el.ns == NS_SM:
            return self.stream_management(el)
        if self.state == "bind":
            assert el["type"] == "result", "%s: %s" % (self.name, el)
            self.state = "enabling"
            return self.send("<enable xmlns='%s' resume='true'/>" % NS_SM)
        self.stanza(el)

    def features(self):
        if not self.authenticated:
            return self.send("<auth xmlns='%s' mechanism='PLAIN'>%s</auth>" % (NS_SASL, sasl.b64(sasl.plain(self.name, "pw-" + self.name))))
        if self.sm_id:
            self.state = "resuming"
            return self.send("<resume xmlns='%s' h='%d' previd='%s'/>" % (NS_SM, self.handled, self.sm_id))
        self.bind()

    def bind(self):
        self.state = "bind"
        self.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>")

    def stream_management(self, el):
        if el.name == "r":
            self.send("<a xmlns='%s' h='%d'/>" % (NS_SM, self.handled))
        elif el.name == "a":
            self.take_h(el)
        elif el.name == "enabled":
            self.sm_id, self.state = el["id"], "ready"
            self.handled = self.acked_to = 0
            again = [m for m in self.unacked if m[0]]
            self.unacked.clear()
            self.logins += 1
            self.count(None, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
            self.count(None, "<presence/>")
            for m in again:
                self.count(*m)
            self.ask()
        elif el.name == "resumed":
            self.state = "ready"
            self.resumes += 1
            self.take_h(el)
            for _body, text in self.unacked:
                self.send(text)
            self.ask()
        elif el.name == "failed":
            self.sm_id = None
            self.bind()

    # --- stanzas ---------------------------------------------------------------------------------------------------------
    def count(self, body, text):
        """A stanza that the server counts; kept until acknowledged."""
        self.unacked.append((body, text))
        self.send(text)

    def ask(self):
        self.send("<r xmlns='%s'/>" % NS_SM)

    def say(self, to):
        self.number += 1
        body = "%s-%s-%d" % (self.name, to, self.number)
        self.count(body, "<message type='chat' to='%s@%s' id='%s'><body>%s</body><origin-id xmlns='%s' id='%s'/></message>"
                   % (to, self.crowd.domain, body, body, NS_SID, body))

    def show(self, what):
        self.count(None, "<presence><show>%s</show></presence>" % what)

    def take_h(self, el):
        for _ in range((int(el["h"]) - self.acked_to) & 0xFFFFFFFF):
            body, _text = self.unacked.popleft()
            if body:
                self.acked.append(body)
                self.crowd.acks += 1
        self.acked_to = int(el["h"])

    def stanza(self, el):
        self.handled += 1
        if el.name == "presence":
            self.presences[el.child_text("show") or "online"] += 1
        elif el.name == "iq" and el["id"] == "roster":
            self.rosters += 1
        elif el.name == "iq":
            self.pushes += el.find("query", "jabber:iq:roster") is not None
            self.count(None, "<iq type='result' id='%s'/>" % el["id"])
        elif el.name == "message":
            assert el["type"] != "error", "%s: %s" % (self.name, el)
            self.received[el.child_text("body")].append(el.find("stanza-id", NS_SID)["id"])


class Crowd:
    """All of them, and the loop that runs them. groups: lists of names who see each other."""

    def __init__(self, server, groups):
        self.domain, self.port = server.domains[0], server.ports["plain"]
        self.selector = selectors.DefaultSelector()
        self.groups = [[Slim(self, name) for name in g] for g in groups]
        self.all = [c for g in self.groups for c in g]
        self.acks = 0

    def run(self, until, what, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline:
                states = collections.Counter(c.state for c in self.all)
                raise AssertionError("waited %d s for: %s; %s" % (timeout_s, what, dict(states)))
            for key, mask in self.selector.select(0.1):
                if key.data.sock is key.fileobj:
                    key.data.ready(mask)

    def every(self, test):
        return lambda: all(test(c) for c in self.all)

    def connect_all(self):
        for c in self.all:
            c.lose()
            c.connect()
        self.run(self.every(lambda c: c.state == "ready"), "everybody being logged in")

    def say_all(self):
        """Each to the next of his group."""
        for g in self.groups:
            for a, b in zip(g, g[1:] + g[:1]):
                a.say(b.name)
                a.ask()

    def settled(self):
        """Everything acknowledged and delivered."""
        if any(c.unacked for c in self.all):
            return False
        return not self.missing()

    def missing(self):
        got = {c.name: c.received for c in self.all}
        return [m for c in self.all for m in c.acked if m not in got[m.split("-")[1]]]

    def doubled(self, same_id_is_fine):
        return ["%s as %s" % (body, ids) for c in self.all for body, ids in c.received.items()
                if (len(set(ids)) if same_id_is_fine else len(ids)) > 1]
