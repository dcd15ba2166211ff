/* Between sasl.c and the mechanisms (sasl_scram.c, sasl_plain.c, sasl_ht.c): nobody else includes this. Worker thread
 * of the exchange. */
#pragma once
#include "base/arena.h"
#include "base/crypto.h"
#include "server/im/auth.h"
#include "server/im/fast.h"
#include "server/net/loop.h"
#include "server/xmpp/sasl.h"
#include "xml/jid.h"

struct sasl_mech {
	struct str name;
	bool fast; /* belongs into <fast/>, not into the list of mechanisms */
	bool plus; /* SCRAM with channel binding */
	enum hash_kind hash;
	int binding; /* HT-*: enum tls_binding, or -1 for none */
	bool (*available)(const struct sasl_mech *m, const struct sasl_peer *p);
	/* One client message; n counts from 0. has_data is false only for a missing initial response. Ends in exactly
	 * one of the four answers below, or starts something that will. */
	void (*step)(struct sasl *s, unsigned n, bool has_data, struct str data);
};
extern const struct sasl_mech sasl_mechs[];
extern const size_t sasl_mechs_n;

struct scram {
	struct str gs2_header, first_bare, server_first, nonce;
	struct str final_without_proof, proof;
	uint8_t binding[64];
	size_t binding_n;
	struct scram_keys keys;
	uint32_t epoch;
	bool exists;
};
/* Identity under proof. */
struct sasl_name {
	struct str local; /* prepared; as sent when that failed: then nobody has it */
	struct str bare;  /* "local@domain" */
};

enum sasl_phase { SASL_IDLE, SASL_EXPECTS, SASL_BUSY };

struct sasl {
	struct sasl_peer peer; /* strings in keep */
	struct arena *keep;    /* life of this struct */
	struct arena *a;       /* one exchange */
	const struct sasl_mech *mech;
	struct str offered[SASL_MAX];
	size_t n_offered;
	enum sasl_phase phase;
	unsigned step;
	sasl_reply_fn *reply;
	void *ctx;
	struct sasl_outcome out; /* waits for the deferred reply */
	struct deferred deferred;
	struct timer timer;
	void (*resume)(struct sasl *s); /* what the timer does */
	struct auth_check *check;
	struct fast_check *fast;
	struct sasl_name name;
	struct scram scram;
};

/* Answers. data is copied. */
void sasl_challenge(struct sasl *s, struct str data);
void sasl_succeed(struct sasl *s, const struct auth_account *acc, bool has_data, struct str data);
/* At once: what was sent makes no sense or is not allowed. */
void sasl_refuse(struct sasl *s, const char *condition, const char *text);
/* Credentials did not fit: after the delay of this (address, account). */
void sasl_refuse_late(struct sasl *s, const char *condition, const char *text);
/* The right answer to an error of im/auth and im/fast. */
void sasl_refuse_err(struct sasl *s, int err);

/* authcid as the client sent it -> s->name. "user" and "user@ourdomain" are the same. */
void sasl_set_name(struct sasl *s, struct str authcid);
/* Row A01: empty, or the bare JID of s->name (and the stream's 'from', if any). */
bool sasl_authzid_ok(struct sasl *s, struct str authzid);
/* True when any -PLUS was offered on this stream. */
bool sasl_plus_offered(const struct sasl *s);
/* Base64 of the XEP-0474 hash over what was offered. */
struct str sasl_ssdp(struct sasl *s, enum hash_kind hash);
struct str sasl_base64(struct arena *a, const void *p, size_t n);
/* Channel binding data or an error; see tls.h. */
int sasl_binding(const struct sasl_peer *p, enum tls_binding kind, uint8_t out[64]);

bool sasl_scram_available(const struct sasl_mech *m, const struct sasl_peer *p);
void sasl_scram_step(struct sasl *s, unsigned n, bool has_data, struct str data);
bool sasl_plain_available(const struct sasl_mech *m, const struct sasl_peer *p);
void sasl_plain_step(struct sasl *s, unsigned n, bool has_data, struct str data);
bool sasl_oauth_available(const struct sasl_mech *m, const struct sasl_peer *p);
void sasl_oauth_step(struct sasl *s, unsigned n, bool has_data, struct str data);
bool sasl_external_available(const struct sasl_mech *m, const struct sasl_peer *p);
void sasl_external_step(struct sasl *s, unsigned n, bool has_data, struct str data);
bool sasl_ht_available(const struct sasl_mech *m, const struct sasl_peer *p);
void sasl_ht_step(struct sasl *s, unsigned n, bool has_data, struct str data);
