"""Rows A01-A03, A06-A08, A10, A17, A18, E04: who may log in as whom."""
import base64
import hashlib
import os

import sasl
from client import AuthFailed, NS_SASL, NS_SM, header
from rows import DOMAIN, USERS, lives, row, stream_error

IANA = ("ANONYMOUS CRAM-MD5 DIGEST-MD5 ECDH-X25519-CHALLENGE EXTERNAL GS2-KRB5 GS2-KRB5-PLUS GSSAPI GSS-SPNEGO KERBEROS_V4 KERBEROS_V5 LOGIN "
        "NMAS_LOGIN NTLM OAUTHBEARER OAUTH10A OPENID20 OTP PASSDSS SAML20 SECURID SKEY SPNEGO SXOVER-PLUS XOAUTH XOAUTH2 X-GOOGLE-TOKEN "
        "SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA3-512 SCRAM-MD5 HT-SHA-256-NONE plain scram-sha-1").split()


def auth_raw(c, mechanism, data, encoded=True):
    """One <auth/>; returns the answer."""
    text = sasl.b64(data) if encoded else data
    c.send("<auth xmlns='%s' mechanism='%s'>%s</auth>" % (NS_SASL, mechanism, text))
    return c.stanza()


def refused(b, c):
    """A fresh stream when the server ended this one after failures."""
    ev = c.poll(0.05)
    if ev is None:
        return c
    c.close()
    return b.opened()


@row("A01 authzid: only an empty one or the own JID, for PLAIN and SCRAM; the identity is who proved it", vestnik_only=True)
def authzid(b):
    for mech in ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        for who, good in (("", True), ("boris@" + DOMAIN, True), ("anna@" + DOMAIN, False), ("anna", False), ("boris@second.test", False),
                          ("boris@%s/res" % DOMAIN, None), ("admin@" + DOMAIN, False), (DOMAIN, False)):
            c = b.opened("boris")
            if mech == "PLAIN":
                el = auth_raw(c, mech, sasl.plain("boris", USERS["boris"], who))
            else:
                sc = sasl.Scram(mech, "boris", USERS["boris"], "n,%s," % ("a=" + who if who else ""))
                el = auth_raw(c, mech, sc.first())
                if el.name == "challenge":
                    c.send("<response xmlns='%s'>%s</response>" % (NS_SASL, sasl.b64(sc.final(sasl.unb64(el.text())))))
                    el = c.stanza()
            case = "%s authzid %r: %s" % (mech, who, el)
            assert el.name in ("success", "failure"), case
            if good is not None:
                assert (el.name == "success") == good, case
            if el.name == "success":
                c.open()
                assert c.bind().startswith("boris@%s/" % DOMAIN), case
            c.close()


@row("A02 mechanisms that were not offered are refused by name", vestnik_only=True)
def not_offered(b):
    c = b.opened()
    offered = c.mechanisms()
    assert "PLAIN" in offered and "SCRAM-SHA-256" in offered, offered
    for mech in IANA:
        assert mech not in offered, mech
        el = auth_raw(c, mech, sasl.plain("anna", USERS["anna"]))
        assert el.name == "failure" and el.find("invalid-mechanism"), "%s: %s" % (mech, el)
        c = refused(b, c)


@row("A03 the host cannot change between login and the new stream", vestnik_only=True)
def host_change(b):
    c = b.opened("anna")
    c.auth("PLAIN")
    c.domain = "second.test"
    c.send(header("second.test"))
    stream_error(c, "not-authorized", "host-unknown", "policy-violation", "invalid-from")


@row("A06 channel binding: honest exchanges pass, the y flag and a wrong binding with -PLUS offered fail", vestnik_only=True)
def channel_binding(b):
    def attempt(gs2, cb, mech):
        c = b.client("anna", port="starttls")
        c.starttls()
        c.open()
        assert mech in c.mechanisms(), c.mechanisms()
        sc = sasl.Scram(mech, "anna", USERS["anna"], gs2, cb(c) if cb else b"")
        el = auth_raw(c, mech, sc.first())
        if el.name == "challenge":
            c.send("<response xmlns='%s'>%s</response>" % (NS_SASL, sasl.b64(sc.final(sasl.unb64(el.text())))))
            el = c.stanza()
        return el.name == "success"

    def right(c):
        return hashlib.sha256(c.cert_der()).digest()

    def wrong(c):
        return b"\0" * 32
    for mech in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
        assert attempt("n,,", None, mech), "n,, " + mech
        assert not attempt("y,,", None, mech), "y,, is a downgrade: " + mech
        assert attempt("p=tls-server-end-point,,", right, mech + "-PLUS"), "honest binding " + mech
        assert not attempt("p=tls-server-end-point,,", wrong, mech + "-PLUS"), "wrong binding " + mech
        assert not attempt("p=tls-server-end-point,,", right, mech), "p= without -PLUS " + mech
        assert not attempt("n,,", None, mech + "-PLUS"), "-PLUS without binding " + mech
        assert not attempt("p=tls-fancy,,", right, mech + "-PLUS"), "unknown binding type " + mech


