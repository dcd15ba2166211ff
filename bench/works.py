"""The works: what the load program is asked to do, which server profile it needs, and which of its numbers go into the table."""
from dataclasses import dataclass, field


@dataclass
class Row:
    text: str
    key: str               # field of the load program's result
    unit: str
    less: bool = True      # less is better
    factor: float = 1.0


@dataclass
class Work:
    name: str
    text: str
    command: str
    rows: list
    options: dict = field(default_factory=dict)
    scaled: tuple = ()      # options that --scale multiplies
    most: int = 10000       # ... up to this
    archive: bool = False
    see_all: bool = False
    tls: bool = False
    store: str = ""        # "sql": ejabberd's archive in SQLite, which pages better than Mnesia

    def arguments(self, scale):
        got = {}
        for name, value in self.options.items():
            if value is True:
                got[name] = ""
            elif name in self.scaled:
                got[name] = str(max(2, min(self.most, round(value * scale))))
            elif name == "seconds":
                got[name] = "%g" % (value if scale >= 1 else max(1.0, value * scale))
            else:
                got[name] = str(value)
        if self.tls:
            got["tls"] = ""
        return got

    def accounts(self, arguments):
        people = max(int(arguments.get("users", 0)), 2 * int(arguments.get("pairs", 0)))
        return max(people, 2)


LOGIN = [Row("first login of an account, server CPU", "first_cpu_us", "ms", factor=1e-3), Row("further logins, server CPU", "cpu_us_per_op", "ms", factor=1e-3),
         Row("further logins", "ops_per_s", "/s", less=False)]
IDLE = [Row("memory per session (RSS)", "rss_kb_per_session", "KB"), Row("memory per session (PSS)", "pss_kb_per_session", "KB")]
RATE = [Row("throughput", "ops_per_s", "/s", less=False), Row("server CPU per message", "cpu_us_per_op", "us")]
TIMES = [Row("p50", "p50_us", "ms", factor=1e-3), Row("p99", "p99_us", "ms", factor=1e-3)]

WORKS = [
    Work("login_plain", "login PLAIN", "login", LOGIN, {"mechanism": "PLAIN", "users": 200, "seconds": 4}),
    Work("login_scram", "login SCRAM-SHA-1", "login", LOGIN[1:], {"users": 200, "seconds": 4}),
    Work("login_tls", "login SCRAM-SHA-1 over TLS (ECDSA P-256)", "login", LOGIN[1:], {"users": 200, "seconds": 4}, tls=True),
    Work("idle", "idle sessions", "idle", IDLE, {"users": 2000, "seconds": 3}, ("users",)),
    Work("idle_tls", "idle sessions, TLS", "idle", IDLE, {"users": 2000, "seconds": 3}, ("users",), tls=True),
    Work("msg_w1", "1:1, window 1", "msg", RATE + TIMES[:1], {"pairs": 100, "window": 1, "seconds": 4}),
    Work("msg", "1:1, window 10", "msg", RATE, {"pairs": 100, "window": 10, "seconds": 4}),
    Work("msg_archive", "1:1, window 10, archive on", "msg", RATE, {"pairs": 100, "window": 10, "seconds": 4}, archive=True),
    Work("msg_sm", "1:1, window 10, receipts + SM (message with its receipt)", "msg", RATE,
         {"pairs": 100, "window": 10, "seconds": 4, "sm": True, "receipts": True}),
    Work("latency", "open loop, 1,000/s", "latency", TIMES + [Row("max", "max_us", "ms", factor=1e-3), RATE[1]],
         {"pairs": 50, "rate": 1000, "seconds": 8}),
    Work("offline", "offline messages", "offline",
         [Row("store, server CPU per message", "store_cpu_us", "us"), Row("store", "store_per_s", "/s", less=False),
          Row("flush, server CPU per message", "flush_cpu_us", "us"), Row("flush", "flush_per_s", "/s", less=False)],
         {"pairs": 20, "count": 500}, ("count",), most=1000),
    Work("mam", "MAM page of 50", "mam", [Row("server CPU per page", "cpu_us_per_op", "ms", factor=1e-3), Row("pages", "ops_per_s", "/s", less=False)],
         {"pairs": 4, "count": 1000, "page": 50, "seconds": 4}, ("count",), archive=True, store="sql"),
    Work("morning", "company morning", "morning",
         [Row("until all presences arrived", "morning_s", "s"), Row("server CPU per presence", "morning_cpu_us", "us"),
          Row("memory growth", "rss_growth_mb", "MB"), Row("all change to away", "away_s", "s"),
          Row("away, server CPU per presence", "away_cpu_us", "us")],
         {"users": 200, "timeout": 180}, ("users",), most=2000, see_all=True),
]


def find(names):
    known = {w.name: w for w in WORKS}
    wrong = [n for n in names if n not in known]
    if wrong:
        raise SystemExit("bench: no work named %s; there are: %s, micro" % (", ".join(wrong), ", ".join(known)))
    return [known[n] for n in names]
