/*
 * Bookmarks (XEP-0402, 0048): a view of two things, the items that the person's clients stored in PEP and the chats he is in. A stored item of a chat he is in
 * keeps what the client wrote (nick, extensions, autojoin); without one the chat stands there with autojoin; of a chat he left nothing may bring him back, so
 * autojoin is off. Home thread of the person.
 */
#include "server/xmpp/bookmarks.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/pep.h"
#include "storage/tab_private.h"
#include "xml/parser.h"
#include "xml/print.h"

#define CHATS_MAX 10000 /* of one person, in one answer */

/* ---- the view ---- */

struct view {
	struct arena *a;
	struct txn *t;
	const struct user *u;
	void (*fn)(struct view *v, struct str id, struct node *conference);
	struct node *out; /* for fn */
	struct buf *b;
	struct idmap *seen; /* numbers of chats that a stored item stands for */
};

static const struct parser_limits lax = { 16777216, 16777216, 512, 100000, 1000, 100 };

/* Number of our chat behind an address, 0: none of ours. */
static uint64_t chat_of_id(struct txn *t, struct arena *a, struct str id, const struct user *u)
{
	struct jid j;
	struct str people;

	if (jid_parse(a, id, &j) || !j.local_n || !muc_service(jid_domain(&j), &people) ||
	    !str_eq(people, jid_domain(&u->jid)))
		return 0;
	return chat_resolve(t, people, jid_local(&j));
}

static struct node *conference_of(struct arena *a, const struct chat_rec *r, uint32_t account, bool autojoin)
{
	struct node *c = node_new(a, A_conference, NS_BOOKMARKS2);

	node_set(a, c, "name", arena_str(a, r->title));
	node_set(a, c, "autojoin", autojoin ? STR("true") : STR("false"));
	node_add_text(a, c, A_nick, NS_BOOKMARKS2, chat_nick(a, account));
	return c;
}

static bool stored_item(void *ctx, const struct pep_item *item)
{
	struct view *v = ctx;
	struct node *c;
	struct chat_rec rec;
	struct chat_member_rec me = { .role = CHAT_NONE };
	struct str id = arena_str(v->a, item->id);

	if (parse_document(v->a, arena_str(v->a, item->payload), &lax, &c) || !node_is(c, A_conference, NS_BOOKMARKS2))
		return true;
	uint64_t number = chat_of_id(v->t, v->a, id, v->u);
	if (number && chat_look(v->t, number, v->u->id, &rec, &me) ==
			      0) { /* others stay as they are, closed and missing ones alike (row I07) */
		if (idmap_get(v->seen, number))
			return true;
		if (me.role < CHAT_MEMBER)
			node_set(v->a, c, "autojoin", STR("false"));
		else
			idmap_put(v->seen, number, v);
		node_set(v->a, c, "name", arena_str(v->a, rec.title));
	}
	v->fn(v, id, c);
	return true;
}

static void chats_of(struct view *v)
{
	uint64_t *numbers = arena_alloc(v->a, CHATS_MAX * sizeof *numbers);
	size_t n = chat_of_account(v->t, v->u->id, 0, numbers, CHATS_MAX);
	struct chat_rec rec;
	struct chat_member_rec me;

	for (size_t i = 0; i < n; i++) {
		if (idmap_get(v->seen, numbers[i]) || chat_look(v->t, numbers[i], v->u->id, &rec, &me) ||
		    me.role < CHAT_MEMBER)
			continue;
		v->fn(v, muc_address(v->a, &rec), conference_of(v->a, &rec, v->u->id, true));
	}
}

static void view_run(struct view *v)
{
	struct pep_node node;

	v->t = im_read();
	v->seen = idmap_new();
	if (pep_node_get(v->t, v->u->id, STR(BOOKMARKS_NODE), &node) == 0)
		pep_item_each(v->t, &node, false, stored_item, v);
	chats_of(v);
	idmap_free(v->seen);
	txn_commit(v->t);
}

