"""Row D19: people come and go for a while in every way they can: clean, by a cut cable, half-way through the login or a stanza, by resuming. Then memory and
descriptors are where they were after the warm-up, and a build with sanitizers has nothing to say at its end."""
import os
import random
import re
import threading
import time
import urllib.request

import client
import server as servers
from client import NS_SM, Client
from plain import plain_vestnikd

DOMAIN = "churn.test"
PEOPLE = 12
DRIFT, ROOM_KB, ROOM_FDS = 1.02, 1024, 2


class Person(threading.Thread):
    """Does one random thing after the other with its own account."""

    def __init__(self, srv, name, seed, stop):
        super().__init__(daemon=True)
        self.srv, self.name, self.over = srv, name, stop
        self.rng = random.Random("%s %s" % (seed, name))
        self.done, self.error = 0, None

    def client(self, resource, port="plain"):
        return Client(self.srv.ports[port], DOMAIN, self.name, "pw-" + self.name, resource)

    def login(self, resource="r", **kw):
        c = self.client(resource, "starttls" if kw.get("starttls") else "plain")
        c.login(self.rng.choice(["PLAIN", "SCRAM-SHA-256"]), **kw)
        return c

    def other(self):
        return "u%d@%s" % (self.rng.randrange(PEOPLE), DOMAIN)

    def talk(self, c):
        for _ in range(self.rng.randint(1, 5)):
            c.message(self.other(), "<body>%s</body>" % ("x" * self.rng.choice([10, 100, 3000])))
        c.ping()

    def clean(self):
        c = self.login()
        c.iq("get", "<query xmlns='jabber:iq:roster'/>")
        c.presence()
        self.talk(c)
        c.goodbye()

    def encrypted(self):
        c = self.login(starttls=True)
        c.presence()
        self.talk(c)
        c.close()

    def cut(self):
        c = self.login(self.rng.choice("abc"))
        c.enable_sm()
        c.presence()
        self.talk(c)
        c.drop()

    def resume(self):
        c = self.login()
        c.enable_sm()
        c.presence()
        self.talk(c)
        c.drop()
        d = self.client("r")
        d.login("PLAIN", bind=False)
        d.send("<resume xmlns='%s' h='0' previd='%s'/>" % (NS_SM, c.sm_id))
        d.until(lambda e: e.ns == NS_SM and e.name in ("resumed", "failed"))
        if self.rng.random() < 0.5:
            d.goodbye()
        else:
            d.drop()

    def half_login(self):
        c = self.client("r")
        c.open()
        if self.rng.random() < 0.5:
            c.send("<auth xmlns='%s' mechanism='SCRAM-SHA-256'>" % client.NS_SASL)
        c.drop()

    def wrong_password(self):
        c = Client(self.srv.ports["plain"], DOMAIN, self.name, "wrong")
        c.open()
        try:
            c.auth("PLAIN")
        except client.AuthFailed:
            pass
        c.close()

    def half_stanza(self):
        c = self.login()
        c.send("<message to='%s'><body>half" % self.other())
        c.drop()

    def bad_xml(self):
        c = self.login()
        c.presence()
        c.send("<message></iq>")
        while c.event()[0] not in ("end", "eof"):
            pass
        c.close()

    def store(self):
        c = self.login()
        c.iq("set", "<query xmlns='jabber:iq:private'><p xmlns='test:churn'>%s</p></query>" % ("x" * self.rng.randint(1, 5000)))
        c.iq("set", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='http://jabber.org/protocol/nick'><item id='current'>"
             "<nick xmlns='http://jabber.org/protocol/nick'>%s</nick></item></publish></pubsub>" % self.name)
        c.iq("set", "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>20</max><before/></set></query>")
        c.goodbye()

    def http(self):
        urllib.request.urlopen("http://127.0.0.1:%d/health" % self.srv.ports["http"], timeout=20).read()

    def run(self):
        actions = [self.clean, self.encrypted, self.cut, self.resume, self.half_login, self.wrong_password, self.half_stanza, self.bad_xml, self.store, self.http]
        while not self.over.is_set():
            action = self.rng.choice(actions)
            try:
                action()
                self.done += 1
            except (ConnectionError, AssertionError) as e:
                # two things of one account may meet: a resource taken over ends with conflict
                if "conflict" not in str(e) and "eof" not in str(e):
                    self.error = "%s in %s: %s" % (self.name, action.__name__, e)
                    return
            except Exception as e:  # noqa: shown by the caller
                self.error = "%s in %s: %s: %s" % (self.name, action.__name__, type(e).__name__, e)
                return


