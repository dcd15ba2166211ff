"""Starts a server under test on private ports with a private data directory: Vestnik, or Prosody as reference.

Readiness is awaited by event: sd_notify's READY=1 (or the log line server.ready) for vestnikd, a connecting socket for Prosody.
"""
import atexit
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed")
ERROR_LINE = re.compile(r"\blevel=error\b|^\S+ error ")


def build_dir():
    return os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))


def vestnikd_path():
    return os.environ.get("VESTNIKD", os.path.join(build_dir(), "vestnikd"))


def vestnikctl_path():
    return os.environ.get("VESTNIKCTL", os.path.join(build_dir(), "vestnikctl"))


def have_vestnik():
    return os.access(vestnikd_path(), os.X_OK)


_given = set()


def free_port():
    """A port of the range TEST_PORTS (default 26000-26999) that nobody listens on now."""
    low, high = map(int, os.environ.get("TEST_PORTS", "26000-26999").split("-"))
    for _ in range(2000):
        port = random.randint(low, high)
        if port in _given:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port in %d-%d" % (low, high))


class Server:
    """Common part. ports: plain (no TLS, loopback), starttls, direct, http; those of a server that has ended may be given again."""
    name = "?"

    def __init__(self, domains=("example.test",), options="", keep=False, ports=None):
        self.domains = list(domains)
        self.options = options
        self.dir = tempfile.mkdtemp(prefix="vt-")
        self.keep = keep or bool(os.environ.get("TEST_KEEP"))
        self.ports = ports or {k: free_port() for k in ("plain", "starttls", "direct", "http")}
        self.proc = None
        self.log = []
        self.expected_errors = []
        self.env = {}
        self.exit_code = None
        atexit.register(self._at_exit)

    def _at_exit(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        if exc[0] is None:
            self.check_log()

    def kill(self):
        """SIGKILL: nothing is flushed."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
        return self._reap(20)

    def stop(self, timeout_s=30):
        """SIGTERM and wait. Returns the exit code."""
        if self.proc is None:
            return self.exit_code
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        return self._reap(timeout_s)

    def _reap(self, timeout_s):
        if self.proc is None:
            return self.exit_code
        try:
            self.exit_code = self.proc.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.proc.send_signal(signal.SIGABRT)
            self.proc.wait()
            raise AssertionError("%s did not stop in %d s; log:\n%s" % (self.name, timeout_s, self.log_tail()))
        self._reader.join(10)
        self.proc = None
        return self.exit_code

    def restart(self):
        self.stop()
        self.start()

    def _pump(self, pipe, on_line):
        for raw in iter(pipe.readline, b""):
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.log.append(line)
            on_line(line)
        pipe.close()
        on_line(None)

    def log_tail(self, n=30):
        return "\n".join(self.log[-n:])

    def check_log(self):
        """No sanitizer report, no level=error line but expected ones."""
        bad = [i for i, l in enumerate(self.log) if SANITIZER.search(l)]
        if bad:
            raise AssertionError("sanitizer or assertion report:\n" + "\n".join(self.log[bad[0]:bad[0] + 40]))
        errors = [l for l in self.log if ERROR_LINE.search(l) and not any(re.search(e, l) for e in self.expected_errors)]
        if errors:
            raise AssertionError("unexpected error lines:\n" + "\n".join(errors[:10]))


class Vestnik(Server):
    name = "vestnik"

    DEFAULT_LIMITS = {
        "rate_bytes": 1073741824, "rate_bytes_burst": 1073741824, "rate_stanzas": 10000000, "rate_stanzas_burst": 10000000,
        "accept_rate_ip": 1000000, "accept_burst_ip": 1000000, "accept_rate": 1000000, "accept_burst": 1000000,
        "api_rate": 1000000, "api_burst": 1000000, "auth_delay_ms": 0, "auth_failures_ip": 1000000, "preauth_connections_ip": 1000000,
    }

    def __init__(self, domains=("example.test",), options="", limits=None, data=None, **kw):
        super().__init__(domains, options, **kw)
        self.limits = dict(self.DEFAULT_LIMITS, **(limits or {}))
        self.data = data or os.path.join(self.dir, "data")
        self.conf = os.path.join(self.dir, "vestnik.yml")
        self.socket = os.path.join(self.data, "control.sock")
        self.write_config()

    def write_config(self):
        p = self.ports
        os.makedirs(self.data, exist_ok=True)
        with open(self.conf, "w") as f:
            f.write("data: %s\ndomains: [%s]\nlisten:\n" % (self.data, ", ".join(self.domains)))
            for proto, key, tls in (("xmpp", "plain", "none"), ("xmpp", "starttls", "starttls"), ("xmpp", "direct", "direct"),
                                    ("http", "http", "none")):
                f.write('  - { protocol: %s, address: "127.0.0.1", port: %d, tls: %s }\n' % (proto, p[key], tls))
            if not re.search(r"^auth:", self.options, re.M):
                f.write("auth: { scram_iterations: 4096 }\n")
            f.write("limits:\n" + "".join("  %s: %d\n" % kv for kv in sorted(self.limits.items())))
            f.write(self.options + ("\n" if self.options else ""))

    def command(self):
        return [vestnikd_path(), "-c", self.conf]

    def start(self, wait=True, timeout_s=60):
        notify_path = os.path.join(self.dir, "notify.sock")
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path)
        env = dict(os.environ, NOTIFY_SOCKET=notify_path, **self.env)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.ready = threading.Event()
        first_line = len(self.log)
        self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, env=env, cwd=self.dir)

        def on_line(line):
            if line is None or "server.ready" in line:
                self.ready.set()

        def on_notify():
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
                self.ready.set()
            except OSError:
                pass

        self._reader = threading.Thread(target=self._pump, args=(self.proc.stdout, on_line), daemon=True)
        self._reader.start()
        threading.Thread(target=on_notify, daemon=True).start()
        if not wait:
            return
        began = time.monotonic()
        while not self.ready.wait(0.5):
            if time.monotonic() - began > timeout_s:
                raise AssertionError("vestnikd is not ready after %d s; log:\n%s" % (timeout_s, self.log_tail()))
        notify.close()
        if self.proc.poll() is not None or not any("server.ready" in l for l in self.log[first_line:]) and self._died():
            raise AssertionError("vestnikd did not start, exit code %s; log:\n%s" % (self.proc.poll(), self.log_tail()))

    def _died(self):
        try:
            self.proc.wait(0.2)
            return True
        except subprocess.TimeoutExpired:
            return False

    def reload(self, timeout_s=30):
        """SIGHUP; waits until the log tells that it was taken."""
        done = sum("reload.done" in l for l in self.log)
        self.proc.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + timeout_s
        while sum("reload.done" in l for l in self.log) == done:
            assert time.monotonic() < deadline and not any("reload.failed" in l for l in self.log), "no reload:\n" + self.log_tail()
            time.sleep(0.01)

    def ctl(self, *args, check=True, stdin=None):
        """Runs vestnikctl; returns CompletedProcess (text)."""
        run = subprocess.run([vestnikctl_path(), "-s", self.socket, *args], capture_output=True, text=True, timeout=60, input=stdin)
        if check and run.returncode != 0:
            raise AssertionError("vestnikctl %s: exit %d\n%s%s" % (" ".join(args), run.returncode, run.stdout, run.stderr))
        return run

    def add_users(self, users, domain=None):
        """Accounts beside the company structure: {login: password}."""
        for login, password in users.items():
            self.ctl("user", "add", "%s@%s" % (login, domain or self.domains[0]), "--password", password)

    def import_org(self, csv_text, domain=None, *args):
        """Imports the company of one domain. csv_text has the header line of design.md section 6."""
        path = os.path.join(self.dir, "org-%d.csv" % random.getrandbits(40))
        with open(path, "w") as f:
            f.write(csv_text)
        more = ["--domain", domain] if domain and domain != self.domains[0] else []
        return self.ctl("org", "import", "--disable-missing", path, *more, *args)


class Prosody(Server):
    """Debian's Prosody with the same features switched on, for checking the tests themselves."""
    name = "prosody"

    MODULES = ("roster saslauth tls disco carbons pep private blocklist vcard4 vcard_legacy bookmarks version uptime time ping mam "
               "csi_simple smacks offline lastactivity admin_adhoc admin_shell limits register user_account_management http websocket bosh")

    def start(self):
        data = os.path.join(self.dir, "data")
        os.makedirs(data, exist_ok=True)
        crt, key = self.dir + "/cert.pem", self.dir + "/key.pem"
        if not os.path.exists(crt):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                            "-subj", "/CN=test", "-keyout", key, "-out", crt], check=True, capture_output=True)
        p = self.ports
        lines = [
            'run_as_root = true', 'daemonize = false', 'pidfile = "%s/pid"' % self.dir, 'data_path = "%s"' % data,
            'log = { { levels = { min = "info" }, to = "console" } }', 'interfaces = { "127.0.0.1" }', 'c2s_ports = { %d }' % p["plain"],
            'c2s_direct_tls_ports = { %d }' % p["direct"], 'http_ports = { %d }' % p["http"], 'https_ports = {}', 's2s_ports = {}',
            'c2s_require_encryption = false', 'allow_unencrypted_plain_auth = true', 'authentication = "internal_plain"',
            'ssl = { certificate = "%s", key = "%s" }' % (crt, key), 'modules_disabled = { "s2s" }',
            'admin_socket = "%s/admin.sock"' % self.dir, 'archive_expires_after = "never"', 'default_archive_policy = true',
            'admins = { %s }' % ", ".join('"admin@%s"' % d for d in self.domains),
            'modules_enabled = { %s }' % "; ".join('"%s"' % m for m in self.MODULES.split()),
        ] + ['VirtualHost "%s"' % d for d in self.domains]
        conf = self.dir + "/prosody.cfg.lua"
        with open(conf, "w") as f:
            f.write("\n".join(lines) + "\n")
        self.proc = subprocess.Popen(["prosody", "--config", conf], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.dir)
        self._reader = threading.Thread(target=self._pump, args=(self.proc.stdout, lambda line: None), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", p["plain"]), 1).close()
                self.ports["starttls"] = p["plain"]
                return
            except OSError:
                if self.proc.poll() is not None:
                    break
                time.sleep(0.05)
        raise AssertionError("prosody did not start:\n" + self.log_tail())

    def check_log(self):
        pass

    def add_users(self, users, domain=None):
        host = "".join(c if c.isalnum() else "%%%02x" % ord(c) for c in domain or self.domains[0])
        folder = "%s/data/%s/accounts" % (self.dir, host)
        os.makedirs(folder, exist_ok=True)
        for login, password in users.items():
            with open("%s/%s.dat" % (folder, login), "w") as f:
                f.write('return { ["password"] = "%s"; };\n' % password)


def make(kind, *args, **kw):
    if kind == "prosody":
        kw.pop("limits", None)
        return Prosody(*args, **kw)
    return Vestnik(*args, **kw)
