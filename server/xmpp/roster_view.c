/*
 * The structure's items are printed once per worker and snapshot, one after another in the order of org_people(), with the place of each: a roster is then
 * a copy of a few ranges (design idea 5). When the structure changes, only the differences are pushed (RFC 6121 2.1.6). Everything here runs on the home
 * thread of the users it is about.
 */
#include "server/xmpp/roster_view.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/im/roster_state.h"
#include "server/xmpp/roster.h"
#include "xml/print.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_MAX (256u << 20)
#define BULK 1000 /* more changes than that are not pushed one by one: the roster of the next login has them */

struct view {
	const struct org *org; /* what is printed; NULL: nothing yet */
	struct buf items;
	size_t *at; /* n + 1 places */
};
static _Thread_local struct view view;

/* ---- printing ---- */

static void print_item(struct buf *b, struct str jid, const struct org_person *p, const struct roster_item *own)
{
	struct str name = own && own->name.n ? own->name : p ? p->full_name : STR_NONE;

	buf_lit(b, "<item");
	print_attr(b, "jid", jid);
	if (name.n)
		print_attr(b, "name", name);
	print_attr(b, "subscription", p ? STR("both") : roster_subscription_name(own));
	if (!p && own->ask)
		buf_lit(b, " ask='subscribe'");
	if (!p && own->approved)
		buf_lit(b, " approved='true'");
	bool own_groups = own && own->groups, dept = !own_groups && p && p->dept;
	if (!own_groups && !dept) {
		buf_lit(b, "/>");
		return;
	}
	buf_byte(b, '>');
	for (unsigned i = 0; i < (own_groups ? own->groups : 1u); i++) {
		buf_lit(b, "<group>");
		print_text(b, own_groups ? own->group[i] : p->dept->path);
		buf_lit(b, "</group>");
	}
	buf_lit(b, "</item>");
}

static void print_removed(struct buf *b, struct str jid)
{
	buf_lit(b, "<item");
	print_attr(b, "jid", jid);
	buf_lit(b, " subscription='remove'/>");
}

static struct str version_of(const struct org *o, const struct user *u, uint64_t own, char out[ROSTER_VER_MAX])
{
	static const char policy[] = "cbd"; /* another policy shows another roster */
	int n = snprintf(out, ROSTER_VER_MAX, "%c%llu.%llu", policy[im.visibility],
			 (unsigned long long)org_version(o, jid_domain(&u->jid)), (unsigned long long)own);

	return str_of(out, (size_t)n);
}

struct str roster_view_version(const struct user *u, char out[ROSTER_VER_MAX])
{
	return version_of(org_current(), u, roster_own_version(u), out);
}

static void view_clear(void)
{
	buf_clear(&view.items);
	mem_free(view.at);
	org_unref(view.org);
	view = (struct view){ .org = NULL };
}

void roster_thread_fini(void)
{
	view_clear();
}

static void view_fill(const struct org *o)
{
	size_t n;
	const struct org_person *const *people = org_people(o, &n);

	if (view.org == o)
		return;
	view_clear();
	view.org = org_ref(o);
	buf_init(&view.items, QUERY_MAX);
	view.at = mem_alloc((n + 1) * sizeof *view.at);
	for (size_t i = 0; i < n; i++) {
		view.at[i] = view.items.n;
		print_item(&view.items, people[i]->jid.full, people[i], NULL);
	}
	view.at[n] = view.items.n;
}

/* ---- who ---- */

static struct jid jid_of_bare(struct str bare)
{
	ptrdiff_t at = str_find(bare, '@');
	size_t local = at > 0 ? (size_t)at : 0;

	return (struct jid){ .full = bare,
			     .local_n = (uint16_t)local,
			     .domain_n = (uint16_t)(local ? bare.n - local - 1 : bare.n) };
}