def levels(srv):
    """Anonymous memory in KiB (pages of the store's file come and go as the kernel likes) and open descriptors."""
    with open("/proc/%d/status" % srv.proc.pid) as f:
        kb = int(re.search(r"^RssAnon:\s+(\d+)", f.read(), re.M).group(1))
    return kb, len(os.listdir("/proc/%d/fd" % srv.proc.pid))


def number(srv, name):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % srv.ports["http"], timeout=20) as f:
        return float(re.search(r"^%s (\S+)$" % name, f.read().decode(), re.M).group(1))


def quiet(srv):
    """All connections closed and all sessions expired."""
    deadline = time.monotonic() + 30
    while number(srv, "vestnik_connections") > 1 or len(srv.ctl("sessions").stdout.splitlines()) > 1:
        if time.monotonic() > deadline:
            raise AssertionError("connections or sessions are left:\n%s" % srv.ctl("sessions").stdout[:1000])
        time.sleep(0.1)


def churn(srv, seconds, seed):
    stop = threading.Event()
    people = [Person(srv, "u%d" % i, seed, stop) for i in range(PEOPLE)]
    for p in people:
        p.start()
    for _ in range(int(seconds / 0.1)):
        if any(p.error for p in people):
            break
        time.sleep(0.1)  # how long it soaks, not a wait for something
    stop.set()
    for p in people:
        p.join(60)
    errors = [p.error for p in people if p.error]
    assert not errors, "\n".join(errors[:5]) + "\n" + srv.log_tail()
    quiet(srv)
    return sum(p.done for p in people)


def server(command=None):
    srv = servers.make("vestnik", domains=[DOMAIN], limits={"sm_resume_ms": 1500})
    if command:
        srv.command = lambda: [command, "-c", srv.conf]
    srv.start()
    srv.add_users({"u%d" % i: "pw-u%d" % i for i in range(PEOPLE)})
    return srv


def drift(tap, args):
    srv = server(plain_vestnikd())
    churn(srv, max(4.0, args.seconds * 0.4), args.seed)
    kb, fds = levels(srv)
    done = churn(srv, args.seconds * 0.6, args.seed + 1)
    kb2, fds2 = levels(srv)
    tap.note("%d visits; memory %d -> %d KiB, descriptors %d -> %d" % (done, kb, kb2, fds, fds2))
    assert done > 20 * args.seconds * 0.6, "only %d visits" % done
    assert kb2 <= kb * DRIFT + ROOM_KB, "memory grew from %d to %d KiB" % (kb, kb2)
    assert fds2 <= fds + ROOM_FDS, "descriptors grew from %d to %d" % (fds, fds2)
    assert srv.stop() == 0, srv.log_tail()
    srv.check_log()


def sanitized(tap, args):
    srv = server()
    done = churn(srv, args.seconds * 0.4, args.seed + 2)
    tap.note("%d visits" % done)
    assert srv.stop() == 0, srv.log_tail(60)
    srv.check_log()


def run(tap, args):
    tap.run("D19 people come and go: memory and descriptors are back where they were", drift, tap, args)
    tap.run("D19 the same under AddressSanitizer: no report, no leak at the end", sanitized, tap, args)
