/*
 * Roster iqs (RFC 6121 section 2): the company structure and own items as one list, versions, pushes, and what a change of the structure means for everybody
 * online. Items of the structure are printed once per worker and snapshot and copied from there. Home thread; the printed list is the worker's.
 */
#include "base/err.h"
#include "base/hash.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/presence.h"
#include "server/im/roster.h"
#include "server/net/limits.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "server/xmpp/roster.h"
#include "xml/print.h"

#define NAME_MAX_BYTES 1023

/* ---- printing ---- */

static void print_item(struct buf *b, struct str jid, struct str name, const char *subscription, const struct str *groups, unsigned n, bool ask, bool approved)
{
	buf_lit(b, "<item");
	print_attr(b, "jid", jid);
	if (name.n) print_attr(b, "name", name);
	print_attr(b, "subscription", str_c(subscription));
	if (ask) buf_lit(b, " ask='subscribe'");
	if (approved) buf_lit(b, " approved='true'");
	if (!n) {
		buf_lit(b, "/>");
		return;
	}
	buf_byte(b, '>');
	for (unsigned i = 0; i < n; i++) {
		buf_lit(b, "<group>");
		print_text(b, groups[i]);
		buf_lit(b, "</group>");
	}
	buf_lit(b, "</item>");
}

static void print_person(struct buf *b, const struct org_person *p)
{
	print_item(b, p->jid.full, p->full_name, "both", p->dept ? &p->dept->path : NULL, p->dept ? 1 : 0, false, false);
}

/* An own item; of a colleague: his name and department unless the person gave others, and always "both". */
static void print_own(struct buf *b, const struct roster_item *i, const struct org_person *colleague)
{
	const char *sub = i->to && i->from ? "both" : i->to ? "to" : i->from ? "from" : "none";

	if (!colleague) {
		print_item(b, i->jid, i->name, sub, i->group, i->groups, i->ask, i->approved && !i->from);
		return;
	}
	bool own_groups = i->groups > 0;
	const struct str *groups = own_groups ? i->group : colleague->dept ? &colleague->dept->path : NULL;
	print_item(b, i->jid, i->name.n ? i->name : colleague->full_name, "both", groups, own_groups ? i->groups : colleague->dept ? 1 : 0, false, false);
}

static void print_version(struct buf *b, const struct org *o, const struct user *u, uint64_t own)
{
	buf_printf(b, " ver='%llu.%llu'", (unsigned long long)org_version(o, jid_domain(&u->jid)), (unsigned long long)own);
}

/* The whole structure as printed items, with the place of each; of this worker. */
static _Thread_local struct {
	const struct org *of;
	struct chunk *items;
	uint32_t *at;                /* at[i] .. at[i + 1] is person i */
} printed;

static void printed_clear(void)
{
	org_unref(printed.of);
	chunk_unref(printed.items);
	mem_free(printed.at);
	printed.of = NULL;
	printed.items = NULL;
	printed.at = NULL;
}

void roster_thread_fini(void)
{
	printed_clear();
}

static void printed_make(const struct org *o)
{
	struct buf b;
	size_t n;
	const struct org_person *const *v = org_people(o, &n);

	if (printed.of == o) return;
	printed_clear();
	printed.of = org_ref(o);
	printed.at = mem_alloc((n + 1) * sizeof *printed.at);
	buf_init(&b, UINT32_MAX);
	for (size_t i = 0; i < n; i++) {
		printed.at[i] = (uint32_t)b.n;
		print_person(&b, v[i]);
	}
	printed.at[n] = (uint32_t)b.n;
	printed.items = chunk_of(buf_str(&b));
	buf_clear(&b);
}

/* ---- get ---- */

struct own_list {
	struct buf *b;
	const struct org *org;
	const struct org_person *viewer;
	struct hash *shown;          /* colleagues with an own item: not printed from the structure */
	struct arena *a;
};

