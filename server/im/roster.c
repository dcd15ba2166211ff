/*
 * Changes of own roster items. One writer op changes both people's items in one commit; its completion runs on both homes: pushes, the presence stanza itself,
 * and what each now sees of the other. In memory a loaded user keeps only the set of contacts whose presence he gets, and a version.
 */
#include "server/im/roster.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/im/roster_sub.h"
#include "server/net/limits.h"
#include "storage/tab_account.h"

struct own_roster {
	struct hash *to;             /* bare JID -> itself (owned): contacts whose presence the user gets */
	uint64_t version;
};

static roster_push_fn *push_item;

/* ---- memory of loaded users ---- */

static void remember(struct own_roster *r, struct str jid, bool to)
{
	char *had = hash_get(r->to, jid);

	if (to && !had) {
		char *copy = str_dup(jid);
		hash_put(r->to, str_of(copy, jid.n), copy);
	} else if (!to && had) {
		hash_del(r->to, jid);
		mem_free(had);
	}
}

static bool load_one(void *ctx, const struct roster_item *i)
{
	if (i->to) remember(ctx, i->jid, true);
	return true;
}

static void load(struct user *u)
{
	struct own_roster *r = NEW(struct own_roster);
	struct txn *t = im_read();

	r->to = hash_new();
	roster_item_each(t, u->id, load_one, r);
	r->version = roster_version(t, u->id);
	txn_commit(t);
	u->roster = r;
}

static void unload(struct user *u)
{
	struct own_roster *r = u->roster;
	size_t pos = 0;
	struct str key;
	void *v;

	if (!r) return;
	while (hash_next(r->to, &pos, &key, &v)) mem_free(v);
	hash_free(r->to);
	mem_free(r);
	u->roster = NULL;
}

static const struct session_hooks hooks = { .user_load = load, .user_unload = unload };

void roster_init(roster_push_fn *push)
{
	push_item = push;
	session_add_hooks(&hooks);
}

bool roster_sees(const struct user *viewer, struct str subject_bare)
{
	const struct own_roster *r = viewer->roster;

	return r && hash_get(r->to, subject_bare) != NULL;
}

uint64_t roster_own_version(const struct user *u)
{
	return ((struct own_roster *)u->roster)->version;
}

bool roster_sees_id(uint32_t viewer, uint32_t subject)
{
	struct txn *t = im_read();
	struct account_rec acc;
	struct roster_item item;
	struct arena *a = arena_new(1024);
	bool sees = false;

	if (account_get_by_id(t, subject, &acc) == 0) {
		struct jid j = jid_make(a, acc.local, acc.domain, STR_NONE);
		sees = roster_item_get(t, viewer, j.full, &item) == 0 && item.to;
	}
	txn_commit(t);
	arena_free(a);
	return sees;
}

/* ---- waiting requests ---- */

struct show {
	struct session *s;
};

static bool show_request(void *ctx, const struct roster_item *i)
{
	struct session *s = ((struct show *)ctx)->s;

	if (!i->pending_in) return true;
	struct chunk *payload = i->request.n ? chunk_of(i->request) : NULL;
	struct outgoing o = { .kind = STANZA_PRESENCE, .from = i->jid, .to = s->user->jid.full, .type = STR("subscribe"), .payload = payload };
	session_send(s, &o);
	chunk_unref(payload);
	return true;
}

void roster_initial_presence(struct session *s)
{
	struct show show = { s };
	struct txn *t = im_read();

	roster_item_each(t, s->user->id, show_request, &show);
	txn_commit(t);
}

/* ---- one change, both sides ---- */

struct side {
	uint32_t id;
	unsigned home;
	struct jid jid;              /* bare */
	struct roster_item item;     /* after the change; slices in the op's arena */
	bool push, deliver, lost_sight, gained_sight;
	uint64_t version;
};
enum change_kind { CHANGE_SUBSCRIPTION, CHANGE_SET, CHANGE_REMOVE };
struct change {
	struct write_op op;
	struct arena *arena;
	enum change_kind kind;
	enum sub_type type;
	struct side me, other;       /* other.id 0: no such account */
	bool structure;              /* the company structure already says both */
	struct str id, name;
	struct str groups[ROSTER_GROUPS_MAX];
	unsigned n_groups;
	struct chunk *payload;
	bool reply;                  /* the contact's server answers subscribed at once */
	bool also_unsubscribe, also_unsubscribed;
	roster_done_fn *done;
	void *ctx;
};

