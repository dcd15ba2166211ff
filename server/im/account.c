/*
 * Changes of accounts. One struct task walks: checks on the asking worker -> helper thread (SCRAM keys, look-alikes) ->
 * one operation of the writer -> done on the asking worker and the listener on the account's home. What differs between
 * the verbs is a row of a table. The task belongs to whoever holds it on that way and is freed by the writer's last
 * completion, or with the early error.
 */
#include "server/im/account.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/im/auth.h"
#include "server/im/chat.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/roster.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "storage/tab_org.h"
#include "storage/tab_pep.h"
#include "storage/tab_token.h"
#include "storage/tab_vcard.h"
#include "xml/jid.h"
#include <assert.h>

struct task;
struct verb {
	const char *name; /* in the audit log */
	enum account_change change;
	bool takes_password, password_optional, by_owner;
	bool ends_logins; /* raises credentials_epoch */
	/* Writer thread: changes rec (of an existing account) before it is put back. NULL: nothing to change but the
	 * epoch. */
	int (*change_rec)(const struct task *k, struct account_rec *rec);
};

struct task {
	struct job job;
	struct write_op op;
	struct deferred deferred; /* early errors */
	const struct verb *verb;
	account_done_fn *done;
	void *ctx;
	int err;
	unsigned asker, home;
	struct account_op in; /* strings in text */
	struct str bare;
	struct arena *text;
	bool has_keys;
	struct scram_keys keys[HASH_KINDS];
	uint32_t id, epoch; /* results of apply */
	bool structure;	    /* of apply: the company structure shows this account, or stops to */
};

static account_changed_fn *listener;

void account_set_listener(account_changed_fn *fn)
{
	listener = fn;
}

static void task_free(struct task *k)
{
	secret_wipe((char *)(uintptr_t)k->in.password.p, k->in.password.n); /* our copy */
	arena_free(k->text);
	secret_wipe(k->keys, sizeof(k->keys));
	mem_free(k);
}

static void report_early(struct deferred *d)
{
	struct task *k = list_entry(d, struct task, deferred);

	k->done(k->ctx, k->err, 0);
	task_free(k);
}

static void fail_early(struct task *k, int err)
{
	k->err = err;
	loop_defer(loop_self(), &k->deferred);
}

/* --- in the writer --- */

static void audit(struct txn *t, const struct task *k)
{
	struct audit_rec a = {
		.time_ms = clock_wall_ms(),
		.actor = k->in.actor,
		.action = str_c(k->verb->name),
		.target = k->bare,
	};

	audit_add(t, &a);
}

static int set_keys(const struct task *k, struct account_rec *rec)
{
	if (k->verb->by_owner && rec->directory_owned)
		return ERR_FORBIDDEN;
	memcpy(rec->scram, k->keys, sizeof(rec->scram));
	return 0;
}

static int set_disabled(const struct task *k, struct account_rec *rec)
{
	rec->disabled = k->verb->change == ACCOUNT_DISABLED;
	return 0;
}

static int set_admin(const struct task *k, struct account_rec *rec)
{
	rec->is_admin = k->in.is_admin;
	return 0;
}

static const struct verb verb_add = { "account.add", ACCOUNT_CREATED, true, true, false, false, NULL };
static const struct verb verb_password = {
	"account.password", ACCOUNT_PASSWORD_CHANGED, true, false, false, true, set_keys
};
static const struct verb verb_own = {
	"account.own-password", ACCOUNT_PASSWORD_CHANGED, true, false, true, true, set_keys
};
static const struct verb verb_disable = {
	"account.disable", ACCOUNT_DISABLED, false, false, false, true, set_disabled
};
static const struct verb verb_enable = { "account.enable", ACCOUNT_ENABLED, false, false, false, false, set_disabled };
static const struct verb verb_admin = { "account.admin", ACCOUNT_ADMIN_CHANGED, false, false, false, false, set_admin };
static const struct verb verb_remove = { "account.remove", ACCOUNT_DELETED, false, false, false, false, NULL };
static const struct verb verb_revoke = { "account.revoke", ACCOUNT_REVOKED, false, false, false, true, NULL };

int account_add_in(struct txn *t, const struct account_op *op, const struct scram_keys *keys, uint32_t *out_id)
{
	struct account_rec rec = {
		.domain = op->domain,
		.local = op->local,
		.is_admin = op->is_admin,
		.directory_owned = op->directory_owned,
		.created_ms = clock_wall_ms(),
		.credentials_epoch = 1,
	};

	if (keys)
		memcpy(rec.scram, keys, sizeof(rec.scram));
	int err = account_create(t, &rec);
	if (!err)
		*out_id = rec.id;
	return err;
}

