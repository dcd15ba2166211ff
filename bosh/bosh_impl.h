/* Inside of bosh/bosh*.c only. */
#pragma once
#include "base/chunk.h"
#include "base/list.h"
#include "bosh/bosh.h"
#include "server/net/bucket.h"
#include "server/net/threads.h"
#include "server/xmpp/stream.h"

#define BOSH_REQUESTS_MAX 8  /* window: more may not be asked for */
#define BOSH_KEY 64          /* longest key */

/* What <body/> says; in the arena of its HTTP request. */
struct bosh_request {
	struct mail mail;            /* on its way to another worker */
	struct list link;            /* in bosh.waiting */
	struct http_request *rq;
	uint64_t rid;
	struct str sid, key, newkey, to, from, version, inner; /* inner: bytes between the tags */
	uint64_t wait_s, hold, pause_s; /* pause_s 0: none */
	bool terminate, restart;
};
/* A request that was taken and is not answered yet. */
struct bosh_slot {
	struct list link;
	uint64_t rid, due_ms;
	struct http_request *rq;     /* NULL: its connection broke; the client will send it again */
	char key[BOSH_KEY + 1];
};
/* An answer that was given, for a client that did not get it. */
struct bosh_answer {
	uint64_t rid;                /* 0: none */
	uint64_t end;                /* bytes of the stream up to its end */
	struct chunk *body;
	char key[BOSH_KEY + 1];
};
struct bosh_item { struct bosh_item *next; size_t n; char bytes[]; }; /* one element to send */

struct bosh {
	struct stream *st;           /* NULL: over; what is left is told to the next request */
	char sid[32];
	unsigned worker;             /* under the lock of the table: where it lives or goes to */
	bool moving;                 /* likewise */
	uint64_t taken;              /* highest rid that was taken, all lower ones were */
	unsigned requests, hold;
	uint64_t wait_ms, inactivity_ms;
	struct list waiting, open;   /* struct bosh_request by rid; struct bosh_slot by rid */
	struct bosh_answer answers[BOSH_REQUESTS_MAX]; /* the last ones, newest first */
	struct bosh_item *first, *last;
	size_t queued;               /* bytes of items */
	uint64_t sent, confirmed;    /* bytes of elements handed over; that the client has */
	uint64_t last_rx_ms, silent_since_ms, debt_until_ms;
	struct bucket bytes, stanzas;
	unsigned holds;              /* the stream wants no input */
	bool header_wanted, created, ending, pausing;
	int err;                     /* for stream_gone */
	const char *condition;       /* of type='terminate' */
	char key[BOSH_KEY + 1];      /* what the next key must hash to; "": no keys */
	char authid[32];
	struct timer timer;
	struct deferred turn;
};

/* bosh.c: reads the tag of a body; false after answering. */
struct bosh *bosh_find(struct str sid, unsigned *out_worker, bool *out_moving);
void bosh_list(struct bosh *b, unsigned worker, bool moving);
void bosh_unlist(struct bosh *b);
/* A terminal body for a request without a session. */
void bosh_refuse(struct http_request *rq, const char *condition);

/* bosh_session.c */
struct bosh *bosh_new(const struct bosh_request *r);
void bosh_arrived(struct bosh *b, struct bosh_request *r);
void bosh_free(struct bosh *b);
