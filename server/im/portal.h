/*
 * Sign-on by the portal: a short JSON Web Token that the portal signed says who its bearer is (SASL OAUTHBEARER, POST /api/v1/session). Row A15: one
 * algorithm per key, fixed in the configuration; iss, aud, sub and exp are needed; leeway 60 s; an id (jti) counts once. libjwt verifies. Knows no JSON.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum portal_algorithm { PORTAL_HS256, PORTAL_RS256, PORTAL_ES256 };
struct portal_key {
	const char *issuer, *audience;  /* compared with iss and aud */
	const char *key_file;           /* the shared secret (HS256: at least 32 bytes, a last line end is cut off), or a public key in PEM */
	int algorithm;                  /* enum portal_algorithm */
	const char *domain;             /* prepared: sub is a login of it */
};
/* Reads the key files and replaces what was there before; an error keeps that. Main thread, at start and at a reload. */
int portal_set_keys(const struct portal_key *keys, size_t n, struct err_msg *msg);
/* Forgets keys and ids (end of the process). */
void portal_fini(void);
/* True when sign-on is configured for the domain (NONE: for any). Any thread. */
bool portal_is_configured(struct str domain);

struct portal_login {
	uint32_t account_id, credentials_epoch;
	bool is_admin;
	struct str domain, local;       /* in the arena */
};
/* Who bears it. domain: the only one allowed, or NONE. 0; ERR_AUTH whatever is wrong with the token, also for an unknown person; ERR_FORBIDDEN for a disabled
 * account; a storage error. Any worker. */
struct arena;
int portal_verify(struct arena *a, struct str token, struct str domain, struct portal_login *out);
