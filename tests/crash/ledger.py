"""The ledger test's clients and checker (rows D01, D03-D06, D16, D17; promises P1-P4).

Each client sends numbered messages to random others, window 10, with XEP-0198; it writes every id sent, acknowledged, refused
and received to append-only files outside the server, resumes or logs in again whenever the server is gone, and resends what
was not acknowledged with the same origin-id. check() compares the ledgers with each other and with the archives.
"""
import collections
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import client  # noqa: E402
from client import NS_SM, Client  # noqa: E402

NS_SID = "urn:xmpp:sid:0"
NS_MAM = "urn:xmpp:mam:2"
WINDOW = 10


TRANSPORTS = ("tcp", "ws", "bosh", "tcp")  # of the clients in turn


class Ledger:
    """Append-only files of one client, and the same in memory."""

    def __init__(self, folder, name):
        self.files = {k: open(os.path.join(folder, "%s.%s" % (name, k)), "a", buffering=1)
                      for k in ("sent", "acked", "refused", "recv")}
        self.sent, self.acked, self.refused, self.recv = [], [], {}, []

    def put(self, kind, *fields):
        self.files[kind].write("\t".join(fields) + "\n")


class Talker(threading.Thread):
    """One client with its account. world: shared state (server, stop flags)."""

    def __init__(self, world, name, transport):
        super().__init__(daemon=True)
        self.world, self.name, self.transport = world, name, transport
        self.ledger = Ledger(world.folder, name)
        self.number = 0
        self.conn = None
        self.unacked = collections.deque()
        self.sm_id = None
        self.handled = 0
        self.resumes = self.logins = 0
        self.error = None
        self.rng = random.Random("%s %s" % (world.seed, name))

    # --- stanzas ---------------------------------------------------------------------------------------------------------
    def _stanza(self, msg_id, to):
        return ("<message type='chat' to='%s@%s' id='%s'><body>%s</body><origin-id xmlns='%s' id='%s'/></message>"
                % (to, self.world.domain, msg_id, msg_id, NS_SID, msg_id))

    def _out(self, data, msg_id=None):
        """A counted stanza: it stays in unacked until the server says that it handled it."""
        self.unacked.append((msg_id, data))
        self.conn.send(data)

    def _say(self):
        self.number += 1
        to = self.rng.choice([n for n in self.world.names if n != self.name])
        msg_id = "%s-%s-%06d" % (self.name, to, self.number)
        self.ledger.sent.append(msg_id)
        self.ledger.put("sent", msg_id)
        self._out(self._stanza(msg_id, to), msg_id)
        self.conn.send("<r xmlns='%s'/>" % NS_SM)

    def _acked(self, h):
        count = (h - self.acked_to) & 0xFFFFFFFF
        if count > len(self.unacked):
            raise AssertionError("%s: server acknowledges %d, we sent %d" % (self.name, h, self.acked_to + len(self.unacked)))
        self.acked_to = h
        for _ in range(count):
            msg_id, _data = self.unacked.popleft()
            if msg_id and msg_id not in self.ledger.refused:
                self.ledger.acked.append(msg_id)
                self.ledger.put("acked", msg_id)
                self.world.loaded.set()

    def _take(self, el):
        if el.ns == NS_SM:
            if el.name == "r":
                self.conn.send("<a xmlns='%s' h='%d'/>" % (NS_SM, self.handled))
            elif el.name == "a":
                self._acked(int(el["h"]))
            return
        if el.name == "error" and el.ns == "http://etherx.jabber.org/streams":
            return
        self.handled += 1
        if el.name == "iq" and el["type"] == "get":
            self._out("<iq type='result' id='%s'/>" % el["id"])
        if el.name != "message":
            return
        if el["type"] == "error":
            condition = el.find("error").elements()[0].name
            self.ledger.refused[el["id"]] = condition
            self.ledger.put("refused", el["id"], condition)
            if el["id"] in self.ledger.acked:
                self.ledger.acked.remove(el["id"])
            return
        sid = el.find("stanza-id", NS_SID)
        row = (el["from"].partition("@")[0], el.child_text("body") or "", sid["id"] if sid else "")
        self.ledger.recv.append(row)
        self.ledger.put("recv", *row)

    # --- connection ------------------------------------------------------------------------------------------------------
    def _connect(self):
        c = self.conn = self.world.client(self.name, "r", self.transport)
        c.open()
        c.auth("PLAIN")
        c.open()
        if self.sm_id:
            c.send("<resume xmlns='%s' h='%d' previd='%s'/>" % (NS_SM, self.handled, self.sm_id))
            el = c.stanza()
            if el["h"]:
                self._acked(int(el["h"]))
            if el.name == "resumed":
                self.resumes += 1
                for _msg_id, data in self.unacked:
                    c.send(data)
                c.send("<r xmlns='%s'/>" % NS_SM)
                return
        self.sm_id = None
        c.bind()
        again = [m for m in self.unacked if m[0]]
        self.unacked.clear()
        self.sm_id = c.enable_sm()["id"]
        self.acked_to = self.handled = 0
        self.logins += 1
        self._out("<presence/>")
        for msg_id, data in again:
            self._out(data, msg_id)
        c.send("<r xmlns='%s'/>" % NS_SM)

    def _work(self):
        w = self.world
        while not w.done.is_set():
            if w.gives_up(self):
                raise ConnectionError("given up by the client")
            while not w.quiet.is_set() and len(self.unacked) < WINDOW:
                self._say()
            ev = self.conn.poll(0.1)
            if ev is None:  # no second <r/>: the server owes the answer to the first, also when the disk was full meanwhile
                continue
            if ev[0] != "stanza":
                raise ConnectionError("stream ended")
            self._take(ev[1])

    def run(self):
        w = self.world
        while not w.done.is_set():
            if not w.up.wait(0.2):
                continue
            try:
                self._connect()
                self._work()
            except (OSError, client.Timeout, ConnectionError) as e:
                self.last_trouble = e
                self._gone()
            except client.AuthFailed as e:
                if e.condition not in ("temporary-auth-failure", "system-shutdown"):
                    w.errors.append("%s: %s" % (self.name, e))
                    return
                self._gone()
            except AssertionError as e:
                # a server that is being killed may cut any exchange; only a wrong answer of a living one counts
                if "resource-constraint" in str(e) or "system-shutdown" in str(e):
                    self._gone()
                    continue
                if self.conn is None or not (self.conn.eof or not w.up.is_set() or "got eof" in str(e) or "got end" in str(e)):
                    self.error = "%s: %s" % (self.name, e)
                    w.errors.append(self.error)
                    return
                self._gone()
            except Exception as e:  # noqa: shown by the checker
                w.errors.append("%s: %s: %s" % (self.name, type(e).__name__, e))
                return
        if self.conn and not self.conn.eof:
            self.conn.close()

    def _gone(self):
        if self.conn:
            self.conn.drop()
        w = self.world
        if not w.up.is_set() or w.quiet.is_set():
            return
        w.pause.wait(0.02)  # the kill may not be known to us yet: no reconnect storm against a dying server


