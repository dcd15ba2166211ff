/*
 * A new company structure reaches people online: what differs is found once per worker, then told user by user, a slice at each turn of the loop, so
 * that a re-organisation of everybody holds up neither messages nor memory. Who reads slowly is waited for. All pushes but the last name the version
 * of before: who loses his connection in between gets the whole roster at his next login. Home thread of the users.
 */
#include "server/xmpp/roster_news.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/im/presence.h"
#include "server/net/threads.h"
#include "server/xmpp/roster_view.h"

enum {
	SLICE = 1000,	     /* people looked at in one turn of the loop, for all users together */
	PART = 100,	     /* of them for one user, before his connection is looked at again */
	LOOK_AGAIN_MS = 100, /* when all who wait are slow readers */
};

struct change {
	const struct org_person *old, *now; /* NULL: was not there, is not there any more */
	bool differs;			    /* what the roster shows of him */
	struct chunk
		*printed[2][2]; /* push of the item or its removal, not the last or the last, for own version `own` */
	uint64_t own;
};
struct diff {
	struct list link;
	unsigned refs;
	const struct org *before, *after;
	struct change *v;
	size_t n;
};
/* A user on his way from one structure to the next. */
struct news {
	struct list link;
	struct user *u;
	struct diff *d;
	bool everybody; /* he sees others than before: all people of the new structure are looked at, then those who left */
	size_t at;
	struct change held;    /* found to be pushed; the last one names the new version */
	struct change *shared; /* the same in the diff; NULL: only his */
	bool is_held;
};
static _Thread_local struct list diffs, waiting;
static _Thread_local struct mail next_turn;
static _Thread_local struct timer look_again;
static _Thread_local bool posted;

/* ---- what differs ---- */

static struct str dept_path(const struct org_person *p)
{
	return p->dept ? p->dept->path : STR_NONE;
}

static bool shows_otherwise(const struct org_person *a, const struct org_person *b)
{
	return !str_eq(a->full_name, b->full_name) || !str_eq(dept_path(a), dept_path(b)) ||
	       (a->dept ? a->dept->id : 0) != (b->dept ? b->dept->id : 0);
}

static struct change change_of(const struct diff *d, const struct org_person *now)
{
	const struct org_person *was = org_person(d->before, now->account);

	return (struct change){ .old = was, .now = now, .differs = !was || shows_otherwise(was, now) };
}

static struct diff *diff_make(const struct org *before, const struct org *after)
{
	struct diff *d = NEW(struct diff);
	size_t n_old, n_now;
	const struct org_person *const *old = org_people(before, &n_old), *const *now = org_people(after, &n_now);

	d->before = org_ref(before);
	d->after = org_ref(after);
	d->v = mem_zero((n_old + n_now + 1) * sizeof *d->v);
	for (size_t i = 0; i < n_now; i++) {
		struct change c = change_of(d, now[i]);
		if (c.differs)
			d->v[d->n++] = c;
	}
	for (size_t i = 0; i < n_old; i++)
		if (!org_person(after, old[i]->account))
			d->v[d->n++] = (struct change){ .old = old[i], .differs = true };
	list_add(&diffs, &d->link);
	return d;
}

static struct diff *diff_get(const struct org *before, const struct org *after)
{
	struct diff *found = NULL;

	list_each (d, &diffs, struct diff, link)
		if (d->before == before && d->after == after)
			found = d;
	if (!found)
		found = diff_make(before, after);
	found->refs++;
	return found;
}

static void change_clear(struct change *c)
{
	for (unsigned i = 0; i < 4; i++) {
		chunk_unref(c->printed[i / 2][i % 2]);
		c->printed[i / 2][i % 2] = NULL;
	}
}

static void diff_drop(struct diff *d)
{
	if (--d->refs)
		return;
	for (size_t i = 0; i < d->n; i++)
		change_clear(&d->v[i]);
	list_del(&d->link);
	org_unref(d->before);
	org_unref(d->after);
	mem_free(d->v);
	mem_free(d);
}

/* ---- one user ---- */

/* Who sees the same people as this one; 0: nobody's. */
static uint32_t place(const struct org *o, const struct org_person *p)
{
	if (!p || !p->dept)
		return 0;
	return org_visibility(o) == VISIBLE_DEPARTMENT ? p->dept->id : p->dept->branch->id;
}

/* The policy changed, or the user himself came, went or moved. */
static bool sees_others(const struct diff *d, const struct user *u)
{
	const struct org_person *was = org_person(d->before, u->id), *is = org_person(d->after, u->id);
	enum im_visibility policy = org_visibility(d->after);

	if (!was != !is || policy != org_visibility(d->before))
		return true;
	return policy != VISIBLE_COMPANY && place(d->before, was) != place(d->after, is);
}

static void news_start(struct user *u, const struct org *before, const struct org *after)
{
	struct news *n = NEW(struct news);

	n->u = u;
	n->d = diff_get(before, after);
	n->everybody = sees_others(n->d, u);
	list_add(&waiting, &n->link);
	u->news = n;
}

static void news_free(struct news *n)
{
	n->u->news = NULL;
	list_del(&n->link);
	diff_drop(n->d);
	mem_free(n);
}

