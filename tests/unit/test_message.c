/* server/im: deliver (RFC 6121 8.5 as a table, carbons), message (order, blocks, copies, markers), inflight (the delivered cursor), block lists. */
#include "server/im/account.h"
#include "server/im/block.h"
#include "server/im/conv.h"
#include "server/im/deliver.h"
#include "server/im/inflight.h"
#include "server/im/peer.h"
#include "storage/tab_account.h"
#include "storage/tab_block.h"
#include "tests/lib/taps.h"

#define STORED (MESSAGE_STORE | MESSAGE_COUNTS)
#define ANNA "anna@example.org/a"
#define BORIS "boris@example.org"

static struct tap *anna;

TEST(world_begins)
{
	message_caches_drop();
	world_start();
	is_int(rig_add("example.org", "anna", "pw"), 0);
	is_int(rig_add("example.org", "boris", "pw"), 0);
	is_int(rig_add("example.org", "clara", "pw"), 0);
	is_int(rig_add("example.org", "gone", "pw"), 0);
	is_int(rig_change(account_disable, "gone", NULL), 0);
	peer_forget_all();
	anna = tap_open(ANNA);
}

/* --- deliver --- */

struct delivery {
	struct tap *t; /* any of the user's */
	enum message_type type;
	const char *to;
	bool copy, taken;
};

static void deliver_here(void *arg)
{
	struct delivery *d = arg;
	struct arena *a = arena_new(1024);
	struct message m = { .type = d->type,
			     .copy = d->copy,
			     .id = STR("i1"),
			     .lang = STR("ru"),
			     .payload = chunk_of(STR("<body/>")) };

	is_int(jid_parse(a, STR(ANNA), &m.from), 0);
	is_int(jid_parse(a, str_c(d->to), &m.to), 0);
	d->taken = deliver_message(d->t->s.user, &m, 77);
	chunk_unref(m.payload);
	arena_free(a);
}

TEST(rfc6121_8_5_who_gets_it)
{
	static const struct {
		enum message_type type;
		const char *to;
		bool copy;
		const char *want;
	} rows[] = {
		{ MESSAGE_NORMAL, BORIS, false, "five zero " },
		{ MESSAGE_CHAT, BORIS, false, "five zero " },
		{ MESSAGE_HEADLINE, BORIS, false, "five zero " },
		{ MESSAGE_GROUPCHAT, BORIS, false, "" },
		{ MESSAGE_ERROR, BORIS, false, "" },
		{ MESSAGE_NORMAL, BORIS "/five", false, "five " },
		{ MESSAGE_CHAT, BORIS "/five", false, "five " },
		{ MESSAGE_HEADLINE, BORIS "/five", false, "five " },
		{ MESSAGE_GROUPCHAT, BORIS "/five", false, "five " },
		{ MESSAGE_ERROR, BORIS "/five", false, "five " },
		{ MESSAGE_CHAT, BORIS "/minus", false, "minus " },
		{ MESSAGE_CHAT, BORIS "/silent", false, "silent " },
		{ MESSAGE_NORMAL, BORIS "/nobody", false, "five zero " },
		{ MESSAGE_CHAT, BORIS "/nobody", false, "five zero " },
		{ MESSAGE_HEADLINE, BORIS "/nobody", false, "" },
		{ MESSAGE_GROUPCHAT, BORIS "/nobody", false, "" },
		{ MESSAGE_ERROR, BORIS "/nobody", false, "" },
		/* XEP-0280: those that asked for carbons and were left out */
		{ MESSAGE_CHAT, BORIS, true, "five zero minus+received " },
		{ MESSAGE_CHAT, BORIS "/five", true, "five zero+received minus+received " },
		{ MESSAGE_CHAT, BORIS "/minus", true, "minus zero+received " },
		{ MESSAGE_CHAT, BORIS "/nobody", true, "five zero minus+received " },
		{ MESSAGE_HEADLINE, BORIS, true, "five zero " },
		{ MESSAGE_GROUPCHAT, BORIS "/nobody", true, "" },
	};
	static const char *const names[] = { BORIS "/five", BORIS "/zero", BORIS "/minus", BORIS "/silent" };
	struct buf order;
	struct tap *t[4];

	buf_init(&order, 4096);
	for (int i = 0; i < 4; i++) {
		t[i] = tap_open(names[i]);
		t[i]->s.carbons = i > 0;
		t[i]->also = &order;
	}
	tap_present(t[0], 5, NULL);
	tap_present(t[1], 0, NULL);
	tap_present(t[2], -1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct delivery d = { t[0], rows[i].type, rows[i].to, rows[i].copy, false };

		buf_reset(&order);
		rig_run(t[0]->worker, deliver_here, &d);
		buf_byte(&order, 0);
		if (!ok(strcmp(order.p, rows[i].want) == 0, "%s to %s%s", message_type_names[rows[i].type], rows[i].to,
			rows[i].copy ? " with carbons" : ""))
			diag("got '%s', want '%s'", order.p, rows[i].want);
		is_int(d.taken, rows[i].want[0] != 0);
	}
	tap_got(t[0]);
	struct delivery d = { t[0], MESSAGE_NORMAL, BORIS, false, false };
	rig_run(t[0]->worker, deliver_here, &d);
	is_cstr(tap_got(t[0]), "message - " ANNA ">" BORIS " #77 <body/>\n");
	is_cstr(t[0]->last_by, BORIS);
	is_cstr(t[0]->last_id, "i1");
	is_cstr(t[0]->last_lang, "ru");
	is_int(t[0]->last_delay_ms, 0);
	for (int i = 0; i < 4; i++)
		tap_close(t[i]);
	buf_clear(&order);
}

