/*
 * Bearer tokens of the HTTP API: of a person (made at POST /api/v1/session) or of a service with scopes (vestnikctl token add). Only the SHA-256 of a token is
 * stored (row A11); its text is shown once. Looked up in the store at each request, so a revoked one is void with the commit (A16). A person's token
 * is void with his credentials epoch. Knows no JSON. Worker threads.
 */
#pragma once
#include "server/im/principal.h"
#include "storage/engine.h"

#define TOKEN_TEXT_LEN 47   /* "vst-" and 43 URL-safe characters: 256 bits (row A12) */
#define TOKEN_ID_LEN 12     /* of the hash, in hex: names a token to people */
#define TOKEN_NAME_MAX 64   /* bytes */

/* Scopes by name, separated by white space or commas: "read send-as system org admin chats". ERR_SYNTAX for an unknown one or none. */
int token_scopes_parse(struct str text, unsigned *out);
/* Names of the bits, separated by a space; into out (at least 64 bytes); returns the length. */
size_t token_scopes_print(unsigned scopes, char *out, size_t max);

struct token_new {
	struct principal by;
	struct str domain;          /* prepared, one of ours */
	struct str name;            /* for people: "portal", "Firefox on Linux" */
	uint32_t account;           /* 0: a service */
	uint32_t credentials_epoch; /* of the account, as proved */
	unsigned scopes;            /* of a service */
	uint64_t life_ms;           /* 0: until it is revoked (services only) */
};
/* err 0 with the text, its id and expiry (wall clock ms, 0: never); ERR_CONFLICT when the epoch has moved on, ERR_LIMIT (limit api_tokens), ERR_EXISTS (a
 * service token of that name), ERR_SYNTAX (name). On the calling worker, after the commit, once. */
typedef void token_issued_fn(void *ctx, int err, struct str text, struct str id, uint64_t expires_ms);
void token_issue(const struct token_new *n, token_issued_fn *done, void *ctx);
/* Revokes by id: any (administrators, account 0 given) or one of the account's own. ERR_NOT_FOUND. */
typedef void token_done_fn(void *ctx, int err);
void token_revoke(const struct principal *by, uint32_t account, struct str id, token_done_fn *done, void *ctx);

/* Who bears it: 0 with the principal (name and domain live in the arena), or ERR_AUTH for unknown, expired, void, of a disabled account. Any worker. */
struct arena;
int token_check(struct arena *a, struct str text, struct principal *out);
/* The id of a token text (also of one that is not valid). */
void token_id(struct str text, char out[TOKEN_ID_LEN + 1]);
struct token_info { struct str id, name, domain; uint32_t account; unsigned scopes; uint64_t created_ms, expires_ms; };
/* Tokens of an account, or with 0 of the services. false stops. */
void token_list(struct txn *t, uint32_t account, bool (*fn)(void *ctx, const struct token_info *i), void *ctx);
