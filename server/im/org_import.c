/*
 * Import of HR data in four steps: plan (helper: parse, compare with the store), derive (helpers: SCRAM keys of new accounts), write (one op of the writer),
 * show (new snapshot to every worker). The struct import belongs to whichever step runs.
 */
#include "server/im/org_import.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/im/auth.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/net/threads.h"
#include "storage/tab_audit.h"
#include "storage/tab_org.h"
#include "xml/jid.h"
#include <stdatomic.h>
#include <string.h>

enum action { SAME, ADD, CHANGE };
struct row {
	struct row *next;
	size_t line;
	struct str local, password, dept;
	struct org_person_rec person;
	enum action action;
	bool has_keys;
	struct scram_keys keys[HASH_KINDS];
};
struct import {
	struct job job;
	struct write_op op;
	struct arena *arena;
	struct org_import_request in;
	org_import_fn *done;
	void *ctx;
	struct org_import_result result;
	struct buf report;
	struct row *rows, *last;
	size_t n_rows;
	struct hash *by_login; /* local -> struct row */
	struct idmap *by_number, *seen_accounts;
	struct txn *reading; /* while the plan is made */
	struct row **to_derive;
	size_t n_derive;
	atomic_size_t next_derive;
	unsigned derivers;
	uint32_t *missing;
	size_t n_missing, cap_missing;
	atomic_int derive_err;
};
struct deriver {
	struct job job;
	struct import *im;
};

static void import_free(struct import *i)
{
	hash_free(i->by_login);
	idmap_free(i->by_number);
	idmap_free(i->seen_accounts);
	for (struct row *r = i->rows; r; r = r->next)
		secret_wipe(r->keys, sizeof r->keys);
	if (i->in.csv.n)
		secret_wipe((void *)i->in.csv.p, i->in.csv.n);
	mem_free(i->to_derive);
	mem_free(i->missing);
	buf_clear(&i->report);
	arena_free(i->arena);
	mem_free(i);
}

static void finish(struct import *i)
{
	i->result.report = buf_str(&i->report);
	i->done(i->ctx, &i->result);
	import_free(i);
}

/* ---- step 1: plan ---- */

static bool yes(struct str s)
{
	return str_ieq(s, STR("yes")) || str_ieq(s, STR("true")) || str_eq_c(s, "1") || str_ieq(s, STR("y")) ||
	       str_eq_c(s, "да");
}

static int take_number(struct row *r, struct import *i, struct str text, struct err_msg *msg)
{
	struct row *other;

	if (!text.n)
		return 0;
	if (str_u64(text, INT64_MAX, &r->person.number))
		return err_set(msg, ERR_SYNTAX, "line %zu: id \"%.*s\" is not a number", r->line,
			       STR_ARG(str_of(text.p, text.n < 40 ? text.n : 40)));
	other = idmap_put(i->by_number, r->person.number, r);
	if (other)
		return err_set(msg, ERR_CONFLICT, "line %zu: id %llu is used on line %zu already", r->line,
			       (unsigned long long)r->person.number, other->line);
	return 0;
}

static int plan_row(void *ctx, size_t line, const struct str v[COLUMNS], struct err_msg *msg)
{
	struct import *i = ctx;
	struct row *r = ARENA_NEW(i->arena, struct row), *other;

	r->line = line;
	if (jid_prep_local(i->arena, v[COL_LOGIN], &r->local) || str_find(r->local, '@') >= 0)
		return err_set(msg, ERR_SYNTAX, "line %zu: login \"%.*s\" has characters that no address may have",
			       line, STR_ARG(v[COL_LOGIN]));
	r->local = arena_str(i->arena, r->local);
	if ((other = hash_put(i->by_login, r->local, r)) != NULL)
		return err_set(msg, ERR_CONFLICT, "line %zu: login %.*s is on line %zu already", line,
			       STR_ARG(r->local), other->line);
	if (!v[COL_NAME].n)
		return err_set(msg, ERR_SYNTAX, "line %zu: full_name is empty", line);
	int err = take_number(r, i, v[COL_ID], msg);
	if (err)
		return err;
	r->password = arena_str(i->arena, v[COL_PASSWORD]);
	r->dept = arena_str(i->arena, v[COL_DEPT]);
	r->person.head = yes(v[COL_HEAD]);
	r->person.full_name = arena_str(i->arena, v[COL_NAME]);
	r->person.position = arena_str(i->arena, v[COL_POSITION]);
	r->person.email = arena_str(i->arena, v[COL_EMAIL]);
	r->person.phone = arena_str(i->arena, v[COL_PHONE]);
	if (i->last)
		i->last->next = r;
	else
		i->rows = r;
	i->last = r;
	i->n_rows++;
	return 0;
}