/* --- message --- */

struct sending {
	const char *to;
	unsigned flags;
	const char *origin, *body;
	enum message_type type;
	bool copy;
	uint64_t displayed, replaces;
	struct sm_checkpoint sm;
	int err;
	uint64_t gid;
	unsigned calls;
	uint64_t edits, reacts;
};
struct batch {
	struct tap *from;
	struct sending *v;
	size_t n;
};

static void sent(void *ctx, int err, uint64_t gid)
{
	struct sending *x = ctx;

	x->err = err;
	x->gid = gid;
	x->calls++;
}

static void send_here(void *arg)
{
	struct batch *b = arg;
	struct arena *a = arena_new(1024);

	for (size_t i = 0; i < b->n; i++) {
		struct sending *x = &b->v[i];
		struct message m = { .type = x->type ? x->type : MESSAGE_CHAT,
				     .from = b->from->s.jid,
				     .flags = x->flags,
				     .copy = x->copy,
				     .origin_id = x->origin ? str_c(x->origin) : STR_NONE,
				     .displayed_gid = x->displayed,
				     .replaces_gid = x->replaces,
				     .edits_gid = x->edits,
				     .reacts_gid = x->reacts,
				     .reactions = STR("+") };
		m.payload = chunk_of(str_c(x->body));
		m.tombstone = x->replaces ? chunk_of(STR("<retracted/>")) : NULL;
		is_int(jid_parse(a, str_c(x->to), &m.to), 0);
		message_send(&b->from->s, &m, &x->sm, sent, x);
		chunk_unref(m.payload);
		chunk_unref(m.tombstone);
	}
	arena_free(a);
}

static void send_all(struct tap *from, struct sending *v, size_t n)
{
	struct batch b = { from, v, n };

	rig_run(from->worker, send_here, &b);
	world_settle();
	for (size_t i = 0; i < n; i++)
		is_int(v[i].calls, 1);
}

static uint64_t say(struct tap *from, const char *to, const char *body)
{
	struct sending x = { .to = to, .flags = STORED, .body = body };

	send_all(from, &x, 1);
	is_int(x.err, 0);
	return x.gid;
}

static uint64_t last_gid(void)
{
	struct txn *t = im_read();
	uint64_t gid = message_last_gid(t);

	txn_commit(t);
	return gid;
}