/* Printed once for all whose own version is the same: nearly everybody's is 0. */
static void push_shared(struct news *n, const struct org_person *p, bool last, const struct org *told)
{
	struct change *c = n->shared;
	uint64_t own_version = roster_own_version(n->u);

	if (c->own != own_version)
		change_clear(c);
	c->own = own_version;
	struct chunk **printed = &c->printed[!p][last];
	if (!*printed)
		*printed = roster_view_item(n->u, p ? p->jid.full : c->old->jid.full, p, NULL, told, own_version);
	roster_view_push(n->u, *printed);
}

static void push_held(struct news *n, bool last)
{
	const struct change *c = &n->held;

	if (!n->is_held)
		return;
	n->is_held = false;
	const struct org *told = last ? n->d->after : n->d->before;
	bool sees = org_person_visible(n->d->after, org_person(n->d->after, n->u->id), c->now);
	const struct org_person *p = sees ? c->now : NULL;
	struct str jid = c->now ? c->now->jid.full : c->old->jid.full;
	const struct roster_item *own = roster_item(n->u, jid);

	if (n->shared && !(own && own->listed)) {
		push_shared(n, p, last, told);
		return;
	}
	struct chunk *k = roster_view_item(n->u, jid, p, own, told, roster_own_version(n->u));
	roster_view_push(n->u, k);
	chunk_unref(k);
}

static void tell(struct news *n, const struct change *c, struct change *shared)
{
	struct user *u = n->u;
	bool saw = org_person_visible(n->d->before, org_person(n->d->before, u->id), c->old);
	bool sees = org_person_visible(n->d->after, org_person(n->d->after, u->id), c->now);
	struct str jid = c->now ? c->now->jid.full : c->old->jid.full;

	if (!saw && !sees)
		return;
	if ((saw != sees || c->differs) && roster_view_wants_pushes(u)) {
		push_held(n, false);
		n->held = (struct change){ .old = c->old, .now = c->now };
		n->shared = shared;
		n->is_held = true;
	}
	const struct roster_item *own = roster_item(u, jid);
	if (saw == sees || (own && own->to))
		return;
	if (sees && presence_is_available(jid))
		presence_reveal(jid, u->jid.full, true);
	if (!sees)
		roster_hide(u, jid);
}

/* The next person; false when all were looked at. */
static bool tell_next(struct news *n)
{
	struct diff *d = n->d;
	size_t people = 0;
	const struct org_person *const *now = n->everybody ? org_people(d->after, &people) : NULL;

	if (n->at < people) {
		struct change c = change_of(d, now[n->at++]);
		tell(n, &c, NULL);
		return true;
	}
	if (n->at - people == d->n)
		return false;
	struct change *c = &d->v[n->at++ - people];
	if (!n->everybody || !c->now)
		tell(n, c, c);
	return true;
}

static bool reads_slowly(const struct user *u)
{
	list_each (s, &u->sessions, struct session, of_user)
		if (s->wants_roster && s->transport->is_full && s->transport->is_full(s))
			return true;
	return false;
}

/* The structure may have changed again meanwhile: then from here to there. */
static void news_end(struct news *n)
{
	struct user *u = n->u;
	const struct org *told = org_ref(n->d->after);

	push_held(n, true);
	news_free(n);
	if (told != org_current())
		news_start(u, told, org_current());
	org_unref(told);
}

/* ---- slices ---- */

static void slice(void)
{
	struct list slow;
	size_t left = SLICE;

	list_init(&slow);
	while (left && !list_empty(&waiting)) {
		struct news *n = list_entry(waiting.next, struct news, link);
		list_del(&n->link);
		if (reads_slowly(n->u)) {
			list_add(&slow, &n->link);
			continue;
		}
		list_add(&waiting, &n->link); /* behind the others */
		size_t part = PART;
		while (part && left && tell_next(n)) {
			part--;
			left--;
		}
		if (part && left) {
			left--;
			news_end(n);
		}
	}
	bool all_slow = list_empty(&waiting);
	while (!list_empty(&slow)) {
		struct news *n = list_entry(slow.next, struct news, link);
		list_del(&n->link);
		list_add(&waiting, &n->link);
	}
	if (list_empty(&waiting))
		return;
	if (all_slow) {
		loop_timer(loop_self(), &look_again, LOOK_AGAIN_MS);
	} else if (!posted) {
		posted = true;
		threads_post((unsigned)threads_self(), &next_turn);
	}
}

static void on_next_turn(struct mail *m)
{
	(void)m;
	posted = false;
	slice();
}

static void on_look_again(struct timer *t)
{
	(void)t;
	slice();
}

static void init_here(void)
{
	if (waiting.next)
		return;
	list_init(&waiting);
	list_init(&diffs);
	next_turn.deliver = on_next_turn;
	look_again.fire = on_look_again;
}

void roster_news(const struct org *before, const struct org *after)
{
	size_t pos = 0;
	struct str key;
	void *v;

	init_here();
	while (hash_next(home()->users, &pos, &key, &v)) {
		struct user *u = v;
		if (!u->news) /* else he gets there when he has heard of what was before */
			news_start(u, before, after);
	}
	slice();
}

const struct org *roster_news_told(const struct user *u)
{
	const struct news *n = u->news;

	return n ? n->d->before : org_current();
}

static void on_user_unload(struct user *u)
{
	if (u->news)
		news_free(u->news);
}

void roster_news_init(void)
{
	static const struct session_hooks hooks = { .user_unload = on_user_unload };

	session_add_hooks(&hooks);
}

void roster_news_fini(void)
{
	if (!waiting.next)
		return;
	loop_timer_cancel(loop_self(), &look_again);
	list_each_safe (n, &waiting, struct news, link)
		news_free(n);
}
