"""The script language: parses tests/scripts/*.scs and plays them against a server (tests/scripts/README.md is the manual)."""
import base64
import hashlib
import os
import re
import time

import client
import match
from tap import Skip
from xmltree import escape, parse_fragment, to_xml

GRACE_S = float(os.environ.get("TEST_GRACE_MS", "120")) / 1000
CSV_HEADER = "id,login,password,full_name,department,position,email,phone,head\n"
NS_ROSTER = "jabber:iq:roster"
NS_DISCO = "http://jabber.org/protocol/disco#info"


class ScriptError(Exception):
    """The script itself is wrong."""


class Failure(AssertionError):
    """The server did not do what the script expects."""


class Actor:
    def __init__(self, name, account, resource, options):
        self.name, self.account, self.resource, self.options = name, account, resource, options


class Step:
    def __init__(self, line, who, verb, rest, block):
        self.line, self.who, self.verb, self.rest, self.block = line, who, verb, rest, block


class Script:
    """A parsed file: head settings and steps."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-4]
        self.title = ""
        self.users, self.people, self.options = [], "", ""
        self.limits = {}
        self.golden = self.own_server = False
        self.skip_on = {}
        self.actors = {}
        self.steps = []
        with open(path, encoding="utf-8") as f:
            self._parse(f.read().split("\n"))

    def domain(self, lane=""):
        return "%s%s.test" % (self.name.replace("_", "-"), lane)

    def _parse(self, lines):
        items = list(self._items(lines))
        in_head = True
        for number, text, block in items:
            if text == "---":
                in_head = False
            elif in_head:
                self._head(number, text, block)
            else:
                self._step(number, text, block)
        if in_head:
            raise ScriptError("%s: no line '---' between head and steps" % self.path)
        if not self.steps:
            raise ScriptError("%s: no steps" % self.path)

    def _items(self, lines):
        """Groups each line at column 0 with the indented block below it."""
        current = None
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                if not self.title:
                    self.title = line.lstrip("# ")
                continue
            if line[:1] in (" ", "\t"):
                if current is None:
                    raise ScriptError("%s:%d: indented line without a step" % (self.path, number))
                current[2].append(line.strip(" \t"))
            elif line.strip():
                if current:
                    yield current
                current = [number, line.strip(), []]
        if current:
            yield current

    def _head(self, number, text, block):
        key, _, rest = text.partition(":")
        rest = rest.strip()
        if text == "golden":
            self.golden = True
        elif text == "server: own":
            self.own_server = True
        elif key == "users":
            self.users = rest.split()
        elif key == "people":
            self.people = "\n".join(b for b in block if b)
        elif key == "options":
            self.options = "\n".join(self._dedented(number))
            self.own_server = True
        elif key == "limits":
            self.limits = {k: int(v) for k, v in (w.split("=") for w in rest.split())}
            self.own_server = True
        elif key.startswith("not on "):
            self.skip_on[key[7:]] = rest
        elif key.startswith("actor "):
            self._actor(key[6:].strip(), rest)
        else:
            raise ScriptError("%s:%d: unknown head line %r" % (self.path, number, text))

    def _dedented(self, number):
        with open(self.path, encoding="utf-8") as f:
            for line in f.read().split("\n")[number:]:
                if not line[:1] in (" ", "\t"):
                    return
                yield line[4:]

    def _actor(self, name, rest):
        words = rest.split() or [name]
        account, _, resource = words[0].partition("/")
        options = dict(w.partition("=")[::2] for w in words[1:])
        self.actors[name] = Actor(name, account, resource or name, options)

    def _step(self, number, text, block):
        raw = re.match(r"(\S+) sends text: (.*)$", text)
        if raw:
            if raw.group(1) not in self.actors:
                raise ScriptError("%s:%d: no actor %r" % (self.path, number, raw.group(1)))
            self.steps.append(Step(number, raw.group(1), "sends", raw.group(2), ""))
            return
        has_block = text.endswith(":")
        text = text[:-1] if has_block else text
        who, _, rest = text.partition(" ")
        verb, _, rest = rest.partition(" ")
        verb = verb.rstrip(":")
        if who not in self.actors and who not in ("server", "ctl", "company", "all"):
            raise ScriptError("%s:%d: no actor %r" % (self.path, number, who))
        if block and not has_block:
            raise ScriptError("%s:%d: block below a line that does not end with ':'" % (self.path, number))
        if who in ("ctl", "company"):
            verb, rest = who, (verb + " " + rest).strip()
        self.steps.append(Step(number, who, verb, rest, "\n".join(block).strip("\n")))


class World:
    """One playing of one script in one domain of a running server."""

    def __init__(self, script, server, domain, splitter=None, port=None, transport="tcp"):
        self.script, self.server, self.domain = script, server, domain
        self.transport = transport
        self.splitter = splitter
        self.port = port
        self.vars = {"domain": domain}
        self.conns = {}
        self.ignored = {}
        self.transcript = []
        self.answer_times = []

    # --- variables -------------------------------------------------------------------------------------------------------
    def lookup(self, name):
        if name in self.vars:
            return self.vars[name]
        head, _, rest = name.partition(" ")
        if rest:
            return self._function(head, rest)
        base, _, part = name.partition(".")
        if part == "bare":
            actor = self.script.actors.get(base)
            return "%s@%s" % (actor.account if actor else base, self.domain)
        actor = self.script.actors.get(base)
        if actor:
            full = "%s@%s/%s" % (actor.account, self.domain, actor.resource)
            if base in self.conns and self.conns[base].jid:
                full = self.conns[base].jid
            return full if not part else full.partition("/")[2]
        raise ScriptError("unknown variable {%s}" % name)

    def _function(self, head, rest):
        if head == "plain":
            words = (rest.split() + [""])[:2]
            return self._b64("%s\0%s\0%s" % (words[1], words[0], self.password(words[0])))
        if head == "base64":
            return self._b64(rest.replace("\\0", "\0"))
        if head == "hex":
            return bytes.fromhex(rest).decode("utf-8", "surrogateescape")
        if head == "repeat":
            count, _, what = rest.partition(" ")
            return what * int(count)
        if head == "password":
            return self.password(rest)
        if head == "escape":
            return escape(self.lookup(rest))
        raise ScriptError("unknown function {%s ...}" % head)

    @staticmethod
    def _b64(s):
        return base64.b64encode(s.encode()).decode()

    def password(self, user):
        if "password " + user in self.vars:
            return self.vars["password " + user]
        for row in self.script.people.splitlines():
            cells = row.split(",")
            if len(cells) > 2 and cells[1].split("@")[0] == user:
                return cells[2]
        return "pw-" + user

    def expand(self, text):
        return match.expand(text, self.lookup)

    # --- playing ---------------------------------------------------------------------------------------------------------
    def prepare(self):
        if self.script.people:
            self.company(self.script.people)
        if self.script.users:
            self.server.add_users({u: self.password(u) for u in self.script.users}, self.domain)

    def company(self, rows):
        self.server.import_org(CSV_HEADER + "\n".join(b for b in self.expand(rows).splitlines() if b) + "\n", self.domain)

    def play(self):
        """Raises Failure (with script line) at the first step that does not come true."""
        step = None
        try:
            for step in self.script.steps:
                self._do(step)
            step = None
            self._final()
        except (AssertionError, ValueError, OSError) as e:
            where = "%s:%d" % (self.script.path, step.line) if step else "%s: at the end" % self.script.path
            raise Failure("%s: %s" % (where, e)) from e
        except ScriptError as e:
            raise ScriptError("%s:%s: %s" % (self.script.path, step.line if step else "", e)) from e
        finally:
            for c in self.conns.values():
                c.close()

    def _do(self, step):
        if step.who == "ctl":
            return self._ctl(step)
        if step.who == "company":
            return self.company(step.block)
        name = "_%s_%s" % ("server" if step.who == "server" else "all" if step.who == "all" else "do", step.verb)
        fn = getattr(self, name, None)
        if fn is None:
            raise ScriptError("unknown step: %s %s" % (step.who, step.verb))
        return fn(step)

    def _conn(self, step):
        if step.who not in self.conns:
            raise ScriptError("%s is not connected" % step.who)
        return self.conns[step.who]

    def _open(self, who):
        actor = self.script.actors[who]
        tls = actor.options.get("tls", "none")
        web = self.transport != "tcp"
        port = self.port or self.server.ports["http" if web else {"none": "plain"}.get(tls, tls)]
        conn = client.Client(port, self.domain, actor.account, self.password(actor.account), actor.resource,
                             direct_tls=(tls == "direct" and not self.port), transport=self.transport)
        if web:
            conn.sock.wire = self.splitter
        else:
            conn.on_send = self.splitter
        if who in self.conns:
            self.conns[who].close()
        self.conns[who] = conn
        return conn, actor

    def _do_opens(self, step):
        self._open(step.who)

    def _do_authenticates(self, step):
        conn, actor = self._open(step.who)
        if actor.options.get("tls") == "starttls":
            conn.starttls()
        conn.open()
        conn.auth(actor.options.get("mech", "SCRAM-SHA-1"))
        conn.open()

    def _do_connects(self, step):
        self._do_authenticates(step)
        conn = self.conns[step.who]
        conn.bind()
        for word in step.rest.split():
            if word == "interested":
                conn.iq("get", "<query xmlns='%s'/>" % NS_ROSTER)
            elif word == "carbons":
                conn.iq("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
            elif word == "sm":
                self.vars[step.who + ".sm"] = conn.enable_sm()["id"] or ""
            elif word == "available":
                conn.presence()
            else:
                raise ScriptError("connects: unknown word %r" % word)
        for el in reversed(conn.kept):
            conn.push_back(("stanza", el))
        conn.kept.clear()

    def _do_announces(self, step):
        """NAME announces: features   Presence with entity caps (XEP-0115); answers the server's disco query for them."""
        conn = self._conn(step)
        features = sorted(self.expand(step.rest or step.block).split() + ["http://jabber.org/protocol/caps"])
        name = "%s of %s" % (step.who, self.domain)
        text = "client/pc//%s<%s<" % (name, "<".join(features))
        ver = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
        conn.send("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:example:test' ver='%s'/></presence>" % ver)
        conn.ping()
        while True:  # a server that knows this hash already does not ask
            queries = [e for e in conn.kept if e.name == "iq" and e["type"] == "get" and e.find("query", NS_DISCO)]
            ev = None if queries else conn.poll(GRACE_S)
            if ev is None:
                break
            conn.kept.append(ev[1])
        for query in queries:
            conn.kept.remove(query)
            self._answer_caps(conn, query, name, features)
        for el in reversed(conn.kept):
            conn.push_back(("stanza", el))
        conn.kept.clear()

    @staticmethod
    def _answer_caps(conn, query, name, features):
        node = query.find("query", NS_DISCO)["node"]
        conn.send("<iq type='result' id='%s' to='%s'><query xmlns='%s'%s><identity category='client' type='pc' name='%s'/>%s</query></iq>" % (
            escape(query["id"]), escape(query["from"] or conn.domain), NS_DISCO, " node='%s'" % escape(node) if node else "", escape(name),
            "".join("<feature var='%s'/>" % escape(f) for f in features)))
        conn.ping()

    def _do_sends(self, step):
        data = self.expand(step.block or step.rest)
        if not step.rest:
            data = data.replace("\n", "")
        conn = self._conn(step)
        conn.send(data.encode("utf-8", "surrogateescape"))
        conn.sent_at = time.monotonic()

    def _do_starts(self, step):
        self._conn(step).start_tls()

    def _do_closes(self, step):
        self._conn(step).goodbye()
        del self.conns[step.who]

    def _do_drops(self, step):
        self._conn(step).drop()
        del self.conns[step.who]

    def _do_ignores(self, step):
        self.ignored[step.who] = [] if step.rest == "nothing" else self.ignored.get(step.who, []) + self._patterns(step.block)

    def _do_is(self, step):
        """NAME is closed: the server ends the stream (or just the connection)."""
        conn = self._conn(step)
        kind, el = self._next(step.who)
        if kind == "end":
            kind, el = conn.event()
        if kind != "eof":
            raise Failure("%s: expected the end of the connection, got %s" % (step.who, el))
        conn.close()
        del self.conns[step.who]

    def _patterns(self, text):
        """Elements of a block; <stream:stream ...> (left open) becomes a header pattern, </stream:stream> an end."""
        found = []
        for piece in re.split(r"(<stream:stream[^>]*>|</stream:stream>)", text):
            if piece == "</stream:stream>":
                found.append(None)
            elif piece.startswith("<stream:stream"):
                found.extend(parse_fragment(piece.rstrip("/>") + "/>", "xmlns:t='%s'" % match.NS_T))
            elif piece.strip():
                found.extend(parse_fragment(piece, "xmlns:t='%s'" % match.NS_T))
        return found

    def _do_receives(self, step):
        if step.rest == "nothing":
            return self._nothing([step.who])
        patterns = self._patterns(step.block)
        if step.rest == "in any order":
            return self._receive_set(step.who, patterns)
        for p in patterns:
            self._receive_one(step.who, p)

    def _next(self, who, timeout_s=None):
        """Next event that is not ignored."""
        while True:
            ev = self.conns[who].event(timeout_s)
            if not self._is_ignored(who, ev):
                return ev

    def _is_ignored(self, who, ev):
        return ev[0] == "stanza" and any(self._fits(p, ev) for p in self.ignored.get(who, []))

    def _fits(self, pattern, ev, caps=None):
        try:
            self._match(pattern, ev, {} if caps is None else caps)
            return True
        except match.Mismatch:
            return False

    def _match(self, pattern, ev, caps):
        kind, el = ev
        if pattern is None:
            if kind != "end":
                raise match.Mismatch("got %s, expected the end of the stream" % (el or kind))
            return
        if kind in ("end", "eof"):
            raise match.Mismatch("the stream ended")
        is_header = (pattern.name == "stream")
        if is_header != (kind == "header"):
            raise match.Mismatch("got %s" % kind)
        match.match(pattern, el, self.lookup, caps)

    def _receive_one(self, who, pattern):
        while True:
            ev = self.conns[who].event()
            caps = {}
            try:
                self._match(pattern, ev, caps)
            except match.Mismatch as e:
                if self._is_ignored(who, ev):
                    continue
                raise Failure("%s received %s\nexpected %s\n%s\n%s" % (who, ev[1] or ev[0], to_xml(pattern) if pattern else "end", e,
                                                                      self.conns[who].tail(4))) from None
            self._note(who, ev, caps)
            return

    def _receive_set(self, who, patterns):
        left = list(patterns)
        while left:
            ev = self.conns[who].event()
            for i, p in enumerate(left):
                caps = {}
                if self._fits(p, ev, caps):
                    self._note(who, ev, caps)
                    del left[i]
                    break
            else:
                if not self._is_ignored(who, ev):
                    raise Failure("%s received %s\nwhich fits none of\n%s" % (who, ev[1] or ev[0], "\n".join(map(str, left))))

    def _note(self, who, ev, caps):
        conn = self.conns[who]
        if getattr(conn, "sent_at", None):
            self.answer_times.append(time.monotonic() - conn.sent_at)
            conn.sent_at = None
        self.vars.update(caps)
        if ev[0] == "stanza" and ev[1].name == "features":
            ev[1].kids.sort(key=str)  # their order says nothing
        self.transcript.append("%s %s" % (who, to_xml(ev[1]) if ev[1] is not None else ev[0]))

    # --- silence ---------------------------------------------------------------------------------------------------------
    def _barrier(self):
        """Every bound actor pings; what arrives before the answer stays queued in order."""
        for who, conn in self.conns.items():
            if not conn.jid or conn.eof or conn.parser.ended:
                continue
            self.barriers = getattr(self, "barriers", 0) + 1
            iq_id = "barrier-%d" % self.barriers
            keep = []
            conn.sock.sendall(b"<iq type='get' id='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>" % (
                iq_id.encode(), self.domain.encode()))
            while True:
                ev = conn.event()
                if ev[0] == "stanza" and ev[1].name == "iq" and ev[1]["id"] == iq_id:
                    break
                keep.append(ev)
                if ev[0] in ("end", "eof"):
                    break
            conn.parser.events[:0] = keep

    def _nothing(self, names):
        self._barrier()
        time.sleep(GRACE_S)
        self._barrier()
        for who in names:
            conn = self.conns[who]
            while True:
                ev = conn.poll(0)
                if ev is None:
                    break
                if not self._is_ignored(who, ev):
                    raise Failure("%s should receive nothing, got %s" % (who, ev[1] or ev[0]))

    def _all_receive(self, step):
        """all receive nothing"""
        self._nothing(list(self.conns))

    def _all_sync(self, _):
        self._barrier()

    def _final(self):
        open_ones = [w for w, c in self.conns.items() if not c.eof]
        if open_ones and not self.splitter:
            self._nothing(open_ones)

    # --- server ----------------------------------------------------------------------------------------------------------
    def _server_restarts(self, _):
        self._need_own()
        self._cut_all()
        self.server.restart()

    def _server_is(self, step):
        """server is killed: SIGKILL, then started again."""
        self._need_own()
        self._cut_all()
        self.server.kill()
        self.server.start()

    def _server_stops(self, _):
        self._need_own()
        self.server.stop()

    def _server_reloads(self, step):
        """server reloads: + YAML in place of the head's options; SIGHUP."""
        self._need_own()
        self.server.options = step.block or self.script.options
        self.server.write_config()
        self.server.reload()

    def _server_starts(self, _):
        self._need_own()
        self.server.start()

    def _cut_all(self):
        """All connections are lost together with the server; what it says last is not looked at."""
        for conn in self.conns.values():
            conn.drop()
        self.conns.clear()

    def _need_own(self):
        if not self.script.own_server:
            raise ScriptError("needs the head line 'server: own'")

    def _ctl(self, step):
        if self.server.name != "vestnik":
            raise Skip("vestnikctl is not for %s" % self.server.name)
        words = self.expand(step.rest).split()
        if words[0] == "fails":
            run = self.server.ctl(*words[1:], check=False)
            if run.returncode == 0:
                raise Failure("vestnikctl %s should fail" % " ".join(words[1:]))
            return
        run = self.server.ctl(*words)
        for line in step.block.splitlines():
            rx, _ = match.value_regex(line, self.lookup)
            if not rx.search(run.stdout):
                raise Failure("vestnikctl %s: no line like %r in\n%s" % (step.rest, line, run.stdout))
