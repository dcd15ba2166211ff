/*
 * SCRAM keys, account look-up for login, and password checks. A check waits for the brake, looks into the cache, and
 * only then costs a PBKDF2 on a helper thread. Unknown names walk the same way with a fake key (row A08). struct
 * auth_check belongs to the worker that started it, except while its job runs.
 */
#include "server/im/auth.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/auth_cache.h"
#include "server/im/auth_limit.h"
#include "server/im/im.h"
#include "server/net/threads.h"
#include <assert.h>
#include <stdatomic.h>
#include <stringprep.h>

static atomic_ullong derivations;

uint64_t auth_derivations(void)
{
	return atomic_load_explicit(&derivations, memory_order_relaxed);
}

/* Printable ASCII is its own SASLprep. */
static bool is_plain_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}

int auth_prepare_password(struct str password, bool storing, char *out, size_t *out_n)
{
	if (password.n == 0 || password.n > AUTH_PASSWORD_MAX || !str_utf8_valid(password) ||
	    memchr(password.p, 0, password.n))
		return ERR_SYNTAX;
	memcpy(out, password.p, password.n);
	out[password.n] = 0;
	*out_n = password.n;
	if (is_plain_ascii(password))
		return 0;
	if (stringprep(out, AUTH_PREPARED_MAX, storing ? STRINGPREP_NO_UNASSIGNED : 0, stringprep_saslprep) !=
		    STRINGPREP_OK ||
	    out[0] == 0) {
		secret_wipe(out, AUTH_PREPARED_MAX);
		return ERR_SYNTAX;
	}
	*out_n = strlen(out);
	return 0;
}

void auth_make_keys(enum hash_kind kind, struct str prepared, uint32_t iterations, struct str salt,
		    struct scram_keys *out)
{
	size_t n = digest_size(kind);
	uint8_t salted[HASH_MAX], client_key[HASH_MAX];

	assert(salt.n > 0 && salt.n <= sizeof(out->salt));
	memset(out, 0, sizeof(*out));
	atomic_fetch_add_explicit(&derivations, 1, memory_order_relaxed);
	pbkdf2(kind, prepared, salt, iterations, salted);
	struct str key = str_of((char *)salted, n);
	hmac(kind, key, STR("Client Key"), client_key);
	digest(kind, str_of((char *)client_key, n), out->stored_key);
	hmac(kind, key, STR("Server Key"), out->server_key);
	memcpy(out->salt, salt.p, salt.n);
	out->salt_n = (uint8_t)salt.n;
	out->iterations = iterations;
	out->present = true;
	secret_wipe(salted, sizeof(salted));
	secret_wipe(client_key, sizeof(client_key));
}

int auth_keys_for_password(struct str password, uint32_t iterations, struct scram_keys out[HASH_KINDS])
{
	char prepared[AUTH_PREPARED_MAX];
	size_t n;
	int err = auth_prepare_password(password, true, prepared, &n);

	if (err)
		return err;
	for (unsigned k = 0; k < HASH_KINDS; k++) {
		uint8_t salt[AUTH_SALT_BYTES];

		random_bytes(salt, sizeof(salt));
		auth_make_keys((enum hash_kind)k, str_of(prepared, n), iterations, str_of((char *)salt, sizeof(salt)),
			       &out[k]);
	}
	secret_wipe(prepared, sizeof(prepared));
	return 0;
}

/* HMAC(server secret, purpose, kind, name): the same for ever, known to nobody (row A08). */
static void fake_bytes(const char *purpose, unsigned kind, struct str domain, struct str local, uint8_t out[HASH_MAX])
{
	struct buf b;

	buf_init(&b, 8192);
	buf_add(&b, purpose, strlen(purpose) + 1);
	buf_byte(&b, (char)kind);
	buf_str_add(&b, domain);
	buf_byte(&b, 0);
	buf_str_add(&b, str_of(local.p, local.n < 4096 ? local.n : 4096));
	hmac(HASH_SHA512, str_of((const char *)im.secret, sizeof(im.secret)), buf_str(&b), out);
	buf_clear(&b);
}

static void fake_keys(enum hash_kind kind, struct str domain, struct str local, struct scram_keys *out)
{
	uint8_t bytes[HASH_MAX];

	memset(out, 0, sizeof(*out));
	fake_bytes("scram salt", kind, domain, local, bytes);
	memcpy(out->salt, bytes, AUTH_SALT_BYTES);
	out->salt_n = AUTH_SALT_BYTES;
	out->iterations = im.scram_iterations;
	fake_bytes("scram stored key", kind, domain, local, out->stored_key);
	fake_bytes("scram server key", kind, domain, local, out->server_key);
}

