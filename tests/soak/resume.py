"""Row D17: a restart, hard or orderly, under a thousand clients. Nearly all resume their sessions without loading the roster again, and nothing is
lost or doubled."""
import resource

import server as servers
from plain import plain_vestnikd
from slim import Crowd

GROUP = 10
DOMAIN = "resume.test"


def company(groups):
    """CSV of the people; each group is a department that sees only itself."""
    rows = ["id,login,password,full_name,department,position,email,phone,head"]
    number = 0
    for i, g in enumerate(groups):
        for name in g:
            number += 1
            rows.append("%d,%s,pw-%s,Person %s,Group %d,,,," % (number, name, name, name, i))
    return "\n".join(rows) + "\n"


def raise_descriptors(clients):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = clients + 200
    if soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need if hard == resource.RLIM_INFINITY else min(need, hard), hard))


class Restarts:
    def __init__(self, tap, clients):
        self.tap = tap
        raise_descriptors(clients)
        self.groups = [["p%d" % (i + k) for k in range(GROUP)] for i in range(0, clients, GROUP)]
        self.srv = servers.make("vestnik", domains=[DOMAIN], options="company: { visibility: department }")
        daemon = plain_vestnikd()
        self.srv.command = lambda: [daemon, "-c", self.srv.conf]
        self.crowd = None

    def login(self):
        self.srv.start()
        self.srv.import_org(company(self.groups))
        self.crowd = crowd = Crowd(self.srv, self.groups)
        crowd.connect_all()
        crowd.run(crowd.every(lambda c: c.rosters == 1 and c.presences["online"] >= GROUP), "rosters and presence")
        crowd.say_all()
        crowd.run(crowd.settled, "the first messages")

    def restart(self, name, how, orderly):
        """Messages under way, then the end of the server; everybody comes back."""
        crowd, n = self.crowd, len(self.crowd.all)
        for c in crowd.all:  # what was before is settled
            c.acked.clear()
            c.received.clear()
        before = {c.name: (c.resumes, c.logins, c.rosters) for c in crowd.all}
        crowd.say_all()
        mark = crowd.acks
        crowd.run(lambda: crowd.acks > mark + n // 4, "some of the acknowledgements")
        code = how()
        if orderly:
            assert code == 0, "exit code %s\n%s" % (code, self.srv.log_tail())
            crowd.run(crowd.every(lambda c: c.state == "away"), "the end of all streams", 10)  # they read what the server still had to say
        self.srv.start()
        crowd.connect_all()
        resumed = sum(c.resumes > before[c.name][0] for c in crowd.all)
        self.tap.note("%s: %d of %d resumed" % (name, resumed, n))
        crowd.say_all()
        crowd.run(crowd.settled, "all messages acknowledged and delivered; missing %s" % crowd.missing()[:5])
        assert resumed >= 0.95 * n, "only %d of %d resumed" % (resumed, n)
        loads = sum(c.rosters > before[c.name][2] for c in crowd.all)
        assert loads <= n - resumed, "%d rosters were loaded, %d sessions were new" % (loads, n - resumed)
        doubled = crowd.doubled(same_id_is_fine=not orderly)
        assert not doubled, "delivered twice: %s" % doubled[:5]

    def still_interested(self):
        """Resumed sessions get presence and roster pushes as before."""
        crowd = self.crowd
        for c in crowd.all:
            c.presences.clear()
            c.pushes = 0
        for g in crowd.groups:
            g[0].show("dnd")
        crowd.run(crowd.every(lambda c: c.presences["dnd"] == 1), "the presence of one in each group")
        csv = company(self.groups) + "%d,newcomer,pw-newcomer,New,Group 0,,,,\n" % (len(crowd.all) + 1)
        self.srv.import_org(csv)
        crowd.run(lambda: all(c.pushes for c in crowd.groups[0]), "a roster push for the newcomer")

    def end(self):
        for c in self.crowd.all:
            c.lose()
        self.srv.stop()
        self.srv.check_log()


def run(tap, args):
    r = Restarts(tap, args.clients)
    if not tap.run("D17 %d clients log in, see each other and talk" % args.clients, r.login):
        return
    tap.run("D17 SIGKILL: at least 95 % resume without loading the roster, nothing is lost", r.restart, "SIGKILL", r.srv.kill, False)
    tap.run("D17 SIGTERM: the same, and nothing comes twice", r.restart, "SIGTERM", r.srv.stop, True)
    tap.run("D17 resumed sessions get presence and roster pushes", r.still_interested)
    tap.run("D17 no error in the log", r.end)
