"""Row A08: what a wrong password costs the server tells nobody whether there is such an account. CPU time of the process, not wall time, so
that a busy machine does not matter."""
import math
import random
import statistics
import time
import time

import sasl
from client import NS_SASL
from rows import row
from test_auth import auth_raw

SAMPLES = 600


def cpu_ns(b):
    """CPU time of all threads of the server so far (CPUCLOCK_SCHED of its process)."""
    return time.clock_gettime_ns((~b.server.proc.pid << 3) | 2)


def plain_wrong(b, user):
    c = b.opened(user)
    before = cpu_ns(b)
    el = auth_raw(c, "PLAIN", sasl.plain(user, "wrong"))
    used = cpu_ns(b) - before
    assert el.name == "failure" and el.find("not-authorized"), el
    c.close()
    return used


def plain_early(b, user):
    """Refused before the password is looked at: what a server would spend that skips PBKDF2."""
    c = b.opened(user)
    before = cpu_ns(b)
    el = auth_raw(c, "PLAIN", sasl.plain(user, "wrong", "somebody.else@" + c.domain))
    used = cpu_ns(b) - before
    assert el.name == "failure", el
    c.close()
    return used


def scram_wrong(b, user):
    c = b.opened(user)
    sc = sasl.Scram("SCRAM-SHA-256", user, "wrong")
    before = cpu_ns(b)
    el = auth_raw(c, "SCRAM-SHA-256", sc.first())
    c.send("<response xmlns='%s'>%s</response>" % (NS_SASL, sasl.b64(sc.final(sasl.unb64(el.text())))))
    el = c.stanza()
    used = cpu_ns(b) - before
    assert el.name == "failure" and el.find("not-authorized"), el
    c.close()
    return used


def measured(b, way, kinds, samples):
    """{kind: CPU times}, the kinds in random order so that whatever drifts hits all alike; the tenth that cost most is left out."""
    order = [k for k in kinds for _ in range(samples)]
    random.shuffle(order)
    found = {k: [] for k in kinds}
    for i, kind in enumerate(order):
        fn = plain_early if kind == "early" else way
        found[kind].append(fn(b, "ghost%d" % i if kind == "unknown" else "dora"))
    return {k: sorted(v)[:len(v) * 9 // 10] for k, v in found.items()}


def welch(x, y):
    """Welch's t of two samples."""
    return (statistics.mean(x) - statistics.mean(y)) / math.sqrt(statistics.variance(x) / len(x) + statistics.variance(y) / len(y))


@row("A08 a wrong password costs the same CPU for known and unknown accounts, PLAIN and SCRAM; skipping PBKDF2 would stand out", vestnik_only=True,
     options="auth: { scram_iterations: 4096 }")
def same_cost(b):
    plain = measured(b, plain_wrong, ("known", "unknown", "early"), SAMPLES)
    known, unknown, early = (statistics.mean(plain[k]) for k in ("known", "unknown", "early"))
    pbkdf2 = known - early
    text = "PLAIN: known %.0f us, unknown %.0f us (Welch t %.1f), without PBKDF2 %.0f us (t %.1f)" % (
        known / 1e3, unknown / 1e3, welch(plain["known"], plain["unknown"]), early / 1e3, welch(plain["known"], plain["early"]))
    assert welch(plain["known"], plain["early"]) > 20 and pbkdf2 > known / 3, "the measurement would not see a skipped PBKDF2: " + text
    assert abs(known - unknown) < pbkdf2 / 4, text
    scram = measured(b, scram_wrong, ("known", "unknown"), SAMPLES // 2)
    known, unknown = (statistics.mean(scram[k]) for k in ("known", "unknown"))
    assert abs(known - unknown) < pbkdf2 / 4, "SCRAM: known %.0f us, unknown %.0f us; %s" % (known / 1e3, unknown / 1e3, text)
