/* Inside of the answering machinery of request.h, for router.c, session_xmpp.c and sm.c. */
#pragma once
#include "server/xmpp/session_xmpp.h"

struct pending {
	struct list link;            /* of the session, or alone when it has gone */
	uint64_t session;
	struct xsession *xs;         /* NULL: the session has gone */
	uint32_t number;             /* XEP-0198 number of the stanza; 0: not counted */
	bool slow;                   /* not on its way to the writer */
	bool saves_counter;          /* its commit carries the XEP-0198 checkpoint of this stanza */
	enum stanza_kind kind;
	struct str id, to;           /* of the iq; behind the struct */
	char bytes[];
};
/* XEP-0191 3.5: not-acceptable with <blocked/>, for what a person sends to somebody he blocks. */
struct request;
void reply_blocked(struct request *rq);
/* The session ends: pendings lose it. */
void pendings_forget(struct xsession *xs);
/* Answers that wait for the writer: later questions of this session must wait behind them. */
static inline bool pendings_in_writer(const struct xsession *xs)
{
	return xs->fast_pendings > 0;
}
/* Highest number below which everything was handled. */
uint32_t pendings_handled(const struct xsession *xs);
/* The pending's change is in the writer's queue: later stored stanzas cannot be durable without it. */
void pending_is_fast(struct pending *p);
