/*
 * Chats that follow the structure: one of each department (option chats.departments) and the general one of a domain (chats.general). One operation brings them to what
 * the store says now; it does nothing when version and options are those it remembers, so a start costs two reads. Members that it put in
 * are those with invited_by 0: guests whom somebody added stay. Asked for on any worker, done on the writer thread.
 */
#include "server/im/chat_op.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_org.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_DEPARTMENTS 1u
#define OPTION_GENERAL 2u

static atomic_bool queued;	       /* an operation waits that has not read the store yet */
static atomic_uint wanted, done_up_to; /* accounts came or went: counted, and what the last operation knew of it */

/* ---- one chat as it should be ---- */

struct place {
	uint32_t dept, account;
	bool head;
};
struct places {
	struct arena *a;
	struct txn *t;
	struct place *v;
	size_t n, cap;
};
struct should {
	uint32_t dept; /* 0: the general chat */
	struct str title;
	const struct place *v; /* by account */
	size_t n;
	uint32_t owner;
};

static void add_place(struct places *p, struct place one)
{
	if (p->n == p->cap) {
		struct place *former = p->v;
		p->cap = p->cap ? p->cap * 2 : 256;
		p->v = arena_alloc(p->a, p->cap * sizeof *p->v);
		if (p->n)
			memcpy(p->v, former, p->n * sizeof *p->v);
	}
	p->v[p->n++] = one;
}

static bool add_member(void *ctx, const struct chat_member_rec *m)
{
	/* head: put in by somebody, not by the structure; dept: the role */
	add_place(ctx, (struct place){ .dept = m->role, .account = m->account, .head = m->invited_by != 0 });
	return true;
}

static void new_chat(struct txn *t, struct chat_op *o, struct str domain, const struct should *s)
{
	static const uint8_t general[CHAT_PERMISSIONS] = { CHAT_OWNER, CHAT_OWNER, CHAT_OWNER,
							   CHAT_OWNER, CHAT_OWNER, CHAT_MEMBER };
	static const uint8_t dept[CHAT_PERMISSIONS] = { CHAT_MANAGER, CHAT_MANAGER, CHAT_OWNER,
							CHAT_MANAGER, CHAT_MANAGER, CHAT_MEMBER };

	o->chat = (struct chat_rec){ .domain = domain,
				     .title = s->title,
				     .department = s->dept,
				     .flags = (s->dept ? CHAT_IS_DEPARTMENT : CHAT_IS_GENERAL) | CHAT_NO_JOIN_LINES,
				     .created_ms = clock_wall_ms() };
	memcpy(o->chat.permission, s->dept ? dept : general, sizeof general);
	chat_rec_create(t, &o->chat);
	o->chat.colour = (uint8_t)(o->chat.number % 16);
}

/* Rows of both lists are in order of accounts: one walk. */
static bool sync_members(struct txn *t, struct chat_op *o, const struct should *s, const struct places *have)
{
	bool changed = false;
	size_t i = 0, k = 0;

	while (i < s->n || k < have->n) {
		uint32_t should = i < s->n ? s->v[i].account : UINT32_MAX,
			 is = k < have->n ? have->v[k].account : UINT32_MAX;
		if (should < is) {
			chat_member_enter(t, o, should, CHAT_MEMBER, false);
			changed = true;
		} else if (is < should && have->v[k].dept >= CHAT_MEMBER && !have->v[k].head) {
			chat_member_leave(t, o, is, false);
			changed = true;
		}
		i += should <= is;
		k += is <= should;
	}
	return changed;
}

static void put_role(struct txn *t, struct chat_op *o, uint32_t account, enum chat_role role)
{
	struct chat_member_rec m;

	if (!account || chat_member_get(t, o->number, account, &m) || m.role < CHAT_MEMBER)
		return;
	m.role = (uint8_t)role;
	chat_member_put(t, &o->chat, &m);
	struct chat_effect *e = chat_did(o, CHAT_DID_MEMBER);
	e->account = account;
	e->role = (uint8_t)role;
}

static void sync_chat(struct txn *t, struct chat_op *o, struct str domain, const struct should *s)
{
	struct places have = { .a = o->a, .t = t };
	bool changed = false;

	o->number = chat_by_department(t, domain, s->dept);
	if (o->number && chat_rec_get(t, o->number, &o->chat))
		return;
	if (!o->number) {
		new_chat(t, o, domain, s);
		changed = true;
	} else {
		chat_rec_copy(o->a, &o->chat);
	}
	o->number = o->chat.number;
	chat_member_each(t, o->number, add_member, &have);
	changed |= sync_members(t, o, s, &have);
	if (s->dept && s->n && !str_eq(o->chat.title, s->title)) {
		o->chat.title = s->title;
		changed = true;
	}
	if (o->chat.owner != s->owner) {
		put_role(t, o, o->chat.owner, CHAT_MEMBER);
		put_role(t, o, s->owner, CHAT_OWNER);
		o->chat.owner = s->owner;
		changed = true;
	}
	if (!changed)
		return;
	chat_rec_put(t, &o->chat);
	chat_did(o, CHAT_DID_CHANGE);
}

/* ---- departments ---- */

static bool add_person(void *ctx, const struct org_person_rec *p)
{
	struct places *ps = ctx;
	struct account_rec acc;

	if (p->dept && account_get_by_id(ps->t, p->account, &acc) == 0 && !acc.disabled)
		add_place(ps, (struct place){ p->dept, p->account, p->head });
	return true;
}

