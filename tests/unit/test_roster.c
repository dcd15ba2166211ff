/* Subscriptions: the tables against RFC 6121 appendix A as it is written there, and both sides of a change live (I03, I11, D01). */
#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/im/presence.h"
#include "server/im/roster_state.h"
#include "server/xmpp/roster_view.h"
#include "storage/tab_block.h"
#include "tests/lib/test.h"
#include "tests/lib/world.h"
#include "server/im/peer.h"

static const char *const names[ROSTER_STATES] = { "None",
						  "None + Pending Out",
						  "None + Pending In",
						  "None + Pending Out+In",
						  "To",
						  "To + Pending In",
						  "From",
						  "From + Pending Out",
						  "Both" };
/* Columns in the order of names: "+" passes, "-" does not, "!" is answered by the server; then the new state, "=" no change. Copied row by row from the RFC's
 * tables, in another form than the code's. */
static const struct {
	bool outbound;
	enum roster_stanza stanza;
	const char *row[ROSTER_STATES];
} rfc[] = {
	{ true,
	  ROSTER_SUBSCRIBE,
	  { "+None + Pending Out", "+=", "+None + Pending Out+In", "+=", "+=", "+=", "+From + Pending Out",
	    "+=", "+=" } },
	{ true,
	  ROSTER_UNSUBSCRIBE,
	  { "+=", "+None", "+=", "+None + Pending In", "+None", "+None + Pending In", "+=", "+From", "+From" } },
	{ true, ROSTER_SUBSCRIBED, { "-=", "-=", "+From", "+From + Pending Out", "-=", "+Both", "-=", "-=", "-=" } },
	{ true,
	  ROSTER_UNSUBSCRIBED,
	  { "-=", "-=", "+None", "+None + Pending Out", "-=", "+To", "+None", "+None + Pending Out", "+To" } },
	{ false,
	  ROSTER_SUBSCRIBE,
	  { "+None + Pending In", "+None + Pending Out+In", "-=", "-=", "+To + Pending In", "-=", "!=", "!=", "!=" } },
	{ false,
	  ROSTER_UNSUBSCRIBE,
	  { "-=", "-=", "+None", "+None + Pending Out", "-=", "+To", "+None", "+None + Pending Out", "+To" } },
	{ false, ROSTER_SUBSCRIBED, { "-=", "+To", "-=", "+To + Pending In", "-=", "-=", "-=", "+Both", "-=" } },
	{ false,
	  ROSTER_UNSUBSCRIBED,
	  { "-=", "+None", "-=", "+None + Pending In", "+None", "+None + Pending In", "-=", "+From", "+From" } },
};

TEST(states_as_in_appendix_a)
{
	for (size_t r = 0; r < sizeof rfc / sizeof *rfc; r++)
		for (int s = 0; s < ROSTER_STATES; s++) {
			const struct roster_step *step =
				&(rfc[r].outbound ? roster_outbound : roster_inbound)[rfc[r].stanza][s];
			const char *want = rfc[r].row[s], *next = strcmp(want + 1, "=") == 0 ? names[s] : want + 1;
			ok(strcmp(names[step->next], next) == 0 && step->pass == (*want == '+') &&
				   step->answer == (*want == '!'),
			   "%s %.*s in state %s (RFC 6121 appendix A)", rfc[r].outbound ? "outbound" : "inbound",
			   STR_ARG(roster_stanza_type(rfc[r].stanza)), names[s]);
		}
}

TEST(every_state_survives_an_item)
{
	for (int s = 0; s < ROSTER_STATES; s++) {
		struct roster_item i = { .listed = true };
		roster_state_set(&i, (enum roster_state)s);
		is_int(roster_state_of(&i), s);
	}
	is_int(roster_stanza_of(STR("unsubscribed")), ROSTER_UNSUBSCRIBED);
	is_int(roster_stanza_of(STR("probe")), ROSTER_STANZAS);
}

/* ---- live ---- */

struct act {
	struct fake *f;
	const char *to, *type;
	struct str name;
	struct str group;
	struct chunk *payload;
	struct gate gate;
	int err;
};

static void acted(void *ctx, int err)
{
	struct act *a = ctx;

	a->err = err;
	gate_open(&a->gate);
}

