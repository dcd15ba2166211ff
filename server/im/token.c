/* Tokens of the API over storage/tab_token: the account 0 owns those of services. A record's agent_id holds the domain. Workers; changes on the writer. */
#include "server/im/token.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "storage/tab_token.h"
#include <string.h>

static const struct {
	const char *name;
	unsigned bit;
} scopes[] = {
	{ "read", SCOPE_READ }, { "send-as", SCOPE_SEND_AS }, { "system", SCOPE_SYSTEM },
	{ "org", SCOPE_ORG },	{ "admin", SCOPE_ADMIN },     { "chats", SCOPE_CHATS },
};
#define N_SCOPES (sizeof scopes / sizeof *scopes)

static unsigned scope_bit(struct str name)
{
	for (size_t i = 0; i < N_SCOPES; i++)
		if (str_eq_c(name, scopes[i].name))
			return scopes[i].bit;
	return 0;
}

int token_scopes_parse(struct str text, unsigned *out)
{
	size_t from = 0;

	*out = 0;
	if (!text.n)
		return ERR_SYNTAX;
	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != ' ' && text.p[i] != ',')
			continue;
		struct str name = str_of(text.p + from, i - from);
		unsigned bit = scope_bit(name);
		if (name.n && !bit)
			return ERR_SYNTAX;
		*out |= bit;
		from = i + 1;
	}
	return *out ? 0 : ERR_SYNTAX;
}

size_t token_scopes_print(unsigned bits, char *out, size_t max)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < N_SCOPES; i++)
		if (bits & scopes[i].bit)
			n += (size_t)snprintf(out + n, max - n, "%s%s", n ? " " : "", scopes[i].name);
	return n;
}

static void id_of(const uint8_t *hash, char out[TOKEN_ID_LEN + 1])
{
	hex_encode(hash, TOKEN_ID_LEN / 2, out);
	out[TOKEN_ID_LEN] = '\0';
}

void token_id(struct str text, char out[TOKEN_ID_LEN + 1])
{
	uint8_t hash[HASH_MAX];

	digest(HASH_SHA256, text, hash);
	id_of(hash, out);
}

/* ---- issuing ---- */

struct issue_op {
	struct write_op op;
	uint32_t account, epoch;
	unsigned scopes;
	uint64_t now_ms, expires_ms;
	struct arena *a;
	struct str domain, name, actor;
	char text[TOKEN_TEXT_LEN + 1], id[TOKEN_ID_LEN + 1];
	uint8_t hash[HASH_MAX];
	token_issued_fn *done;
	void *ctx;
};

static void make_text(struct issue_op *o)
{
	uint8_t raw[32];
	char encoded[48];

	random_bytes(raw, sizeof raw);
	size_t n = base64_encode(raw, sizeof raw, encoded);
	while (n && encoded[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++)
		encoded[i] = encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i];
	snprintf(o->text, sizeof o->text, "vst-%.*s", (int)n, encoded);
	digest(HASH_SHA256, str_of(o->text, TOKEN_TEXT_LEN), o->hash);
	id_of(o->hash, o->id);
	secret_wipe(raw, sizeof raw);
	secret_wipe(encoded, sizeof encoded);
}

struct count {
	struct txn *t;
	struct str name;
	uint64_t now_ms;
	size_t n;
	bool same_name;
};

static bool count_one(void *ctx, const uint8_t hash[32], const struct token_rec *r)
{
	struct count *c = ctx;

	if (r->kind != TOKEN_API)
		return true;
	if (r->expires_ms && r->expires_ms <= c->now_ms) {
		token_delete(c->t, hash); /* nobody will ask for it again */
		return true;
	}
	c->n++;
	if (str_eq(r->name, c->name))
		c->same_name = true;
	return true;
}

