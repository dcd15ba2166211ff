"""Client side of SASL for tests: PLAIN, SCRAM-* (RFC 5802, 7677, with -PLUS by tls-server-end-point, RFC 5929), HT-* (XEP-0484)."""
import base64
import hashlib
import hmac
import os

HASHES = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}


def b64(b):
    return base64.b64encode(b).decode()


def unb64(s):
    return base64.b64decode(s or "", validate=True)


def plain(user, password, authzid=""):
    return ("%s\0%s\0%s" % (authzid, user, password)).encode()


def ht(token, hash_name="sha256", data=b"", who=b"Initiator"):
    return hmac.new(token.encode(), who + data, hash_name).digest()


def end_point_hash(cert_der):
    """tls-server-end-point: SHA-256 unless the certificate's signature uses a stronger hash; ours and test ones use SHA-256."""
    return hashlib.sha256(cert_der).digest()


class Scram:
    """One exchange. gs2 is the flag as a client would send it: "n,,", "y,,", "p=tls-server-end-point,,"."""

    def __init__(self, mechanism, user, password, gs2="n,,", cb_data=b"", nonce=None):
        self.hash = HASHES[mechanism.replace("SCRAM-", "").replace("-PLUS", "")]
        self.password = password.encode()
        self.gs2, self.cb_data = gs2, cb_data
        self.nonce = nonce or b64(os.urandom(18))
        self.bare = "n=%s,r=%s" % (user.replace("=", "=3D").replace(",", "=2C"), self.nonce)
        self.server_signature = None

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        """Answer to the server's first message; keeps what the server must prove."""
        text = server_first.decode()
        attrs = dict(p.split("=", 1) for p in text.split(","))
        assert attrs["r"].startswith(self.nonce) and len(attrs["r"]) > len(self.nonce), "server nonce"
        self.iterations = int(attrs["i"])
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, unb64(attrs["s"]), self.iterations)
        client_key = hmac.new(salted, b"Client Key", self.hash).digest()
        stored = hashlib.new(self.hash, client_key).digest()
        bare = "c=%s,r=%s" % (b64(self.gs2.encode() + self.cb_data), attrs["r"])
        auth_message = ",".join((self.bare, text, bare)).encode()
        signature = hmac.new(stored, auth_message, self.hash).digest()
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.new(salted, b"Server Key", self.hash).digest()
        self.server_signature = hmac.new(server_key, auth_message, self.hash).digest()
        return ("%s,p=%s" % (bare, b64(proof))).encode()

    def check(self, server_final):
        attrs = dict(p.split("=", 1) for p in server_final.decode().split(","))
        if unb64(attrs.get("v", "")) != self.server_signature:
            raise ValueError("server signature is wrong: %r" % server_final)