static void act_here(void *arg)
{
	struct act *a = arg;
	struct arena *arena = arena_new(1024);
	struct jid to;

	if (jid_parse(arena, str_c(a->to), &to))
		acted(a, ERR_SYNTAX);
	else if (!strcmp(a->type, "remove"))
		roster_remove(&a->f->s, &to, acted, a);
	else if (!strcmp(a->type, "put")) {
		struct roster_item i = {
			.jid = to.full, .name = a->name, .groups = a->group.n > 0, .group = { a->group }
		};
		roster_put(&a->f->s, &to, &i, acted, a);
	} else
		roster_subscription(&a->f->s, &to, str_c(a->type), STR("id1"), a->payload, acted, a);
	arena_free(arena);
}

static int act_full(struct fake *f, const char *type, const char *to, struct str name, struct str group,
		    struct chunk *payload)
{
	struct act a = { .f = f, .to = to, .type = type, .name = name, .group = group, .payload = payload };

	gate_init(&a.gate);
	rig_run(f->worker, act_here, &a);
	if (!gate_wait(&a.gate))
		return ERR_TIMEOUT;
	world_settle();
	return a.err;
}

static int act(struct fake *f, const char *type, const char *to)
{
	return act_full(f, type, to, STR("Name"), STR_NONE, NULL);
}

static int find(struct str text, const char *part)
{
	char *z = str_dup(text);
	int n = 0;

	for (char *p = z; (p = strstr(p, part)) != NULL; p++)
		n++;
	mem_free(z);
	return n;
}

static struct fake *romeo, *juliet;

static void state_of(const char *owner, const char *contact, struct roster_item *out)
{
	static struct arena *kept;
	struct txn *t = im_read();

	if (kept)
		arena_free(kept);
	kept = NULL;
	if (roster_item_get(t, world_account(owner), str_c(contact), out))
		*out = (struct roster_item){ .listed = false };
	txn_commit(t);
}

TEST(world_begins)
{
	world_start();
	is_int(rig_add("example.org", "romeo", "pw"), 0);
	is_int(rig_add("example.org", "juliet", "pw"), 0);
	is_int(rig_add("example.org", "tybalt", "pw"), 0);
	romeo = world_login("romeo", "r", true, true);
	juliet = world_login("juliet", "j", true, true);
	world_got(romeo);
	world_got(juliet);
}

TEST(request_and_answer_change_both_sides_in_one_commit)
{
	struct roster_item i;

	is_int(act(romeo, "subscribe", "juliet@example.org"), 0);
	struct str got = world_got(romeo);
	is_int(find(got, "ask='subscribe'"), 1);
	is_int(find(got, "presence"), 0);
	got = world_got(juliet);
	is_str(got, STR("presence subscribe romeo@example.org -\n"));
	is_int(act(romeo, "subscribe", "juliet@example.org"), 0);
	is_str(world_got(juliet), STR("")); /* A.3.1: a repeated request is not delivered again */
	is_int(act(juliet, "subscribed", "romeo@example.org"), 0);
	got = world_got(romeo);
	is_int(find(got, "presence subscribed juliet@example.org -\niq set - <query"),
	       1); /* 3.1.6: first the stanza, then the push */
	is_int(find(got, "subscription='to'"), 1);
	is_int(find(got, "presence - juliet@example.org/j"), 1);
	is_int(find(world_got(juliet), "subscription='from'"), 1);
	state_of("romeo", "juliet@example.org", &i);
	ok(i.to && !i.ask, "romeo's item says to");
	state_of("juliet", "romeo@example.org", &i);
	ok(i.from && !i.pending_in, "juliet's item says from");
}

TEST(removal_ends_both_ways_and_the_presence)
{
	struct roster_item i;

	is_int(act(romeo, "remove", "juliet@example.org"), 0);
	struct str got = world_got(romeo);
	is_int(find(got, "subscription='remove'"), 1);
	is_int(find(got, "presence unavailable juliet@example.org/j"), 1);
	got = world_got(juliet);
	is_int(find(got, "presence unsubscribe romeo@example.org"), 1);
	is_int(find(got, "subscription='none'"), 1);
	state_of("juliet", "romeo@example.org", &i);
	ok(!i.from, "she gives nothing any more");
	is_int(act(romeo, "remove", "juliet@example.org"), ERR_NOT_FOUND);
}

