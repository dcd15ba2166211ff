/*
 * Accounts: who may log in (docs/storage.md).
 *   ACCOUNT     domain NUL local        -> account record, or a tombstone: the name is taken for ever unless it is asked for
 *   ACCOUNT_ID  id                      -> domain NUL local
 *   ACCOUNT_ID  id 'd' / id 's'         -> delivered cursor / last seen: small values that change often
 *   META        "next account id"
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "base/crypto.h"
#include "storage/engine.h"

struct scram_keys {
	uint32_t iterations;
	uint8_t salt_n;
	uint8_t salt[32];
	uint8_t stored_key[64], server_key[64];
	bool present;
};
struct account_rec {
	uint32_t id;
	struct str domain, local;
	bool disabled, is_admin, directory_owned;
	struct scram_keys scram[HASH_KINDS];
	uint64_t created_ms;
	uint32_t credentials_epoch; /* raised by password change, disable, delete: older tokens and sessions are void (row A16) */
};
typedef bool account_each_fn(void *ctx, const struct account_rec *r); /* false stops */

/* 0, ERR_NOT_FOUND (also for a tombstone) or ERR_CORRUPT. */
int account_get(struct txn *t, struct str domain, struct str local, struct account_rec *out);
int account_get_by_id(struct txn *t, uint32_t id, struct account_rec *out);
/* Assigns the id. ERR_EXISTS when the name is in use; a tombstone gives way (the new account gets a new id). */
int account_create(struct txn *t, struct account_rec *r);
/* Replaces the record of an existing account. */
void account_put(struct txn *t, const struct account_rec *r);
/* Leaves a tombstone; the id is never used again. */
int account_delete(struct txn *t, uint32_t id);
/* All accounts of a domain in order of their names; damaged ones are passed over. */
void account_each(struct txn *t, struct str domain, account_each_fn *fn, void *ctx);
/* Delivered cursor (server/im/inflight.h): number of the last message delivered with everything before it. */
uint64_t account_get_delivered(struct txn *t, uint32_t id);
void account_set_delivered(struct txn *t, uint32_t id, uint64_t gid);
/* When the last session went and what it said (XEP-0012, RFC 6121 4.3.2); status is printed payload. ERR_NOT_FOUND: never here. */
int account_get_last_seen(struct txn *t, uint32_t id, uint64_t *out_wall_ms, struct str *out_status);
void account_set_last_seen(struct txn *t, uint32_t id, uint64_t wall_ms, struct str status);