@row("A07 malformed SCRAM messages are refused and harm nobody", vestnik_only=True)
def bad_scram(b):
    firsts = [b"", b"n", b"n,,", b"n,,n=anna", b"n,,r=abc", b"x,,n=anna,r=abc", b"n,,n=,r=abc", b"n,,n=anna,r=", b"n,,n=anna,r=a b",
              b"n,,m=ext,n=anna,r=abc", b"n,,n=a=anna,r=abc", b"n,,n=\xff\xfe,r=abc", b"n,,n=anna,r=abc\x00", b"n,,n=" + b"a" * 3000 + b",r=abc",
              b"n,a=,n=anna,r=abc", b"p=,,n=anna,r=abc", b"n,,n=anna,r=" + b"r" * 3500]
    c = b.opened()
    for first in firsts:
        el = auth_raw(c, "SCRAM-SHA-1", first)
        if el.name == "challenge":
            c.send("<abort xmlns='%s'/>" % NS_SASL)
            el = c.stanza()
        assert el.name == "failure", "%r: %s" % (first[:40], el)
        c = refused(b, c)
    for tamper in (lambda m: m.replace(b"c=", b"c=AAAA"), lambda m: m[:-8], lambda m: m + b",x=1", lambda m: m.replace(b"r=", b"r=zz"),
                   lambda m: m.rpartition(b",p=")[0], lambda m: m.rpartition(b",p=")[0] + b",p=" + base64.b64encode(b"short"),
                   lambda m: m.rpartition(b",p=")[0] + b",p=" + base64.b64encode(os.urandom(64)), lambda m: b"", lambda m: b"\x00"):
        sc = sasl.Scram("SCRAM-SHA-1", "anna", USERS["anna"])
        el = auth_raw(c, "SCRAM-SHA-1", sc.first())
        assert el.name == "challenge", el
        c.send("<response xmlns='%s'>%s</response>" % (NS_SASL, sasl.b64(tamper(sc.final(sasl.unb64(el.text()))))))
        el = c.stanza()
        assert el.name == "failure", el
        c = refused(b, c)
    lives(b.online())


@row("A08 unknown accounts: same answers, a fake salt that stays the same, also over a restart", own=True, vestnik_only=True)
def enumeration(b):
    def challenge(user, mech):
        c = b.opened(user)
        el = auth_raw(c, mech, sasl.Scram(mech, user, "x").first())
        assert el.name == "challenge", "%s: %s" % (user, el)
        c.close()
        attrs = dict(p.split("=", 1) for p in sasl.unb64(el.text()).decode().split(","))
        return attrs["s"], attrs["i"]

    def failure(user, mech):
        c = b.opened(user)
        c.password = "wrong"
        try:
            c.auth(mech)
        except AuthFailed as e:
            return str(e.el)
        raise AssertionError("wrong password accepted for " + user)
    salts = {u: challenge(u, "SCRAM-SHA-256") for u in ("anna", "ghost1", "ghost2")}
    assert salts["ghost1"] == challenge("ghost1", "SCRAM-SHA-256"), "the fake salt changes"
    assert salts["ghost1"][0] != salts["ghost2"][0], "one fake salt for all"
    assert salts["ghost1"][1] == salts["anna"][1] and len(salts["ghost1"][0]) == len(salts["anna"][0]), salts
    for mech in ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        assert failure("anna", mech) == failure("ghost1", mech), mech
    b.server.restart()
    assert salts["ghost1"] == challenge("ghost1", "SCRAM-SHA-256"), "the fake salt changes over a restart"


@row("A10 guesses are slowed down for the guesser; the owner logs in meanwhile", limits={"auth_delay_ms": 200, "auth_delay_max_ms": 800})
def guessing(b):
    c = b.opened("anna")
    for i in range(4):
        el = auth_raw(c, "PLAIN", sasl.plain("anna", "guess%d" % i))
        assert el.name == "failure", el
    c.close()
    lives(b.online("anna"))


@row("A12 A17 resumption ids and stream ids are long and never repeat")
def ids(b):
    seen = set()
    for _ in range(20):
        c = b.online("clara", presence=False)
        sm_id = c.enable_sm()["id"]
        assert len(sm_id) >= 12, sm_id
        for value in (sm_id, c.stream_header["id"]):
            assert value not in seen, "repeated: " + value
            seen.add(value)
        c.goodbye()


@row("A17 a resumption id works once, for its owner only, and the victim is not harmed", vestnik_only=True)
def hijack(b):
    victim = b.online("anna", "v")
    sm_id = victim.enable_sm()["id"]
    assert len(sm_id) >= 16, "128 bits need at least 16 characters: " + sm_id

    def resume(user, h=0):
        c = b.client(user)
        c.login("PLAIN", bind=False)
        c.send("<resume xmlns='%s' h='%d' previd='%s'/>" % (NS_SM, h, sm_id))
        return c, c.stanza()
    thief, el = resume("mallory")
    assert el.name == "failed" and el.find("item-not-found"), el
    thief.close()
    lives(victim)
    victim.drop()
    other = b.client("anna", domain="second.test")
    other.password = "pw-second"
    other.login("PLAIN", bind=False)
    other.send("<resume xmlns='%s' h='0' previd='%s'/>" % (NS_SM, sm_id))
    el = other.stanza()
    assert el.name == "failed", "same name on another host: %s" % el
    back, el = resume("anna", 1)
    assert el.name == "resumed", el
    back.send("</stream:stream>")
    while back.event()[0] != "eof":
        pass
    again, el = resume("anna", 1)
    assert el.name == "failed", "a session that was ended is resumed: %s" % el