/* ---- reading ---- */

struct wanted {
	struct view v;		  /* first member */
	const struct node *items; /* <items/> that may name some */
};

static bool is_wanted(const struct node *items, struct str id)
{
	struct node *i = node_child(items, A_item, NS_PUBSUB);

	if (!i)
		return true;
	for (; i; i = node_next_same(i))
		if (str_eq(node_attr(i, "id"), id))
			return true;
	return false;
}

static void print_new(struct view *v, struct str id, struct node *conference)
{
	if (!is_wanted(((struct wanted *)v)->items, id))
		return;
	buf_lit(v->b, "<item");
	print_attr(v->b, "id", id);
	buf_lit(v->b, ">");
	print_node(v->b, conference, STR(""));
	buf_lit(v->b, "</item>");
}

static void add_old(struct view *v, struct str id, struct node *conference)
{
	struct node *c = node_add(v->a, v->out, A_conference, NS_BOOKMARKS);
	struct str nick = node_child_text(v->a, conference, A_nick, NS_BOOKMARKS2),
		   autojoin = node_attr(conference, "autojoin");

	node_set(v->a, c, "jid", id);
	node_set(v->a, c, "name", node_attr(conference, "name"));
	node_set(v->a, c, "autojoin", autojoin.p ? autojoin : STR("false"));
	if (nick.n)
		node_add_text(v->a, c, A_nick, NS_BOOKMARKS, nick);
}

/* Bookmarks of web pages stay as the client stored them. */
static void add_urls(struct request *rq, struct node *storage)
{
	struct txn *t = im_read();
	struct str xml;
	struct node *old;

	if (private_get(t, rq->session->user->id, STR("storage"), STR(BOOKMARKS_OLD_NODE), &xml) == 0 &&
	    parse_document(rq->a, arena_str(rq->a, xml), &lax, &old) == 0)
		for (struct node *u = node_child(old, A_url, NS_BOOKMARKS); u; u = node_next_same(u))
			node_append(storage, node_copy(rq->a, u));
	txn_commit(t);
}

struct node *bookmarks_old(struct request *rq)
{
	struct view v = { .a = rq->a, .u = rq->session->user, .fn = add_old };

	v.out = node_new(rq->a, A_storage, NS_BOOKMARKS);
	view_run(&v);
	add_urls(rq, v.out);
	return v.out;
}

bool bookmarks_get(struct request *rq, const struct node *items)
{
	struct str name = node_attr(items, "node");
	bool old = str_eq_c(name, BOOKMARKS_OLD_NODE);
	struct wanted w = { .v = { .a = rq->a, .u = rq->session->user, .fn = print_new }, .items = items };
	struct buf b;

	if (rq->addressee == TO_ACCOUNT || (!old && !str_eq_c(name, BOOKMARKS_NODE)))
		return false;
	buf_init(&b, 64u << 20);
	buf_lit(&b, "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items");
	print_attr(&b, "node", name);
	buf_lit(&b, ">");
	w.v.b = &b;
	if (old) {
		buf_lit(&b, "<item id='current'>");
		print_node(&b, bookmarks_old(rq), STR(""));
		buf_lit(&b, "</item>");
	} else {
		view_run(&w.v);
	}
	buf_lit(&b, "</items></pubsub>");
	reply_printed(rq, buf_str(&b));
	buf_clear(&b);
	return true;
}

/* ---- writing ---- */

struct bookmark_op {
	struct write_op op;
	struct arena *a;
	uint32_t account;
	struct str bare;
	struct str *ids, *payloads;
	size_t n;
	struct str urls;   /* the old element as it came; p == NULL: not touched */
	bool replaces_all; /* what is not named goes */
};

static struct str printed(struct arena *a, const struct node *n)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	print_node(&b, n, STR(""));
	struct str s = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return s;
}

struct stale {
	struct bookmark_op *o;
	struct arena *a;
	struct str *v;
	size_t n;
};