static int apply_add(struct txn *t, struct write_op *op)
{
	struct task *k = list_entry(op, struct task, op);
	int err = account_add_in(t, &k->in, k->has_keys ? k->keys : NULL, &k->id);

	k->epoch = 1;
	if (!err)
		audit(t, k);
	return err;
}

/* Disabled people are not shown in rosters (server/im/org.c). */
static bool changes_structure(struct txn *t, const struct task *k, uint32_t id)
{
	enum account_change c = k->verb->change;
	struct org_person_rec p;

	return (c == ACCOUNT_DISABLED || c == ACCOUNT_ENABLED || c == ACCOUNT_DELETED) &&
	       org_person_get(t, k->in.domain, id, &p) == 0;
}

static int apply_change(struct txn *t, struct write_op *op)
{
	struct task *k = list_entry(op, struct task, op);
	struct account_rec rec;
	int err = account_get(t, k->in.domain, k->in.local, &rec);

	if (!err && k->verb->change_rec)
		err = k->verb->change_rec(k, &rec);
	if (err)
		return err;
	if (k->verb->ends_logins) {
		rec.credentials_epoch++;
		token_delete_account(t, rec.id, TOKEN_FAST); /* void by the epoch already: this only tidies up */
	}
	k->id = rec.id;
	k->epoch = rec.credentials_epoch;
	k->structure = changes_structure(t, k, rec.id);
	if (k->structure)
		org_version_raise(t, k->in.domain);
	account_put(t, &rec);
	audit(t, k);
	return 0;
}

static int apply_remove(struct txn *t, struct write_op *op)
{
	struct task *k = list_entry(op, struct task, op);
	struct account_rec rec;
	int err = account_get(t, k->in.domain, k->in.local, &rec);

	if (err)
		return err;
	k->id = rec.id;
	k->epoch = rec.credentials_epoch + 1;
	token_delete_account(t, rec.id, TOKEN_ANY);
	k->structure = changes_structure(t, k, rec.id);
	if (k->structure) {
		org_person_del(t, k->in.domain, rec.id);
		org_version_raise(t, k->in.domain);
	}
	roster_end_account(t, rec.id, k->bare); /* the name may be given to somebody else */
	vcard_del(t, rec.id);
	chat_end_account(t, rec.id);
	pep_delete_account(t, rec.id);
	account_delete(t, rec.id);
	audit(t, k);
	return 0;
}

static void written(struct write_op *op, int err, unsigned worker)
{
	struct task *k = list_entry(op, struct task, op);

	if (!err && worker == k->home && listener)
		listener(k->bare, k->id, k->verb->change, k->epoch, k->in.keep_session);
	if (!err && worker == k->home && k->structure)
		org_reload();
	if (worker == k->asker)
		k->done(k->ctx, err, k->id);
}

static void op_free(struct write_op *op)
{
	task_free(list_entry(op, struct task, op));
}

static void submit(struct task *k)
{
	k->op.apply = k->verb == &verb_add ? apply_add : k->verb == &verb_remove ? apply_remove : apply_change;
	k->op.done = written;
	k->op.free = op_free;
	im_write_to(&k->op, (uint64_t)1 << k->asker | (uint64_t)1 << k->home);
}

/* --- on a helper thread --- */

struct look_alike {
	struct str local, skeleton;
	struct arena *a;
	bool found;
	char *name;
	size_t name_max;
};

static bool compare_skeleton(void *ctx, const struct account_rec *rec)
{
	struct look_alike *l = ctx;

	if (str_eq(rec->local, l->local))
		return true;
	struct arena_mark m = arena_mark(l->a);
	l->found = str_eq(jid_skeleton(l->a, rec->local), l->skeleton);
	arena_release(l->a, m);
	if (l->found && l->name)
		snprintf(l->name, l->name_max, "%.*s", STR_ARG(rec->local));
	return !l->found;
}

int account_look_alike(struct txn *t, struct str domain, struct str local, char *out_name, size_t out_max)
{
	struct look_alike l = { .local = local, .a = arena_new(4096), .name = out_name, .name_max = out_max };

	l.skeleton = jid_skeleton(l.a, local);
	account_each(t, domain, compare_skeleton, &l);
	arena_free(l.a);
	return l.found ? ERR_CONFLICT : txn_error(t);
}