/* Departments of the store by their path with slashes, as the file writes them. */
struct dept_table {
	struct arena *a;
	struct idmap *by_id; /* -> struct dept */
	struct hash *by_path;
	struct dept *all;
};
struct dept {
	struct dept *next;
	struct org_dept_rec rec;
	struct str path;
	bool used, created;
};

static bool collect_dept(void *ctx, const struct org_dept_rec *d)
{
	struct dept_table *t = ctx;
	struct dept *n = ARENA_NEW(t->a, struct dept);

	n->rec = *d;
	n->rec.name = arena_str(t->a, d->name);
	n->next = t->all;
	t->all = n;
	idmap_put(t->by_id, d->id, n);
	return true;
}

static struct str dept_path(struct dept_table *t, struct dept *d, unsigned depth)
{
	struct dept *parent = d->rec.parent && depth < 64 ? idmap_get(t->by_id, d->rec.parent) : NULL;

	if (d->path.p)
		return d->path;
	d->path = parent ? arena_cat(t->a, dept_path(t, parent, depth + 1), STR("/"), d->rec.name, STR_NONE)
			 : d->rec.name;
	hash_put(t->by_path, d->path, d);
	return d->path;
}

static void depts_read(struct dept_table *t, struct txn *txn, struct str domain)
{
	t->a = arena_new(16384);
	t->by_id = idmap_new();
	t->by_path = hash_new();
	t->all = NULL;
	org_dept_each(txn, domain, collect_dept, t);
	for (struct dept *d = t->all; d; d = d->next)
		dept_path(t, d, 0);
}

static void depts_free(struct dept_table *t)
{
	hash_free(t->by_path);
	idmap_free(t->by_id);
	arena_free(t->a);
}

/* "A / B" with empty parts removed, as one path. */
static struct str clean_path(struct arena *a, struct str path)
{
	struct str rest = path, part, out = STR_NONE;

	if (!path.n)
		return STR("");
	while (str_split(&rest, '/', &part)) {
		part = str_trim(part);
		if (part.n)
			out = out.p ? arena_cat(a, out, STR("/"), part, STR_NONE) : part;
	}
	return out.p ? out : STR("");
}

static bool same_person(const struct org_person_rec *a, const struct org_person_rec *b)
{
	return a->number == b->number && a->head == b->head && str_eq(a->full_name, b->full_name) &&
	       str_eq(a->position, b->position) && str_eq(a->email, b->email) && str_eq(a->phone, b->phone);
}

static void compare(struct import *i, struct row *r, struct txn *t, struct dept_table *depts)
{
	struct account_rec acc;
	struct org_person_rec old;
	struct dept *d = r->dept.n ? hash_get(depts->by_path, r->dept) : NULL;

	if (account_get(t, i->in.domain, r->local, &acc)) {
		r->action = ADD;
	} else {
		r->person.account = acc.id;
		idmap_put(i->seen_accounts, acc.id, r);
		bool same = !acc.disabled && org_person_get(t, i->in.domain, acc.id, &old) == 0 &&
			    same_person(&old, &r->person) && old.dept == (d ? d->rec.id : 0) && (d || !r->dept.n);
		r->action = same ? SAME : CHANGE;
	}
	static const char *const words[] = { "", "add", "change" };
	if (r->action == SAME)
		i->result.unchanged++;
	else if (r->action == ADD)
		i->result.added++;
	else
		i->result.changed++;
	if (r->action != SAME)
		buf_printf(&i->report, "%s %.*s: %.*s, %.*s\n", words[r->action], STR_ARG(r->local),
			   STR_ARG(r->person.full_name), STR_ARG(r->dept.n ? r->dept : STR("no department")));
	if (r->action == ADD && r->password.n)
		i->n_derive++;
}

static bool find_missing(void *ctx, const struct org_person_rec *p)
{
	struct import *i = ctx;
	struct account_rec acc;

	if (idmap_get(i->seen_accounts, p->account))
		return true;
	if (account_get_by_id(i->reading, p->account, &acc) || acc.disabled)
		return true; /* left already: a second run changes nothing */
	if (i->n_missing == i->cap_missing) {
		i->cap_missing = i->cap_missing ? 2 * i->cap_missing : 64;
		i->missing = mem_realloc(i->missing, i->cap_missing * sizeof *i->missing);
	}
	i->missing[i->n_missing++] = p->account;
	buf_printf(&i->report, "%s %.*s: not in the file\n", i->in.disable_missing ? "disable" : "missing",
		   STR_ARG(p->full_name));
	return true;
}

static void warn_look_alikes(struct import *i)
{
	struct hash *skeletons = hash_new();

	for (struct row *r = i->rows; r; r = r->next) { /* row I05; HR is believed, but told */
		struct row *other = hash_put(skeletons, jid_skeleton(i->arena, r->local), r);
		if (other)
			buf_printf(&i->report, "warning line %zu: login %.*s looks like %.*s\n", r->line,
				   STR_ARG(r->local), STR_ARG(other->local));
	}
	hash_free(skeletons);
}