static const char *bodies(struct tap *t)
{
	static char out[2000];
	const char *p = tap_got(t);
	size_t n = 0;

	out[0] = 0;
	for (const char *b = strstr(p, "<b>"); b; b = strstr(b + 1, "<b>"))
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*s ", (int)strcspn(b + 3, "<"), b + 3);
	return out;
}

TEST(stored_and_transient_messages_keep_their_order)
{
	struct tap *b = tap_open(BORIS "/r");
	struct sending v[] = {
		{ .to = BORIS, .flags = STORED, .body = "<b>1</b>" },
		{ .to = BORIS, .body = "<b>2</b>" },
		{ .to = BORIS, .body = "<b>3</b>" },
		{ .to = BORIS, .flags = STORED, .body = "<b>4</b>" },
		{ .to = BORIS, .flags = STORED, .body = "<b>5</b>" },
		{ .to = BORIS, .body = "<b>6</b>" },
	};

	tap_present(b, 0, NULL);
	tap_got(b);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 6; i++)
			v[i].calls = 0;
		send_all(anna, v, 6);
		is_cstr(bodies(b), "1 2 3 4 5 6 ");
	}
	ok(v[0].gid && !v[1].gid && !v[2].gid && v[3].gid == v[0].gid + 1 && v[4].gid == v[3].gid + 1 && !v[5].gid,
	   "stored ones are numbered");
	is_int(last_gid(), v[4].gid);
	tap_close(b);
}

TEST(unknown_disabled_blocked)
{
	struct tap *b = tap_open(BORIS "/r");
	uint64_t before = last_gid();
	struct sending v[] = { { .to = "nobody@example.org", .flags = STORED, .body = "x" },
			       { .to = "gone@example.org", .flags = STORED, .body = "x" },
			       { .to = "nobody@example.org", .body = "x" } };

	tap_present(b, 0, NULL);
	tap_got(b);
	send_all(anna, v, 3);
	for (int i = 0; i < 3; i++)
		is_int(v[i].err, ERR_NOT_FOUND);

	static const char *const entries[] = { "anna@example.org", "anna@example.org/a", "example.org",
					       "anna@example.org/other" };
	for (int i = 0; i < 4; i++) {
		struct txn *t = txn_write(im.store);
		block_put(t, world_account("boris"), str_c(entries[i]));
		is_int(txn_commit(t), 0);
		peer_forget_all();
		struct sending s[] = { { .to = BORIS, .flags = STORED, .body = "<b>blocked</b>" },
				       { .to = BORIS "/r", .body = "<b>blocked</b>" } };
		send_all(anna, s, 2);
		is_int(s[0].err, i < 3 ? ERR_FORBIDDEN : 0);
		is_int(s[1].err, i < 3 ? ERR_FORBIDDEN : 0);
		is_cstr(bodies(b), i < 3 ? "" : "blocked blocked ");
		t = txn_write(im.store);
		ok(block_del(t, world_account("boris"), str_c(entries[i])), "unblocked");
		is_int(txn_commit(t), 0);
		peer_forget_all();
	}
	is_int(last_gid(), before + 1);
	say(anna, BORIS, "<b>again</b>");
	is_cstr(bodies(b), "again ");
	tap_close(b);
}

TEST(d05_resent_message_is_acknowledged_again_and_delivered_once)
{
	struct tap *b = tap_open(BORIS "/r");
	struct sending v[] = { { .to = BORIS, .flags = STORED, .origin = "o1", .body = "<b>once</b>" },
			       { .to = BORIS, .flags = STORED, .origin = "o1", .body = "<b>once</b>" } };

	tap_present(b, 0, NULL);
	tap_got(b);
	send_all(anna, v, 2);
	is_int(v[0].err, 0);
	is_int(v[1].err, 0);
	ok(v[0].gid && v[1].gid == v[0].gid, "the same number");
	is_cstr(bodies(b), "once ");
	tap_close(b);
}

