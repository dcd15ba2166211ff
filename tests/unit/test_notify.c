/* server/im/notify, storage/tab_notify: who may, tags and sub-tags, buttons and answers, reading, channels, expiry, the message in the log (portal-api: CIMNotify). */
#include "server/im/notify.h"
#include "base/clock.h"
#include "server/im/conv.h"
#include "server/im/inbox.h"
#include "server/net/threads.h"
#include "server/xmpp/content.h"
#include "storage/tab_account.h"
#include "tests/lib/test.h"
#include "tests/lib/world.h"
#include <stdio.h>

static uint32_t anna, boris, other;
static const struct principal portal = { .kind = PRINCIPAL_SERVICE,
					 .scopes = SCOPE_SYSTEM | SCOPE_SEND_AS,
					 .domain = { "example.org", 11 } };

static bool has(struct str s, const char *part)
{
	return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* ---- calls on a worker, waited for ---- */

enum verb { ADD, DELETE, DELETE_BY, CONFIRM, ANSWER, MARK, WANTS };
struct call {
	enum verb verb;
	struct notify_new n;
	struct principal by;
	uint32_t account, author;
	uint64_t gid;
	enum notify_key key;
	enum notify_channel channel;
	struct str value, event;
	bool on, older;
	int err;
	uint64_t result;
	struct gate gate;
};

static void called(void *ctx, int err, uint64_t gid)
{
	struct call *c = ctx;

	c->err = err;
	c->result = gid;
	gate_open(&c->gate);
}

static void do_call(void *arg)
{
	struct call *c = arg;

	switch (c->verb) {
	case ADD: notify_add(&c->n, called, c); break;
	case DELETE: notify_delete(&c->by, c->account, c->gid, called, c); break;
	case DELETE_BY: notify_delete_by(&c->by, c->account, c->author, c->key, c->value, c->event, called, c); break;
	case CONFIRM: notify_confirm(c->account, c->gid, c->value, called, c); break;
	case ANSWER: notify_answer(c->account, c->gid, c->value, called, c); break;
	case MARK: notify_mark(c->account, c->gid, c->on, c->older, called, c); break;
	case WANTS: notify_set_wants(c->account, c->value, c->event, c->channel, c->on, called, c); break;
	}
}

static struct call call(struct call c)
{
	gate_init(&c.gate);
	rig_run(0, do_call, &c);
	ok(gate_wait(&c.gate), "answered");
	world_settle();
	return c;
}

static struct notify_new plain(const char *text)
{
	return (struct notify_new){ .by = portal,
				    .to = anna,
				    .type = NOTIFY_SYSTEM,
				    .module = STR("tasks"),
				    .event = STR("new"),
				    .text = str_c(text) };
}

static uint64_t add(struct notify_new n)
{
	struct call c = call((struct call){ .verb = ADD, .n = n });

	is_int(c.err, 0);
	return c.result;
}

static struct notify_new question(const char *text)
{
	struct notify_new n = plain(text);

	n.type = NOTIFY_CONFIRM;
	n.buttons[0] = (struct notify_button){ STR("Accept"), STR("y"), true };
	n.buttons[1] = (struct notify_button){ STR("Decline"), STR("n"), false };
	n.n_buttons = 2;
	n.webhook = STR("https://portal.example/hook");
	return n;
}

static int unread(uint32_t account)
{
	struct txn *t = im_read();
	int n = (int)notify_unread(t, account);

	txn_commit(t);
	return n;
}

/* What get says: the error, or the flags. */
static int state(uint32_t account, uint64_t gid)
{
	struct txn *t = im_read();
	struct notify_rec r;
	int err = notify_get(t, account, gid, &r);

	txn_commit(t);
	return err ? err : (int)r.flags;
}

static bool count_one(void *ctx, const struct notify_rec *r)
{
	(void)r;
	return ++*(int *)ctx > 0;
}

static int count(struct notify_query q)
{
	struct txn *t = im_read();
	int n = 0;

	notify_each(t, &q, count_one, &n);
	txn_commit(t);
	return n;
}

TEST(world_begins)
{
	message_caches_drop();
	content_init();
	world_start();
	is_int(rig_add("example.org", "anna", "pw"), 0);
	is_int(rig_add("example.org", "boris", "pw"), 0);
	is_int(rig_add("other.example", "anna", "pw"), 0);
	anna = world_account("anna");
	boris = world_account("boris");
	other = boris + 1;
}

TEST(who_may_notify)
{
	static const struct {
		struct principal by;
		uint32_t to, from;
		enum notify_type type;
		int err;
	} rows[] = {
		{ { .kind = PRINCIPAL_CONTROL }, 1, 0, NOTIFY_SYSTEM, 0 },
		{ { .kind = PRINCIPAL_NONE }, 1, 0, NOTIFY_SYSTEM, ERR_FORBIDDEN },
		{ { .kind = PRINCIPAL_SERVICE, .scopes = SCOPE_READ }, 1, 0, NOTIFY_SYSTEM, ERR_FORBIDDEN },
		{ { .kind = PRINCIPAL_USER, .account = 2 },
		  1,
		  0,
		  NOTIFY_SYSTEM,
		  ERR_FORBIDDEN }, /* not as the system (I14) */
		{ { .kind = PRINCIPAL_USER, .account = 2 },
		  1,
		  1,
		  NOTIFY_FROM,
		  ERR_FORBIDDEN }, /* nor as somebody else */
		{ { .kind = PRINCIPAL_USER, .account = 2 }, 1, 2, NOTIFY_SYSTEM, ERR_FORBIDDEN },
		{ { .kind = PRINCIPAL_USER, .account = 2 }, 1, 2, NOTIFY_FROM, 0 },
		{ { .kind = PRINCIPAL_SERVICE, .scopes = SCOPE_SYSTEM, .domain = { "other.example", 13 } },
		  1,
		  0,
		  NOTIFY_SYSTEM,
		  ERR_NOT_FOUND },
		{ { .kind = PRINCIPAL_CONTROL }, 999, 0, NOTIFY_SYSTEM, ERR_NOT_FOUND },
	};

	is_int(anna, 1);
	is_int(boris, 2);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct notify_new n = {
			.by = rows[i].by, .to = rows[i].to, .from = rows[i].from, .type = rows[i].type, .text = STR("x")
		};
		is_int(call((struct call){ .verb = ADD, .n = n }).err, rows[i].err);
	}
}