class World:
    """Server and clients of one ledger run."""
    transports = TRANSPORTS

    def __init__(self, server, folder, clients=8, seed=0):
        self.server, self.folder, self.seed = server, folder, seed
        self.domain = server.domains[0]
        self.names = ["u%d" % i for i in range(clients)]
        self.up, self.quiet, self.done, self.pause, self.loaded = (threading.Event() for _ in range(5))
        self.errors = []
        os.makedirs(folder, exist_ok=True)
        self.talkers = [Talker(self, n, self.transports[i % len(self.transports)] if server.name == "vestnik" else "tcp") for i, n in enumerate(self.names)]

    def client(self, name, resource, transport="tcp"):
        """A connection on which no stream is open yet."""
        port = self.server.ports["plain" if transport == "tcp" else "http"]
        return Client(port, self.domain, name, "pw-" + name, resource, transport=transport)

    def gives_up(self, _talker):
        """True when that client shall leave its connection without a word (tests/partition)."""
        return False

    def start(self):
        self.server.start()
        self.server.add_users({n: "pw-" + n for n in self.names})
        self.up.set()
        for t in self.talkers:
            t.start()

    def down(self, how):
        """how: Server.kill or Server.stop; returns the exit code. The server is up again afterwards."""
        self.up.clear()
        self.loaded.clear()
        code = how()
        self.server.start()
        self.up.set()
        return code

    def settle(self, timeout_s=60):
        """No new messages; waits until everything sent is answered and what was acknowledged has arrived."""
        self.quiet.set()
        pending = None
        for _ in range(int(timeout_s / 0.1)):
            pending = [t.name for t in self.talkers if t.unacked or t.conn is None]
            if self.errors:
                break
            if not pending:
                pending = sorted(self.missing())
                if not pending:
                    break
            self.pause.wait(0.1)
        self.done.set()
        for t in self.talkers:
            t.join(30)
        return pending

    def missing(self):
        """Acknowledged and not received: set of message ids."""
        got = set()
        for t in self.talkers:
            got.update(body for _frm, body, _sid in t.ledger.recv)
        return {m for t in self.talkers for m in t.ledger.acked} - got

    # --- checking --------------------------------------------------------------------------------------------------------
    def archive(self, name):
        """The archive of one account as [(stanza id, sender, body)] in archive order."""
        c = self.client(name, "check")
        c.login("PLAIN")
        found, after = [], ""
        while True:
            page = "<set xmlns='http://jabber.org/protocol/rsm'><max>100</max>%s</set>" % (
                "<after>%s</after>" % after if after else "")
            del c.kept[:]
            fin = c.iq("set", "<query xmlns='%s'>%s</query>" % (NS_MAM, page))
            assert fin["type"] == "result", "archive query: %s" % fin
            rows = [e.find("result", NS_MAM) for e in c.kept if e.name == "message" and e.find("result", NS_MAM)]
            for r in rows:
                m = r.path("forwarded", "message")
                found.append((r["id"], m["from"].partition("@")[0], m.child_text("body") or ""))
            if fin.find("fin", NS_MAM)["complete"] in ("true", "1") or not rows:
                break
            after = rows[-1]["id"]
        c.close()
        return found

    def _archive(self, name):
        """The same, again when the daemon ends meanwhile (fault rounds)."""
        for left in reversed(range(50)):
            try:
                return self.archive(name)
            except (OSError, AssertionError):
                if not left:
                    raise
                self.pause.wait(0.1)

    def check(self):
        """All broken promises as a list of texts."""
        bad = list(self.errors)
        sent = {m for t in self.talkers for m in t.ledger.sent}
        acked = [m for t in self.talkers for m in t.ledger.acked]
        bad += ["acknowledged twice: %s" % m for m, n in collections.Counter(acked).items() if n > 1]
        archives = {n: self._archive(n) for n in self.names}
        for name in self.names:
            bad += self._check_archive(name, archives[name], sent, set(acked))
            bad += self._check_received(name, archives[name])
        missing = self.missing()
        bad += ["acknowledged, never delivered: %s" % m for m in sorted(missing)]
        return bad

    def _check_archive(self, name, rows, sent, acked):
        bad = []
        count = collections.Counter(body for _sid, _frm, body in rows)
        mine = [m for m in acked if name in m.split("-")[:2]]
        bad += ["%s: acknowledged, not in the archive: %s" % (name, m) for m in mine if not count[m]]
        bad += ["%s: %d times in the archive: %s" % (name, n, m) for m, n in count.items() if n > 1]
        bad += ["%s: in the archive, never sent: %s" % (name, m) for m in count if m not in sent]
        ids = collections.Counter(sid for sid, _frm, _body in rows)
        bad += ["%s: archive id used twice: %s" % (name, i) for i, n in ids.items() if n > 1]
        return bad

    def _check_received(self, name, archive):
        """Deliveries: a repeated one has the same stanza-id; first ones of each sender come in the order of sending."""
        bad, first, last = [], {}, {}
        talker = [t for t in self.talkers if t.name == name][0]
        in_archive = {body: sid for sid, _frm, body in archive}
        for frm, body, sid in talker.ledger.recv:
            if body in first:
                if first[body] != sid:
                    bad.append("%s: %s delivered as %s and as %s" % (name, body, first[body], sid))
                continue
            first[body] = sid
            if body not in in_archive:
                bad.append("%s: delivered but not in the archive: %s" % (name, body))
            elif sid and in_archive[body] != sid:
                bad.append("%s: %s delivered as %s, archived as %s" % (name, body, sid, in_archive[body]))
            number = int(body.split("-")[2])
            if number <= last.get(frm, 0):
                bad.append("%s: from %s: %d after %d" % (name, frm, number, last[frm]))
            last[frm] = number
        return bad

    def summary(self):
        t = self.talkers
        return "%d sent, %d acknowledged, %d refused, %d received, %d resumes, %d logins" % (
            sum(len(x.ledger.sent) for x in t), sum(len(x.ledger.acked) for x in t), sum(len(x.ledger.refused) for x in t),
            sum(len(x.ledger.recv) for x in t), sum(x.resumes for x in t), sum(x.logins for x in t))