TEST(carbons_of_the_sender)
{
	struct tap *with = tap_open("anna@example.org/with"), *without = tap_open("anna@example.org/without"),
		   *absent = tap_open("anna@example.org/absent");

	with->s.carbons = absent->s.carbons = anna->s.carbons = true;
	tap_present(anna, 0, NULL);
	tap_present(with, 0, NULL);
	tap_present(without, 0, NULL);
	struct tap *all[] = { anna, with, without, absent };
	for (int i = 0; i < 4; i++)
		tap_got(all[i]);
	struct sending v[] = { { .to = BORIS, .flags = STORED, .copy = true, .body = "<b>1</b>" },
			       { .to = BORIS, .flags = STORED, .body = "<b>2</b>" } };
	send_all(anna, v, 2);
	char want[200];
	snprintf(want, sizeof(want), "message+sent chat " ANNA ">" BORIS " #%llu <b>1</b>\n",
		 (unsigned long long)v[0].gid);
	is_cstr(tap_got(with), want);
	is_cstr(tap_got(anna), "");
	is_cstr(tap_got(without), "");
	is_cstr(tap_got(absent), "");
	struct sending t = { .to = BORIS, .copy = true, .body = "<b>3</b>" }; /* transient ones too */
	send_all(anna, &t, 1);
	is_cstr(tap_got(with), "message+sent chat " ANNA ">" BORIS " #0 <b>3</b>\n");
	for (int i = 1; i < 4; i++)
		tap_close(all[i]);
	tap_leave(anna, NULL);
	tap_got(anna);
}

TEST(i14_markers_and_retractions_reach_their_own_conversation_only)
{
	struct tap *boris = tap_open(BORIS "/r"), *clara = tap_open("clara@example.org/r");
	uint64_t own = say(anna, BORIS, "<b>mine</b>"), his = say(boris, "anna@example.org", "<b>his</b>");
	uint64_t other = 0, conv = conv_private(world_account("anna"), world_account("boris"));
	struct message_rec m;

	for (int i = 0; i < 60; i++)
		other = say(clara, "anna@example.org", "<b>other</b>");
	struct txn *t = im_read();
	uint64_t read_before = cursor_get(t, world_account("anna"), conv);
	is_int(message_get(t, his, &m), 0);
	uint64_t his_seq = m.seq;
	txn_commit(t);

	struct sending v[] = {
		{ .to = BORIS, .flags = MESSAGE_STORE, .displayed = other, .body = "<x/>" },
		{ .to = BORIS, .flags = MESSAGE_STORE, .replaces = his, .body = "<x/>" },   /* not hers */
		{ .to = BORIS, .flags = MESSAGE_STORE, .replaces = other, .body = "<x/>" }, /* not hers, not here */
		{ .to = "clara@example.org",
		  .flags = MESSAGE_STORE,
		  .replaces = own,
		  .body = "<x/>" }, /* hers, not here */
		{ .to = BORIS, .flags = MESSAGE_STORE, .replaces = 999999, .displayed = 999999, .body = "<x/>" },
	};
	send_all(anna, v, 5);
	for (int i = 0; i < 5; i++)
		ok(v[i].err == 0 && v[i].gid, "the stanza itself is kept");
	t = im_read();
	is_int(cursor_get(t, world_account("anna"), conv), read_before);
	uint64_t gids[] = { own, his, other };
	for (int i = 0; i < 3; i++)
		ok(message_get(t, gids[i], &m) == 0 && !(m.flags & MESSAGE_RETRACTED), "untouched");
	txn_commit(t);

	struct sending w = { .to = BORIS, .flags = MESSAGE_STORE, .displayed = his, .replaces = own, .body = "<x/>" };
	send_all(anna, &w, 1);
	t = im_read();
	is_int(cursor_get(t, world_account("anna"), conv), his_seq);
	is_int(message_get(t, own, &m), 0);
	is_str(m.payload, STR("<retracted/>"));
	txn_commit(t);
	tap_close(boris);
	tap_close(clara);
}

static bool count_reaction(void *ctx, uint32_t account, struct str set)
{
	ok(account == world_account("anna") && str_eq(set, STR("+")), "her set");
	++*(int *)ctx;
	return true;
}

