/*
 * FAST tokens: how they are derived, the two slots per device, verification and its write. Reads run on the asking
 * worker, changes are operations of the writer that look at the record again, so two replays of one proof cannot both
 * pass.
 */
#include "server/im/fast.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/auth_limit.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_token.h"
#include <assert.h>

#define NONCE 32u
#define MECHANISM_MAX 32u

enum slot { SLOT_NEW, SLOT_CURRENT, SLOTS };

/* A token record as this file sees it. */
struct fast_rec {
	bool present;
	uint64_t created_ms, expires_ms, count;
	uint32_t credentials_epoch;
	uint8_t nonce[NONCE];
	char mechanism[MECHANISM_MAX];
	size_t mechanism_n;
};

bool user_agent_id_valid(struct str id)
{
	if (id.n == 0 || id.n > FAST_AGENT_MAX || !str_utf8_valid(id))
		return false;
	for (size_t i = 0; i < id.n; i++)
		if ((unsigned char)id.p[i] < 0x20 || id.p[i] == 0x7f)
			return false;
	return true;
}

static bool mechanism_known(struct str name)
{
	return str_eq(name, STR("HT-SHA-256-NONE")) || str_eq(name, STR("HT-SHA-256-EXPR")) ||
	       str_eq(name, STR("HT-SHA-256-ENDP"));
}

/* Key of a slot: tokens are found by device, because HT-* sends a proof and not the token. */
static void slot_hash(uint32_t account_id, struct str agent, enum slot slot, uint8_t out[HASH_MAX])
{
	struct buf b;

	assert(agent.n <= FAST_AGENT_MAX);
	buf_init(&b, 256);
	buf_printf(&b, "fast %u %d ", account_id, (int)slot);
	buf_str_add(&b, agent);
	digest(HASH_SHA256, buf_str(&b), out);
	buf_clear(&b);
}

static int slot_read(struct txn *t, uint32_t account_id, struct str agent, enum slot slot, struct fast_rec *out)
{
	uint8_t hash[HASH_MAX];
	struct token_rec rec;

	memset(out, 0, sizeof(*out));
	slot_hash(account_id, agent, slot, hash);
	int err = token_get(t, hash, &rec);
	if (err == ERR_NOT_FOUND)
		return 0;
	if (err)
		return err;
	if (rec.account_id != account_id || rec.kind != TOKEN_FAST || rec.secret.n != NONCE ||
	    rec.mechanism.n > MECHANISM_MAX)
		return ERR_CORRUPT;
	out->present = true;
	out->created_ms = rec.created_ms;
	out->expires_ms = rec.expires_ms;
	out->count = rec.count;
	out->credentials_epoch = rec.credentials_epoch;
	memcpy(out->nonce, rec.secret.p, NONCE);
	memcpy(out->mechanism, rec.mechanism.p, rec.mechanism.n);
	out->mechanism_n = rec.mechanism.n;
	return 0;
}

static void slot_write(struct txn *t, uint32_t account_id, struct str agent, enum slot slot, const struct fast_rec *r)
{
	uint8_t hash[HASH_MAX];
	struct token_rec rec = {
		.account_id = account_id,
		.kind = TOKEN_FAST,
		.created_ms = r->created_ms,
		.expires_ms = r->expires_ms,
		.credentials_epoch = r->credentials_epoch,
		.agent_id = agent,
		.mechanism = str_of(r->mechanism, r->mechanism_n),
		.secret = str_of((const char *)r->nonce, NONCE),
		.count = r->count,
	};

	slot_hash(account_id, agent, slot, hash);
	token_put(t, hash, &rec);
}

static void slot_delete(struct txn *t, uint32_t account_id, struct str agent, enum slot slot)
{
	uint8_t hash[HASH_MAX];

	slot_hash(account_id, agent, slot, hash);
	token_delete(t, hash);
}

