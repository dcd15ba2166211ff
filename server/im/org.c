/*
 * Snapshots of the company structure: built from the store in one go, shared by reference count, replaced on each worker by fan-out. 10,000 people take about
 * 2 MB once, not per worker. Building runs on the thread that asks; a snapshot never changes afterwards.
 */
#include "server/im/org.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/session.h"
#include "storage/tab_account.h"
#include "storage/tab_org.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define OBSERVERS_MAX 8
#define DEPTH_MAX 64

struct org {
	atomic_uint refs;
	struct arena *arena;
	struct idmap *by_account; /* -> struct org_person */
	struct org_person **people;
	size_t n_people, cap_people;
	struct org_dept **depts;
	size_t n_depts, cap_depts;
	uint64_t *versions; /* per im.domains */
	enum im_visibility visibility;
};

static org_observer_fn *observers[OBSERVERS_MAX];
static unsigned n_observers;
static const struct org *first; /* the one read at start; workers take references from it */
static _Thread_local const struct org *current;

void org_observe(org_observer_fn *fn)
{
	assert(n_observers < OBSERVERS_MAX);
	observers[n_observers++] = fn;
}

const struct org *org_ref(const struct org *o)
{
	atomic_fetch_add_explicit(&((struct org *)o)->refs, 1, memory_order_relaxed);
	return o;
}

void org_unref(const struct org *c)
{
	struct org *o = (struct org *)c;

	if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) > 1)
		return;
	idmap_free(o->by_account);
	mem_free(o->people);
	mem_free(o->depts);
	mem_free(o->versions);
	arena_free(o->arena);
	mem_free(o);
}

/* ---- building ---- */

struct build {
	struct org *o;
	struct txn *t;
	struct str domain;
	unsigned domain_index;
	struct idmap *depts; /* of this domain: id -> struct building_dept */
};
struct building_dept {
	struct org_dept d; /* first */
	uint32_t parent_id;
};

static void *grow(void *v, size_t n, size_t *cap)
{
	if (n < *cap)
		return v;
	*cap = *cap ? *cap * 2 : 64;
	return mem_realloc(v, *cap * sizeof(void *));
}

static bool add_dept(void *ctx, const struct org_dept_rec *r)
{
	struct build *b = ctx;
	struct org *o = b->o;
	struct building_dept *d = ARENA_NEW(o->arena, struct building_dept);

	d->d.id = r->id;
	d->d.name = arena_str(o->arena, r->name);
	d->parent_id = r->parent;
	idmap_put(b->depts, r->id, d);
	o->depts = grow(o->depts, o->n_depts, &o->cap_depts);
	o->depts[o->n_depts++] = &d->d;
	return true;
}

/* Path and branch, parents first; a loop in damaged data ends at DEPTH_MAX. */
static void link_dept(struct build *b, struct building_dept *d, unsigned depth)
{
	struct building_dept *parent = d->parent_id && depth < DEPTH_MAX ? idmap_get(b->depts, d->parent_id) : NULL;

	if (d->d.path.p)
		return;
	if (parent) {
		link_dept(b, parent, depth + 1);
		d->d.parent = &parent->d;
		d->d.branch = parent->d.branch;
		d->d.path = arena_cat(b->o->arena, parent->d.path, STR("::"), d->d.name, STR_NONE);
	} else {
		d->d.branch = &d->d;
		d->d.path = d->d.name;
	}
}

static bool add_person(void *ctx, const struct org_person_rec *r)
{
	struct build *b = ctx;
	struct org *o = b->o;
	struct account_rec acc;
	struct building_dept *d = r->dept ? idmap_get(b->depts, r->dept) : NULL;

	if (account_get_by_id(b->t, r->account, &acc) || acc.disabled)
		return true;
	struct org_person *p = ARENA_NEW(o->arena, struct org_person);
	p->account = r->account;
	p->number = r->number;
	p->domain = b->domain_index;
	p->dept = d ? &d->d : NULL;
	p->head = r->head;
	p->jid = jid_make(o->arena, acc.local, b->domain, STR_NONE);
	p->full_name = arena_str(o->arena, r->full_name);
	p->position = arena_str(o->arena, r->position);
	p->email = arena_str(o->arena, r->email);
	p->phone = arena_str(o->arena, r->phone);
	idmap_put(o->by_account, r->account, p);
	o->people = grow(o->people, o->n_people, &o->cap_people);
	o->people[o->n_people++] = p;
	return true;
}

static int person_order(const void *a, const void *b)
{
	const struct org_person *x = *(const struct org_person *const *)a, *y = *(const struct org_person *const *)b;
	int c = str_cmp(jid_domain(&x->jid), jid_domain(&y->jid));

	if (!c)
		c = str_cmp(x->dept ? x->dept->path : STR(""), y->dept ? y->dept->path : STR(""));
	if (!c)
		c = str_cmp(x->full_name, y->full_name);
	return c ? c : str_cmp(x->jid.full, y->jid.full);
}