TEST(i14_corrections_of_own_messages_only)
{
	struct tap *boris = tap_open(BORIS "/r"), *clara = tap_open("clara@example.org/r");
	uint64_t own = say(anna, BORIS, "<b>mine</b>"), his = say(boris, "anna@example.org", "<b>his</b>");
	uint64_t other = say(clara, "anna@example.org", "<b>other</b>");
	struct sending v[] = {
		{ .to = BORIS, .flags = STORED, .edits = his, .body = "<b>forged</b>" },
		{ .to = BORIS, .flags = STORED, .edits = other, .body = "<b>elsewhere</b>" },
		{ .to = BORIS, .flags = STORED, .edits = own, .body = "<b>right</b>" },
		{ .to = BORIS, .flags = MESSAGE_STORE, .reacts = his, .body = "<r/>" },
		{ .to = BORIS, .flags = MESSAGE_STORE, .reacts = other, .body = "<r/>" },
	};
	uint64_t want_edit[] = { 0, 0, own, 0, 0 };
	unsigned want_flags[] = { MESSAGE_COUNTS, MESSAGE_COUNTS, MESSAGE_EDIT, MESSAGE_REACTION, 0 };
	struct message_rec m;
	int n = 0;

	send_all(anna, v, 5);
	struct txn *t = im_read();
	for (int i = 0; i < 5; i++) {
		is_int(message_get(t, v[i].gid, &m), 0);
		is_int(m.edits, want_edit[i]);
		is_int(m.flags & (MESSAGE_COUNTS | MESSAGE_EDIT | MESSAGE_REACTION), want_flags[i]);
	}
	is_int(message_get(t, own, &m), 0);
	is_int(m.newest_edit, v[2].gid);
	is_int(message_get(t, his, &m), 0);
	is_int(m.newest_edit, 0);
	reaction_each(t, his, count_reaction, &n);
	is_int(n, 1);
	reaction_each(t, other, count_reaction, &n);
	is_int(n, 1);
	txn_commit(t);
	tap_close(boris);
	tap_close(clara);
}

TEST(d01_counters_are_in_the_commit_of_the_message)
{
	struct sending x = { .to = BORIS,
			     .flags = STORED,
			     .body = "<b>sm</b>",
			     .sm = { .id = "0123456789abcdefghijkl", .counters = { .in = 41, .out_acked = 5 } } };
	struct sm_rec r;
	struct sm_counters c = { 0 };
	struct txn *t = txn_write(im.store);

	sm_put(t, STR("0123456789abcdefghijkl"), &(struct sm_rec){ .account = 1, .full_jid = STR(ANNA) });
	is_int(txn_commit(t), 0);
	send_all(anna, &x, 1);
	t = im_read();
	is_int(sm_get(t, STR("0123456789abcdefghijkl"), &r, &c, NULL), 0);
	is_int(c.in, 41);
	is_int(c.out_acked, 5);
	txn_commit(t);
}

/* --- the delivered cursor --- */

static uint64_t stored_cursor(const char *local)
{
	struct txn *t = im_read();
	uint64_t gid = account_get_delivered(t, world_account(local));

	txn_commit(t);
	return gid;
}

static void confirm_all_here(void *arg)
{
	struct tap *t = arg;
	uint64_t gids[200];
	size_t n = inflight_waiting(t->s.user, gids, 200);

	for (size_t i = 0; i < n; i++)
		inflight_confirm(t->s.user, gids[i]);
	inflight_flush();
}

static void confirm_all(struct tap *t)
{
	rig_run(t->worker, confirm_all_here, t);
	world_settle();
}

struct cursor_test {
	struct tap *t;
	uint64_t g[6]; /* g[1] to g[5] */
};

/* The waiting ones by their places 1 to 5. */
static const char *waiting(struct cursor_test *c, size_t max)
{
	static char out[32];
	uint64_t gids[10];
	size_t n = inflight_waiting(c->t->s.user, gids, max), k = 0;

	out[0] = 0;
	for (size_t i = 0; i < n; i++)
		k += (size_t)snprintf(out + k, sizeof(out) - k, "%d", (int)(gids[i] - c->g[1] + 1));
	return out;
}