TEST(what_may_be_said)
{
	struct notify_new n = plain("");
	is_int(call((struct call){ .verb = ADD, .n = n }).err, ERR_SYNTAX);
	n = plain("a\x01");
	is_int(call((struct call){ .verb = ADD, .n = n }).err, ERR_SYNTAX);
	n = plain("x");
	n.type = NOTIFY_CONFIRM; /* without buttons */
	is_int(call((struct call){ .verb = ADD, .n = n }).err, ERR_SYNTAX);
	char tag[NOTIFY_KEY_BYTES + 2];
	memset(tag, 'x', sizeof tag);
	n = plain("x");
	n.tag = str_of(tag, NOTIFY_KEY_BYTES + 1);
	is_int(call((struct call){ .verb = ADD, .n = n }).err, ERR_SYNTAX);
	n.tag.n--;
	is_int(call((struct call){ .verb = ADD, .n = n }).err, 0);
}

TEST(it_reaches_the_person_with_numbered_buttons)
{
	struct fake *f = world_login("anna", "desk", false, true);
	world_got(f);
	add(question("May I?"));
	struct str got = world_got(f);
	ok(has(got, "message chat notify.example.org "), "%.*s", STR_ARG(got));
	ok(has(got, "<body>May I?\n1 Accept, 2 Decline: answer with the number</body>"), "plain body");
	ok(has(got, "<notify xmlns='urn:vestnik:notify:0' type='confirm' module='tasks' event='new'>"), "and the data");
	struct notify_new n = plain("toast");
	n.flags = NOTIFY_FLASH;
	is_int(add(n), 0);
	got = world_got(f);
	ok(has(got, "message headline ") && has(got, "toast"), "a flash is shown");
	is_int(count((struct notify_query){ .account = anna, .words = STR("TOAST") }), 0);
	is_int(count((struct notify_query){ .account = anna, .words = STR("may i") }), 1);
	world_logout(f);
}