/* The colleague behind an address, if the viewer sees him. */
static const struct org_person *colleague_of(const struct org *o, const struct org_person *viewer, struct str bare)
{
	size_t n;
	const struct org_person *const *v;

	if (!viewer) return NULL;
	v = org_people(o, &n);
	for (size_t i = 0; i < n; i++)
		if (str_eq(v[i]->jid.full, bare)) return org_person_visible(viewer, v[i]) ? v[i] : NULL;
	return NULL;
}

static bool print_one_own(void *ctx, const struct roster_item *i)
{
	struct own_list *l = ctx;

	if (!i->listed) return true;
	const struct org_person *c = colleague_of(l->org, l->viewer, i->jid);
	print_own(l->b, i, c);
	if (c) hash_put(l->shown, c->jid.full, (void *)c);
	return true;
}

static void print_structure(struct own_list *l)
{
	size_t n, from = 0;
	const struct org_person *const *v = org_people(l->org, &n);
	bool any_shown = hash_count(l->shown) > 0;

	printed_make(l->org);
	for (size_t i = 0; i <= n; i++) { /* runs of people that are all shown are copied at once */
		bool take = i < n && org_person_visible(l->viewer, v[i]) && !(any_shown && hash_get(l->shown, v[i]->jid.full));
		if (take) continue;
		if (i > from) buf_add(l->b, printed.items->data + printed.at[from], printed.at[i] - printed.at[from]);
		from = i + 1;
	}
}

static void roster_get(struct request *rq)
{
	const struct org *o = org_current();
	struct user *u = rq->session->user;
	struct str ver = node_attr(rq->child, "ver");
	struct buf b;
	char now[64];
	uint64_t own = roster_own_version(u);
	int n = snprintf(now, sizeof now, "%llu.%llu", (unsigned long long)org_version(o, jid_domain(&u->jid)), (unsigned long long)own);

	rq->session->wants_roster = true;
	if (ver.n && str_eq(ver, str_of(now, (size_t)n))) { /* RFC 6121 2.6.3: nothing has changed */
		reply_result(rq, NULL);
		return;
	}
	buf_init(&b, 256u << 20);
	buf_lit(&b, "<query xmlns='jabber:iq:roster'");
	print_version(&b, o, u, own);
	buf_byte(&b, '>');
	struct own_list l = { .b = &b, .org = o, .viewer = org_person(o, u->id), .shown = hash_new(), .a = rq->a };
	struct txn *t = im_read();
	roster_item_each(t, u->id, print_one_own, &l);
	txn_commit(t);
	if (l.viewer) print_structure(&l);
	buf_lit(&b, "</query>");
	struct chunk *payload = chunk_of(buf_str(&b));
	struct outgoing out = { .kind = STANZA_IQ, .from = jid_is_none(&rq->to) ? STR_NONE : rq->to.full, .type = STR("result"), .id = rq->id, .payload = payload };
	session_send(rq->session, &out);
	chunk_unref(payload);
	hash_free(l.shown);
	buf_clear(&b);
}

/* ---- set ---- */

static void set_done(void *ctx, int err)
{
	if (!err) pending_result(ctx, NULL);
	else if (err == ERR_LIMIT) pending_error(ctx, "modify", A_not_allowed, "Your contact list is full");
	else pending_err(ctx, err, err == ERR_NOT_FOUND ? "That contact is not in your own list" : NULL);
}

/* RFC 6121 2.3.3: groups must differ and must not be empty or too long. */
static bool read_groups(struct request *rq, const struct node *item, struct str *out, unsigned *out_n)
{
	*out_n = 0;
	for (struct node *g = node_child(item, A_group, NS_ROSTER); g; g = node_next_same(g)) {
		struct str text = node_text(rq->a, g);
		if (!text.n || text.n > NAME_MAX_BYTES || *out_n == ROSTER_GROUPS_MAX) {
			reply_error(rq, "modify", A_not_acceptable, "A group is empty or too long, or there are too many");
			return false;
		}
		for (unsigned i = 0; i < *out_n; i++)
			if (str_eq(out[i], text)) {
				reply_error(rq, "modify", A_bad_request, "A group stands twice in the item");
				return false;
			}
		out[(*out_n)++] = text;
	}
	return true;
}