static void cursor_steps(void *arg)
{
	struct cursor_test *c = arg;
	struct user *u = c->t->s.user;
	uint64_t start = inflight_cursor(u), *g = c->g;

	ok(start < g[1], "nothing is confirmed");
	is_cstr(waiting(c, 10), "12345");
	is_cstr(waiting(c, 2), "12");
	inflight_hold(u, g[1]);
	inflight_hold(u, g[2]);
	inflight_hold(u, g[2]); /* two sessions */
	is_cstr(waiting(c, 10), "345");
	inflight_drop(u, g[1]);
	is_cstr(waiting(c, 10), "1345");
	inflight_drop(u, g[2]);
	is_cstr(waiting(c, 10), "1345");
	inflight_confirm(u, g[2]);
	is_int(inflight_cursor(u), start); /* not over the gap */
	inflight_confirm(u, g[4]);
	is_int(inflight_cursor(u), start);
	is_cstr(waiting(c, 10), "135");
	inflight_hold(u, g[1]);
	inflight_confirm(u, g[1]);
	is_int(inflight_cursor(u), g[2]);
	inflight_confirm(u, g[2]); /* late answers of the second session */
	inflight_drop(u, g[1]);
	inflight_hold(u, 1);
	inflight_confirm(u, g[5] + 1000);
	is_int(inflight_cursor(u), g[2]);
	inflight_add(u, g[1]); /* committed before, completed after the load */
	inflight_add(u, g[5]);
	is_cstr(waiting(c, 10), "35");
	inflight_confirm(u, g[3]);
	is_int(inflight_cursor(u), g[4]);
	is_cstr(waiting(c, 10), "5");
}

TEST(d03_cursor_moves_over_a_confirmed_prefix_only)
{
	struct cursor_test c = { .t = tap_open(BORIS "/r") };

	confirm_all(c.t);
	tap_present(c.t, 0, NULL);
	for (int i = 1; i <= 5; i++)
		c.g[i] = say(anna, BORIS, "<b>n</b>");
	rig_run(c.t->worker, cursor_steps, &c);
	tap_close(c.t);
	is_int(stored_cursor("boris"), c.g[4]);
	c.t = tap_open(BORIS "/r2"); /* what was not confirmed comes again, with the time it was said */
	tap_present(c.t, 0, NULL);
	is_int(c.t->last_gid, c.g[5]);
	ok(c.t->last_delay_ms > 0, "delay stamp");
	is_cstr(bodies(c.t), "n ");
	confirm_all(c.t);
	is_int(stored_cursor("boris"), c.g[5]);
	tap_close(c.t);
}

struct reload {
	struct tap *first, *second;
};

static void reload_here(void *arg)
{
	struct reload *r = arg;
	uint64_t gids[10];

	is_int(inflight_waiting(r->first->s.user, gids, 10), 3);
	for (int i = 0; i < 3; i++)
		inflight_confirm(r->first->s.user, gids[i]);
	struct txn *t = txn_write(im.store); /* the writer waits */
	tap_close_here(r->first);	     /* its cursor is on the way to the disk */
	tap_open_here(r->second);
	txn_abort(t);
	is_int(inflight_cursor(r->second->s.user), gids[2]);
	is_int(inflight_waiting(r->second->s.user, gids, 10), 0);
}

TEST(reload_before_the_cursor_is_written)
{
	struct reload r = { .first = tap_open(BORIS "/r"), .second = NEW(struct tap) };

	confirm_all(r.first);
	for (int i = 0; i < 3; i++)
		say(anna, BORIS, "<b>n</b>");
	*r.second = (struct tap){ .jid = r.first->jid, .worker = r.first->worker };
	buf_init(&r.second->got, 1 << 20);
	rig_run(r.first->worker, reload_here, &r);
	world_settle();
	is_int(stored_cursor("boris"), last_gid());
	buf_clear(&r.first->got);
	mem_free(r.first);
	tap_close(r.second);
}