static const struct org_person *person_of(const struct org *o, const struct user *u, struct str bare)
{
	struct jid j = jid_of_bare(bare);
	const struct org_person *p;

	if (!j.local_n || !im_is_our_domain(jid_domain(&j)))
		return NULL;
	p = org_person(o, peer_get(&j)->id);
	return org_person_visible(org_person(o, u->id), p) ? p : NULL;
}

const struct org_person *roster_view_person(const struct user *u, struct str bare)
{
	return person_of(org_current(), u, bare);
}

/* ---- the whole roster ---- */

struct whole {
	const struct user *u;
	struct arena *a;
	struct buf own;	      /* printed own items, merged */
	size_t *skip, n_skip; /* people of the structure who are printed there, and the user himself */
	struct range {
		size_t from, to;
	} * range;
	size_t n_range, cap_range, bytes;
};

static void add_own(void *ctx, const struct roster_item *item)
{
	struct whole *w = ctx;
	const struct org_person *p;

	if (!item->listed)
		return;
	p = roster_view_person(w->u, item->jid);
	print_item(&w->own, item->jid, p, item);
	if (p)
		w->skip[w->n_skip++] = p->index;
}

static void add_range(struct whole *w, size_t from, size_t to)
{
	if (from >= to)
		return;
	w->bytes += view.at[to] - view.at[from];
	if (w->n_range && w->range[w->n_range - 1].to == from) {
		w->range[w->n_range - 1].to = to;
		return;
	}
	if (w->n_range == w->cap_range) {
		w->cap_range = w->cap_range ? 2 * w->cap_range : 16;
		w->range = mem_realloc(w->range, w->cap_range * sizeof *w->range);
	}
	w->range[w->n_range++] = (struct range){ from, to };
}

