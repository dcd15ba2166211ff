"""The session of the malloc sweep: two people do a bit of everything, and go on when something is refused or a connection is lost. What they are promised is
noted as the marks of tests/power/promise.h; a question without an answer on an open connection is a broken promise too."""
import client
from client import NS_SM, AuthFailed, Client

PEOPLE = ("alice", "bob")
DOMAIN = "memory.test"
TIMEOUT_S = 10
# What a server without memory may say.
REFUSALS = {"resource-constraint", "internal-server-error", "system-shutdown", "temporary-auth-failure", "undefined-condition", "service-unavailable"}


class Lost(Exception):
    """The connection is gone, or the stream was ended with one of REFUSALS."""


class Person:
    def __init__(self, script, name):
        self.script, self.name, self.other = script, name, PEOPLE[name == PEOPLE[0]]
        self.c = self.sm_id = None
        self.handled, self.waiting, self.number, self.acked_to = 0, [], 0, 0

    def open(self, resume=False):
        tls = self.name == "bob"
        c = self.c = Client(self.script.srv.ports["starttls" if tls else "plain"], DOMAIN, self.name, "pw-" + self.name, "r")
        if tls:
            c.starttls()
        c.open()
        c.auth(self.script.mechanism)
        c.open()
        if resume and self.sm_id:
            c.send("<resume xmlns='%s' h='%d' previd='%s'/>" % (NS_SM, self.handled, self.sm_id))
            el = self.until(lambda e: e.ns == NS_SM and e.name in ("resumed", "failed"))
            if el.name == "resumed":
                self.take_h(int(el["h"]))
                self.waiting = self.waiting[:self.acked_to]
                return
        c.bind()
        self.script.marks = [m for m in self.script.marks if not m.startswith("sm %s " % self.sm_id)]  # the old session ended
        self.handled = 0
        self.sm_id = c.enable_sm()["id"]
        self.waiting, self.acked_to = [], 0

    def stanza(self):
        el = self.c.stanza(TIMEOUT_S)
        if el.name == "error" and el.ns == "http://etherx.jabber.org/streams":
            self.script.refuse(el.elements()[0].name)
            raise Lost("stream error")
        self.handled += el.name in ("iq", "message", "presence")
        return el

    def until(self, test):
        while True:
            el = self.stanza()
            if el.ns == NS_SM and el.name == "r":
                self.c.send("<a xmlns='%s' h='%d'/>" % (NS_SM, self.handled))
            elif el.ns == NS_SM and el.name == "a":
                self.take_h(int(el["h"]))
            elif el.name == "message" and el["type"] == "error":
                self.refused(el)
            elif el.name == "iq" and el["type"] in ("get", "set"):
                self.count("<iq type='result' id='%s'/>" % el["id"])
            if test(el):
                return el

    def refused(self, el):
        self.script.refuse(el.find("error").elements()[0].name)
        self.waiting = [None if m == el["id"] else m for m in self.waiting]

    def take_h(self, h):
        for body in self.waiting[self.acked_to:h]:
            if body:
                self.script.marks.append("acked " + body)
        self.acked_to = h
        self.script.marks.append("sm %s %d" % (self.sm_id, h))

    def count(self, text, body=None):
        self.waiting.append(body)
        self.c.send(text)

    def iq(self, kind, child, to=None):
        """Answer or None when it was refused."""
        iq_id = self.c.new_id("q")
        self.count("<iq type='%s' id='%s'%s>%s</iq>" % (kind, iq_id, " to='%s'" % to if to else "", child))
        el = self.until(lambda e: e.name == "iq" and e["id"] == iq_id and e["type"] in ("result", "error"))
        if el["type"] == "error":
            self.script.refuse(el.find("error").elements()[0].name)
            return None
        return el

    # --- the steps ---------------------------------------------------------------------------------------------------------
    def presence(self):
        self.count("<presence><show>chat</show></presence>")
        self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", DOMAIN)

    def roster(self):
        self.iq("get", "<query xmlns='jabber:iq:roster'/>")
        self.iq("set", "<query xmlns='jabber:iq:roster'><item jid='%s@%s' name='Friend'/></query>" % (self.other, DOMAIN))
        self.count("<presence type='subscribe' to='%s@%s'/>" % (self.other, DOMAIN))

    def messages(self):
        for _ in range(3):
            self.number += 1
            body = "%s-%d" % (self.name, self.number)
            self.count("<message type='chat' to='%s@%s' id='%s'><body>%s</body><origin-id xmlns='urn:xmpp:sid:0' id='%s'/></message>"
                       % (self.other, DOMAIN, body, body, body), body)
        sent = len(self.waiting)
        self.c.send("<r xmlns='%s'/>" % NS_SM)
        self.until(lambda e: e.ns == NS_SM and e.name == "a" and int(e["h"]) >= sent)

    def private(self):
        self.number += 1
        if self.iq("set", "<query xmlns='jabber:iq:private'><p xmlns='test:memory'>%s:%d</p></query>" % (self.name, self.number)):
            self.script.marks.append("private %s %d" % (self.name, self.number))

    def pep(self):
        self.iq("set", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='http://jabber.org/protocol/nick'><item id='current'>"
                "<nick xmlns='http://jabber.org/protocol/nick'>%s</nick></item></publish></pubsub>" % self.name)

    def questions(self):
        self.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", DOMAIN)
        self.iq("get", "<vCard xmlns='vcard-temp'/>")
        self.iq("set", "<block xmlns='urn:xmpp:blocking'><item jid='stranger@%s'/></block>" % DOMAIN)
        self.iq("set", "<query xmlns='urn:xmpp:mam:2' queryid='m'><set xmlns='http://jabber.org/protocol/rsm'><max>10</max></set></query>")

    def come_again(self):
        self.c.drop()
        self.open(resume=True)


class Script:
    STEPS = ("presence", "roster", "messages", "private", "pep", "questions", "come_again", "messages", "private")

    def __init__(self, srv, mechanism="SCRAM-SHA-256"):
        self.srv, self.mechanism = srv, mechanism
        self.marks, self.refused, self.broken = [], [], []
        self.people = [Person(self, name) for name in PEOPLE]

    def refuse(self, condition):
        self.refused.append(condition)
        if condition not in REFUSALS:
            self.broken.append("refused with %s" % condition)

    def attempt(self, p, what):
        """One step. A lost connection ends it, silence breaks the promise; a person without a connection tries to get one first."""
        try:
            if p.c is None or p.c.eof:
                p.open()
            what()
        except client.Timeout as e:
            self.broken.append("%s: no answer: %s" % (getattr(what, "__name__", "step"), e))
            p.c.drop()
        except AuthFailed as e:
            self.refuse(e.condition)
            p.c.drop()
        except (OSError, Lost):
            if p.c:
                p.c.drop()
        except AssertionError as e:
            named = [r for r in REFUSALS if r in str(e)]
            if named:
                self.refuse(named[0])
            elif "got eof" not in str(e) and "got end" not in str(e):
                self.broken.append("%s: %s" % (getattr(what, "__name__", "step"), e))
            p.c.drop()

    def run(self):
        for name in self.STEPS:
            for p in self.people:
                if self.srv.proc.poll() is None and not self.broken:
                    self.attempt(p, getattr(p, name))
        for p in self.people:
            if p.c and not p.c.eof:
                p.c.close()