@row("A18 an h above what was sent ends the stream, at <a/> and at <resume/>", vestnik_only=True)
def h_too_high(b):
    c = b.online("anna", "h", presence=False)
    c.enable_sm()
    c.send("<a xmlns='%s' h='1'/>" % NS_SM)
    stream_error(c, "undefined-condition")
    c = b.online("anna", "h", presence=False)
    sm_id = c.enable_sm()["id"]
    c.drop()
    c = b.client("anna")
    c.login("PLAIN", bind=False)
    c.send("<resume xmlns='%s' h='4294967295' previd='%s'/>" % (NS_SM, sm_id))
    kind, el = c.event()
    assert kind == "stanza" and el.name in ("error", "failed"), el


@row("E04 the 17th session of one person is refused or an old one gives way; the others live", vestnik_only=True)
def sessions(b):
    open_ones = [b.online("dora", "r%d" % i, presence=False) for i in range(16)]
    c = b.client("dora", "r16")
    c.login("PLAIN", bind=False)
    el = c.iq("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r16</resource></bind>")
    assert el["type"] == "error" and el.find("error").find("resource-constraint"), el
    for one in open_ones:
        lives(one)
    open_ones[3].enable_sm()
    open_ones[3].drop()
    b.online("clara", "sync")
    c = b.online("dora", "r17", presence=False)
    lives(c)
    for one in open_ones[:3] + open_ones[4:]:
        one.goodbye()


AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770"


def fast_login(b, user, token, count, agent=AGENT, extra="", mech="HT-SHA-256-NONE"):
    """Login by token (XEP-0484); returns the <success/>."""
    c = b.client(user)
    c.open("%s@%s" % (user, DOMAIN))
    inline = "<user-agent id='%s'><software>t</software></user-agent><fast xmlns='urn:xmpp:fast:0' count='%d'%s/>" % (agent, count, extra)
    return c, c.auth2(mech, inline, first=user.encode() + b"\0" + sasl.ht(token))


def fast_token(b, user):
    c = b.client(user)
    c.open()
    el = c.auth2("SCRAM-SHA-256", "<user-agent id='%s'><software>t</software></user-agent>"
                 "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>" % AGENT)
    token = el.find("token", "urn:xmpp:fast:0")
    assert token is not None and token["token"] and token["expiry"], el
    c.close()
    return token["token"]


def fast_refused(b, *args, **kw):
    try:
        fast_login(b, *args, **kw)
    except AuthFailed as e:
        return e.condition
    raise AssertionError("token accepted: %r" % (args,))


@row("A12 A16 FAST: a token logs in, proves the server, cannot be replayed, used by others, or after a new password", own=True, vestnik_only=True)
def fast(b):
    token = fast_token(b, "anna")
    assert len(token) >= 22, token
    _c, el = fast_login(b, "anna", token, 1)
    assert el.child_text("authorization-identifier").startswith("anna@" + DOMAIN), el
    proof = sasl.unb64(el.child_text("additional-data"))
    assert proof == sasl.ht(token, who=b"Responder"), "the server did not prove that it knows the token"
    fast_refused(b, "anna", token, 1)
    fast_login(b, "anna", token, 2)
    fast_refused(b, "anna", token, 2)
    fast_refused(b, "anna", "fast-" + "x" * 43, 3)
    fast_refused(b, "boris", token, 3)
    fast_refused(b, "anna", token, 4, agent="00000000-0000-4000-8000-000000000000")
    b.server.restart()
    fast_login(b, "anna", token, 5)
    fast_login(b, "anna", token, 6, extra=" invalidate='true'")
    fast_refused(b, "anna", token, 7)
    token = fast_token(b, "anna")
    b.server.ctl("user", "passwd", "anna@" + DOMAIN, "--password", "another-Pw-1")
    fast_refused(b, "anna", token, 1)


@row("SASL2 with SCRAM, with -PLUS over TLS, with bind; a wrong server proof would be noticed", vestnik_only=True)
def sasl2_scram(b):
    for mech, port in (("SCRAM-SHA-1", "plain"), ("SCRAM-SHA-256", "plain"), ("SCRAM-SHA-512", "plain"), ("SCRAM-SHA-256-PLUS", "direct")):
        c = b.client("anna", port=port, direct_tls=(port == "direct"))
        c.open()
        assert mech in c.mechanisms("urn:xmpp:sasl:2"), (mech, c.mechanisms("urn:xmpp:sasl:2"))
        el = c.auth2(mech, "<bind xmlns='urn:xmpp:bind:0'/>")
        assert el.find("bound", "urn:xmpp:bind:0") is not None, el
        c.stanza()
        lives(c)
        c.goodbye()
