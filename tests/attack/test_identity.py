"""Rows X12, X18, I02, I05, I06, I10, E09: who speaks, and what reaches others; the server's own caps hash."""
import hashlib

import sasl
from rows import DOMAIN, lives, row


@row("X12 what is forwarded is printed anew: entities, CDATA, quotes, newlines and prefixes come out as one tree")
def reprinted(b):
    a, c = b.online("anna", "x12"), b.online("boris", "x12")
    cases = [
        ("<body><![CDATA[a < b & c ]]]]><![CDATA[> d]]></body>", "a < b & c ]]> d"),
        ("<body>&lt;script&gt;&#x26;amp;&#9;tab&#10;line</body>", "<script>&amp;\ttab\nline"),
        ("<body>\u0085 \u2028 \U0001fffe nel</body>", "\u0085 \u2028 \U0001fffe nel"),
        ("<x:body xmlns:x='jabber:client'>p</x:body>", "p"),
    ]
    for inner, text in cases:
        msg_id = a.message(c.jid, inner)
        el = c.until(lambda e: e["id"] == msg_id)
        assert el.child_text("body", "jabber:client") == text, "%r became %r" % (inner, el.child_text("body"))
    msg_id = a.message(c.jid, "<body>attr</body><q xmlns='urn:q' v='a&#10;b&#9;c&lt;&quot;&apos;'/>")
    el = c.until(lambda e: e["id"] == msg_id)
    assert el.find("q", "urn:q")["v"] == "a\nb\tc<\"'", el


@row("X18 from: forged values end the stream, case and empty ones are judged after preparation", vestnik_only=True)
def forged_from(b):
    watch = b.online("boris", "w18")
    good = ["anna@" + DOMAIN, "ANNA@" + DOMAIN, "anna@" + DOMAIN.upper(), None]
    bad = ["boris@" + DOMAIN, "anna@second.test", DOMAIN, "anna@%s/other" % DOMAIN, "", "@", "anna", "\u0430nna@" + DOMAIN,
           "anna@%s/" % DOMAIN, "anna @" + DOMAIN]
    for value in good + bad:
        c = b.online("anna", "f18")
        attr = "" if value is None else " from='%s'" % value
        c.send("<message to='%s' type='chat' id='x18'%s><body>%s</body></message>" % (watch.jid, attr, value))
        if value in good:
            el = watch.until(lambda e: e["id"] == "x18")
            assert el["from"] == c.jid, el
        else:
            kind, el = c.event()
            assert kind == "stanza" and el.name == "error" and el.find("invalid-from"), "%r: %s" % (value, el)
        c.close()
    watch.ping()
    assert not [e for e in watch.kept if e["id"] == "x18"], watch.kept


@row("I10 archive ids say nothing about order or number")
def opaque(b):
    a = b.online("anna", "i10")
    got = []
    for _ in range(60):
        msg_id = a.message(a.bare, "<body>x</body>")
        el = a.until(lambda e: e["id"] == msg_id)
        sid = el.find("stanza-id", "urn:xmpp:sid:0")
        assert sid is not None and sid["by"] == a.bare, el
        got.append(sid["id"])
    assert len(set(got)) == len(got)
    rises = sum(1 for x, y in zip(got, got[1:]) if x < y)
    assert 12 < rises < 47, "ids rise %d times of 59" % rises


@row("I05 names that look like an existing account are refused", vestnik_only=True)
def look_alike(b):
    for name in ("b\u043eris", "anna\u200b", "\uff41nna"):
        run = b.server.ctl("user", "add", "%s@%s" % (name, DOMAIN), "--password", "pw-x12345", check=False)
        assert run.returncode != 0, "%r was created: %s" % (name, run.stdout)


@row("I06 addresses that grow, shrink or break in preparation are errors of the stanza", vestnik_only=True)
def odd_addresses(b):
    c = b.online("anna", "i06")
    for local in ("\ufdfa" * 300, "a" * 1024, "x\u2028", "\u05d0a", "x\ufffd"):
        c.send("<iq type='get' id='j' to='%s@%s'><ping xmlns='urn:xmpp:ping'/></iq>" % (local, DOMAIN))
        el = c.until(lambda e: e["id"] == "j")
        assert el["type"] == "error", el
    lives(c)


@row("E09 a resource with line breaks and escapes makes one harmless log line", vestnik_only=True)
def log_injection(b):
    c = b.client("anna")
    c.login("PLAIN", bind=False)
    el = c.iq("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>a&#10;2026 level=error root login ok \u202e\u2066</resource></bind>")
    assert el["type"] in ("result", "error"), el
    c.close()
    for line in b.server.log:
        assert not line.startswith("2026 level=error root"), line
        assert "\u202e" not in line and "\x1b" not in line, line


def caps_string(info):
    """XEP-0115 5.1, of a disco#info answer."""
    ids = sorted("%s/%s/%s/%s" % (i["category"], i["type"], i["xml:lang"] or "", i["name"] or "") for i in info.all("identity"))
    out = ids + sorted(f["var"] for f in info.all("feature"))
    forms = []
    for x in info.all("x"):
        fields = {f["var"]: sorted(v.text() for v in f.all("value")) for f in x.all("field")}
        kind = fields.pop("FORM_TYPE")
        forms.append(kind + [w for var in sorted(fields) for w in [var] + fields[var]])
    return "".join(w + "<" for w in out + [w for form in sorted(forms) for w in form])


@row("XEP-0115 6.3: the hash in the stream features is that of the server's disco#info", vestnik_only=True)
def server_caps(b):
    c = b.client("anna", "caps")
    c.login("PLAIN")
    caps = c.features.find("c", "http://jabber.org/protocol/caps")
    assert caps is not None and caps["hash"] == "sha-1" and caps["node"], c.features
    for node in ("", " node='%s#%s'" % (caps["node"], caps["ver"])):
        el = c.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'%s/>" % node, DOMAIN)
        info = el.find("query")
        assert el["type"] == "result" and len(info.all("feature")) > 10, el
        assert sasl.b64(hashlib.sha1(caps_string(info).encode()).digest()) == caps["ver"], "%s is not the hash of %s" % (caps["ver"], caps_string(info))