static int index_order(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

/* First place of the domain, or of what follows it. */
static size_t domain_edge(const struct org_person *const *people, size_t n, struct str domain, bool behind)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(jid_domain(&people[mid]->jid), domain);
		if (c < 0 || (behind && c == 0))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Everybody of [from, to) that the policy shows; the whole company is one range. */
static void add_visible(struct whole *w, const struct org_person *const *people, const struct org_person *me,
			size_t from, size_t to)
{
	if (im.visibility == VISIBLE_COMPANY) {
		add_range(w, from, to);
		return;
	}
	for (size_t i = from; i < to; i++)
		if (org_person_visible(me, people[i]))
			add_range(w, i, i + 1);
}

static void collect_structure(struct whole *w, const struct org *o)
{
	const struct org_person *me = org_person(o, w->u->id);
	size_t n, from, to;
	const struct org_person *const *people = org_people(o, &n);

	if (!me)
		return;
	from = domain_edge(people, n, jid_domain(&me->jid), false);
	to = domain_edge(people, n, jid_domain(&me->jid), true);
	w->skip[w->n_skip++] = me->index;
	qsort(w->skip, w->n_skip, sizeof *w->skip, index_order);
	for (size_t i = 0; i < w->n_skip; i++) {
		add_visible(w, people, me, from, w->skip[i]);
		from = w->skip[i] + 1;
	}
	add_visible(w, people, me, from, to);
}

static struct chunk *join(const struct whole *w, struct str head)
{
	static const char tail[] = "</query>";
	struct chunk *c = chunk_alloc(head.n + w->bytes + w->own.n + sizeof tail - 1);
	char *p = c->data;

	memcpy(p, head.p, head.n);
	p += head.n;
	for (size_t i = 0; i < w->n_range; i++) {
		size_t n = view.at[w->range[i].to] - view.at[w->range[i].from];
		memcpy(p, view.items.p + view.at[w->range[i].from], n);
		p += n;
	}
	if (w->own.n)
		memcpy(p, w->own.p, w->own.n);
	memcpy(p + w->own.n, tail, sizeof tail - 1);
	return c;
}

static size_t print_head(char *out, size_t max, struct str ver)
{
	return (size_t)snprintf(out, max, "<query xmlns='jabber:iq:roster' ver='%.*s'>", STR_ARG(ver));
}

struct chunk *roster_view_print(const struct user *u)
{
	struct whole w = { .u = u };
	char ver[ROSTER_VER_MAX], head[128];

	view_fill(org_current());
	buf_init(&w.own, QUERY_MAX);
	w.skip = mem_alloc((roster_count(u) + 1) * sizeof *w.skip);
	roster_each(u, add_own, &w);
	collect_structure(&w, org_current());
	struct chunk *c = join(&w, str_of(head, print_head(head, sizeof head, roster_view_version(u, ver))));
	buf_clear(&w.own);
	mem_free(w.skip);
	mem_free(w.range);
	return c;
}

/* ---- pushes ---- */

static bool wants_pushes(const struct user *u)
{
	list_each (s, &u->sessions, struct session, of_user)
		if (s->wants_roster)
			return true;
	return false;
}

static void push_payload(struct user *u, struct chunk *payload)
{
	char token[RANDOM_TOKEN];
	struct outgoing o = { .kind = STANZA_IQ, .type = STR("set"), .payload = payload };

	list_each_safe (s, &u->sessions, struct session, of_user) {
		if (!s->wants_roster)
			continue;
		random_token(token);
		o.id = str_of(token, 12);
		session_send(s, &o);
	}
}

static struct chunk *query_with(struct str item, struct str ver)
{
	char head[128];
	size_t n = print_head(head, sizeof head, ver);
	struct chunk *c = chunk_alloc(n + item.n + 8);

	memcpy(c->data, head, n);
	memcpy(c->data + n, item.p, item.n);
	memcpy(c->data + n + item.n, "</query>", 8);
	return c;
}

static void push_merged(struct user *u, const struct roster_item *own, const struct org *o, uint64_t own_version)
{
	const struct org_person *p = person_of(o, u, own->jid);
	char ver[ROSTER_VER_MAX];
	struct buf b;

	buf_init(&b, QUERY_MAX);
	if (p || own->listed)
		print_item(&b, own->jid, p, own->listed ? own : NULL);
	else
		print_removed(&b, own->jid);
	struct chunk *c = query_with(buf_str(&b), version_of(o, u, own_version, ver));
	push_payload(u, c);
	chunk_unref(c);
	buf_clear(&b);
}

static void on_own_change(struct user *u, const struct roster_item *item, uint64_t own_version)
{
	if (wants_pushes(u))
		push_merged(u, item, org_current(), own_version);
}

/* ---- the structure changed ---- */

struct change {
	const struct org_person *old, *now; /* NULL: was not there, is not there any more */
	bool differs;			    /* what the roster shows of him */
	struct chunk *printed[2]; /* push of the item / of its removal, for people whose own version is `own` */
	uint64_t own;
};
struct diff {
	const struct org *before, *after;
	struct change *v;
	size_t n;
	bool bulk;
};

static struct str dept_path(const struct org_person *p)
{
	return p->dept ? p->dept->path : STR_NONE;
}

static bool shows_otherwise(const struct org_person *a, const struct org_person *b)
{
	return !str_eq(a->full_name, b->full_name) || !str_eq(dept_path(a), dept_path(b)) ||
	       (a->dept ? a->dept->id : 0) != (b->dept ? b->dept->id : 0);
}

static void diff_make(struct diff *d)
{
	size_t n_old, n_now;
	const struct org_person *const *old = org_people(d->before, &n_old), *const *now = org_people(d->after, &n_now);

	d->v = mem_zero((n_old + n_now + 1) * sizeof *d->v);
	for (size_t i = 0; i < n_now; i++) {
		const struct org_person *was = org_person(d->before, now[i]->account);
		if (!was || shows_otherwise(was, now[i]))
			d->v[d->n++] = (struct change){ .old = was, .now = now[i], .differs = true };
	}
	for (size_t i = 0; i < n_old; i++)
		if (!org_person(d->after, old[i]->account))
			d->v[d->n++] = (struct change){ .old = old[i], .differs = true };
	d->bulk = d->n > BULK;
}

static void change_clear(struct change *c)
{
	chunk_unref(c->printed[0]);
	chunk_unref(c->printed[1]);
	c->printed[0] = c->printed[1] = NULL;
}

/* Printed once for all whose own version is the same: nearly everybody's is 0. */
static struct chunk *change_print(struct change *c, const struct org *after, const struct user *u, bool removed)
{
	char ver[ROSTER_VER_MAX];
	struct buf b;

	if (c->own != roster_own_version(u))
		change_clear(c);
	c->own = roster_own_version(u);
	if (c->printed[removed])
		return c->printed[removed];
	buf_init(&b, QUERY_MAX);
	if (removed)
		print_removed(&b, c->old->jid.full);
	else
		print_item(&b, c->now->jid.full, c->now, NULL);
	c->printed[removed] = query_with(buf_str(&b), version_of(after, u, c->own, ver));
	buf_clear(&b);
	return c->printed[removed];
}

static void tell(const struct diff *d, struct change *c, struct user *u, bool push)
{
	bool saw = org_person_visible(org_person(d->before, u->id), c->old),
	     sees = org_person_visible(org_person(d->after, u->id), c->now);
	struct str jid = c->now ? c->now->jid.full : c->old->jid.full;

	if (!saw && !sees)
		return;
	const struct roster_item *own = roster_item(u, jid);
	if (push && (saw != sees || c->differs)) {
		if (own && own->listed)
			push_merged(u, own, d->after, roster_own_version(u));
		else
			push_payload(u, change_print(c, d->after, u, !sees));
	}
	if (saw == sees || (own && own->to))
		return;
	if (sees && presence_is_available(jid))
		presence_reveal(jid, u->jid.full, true);
	if (!sees)
		roster_hide(u, jid);
}

static uint32_t place(const struct org_person *p)
{
	if (!p || !p->dept)
		return 0;
	return im.visibility == VISIBLE_DEPARTMENT ? p->dept->id : p->dept->branch->id;
}

/* The user himself came, went or moved, so that he sees others than before: everybody is looked at. */
static bool sees_others(const struct diff *d, const struct user *u)
{
	const struct org_person *was = org_person(d->before, u->id), *is = org_person(d->after, u->id);

	return !was != !is || (im.visibility != VISIBLE_COMPANY && place(was) != place(is));
}

static void tell_everybody(const struct diff *d, struct user *u, bool push)
{
	size_t n;
	const struct org_person *const *now = org_people(d->after, &n);

	for (size_t i = 0; i < n; i++) {
		const struct org_person *was = org_person(d->before, now[i]->account);
		struct change c = { .old = was, .now = now[i], .differs = !was || shows_otherwise(was, now[i]) };
		tell(d, &c, u, push);
		change_clear(&c);
	}
	for (size_t i = 0; i < d->n; i++)
		if (!d->v[i].now)
			tell(d, &d->v[i], u, push);
}

static void on_structure(const struct org *before, const struct org *after)
{
	struct diff d = { .before = before, .after = after };
	size_t pos = 0;
	struct str key;
	void *v;

	view_clear();
	diff_make(&d);
	if (d.bulk)
		log_info("roster.bulk_change", LU("items", d.n));
	while (hash_next(home()->users, &pos, &key, &v)) {
		struct user *u = v;
		bool push = wants_pushes(u) && !d.bulk;
		if (sees_others(&d, u)) {
			tell_everybody(&d, u, push);
			continue;
		}
		for (size_t i = 0; i < d.n; i++)
			tell(&d, &d.v[i], u, push);
	}
	for (size_t i = 0; i < d.n; i++)
		change_clear(&d.v[i]);
	mem_free(d.v);
}

void roster_handlers_init(void)
{
	roster_init();
	roster_set_push(on_own_change);
	org_observe(on_structure);
}