int auth_lookup(struct str domain, struct str local, struct auth_account *out)
{
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (local.n > 0 && local.n <= 1023 && !memchr(local.p, 0, local.n)) {
		struct account_rec rec;
		struct txn *t = im_read();
		int found = account_get(t, domain, local, &rec);

		if (found == 0) {
			out->exists = true;
			out->disabled = rec.disabled;
			out->is_admin = rec.is_admin;
			out->id = rec.id;
			out->credentials_epoch = rec.credentials_epoch;
			memcpy(out->scram, rec.scram, sizeof(out->scram));
		}
		err = txn_commit(t);
		if (!err && found && found != ERR_NOT_FOUND)
			err = found;
	}
	for (unsigned k = 0; k < HASH_KINDS; k++)
		if (!out->scram[k].present)
			fake_keys((enum hash_kind)k, domain, local, &out->scram[k]);
	return err;
}

int auth_still_valid(uint32_t account_id, uint32_t credentials_epoch)
{
	struct account_rec rec;
	struct txn *t = im_read();
	int err = account_get_by_id(t, account_id, &rec);

	if (err == ERR_NOT_FOUND || (!err && (rec.disabled || rec.credentials_epoch != credentials_epoch)))
		err = ERR_AUTH;
	int end = txn_commit(t);
	return err ? err : end;
}

enum check_phase { CHECK_WAITS, CHECK_RUNS, CHECK_KNOWN };

struct auth_check {
	struct job job; /* first: the helper casts back */
	struct timer timer;
	struct deferred deferred;
	enum check_phase phase;
	bool cancelled;
	auth_check_fn *done;
	void *ctx;
	struct auth_account account;
	struct auth_result result;
	char ip[64];
	struct str domain, local, bare; /* inside names */
	char *names;
	size_t password_n;
	char password[AUTH_PREPARED_MAX]; /* prepared */
};

static void check_free(struct auth_check *c)
{
	mem_free(c->names);
	secret_wipe(c, sizeof(*c));
	mem_free(c);
}

static void check_report(struct deferred *d)
{
	struct auth_check *c = list_entry(d, struct auth_check, deferred);

	c->done(c->ctx, &c->result);
	check_free(c);
}

/* The outcome is known: count it, then tell from the loop's deferred work. */
static void check_finish(struct auth_check *c, int err)
{
	c->phase = CHECK_KNOWN;
	c->result.err = err;
	if (err == ERR_AUTH)
		auth_failed(c->ip, c->bare);
	else if (err == 0)
		auth_succeeded(c->ip, c->bare);
	if (err == 0 || err == ERR_FORBIDDEN) {
		c->result.id = c->account.id;
		c->result.credentials_epoch = c->account.credentials_epoch;
		c->result.is_admin = c->account.is_admin;
	}
	if (c->cancelled)
		check_free(c);
	else
		loop_defer(loop_self(), &c->deferred);
}

/* The strongest kind the account has; a fake when it has none. */
static enum hash_kind best_kind(const struct auth_account *a)
{
	static const enum hash_kind order[] = { HASH_SHA256, HASH_SHA512, HASH_SHA1 };

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a->scram[order[i]].present)
			return order[i];
	return HASH_SHA256;
}

/* --- imported and older keys are raised when the password is seen (row A07) --- */

struct raise {
	struct job job;
	struct write_op op;
	uint32_t id, credentials_epoch;
	struct scram_keys keys[HASH_KINDS];
	int err;
	size_t password_n;
	char password[AUTH_PREPARED_MAX];
};

static bool keys_are_old(const struct auth_account *a)
{
	for (unsigned k = 0; k < HASH_KINDS; k++)
		if (!a->scram[k].present || a->scram[k].iterations < im.scram_iterations)
			return true;
	return false;
}

static void raise_free(struct write_op *op)
{
	struct raise *r = list_entry(op, struct raise, op);

	secret_wipe(r, sizeof(*r));
	mem_free(r);
}

/* Writer thread. The password is the same, so the epoch and with it sessions and tokens stay. */
static int raise_apply(struct txn *t, struct write_op *op)
{
	struct raise *r = list_entry(op, struct raise, op);
	struct account_rec rec;
	int err = account_get_by_id(t, r->id, &rec);

	if (!err && rec.credentials_epoch != r->credentials_epoch)
		err = ERR_CONFLICT;
	if (err)
		return err;
	memcpy(rec.scram, r->keys, sizeof(rec.scram));
	account_put(t, &rec);
	return 0;
}

static void raise_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err; /* the next login tries again */
	(void)worker;
}

/* Helper thread. */
static void raise_run(struct job *j)
{
	struct raise *r = list_entry(j, struct raise, job);

	r->err = auth_keys_for_password(str_of(r->password, r->password_n), im.scram_iterations, r->keys);
	secret_wipe(r->password, sizeof(r->password));
}

static void raise_ran(struct job *j)
{
	struct raise *r = list_entry(j, struct raise, job);

	if (r->err)
		raise_free(&r->op);
	else
		im_write(&r->op);
}