static int may_issue(struct txn *t, const struct issue_op *o)
{
	struct count c = { .t = t, .name = o->name, .now_ms = o->now_ms };
	struct account_rec acc;

	token_each_of_account(t, o->account, count_one, &c);
	if (c.n >= limits()->api_tokens)
		return ERR_LIMIT;
	if (!o->account)
		return c.same_name ? ERR_EXISTS : 0;
	int err = account_get_by_id(t, o->account, &acc);
	if (err)
		return err;
	return acc.disabled || acc.credentials_epoch != o->epoch ? ERR_CONFLICT : 0;
}

static int apply_issue(struct txn *t, struct write_op *op)
{
	struct issue_op *o = (struct issue_op *)op;
	struct token_rec r = { .account_id = o->account,
			       .kind = TOKEN_API,
			       .created_ms = o->now_ms,
			       .expires_ms = o->expires_ms,
			       .credentials_epoch = o->epoch,
			       .agent_id = o->domain,
			       .name = o->name };
	char text[64];
	int err = may_issue(t, o);

	if (err)
		return err;
	r.scope = str_of(text, token_scopes_print(o->scopes, text, sizeof text));
	token_put(t, o->hash, &r);
	if (!o->account)
		audit_add(t, &(struct audit_rec){ .time_ms = o->now_ms,
						  .actor = o->actor,
						  .action = STR("token.add"),
						  .target = o->name,
						  .detail = r.scope });
	return txn_error(t);
}

static void issued(struct write_op *op, int err, unsigned worker)
{
	struct issue_op *o = (struct issue_op *)op;

	(void)worker;
	o->done(o->ctx, err, err ? STR_NONE : str_of(o->text, TOKEN_TEXT_LEN),
		err ? STR_NONE : str_of(o->id, TOKEN_ID_LEN), o->expires_ms);
}

static void issue_free(struct write_op *op)
{
	struct issue_op *o = (struct issue_op *)op;

	arena_free(o->a);
	secret_wipe(o->text, sizeof o->text);
	mem_free(o);
}

static bool name_fits(struct str name)
{
	if (!name.n || name.n > TOKEN_NAME_MAX || !str_utf8_valid(name))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
			return false;
	return true;
}

void token_issue(const struct token_new *n, token_issued_fn *done, void *ctx)
{
	struct issue_op *o;

	if (!name_fits(n->name) || (!n->account && !n->scopes)) {
		done(ctx, ERR_SYNTAX, STR_NONE, STR_NONE, 0);
		return;
	}
	o = NEW(struct issue_op);
	o->op = (struct write_op){ .apply = apply_issue, .done = issued, .free = issue_free };
	o->a = arena_new(256);
	o->domain = arena_str(o->a, n->domain);
	o->name = arena_str(o->a, n->name);
	o->actor = arena_str(o->a, n->by.name);
	o->account = n->account;
	o->epoch = n->credentials_epoch;
	o->scopes = n->account ? 0 : n->scopes;
	o->now_ms = clock_wall_ms();
	o->expires_ms = n->life_ms ? o->now_ms + n->life_ms : 0;
	o->done = done;
	o->ctx = ctx;
	make_text(o);
	im_write(&o->op);
}

/* ---- revoking ---- */

struct revoke_op {
	struct write_op op;
	uint32_t account;
	bool any;
	char id[TOKEN_ID_LEN + 1];
	struct arena *a;
	struct str actor;
	token_done_fn *done;
	void *ctx;
};

static int apply_revoke(struct txn *t, struct write_op *op)
{
	struct revoke_op *o = (struct revoke_op *)op;
	struct token_rec r;
	uint8_t hash[32];
	int err = token_find(t, str_of(o->id, TOKEN_ID_LEN), hash, &r);

	if (err)
		return err;
	if (r.kind != TOKEN_API || (!o->any && (!o->account || r.account_id != o->account)))
		return ERR_NOT_FOUND;
	if (!r.account_id)
		audit_add(t, &(struct audit_rec){ .time_ms = clock_wall_ms(),
						  .actor = o->actor,
						  .action = STR("token.delete"),
						  .target = r.name });
	token_delete(t, hash);
	return txn_error(t);
}

static void revoked(struct write_op *op, int err, unsigned worker)
{
	struct revoke_op *o = (struct revoke_op *)op;

	(void)worker;
	o->done(o->ctx, err);
}

