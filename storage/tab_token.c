/* Tokens and the index by account that makes "log out everywhere" a short walk. */
#include "storage/tab_token.h"
#include "storage/key.h"
#include "storage/record.h"
#include <string.h>

static struct str main_key(struct key *k, const uint8_t hash[32])
{
	key_init(k);
	key_u8(k, 't');
	key_tail(k, str_of((const char *)hash, 32));
	return key_str(k);
}

static struct str account_prefix(struct key *k, uint32_t account_id)
{
	key_init(k);
	key_u8(k, 'a');
	key_u32(k, account_id);
	return key_str(k);
}

static struct str account_index(struct key *k, uint32_t account_id, const uint8_t hash[32])
{
	account_prefix(k, account_id);
	key_tail(k, str_of((const char *)hash, 32));
	return key_str(k);
}

int token_get(struct txn *t, const uint8_t hash[32], struct token_rec *out)
{
	struct key k;
	struct str value;
	struct recr r;
	int err = txn_get(t, TAB_TOKEN, main_key(&k, hash), &value);

	if (err)
		return err;
	if ((err = recr_open(&r, value)) != 0)
		return err;
	*out = (struct token_rec){ 0 };
	out->account_id = (uint32_t)recr_u64(&r);
	out->kind = (enum token_kind)recr_u64(&r);
	out->created_ms = recr_u64(&r);
	out->expires_ms = recr_u64(&r);
	out->credentials_epoch = (uint32_t)recr_u64(&r);
	out->agent_id = recr_str(&r);
	out->mechanism = recr_str(&r);
	out->secret = recr_str(&r);
	out->name = recr_str(&r);
	out->scope = recr_str(&r);
	out->count = recr_u64(&r);
	return r.err;
}

int token_find(struct txn *t, struct str hex, uint8_t out_hash[32], struct token_rec *out)
{
	uint8_t head[32];
	struct key prefix;
	struct scan s;

	if (hex.n < 8 || hex.n > 64 || hex_decode(hex, head, sizeof head) < 0)
		return ERR_NOT_FOUND;
	key_init(&prefix);
	key_u8(&prefix, 't');
	key_tail(&prefix, str_of((const char *)head, hex.n / 2));
	scan_open(&s, t, TAB_TOKEN, key_str(&prefix), STR_NONE);
	bool found = scan_next(&s) && s.key.n == 33;
	if (found)
		memcpy(out_hash, s.key.p + 1, 32);
	scan_close(&s);
	return found ? token_get(t, out_hash, out) : ERR_NOT_FOUND;
}

void token_put(struct txn *t, const uint8_t hash[32], const struct token_rec *r)
{
	struct key k;
	struct recw w;

	recw_init(&w, 8192);
	recw_begin(&w, 1);
	recw_u64(&w, r->account_id);
	recw_u64(&w, r->kind);
	recw_u64(&w, r->created_ms);
	recw_u64(&w, r->expires_ms);
	recw_u64(&w, r->credentials_epoch);
	recw_str(&w, r->agent_id);
	recw_str(&w, r->mechanism);
	recw_str(&w, r->secret);
	recw_str(&w, r->name);
	recw_str(&w, r->scope);
	recw_u64(&w, r->count);
	txn_put(t, TAB_TOKEN, main_key(&k, hash), recw_finish(&w), 0);
	recw_begin(&w, 1);
	txn_put(t, TAB_TOKEN, account_index(&k, r->account_id, hash), recw_finish(&w), 0);
	recw_clear(&w);
}

void token_delete(struct txn *t, const uint8_t hash[32])
{
	struct token_rec r;
	struct key k;

	if (token_get(t, hash, &r) == 0)
		txn_del(t, TAB_TOKEN, account_index(&k, r.account_id, hash));
	txn_del(t, TAB_TOKEN, main_key(&k, hash));
}

#define BATCH 64

/* Hashes of an account's tokens behind `after` (NONE: from the start); returns how many. */
static size_t collect(struct txn *t, uint32_t account_id, struct str after, uint8_t out[BATCH][32])
{
	struct scan s;
	struct key prefix;
	size_t n = 0;
	struct str p = account_prefix(&prefix, account_id);

	scan_open(&s, t, TAB_TOKEN, p, after);
	while (n < BATCH && scan_next(&s)) {
		if (s.key.n != p.n + 32 || (after.p && str_eq(s.key, after)))
			continue;
		memcpy(out[n++], s.key.p + p.n, 32);
	}
	scan_close(&s);
	return n;
}

void token_each_of_account(struct txn *t, uint32_t account_id, token_each_fn *fn, void *ctx)
{
	uint8_t hashes[BATCH][32];
	struct key last;
	struct str after = STR_NONE;
	size_t n;

	while ((n = collect(t, account_id, after, hashes)) > 0) {
		for (size_t i = 0; i < n; i++) {
			struct token_rec r;
			if (token_get(t, hashes[i], &r) == 0 && !fn(ctx, hashes[i], &r))
				return;
		}
		after = account_index(&last, account_id, hashes[n - 1]);
	}
}

void token_delete_account(struct txn *t, uint32_t account_id, enum token_kind kind)
{
	uint8_t hashes[BATCH][32];
	struct key last;
	struct str after = STR_NONE;
	size_t n;

	while ((n = collect(t, account_id, after, hashes)) > 0) {
		after = account_index(&last, account_id, hashes[n - 1]);
		for (size_t i = 0; i < n; i++) {
			struct token_rec r;
			if (kind == TOKEN_ANY || (token_get(t, hashes[i], &r) == 0 && r.kind == kind))
				token_delete(t, hashes[i]);
		}
	}
}
