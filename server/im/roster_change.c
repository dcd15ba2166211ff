/*
 * Changes of own roster items: one operation of the writer changes the person's item and, for subscriptions, the contact's in the same commit
 * (RFC 6121 section 3); its completion runs on both homes and tells the sessions there. Nothing is said before the commit (D01).
 */
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/im/roster.h"
#include "server/im/roster_state.h"
#include "server/net/limits.h"
#include "storage/tab_account.h"
#include <string.h>

#define REQUEST_MAX 32768 /* bytes kept of what came with a request; more is shown once and not kept */
#define STEPS_MAX 4

/* One of the two people of a change. */
struct side {
	struct jid jid; /* bare */
	uint32_t id;	/* 0: no account of ours */
	unsigned home;
	bool deaf; /* blocks the other: is told nothing */
	/* results, made anew by each apply() */
	struct arena *arena; /* strings of the item while it is worked on */
	struct roster_item item;
	bool saw; /* received the other's presence before */
	unsigned n_steps, n_told;
	struct {
		struct roster_item *item;
		uint64_t version;
		bool push;
	} step[STEPS_MAX];
	struct {
		enum roster_stanza type;
		bool original;
	} told[STEPS_MAX]; /* stanzas from the other */
};
struct roster_op {
	struct write_op op;
	int (*run)(struct txn *t, struct roster_op *o);
	struct side me, them;
	enum roster_stanza stanza;
	struct roster_item *wanted; /* roster_put */
	struct chunk *payload;
	struct str id;
	roster_done_fn *done;
	void *ctx;
	char bytes[];
};

/* ---- writer thread ---- */

static void side_reset(struct side *s)
{
	for (unsigned i = 0; i < s->n_steps; i++)
		mem_free(s->step[i].item);
	s->n_steps = s->n_told = 0;
}

static int side_load(struct txn *t, struct side *s, const struct jid *other)
{
	side_reset(s);
	s->saw = false;
	if (!s->arena)
		s->arena = arena_new(4096);
	arena_reset(s->arena);
	int err = s->id ? roster_item_get(t, s->id, other->full, &s->item) : ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND)
		s->item = (struct roster_item){ .jid = other->full };
	else if (err)
		return err;
	/* What is put must not point into the store. */
	s->item.jid = other->full;
	s->item.name = arena_str(s->arena, s->item.name);
	for (unsigned i = 0; i < s->item.groups; i++)
		s->item.group[i] = arena_str(s->arena, s->item.group[i]);
	s->item.request = s->item.request.n ? arena_str(s->arena, s->item.request) : STR_NONE;
	s->saw = s->item.to;
	return 0;
}

static void side_put(struct txn *t, struct side *s, bool push)
{
	roster_item_put(t, s->id, &s->item);
	if (s->n_steps == STEPS_MAX)
		return;
	s->step[s->n_steps].item = roster_item_copy(&s->item);
	s->step[s->n_steps].version = roster_version(t, s->id);
	s->step[s->n_steps++].push = push;
}

static void side_tell(struct side *s, enum roster_stanza type, bool original)
{
	if (s->deaf || s->n_told == STEPS_MAX)
		return;
	s->told[s->n_told].type = type;
	s->told[s->n_told++].original = original;
}

static bool is_full(struct txn *t, const struct side *s)
{
	const struct roster_item *i = &s->item;

	if (i->listed || i->to || i->from || i->ask || i->pending_in || i->approved)
		return false; /* is there already */
	return roster_item_count(t, s->id) >= limits()->roster_items;
}

/* A stanza arrives at one side's item; true when it is to be delivered. */
static bool arrive(struct txn *t, struct side *s, enum roster_stanza stanza)
{
	const struct roster_step *step = &roster_inbound[stanza][roster_state_of(&s->item)];
	struct roster_item old = s->item;

	roster_state_set(&s->item, step->next);
	if (!s->item.pending_in)
		s->item.request = STR_NONE;
	bool visible = old.to != s->item.to || old.from != s->item.from || old.ask != s->item.ask;
	if (visible || old.pending_in != s->item.pending_in)
		side_put(t, s, visible && s->item.listed);
	return step->pass;
}

