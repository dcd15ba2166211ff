/*
 * The structure's items are printed once per worker and snapshot, one after another in the order of org_people(), with the place of each: a roster is then
 * a copy of a few ranges (design idea 5). What is pushed when the structure changes is in roster_news.c. Everything here runs on the home
 * thread of the users it is about.
 */
#include "server/xmpp/roster_view.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/roster_state.h"
#include "server/xmpp/roster.h"
#include "server/xmpp/roster_news.h"
#include "xml/print.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_MAX (256u << 20)

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
	int n = snprintf(out, ROSTER_VER_MAX, "%c%llu.%llu", policy[org_visibility(o)],
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
	roster_news_fini();
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
	return org_person_visible(o, org_person(o, u->id), p) ? p : NULL;
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
static void add_visible(struct whole *w, const struct org *o, const struct org_person *me, size_t from, size_t to)
{
	size_t n;
	const struct org_person *const *people = org_people(o, &n);

	if (org_visibility(o) == VISIBLE_COMPANY) {
		add_range(w, from, to);
		return;
	}
	for (size_t i = from; i < to; i++)
		if (org_person_visible(o, me, people[i]))
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
		add_visible(w, o, me, from, w->skip[i]);
		from = w->skip[i] + 1;
	}
	add_visible(w, o, me, from, to);
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

bool roster_view_wants_pushes(const struct user *u)
{
	list_each (s, &u->sessions, struct session, of_user)
		if (s->wants_roster)
			return true;
	return false;
}

void roster_view_push(struct user *u, struct chunk *payload)
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

struct chunk *roster_view_item(const struct user *u, struct str jid, const struct org_person *p,
			       const struct roster_item *own, const struct org *told, uint64_t own_version)
{
	char ver[ROSTER_VER_MAX];
	struct buf b;

	buf_init(&b, QUERY_MAX);
	if (own && !own->listed)
		own = NULL;
	if (p || own)
		print_item(&b, jid, p, own);
	else
		print_removed(&b, jid);
	struct chunk *c = query_with(buf_str(&b), version_of(told, u, own_version, ver));
	buf_clear(&b);
	return c;
}

static void on_own_change(struct user *u, const struct roster_item *item, uint64_t own_version)
{
	if (!roster_view_wants_pushes(u))
		return;
	struct chunk *c = roster_view_item(u, item->jid, roster_view_person(u, item->jid), item, roster_news_told(u),
					   own_version);
	roster_view_push(u, c);
	chunk_unref(c);
}

static void on_structure(const struct org *before, const struct org *after)
{
	view_clear();
	roster_news(before, after);
}

void roster_handlers_init(void)
{
	roster_init();
	roster_set_push(on_own_change);
	roster_news_init();
	org_observe(on_structure);
}