static void item_copy(struct arena *a, struct roster_item *i)
{
	i->jid = arena_str(a, i->jid);
	i->name = arena_str(a, i->name);
	i->request = arena_str(a, i->request);
	for (unsigned g = 0; g < i->groups; g++) i->group[g] = arena_str(a, i->group[g]);
}

/* The item about `contact`, a blank one when there is none. */
static void item_read(struct txn *t, struct change *c, uint32_t account, const struct jid *contact, struct roster_item *out)
{
	if (roster_item_get(t, account, contact->full, out)) *out = (struct roster_item){ .jid = contact->full };
	item_copy(c->arena, out);
}

static void item_write(struct txn *t, struct side *s)
{
	roster_item_put(t, s->id, &s->item);
	s->version = roster_version(t, s->id);
}

/* The contact's half of a presence that was sent. */
static void inbound(struct txn *t, struct change *c, enum sub_type type)
{
	struct side *o = &c->other;
	bool had_to = o->item.to;

	if (!o->id) return;
	struct sub_effect e = sub_inbound(&o->item, type);
	if (type == SUB_SUBSCRIBE && o->item.pending_in) o->item.request = c->payload ? arena_str(c->arena, chunk_str(c->payload)) : STR("");
	if (!o->item.pending_in) o->item.request = STR("");
	o->deliver |= e.route;
	o->push |= e.push;
	c->reply |= e.reply;
	o->lost_sight |= had_to && !o->item.to;
	o->gained_sight |= !had_to && o->item.to;
	item_write(t, o);
}

static void outbound(struct txn *t, struct change *c, enum sub_type type)
{
	struct side *m = &c->me;
	bool had_to = m->item.to;
	struct sub_effect e = sub_outbound(&m->item, type);

	if (!m->item.pending_in) m->item.request = STR("");
	m->push |= e.push;
	m->lost_sight |= had_to && !m->item.to;
	if (e.route) inbound(t, c, type);
	if (e.route && c->reply && type == SUB_SUBSCRIBE) { /* the answer comes at once (A.3.1, pre-approval) */
		struct sub_effect back = sub_inbound(&m->item, SUB_SUBSCRIBED);
		m->push |= back.push;
		m->gained_sight |= !had_to && m->item.to;
	}
}

static int apply_set(struct txn *t, struct change *c)
{
	struct roster_item *i = &c->me.item;

	if (!i->listed && roster_item_count(t, c->me.id) >= limits()->roster_items) return ERR_LIMIT;
	i->listed = true;
	i->name = c->name;
	i->groups = c->n_groups;
	for (unsigned g = 0; g < c->n_groups; g++) i->group[g] = c->groups[g];
	c->me.push = true;
	item_write(t, &c->me);
	return 0;
}

static int apply_remove(struct txn *t, struct change *c)
{
	struct roster_item *i = &c->me.item;

	if (!i->listed) return ERR_NOT_FOUND;
	c->also_unsubscribe = i->to || i->ask;
	c->also_unsubscribed = i->from;
	if (c->also_unsubscribe) outbound(t, c, SUB_UNSUBSCRIBE);
	if (c->also_unsubscribed) outbound(t, c, SUB_UNSUBSCRIBED);
	roster_item_del(t, c->me.id, c->other.jid.full);
	*i = (struct roster_item){ .jid = c->other.jid.full };
	c->me.version = roster_version(t, c->me.id);
	c->me.push = true;
	return 0;
}

/* Writer thread. */
static int apply_change(struct txn *t, struct write_op *op)
{
	struct change *c = (struct change *)op;
	int err = 0;

	c->reply = c->me.push = c->me.lost_sight = c->me.gained_sight = false; /* may run twice */
	c->other.push = c->other.deliver = c->other.lost_sight = c->other.gained_sight = false;
	item_read(t, c, c->me.id, &c->other.jid, &c->me.item);
	if (c->other.id) item_read(t, c, c->other.id, &c->me.jid, &c->other.item);
	if (c->kind == CHANGE_SET) err = apply_set(t, c);
	else if (c->kind == CHANGE_REMOVE) err = apply_remove(t, c);
	else {
		if (!c->me.item.listed && roster_item_count(t, c->me.id) >= limits()->roster_items) return ERR_LIMIT;
		outbound(t, c, c->type);
		item_write(t, &c->me);
	}
	return err ? err : txn_error(t);
}

/* ---- after the commit, on each home ---- */

static void show_side(struct side *s, struct str other)
{
	struct user *u = user_find(s->jid.full);

	if (u && u->roster) {
		struct own_roster *r = u->roster;
		r->version = s->version;
		remember(r, other, s->item.to);
		if (s->push) push_item(u, &s->item, s->version);
	}
}

