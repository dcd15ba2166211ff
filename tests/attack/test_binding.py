"""Rows A01, A06, A12, A14, A16 over real TLS streams: channel bindings of SCRAM-*-PLUS and of FAST under TLS 1.2 and 1.3, and SASL EXTERNAL with
client certificates, right ones and forged ones."""
import os
import shutil
import subprocess
import tempfile

import sasl
import server as servers
from client import AuthFailed, NS_FAST, NS_SASL
from rows import DOMAIN, USERS, Bench, lives, row
from test_auth import AGENT, auth_raw
from tls_pipe import PipeClient

VERSIONS = {"1.2": "TLSv1.2", "1.3": "TLSv1.3"}


def secure(b, user="anna", version="1.3", port="starttls", cert=None):
    """An open stream inside TLS of that version."""
    c = PipeClient(b.server.ports[port], DOMAIN, user, USERS[user], version=version, cert=cert, direct_tls=port == "direct")
    if port == "starttls":
        c.starttls()
    assert c.tls_version == VERSIONS[version], c.tls_version
    c.open()
    return c


def binding_of(c, kind):
    return c.exporter if kind in ("tls-exporter", "EXPR") else c.end_point


def tampered(data):
    return bytes([data[0] ^ 1]) + data[1:]


def scram_plus(b, c, mechanism, kind, data):
    """True when the login succeeds with that binding; a bound session answers then."""
    sc = sasl.Scram(mechanism, c.user, c.password, "p=%s,," % kind, data)
    el = auth_raw(c, mechanism, sc.first())
    if el.name == "challenge":
        c.send("<response xmlns='%s'>%s</response>" % (NS_SASL, sasl.b64(sc.final(sasl.unb64(el.text())))))
        el = c.stanza()
    if el.name != "success":
        assert el.name == "failure" and el.find("not-authorized"), el
        c.close()
        return False
    sc.check(sasl.unb64(el.text()))
    c.open()
    c.bind()
    lives(c)
    c.goodbye()
    return True


@row("A06 SCRAM-*-PLUS by tls-exporter and tls-server-end-point, TLS 1.2 and 1.3, STARTTLS and direct: right bindings pass, others fail",
     vestnik_only=True)
def plus(b):
    for version in VERSIONS:
        for kind in ("tls-exporter", "tls-server-end-point"):
            for mechanism in ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"):
                case = "%s %s TLS %s" % (mechanism, kind, version)
                c = secure(b, version=version)
                assert mechanism in c.mechanisms(), c.features
                assert 'type="%s"' % kind in str(c.features).replace("'", '"'), c.features
                assert scram_plus(b, c, mechanism, kind, binding_of(c, kind)), case
                c = secure(b, version=version)
                assert not scram_plus(b, c, mechanism, kind, tampered(binding_of(c, kind))), "tampered: " + case
        other = secure(b, version=version)
        c = secure(b, version=version, port="direct")
        assert not scram_plus(b, c, "SCRAM-SHA-256-PLUS", "tls-exporter", other.exporter), "binding of another connection"
        c = secure(b, version=version, port="direct")
        assert not scram_plus(b, c, "SCRAM-SHA-256-PLUS", "tls-exporter", c.end_point), "data of the other type"
        c = secure(b, version=version, port="direct")
        assert scram_plus(b, c, "SCRAM-SHA-256-PLUS", "tls-exporter", c.exporter), "direct TLS"
        other.close()


def token_for(b, version, mechanism):
    c = secure(b, version=version)
    el = c.auth2("SCRAM-SHA-256", "<user-agent id='%s'><software>t</software></user-agent><request-token xmlns='%s' mechanism='%s'/>"
                 % (AGENT, NS_FAST, mechanism))
    c.close()
    return el.find("token", NS_FAST)["token"]


def by_token(b, c, token, mechanism, data, count):
    """True when the token logs in; the server's own proof is checked with the same binding."""
    inline = "<user-agent id='%s'><software>t</software></user-agent><fast xmlns='%s' count='%d'/>" % (AGENT, NS_FAST, count)
    try:
        el = c.auth2(mechanism, inline, first=b"anna\0" + sasl.ht(token, data=data))
    except AuthFailed as e:
        assert e.condition == "not-authorized", e
        return False
    finally:
        c.close()
    assert sasl.unb64(el.child_text("additional-data")) == sasl.ht(token, data=data, who=b"Responder"), "the server's proof"
    return True