static void plan_run(struct job *j)
{
	struct import *i = list_entry(j, struct import, job);
	struct org_import_result *res = &i->result;
	struct dept_table depts;

	res->err = org_csv_parse(i->in.csv, plan_row, i, &res->msg);
	if (res->err)
		return;
	struct txn *t = im_read();
	depts_read(&depts, t, i->in.domain);
	for (struct row *r = i->rows; r; r = r->next) {
		r->dept = clean_path(i->arena, r->dept);
		compare(i, r, t, &depts);
	}
	i->reading = t;
	org_person_each(t, i->in.domain, find_missing, i);
	i->reading = NULL;
	res->missing = i->n_missing;
	depts_free(&depts);
	res->err = txn_commit(t);
	if (res->err)
		err_set(&res->msg, res->err, "the store cannot be read: %s", err_text(res->err));
	warn_look_alikes(i);
}

/* ---- step 2: keys ---- */

static void derive_run(struct job *j)
{
	struct import *i = list_entry(j, struct deriver, job)->im;
	size_t n;

	while ((n = atomic_fetch_add(&i->next_derive, 1)) < i->n_derive) {
		struct row *r = i->to_derive[n];
		r->has_keys = auth_keys_for_password(r->password, im.scram_iterations, r->keys) == 0;
		if (!r->has_keys)
			atomic_store(&i->derive_err, (int)r->line);
	}
}

static void submit(struct import *i);

static void derive_done(struct job *j)
{
	struct deriver *d = list_entry(j, struct deriver, job);
	struct import *i = d->im;

	mem_free(d);
	if (--i->derivers == 0)
		submit(i);
}

static void derive(struct import *i)
{
	size_t n = 0;

	i->to_derive = mem_alloc(i->n_derive * sizeof(struct row *) + 1);
	for (struct row *r = i->rows; r; r = r->next)
		if (r->action == ADD && r->password.n)
			i->to_derive[n++] = r;
	i->n_derive = n;
	unsigned jobs = n ? threads_count() : 0;
	for (unsigned k = 0; k < jobs; k++) {
		struct deriver *d = NEW(struct deriver);
		d->im = i;
		d->job.run = derive_run;
		d->job.done = derive_done;
		if (helpers_submit(&d->job))
			mem_free(d);
		else
			i->derivers++;
	}
	if (i->derivers)
		return;
	if (n)
		i->result.err = err_set(&i->result.msg, ERR_AGAIN, "the server is busy; repeat the import in a moment");
	if (n)
		finish(i);
	else
		submit(i);
}

static void plan_done(struct job *j)
{
	struct import *i = list_entry(j, struct import, job);
	struct org_import_result *r = &i->result;

	if (r->err || i->in.dry_run || (!r->added && !r->changed && !(i->in.disable_missing && r->missing)))
		finish(i);
	else
		derive(i);
}

/* ---- step 3: write ---- */

/* The department of a path, made with its parents when missing. Path has no empty parts. */
static uint32_t dept_ensure(struct dept_table *t, struct txn *txn, struct import *i, struct str path)
{
	struct dept *d = path.n ? hash_get(t->by_path, path) : NULL;
	ptrdiff_t slash = -1;

	if (!path.n)
		return 0;
	if (d)
		return d->rec.id;
	for (size_t k = 0; k < path.n; k++)
		if (path.p[k] == '/')
			slash = (ptrdiff_t)k;
	d = ARENA_NEW(t->a, struct dept);
	d->rec.parent = slash > 0 ? dept_ensure(t, txn, i, str_of(path.p, (size_t)slash)) : 0;
	d->rec.id = org_next_dept(txn, i->in.domain);
	d->rec.name = str_of(path.p + slash + 1, path.n - (size_t)(slash + 1));
	d->path = path;
	d->created = true;
	d->next = t->all;
	t->all = d;
	hash_put(t->by_path, path, d);
	idmap_put(t->by_id, d->rec.id, d);
	org_dept_put(txn, i->in.domain, &d->rec);
	i->result.departments_added++;
	return d->rec.id;
}

static bool mark_used(void *ctx, const struct org_person_rec *p)
{
	struct dept_table *t = ctx;

	for (struct dept *d = p->dept ? idmap_get(t->by_id, p->dept) : NULL; d && !d->used;
	     d = d->rec.parent ? idmap_get(t->by_id, d->rec.parent) : NULL)
		d->used = true;
	return true;
}

static void remove_empty_depts(struct dept_table *t, struct txn *txn, struct import *i)
{
	org_person_each(txn, i->in.domain, mark_used, t);
	for (struct dept *d = t->all; d; d = d->next)
		if (!d->used) {
			org_dept_del(txn, i->in.domain, d->rec.id);
			i->result.departments_removed++;
		}
}

