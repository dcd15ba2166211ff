"""The three servers as private instances: own data directory, 127.0.0.1 only, accounts u0, u1, ... of domain bench.test with one
password. Peers' accounts are written straight into their stores (all with the same salt), which takes seconds instead of minutes.
Each class knows how its server is configured best; README.md says why. Nothing here needs or touches a system service."""
import base64
import ctypes
import glob
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import time

DOMAIN = "bench.test"
PASSWORD = "bench-password"
SALT = b"0123456789abcdef"


def scram_keys(iterations):
    salted = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), SALT, iterations)
    client = hmac.digest(salted, b"Client Key", "sha1")
    return hashlib.sha1(client).digest(), hmac.digest(salted, b"Server Key", "sha1")


class Ports:
    """Free ports of 127.0.0.1, counting up from the base given, or chosen by the kernel."""

    def __init__(self, base):
        self.next = base

    def take(self):
        while True:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                port, self.next = self.next, self.next + 1 if self.next else 0
                try:
                    s.bind(("127.0.0.1", port))
                    return s.getsockname()[1]
                except OSError:
                    if not port:
                        raise


def die_with_parent():
    """In the child: ends when the driver ends, however that happens (PR_SET_PDEATHSIG); own group, so ^C reaches the driver alone."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def certificate(folder):
    """An ECDSA P-256 pair, made once per run."""
    key, cert, both = (os.path.join(folder, n) for n in ("key.pem", "cert.pem", "both.pem"))
    if not os.path.exists(both):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=" + DOMAIN, "-addext", "subjectAltName=DNS:" + DOMAIN, "-days", "30",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        with open(both, "w") as out:
            for name in (cert, key):
                with open(name) as f:
                    out.write(f.read())
    return cert, key, both


class Server:
    name = ""
    packages = []

    def __init__(self, folder, ports, build):
        self.folder, self.ports, self.build = folder, ports, build
        self.process = None
        self.port = self.tls_port = 0

    @classmethod
    def installed(cls):
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def launch(self, accounts, archive, see_all):
        """Writes configuration and accounts below self.home, sets ports, returns the started process."""
        raise NotImplementedError

    def spawn(self, argv, **env):
        self.log = os.path.join(self.home, "output.log")
        with open(self.log, "wb") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.home,
                                    env={**os.environ, **env}, preexec_fn=die_with_parent)

    def write(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def start(self, accounts, archive=False, see_all=False):
        self.home = os.path.join(self.folder, self.name)
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.port, self.tls_port = self.ports.take(), self.ports.take()
        self.process = self.launch(accounts, archive, see_all)
        end = time.time() + 60
        while not self.ready():
            if self.process.poll() is not None or time.time() > end:
                with open(self.log, errors="replace") as f:
                    tail = f.read()[-1500:]
                self.stop()
                raise RuntimeError("%s did not start: %s" % (self.name, tail))
            time.sleep(0.02)
        self.started()

    def ready(self):
        """It answers a stream header with features."""
        header = "<stream:stream to='%s' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" % DOMAIN
        got = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(header.encode())
                while b"features" not in got:
                    some = s.recv(4096)
                    if not some:
                        return False
                    got += some
            return True
        except OSError:
            return False

    def started(self):
        pass

    def memory_mb(self):
        with open("/proc/%d/smaps_rollup" % self.process.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Rss:")) / 1024

    def stop(self):
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


class Ejabberd(Server):
    name = "ejabberd"
    packages = ["ejabberd", "erlang-p1-sqlite3"]
    archive_store = "mnesia"

    @classmethod
    def installed(cls):
        return bool(glob.glob("/usr/lib/*/ejabberd-*/ebin")) and bool(glob.glob("/usr/lib/erlang/lib/p1_sqlite3-*"))

    def version(self):
        return "ejabberd " + package_version("ejabberd")

    def launch(self, accounts, archive, see_all):
        stored, server = (base64.b64encode(k).decode() for k in scram_keys(4096))
        text = EJABBERD_YML.format(domain=DOMAIN, port=self.port, pem=certificate(self.folder)[2], home=self.home)
        if archive:
            text += "  mod_mam: {default: always, assume_mam_usage: true, db_type: %s}\n" % self.archive_store
            text += "sql_type: sqlite\nsql_database: \"%s/archive.db\"\n" % self.home if self.archive_store == "sql" else ""
        if see_all:
            text += "  mod_shared_roster: {}\n" if not archive else ""
        self.write("ejabberd.yml", text)
        groups = EJABBERD_GROUP.format(domain=DOMAIN) if see_all else ""
        setup = self.write("setup.erl", EJABBERD_SETUP.format(last=accounts - 1, domain=DOMAIN, stored=stored, server=server,
                                                             salt=base64.b64encode(SALT).decode(), groups=groups, home=self.home))
        os.makedirs(self.home + "/mnesia")
        libs = os.path.dirname(os.path.dirname(sorted(glob.glob("/usr/lib/*/ejabberd-*/ebin"))[-1]))
        return self.spawn(["erl", "-noinput", "+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
                           "-mnesia", "dir", '"%s/mnesia"' % self.home, "-s", "ejabberd", "-eval", 'ok = file:eval("%s").' % setup],
                          ERL_LIBS=libs, EJABBERD_CONFIG_PATH=self.home + "/ejabberd.yml", EJABBERD_LOG_PATH=self.home + "/ejabberd.log",
                          ERL_MAX_PORTS="32000", ERL_CRASH_DUMP_SECONDS="0", ERL_CRASH_DUMP=self.home + "/crash", HOME=self.home)

    def ready(self):
        return os.path.exists(self.home + "/accounts-done") and super().ready()

    def started(self):
        self.tls_port = self.port


EJABBERD_YML = """\
loglevel: warning
hosts: ["{domain}"]
auth_password_format: scram
certfiles: ["{pem}"]
default_db: mnesia
max_fsm_queue: 1000000
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: true, max_stanza_size: 262144, backlog: 4096, access: all}}
shaper_rules:
  max_user_sessions: 10
  max_user_offline_messages: infinity
