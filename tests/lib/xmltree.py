"""Elements and a stream parser for tests: bytes of one XMPP stream in, events out.

Events are tuples: ("header", El), ("stanza", El), ("end", None). The parser is fed in pieces that end with '>' only, because an
expat with reparse deferral (CVE-2023-52425 fix) would otherwise hide a finished tag from us (row X07 from the client's side).
"""
import xml.parsers.expat as expat

NS_STREAM = "http://etherx.jabber.org/streams"
NS_CLIENT = "jabber:client"
NS_XML = "http://www.w3.org/XML/1998/namespace"


class El:
    """One element. attrs: plain name, or "{namespace}name". kids: El and str mixed."""
    __slots__ = ("ns", "name", "attrs", "kids")

    def __init__(self, name, ns=NS_CLIENT, attrs=None, kids=None):
        self.ns, self.name = ns, name
        self.attrs = dict(attrs or {})
        self.kids = list(kids or [])

    def __getitem__(self, key):
        return self.attrs.get(key)

    def elements(self):
        return [k for k in self.kids if isinstance(k, El)]

    def text(self):
        return "".join(k for k in self.kids if isinstance(k, str))

    def find(self, name, ns=None):
        """First child with that name (any namespace when ns is None), else None."""
        for k in self.kids:
            if isinstance(k, El) and k.name == name and (ns is None or k.ns == ns):
                return k
        return None

    def all(self, name, ns=None):
        return [k for k in self.elements() if k.name == name and (ns is None or k.ns == ns)]

    def path(self, *names):
        """Walks down by child names; None when one is missing."""
        at = self
        for name in names:
            at = at.find(name) if at is not None else None
        return at

    def child_text(self, name, ns=None):
        k = self.find(name, ns)
        return None if k is None else k.text()

    def iter(self):
        yield self
        for k in self.elements():
            yield from k.iter()

    def __str__(self):
        return to_xml(self)

    __repr__ = __str__


def escape(s):
    out = s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&apos;").replace('"', "&quot;")
    return out.replace("\n", "&#10;").replace("\t", "&#9;").replace("\r", "&#13;")


def to_xml(el, outer=NS_CLIENT):
    """Prints with attributes sorted, so equal trees print alike."""
    name = el.name
    head = [name]
    inner = el.ns
    if el.ns == NS_STREAM:
        head[0] = name = "stream:" + el.name
        inner = outer
    elif el.ns != outer:
        head.append("xmlns='%s'" % escape(el.ns))
    count = 0
    for key in sorted(el.attrs):
        value = escape(el.attrs[key])
        if key.startswith("{" + NS_XML + "}"):
            head.append("xml:%s='%s'" % (key.split("}")[1], value))
        elif key.startswith("{"):
            ns, local = key[1:].split("}")
            count += 1
            head.append("xmlns:n%d='%s' n%d:%s='%s'" % (count, escape(ns), count, local, value))
        else:
            head.append("%s='%s'" % (key, value))
    if not el.kids:
        return "<%s/>" % " ".join(head)
    body = "".join(escape(k).replace("&#10;", "\n") if isinstance(k, str) else to_xml(k, inner) for k in el.kids)
    return "<%s>%s</%s>" % (" ".join(head), body, name)


def _split(qname):
    ns, sep, local = qname.rpartition("\n")
    return (ns if sep else ""), local


def _attrs(flat):
    out = {}
    for i in range(0, len(flat), 2):
        ns, local = _split(flat[i])
        out["{%s}%s" % (ns, local) if ns else local] = flat[i + 1]
    return out


class StreamParser:
    """Incremental parser of one direction of an XMPP stream. Feeds events to a list; resets itself after <proceed/> and <success/>."""

    RESTARTS = {("urn:ietf:params:xml:ns:xmpp-tls", "proceed"), ("urn:ietf:params:xml:ns:xmpp-sasl", "success")}

    def __init__(self):
        self.events = []
        self.held = b""
        self.raw = bytearray()
        self.reset()

    def reset(self):
        self.stack = []
        self.depth = 0
        self.restart = False
        self.ended = False
        self.p = expat.ParserCreate("UTF-8", "\n")
        self.p.ordered_attributes = True
        self.p.buffer_text = True
        self.p.StartElementHandler = self._start
        self.p.EndElementHandler = self._end
        self.p.CharacterDataHandler = self._text

    def feed(self, data):
        self.raw += data
        self.held += data
        while True:
            cut = self.held.find(b">") + 1
            if cut == 0:
                return
            piece, self.held = self.held[:cut], self.held[cut:]
            if self.ended:
                if piece.strip():
                    raise ValueError("bytes after the end of the stream: %r" % piece)
                continue
            self.p.Parse(piece, False)
            if self.restart:
                self.reset()

    def _start(self, qname, flat):
        ns, name = _split(qname)
        el = El(name, ns, _attrs(flat))
        if self.depth == 0:
            self.events.append(("header", el))
        else:
            self.stack.append(el)
        self.depth += 1

    def _end(self, qname):
        self.depth -= 1
        if self.depth == 0:
            self.ended = True
            self.events.append(("end", None))
            return
        el = self.stack.pop()
        if self.stack:
            self.stack[-1].kids.append(el)
            return
        self.events.append(("stanza", el))
        if (el.ns, el.name) in self.RESTARTS:
            self.restart = True

    def _text(self, s):
        if self.stack:
            kids = self.stack[-1].kids
            if kids and isinstance(kids[-1], str):
                kids[-1] += s
            else:
                kids.append(s)
        elif self.depth == 1 and s.strip():
            raise ValueError("text between stanzas: %r" % s)


def parse_fragment(text, prefixes=""):
    """Parses a run of sibling elements under the usual stream prefixes; returns their list. stream:stream may be left open."""
    found, stack = [], []
    p = expat.ParserCreate("UTF-8", "\n")
    p.ordered_attributes = True
    p.buffer_text = True

    def start(qname, flat):
        ns, name = _split(qname)
        stack.append(El(name, ns, _attrs(flat)))

    def end(_):
        el = stack.pop()
        if stack:
            (stack[-1].kids if len(stack) > 1 else found).append(el)

    def chars(s):
        if len(stack) > 1:
            kids = stack[-1].kids
            if kids and isinstance(kids[-1], str):
                kids[-1] += s
            else:
                kids.append(s)
        elif s.strip():
            raise ValueError("text outside an element: %r" % s)

    p.StartElementHandler, p.EndElementHandler, p.CharacterDataHandler = start, end, chars
    p.Parse("<wrap xmlns='%s' xmlns:stream='%s' %s>" % (NS_CLIENT, NS_STREAM, prefixes), False)
    p.Parse(text, False)
    p.Parse("</wrap>", True)
    return found