@row("A06 A12 FAST by HT-SHA-256-EXPR and -ENDP, TLS 1.2 and 1.3: right bindings pass, tampered, foreign and missing ones fail", vestnik_only=True)
def fast_bound(b):
    count = 0
    for version in VERSIONS:
        for kind in ("EXPR", "ENDP"):
            mechanism = "HT-SHA-256-" + kind
            token = token_for(b, version, mechanism)
            for good, data in ((True, lambda c: binding_of(c, kind)), (False, lambda c: tampered(binding_of(c, kind))), (False, lambda c: b""),
                               (False, lambda c: binding_of(c, "ENDP" if kind == "EXPR" else "EXPR")), (True, lambda c: binding_of(c, kind))):
                c = secure(b, version=version)
                assert mechanism in str(c.features), c.features
                count += 1
                assert by_token(b, c, token, mechanism, data(c), count) == good, "%s TLS %s, login %d" % (mechanism, version, count)
            count += 1
            c = secure(b, version=version)
            assert not by_token(b, c, token, "HT-SHA-256-NONE", b"", count), "a bound token was taken without binding"
    token = token_for(b, "1.3", "HT-SHA-256-EXPR")
    other, c = secure(b), secure(b)
    assert not by_token(b, c, token, "HT-SHA-256-EXPR", other.exporter, count + 1), "a proof made for another connection"
    other.close()


# --- SASL EXTERNAL -------------------------------------------------------------------------------------------------------
XMPP_ADDR = "otherName:1.3.6.1.5.5.7.8.5;"
XMPP_ADDR_DER = bytes.fromhex("06082b06010505070805")


def addr(jid):
    return XMPP_ADDR + "UTF8:" + jid


def der(tag, body):
    assert len(body) < 128
    return bytes((tag, len(body))) + body


def raw_addr(value):
    """id-on-xmppAddr with any bytes, which the openssl program would not write."""
    return der(0xA0, XMPP_ADDR_DER + der(0xA0, der(0x0C, value)))