static int by_dept(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->dept != y->dept)
		return x->dept < y->dept ? -1 : 1;
	return x->account < y->account ? -1 : x->account > y->account;
}

struct dept_names {
	struct arena *a;
	struct should *v;
	size_t n, cap;
};

static bool add_dept(void *ctx, const struct org_dept_rec *d)
{
	struct dept_names *ds = ctx;

	if (ds->n == ds->cap) {
		struct should *former = ds->v;
		ds->cap = ds->cap ? ds->cap * 2 : 64;
		ds->v = arena_alloc(ds->a, ds->cap * sizeof *ds->v);
		if (ds->n)
			memcpy(ds->v, former, ds->n * sizeof *ds->v);
	}
	ds->v[ds->n++] = (struct should){ .dept = d->id, .title = arena_str(ds->a, d->name) };
	return true;
}

/* Departments that are gone: their chats stay as they are read, without the people that the structure put in. */
static bool add_gone(void *ctx, const struct chat_rec *r)
{
	struct dept_names *ds = ctx;
	bool known = !(r->flags & CHAT_IS_DEPARTMENT);

	for (size_t i = 0; i < ds->n && !known; i++)
		known = ds->v[i].dept == r->department;
	if (!known)
		add_dept(ds, &(struct org_dept_rec){ .id = r->department, .name = r->title });
	return true;
}

static void sync_departments(struct txn *t, struct chat_op *o, struct str domain)
{
	struct dept_names depts = { .a = o->a };
	struct places people = { .a = o->a, .t = t };
	size_t at = 0;

	org_dept_each(t, domain, add_dept, &depts);
	chat_each(t, domain, 0, add_gone, &depts);
	org_person_each(t, domain, add_person, &people);
	if (people.n)
		qsort(people.v, people.n, sizeof *people.v, by_dept);
	for (size_t i = 0; i < depts.n; i++) { /* ids rise, but those of gone ones come last */
		struct should *s = &depts.v[i];
		for (at = 0; at < people.n && people.v[at].dept < s->dept;)
			at++;
		s->v = people.v + at;
		for (; at < people.n && people.v[at].dept == s->dept; at++, s->n++)
			if (people.v[at].head && !s->owner)
				s->owner = people.v[at].account;
		sync_chat(t, o, domain, s);
	}
}

/* ---- the general chat ---- */

static bool add_account(void *ctx, const struct account_rec *r)
{
	if (!r->disabled)
		add_place(ctx, (struct place){ .account = r->id });
	return true;
}

static void sync_general(struct txn *t, struct chat_op *o, struct str domain)
{
	struct places people = { .a = o->a, .t = t };

	account_each(t, domain, add_account, &people);
	if (people.n)
		qsort(people.v, people.n, sizeof *people.v, by_dept);
	sync_chat(t, o, domain,
		  &(struct should){ .title = im.chat_russian ? STR("Общий чат") : STR("General chat"),
				    .v = people.v,
				    .n = people.n });
}

/* ---- the operation ---- */

static unsigned options(void)
{
	return (im.chat_departments ? OPTION_DEPARTMENTS : 0) | (im.chat_general ? OPTION_GENERAL : 0);
}

static int run_sync(struct txn *t, struct chat_op *o)
{
	uint64_t version, known;

	atomic_store(&queued, false);
	o->n = atomic_load(&wanted);
	bool accounts = o->n != atomic_load(&done_up_to);
	for (size_t i = 0; i < im.n_domains; i++) {
		struct str domain = str_c(im.domains[i]);
		uint64_t now = org_version_get(t, domain);
		chat_structure_get(t, domain, &version, &known);
		bool same = version == now && known == options() + 1;
		if (!same && im.chat_departments)
			sync_departments(t, o, domain);
		if ((!same || accounts) && im.chat_general)
			sync_general(t, o, domain);
		if (!same)
			chat_structure_set(t, domain, now, options() + 1); /* never 0, which is "not yet" */
	}
	o->number = 0;
	return txn_error(t);
}

static void synced(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)ctx;
	(void)number;
	(void)gid;
	if (err)
		log_error("chat.structure", LERR(err),
			  LC("text", "the chats of departments do not follow the structure until its next change"));
}

static void sync_done(struct write_op *op, int err, unsigned worker)
{
	struct chat_op *o = (struct chat_op *)op;

	if (!err && worker == o->asker)
		atomic_store(&done_up_to, (unsigned)o->n);
	chat_op_committed(op, err, worker);
}

static void sync(void)
{
	static const struct principal structure = { .kind = PRINCIPAL_CONTROL, .name = { "structure", 9 } };

	if (!options() || atomic_exchange(&queued, true))
		return;
	struct chat_op *o = chat_op_new(&structure, 0, run_sync, synced, NULL);
	o->op.done = sync_done;
	chat_op_submit(o);
}

void chat_accounts_changed(void)
{
	if (!im.chat_general)
		return;
	atomic_fetch_add(&wanted, 1);
	sync();
}

static void on_org(const struct org *before, const struct org *after)
{
	(void)before;
	(void)after;
	if (threads_self() == 0)
		sync();
}

void chat_structure_start(void)
{
	sync();
}

void chat_init(void)
{
	org_observe(on_org);
}
