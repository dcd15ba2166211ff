/*
 * FAST tokens (XEP-0484): issue, verify, rotate, invalidate. Knows no XML.
 *
 * HT-* (draft-schmaus-kitten-sasl-ht) proves possession by HMAC(token, ...), so a hash of the token could not verify
 * it. Nothing that opens an account is stored either: the record holds 32 random bytes, and the token is
 * HMAC-SHA256(server secret, those bytes, account, user agent, mechanism, credentials epoch). A copy of the token table
 * alone is worthless. A token is good for the credentials epoch it was made in: a raised one (password change, disable,
 * "log out everywhere") makes all old ones void at once (row A16). Two slots per (account, user agent), "current" and
 * "new", as XEP-0484 section 5.1 proposes.
 */
#pragma once
#include "base/crypto.h"

#define FAST_TOKEN_LEN 48  /* "fast-" and 43 URL-safe characters: 256 bits */
#define FAST_AGENT_MAX 128 /* bytes of a user agent's id */

/* XEP-0388 section 2.3: what the client says about itself. id should be a UUID; without one there are no tokens.
 * Borrowed. */
struct user_agent {
	struct str id, software, device;
};
/* True for an id that tokens can be bound to: 1 to FAST_AGENT_MAX bytes without control characters. */
bool user_agent_id_valid(struct str id);

/* 0 with token and expiry (wall clock ms) after the commit, or an error: no token then. */
typedef void fast_issue_fn(void *ctx, int err, struct str token, uint64_t expires_ms);
/* Makes a token in the "new" slot. mechanism is one of the HT-* names. done on this worker, exactly once, never nested;
 * ctx must live until then. ERR_SYNTAX for an unfit agent id or another mechanism, ERR_CONFLICT when the epoch has
 * moved on meanwhile. Worker threads only. */
void fast_issue(uint32_t account_id, uint32_t credentials_epoch, struct str agent_id, struct str mechanism,
		fast_issue_fn *done, void *ctx);

/* A verified token. */
struct fast_login {
	uint32_t account_id, credentials_epoch;
	bool is_admin;
	bool rotate; /* older than limit fast_rotate_ms: give the client a new one (fast_issue) with its success */
	uint8_t responder[32]; /* HMAC(token, "Responder" || cb-data) for the client */
};
/* err: 0; ERR_AUTH (no such token, wrong proof, used count, other mechanism); ERR_TIMEOUT (right but expired);
 * ERR_FORBIDDEN (right, account disabled); or a storage error. */
typedef void fast_verify_fn(void *ctx, int err, const struct fast_login *l);
struct fast_attempt {
	const char *ip;
	struct str domain, local; /* prepared, or as sent */
	struct str agent_id, mechanism;
	struct str proof;   /* HMAC(token, "Initiator" || cb-data) */
	struct str binding; /* channel binding data, empty for -NONE */
	bool has_count;
	uint64_t count;	 /* must be greater than the last one used (against replay) */
	bool invalidate; /* the token is removed by this login */
};
struct fast_check;
/* Copies everything. done on this worker, never nested; waits and counts like auth_check_start (ERR_AGAIN: refused
 * unverified). A login that changes the record (count, "new" becomes "current", invalidate) is answered after its
 * commit, so a replay fails even over a crash. Returns a handle for cancelling. Worker threads only. */
struct fast_check *fast_verify(const struct fast_attempt *at, fast_verify_fn *done, void *ctx);
void fast_cancel(struct fast_check *c);
/* Removes the tokens of one user agent (empty: of all) later; err 0 even when there were none. done may be NULL. */
void fast_forget(uint32_t account_id, struct str agent_id, void (*done)(void *ctx, int err), void *ctx);