static void send_type(struct change *c, enum sub_type type)
{
	presence_post(c->me.jid.full, &c->other.jid, str_c(sub_names[type]), c->id, c->payload);
}

static void at_me(struct change *c)
{
	struct user *u = user_find(c->me.jid.full);
	if (u && c->reply && c->me.gained_sight) { /* asked and answered in one commit: both steps are shown (RFC 6121 3.1.2 and 3.1.6) */
		struct roster_item asked = c->me.item;
		asked.to = false;
		asked.ask = true;
		push_item(u, &asked, c->me.version);
	}
	show_side(&c->me, c->other.jid.full);
	if (c->reply) presence_post(c->other.jid.full, &c->me.jid, STR("subscribed"), STR_NONE, NULL);
	if (c->me.gained_sight) presence_reveal(c->other.jid.full, c->me.jid.full, true);
	if (c->me.lost_sight && !c->structure) presence_reveal(c->other.jid.full, c->me.jid.full, false);
}

static void at_other(struct change *c)
{
	if (c->kind == CHANGE_SET || !c->other.id) return;
	show_side(&c->other, c->me.jid.full);
	if (c->other.deliver && c->kind == CHANGE_SUBSCRIPTION) send_type(c, c->type);
	if (c->other.deliver && c->also_unsubscribe) send_type(c, SUB_UNSUBSCRIBE);
	if (c->other.deliver && c->also_unsubscribed) send_type(c, SUB_UNSUBSCRIBED);
	if (c->other.gained_sight) presence_reveal(c->me.jid.full, c->other.jid.full, true);
	if (c->other.lost_sight && !c->structure) presence_reveal(c->me.jid.full, c->other.jid.full, false);
}

static void changed(struct write_op *op, int err, unsigned worker)
{
	struct change *c = (struct change *)op;

	if (!err && worker == c->me.home) at_me(c);
	if (!err && worker == c->other.home) at_other(c);
	if (worker == c->me.home) c->done(c->ctx, err);
}

static void free_change(struct write_op *op)
{
	struct change *c = (struct change *)op;

	chunk_unref(c->payload);
	arena_free(c->arena);
	mem_free(c);
}

static struct change *change_new(struct session *s, const struct jid *contact, enum change_kind kind, roster_done_fn *done, void *ctx)
{
	struct change *c = NEW(struct change);
	const struct peer *p = peer_get(contact);

	c->op = (struct write_op){ .apply = apply_change, .done = changed, .free = free_change };
	c->kind = kind;
	c->arena = arena_new(2048);
	c->me.id = s->user->id;
	c->me.home = (unsigned)threads_self();
	c->me.jid = jid_dup(c->arena, s->user->jid);
	c->other.id = im_is_our_domain(jid_domain(contact)) && !peer_blocks(p, &s->user->jid) ? p->id : 0;
	c->other.home = c->other.id ? p->home : c->me.home;
	c->other.jid = jid_dup(c->arena, *contact);
	c->structure = c->other.id && org_visible(org_current(), c->me.id, c->other.id);
	c->done = done;
	c->ctx = ctx;
	return c;
}

static void submit(struct change *c)
{
	im_write_to(&c->op, 1ull << c->me.home | 1ull << c->other.home);
}

void roster_subscription(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload, roster_done_fn *done,
			 void *ctx)
{
	struct change *c = change_new(s, to, CHANGE_SUBSCRIPTION, done, ctx);
	int t = sub_type_of(type);

	if (c->structure || t < 0) { /* the company says both already; a request is answered, the rest changes nothing */
		if (t == SUB_SUBSCRIBE) presence_post(c->other.jid.full, &c->me.jid, STR("subscribed"), STR_NONE, NULL);
		free_change(&c->op);
		done(ctx, 0);
		return;
	}
	c->type = (enum sub_type)t;
	c->id = id.p ? arena_str(c->arena, id) : STR_NONE;
	c->payload = payload ? chunk_ref(payload) : NULL;
	submit(c);
}

void roster_set(struct session *s, const struct jid *contact, struct str name, const struct str *groups, unsigned n_groups, roster_done_fn *done,
		void *ctx)
{
	struct change *c = change_new(s, contact, CHANGE_SET, done, ctx);

	c->name = arena_str(c->arena, name.p ? name : STR(""));
	c->n_groups = n_groups;
	for (unsigned g = 0; g < n_groups; g++) c->groups[g] = arena_str(c->arena, groups[g]);
	submit(c);
}

void roster_remove(struct session *s, const struct jid *contact, roster_done_fn *done, void *ctx)
{
	submit(change_new(s, contact, CHANGE_REMOVE, done, ctx));
}
