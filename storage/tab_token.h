/*
 * Tokens by the SHA-256 of what names them (server/im/fast.h: account, agent and slot; API: the token itself):
 *   TOKEN  't' hash (32 bytes)      -> record
 *   TOKEN  'a' account id, hash     -> nothing: the tokens of an account
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

enum token_kind { TOKEN_ANY, TOKEN_FAST, TOKEN_API };
struct token_rec {
	uint32_t account_id;
	enum token_kind kind;
	uint64_t created_ms, expires_ms;
	uint32_t credentials_epoch;
	struct str agent_id, mechanism, secret, name, scope;
	uint64_t count;
};
typedef bool token_each_fn(void *ctx, const uint8_t hash[32], const struct token_rec *r); /* false stops */

/* 0, ERR_NOT_FOUND or ERR_CORRUPT. */
int token_get(struct txn *t, const uint8_t hash[32], struct token_rec *out);
/* By the first bytes of the hash in hex: what names a token to people. ERR_NOT_FOUND; ERR_CORRUPT. */
int token_find(struct txn *t, struct str hex, uint8_t out_hash[32], struct token_rec *out);
void token_put(struct txn *t, const uint8_t hash[32], const struct token_rec *r);
void token_delete(struct txn *t, const uint8_t hash[32]);
/* All of an account, or only of one kind. */
void token_delete_account(struct txn *t, uint32_t account_id, enum token_kind kind);
void token_each_of_account(struct txn *t, uint32_t account_id, token_each_fn *fn, void *ctx);