/* A.3.1 with its notes: a request that needs no answer of a person is answered here. */
static void request_arrives(struct txn *t, struct roster_op *o)
{
	struct side *s = &o->them;
	const struct roster_step *step = &roster_inbound[ROSTER_SUBSCRIBE][roster_state_of(&s->item)];

	if (s->deaf || is_full(t, s))
		return;
	if (!step->answer && !s->item.approved) {
		if (!s->item.pending_in && o->payload && o->payload->n <= REQUEST_MAX)
			s->item.request = chunk_str(o->payload);
		if (arrive(t, s, ROSTER_SUBSCRIBE))
			side_tell(s, ROSTER_SUBSCRIBE, true);
		return;
	}
	if (!step->answer) { /* pre-approved (3.4.2) */
		roster_state_set(&s->item, s->item.to ? ROSTER_BOTH : s->item.ask ? ROSTER_FROM_OUT : ROSTER_FROM);
		s->item.request = STR_NONE;
		side_put(t, s, s->item.listed);
	}
	if (arrive(t, &o->me, ROSTER_SUBSCRIBED))
		side_tell(&o->me, ROSTER_SUBSCRIBED, false);
}

static void pass_on(struct txn *t, struct roster_op *o, enum roster_stanza stanza)
{
	if (!o->them.id)
		return; /* no such account: silence tells nothing (3.1.3) */
	if (stanza == ROSTER_SUBSCRIBE)
		request_arrives(t, o);
	else if (arrive(t, &o->them, stanza))
		side_tell(&o->them, stanza, true);
}

static int run_subscription(struct txn *t, struct roster_op *o)
{
	struct side *s = &o->me;
	const struct roster_step *step = &roster_outbound[o->stanza][roster_state_of(&s->item)];
	struct roster_item old = s->item;

	if (o->stanza == ROSTER_SUBSCRIBE && is_full(t, s))
		return ERR_LIMIT;
	roster_state_set(&s->item, step->next);
	if (!s->item.pending_in)
		s->item.request = STR_NONE;
	if (o->stanza == ROSTER_UNSUBSCRIBED)
		s->item.approved = false;
	if (o->stanza == ROSTER_SUBSCRIBED && !step->pass && !old.from) { /* pre-approval (3.4.1) */
		if (is_full(t, s))
			return ERR_LIMIT;
		s->item.approved = true;
	}
	if (o->stanza == ROSTER_SUBSCRIBE || s->item.from || s->item.approved)
		s->item.listed = true;
	bool visible = old.to != s->item.to || old.from != s->item.from || old.ask != s->item.ask ||
		       old.approved != s->item.approved || old.listed != s->item.listed;
	if (visible || old.pending_in != s->item.pending_in)
		side_put(t, s, visible && s->item.listed);
	if (step->pass)
		pass_on(t, o, o->stanza);
	return txn_error(t);
}

static int run_put(struct txn *t, struct roster_op *o)
{
	struct side *s = &o->me;

	if (is_full(t, s))
		return ERR_LIMIT;
	s->item.listed = true;
	s->item.name = o->wanted->name;
	s->item.groups = o->wanted->groups;
	memcpy(s->item.group, o->wanted->group, sizeof s->item.group);
	side_put(t, s, true);
	return txn_error(t);
}

/* 2.5.2: the contact gets unsubscribe for what was asked of him, unsubscribed for what he had. A request of his stays to be answered. */
static int run_remove(struct txn *t, struct roster_op *o)
{
	struct side *s = &o->me;
	struct roster_item old = s->item;

	if (!old.listed)
		return ERR_NOT_FOUND;
	s->item = (struct roster_item){ .jid = old.jid, .pending_in = old.pending_in, .request = old.request };
	side_put(t, s, true);
	if (old.to || old.ask)
		pass_on(t, o, ROSTER_UNSUBSCRIBE);
	if (old.from)
		pass_on(t, o, ROSTER_UNSUBSCRIBED);
	return txn_error(t);
}

static int apply_roster(struct txn *t, struct write_op *op)
{
	struct roster_op *o = (struct roster_op *)op;
	int err = side_load(t, &o->me, &o->them.jid);

	if (!err)
		err = side_load(t, &o->them, &o->me.jid);
	return err ? err : o->run(t, o);
}

struct ending {
	struct txn *t;
	struct arena *a;
	struct str *contact;
	size_t n;
};