TEST(offline_messages_come_with_presence_of_no_negative_priority)
{
	struct tap *b = tap_open(BORIS "/r");

	confirm_all(b);
	tap_close(b);
	for (int i = 0; i < 3; i++) {
		char body[20];
		snprintf(body, sizeof(body), "<b>%d</b>", i);
		say(anna, BORIS, body);
	}
	struct sending x = { .to = BORIS, .body = "<b>typing</b>" };
	send_all(anna, &x, 1); /* transient: nobody there, nothing kept */
	is_int(x.err, 0);
	b = tap_open(BORIS "/r");
	is_cstr(bodies(b), "");
	tap_present(b, -1, NULL);
	is_cstr(bodies(b), "");
	tap_present(b, 1, NULL);
	is_cstr(bodies(b), "0 1 2 ");
	confirm_all(b);
	tap_present(b, 2, NULL);
	is_cstr(bodies(b), "");
	tap_close(b);
}

TEST(offline_flush_has_a_limit)
{
	struct limits l = *limits(), former = l;
	struct tap *b = tap_open(BORIS "/r");
	char body[20];

	confirm_all(b);
	tap_close(b);
	for (int i = 0; i < 8; i++) {
		snprintf(body, sizeof(body), "<b>%d</b>", i);
		say(anna, BORIS, body);
	}
	l.offline_flush = 5;
	limits_set(&l);
	b = tap_open(BORIS "/r");
	tap_present(b, 0, NULL);
	is_cstr(bodies(b), "3 4 5 6 7 ");
	confirm_all(b);
	is_int(stored_cursor("boris"), last_gid());
	limits_set(&former);
	tap_close(b);
}

/* --- block lists --- */

struct blocking {
	const char *jids[4];
	size_t n;
	bool remove;
	int err;
};

static int apply_now(struct txn *t, void *ctx)
{
	return ((struct write_op *)ctx)->apply(t, ctx);
}

static void block_here(void *arg)
{
	struct blocking *b = arg;
	struct arena *a = arena_new(1024);
	struct jid v[4];

	for (size_t i = 0; i < b->n; i++)
		is_int(jid_parse(a, str_c(b->jids[i]), &v[i]), 0);
	struct write_op *op = block_op(world_account("clara"), b->remove, v, b->n);
	b->err = store_apply(im.store, apply_now, op);
	block_op_free(op);
	arena_free(a);
}

static int block(bool remove, size_t n, const char *j1, const char *j2, const char *j3)
{
	struct blocking b = { { j1, j2, j3, NULL }, n, remove, 0 };

	rig_run(0, block_here, &b);
	return b.err;
}

static size_t blocked(void)
{
	static const char *const all[] = { "a@example.org", "b@example.org", "c@example.org", "d@example.org" };
	struct txn *t = im_read();
	size_t n = 0;

	for (int i = 0; i < 4; i++)
		n += block_get(t, world_account("clara"), str_c(all[i]));
	txn_commit(t);
	return n;
}

TEST(block_list_has_a_limit)
{
	struct limits l = *limits(), former = l;

	l.block_items = 3;
	limits_set(&l);
	is_int(block(false, 2, "a@example.org", "b@example.org", NULL), 0);
	is_int(blocked(), 2);
	is_int(block(false, 2, "c@example.org", "d@example.org", NULL), ERR_LIMIT);
	is_int(blocked(), 2); /* all or nothing */
	is_int(block(false, 1, "c@example.org", NULL, NULL), 0);
	is_int(block(false, 1, "a@example.org", NULL, NULL), 0); /* it is on the list already */
	is_int(block(false, 2, "a@example.org", "d@example.org", NULL), ERR_LIMIT);
	is_int(block(true, 1, "a@example.org", NULL, NULL), 0);
	is_int(block(false, 2, "d@example.org", "d@example.org", NULL), 0); /* named twice, counted once */
	is_int(blocked(), 3);
	is_int(block(true, 0, NULL, NULL, NULL), 0);
	is_int(blocked(), 0);
	limits_set(&former);
}

TEST(world_ends)
{
	tap_close(anna);
	world_stop();
	is_ptr(im.store, NULL);
	message_caches_drop();
}
