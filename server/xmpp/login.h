/* The login of a stream: who it is once SASL said so, and what SASL2 asked for besides. Worker of the stream. */
#pragma once
#include "server/xmpp/stream.h"

#define RESOURCE_MAX 1024

struct login {
	struct sasl *sasl;
	bool sasl2;
	bool pending;                /* an answer of sasl is on its way: input now is out of order */
	/* result */
	bool done;
	uint32_t account_id, credentials_epoch;
	bool is_admin;
	struct str bare;             /* local@domain; owned */
	struct str success;          /* additional data, raw; owned; p == NULL: none */
	bool rotate;                 /* FAST: hand out a new token */
	struct str new_token;        /* FAST: secret to hand out; owned */
	uint64_t new_token_expires_ms;
	/* what <authenticate/> asked for (XEP-0388 inline, XEP-0386, XEP-0484) */
	struct arena *arena;         /* keeps request below */
	struct node *request;        /* copy of <authenticate/>; NULL for classic SASL */
	struct str mechanism;
	struct token_wait *token_wait; /* a token is being made */
};

/* XEP-0388: answers <success/> with inline resume, bind and token; on the home worker. sasl2.c */
void sasl2_success(struct stream *st);
/* The login goes while a token is being made. sasl2.c */
void sasl2_forget(struct login *l);
/* Offers of SASL2 for the features. sasl2.c */
struct node;
void sasl2_features(struct stream *st, struct arena *a, struct node *features);
/* Reads user agent and token wishes into the peer. sasl2.c */
void sasl2_read_request(struct stream *st, struct node *authenticate, struct sasl_peer *peer);
/* Mechanism children of an offer. */
void login_offer(const struct stream *st, bool sasl2, struct arena *a, struct node *parent);