static void add_domain(struct org *o, struct txn *t, size_t index)
{
	struct build b = { .o = o,
			   .t = t,
			   .domain = str_c(im.domains[index]),
			   .domain_index = (unsigned)index,
			   .depts = idmap_new() };
	size_t from = o->n_depts;

	o->versions[index] = org_version_get(t, b.domain);
	org_dept_each(t, b.domain, add_dept, &b);
	for (size_t i = from; i < o->n_depts; i++)
		link_dept(&b, (struct building_dept *)o->depts[i], 0);
	org_person_each(t, b.domain, add_person, &b);
	idmap_free(b.depts);
}

static struct org *build(int *out_err)
{
	struct org *o = NEW(struct org);
	struct txn *t = im_read();

	atomic_init(&o->refs, 1);
	o->visibility = im.visibility;
	o->arena = arena_new(65536);
	o->by_account = idmap_new();
	o->versions = mem_zero((im.n_domains + 1) * sizeof *o->versions);
	for (size_t i = 0; i < im.n_domains; i++)
		add_domain(o, t, i);
	*out_err = txn_commit(t);
	if (o->n_people)
		qsort(o->people, o->n_people, sizeof *o->people, person_order);
	for (size_t i = 0; i < o->n_people; i++)
		o->people[i]->index = i;
	return o;
}

int org_load(struct err_msg *msg)
{
	int err;
	struct org *o = build(&err);

	if (err) {
		org_unref(o);
		return err_set(msg, err, "the company structure cannot be read: %s; run vestnikctl check",
			       err_text(err));
	}
	first = o;
	return 0;
}

void org_thread_init(void)
{
	current = org_ref(first);
}

void org_thread_fini(void)
{
	org_unref(current);
	current = NULL;
}

static void find_person(struct user *u)
{
	u->person = org_person(current, u->id);
}

static const struct session_hooks hooks = { .user_load = find_person };

void org_init(void)
{
	session_add_hooks(&hooks);
}

static void find_everybody(void)
{
	size_t pos = 0;
	struct str key;
	void *u;

	while (hash_next(home()->users, &pos, &key, &u))
		find_person(u);
}

static void swap(void *data)
{
	const struct org *before = current;

	current = org_ref(data);
	find_everybody();
	for (unsigned i = 0; i < n_observers; i++)
		observers[i](before, current);
	org_unref(before);
}

static void swapped(void *data)
{
	org_unref(data);
}

/* Built and posted under one lock: two changes at once must not reach the workers in the wrong order. */
static pthread_mutex_t reloading = PTHREAD_MUTEX_INITIALIZER;

static void build_and_post(void)
{
	int err;
	struct org *o = build(&err);

	if (err) {
		log_error("org.reload_failed", LERR(err));
		org_unref(o);
		return;
	}
	log_info("org.loaded", LU("people", o->n_people), LU("departments", o->n_depts));
	fanout(swap, o, swapped);
}

void org_reload(void)
{
	pthread_mutex_lock(&reloading);
	build_and_post();
	pthread_mutex_unlock(&reloading);
}

/* ---- questions ---- */

const struct org *org_current(void)
{
	return current;
}

uint64_t org_version(const struct org *o, struct str domain)
{
	for (size_t i = 0; i < im.n_domains; i++)
		if (str_eq_c(domain, im.domains[i]))
			return o->versions[i];
	return 0;
}

const struct org_person *org_person(const struct org *o, uint32_t account)
{
	return idmap_get(o->by_account, account);
}

const struct org_person *org_person_by_number(const struct org *o, struct str domain, uint64_t number)
{
	for (size_t i = 0; i < o->n_people; i++)
		if (o->people[i]->number == number && str_eq(jid_domain(&o->people[i]->jid), domain))
			return o->people[i];
	return NULL;
}

const struct org_person *const *org_people(const struct org *o, size_t *out_n)
{
	*out_n = o->n_people;
	return (const struct org_person *const *)o->people;
}

const struct org_dept *const *org_depts(const struct org *o, size_t *out_n)
{
	*out_n = o->n_depts;
	return (const struct org_dept *const *)o->depts;
}

enum im_visibility org_visibility(const struct org *o)
{
	return o->visibility;
}

bool org_person_visible(const struct org *o, const struct org_person *v, const struct org_person *s)
{
	if (!v || !s || v == s || v->domain != s->domain)
		return false;
	switch (o->visibility) {
	case VISIBLE_COMPANY: return true;
	case VISIBLE_BRANCH: return v->dept && s->dept && v->dept->branch == s->dept->branch;
	case VISIBLE_DEPARTMENT: return v->dept && v->dept == s->dept;
	}
	return false;
}

bool org_visible(const struct org *o, uint32_t viewer, uint32_t subject)
{
	return org_person_visible(o, org_person(o, viewer), org_person(o, subject));
}