TEST(a_tag_replaces)
{
	struct fake *f = world_login("anna", "desk", false, true);
	struct notify_new n = plain("one");
	n.tag = STR("TASK|1");
	n.to = anna;
	int before = unread(anna);
	uint64_t first = add(n);
	struct str got = world_got(f);
	ok(!has(got, "<replace"), "the first is new");
	n.text = STR("two");
	uint64_t second = add(n);
	got = world_got(f);
	ok(second > first && has(got, "<replace xmlns='urn:xmpp:message-correct:0' id='"), "the second corrects: %.*s",
	   STR_ARG(got));
	is_int(state(anna, first), ERR_NOT_FOUND);
	is_int(state(anna, second), 0);
	is_int(unread(anna), before + 1);
	struct txn *t = im_read();
	struct message_rec m;
	is_int(message_get(t, first, &m), 0);
	ok(m.flags & MESSAGE_RETRACTED, "the log has a tombstone");
	txn_commit(t);
	n.to = boris;
	add(n);
	is_int(state(anna, second), 0); /* a tag is one person's */
	world_logout(f);
}

TEST(origin_id_answers_with_the_first)
{
	struct notify_new n = plain("once");
	n.origin_id = STR("uuid-1");
	uint64_t gid = add(n);
	int before = unread(anna);
	is_int(add(n), gid);
	is_int(unread(anna), before);
}

/* ---- deleting ---- */

static int delete_by(uint32_t account, enum notify_key key, const char *value, const char *event)
{
	struct call c = call((struct call){ .verb = DELETE_BY,
					    .by = portal,
					    .account = account,
					    .key = key,
					    .value = str_c(value),
					    .event = str_c(event) });

	return c.err ? c.err : (int)c.result;
}

TEST(deleting_by_id_tag_sub_tag_and_module)
{
	struct notify_new n = plain("a");
	n.sub_tag = STR("TASK");
	n.tag = STR("T1");
	uint64_t gid = add(n);
	n.tag = STR("T2");
	add(n);
	n.to = boris;
	add(n);
	is_int(delete_by(0, NOTIFY_BY_TAG, "T1", ""), 1);
	is_int(state(anna, gid), ERR_NOT_FOUND);
	is_int(delete_by(boris, NOTIFY_BY_SUB_TAG, "TAS", ""), 0);
	is_int(delete_by(boris, NOTIFY_BY_SUB_TAG, "TASK", ""), 1);
	is_int(delete_by(0, NOTIFY_BY_SUB_TAG, "TASK", ""), 1);
	n = plain("b");
	n.module = STR("crm");
	n.event = STR("x");
	add(n);
	n.event = STR("y");
	gid = add(n);
	is_int(delete_by(0, NOTIFY_BY_MODULE, "crm", "x"), 1);
	is_int(delete_by(anna, NOTIFY_BY_MODULE, "crm", ""), 1);
	is_int(state(anna, gid), ERR_NOT_FOUND);
	is_int(delete_by(0, NOTIFY_BY_MODULE, "", ""), ERR_SYNTAX);
	gid = add(plain("c"));
	struct principal him = { .kind = PRINCIPAL_USER, .account = boris };
	is_int(call((struct call){ .verb = DELETE, .by = him, .account = anna, .gid = gid }).err, ERR_FORBIDDEN);
	is_int(call((struct call){
			    .verb = DELETE_BY, .by = him, .account = 0, .key = NOTIFY_BY_TAG, .value = STR("x") })
		       .err,
	       ERR_FORBIDDEN);
	him.account = anna;
	is_int(call((struct call){ .verb = DELETE, .by = him, .account = anna, .gid = gid }).err, 0);
	is_int(call((struct call){ .verb = DELETE, .by = him, .account = anna, .gid = gid }).err, ERR_NOT_FOUND);
}