static bool find_stale(void *ctx, const struct pep_item *item)
{
	struct stale *s = ctx;

	for (size_t i = 0; i < s->o->n; i++)
		if (str_eq(s->o->ids[i], item->id))
			return true;
	s->v[s->n++] = arena_str(s->a, item->id);
	return true;
}

static void drop_others(struct txn *t, struct bookmark_op *o, struct pep_node *node)
{
	struct stale s = { .o = o, .a = arena_new(4096) };

	s.v = arena_alloc(s.a, (node->items + 1) * sizeof *s.v);
	pep_item_each(t, node, false, find_stale, &s);
	for (size_t i = 0; i < s.n; i++)
		pep_item_delete(t, node, s.v[i]);
	arena_free(s.a);
}

static int apply_bookmarks(struct txn *t, struct write_op *op)
{
	struct bookmark_op *o = (struct bookmark_op *)op;
	struct pep_config initial;
	struct pep_node node;
	int err = o->urls.p ? private_put(t, o->account, STR("storage"), STR(BOOKMARKS_OLD_NODE), o->urls,
					  limits()->private_bytes)
			    : 0;

	pep_config_default(STR(BOOKMARKS_NODE), &initial);
	for (size_t i = 0; !err && i < o->n; i++) {
		struct pep_item item = { .id = o->ids[i],
					 .publisher = o->bare,
					 .payload = o->payloads[i],
					 .published_ms = clock_wall_ms() };
		err = pep_put_item(t, o->account, STR(BOOKMARKS_NODE), &item, &initial, &node);
	}
	if (!err && o->replaces_all && pep_node_get(t, o->account, STR(BOOKMARKS_NODE), &node) == 0)
		drop_others(t, o, &node);
	return err ? err : txn_error(t);
}

static void tell_item(uint32_t account, struct str bare, struct str id, struct str payload)
{
	struct pep_event e = { payload.p ? PEP_EVENT_ITEM : PEP_EVENT_RETRACT,
			       ACCESS_WHITELIST,
			       account,
			       bare,
			       STR(BOOKMARKS_NODE),
			       id,
			       STR_NONE,
			       payload };

	pep_tell(&e);
}

static void after_bookmarks(struct write_op *op, struct session *s)
{
	struct bookmark_op *o = (struct bookmark_op *)op;

	(void)s;
	for (size_t i = 0; i < o->n; i++)
		tell_item(o->account, o->bare, o->ids[i], o->payloads[i]);
}

static void free_bookmarks(struct write_op *op)
{
	arena_free(((struct bookmark_op *)op)->a);
	mem_free(op);
}

static struct bookmark_op *op_new(struct request *rq, size_t max)
{
	struct bookmark_op *o = NEW(struct bookmark_op);

	o->op.apply = apply_bookmarks;
	o->a = arena_new(4096);
	o->account = rq->session->user->id;
	o->bare = arena_str(o->a, rq->session->user->jid.full);
	o->ids = arena_zero(o->a, (max + 1) * sizeof *o->ids);
	o->payloads = arena_zero(o->a, (max + 1) * sizeof *o->payloads);
	return o;
}

void bookmarks_set_old(struct request *rq, const struct node *storage)
{
	size_t max = 0;

	node_each (c, storage)
		max++;
	struct bookmark_op *o = op_new(rq, max);
	o->replaces_all = true;
	o->urls = printed(o->a, storage);
	for (struct node *c = node_child(storage, A_conference, NS_BOOKMARKS); c; c = node_next_same(c)) {
		struct jid j;
		struct node *n = node_new(o->a, A_conference, NS_BOOKMARKS2);
		struct str nick = node_child_text(rq->a, c, A_nick, NS_BOOKMARKS),
			   password = node_child_text(rq->a, c, A_password, NS_BOOKMARKS);
		if (jid_parse(rq->a, node_attr(c, "jid"), &j))
			continue;
		node_set(o->a, n, "name", node_attr(c, "name"));
		node_set(o->a, n, "autojoin", node_attr(c, "autojoin"));
		if (nick.n)
			node_add_text(o->a, n, A_nick, NS_BOOKMARKS2, nick);
		if (password.n)
			node_add_text(o->a, n, A_password, NS_BOOKMARKS2, password);
		o->ids[o->n] = arena_str(o->a, jid_bare(&j));
		o->payloads[o->n++] = printed(o->a, n);
	}
	reply_after_write(rq, &o->op, after_bookmarks, free_bookmarks);
}