static void base64_url(const uint8_t *in, size_t n, char *out)
{
	size_t len = base64_encode(in, n, out);

	while (len && out[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
}

/* The token of a record: see fast.h for why it is derived and not stored. */
static void token_text(uint32_t account_id, struct str agent, const struct fast_rec *r, char out[FAST_TOKEN_LEN + 1])
{
	uint8_t mac[HASH_MAX];
	char encoded[48];
	struct buf b;

	buf_init(&b, 512);
	buf_printf(&b, "fast token %u %u %zu %zu ", account_id, r->credentials_epoch, r->mechanism_n, agent.n);
	buf_add(&b, r->mechanism, r->mechanism_n);
	buf_str_add(&b, agent);
	buf_add(&b, r->nonce, NONCE);
	hmac(HASH_SHA256, str_of((const char *)im.secret, sizeof(im.secret)), buf_str(&b), mac);
	buf_clear(&b);
	base64_url(mac, 32, encoded);
	memcpy(out, "fast-", 5);
	memcpy(out + 5, encoded, FAST_TOKEN_LEN - 5);
	out[FAST_TOKEN_LEN] = 0;
	secret_wipe(mac, sizeof(mac));
	secret_wipe(encoded, sizeof(encoded));
}

/* HMAC(token, who || cb-data), draft-schmaus-kitten-sasl-ht section 3. */
static void token_proof(const char *token, const char *who, struct str binding, uint8_t out[HASH_MAX])
{
	struct buf b;

	buf_init(&b, 256);
	buf_add(&b, who, strlen(who));
	buf_str_add(&b, binding);
	hmac(HASH_SHA256, str_of(token, FAST_TOKEN_LEN), buf_str(&b), out);
	buf_clear(&b);
}

/* --- issue --- */

struct issue_op {
	struct write_op op;
	fast_issue_fn *done;
	void *ctx;
	uint32_t account_id, credentials_epoch;
	struct fast_rec rec;
	size_t agent_n;
	char agent[FAST_AGENT_MAX];
};

struct oldest {
	struct str agent; /* the device that asks: never the one to go */
	unsigned devices;
	uint64_t created_ms;
	size_t gone_n;
	char gone[FAST_AGENT_MAX];
};

static bool note_oldest(void *ctx, const uint8_t hash[32], const struct token_rec *rec)
{
	struct oldest *o = ctx;

	(void)hash;
	if (rec->kind != TOKEN_FAST || str_eq(rec->agent_id, o->agent) || rec->agent_id.n > FAST_AGENT_MAX)
		return true;
	o->devices++;
	if (!o->gone_n || rec->created_ms < o->created_ms) {
		o->created_ms = rec->created_ms;
		o->gone_n = rec->agent_id.n;
		memcpy(o->gone, rec->agent_id.p, rec->agent_id.n);
	}
	return true;
}

/* Both slots of a device count: a little early is harmless. */
static void make_room(struct txn *t, const struct issue_op *i)
{
	struct oldest o = { .agent = str_of(i->agent, i->agent_n) };

	token_each_of_account(t, i->account_id, note_oldest, &o);
	if (o.devices + 1 <= limits()->fast_tokens)
		return;
	slot_delete(t, i->account_id, str_of(o.gone, o.gone_n), SLOT_NEW);
	slot_delete(t, i->account_id, str_of(o.gone, o.gone_n), SLOT_CURRENT);
}

static int issue_apply(struct txn *t, struct write_op *op)
{
	struct issue_op *i = (struct issue_op *)(void *)op;
	struct account_rec acc;
	int err = i->agent_n && i->rec.mechanism_n ? account_get_by_id(t, i->account_id, &acc) : ERR_SYNTAX;

	if (err)
		return err;
	if (acc.disabled || acc.credentials_epoch != i->credentials_epoch)
		return ERR_CONFLICT;
	make_room(t, i);
	slot_write(t, i->account_id, str_of(i->agent, i->agent_n), SLOT_NEW, &i->rec);
	return 0;
}

static void issue_done(struct write_op *op, int err, unsigned worker)
{
	struct issue_op *i = (struct issue_op *)(void *)op;
	char token[FAST_TOKEN_LEN + 1];

	(void)worker;
	if (err) {
		i->done(i->ctx, err, STR_NONE, 0);
		return;
	}
	token_text(i->account_id, str_of(i->agent, i->agent_n), &i->rec, token);
	i->done(i->ctx, 0, str_of(token, FAST_TOKEN_LEN), i->rec.expires_ms);
	secret_wipe(token, sizeof(token));
}

static void op_free(struct write_op *op)
{
	mem_free(op);
}

void fast_issue(uint32_t account_id, uint32_t credentials_epoch, struct str agent_id, struct str mechanism,
		fast_issue_fn *done, void *ctx)
{
	struct issue_op *i = NEW(struct issue_op);

	i->op.apply = issue_apply;
	i->op.done = issue_done;
	i->op.free = op_free;
	i->done = done;
	i->ctx = ctx;
	i->account_id = account_id;
	i->credentials_epoch = credentials_epoch;
	i->agent_n = user_agent_id_valid(agent_id) ? agent_id.n : 0;
	memcpy(i->agent, agent_id.p ? agent_id.p : "", i->agent_n);
	i->rec.credentials_epoch = credentials_epoch;
	i->rec.created_ms = clock_wall_ms();
	i->rec.expires_ms = i->rec.created_ms + limits()->fast_token_ms;
	random_bytes(i->rec.nonce, NONCE);
	if (mechanism_known(mechanism)) {
		memcpy(i->rec.mechanism, mechanism.p, mechanism.n);
		i->rec.mechanism_n = mechanism.n;
	}
	im_write(&i->op);
}

/* --- verify --- */

enum fast_phase { FAST_WAITS, FAST_WRITES, FAST_KNOWN };

struct fast_check {
	struct write_op op; /* first: the writer casts back */
	struct timer timer;
	struct deferred deferred;
	enum fast_phase phase;
	bool cancelled;
	fast_verify_fn *done;
	void *ctx;
	int err;
	struct fast_login login;
	char ip[64];
	char *names; /* "local@domain" */
	struct str local, domain, bare;
	size_t agent_n, mechanism_n, proof_n, binding_n;
	char agent[FAST_AGENT_MAX], mechanism[MECHANISM_MAX], proof[32], binding[64];
	bool has_count, invalidate;
	uint64_t count;
	enum slot slot; /* where the proof fitted */
	struct fast_rec rec;
};

static struct str check_agent(const struct fast_check *c)
{
	return str_of(c->agent, c->agent_n);
}

static void check_free(struct fast_check *c)
{
	mem_free(c->names);
	secret_wipe(c, sizeof(*c));
	mem_free(c);
}

static void check_report(struct deferred *d)
{
	struct fast_check *c = list_entry(d, struct fast_check, deferred);

	c->done(c->ctx, c->err, &c->login);
	check_free(c);
}

/* Counts the outcome, like a password's (row A10). */
static void check_count(const struct fast_check *c)
{
	if (c->err == ERR_AUTH)
		auth_failed(c->ip, c->bare);
	else if (c->err == 0)
		auth_succeeded(c->ip, c->bare);
}

static void check_finish(struct fast_check *c, int err)
{
	c->phase = FAST_KNOWN;
	c->err = err;
	check_count(c);
	loop_defer(loop_self(), &c->deferred);
}

/* Does the proof fit this record? Runs the same for an absent one, so answers take the same time (row A08). */
static bool proof_fits(struct fast_check *c, uint32_t account_id, const struct fast_rec *r)
{
	char token[FAST_TOKEN_LEN + 1];
	uint8_t want[HASH_MAX];

	token_text(account_id, check_agent(c), r, token);
	token_proof(token, "Initiator", str_of(c->binding, c->binding_n), want);
	bool fits = secret_eq(str_of(c->proof, c->proof_n), str_of((char *)want, 32));
	if (fits && r->present) {
		token_proof(token, "Responder", str_of(c->binding, c->binding_n), want);
		memcpy(c->login.responder, want, 32);
	}
	secret_wipe(token, sizeof(token));
	return fits && r->present;
}

/* XEP-0484: bound to the mechanism, not expired, of the present epoch, count not used before. */
static int rec_usable(const struct fast_check *c, const struct fast_rec *r, const struct account_rec *acc)
{
	if (!str_eq(str_of(r->mechanism, r->mechanism_n), str_of(c->mechanism, c->mechanism_n)))
		return ERR_AUTH;
	if (r->credentials_epoch != acc->credentials_epoch)
		return ERR_AUTH;
	if (c->has_count && c->count <= r->count)
		return ERR_AUTH;
	if (acc->disabled)
		return ERR_FORBIDDEN;
	return r->expires_ms <= clock_wall_ms() ? ERR_TIMEOUT : 0;
}

/* Finds the slot that the proof fits; 0, ERR_AUTH, ... */
static int check_slots(struct fast_check *c, struct txn *t)
{
	struct account_rec acc = { 0 };
	int found = ERR_NOT_FOUND, result = ERR_AUTH;

	if (c->local.n > 0 && c->local.n <= 1023 && !memchr(c->local.p, 0, c->local.n))
		found = account_get(t, c->domain, c->local, &acc);
	if (found && found != ERR_NOT_FOUND)
		return found;
	c->login.account_id = acc.id;
	c->login.credentials_epoch = acc.credentials_epoch;
	c->login.is_admin = acc.is_admin;
	for (unsigned s = 0; s < SLOTS; s++) {
		struct fast_rec r;
		int err = slot_read(t, acc.id, check_agent(c), (enum slot)s, &r);

		if (err)
			return err;
		if (found == 0 && proof_fits(c, acc.id, &r)) {
			c->slot = (enum slot)s;
			c->rec = r;
			result = rec_usable(c, &r, &acc);
		} else if (found) {
			(void)proof_fits(c, 0, &r);
		}
	}
	return result;
}

/* Writer thread: the same record must still be there and fit. */
static int check_apply(struct txn *t, struct write_op *op)
{
	struct fast_check *c = (struct fast_check *)(void *)op;
	struct account_rec acc;
	struct fast_rec r;
	int err = account_get_by_id(t, c->login.account_id, &acc);

	if (!err)
		err = slot_read(t, c->login.account_id, check_agent(c), c->slot, &r);
	if (err)
		return err;
	if (!r.present || !secret_eq(str_of((char *)r.nonce, NONCE), str_of((char *)c->rec.nonce, NONCE)))
		return ERR_AUTH;
	err = rec_usable(c, &r, &acc);
	if (err)
		return err;
	if (c->has_count)
		r.count = c->count;
	/* The older one is void as soon as the newer one was used; logging out ends both. */
	if (c->invalidate || c->slot == SLOT_NEW)
		slot_delete(t, c->login.account_id, check_agent(c), SLOT_NEW);
	if (c->invalidate)
		slot_delete(t, c->login.account_id, check_agent(c), SLOT_CURRENT);
	else
		slot_write(t, c->login.account_id, check_agent(c), SLOT_CURRENT, &r);
	return 0;
}

static void check_written(struct write_op *op, int err, unsigned worker)
{
	struct fast_check *c = (struct fast_check *)(void *)op;

	(void)worker;
	/* A full disk must not log people out: without count and invalidation only the tidying up is lost. */
	if ((err == ERR_NO_SPACE || err == ERR_IO) && !c->has_count && !c->invalidate)
		err = 0;
	c->err = err;
	check_count(c);
	if (!c->cancelled)
		c->done(c->ctx, c->err, &c->login);
}

static void check_op_free(struct write_op *op)
{
	check_free((struct fast_check *)(void *)op);
}

static void check_begin(struct fast_check *c)
{
	struct txn *t = im_read();
	int err = check_slots(c, t);
	int end = txn_commit(t);

	if (end)
		err = end;
	c->login.rotate = !c->invalidate && clock_wall_ms() - c->rec.created_ms >= limits()->fast_rotate_ms;
	if (err || (!c->has_count && !c->invalidate && c->slot == SLOT_CURRENT)) {
		check_finish(c, err);
		return;
	}
	c->phase = FAST_WRITES;
	c->op.apply = check_apply;
	c->op.done = check_written;
	c->op.free = check_op_free;
	im_write(&c->op);
}

static void check_waited(struct timer *t)
{
	check_begin(list_entry(t, struct fast_check, timer));
}

struct fast_check *fast_verify(const struct fast_attempt *at, fast_verify_fn *done, void *ctx)
{
	struct fast_check *c = NEW(struct fast_check);
	size_t n = at->local.n + 1 + at->domain.n;

	assert(at->mechanism.n <= MECHANISM_MAX && at->binding.n <= sizeof(c->binding));
	c->done = done;
	c->ctx = ctx;
	c->timer.fire = check_waited;
	c->deferred.run = check_report;
	list_init(&c->deferred.link);
	snprintf(c->ip, sizeof(c->ip), "%s", at->ip);
	c->names = mem_alloc(n);
	memcpy(c->names, at->local.p, at->local.n);
	c->names[at->local.n] = '@';
	memcpy(c->names + at->local.n + 1, at->domain.p, at->domain.n);
	c->local = str_of(c->names, at->local.n);
	c->domain = str_of(c->names + at->local.n + 1, at->domain.n);
	c->bare = str_of(c->names, n);
	c->agent_n = user_agent_id_valid(at->agent_id) ? at->agent_id.n : 0;
	memcpy(c->agent, at->agent_id.p ? at->agent_id.p : "", c->agent_n);
	c->mechanism_n = at->mechanism.n;
	memcpy(c->mechanism, at->mechanism.p, at->mechanism.n);
	c->binding_n = at->binding.n;
	memcpy(c->binding, at->binding.p ? at->binding.p : "", at->binding.n);
	c->proof_n = at->proof.n == sizeof(c->proof) ? at->proof.n : 0; /* other lengths fit nothing */
	memcpy(c->proof, at->proof.p ? at->proof.p : "", c->proof_n);
	c->has_count = at->has_count;
	c->count = at->count;
	c->invalidate = at->invalidate;
	int64_t wait = auth_wait_ms(c->ip, c->bare);
	if (wait < 0) {
		c->phase = FAST_KNOWN;
		c->err = ERR_AGAIN;
		loop_defer(loop_self(), &c->deferred);
	} else if (wait > 0) {
		loop_timer(loop_self(), &c->timer, (uint64_t)wait);
	} else {
		check_begin(c);
	}
	return c;
}

void fast_cancel(struct fast_check *c)
{
	if (!c)
		return;
	if (c->phase == FAST_WRITES) {
		c->cancelled = true;
		return;
	}
	loop_timer_cancel(loop_self(), &c->timer);
	loop_undefer(&c->deferred);
	check_free(c);
}

/* --- forget --- */

struct forget_op {
	struct write_op op;
	void (*done)(void *ctx, int err);
	void *ctx;
	uint32_t account_id;
	size_t agent_n;
	char agent[FAST_AGENT_MAX];
};

static int forget_apply(struct txn *t, struct write_op *op)
{
	struct forget_op *f = (struct forget_op *)(void *)op;

	if (f->agent_n == 0) {
		token_delete_account(t, f->account_id, TOKEN_FAST);
		return 0;
	}
	slot_delete(t, f->account_id, str_of(f->agent, f->agent_n), SLOT_NEW);
	slot_delete(t, f->account_id, str_of(f->agent, f->agent_n), SLOT_CURRENT);
	return 0;
}

static void forget_done(struct write_op *op, int err, unsigned worker)
{
	struct forget_op *f = (struct forget_op *)(void *)op;

	(void)worker;
	if (f->done)
		f->done(f->ctx, err);
}

void fast_forget(uint32_t account_id, struct str agent_id, void (*done)(void *ctx, int err), void *ctx)
{
	struct forget_op *f = NEW(struct forget_op);

	assert(agent_id.n <= FAST_AGENT_MAX);
	f->op.apply = forget_apply;
	f->op.done = forget_done;
	f->op.free = op_free;
	f->done = done;
	f->ctx = ctx;
	f->account_id = account_id;
	f->agent_n = agent_id.n;
	memcpy(f->agent, agent_id.p ? agent_id.p : "", agent_id.n);
	im_write(&f->op);
}