TEST(another_domain_is_untouched)
{
	struct notify_new n = { .by = { .kind = PRINCIPAL_CONTROL },
				.to = other,
				.type = NOTIFY_SYSTEM,
				.text = STR("x"),
				.sub_tag = STR("SHARED") };
	uint64_t gid = add(n);
	is_int(delete_by(0, NOTIFY_BY_SUB_TAG, "SHARED", ""), 0);
	is_int(state(other, gid), 0);
}

TEST(more_than_one_operation_deletes_all)
{
	struct notify_new n = plain("many");
	n.sub_tag = STR("MANY");
	for (int i = 0; i < 1005; i++) {
		struct call c = { .verb = ADD, .n = n };
		gate_init(&c.gate);
		rig_run(0, do_call, &c);
		gate_wait(&c.gate);
	}
	is_int(delete_by(0, NOTIFY_BY_SUB_TAG, "MANY", ""), 1005);
	is_int(count((struct notify_query){ .account = anna, .words = STR("many") }), 0);
}

/* ---- buttons and answers ---- */

static char hooked[200];
static int hooks;

static void hook(const struct notify_rec *r, const char *what, struct str value)
{
	hooks++;
	snprintf(hooked, sizeof hooked, "%.*s %s %.*s", STR_ARG(r->webhook), what, STR_ARG(value));
}

TEST(a_button_is_pressed_once)
{
	notify_set_webhook(hook);
	uint64_t gid = add(question("Sure?"));
	is_int(call((struct call){ .verb = CONFIRM, .account = anna, .gid = gid, .value = STR("maybe") }).err,
	       ERR_SYNTAX);
	is_int(call((struct call){ .verb = CONFIRM, .account = boris, .gid = gid, .value = STR("y") }).err,
	       ERR_NOT_FOUND);
	is_int(call((struct call){ .verb = ANSWER, .account = anna, .gid = gid, .value = STR("y") }).err, ERR_SYNTAX);
	is_int(hooks, 0);
	is_int(call((struct call){ .verb = CONFIRM, .account = anna, .gid = gid, .value = STR("y") }).err, 0);
	is_cstr(hooked, "https://portal.example/hook confirm y");
	is_int(state(anna, gid), NOTIFY_DONE | NOTIFY_READ);
	is_int(call((struct call){ .verb = CONFIRM, .account = anna, .gid = gid, .value = STR("n") }).err,
	       ERR_CONFLICT);
	is_int(hooks, 1);
}

TEST(an_answer_is_kept)
{
	struct notify_new n = plain("How many?");
	struct notify_rec r;
	n.flags = NOTIFY_ANSWER;
	uint64_t gid = add(n);
	struct txn *t = im_read();
	is_int(notify_newest_open(t, anna, &r), 0);
	is_int(r.gid, gid);
	txn_commit(t);
	is_int(call((struct call){ .verb = ANSWER, .account = anna, .gid = gid, .value = STR("") }).err, ERR_SYNTAX);
	is_int(call((struct call){ .verb = ANSWER, .account = anna, .gid = gid, .value = STR("three") }).err, 0);
	t = im_read();
	is_int(notify_get(t, anna, gid, &r), 0);
	is_str(r.result, STR("three"));
	txn_commit(t);
}