class Authority:
    """A CA in a directory of its own, by the openssl program."""

    def __init__(self, folder, name):
        self.folder, self.name, self.count = folder, name, 0
        self.cert, self.key = "%s/%s.pem" % (folder, name), "%s/%s.key" % (folder, name)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                      "-keyout", self.key, "-out", self.cert)

    def _openssl(self, *args):
        run = subprocess.run(["openssl", *args], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr

    def issue(self, san=(), subject="/CN=somebody", days="9"):
        """(certificate, key) files with these SAN entries ("KIND:VALUE", or all of them as DER)."""
        self.count += 1
        base = "%s/%s-%d" % (self.folder, self.name, self.count)
        with open(base + ".cnf", "w") as f:
            f.write("[ext]\nkeyUsage=digitalSignature\n")
            if san and isinstance(san[0], bytes):
                f.write("subjectAltName=DER:%s\n" % der(0x30, b"".join(san)).hex())
            elif san:
                f.write("subjectAltName=@names\n[names]\n")
                f.writelines("%s.%d=%s\n" % (kind, i, value) for i, (kind, _, value) in enumerate(s.partition(":") for s in san))
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", base + ".key",
                      "-out", base + ".csr")
        self._openssl("x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                      "-extfile", base + ".cnf", "-extensions", "ext", "-out", base + ".pem")
        return base + ".pem", base + ".key"


def external(b, cert, version="1.3", authzid=None):
    """Login by certificate; (offered, the JID or the condition)."""
    c = secure(b, version=version, cert=cert)
    offered = "EXTERNAL" in c.mechanisms()
    el = auth_raw(c, "EXTERNAL", "=" if authzid is None else sasl.b64(authzid.encode()), encoded=False)
    if el.name == "success":
        c.open()
        outcome = c.bind().partition("/")[0]
        lives(c)
        c.goodbye()
        return offered, outcome
    assert el.name == "failure", el
    c.auth("SCRAM-SHA-256-PLUS")  # whoever has a bad certificate may still know the password
    c.close()
    return offered, el.elements()[0].name


def good_and_ambiguous(b, ca):
    anna = "anna@" + DOMAIN
    good = ca.issue([addr(anna)])
    for version in VERSIONS:
        assert external(b, good, version) == (True, anna)
        assert external(b, good, version, anna) == (True, anna)
    for other in ("boris@" + DOMAIN, "anna", "anna@second.test", anna + "/x"):  # row A01
        assert external(b, good, authzid=other) == (True, "invalid-authzid"), other
    both = ca.issue([addr(anna), addr("boris@" + DOMAIN), "DNS:example.org"])
    assert external(b, both) == (True, "invalid-authzid"), "two names and none chosen"
    assert external(b, both, authzid="boris@" + DOMAIN) == (True, "boris@" + DOMAIN)
    assert external(b, ca.issue([raw_addr(anna.encode())])) == (True, anna), "made as the forged ones below"
    assert external(b, ca.issue([addr("nobody@" + DOMAIN)]))[1] == "not-authorized", "no such account"
    assert external(b, ca.issue([addr(anna)] + ["DNS:h%d.example" % i for i in range(99)])) == (True, anna), "100 names are taken"


def forged(ca, stranger):
    """Certificates that name nobody."""
    anna = "anna@" + DOMAIN
    nul, good = raw_addr(anna.encode() + b"\0.evil.example"), raw_addr(anna.encode())
    return {
        "no certificate": None,
        "only a CN": ca.issue(subject="/CN=" + anna),
        'OU="CN=anna,"': ca.issue(subject="/OU=CN=%s,/CN=%s" % (anna, anna)),
        "mail and DNS and URI": ca.issue(["email:" + anna, "DNS:anna." + DOMAIN, "URI:xmpp:" + anna], subject="/CN=" + anna),
        "NUL in the address": ca.issue([nul]),
        "NUL beside a good address": ca.issue([good, nul]),
        "broken UTF-8 beside a good address": ca.issue([good, raw_addr(b"\xff@" + DOMAIN.encode())]),
        "another string type": ca.issue([XMPP_ADDR + "IA5:" + anna]),
        "101 names": ca.issue([addr(anna)] + ["DNS:h%d.example" % i for i in range(100)]),
        "3,000 names": ca.issue(["DNS:h%d.example" % i for i in range(3000)] + [addr(anna)]),
        "another domain": ca.issue([addr("anna@second.test")]),
        "the domain alone": ca.issue([addr(DOMAIN)]),
        "a full address": ca.issue([addr(anna + "/x")]),
        "issued by a stranger": stranger.issue([addr(anna)]),
    }


@row("A14 A01 SASL EXTERNAL by client certificates: only a verified xmppAddr logs in; CN, OU, mail, NUL, thousands of names, strangers do not",
     vestnik_only=True)
def certificates(_):
    folder = tempfile.mkdtemp(prefix="certs-")
    try:
        ca, stranger = Authority(folder, "ca"), Authority(folder, "stranger")
        with servers.make("vestnik", domains=[DOMAIN, "second.test"], options="tls: { client_ca: %s }" % ca.cert) as srv:
            srv.add_users(USERS)
            srv.add_users({"anna": "pw-second"}, "second.test")
            b = Bench(srv)
            good_and_ambiguous(b, ca)
            for name, cert in forged(ca, stranger).items():
                got = external(b, cert)
                assert got == (False, "invalid-mechanism"), "%s: %s" % (name, got)
            try:  # more than OpenSSL takes in a certificate message; with TLS 1.2 the client hears of it within the handshake
                secure(b, version="1.2", cert=ca.issue(["DNS:h%d.example" % i for i in range(20000)] + [addr("anna@" + DOMAIN)])).close()
                raise AssertionError("a certificate with 20,000 names passes the handshake")
            except ConnectionError:
                pass
            lives(b.online())
    finally:
        shutil.rmtree(folder)
        assert not os.path.exists(folder)