modules:
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{access_max_user_messages: max_user_offline_messages}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_stream_mgmt: {{max_ack_queue: 100000}}
"""

EJABBERD_SETUP = """\
lists:foreach(fun(N) ->
    User = <<"u", (integer_to_binary(N))/binary>>,
    ok = mnesia:dirty_write({{passwd, {{User, <<"{domain}">>}},
        {{scram, <<"{stored}">>, <<"{server}">>, <<"{salt}">>, sha, 4096}}}})
end, lists:seq(0, {last})).
{groups}
ok = file:write_file("{home}/accounts-done", <<"yes">>).
"""

EJABBERD_GROUP = """\
mod_shared_roster:create_group(<<"{domain}">>, <<"all">>, [{{label, <<"Company">>}}, {{displayed_groups, [<<"all">>]}}, {{all_users, true}}]).
mod_shared_roster:add_user_to_group(<<"{domain}">>, {{<<"@all@">>, <<"{domain}">>}}, <<"all">>).
"""


class EjabberdSqlite(Ejabberd):
    archive_store = "sql"


class Prosody(Server):
    name = "prosody"
    packages = ["prosody", "lua-dbi-sqlite3"]
    archive_store = "internal"

    @classmethod
    def installed(cls):
        return os.path.exists("/usr/bin/prosody") and bool(glob.glob("/usr/lib/*/lua/5.4/dbd/sqlite3.so"))

    def version(self):
        return "prosody " + package_version("prosody")

    def launch(self, accounts, archive, see_all):
        data = self.home + "/data/" + DOMAIN.replace(".", "%2e") + "/accounts"
        os.makedirs(data)
        stored, server = scram_keys(10000)
        record = 'return {\n\t["iteration_count"] = 10000;\n\t["salt"] = "%s";\n\t["server_key"] = "%s";\n\t["stored_key"] = "%s";\n};\n' % (
            SALT.decode(), server.hex(), stored.hex())
        for i in range(accounts):
            with open("%s/u%d.dat" % (data, i), "w") as f:
                f.write(record)
        extra = "" if not archive else '"mam"; '
        if see_all:
            extra += '"groups"; '
            self.write("groups.txt", "[Company]\n" + "".join("u%d@%s\n" % (i, DOMAIN) for i in range(accounts)))
        cert, key, _ = certificate(self.folder)
        config = self.write("prosody.cfg.lua", PROSODY_LUA.format(home=self.home, port=self.port, cert=cert, key=key, domain=DOMAIN, extra=extra,
                                                                archive_store=self.archive_store))
        return self.spawn(["prosody", "--config", config, "-F"])

    def started(self):
        self.tls_port = self.port


PROSODY_LUA = """\
run_as_root = true
data_path = "{home}/data"
pidfile = "{home}/prosody.pid"
log = {{ error = "{home}/prosody.log" }}
network_backend = "epoll"
network_settings = {{ tcp_backlog = 4096 }}
gc = {{ mode = "generational" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
storage = {{ archive = "{archive_store}"; "internal" }}
sql = {{ driver = "SQLite3"; database = "{home}/archive.db" }}
storage_archive_item_limit = 100000000
archive_expires_after = "never"
smacks_max_queue_size = 100000
modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "ping"; "smacks"; "carbons"; {extra} }}
modules_disabled = {{ "s2s" }}
ssl = {{ certificate = "{cert}", key = "{key}" }}
VirtualHost "{domain}"
	groups_file = "{home}/groups.txt"