static void prepare_run(struct job *j)
{
	struct task *k = list_entry(j, struct task, job);

	if (k->verb == &verb_add && !k->in.force) {
		struct txn *t = im_read();

		k->err = account_look_alike(t, k->in.domain, k->in.local, NULL, 0);
		int end = txn_commit(t);
		if (!k->err)
			k->err = end;
	}
	if (!k->err && !str_empty(k->in.password)) {
		k->err = auth_keys_for_password(k->in.password, im.scram_iterations, k->keys);
		k->has_keys = k->err == 0;
	}
}

static void prepared(struct job *j)
{
	struct task *k = list_entry(j, struct task, job);

	if (k->err) {
		k->done(k->ctx, k->err, 0);
		task_free(k);
	} else {
		submit(k);
	}
}

/* --- on the asking worker --- */

/* Copies op into the task, with the name prepared. */
static int take(struct task *k, const struct account_op *op)
{
	struct str domain = str_empty(op->domain) ? str_c(im.domains[0]) : op->domain;
	char scratch[AUTH_PREPARED_MAX];
	size_t n;

	k->in = *op;
	k->in.password = arena_str(k->text, op->password);
	k->in.actor = arena_str(k->text, op->actor);
	if (jid_prep_domain(k->text, domain, &k->in.domain) || jid_prep_local(k->text, op->local, &k->in.local))
		return ERR_SYNTAX;
	k->in.domain = arena_str(k->text, k->in.domain);
	k->in.local = arena_str(k->text, k->in.local);
	k->bare = arena_cat(k->text, k->in.local, STR("@"), k->in.domain, STR_NONE);
	if (!im_is_our_domain(k->in.domain))
		return ERR_NOT_FOUND;
	if (k->verb->by_owner && im.directory_owns_passwords)
		return ERR_FORBIDDEN;
	if (!k->verb->takes_password || (k->verb->password_optional && str_empty(op->password)))
		return 0;
	int err = auth_prepare_password(k->in.password, true, scratch, &n);
	secret_wipe(scratch, sizeof(scratch));
	return err;
}

static void start(const struct verb *verb, const struct account_op *op, account_done_fn *done, void *ctx)
{
	struct task *k = NEW(struct task);

	assert(threads_self() >= 0);
	k->verb = verb;
	k->done = done;
	k->ctx = ctx;
	k->asker = (unsigned)threads_self();
	k->text = arena_new(1024);
	k->deferred.run = report_early;
	list_init(&k->deferred.link);
	int err = take(k, op);
	if (err) {
		fail_early(k, err);
		return;
	}
	k->home = threads_home(k->bare);
	if (!verb->takes_password) {
		submit(k);
		return;
	}
	k->job.run = prepare_run;
	k->job.done = prepared;
	k->job.worker = k->asker;
	if (helpers_submit(&k->job))
		fail_early(k, ERR_AGAIN);
}

void account_add(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_add, op, done, ctx);
}

void account_set_password(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_password, op, done, ctx);
}

void account_change_own_password(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_own, op, done, ctx);
}

void account_disable(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_disable, op, done, ctx);
}

void account_enable(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_enable, op, done, ctx);
}

void account_set_admin(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_admin, op, done, ctx);
}

void account_remove(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_remove, op, done, ctx);
}

void account_revoke(const struct account_op *op, account_done_fn *done, void *ctx)
{
	start(&verb_revoke, op, done, ctx);
}

/* --- telling the listener from outside --- */

struct announcement {
	struct mail mail;
	uint32_t id, epoch;
	enum account_change change;
	uint64_t keep_session;
	size_t n;
	char bare[];
};

static void announced(struct mail *m)
{
	struct announcement *n = list_entry(m, struct announcement, mail);

	if (listener)
		listener(str_of(n->bare, n->n), n->id, n->change, n->epoch, n->keep_session);
	mem_free(n);
}

void account_announce(struct str bare_jid, uint32_t id, enum account_change change, uint32_t credentials_epoch,
		      uint64_t keep_session)
{
	struct announcement *n = mem_zero(sizeof(*n) + bare_jid.n);

	n->mail.deliver = announced;
	n->id = id;
	n->epoch = credentials_epoch;
	n->change = change;
	n->keep_session = keep_session;
	n->n = bare_jid.n;
	memcpy(n->bare, bare_jid.p, bare_jid.n);
	threads_post(threads_home(bare_jid), &n->mail);
}