static void remove_item(struct request *rq, const struct jid *contact)
{
	roster_remove(rq->session, contact, set_done, reply_later(rq));
}

static void roster_change(struct request *rq)
{
	struct node *item = node_child(rq->child, A_item, NS_ROSTER);
	struct str groups[ROSTER_GROUPS_MAX], sub = item ? node_attr(item, "subscription") : STR_NONE, name;
	unsigned n;
	struct jid j;

	if (!item || node_next_same(item)) {
		reply_error(rq, "modify", A_bad_request, "A roster set has exactly one item");
		return;
	}
	if (!node_attr(item, "jid").p || jid_parse(rq->a, node_attr(item, "jid"), &j)) {
		reply_error(rq, "modify", node_attr(item, "jid").p ? A_jid_malformed : A_bad_request, "The address of the item is missing or malformed");
		return;
	}
	j = jid_to_bare(j);
	if (str_eq_c(sub, "remove")) {
		remove_item(rq, &j);
		return;
	}
	if (jid_bare_eq(&j, &rq->session->jid)) {
		reply_error(rq, "cancel", A_not_allowed, "Nobody is his own contact");
		return;
	}
	name = node_attr(item, "name");
	if (name.n > NAME_MAX_BYTES) {
		reply_error(rq, "modify", A_not_acceptable, "The name is too long");
		return;
	}
	if (!read_groups(rq, item, groups, &n)) return;
	roster_set(rq->session, &j, name, groups, n, set_done, reply_later(rq));
}

/* ---- pushes ---- */

static struct chunk *push_payload(const struct org *o, const struct user *u, uint64_t own, struct str item)
{
	struct buf b;

	buf_init(&b, 1u << 20);
	buf_lit(&b, "<query xmlns='jabber:iq:roster'");
	print_version(&b, o, u, own);
	buf_byte(&b, '>');
	buf_str_add(&b, item);
	buf_lit(&b, "</query>");
	struct chunk *c = chunk_of(buf_str(&b));
	buf_clear(&b);
	return c;
}

static void push_to(struct session *s, struct chunk *payload)
{
	static _Thread_local uint64_t counter;
	char id[32];
	int n = snprintf(id, sizeof id, "roster-%llu", (unsigned long long)++counter);
	struct outgoing o = { .kind = STANZA_IQ, .type = STR("set"), .id = str_of(id, (size_t)n), .payload = payload };

	session_send(s, &o);
}

/* An own item changed (im/roster.c). */
static void push_own(struct user *u, const struct roster_item *i, uint64_t own)
{
	const struct org *o = org_current();
	const struct org_person *c = colleague_of(o, org_person(o, u->id), i->jid);
	struct buf b;

	buf_init(&b, 1u << 20);
	if (!i->listed && c) print_person(&b, c); /* the own item went, the colleague stays */
	else if (!i->listed) print_item(&b, i->jid, STR_NONE, "remove", NULL, 0, false, false);
	else print_own(&b, i, c);
	struct chunk *payload = push_payload(o, u, own, buf_str(&b));
	list_each_safe(s, &u->sessions, struct session, of_user)
		if (s->wants_roster) push_to(s, payload);
	chunk_unref(payload);
	buf_clear(&b);
}

/* ---- the structure changed ---- */

struct difference {
	const struct org_person *before, *after; /* of one account; one may be NULL */
	struct str item;             /* printed as it is now; empty: gone */
};

static bool same_item(const struct org_person *a, const struct org_person *b)
{
	struct str pa = a->dept ? a->dept->path : STR(""), pb = b->dept ? b->dept->path : STR("");

	return str_eq(a->full_name, b->full_name) && str_eq(pa, pb) && str_eq(a->jid.full, b->jid.full);
}