static bool note_contact(void *ctx, const struct roster_item *item)
{
	struct ending *e = ctx;

	e->contact[e->n++] = arena_str(e->a, item->jid);
	return true;
}

/* Contact's item about an account that ends: as if unsubscribe and unsubscribed had come. */
static void end_contact(struct ending *e, struct str contact, struct str bare)
{
	struct side s = { .arena = arena_new(4096) };
	struct jid j, about = { .full = bare };
	struct account_rec acc;

	if (jid_parse(e->a, contact, &j) == 0 && account_get(e->t, jid_domain(&j), jid_local(&j), &acc) == 0) {
		s.id = acc.id;
		if (side_load(e->t, &s, &about) == 0) {
			s.item.approved = false;
			arrive(e->t, &s, ROSTER_UNSUBSCRIBE);
			arrive(e->t, &s, ROSTER_UNSUBSCRIBED);
			roster_item_put(e->t, s.id, &s.item);
		}
	}
	side_reset(&s);
	arena_free(s.arena);
}

void roster_end_account(struct txn *t, uint32_t account, struct str bare)
{
	struct ending e = { .t = t, .a = arena_new(16384) };

	e.contact = arena_zero(e.a, (roster_item_count(t, account) + 1) * sizeof *e.contact);
	roster_item_each(t, account, note_contact, &e);
	for (size_t i = 0; i < e.n; i++)
		end_contact(&e, e.contact[i], bare);
	roster_delete_account(t, account);
	arena_free(e.a);
}

struct gone {
	size_t n;
	char bare[];
};

/* What the commit made of the item that u has about an account that ended. */
static void bring_up_to_date(struct user *u, struct str bare, const struct roster_item *known)
{
	struct txn *t = im_read();
	struct roster_item item;
	bool saw = known->to, shown = known->listed;

	if (roster_item_get(t, u->id, bare, &item))
		item = (struct roster_item){ .jid = bare };
	uint64_t version = roster_version(t, u->id);
	roster_remember(u, &item, version); /* known is gone */
	if (shown)
		roster_push(u, &item, version);
	txn_commit(t);
	if (saw)
		roster_hide(u, bare);
}

static void gone_here(void *data)
{
	const struct gone *g = data;
	size_t pos = 0;
	struct str key;
	void *v;

	while (hash_next(home()->users, &pos, &key, &v)) {
		const struct roster_item *known = roster_item(v, str_of(g->bare, g->n));
		if (known)
			bring_up_to_date(v, str_of(g->bare, g->n), known);
	}
}

void roster_account_gone(struct str bare)
{
	struct gone *g = mem_alloc(sizeof *g + bare.n);

	g->n = bare.n;
	memcpy(g->bare, bare.p, bare.n);
	fanout(gone_here, g, mem_free);
}

/* ---- completion on the homes ---- */

static void deliver_told(struct roster_op *o, struct user *u, const struct side *s, const struct side *other)
{
	for (unsigned i = 0; i < s->n_told; i++) {
		struct outgoing out = { .kind = STANZA_PRESENCE,
					.from = other->jid.full,
					.to = s->jid.full,
					.type = roster_stanza_type(s->told[i].type) };
		if (s->told[i].original) {
			out.id = o->id;
			out.payload = o->payload;
		}
		list_each_safe (to, &u->sessions, struct session, of_user)
			if (to->available)
				session_send(to, &out);
	}
}

static void side_done(struct roster_op *o, const struct side *s, const struct side *other)
{
	struct user *u = user_find(s->jid.full);

	if (!u)
		return;
	deliver_told(o, u, s, other);
	for (unsigned i = 0; i < s->n_steps; i++) {
		roster_remember(u, s->step[i].item, s->step[i].version);
		bool last = i + 1 == s->n_steps;
		/* Several steps of one stay visible only when the first differs for the person: asked, then answered at once. */
		if (s->step[i].push && (last || s->step[i].item->ask))
			roster_push(u, s->step[i].item, s->step[i].version);
	}
	if (s->saw == s->item.to || org_visible(org_current(), s->id, other->id))
		return;
	if (s->item.to)
		presence_reveal(other->jid.full, s->jid.full, true);
	else
		roster_hide(u, other->jid.full);
}