static int write_row(struct import *i, struct row *r, struct txn *t, struct dept_table *depts)
{
	struct org_person_rec p = r->person;
	struct account_rec acc;
	int err = 0;

	if (r->action == ADD) {
		struct account_op op = {
			.domain = i->in.domain, .local = r->local, .actor = i->in.actor, .directory_owned = false
		};
		err = account_add_in(t, &op, r->has_keys ? r->keys : NULL, &p.account);
	} else if (account_get_by_id(t, p.account, &acc) == 0 && acc.disabled) {
		acc.disabled = false;
		account_put(t, &acc);
	}
	if (err)
		return err;
	p.dept = dept_ensure(depts, t, i, r->dept);
	org_person_put(t, i->in.domain, &p);
	return 0;
}

static void disable_one(struct txn *t, struct import *i, uint32_t id)
{
	struct account_rec acc;

	if (account_get_by_id(t, id, &acc) || acc.disabled)
		return;
	acc.disabled = true;
	acc.credentials_epoch++;
	account_put(t, &acc);
	i->result.disabled++;
}

static int apply_import(struct txn *t, struct write_op *op)
{
	struct import *i = list_entry(op, struct import, op);
	struct dept_table depts;
	int err = 0;

	i->result.departments_added = i->result.departments_removed = i->result.disabled = 0; /* the op may run twice */
	depts_read(&depts, t, i->in.domain);
	for (struct row *r = i->rows; r && !err; r = r->next)
		if (r->action != SAME)
			err = write_row(i, r, t, &depts);
	if (i->in.disable_missing)
		for (size_t k = 0; k < i->n_missing; k++)
			disable_one(t, i, i->missing[k]);
	remove_empty_depts(&depts, t, i);
	depts_free(&depts);
	org_version_raise(t, i->in.domain);
	char detail[160];
	snprintf(detail, sizeof detail, "added %zu, changed %zu, disabled %zu", i->result.added, i->result.changed,
		 i->result.disabled);
	audit_add(t, &(struct audit_rec){ .time_ms = clock_wall_ms(),
					  .actor = i->in.actor,
					  .action = STR("org.import"),
					  .target = i->in.domain,
					  .detail = str_c(detail) });
	if (err)
		txn_fail(t, err); /* somebody made the account meanwhile: nothing of this import stays */
	return err;
}

static void announce_disabled(struct import *i)
{
	struct txn *t = im_read();
	struct arena *a = arena_new(1024);

	for (size_t k = 0; k < i->n_missing; k++) {
		struct account_rec acc;
		if (account_get_by_id(t, i->missing[k], &acc) || !acc.disabled)
			continue;
		struct jid j = jid_make(a, acc.local, acc.domain, STR_NONE);
		account_announce(j.full, acc.id, ACCOUNT_DISABLED, acc.credentials_epoch, 0);
	}
	arena_free(a);
	txn_commit(t);
}

static void import_written(struct write_op *op, int err, unsigned worker)
{
	struct import *i = list_entry(op, struct import, op);

	(void)worker;
	if (err) {
		i->result.err = err_set(&i->result.msg, err, "the import was not written: %s; nothing has changed",
					err_text(err));
		return;
	}
	peer_forget_all();
	if (i->in.disable_missing)
		announce_disabled(i);
	org_reload();
}

static void import_finished(struct write_op *op)
{
	finish(list_entry(op, struct import, op));
}

static void submit(struct import *i)
{
	int line = atomic_load(&i->derive_err);

	if (line) {
		i->result.err = err_set(&i->result.msg, ERR_SYNTAX,
					"line %d: the password has characters that are not allowed (RFC 4013)", line);
		finish(i);
		return;
	}
	i->op = (struct write_op){ .apply = apply_import, .done = import_written, .free = import_finished };
	im_write(&i->op);
}

void org_import_start(const struct org_import_request *rq, org_import_fn *done, void *ctx)
{
	struct import *i = NEW(struct import);

	i->arena = arena_new(65536);
	i->in = *rq;
	i->in.domain = arena_str(i->arena, rq->domain);
	i->in.csv = arena_str(i->arena, rq->csv);
	i->in.actor = arena_str(i->arena, rq->actor);
	i->done = done;
	i->ctx = ctx;
	buf_init(&i->report, 16u << 20);
	i->by_login = hash_new();
	i->by_number = idmap_new();
	i->seen_accounts = idmap_new();
	i->job.run = plan_run;
	i->job.done = plan_done;
	int err = helpers_submit(&i->job);
	if (!err)
		return;
	i->result.err = err_set(&i->result.msg, err, "the server is busy; repeat the import in a moment");
	finish(i);
}
