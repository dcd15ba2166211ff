/*
 * XEP-0198 where events meet within one turn of the loop: a resumption whose commit is under way while the old connection still speaks, and <enable/>
 * before TCP has confirmed what was sent. A whole server on one worker, with connections that the test feeds.
 */
#include "fuzz/world.h"
#include "server/xmpp/stream.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <string.h>

#define HEADER                                                                                                         \
	"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' "       \
	"version='1.0'>"
#define MESSAGE(id) "<message to='boris@example.org' type='chat' id='" id "'><body>" id "</body></message>"

static void do_accept(void *arg)
{
	static const struct stream_listener listener = { .security = STREAM_LOCAL };

	(void)arg;
	stream_accept(&listener, -1);
}

static void do_forget(void *arg)
{
	fake_conn_forget(arg);
}

static void do_mute(void *arg)
{
	fake_conn_mute(arg);
}

static void feed(struct conn *c, const char *text)
{
	world_feed(c, str_c(text), 10000);
}

static unsigned count(struct conn *c, const char *text)
{
	struct str out = fake_conn_output(c);
	unsigned n = 0;

	for (const char *p = out.p, *end = out.p + out.n; p && (p = memmem(p, (size_t)(end - p), text, strlen(text)));
	     p++)
		n++;
	return n;
}

/* Logged in, before binding. */
static struct conn *login(const char *name)
{
	struct conn *c = world_connect(do_accept);
	char raw[40], plain[64], auth[300];
	int n = snprintf(raw, sizeof raw, "%c%s%c%s", 0, name, 0, name);

	snprintf(auth, sizeof auth, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%.*s</auth>",
		 (int)base64_encode(raw, (size_t)n, plain), plain);
	feed(c, HEADER);
	feed(c, auth);
	feed(c, HEADER);
	return c;
}

static struct conn *session(const char *name)
{
	struct conn *c = login(name);

	feed(c,
	     "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>");
	ok(count(c, "<jid>") == 1, "%s is bound", name);
	world_run(do_forget, c);
	return c;
}

/* The id of <enabled/>. */
static const char *enable(struct conn *c)
{
	static char id[64];

	feed(c, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
	struct str out = fake_conn_output(c);
	const char *p = memmem(out.p, out.n, "<enabled ", 9),
		   *at = p ? memmem(p, (size_t)(out.p + out.n - p), " id='", 5) : NULL;
	id[0] = '\0';
	if (at)
		snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 5, "'"), at + 5);
	ok(id[0], "enabled");
	world_run(do_forget, c);
	return id;
}

struct race {
	struct conn *old, *fresh;
	const char *first, *second;
};

/* Within one turn: no commit can come back in between. */
static void do_race(void *arg)
{
	struct race *r = arg;

	fake_conn_feed(r->fresh, r->first, strlen(r->first));
	fake_conn_feed(r->old, r->second, strlen(r->second));
}

TEST(old_connection_speaks_while_resume_commits)
{
	char resume[200];

	world_start();
	struct conn *boris = session("boris"), *old = session("anna");
	feed(boris, "<presence/>");
	const char *id = enable(old);
	feed(old, MESSAGE("m1"));
	is_int(count(boris, "<body>m1</body>"), 1);
	struct conn *fresh = login("anna");
	snprintf(resume, sizeof resume, "<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>", id);
	struct race r = { old, fresh, resume, MESSAGE("m2") };
	world_run(do_race, &r);
	feed(fresh, "");
	ok(count(fresh, "<resumed ") == 1 && count(fresh, " h='1'") == 1, "h counts what came before");
	is_int(count(boris, "<body>m2</body>"), 0);
	ok(count(old, "<conflict ") == 1, "the old stream ends");
	feed(fresh, MESSAGE("m2")); /* it was not counted, so the client sends it again */
	feed(fresh, "<r xmlns='urn:xmpp:sm:3'/>");
	is_int(count(boris, "<body>m2</body>"), 1);
	ok(count(fresh, "<a xmlns='urn:xmpp:sm:3' h='2'/>") == 1, "and is counted once");
	world_hang_up(old);
	world_hang_up(fresh);
	world_hang_up(boris);
	world_stop();
}

TEST(the_old_connection_goes_on_when_the_new_one_goes)
{
	char resume[200];

	world_start();
	struct conn *boris = session("boris"), *old = session("anna");
	feed(boris, "<presence/>");
	const char *id = enable(old);
	struct conn *fresh = login("anna");
	snprintf(resume, sizeof resume, "<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/></stream:stream>", id);
	struct race r = { old, fresh, resume, MESSAGE("m1") "<r xmlns='urn:xmpp:sm:3'/>" };
	world_run(do_race, &r);
	feed(fresh, "");
	is_int(count(fresh, "<resumed "), 0);
	is_int(count(boris, "<body>m1</body>"), 1);
	ok(count(old, "<a xmlns='urn:xmpp:sm:3' h='1'/>") == 1, "nothing of it is lost");
	world_hang_up(old);
	world_hang_up(fresh);
	world_hang_up(boris);
	world_stop();
}

TEST(enable_before_tcp_confirmed)
{
	world_start();
	struct conn *anna = session("anna"), *boris = session("boris");
	feed(boris, "<presence/>");
	world_run(do_mute, boris);
	feed(anna, MESSAGE("m1"));
	is_int(count(boris, "<body>m1</body>"), 1);
	enable(boris);
	world_hang_up(boris); /* it had read nothing of that */
	boris = session("boris");
	feed(boris, "<presence/>");
	is_int(count(boris, "<body>m1</body>"), 1);
	world_hang_up(boris);
	world_hang_up(anna);
	world_stop();
}

TEST(enable_then_confirmed_by_an_answer)
{
	world_start();
	struct conn *anna = session("anna"), *boris = session("boris");
	feed(boris, "<presence/>");
	world_run(do_mute, boris);
	feed(anna, MESSAGE("m1"));
	feed(boris, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
	feed(boris, "");
	is_int(count(boris, "<r xmlns='urn:xmpp:sm:3'/>"), 1);
	feed(boris, "<a xmlns='urn:xmpp:sm:3' h='0'/>"); /* its answer: all before it was read */
	world_hang_up(boris);
	boris = session("boris");
	feed(boris, "<presence/>");
	is_int(count(boris, "<body>m1</body>"), 0);
	world_hang_up(boris);
	world_hang_up(anna);
	world_stop();
}