static void roster_done(struct write_op *op, int err, unsigned worker)
{
	struct roster_op *o = (struct roster_op *)op;

	if (!err && o->them.id && worker == o->them.home)
		side_done(o, &o->them, &o->me);
	if (worker != o->me.home)
		return;
	if (!err)
		side_done(o, &o->me, &o->them);
	o->done(o->ctx, err);
}

static void roster_op_free(struct write_op *op)
{
	struct roster_op *o = (struct roster_op *)op;

	side_reset(&o->me);
	side_reset(&o->them);
	if (o->me.arena)
		arena_free(o->me.arena);
	if (o->them.arena)
		arena_free(o->them.arena);
	chunk_unref(o->payload);
	mem_free(o->wanted);
	mem_free(o);
}

/* ---- asking ---- */

static struct str put_str(char **p, struct str s)
{
	char *at = *p;

	if (s.n)
		memcpy(at, s.p, s.n);
	*p += s.n;
	return s.p ? str_of(at, s.n) : STR_NONE;
}

static struct roster_op *op_new(struct session *s, const struct jid *contact, struct str id,
				int (*run)(struct txn *t, struct roster_op *o))
{
	struct jid mine = s->user->jid, theirs = jid_to_bare(*contact);
	struct roster_op *o = mem_zero(sizeof *o + mine.full.n + theirs.full.n + id.n + 1);
	const struct peer *p = im_is_our_domain(jid_domain(&theirs)) && theirs.local_n ? peer_get(&theirs) : NULL;
	char *at = o->bytes;

	o->op = (struct write_op){ .apply = apply_roster, .done = roster_done, .free = roster_op_free };
	o->run = run;
	o->me.id = s->user->id;
	o->me.home = o->them.home = (unsigned)threads_self();
	o->me.jid = mine;
	o->me.jid.full = put_str(&at, mine.full);
	o->them.jid = theirs;
	o->them.jid.full = put_str(&at, theirs.full);
	o->id = put_str(&at, id);
	if (p && p->id) {
		o->them.id = p->id;
		o->them.home = p->home;
		o->them.deaf = peer_blocks(p, &mine);
	}
	return o;
}

static void submit(struct roster_op *o, roster_done_fn *done, void *ctx)
{
	o->done = done;
	o->ctx = ctx;
	im_write_to(&o->op, 1ull << o->me.home | 1ull << o->them.home);
}

/* The company structure says both already: a request is answered here, and whoever tries to leave is shown the item as it is. */
static bool structure_decides(struct session *s, const struct jid *to, enum roster_stanza stanza)
{
	struct user *u = s->user;
	const struct roster_item *own = roster_item(u, to->full);
	struct outgoing o = { .kind = STANZA_PRESENCE, .from = to->full, .to = u->jid.full, .type = STR("subscribed") };
	struct roster_item same = own ? *own : (struct roster_item){ .jid = to->full };

	if (!org_visible(org_current(), u->id, peer_get(to)->id))
		return false;
	if (own && roster_state_of(own) != ROSTER_NONE)
		return false;
	if (stanza == ROSTER_SUBSCRIBE) {
		list_each_safe (mine, &u->sessions, struct session, of_user)
			if (mine->available)
				session_send(mine, &o);
	}
	roster_push(u, &same, roster_own_version(u));
	return true;
}

void roster_subscription(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload,
			 roster_done_fn *done, void *ctx)
{
	enum roster_stanza stanza = roster_stanza_of(type);
	struct jid bare = jid_to_bare(*to);

	if (stanza == ROSTER_STANZAS || jid_bare_eq(&bare, &s->jid))
		return done(ctx, ERR_SYNTAX);
	if (structure_decides(s, &bare, stanza))
		return done(ctx, 0);
	struct roster_op *o = op_new(s, &bare, id, run_subscription);
	o->stanza = stanza;
	o->payload = payload ? chunk_ref(payload) : NULL;
	submit(o, done, ctx);
}

void roster_put(struct session *s, const struct jid *contact, const struct roster_item *item, roster_done_fn *done,
		void *ctx)
{
	struct roster_op *o = op_new(s, contact, STR_NONE, run_put);

	o->wanted = roster_item_copy(item);
	submit(o, done, ctx);
}

void roster_remove(struct session *s, const struct jid *contact, roster_done_fn *done, void *ctx)
{
	submit(op_new(s, contact, STR_NONE, run_remove), done, ctx);
}