/* Worker thread; after the login was answered, as far as helpers have time. */
static void raise_start(const struct auth_check *c)
{
	struct raise *r = NEW(struct raise);

	r->job.run = raise_run;
	r->job.done = raise_ran;
	r->job.worker = c->job.worker;
	r->op.apply = raise_apply;
	r->op.done = raise_done;
	r->op.free = raise_free;
	r->id = c->account.id;
	r->credentials_epoch = c->account.credentials_epoch;
	memcpy(r->password, c->password, c->password_n);
	r->password_n = c->password_n;
	if (helpers_submit(&r->job))
		raise_free(&r->op);
}

/* Helper thread. */
static void check_run(struct job *j)
{
	struct auth_check *c = (struct auth_check *)(void *)j;
	enum hash_kind kind = best_kind(&c->account);
	const struct scram_keys *want = &c->account.scram[kind];
	struct str password = str_of(c->password, c->password_n);
	struct scram_keys got;

	auth_make_keys(kind, password, want->iterations, str_of((const char *)want->salt, want->salt_n), &got);
	size_t n = digest_size(kind);
	bool same = secret_eq(str_of((char *)got.stored_key, n), str_of((const char *)want->stored_key, n));
	/* Imported keys with fewer iterations must not answer faster than unknown names (row A08). */
	if (want->iterations < im.scram_iterations) {
		uint8_t waste[HASH_MAX];

		pbkdf2(kind, password, str_of((const char *)want->salt, want->salt_n),
		       im.scram_iterations - want->iterations, waste);
		secret_wipe(waste, sizeof(waste));
	}
	secret_wipe(&got, sizeof(got));
	c->result.err = same && want->present ? 0 : ERR_AUTH;
	if (c->result.err == 0)
		auth_cache_put(c->account.id, c->account.credentials_epoch, password);
}

static int right_password(const struct auth_check *c)
{
	return c->account.disabled ? ERR_FORBIDDEN : 0;
}

/* Worker thread, after the helper. */
static void check_ran(struct job *j)
{
	struct auth_check *c = (struct auth_check *)(void *)j;

	if (c->result.err == 0 && keys_are_old(&c->account))
		raise_start(c);
	check_finish(c, c->result.err == 0 ? right_password(c) : c->result.err);
}

static void check_begin(struct auth_check *c)
{
	int err = auth_lookup(c->domain, c->local, &c->account);

	if (err) {
		check_finish(c, err);
	} else if (c->account.exists &&
		   auth_cache_has(c->account.id, c->account.credentials_epoch, str_of(c->password, c->password_n))) {
		c->result.was_cached = true;
		check_finish(c, right_password(c));
	} else {
		c->phase = CHECK_RUNS;
		if (helpers_submit(&c->job))
			check_finish(c, ERR_AGAIN);
	}
}

static void check_waited(struct timer *t)
{
	check_begin(list_entry(t, struct auth_check, timer));
}

struct auth_check *auth_check_start(const char *ip, struct str domain, struct str local, struct str password,
				    auth_check_fn *done, void *ctx)
{
	struct auth_check *c = NEW(struct auth_check);
	size_t n = local.n + 1 + domain.n;

	assert(threads_self() >= 0);
	c->done = done;
	c->ctx = ctx;
	c->job.run = check_run;
	c->job.done = check_ran;
	c->job.worker = (unsigned)threads_self();
	c->timer.fire = check_waited;
	c->deferred.run = check_report;
	list_init(&c->deferred.link);
	snprintf(c->ip, sizeof(c->ip), "%s", ip);
	c->names = mem_alloc(n);
	memcpy(c->names, local.p, local.n);
	c->names[local.n] = '@';
	memcpy(c->names + local.n + 1, domain.p, domain.n);
	c->local = str_of(c->names, local.n);
	c->domain = str_of(c->names + local.n + 1, domain.n);
	c->bare = str_of(c->names, n);
	/* A password that cannot be prepared fits no key, but costs the same work. */
	if (auth_prepare_password(password, false, c->password, &c->password_n)) {
		c->password_n = 1;
		c->password[0] = 0;
	}
	int64_t wait = auth_wait_ms(c->ip, c->bare);
	if (wait < 0)
		check_finish(c, ERR_AGAIN);
	else if (wait > 0)
		loop_timer(loop_self(), &c->timer, (uint64_t)wait);
	else
		check_begin(c);
	return c;
}

void auth_check_cancel(struct auth_check *c)
{
	if (!c)
		return;
	if (c->phase == CHECK_RUNS) {
		c->cancelled = true; /* still counted when the helper is back: an abort buys no free guess */
		return;
	}
	loop_timer_cancel(loop_self(), &c->timer);
	loop_undefer(&c->deferred);
	check_free(c);
}
