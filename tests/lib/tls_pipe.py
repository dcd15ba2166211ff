"""A client whose TLS is done by tls_pipe.c, so that channel bindings and client certificates of any kind can be tried."""
import hashlib
import os
import socket
import subprocess
import tempfile

from client import Client

HERE = os.path.dirname(os.path.abspath(__file__))
_program = None


def program():
    """Path of the program, compiled once per run."""
    global _program
    if not _program:
        _program = tempfile.TemporaryDirectory(prefix="tls-pipe-")
        subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-O1", "-include", "stdbool.h", "-o", _program.name + "/tls_pipe",
                        os.path.join(HERE, "tls_pipe.c"), "-lssl", "-lcrypto"], check=True)
    return _program.name + "/tls_pipe"


class PipeClient(Client):
    """version: "1.2" or "1.3"; cert: (certificate file, key file). After the handshake: .tls_version, .exporter, .end_point."""

    def __init__(self, *args, version="1.3", cert=None, **kw):
        self.want_version, self.want_cert, self.pipe = version, cert, None
        super().__init__(*args, **kw)

    def start_tls(self):
        ours, theirs = socket.socketpair()
        command = [program(), str(self.sock.fileno()), "-v", self.want_version]
        if self.want_cert:
            command += ["-c", self.want_cert[0], "-k", self.want_cert[1]]
        self.pipe = subprocess.Popen(command, stdin=theirs, stdout=theirs, pass_fds=[self.sock.fileno()])
        theirs.close()
        self.sock.close()
        self.sock = ours
        ours.settimeout(20)
        line = b""
        while not line.endswith(b"\n"):
            byte = ours.recv(1)
            assert byte, "the handshake ended without a word"
            line += byte
        words = line.decode().split()
        if words[0] == "failed":
            raise ConnectionError("TLS handshake: " + " ".join(words[1:]))
        self.tls_version, self.exporter, self.der = words[0], bytes.fromhex(words[1]), bytes.fromhex(words[2])
        self.end_point = hashlib.sha256(self.der).digest()
        self.parser.held = b""
        self.parser.reset()

    def cert_der(self):
        return self.der

    def close(self):
        super().close()
        if self.pipe:
            self.pipe.wait(20)
            self.pipe = None
