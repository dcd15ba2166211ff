/*
 * Who may log in: SCRAM keys, password checks off the loop, stable fakes for unknown names, brakes on guessing. Knows
 * no XML and no SASL messages (server/xmpp/sasl.h does). The password itself is never kept: not on disk (row A11), not
 * in the cache.
 */
#pragma once
#include "base/crypto.h"
#include "storage/tab_account.h"

#define AUTH_PASSWORD_MAX 1024 /* bytes of a password as sent or set */
#define AUTH_PREPARED_MAX 4096 /* bytes after SASLprep */
#define AUTH_SALT_BYTES 16
#define AUTH_ITERATIONS_MIN 4096 /* RFC 5802 section 5.1; imports take up to the maximum (row A07) */
#define AUTH_ITERATIONS_MAX 1000000

/* SASLprep (RFC 4013). storing: unassigned code points are refused, as RFC 3454 section 7 wants for stored strings.
 * 0 or ERR_SYNTAX (empty, too long, prohibited). out has AUTH_PREPARED_MAX bytes; wipe it after use. Any thread. */
int auth_prepare_password(struct str password, bool storing, char *out, size_t *out_n);
/* SCRAM StoredKey and ServerKey (RFC 5802 section 3) of a prepared password. Slow: never on a loop. */
void auth_make_keys(enum hash_kind kind, struct str prepared, uint32_t iterations, struct str salt,
		    struct scram_keys *out);
/* All kinds with fresh salts; prepares the password itself. 0 or ERR_SYNTAX. Slow: helper threads only. */
int auth_keys_for_password(struct str password, uint32_t iterations, struct scram_keys out[HASH_KINDS]);
/* How often a key was derived by PBKDF2 since start (metrics; the tests of the cache count it). */
uint64_t auth_derivations(void);

/* What login needs to know of an account; a copy, so no transaction stays open. */
struct auth_account {
	bool exists, disabled, is_admin;
	uint32_t id, credentials_epoch;
	struct scram_keys scram[HASH_KINDS]; /* unknown account or kind: a fake that no password fits, stable for ever
						(row A08) */
};
/* local is prepared, or as the client sent it when preparation failed (then it is unknown). 0 or a storage error. Any
 * thread. */
int auth_lookup(struct str domain, struct str local, struct auth_account *out);

/* Is a login that was proved for this epoch still good? 0, ERR_AUTH (password changed, disabled, deleted since), or a
 * storage error. To be asked on the account's home worker when a session is opened: account_changed runs there, so
 * nothing slips in between (row A16). */
int auth_still_valid(uint32_t account_id, uint32_t credentials_epoch);

/* Password check (PLAIN and the API), off the loop with an in-memory cache of what was right before (HMAC under a key
 * of this process over account id, credentials epoch and password). Unknown and disabled accounts cost the same as a
 * wrong password. Keys with fewer iterations than configured, or not of every kind (imported ones), are made new after
 * a right password; the epoch stays. */
struct auth_result {
	int err; /* 0; ERR_AUTH wrong; ERR_FORBIDDEN right but disabled; ERR_AGAIN busy; or a storage error */
	uint32_t id, credentials_epoch;
	bool is_admin, was_cached;
};
struct auth_check;
typedef void auth_check_fn(void *ctx, const struct auth_result *r);
/* Copies everything. done runs later on this worker, never nested in this call. Counts failure and success of (ip,
 * account) by itself, also when cancelled meanwhile. Waits first when this pair or address has to (auth_wait_ms).
 * Worker threads only. */
struct auth_check *auth_check_start(const char *ip, struct str domain, struct str local, struct str password,
				    auth_check_fn *done, void *ctx);
/* done will not be called; the check ends by itself. NULL is fine. Same worker. */
void auth_check_cancel(struct auth_check *c);
/* Empties the cache (tests). */
void auth_cache_clear(void);