bool bookmarks_retract(struct request *rq, struct str node, struct str id)
{
	struct chat_rec rec;
	struct chat_member_rec me = { .role = CHAT_NONE };
	uint64_t number;

	if (!str_eq_c(node, BOOKMARKS_NODE) || rq->addressee == TO_ACCOUNT)
		return false;
	struct txn *t = im_read();
	number = chat_of_id(t, rq->a, id, rq->session->user);
	if (!number || chat_look(t, number, rq->session->user->id, &rec, &me))
		me.role = CHAT_NONE;
	struct bookmark_op *o = op_new(rq, 1);
	if (me.role >= CHAT_MEMBER) {
		o->ids[0] = arena_str(o->a, id);
		o->payloads[0] = printed(o->a, conference_of(o->a, &rec, o->account, false));
		o->n = 1;
	}
	txn_commit(t);
	if (o->n)
		reply_after_write(rq, &o->op, after_bookmarks, free_bookmarks);
	else
		free_bookmarks(&o->op);
	return me.role >= CHAT_MEMBER;
}

/* ---- changes of membership ---- */

struct told {
	struct view v; /* first member */
	uint64_t number;
	bool any;
};

static void tell_if_it(struct view *v, struct str id, struct node *conference)
{
	struct told *x = (struct told *)v;

	if (chat_of_id(v->t, v->a, id, v->u) != x->number)
		return;
	tell_item(v->u->id, v->u->jid.full, id, printed(v->a, conference));
	x->any = true;
}

/* One chat of one loaded person: his clients see it come, change its title, or go. */
static void tell_chat(const struct user *u, uint64_t number)
{
	struct told x = { .v = { .a = arena_new(4096), .u = u, .fn = tell_if_it }, .number = number };
	struct chat_rec rec;

	view_run(&x.v);
	struct txn *t = im_read();
	if (!x.any && chat_rec_get(t, number, &rec) == 0)
		tell_item(u->id, u->jid.full, muc_address(x.v.a, &rec), STR_NONE);
	txn_commit(t);
	arena_free(x.v.a);
}

static bool is_member(uint64_t number, uint32_t account)
{
	struct chat_member_rec m;
	struct txn *t = im_read();
	bool yes = chat_member_get(t, number, account, &m) == 0 && m.role >= CHAT_MEMBER;

	txn_commit(t);
	return yes;
}

/* On the person's home for members, on every worker for a chat. */
static void on_event(const struct event *e)
{
	uint64_t number = conv_chat_number(e->conv);
	struct str name;
	void *value;

	if (conv_kind(e->conv) != CONV_CHAT || (e->kind == EVENT_CHAT && e->gone))
		return;
	for (size_t pos = 0; hash_next(home()->users, &pos, &name, &value);) {
		struct user *u = value;
		if (e->kind == EVENT_MEMBER ? u->id == e->account : is_member(number, u->id))
			tell_chat(u, number);
	}
}

void bookmarks_init(void)
{
	event_observe(1u << EVENT_MEMBER | 1u << EVENT_CHAT, on_event);
}

static const struct handler rows[] = { { .fn = NULL } };
static const char *const account_features[] = { "urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks:1#compat-pep",
						NULL };
const struct handler_table bookmarks_handlers = { "XEP-0402 bookmarks", rows, NULL, account_features };
