"""Matching received elements against patterns of the script language (tests/scripts/README.md tells the notation)."""
import re

from xmltree import El

NS_T = "urn:vestnik:test:match"
T = "{%s}" % NS_T
TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


# <t:error type='' condition=''/>, <t:stream-error condition=''/>, <t:sasl-failure condition=''/>: element and namespace of its condition
SHORT = {
    "error": ("error", "jabber:client", "urn:ietf:params:xml:ns:xmpp-stanzas"),
    "stream-error": ("error", "http://etherx.jabber.org/streams", "urn:ietf:params:xml:ns:xmpp-streams"),
    "sasl-failure": ("failure", "urn:ietf:params:xml:ns:xmpp-sasl", "urn:ietf:params:xml:ns:xmpp-sasl"),
    "sasl2-failure": ("failure", "urn:xmpp:sasl:2", "urn:ietf:params:xml:ns:xmpp-sasl"),
}


# Children that a server may add anywhere; only a pattern that names them looks at them.
NOISE = {("vcard-temp:x:update", "x")}


class Mismatch(Exception):
    pass


def expand(text, lookup):
    """Replaces {name} by lookup(name) in text that is to be sent."""
    def one(m):
        if m.group(0) in ("{{", "}}"):
            return m.group(0)[0]
        return lookup(m.group(1))
    return TOKEN.sub(one, text)


def value_regex(pattern, lookup):
    """A pattern value as (regex, capture names). {*} any, {=v} capture, {=v:regex}, {~regex}, {v} value of a variable."""
    out, names, pos = [], [], 0
    for m in TOKEN.finditer(pattern):
        out.append(re.escape(pattern[pos:m.start()]))
        pos = m.end()
        inner = m.group(1)
        if inner is None:
            out.append(re.escape(m.group(0)[0]))
        elif inner == "*":
            out.append("(?:.*)")
        elif inner.startswith("~"):
            out.append("(?:%s)" % inner[1:])
        elif inner.startswith("="):
            name, _, rx = inner[1:].partition(":")
            names.append(name)
            out.append("(%s)" % (rx or ".*"))
        else:
            out.append(re.escape(lookup(inner)))
    out.append(re.escape(pattern[pos:]))
    return re.compile("".join(out), re.S), names


def match_value(where, pattern, value, lookup, caps):
    rx, names = value_regex(pattern, lambda n: caps[n] if n in caps else lookup(n))
    m = rx.fullmatch(value)
    if not m:
        raise Mismatch("%s is %r, expected %r" % (where, value, pattern))
    for name, got in zip(names, m.groups()):
        caps[name] = got


def _match_error(pat, el, lookup, caps, here):
    name, ns, cond_ns = SHORT[pat.name]
    if (el.name, el.ns) != (name, ns):
        raise Mismatch("%s: got {%s}%s" % (here, el.ns, el.name))
    if "type" in pat.attrs:
        match_value(here + "@type", pat.attrs["type"], el.attrs.get("type", ""), lookup, caps)
    found = [k.name for k in el.elements() if k.ns == cond_ns and k.name != "text"]
    if len(found) != 1:
        raise Mismatch("%s: must hold one condition, has %s" % (here, found))
    match_value(here + " condition", pat.attrs["condition"], found[0], lookup, caps)


def _flag(pat, name):
    return pat.attrs.get(T + name) in ("yes", "true", "1")


def match(pat, el, lookup, caps, where=""):
    """Raises Mismatch, or fills caps with the captured variables."""
    here = where + "/" + pat.name
    if pat.ns == NS_T and pat.name == "any":
        return
    if pat.ns == NS_T and pat.name in SHORT:
        return _match_error(pat, el, lookup, caps, here)
    if (pat.ns, pat.name) != (el.ns, el.name):
        raise Mismatch("%s: got {%s}%s, expected {%s}%s" % (where or "/", el.ns, el.name, pat.ns, pat.name))
    text = "".join(k for k in pat.kids if isinstance(k, str))
    is_open = "..." in text or _flag(pat, "open")
    _match_attrs(pat, el, lookup, caps, here, is_open, where == "")
    kids = pat.elements()
    text = text.replace("...", "", 1)
    if not kids and text.strip():
        match_value(here + " text", text, el.text(), lookup, caps)
    elif not is_open and not kids and el.text().strip():
        raise Mismatch("%s: unexpected text %r" % (here, el.text()))
    _match_kids(kids, el.elements(), lookup, caps, here, is_open)


def _match_attrs(pat, el, lookup, caps, here, is_open, where_is_top):
    implied_to = where_is_top and "to" not in el.attrs
    if where_is_top and pat.ns == "jabber:client" and "type" not in pat.attrs and el.attrs.get("type", "normal") != "normal":
        raise Mismatch("%s: type is %s, expected none" % (here, el.attrs["type"]))
    for key, want in pat.attrs.items():
        if key.startswith(T):
            continue
        if want == "{?}":
            continue
        if want == "{-}":
            if key in el.attrs:
                raise Mismatch("%s: attribute %s must be absent, is %r" % (here, key, el.attrs[key]))
            continue
        if key == "to" and implied_to:
            continue  # RFC 6120 8.1.1.2: to a client without 'to' means this client
        if key not in el.attrs:
            raise Mismatch("%s: attribute %s is missing" % (here, key))
        match_value("%s@%s" % (here, key), want, el.attrs[key], lookup, caps)
    if is_open:
        return
    implied = ("to", "from") if el.name == "iq" else ("to",)
    for key in el.attrs:
        if where_is_top and key in implied:
            continue
        if key not in pat.attrs and not key.endswith("}lang"):
            raise Mismatch("%s: unexpected attribute %s=%r" % (here, key, el.attrs[key]))


def _match_kids(pats, kids, lookup, caps, here, is_open):
    """Children in any order: each pattern takes the first child that fits; backtracks over equal names."""
    left = [k for k in kids if (k.ns, k.name) not in NOISE or any((p.ns, p.name) == (k.ns, k.name) for p in pats)]
    need = [p for p in pats if not _flag(p, "absent") and not _flag(p, "optional")]
    for group in (need, [p for p in pats if _flag(p, "optional")]):
        left = _assign(group, left, lookup, caps, here, group is not need)
    for p in pats:
        if _flag(p, "absent"):
            for k in kids:
                if (k.ns, k.name) == (p.ns, p.name):
                    try:
                        match(_without_flags(p), k, lookup, dict(caps), here)
                    except Mismatch:
                        continue
                    raise Mismatch("%s: child %s must be absent" % (here, k))
    if left and not is_open:
        raise Mismatch("%s: unexpected child %s" % (here, left[0]))


def _without_flags(p):
    if len(p.attrs) == 1 and not p.kids:
        return El(p.name, p.ns, {}, ["..."])
    return El(p.name, p.ns, {k: v for k, v in p.attrs.items() if not k.startswith(T)}, p.kids)


def _assign(pats, kids, lookup, caps, here, optional):
    if not pats:
        return kids
    first, why = pats[0], None
    for i, k in enumerate(kids):
        trial = dict(caps)
        try:
            match(first, k, lookup, trial, here)
            rest = _assign(pats[1:], kids[:i] + kids[i + 1:], lookup, trial, here, optional)
        except Mismatch as e:
            if why is None or (k.ns, k.name) == (first.ns, first.name):
                why = e
            continue
        caps.clear()
        caps.update(trial)
        return rest
    if optional:
        return _assign(pats[1:], kids, lookup, caps, here, optional)
    raise why or Mismatch("%s: child <%s xmlns='%s'> is missing" % (here, first.name, first.ns))