"""


class ProsodySqlite(Prosody):
    archive_store = "sql"


class Vestnik(Server):
    name = "vestnik"
    grown = None  # (accounts, messages): started on a data directory made by bench/fill, whose numbers are then in self.filled

    @classmethod
    def installed(cls):
        return True

    def program(self, name):
        return os.path.join(self.build, name)

    def version(self):
        top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        got = subprocess.run(["git", "-C", top, "describe", "--always", "--dirty"], capture_output=True, text=True)
        return "vestnik " + (got.stdout.strip() or "of this directory")

    def launch(self, accounts, archive, see_all):
        self.accounts, self.see_all = accounts, see_all
        cert, key, _ = certificate(self.folder)
        if self.grown:
            os.makedirs(self.home + "/data", mode=0o700)
            got = subprocess.run([self.program("bench/fill"), self.home + "/data", DOMAIN, PASSWORD, *map(str, self.grown)], stdout=subprocess.PIPE,
                                 text=True, check=True, preexec_fn=die_with_parent)
            self.filled = json.loads(got.stdout)
        self.launched = time.monotonic()
        config = self.write("vestnik.yaml", VESTNIK_YAML.format(home=self.home, domain=DOMAIN, port=self.port, tls_port=self.tls_port,
                                                                cert=cert, key=key, see="company" if see_all else "department"))
        return self.spawn([self.program("vestnikd"), "-c", config])

    def started(self):
        """Everybody in one department where all see each other, else each in a department of his own."""
        self.start_s = time.monotonic() - self.launched
        if not self.accounts:
            return
        rows = ["id,login,password,full_name,department,position,email,phone,head"]
        for i in range(self.accounts):
            rows.append("%d,u%d,%s,User %d,%s,,,,no" % (i + 1, i, PASSWORD, i, "Company" if self.see_all else "Company/Room %d" % i))
        people = self.write("people.csv", "\n".join(rows) + "\n")
        got = subprocess.run([self.program("vestnikctl"), "-s", self.home + "/data/control.sock", "org", "import", people],
                             capture_output=True, text=True, timeout=300)
        if got.returncode:
            self.stop()
            raise RuntimeError("vestnikctl org import: " + (got.stderr or got.stdout)[-1500:])


VESTNIK_YAML = """\
data: {home}/data
domains: [{domain}]
listen:
  - {{ protocol: xmpp, address: "127.0.0.1", port: {port}, tls: none }}
  - {{ protocol: xmpp, address: "127.0.0.1", port: {tls_port}, tls: starttls }}
tls: {{ certificate: {cert}, key: {key} }}
auth: {{ scram_iterations: 4096 }}
company: {{ visibility: {see} }}
limits:
  rate_bytes: 1073741824
  rate_bytes_burst: 1073741824
  rate_stanzas: 10000000
  rate_stanzas_burst: 10000000
  accept_rate_ip: 1000000
  accept_burst_ip: 1000000
  accept_rate: 1000000
  accept_burst: 1000000
  preauth_connections_ip: 1000000
  sm_queue: 100000
"""


def package_version(name):
    got = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return got.stdout.strip() or "(no package)"


SERVERS = {"ejabberd": Ejabberd, "prosody": Prosody, "vestnik": Vestnik}
WITH_SQL = {"ejabberd": EjabberdSqlite, "prosody": ProsodySqlite}


def install(names):
    """Missing peers from Debian. Their system services are neither started now nor at boot."""
    wanted = [p for n in names if not SERVERS[n].installed() for p in SERVERS[n].packages]
    if not wanted:
        return
    if os.geteuid():
        raise SystemExit("bench: %s missing: run as root once, or apt-get install them" % " ".join(wanted))
    # a policy of our own only where the machine has none: 101 keeps the package scripts from starting services
    policy = "/usr/sbin/policy-rc.d"
    ours = not os.path.exists(policy)
    if ours:
        with open(policy, "w") as f:
            f.write("#!/bin/sh\nexit 101\n")
        os.chmod(policy, 0o755)
    try:
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted], check=True,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        if ours:
            os.remove(policy)
    for unit in ("ejabberd", "prosody"):
        subprocess.run(["systemctl", "disable", unit], capture_output=True)