TEST(pre_approval_answers_by_itself)
{
	is_int(act(juliet, "unsubscribed", "romeo@example.org"), 0);
	is_int(act(juliet, "subscribed", "romeo@example.org"), 0);
	is_int(find(world_got(juliet), "approved='true'"), 1);
	is_str(world_got(romeo), STR(""));
	is_int(act(romeo, "subscribe", "juliet@example.org"), 0);
	struct str got = world_got(romeo);
	is_int(find(got, "presence subscribed juliet@example.org"), 1);
	is_int(find(got, "ask='subscribe'"), 1);
	is_int(find(got, "subscription='to'"), 1);
	is_int(find(world_got(juliet), "presence subscribe"), 0);
	is_int(act(juliet, "unsubscribed", "romeo@example.org"), 0);
	is_int(find(world_got(romeo), "presence unavailable juliet@example.org/j"), 1);
}

TEST(nobody_learns_whether_an_account_exists)
{
	world_got(romeo);
	is_int(act(romeo, "subscribe", "nobody@example.org"), 0);
	struct str got = world_got(romeo);
	is_int(find(got, "iq set"), 1);
	is_int(find(got, "presence"), 0); /* 3.1.3: silence */
}

TEST(request_waits_with_its_payload_for_the_next_login)
{
	struct chunk *c = chunk_of(STR("<status>let me in</status>"));

	is_int(act_full(romeo, "subscribe", "tybalt@example.org", STR_NONE, STR_NONE, c), 0);
	chunk_unref(c);
	for (int login = 0; login < 2; login++) {
		struct fake *tybalt = world_login("tybalt", "t", true, true);
		is_int(find(world_got(tybalt), "presence subscribe romeo@example.org <status>let me in</status>"), 1);
		world_logout(tybalt);
	}
	char *big = mem_alloc(40000);
	memset(big, 'x', 40000);
	c = chunk_of(str_of(big, 40000));
	is_int(act(romeo, "unsubscribe", "tybalt@example.org"), 0);
	is_int(act_full(romeo, "subscribe", "tybalt@example.org", STR_NONE, STR_NONE, c),
	       0); /* too large to keep: kept without */
	chunk_unref(c);
	mem_free(big);
	struct fake *tybalt = world_login("tybalt", "t", true, true);
	is_int(find(world_got(tybalt), "presence subscribe romeo@example.org -"), 1);
	is_int(act(tybalt, "unsubscribed", "romeo@example.org"), 0);
	world_logout(tybalt);
}

static int block_apply(struct txn *t, struct write_op *op)
{
	(void)op;
	block_put(t, world_account("juliet"), STR("romeo@example.org"));
	return txn_error(t);
}

static void block_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
	peer_forget_all();
}

static void block_free(struct write_op *op)
{
	mem_free(op);
}

static void block_here(void *arg)
{
	struct write_op *op = NEW(struct write_op);

	(void)arg;
	*op = (struct write_op){ .apply = block_apply, .done = block_done, .free = block_free };
	im_write(op);
}

TEST(blocked_person_gets_nothing_but_may_leave)
{
	struct roster_item i;

	is_int(act(romeo, "remove", "juliet@example.org"), 0);
	is_int(act(juliet, "subscribed", "romeo@example.org"), 0); /* pre-approved, then asked: he sees her */
	is_int(act(romeo, "subscribe", "juliet@example.org"), 0);
	rig_run(0, block_here, NULL);
	world_settle();
	world_got(juliet);
	world_got(romeo);
	is_int(act(romeo, "unsubscribe", "juliet@example.org"), 0);
	is_int(find(world_got(juliet), "presence"), 0);
	state_of("juliet", "romeo@example.org", &i);
	ok(!i.from, "her side is kept in step though nothing is delivered (XEP-0191)");
	is_int(act(romeo, "subscribe", "juliet@example.org"), 0);
	is_str(world_got(juliet), STR(""));
	state_of("juliet", "romeo@example.org", &i);
	ok(!i.from && !i.pending_in, "a blocked request leaves no trace");
}

