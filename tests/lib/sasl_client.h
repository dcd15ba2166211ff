/*
 * A SASL client for the tests of server/xmpp/sasl on top of im_rig.h: drives one struct sasl on worker 0 from the main
 * thread, does the client's half of SCRAM and PLAIN, and stands in for the TLS layer. Main thread of the test only.
 */
#pragma once
#include "base/arena.h"
#include "base/crypto.h"
#include "server/im/account.h"
#include "server/xmpp/sasl.h"
#include "tests/lib/im_rig.h"

/* The fake TLS layer: names of the client certificate, and what both ends would see of the connection. */
extern const char *sasl_cert_names[4];
extern uint8_t sasl_exporter[32], sasl_endpoint[32], sasl_unique[32];

/* --- one login --- */

struct client {
	struct sasl_peer peer;
	struct str offered[SASL_MAX];
	size_t n_offered;
	struct sasl *s;
	struct gate gate;
	struct arena *a;
	/* the next call */
	struct str mechanism, data;
	bool has_data, aborts, frees, again;
	/* the last answer */
	struct sasl_outcome out;
	char data_copy[1024], local[64], domain[64];
	unsigned replies;
};

enum { WITH_TLS = 1, SASL2 = 2 };

/* A connection from 192.0.2.1 to example.org; how: WITH_TLS | SASL2, else loopback. Computes the offer. */
void client_init(struct client *l, unsigned how);
/* Computes the offer again after the peer was changed. */
void client_offer_again(struct client *l);
/* Starts (making the struct sasl when there is none) or goes on; returns the answer, copied. */
const struct sasl_outcome *client_begin(struct client *l, const char *mechanism, bool has_data, struct str data);
const struct sasl_outcome *client_step(struct client *l, struct str data);
/* Only starts, goes on, or frees the struct sasl: no answer is waited for. */
void client_begin_only(struct client *l, const char *mechanism, struct str data);
void client_step_only(struct client *l, struct str data);
void client_free(struct client *l);
void client_end(struct client *l);
bool failed_as(const struct sasl_outcome *o, const char *condition);
const struct sasl_outcome *client_plain(struct client *l, const char *authzid, const char *authcid,
					const char *password);

/* --- the client's half of SCRAM --- */

struct scram_client {
	enum hash_kind hash;
	const char *gs2; /* "n,," */
	const char *user, *password;
	struct str binding;
	const char *c_override; /* raw c= value instead of the honest one */
	const char *r_suffix;	/* appended to the nonce of the final message, and signed */
	/* filled */
	struct str first_bare, server_first, h;
	uint8_t server_key[HASH_MAX];
	struct str message;
};
struct str b64(struct arena *a, struct str s);
/* Value of attribute "x=" in a SCRAM message. */
struct str field(struct str message, char name);
struct str scram_first(struct client *l, struct scram_client *c);
/* What an honest client with that password answers to the challenge in l->out. */
struct str scram_final(struct client *l, struct scram_client *c);
/* Does the server's v= fit? */
bool scram_verifier_right(struct client *l, struct scram_client *c);
/* Both messages. */
const struct sasl_outcome *scram(struct client *l, const char *mechanism, struct scram_client *c);

/* Starts the rig without delays, with anna/pencil and boris/bread at example.org and anna/elsewhere at other.example.
 */
void sasl_rig_up(void);