TEST(read_and_unread)
{
	call((struct call){ .verb = MARK, .account = anna, .on = true });
	is_int(unread(anna), 0);
	uint64_t a = add(plain("1")), b = add(plain("2")), c = add(plain("3"));
	is_int(unread(anna), 3);
	call((struct call){ .verb = MARK, .account = anna, .gid = c, .on = true });
	is_int(state(anna, c), NOTIFY_READ);
	is_int(unread(anna), 2);
	call((struct call){ .verb = MARK, .account = anna, .gid = b, .on = true, .older = true });
	is_int(unread(anna), 0);
	call((struct call){ .verb = MARK, .account = anna, .gid = a, .on = false });
	is_int(unread(anna), 1);
	is_int(call((struct call){ .verb = MARK, .account = anna, .gid = 1u << 30, .on = true }).err, ERR_NOT_FOUND);
	is_int(count((struct notify_query){ .account = anna, .unread_only = true }), 1);
	struct txn *t = im_read();
	struct dialog d;
	is_int(inbox_get(t, anna, conv_notify(anna), &d), 0);
	is_int(d.unread, 1);
	is_int(d.first_unread_gid, a);
	txn_commit(t);
}

/* ---- channels ---- */

TEST(channels_by_module_and_event)
{
	struct fake *f = world_login("anna", "desk", false, true);
	world_got(f);
	is_int(call((struct call){ .verb = WANTS,
				   .account = anna,
				   .value = STR("tasks"),
				   .channel = NOTIFY_JABBER,
				   .on = false })
		       .err,
	       0);
	is_int(call((struct call){ .verb = WANTS,
				   .account = anna,
				   .value = STR("tasks"),
				   .event = STR("late"),
				   .channel = NOTIFY_JABBER,
				   .on = true })
		       .err,
	       0);
	is_int(call((struct call){ .verb = WANTS,
				   .account = anna,
				   .value = STR("tasks"),
				   .event = STR("late"),
				   .channel = NOTIFY_SITE,
				   .on = false })
		       .err,
	       0);
	is_int(call((struct call){
			    .verb = WANTS, .account = anna, .event = STR("late"), .channel = NOTIFY_SITE, .on = false })
		       .err,
	       ERR_SYNTAX);
	int before = unread(anna);
	uint64_t gid = add(plain("quiet"));
	is_int(state(anna, gid), 0);
	is_str(world_got(f), STR(""));
	is_int(unread(anna), before + 1);
	f->s.inbox = true; /* a web client */
	add(plain("for the web"));
	ok(has(world_got(f), "for the web"), "web clients get it");
	struct notify_new n = plain("late");
	n.event = STR("late");
	gid = add(n);
	ok(has(world_got(f), "late"), "the event decides before the module");
	is_int(state(anna, gid), NOTIFY_READ | NOTIFY_UNCOUNTED);
	is_int(unread(anna), before + 2);
	world_logout(f);
}

TEST(expiry_and_maximum)
{
	struct notify_new n = plain("short");
	n.expires_ms = clock_wall_ms() + 3600000;
	n.sub_tag = STR("S");
	uint64_t gid = add(n);
	int before = unread(anna);
	is_int(state(anna, gid), 0);
	clock_set_for_test(clock_mono_us(), (n.expires_ms + 1) * 1000);
	is_int(state(anna, gid), ERR_NOT_FOUND);
	notify_sweep();
	world_settle();
	is_int(unread(anna), before - 1);
	clock_set_for_test(0, 0);
	is_int(delete_by(0, NOTIFY_BY_SUB_TAG, "S", ""), 0);
	struct limits l = *limits();
	l.notify_kept = 3;
	limits_set(&l);
	add(plain("last"));
	is_int(count((struct notify_query){ .account = anna }), 3);
	l.notify_kept = 5000;
	limits_set(&l);
}

TEST(folding)
{
	ok(str_has_folded(STR("Новая Ёлка"), STR("елка")) && str_has_folded(STR("ÄRGER"), STR("ärger")),
	   "any case, yo is e");
	ok(!str_has_folded(STR("елк"), STR("елка")) && str_has_folded(STR("x"), STR("")), "edges");
}

TEST(world_ends)
{
	world_stop();
	ok(true, "stopped");
}