TEST(own_items_have_a_limit_and_versions_rise)
{
	struct limits l = *limits(), few = l;
	uint64_t before = roster_own_version(romeo->s.user);

	is_int(act_full(romeo, "put", "friend@elsewhere.example", STR("Fr & iend"), STR("A<b"), NULL), 0);
	struct str got = world_got(romeo);
	is_int(find(got, "name='Fr &amp; iend' subscription='none'><group>A&lt;b</group></item>"), 1);
	ok(roster_own_version(romeo->s.user) > before, "the version rose (RFC 6121 2.6)");
	few.roster_items = 2;
	limits_set(&few);
	is_int(act(romeo, "put", "one@elsewhere.example"), ERR_LIMIT);
	is_int(act(romeo, "put", "friend@elsewhere.example"), 0); /* what is there may be changed */
	limits_set(&l);
}

struct printed {
	struct fake *f;
	struct chunk *c;
	char ver[ROSTER_VER_MAX];
	size_t ver_n;
};

static void print_here(void *arg)
{
	struct printed *p = arg;

	p->c = roster_view_print(p->f->s.user);
	p->ver_n = roster_view_version(p->f->s.user, p->ver).n;
}

TEST(memory_equals_the_store)
{
	struct printed a = { .f = romeo }, b;

	rig_run(romeo->worker, print_here, &a);
	world_logout(romeo);
	romeo = world_login("romeo", "r", true, true);
	b = (struct printed){ .f = romeo };
	rig_run(romeo->worker, print_here, &b);
	is_int(a.c->n, b.c->n);
	is_str(str_of(a.ver, a.ver_n), str_of(b.ver, b.ver_n));
	is_int(find(chunk_str(b.c), "<item"), find(chunk_str(a.c), "<item"));
	ok(find(chunk_str(b.c), "friend@elsewhere.example") == 1, "own items are printed");
	chunk_unref(a.c);
	chunk_unref(b.c);
}

struct memory {
	struct fake *f;
	const char *contact;
	struct roster_item *out;
};

static void read_memory(void *arg)
{
	struct memory *m = arg;
	const struct roster_item *i = roster_item(m->f->s.user, str_c(m->contact));

	*m->out = i ? *i : (struct roster_item){ .listed = false };
}

static void memory_of(struct fake *f, const char *contact, struct roster_item *out)
{
	struct memory m = { f, contact, out };

	rig_run(f->worker, read_memory, &m);
}

/* As server/worker.c does. */
static void tell_gone(struct str bare, uint32_t id, enum account_change change, uint32_t epoch, uint64_t keep)
{
	(void)id, (void)epoch, (void)keep;
	if (change == ACCOUNT_DELETED)
		roster_account_gone(bare);
}

TEST(next_owner_of_a_name_inherits_nothing)
{
	struct roster_item i;
	struct fake *tybalt = world_login("tybalt", "t", true, true);
	struct str got;

	is_int(act(tybalt, "subscribed", "romeo@example.org"), 0);
	is_int(act(romeo, "subscribe", "tybalt@example.org"), 0);
	state_of("romeo", "tybalt@example.org", &i);
	ok(i.to, "romeo sees tybalt");
	world_logout(tybalt);
	world_got(romeo);
	account_set_listener(tell_gone);
	is_int(rig_change(account_remove, "tybalt", ""), 0);
	world_settle();
	account_set_listener(NULL);
	state_of("romeo", "tybalt@example.org", &i);
	ok(!i.to && i.listed, "but not whoever is called tybalt next");
	memory_of(romeo, "tybalt@example.org", &i);
	ok(!i.to && i.listed, "nor does romeo's session, which is still there");
	got = world_got(romeo);
	is_int(find(got, "jid='tybalt@example.org' subscription='none'"), 1);
	is_int(rig_add("example.org", "tybalt", "pw"), 0);
	state_of("tybalt", "romeo@example.org", &i);
	ok(!i.from && !i.approved, "who has no old items either");
}

TEST(world_ends)
{
	world_logout(romeo);
	world_logout(juliet);
	world_stop();
	is_ptr(im.store, NULL);
}