static void send_presence_of(void *ctx, struct str resource, int8_t priority, struct chunk *payload)
{
	struct { struct session *s; struct str bare; bool visible; } *c = ctx;
	char full[3 * 1024 + 3];
	int n = snprintf(full, sizeof full, "%.*s/%.*s", STR_ARG(c->bare), STR_ARG(resource));
	struct outgoing o = { .kind = STANZA_PRESENCE, .from = str_of(full, (size_t)n), .type = c->visible ? STR_NONE : STR("unavailable"),
			      .payload = c->visible ? payload : NULL };

	(void)priority;
	session_send(c->s, &o);
}

/* One difference as one viewer sees it. */
static void tell(struct session *s, const struct org *after, const struct org_person *was_me, const struct org_person *me, const struct difference *d)
{
	bool was = d->before && org_person_visible(was_me, d->before), now = d->after && org_person_visible(me, d->after);
	struct str bare = d->after ? d->after->jid.full : d->before->jid.full;
	struct buf b;

	if (!was && !now) return;
	if (was && now && same_item(d->before, d->after)) return;
	buf_init(&b, 65536);
	if (now) buf_str_add(&b, d->item);
	else print_item(&b, bare, STR_NONE, "remove", NULL, 0, false, false);
	if (s->wants_roster) {
		struct chunk *payload = push_payload(after, s->user, roster_own_version(s->user), buf_str(&b));
		push_to(s, payload);
		chunk_unref(payload);
	}
	buf_clear(&b);
	if (was == now || !s->available || (!now && roster_sees(s->user, bare))) return;
	struct { struct session *s; struct str bare; bool visible; } c = { s, bare, now };
	presence_each(bare, send_presence_of, &c);
}

static struct difference *differences(const struct org *before, const struct org *after, struct arena *a, bool everybody, size_t *out_n)
{
	size_t n_before, n_after, n = 0;
	const struct org_person *const *old = org_people(before, &n_before), *const *new = org_people(after, &n_after);
	struct difference *v = arena_zero(a, (n_before + n_after + 1) * sizeof *v);

	printed_make(after);
	for (size_t i = 0; i < n_after; i++) {
		const struct org_person *p = org_person(before, new[i]->account);
		bool moved = !p || !same_item(p, new[i]);
		if (!moved && !everybody) continue;
		v[n++] = (struct difference){ p, new[i], str_of(printed.items->data + printed.at[i], printed.at[i + 1] - printed.at[i]) };
	}
	for (size_t i = 0; i < n_before; i++)
		if (!org_person(after, old[i]->account)) v[n++] = (struct difference){ .before = old[i] };
	*out_n = n;
	return v;
}

/* On every worker after the swap: what changed goes to those it concerns (design idea 5). */
static void structure_changed(const struct org *before, const struct org *after)
{
	struct arena *a = arena_new(65536);
	size_t n, n_all = 0;
	struct difference *v = differences(before, after, a, false, &n), *all = NULL;

	list_each_safe(s, &home()->sessions, struct session, of_home) {
		const struct org_person *was_me = org_person(before, s->user->id), *me = org_person(after, s->user->id);
		bool other_view = !was_me != !me || (was_me && me && !same_item(was_me, me)); /* the viewer himself moved: everybody may look different */
		if (other_view && !all) all = differences(before, after, a, true, &n_all);
		size_t count = other_view ? n_all : n;
		for (size_t i = 0; i < count; i++) tell(s, after, was_me, me, other_view ? &all[i] : &v[i]);
	}
	arena_free(a);
}

void roster_handlers_init(void)
{
	roster_init(push_own);
	org_observe(structure_changed);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_ROSTER, TO_OWN, 0, "jabber:iq:roster", roster_get },
	{ IQ_SET, A_query, NS_ROSTER, TO_OWN, 0, NULL, roster_change },
	{ .fn = NULL },
};
const struct handler_table roster_handlers = { "RFC 6121 roster", rows, NULL, NULL };
