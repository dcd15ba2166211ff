/*
 * SASL without I/O and without XML: one struct sasl per <auth/> (RFC 6120) or <authenticate/> (XEP-0388). Mechanisms
 * are rows of a const table: SCRAM-SHA-1/256/512 and -PLUS (RFC 5802, 7677), PLAIN (RFC 4616), EXTERNAL (XEP-0178),
 * HT-SHA-256-* (FAST, XEP-0484), OAUTHBEARER (RFC 7628). Every answer comes through the reply function: later, on the calling worker, never
 * nested in sasl_begin or sasl_step (it may wait for a helper thread, a commit, or the delay after failures). The host
 * is fixed (row A03); the identity comes only from what was proved (A01).
 */
#pragma once
#include "base/str.h"
#include "server/net/tls.h"

#define SASL_MAX 16	      /* mechanisms at most, FAST included */
#define SASL_CB_MAX 2	      /* channel binding types at most */
#define SASL_MESSAGE_MAX 8192 /* bytes of one client message after base64 */

/* How to ask the TLS layer; NULL in the peer: the functions of server/net/tls.h. For tests and fuzzers. */
struct sasl_tls_ops {
	int (*binding)(struct tls_session *s, enum tls_binding kind, uint8_t out[64]);
	size_t (*names)(struct tls_session *s, void (*fn)(void *ctx, struct str name), void *ctx);
};
/* The connection. Borrowed during a call; sasl_new copies. */
struct sasl_peer {
	struct str domain; /* our prepared domain this stream talks to */
	bool secure;	   /* TLS here, or behind a trusted proxy */
	bool loopback;
	bool sasl2;
	struct tls_session *tls; /* NULL: plain, or TLS ended elsewhere: no channel binding; must outlive the struct sasl */
	const char *ip;
	uint64_t conn_id;
	struct str user_agent_id; /* XEP-0388; empty: none */
	struct str stream_from;	  /* bare JID of the stream's 'from', prepared; empty: none. An authzid must equal it
				     (XEP-0388 2.3) */
	bool fast;		  /* <fast/> was in <authenticate/>: HT-* only then (XEP-0484 4.3) */
	bool has_fast_count;
	uint64_t fast_count;
	bool fast_invalidate;
	const struct sasl_tls_ops *tls_ops;
};

/* Names to offer, best first; static strings. fast: the HT-* list for <fast/> instead (only sasl2). Returns the number. */
size_t sasl_offer(const struct sasl_peer *p, bool fast, struct str *out, size_t max);
/* Channel binding types to advertise (XEP-0440), best first; 0: no <sasl-channel-binding/>. When there are any they
 * must be sent: the XEP-0474 hash covers them. */
size_t sasl_cb_types(const struct sasl_peer *p, struct str *out, size_t max);

struct sasl_outcome {
	enum { SASL_CHALLENGE, SASL_SUCCESS, SASL_FAILURE } kind;
	struct str data; /* raw: the caller encodes base64 */
	bool has_data;	 /* false: success without additional data (an empty one differs: "=" in RFC 6120) */
	/* failure */
	const char *condition; /* element of RFC 6120 section 6.5: "not-authorized", ... */
	const char *text;      /* for the person; may be NULL */
	bool counts; /* limit auth_failures of these end the stream; false: our own trouble (temporary-auth-failure) */
	/* success */
	uint32_t account_id, credentials_epoch;
	struct str local, domain;
	bool is_admin;
	bool by_token;	   /* FAST */
	bool rotate_token; /* FAST: fast_issue() a new one with this success, with mechanism */
	const char *mechanism;
};
/* Everything in the outcome is valid during the call only. The callee may call sasl_free (what data, local and domain
 * point to goes with it), but not begin or step; after success it may take the struct along to another worker to free
 * it there. */
typedef void sasl_reply_fn(void *ctx, const struct sasl_outcome *o);

struct sasl;
/* offered: the names sent on this stream in this profile (SASL2: with those inside <fast/>): others are refused (row
 * A02), and the XEP-0474 hash is made of them. Static strings as sasl_offer gives them. */
struct sasl *sasl_new(const struct sasl_peer *p, const struct str *offered, size_t n_offered, sasl_reply_fn *reply,
		      void *ctx);
/* Starts; after a failure it may be called again. initial: decoded. Input while an answer is pending fails the
 * exchange. */
void sasl_begin(struct sasl *s, struct str mechanism, bool has_initial, struct str initial);
void sasl_step(struct sasl *s, struct str data);
/* <abort/>: the reply is failure "aborted". */
void sasl_abort(struct sasl *s);
/* For the caller's own finding (bad base64: "incorrect-encoding"): ends the exchange with that failure. */
void sasl_fail(struct sasl *s, const char *condition);
/* At any time, also inside reply; no reply comes afterwards. NULL is fine. */
void sasl_free(struct sasl *s);