static void revoke_free(struct write_op *op)
{
	arena_free(((struct revoke_op *)op)->a);
	mem_free(op);
}

void token_revoke(const struct principal *by, uint32_t account, struct str id, token_done_fn *done, void *ctx)
{
	struct revoke_op *o;

	if (id.n != TOKEN_ID_LEN) {
		done(ctx, ERR_NOT_FOUND);
		return;
	}
	o = NEW(struct revoke_op);
	o->op = (struct write_op){ .apply = apply_revoke, .done = revoked, .free = revoke_free };
	o->account = account;
	o->any = !account && principal_has(by, SCOPE_ADMIN);
	memcpy(o->id, id.p, TOKEN_ID_LEN);
	o->a = arena_new(128);
	o->actor = arena_str(o->a, by->name);
	o->done = done;
	o->ctx = ctx;
	im_write(&o->op);
}

/* ---- reading ---- */

static int check_person(struct txn *t, struct arena *a, const struct token_rec *r, struct principal *out)
{
	struct account_rec acc;

	if (account_get_by_id(t, r->account_id, &acc) || acc.disabled || acc.credentials_epoch != r->credentials_epoch)
		return ERR_AUTH;
	*out = (struct principal){ .kind = PRINCIPAL_USER,
				   .account = r->account_id,
				   .is_admin = acc.is_admin,
				   .domain = arena_str(a, acc.domain),
				   .name = arena_printf(a, "%.*s@%.*s", STR_ARG(acc.local), STR_ARG(acc.domain)) };
	return 0;
}

static int check_service(struct arena *a, const struct token_rec *r, struct principal *out)
{
	unsigned bits;

	if (token_scopes_parse(r->scope, &bits))
		return ERR_AUTH;
	*out = (struct principal){ .kind = PRINCIPAL_SERVICE,
				   .scopes = bits,
				   .domain = arena_str(a, r->agent_id),
				   .name = arena_printf(a, "api:%.*s", STR_ARG(r->name)) };
	return 0;
}

int token_check(struct arena *a, struct str text, struct principal *out)
{
	uint8_t hash[HASH_MAX];
	struct token_rec r;

	*out = (struct principal){ .kind = PRINCIPAL_NONE };
	if (text.n != TOKEN_TEXT_LEN || !str_starts(text, STR("vst-")))
		return ERR_AUTH;
	digest(HASH_SHA256, text, hash);
	struct txn *t = im_read();
	int err = token_get(t, hash, &r);
	if (!err &&
	    (r.kind != TOKEN_API || (r.expires_ms && r.expires_ms <= clock_wall_ms()) || !im_is_our_domain(r.agent_id)))
		err = ERR_AUTH;
	if (!err)
		err = r.account_id ? check_person(t, a, &r, out) : check_service(a, &r, out);
	int end = txn_commit(t);
	if (err == ERR_NOT_FOUND)
		err = ERR_AUTH;
	return err ? err : end;
}

struct listing {
	bool (*fn)(void *ctx, const struct token_info *i);
	void *ctx;
	uint64_t now_ms;
};

static bool list_one(void *ctx, const uint8_t hash[32], const struct token_rec *r)
{
	struct listing *l = ctx;
	struct token_info i = { .name = r->name,
				.domain = r->agent_id,
				.account = r->account_id,
				.created_ms = r->created_ms,
				.expires_ms = r->expires_ms };
	char id[TOKEN_ID_LEN + 1];

	if (r->kind != TOKEN_API || (r->expires_ms && r->expires_ms <= l->now_ms))
		return true;
	id_of(hash, id);
	i.id = str_of(id, TOKEN_ID_LEN);
	token_scopes_parse(r->scope, &i.scopes);
	return l->fn(l->ctx, &i);
}

void token_list(struct txn *t, uint32_t account, bool (*fn)(void *ctx, const struct token_info *i), void *ctx)
{
	struct listing l = { fn, ctx, clock_wall_ms() };

	token_each_of_account(t, account, list_one, &l);
}
