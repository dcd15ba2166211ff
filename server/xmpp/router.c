/*
 * The router: validate, stamp 'from', classify the addressee, look up the row (RFC 6120 section 8 and 10, RFC 6121 section 8). Home thread of the
 * sender. A stanza counts as handled for XEP-0198 when this returns, unless a pending answer took it over (reply.c).
 */
#include "server/xmpp/router.h"
#include "base/err.h"
#include "server/im/block.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/xmpp/caps.h"
#include "server/xmpp/handlers.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/notify.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "xml/jid.h"

static unsigned classify(const struct session *s, const struct jid *to)
{
	if (jid_is_none(to))
		return TO_NONE;
	if (!im_is_our_domain(jid_domain(to)))
		return notify_is_service(s, to) ? TO_NOTIFY : muc_classify(to);
	if (!to->local_n)
		return TO_HOST;
	if (!jid_is_bare(to))
		return TO_FULL;
	return jid_bare_eq(to, &s->jid) ? TO_SELF : TO_ACCOUNT;
}

/* Attributes and addressee of the stanza. ERR_SYNTAX: 'to' is malformed. */
static int request_fill(struct request *rq)
{
	struct str to = node_attr(rq->stanza, "to");

	rq->id = node_attr(rq->stanza, "id");
	rq->type = node_attr(rq->stanza, "type");
	if (rq->stanza->name == A_iq)
		rq->iq_type = str_eq_c(rq->type, "get") ? IQ_GET : str_eq_c(rq->type, "set") ? IQ_SET : 0;
	if (to.p && jid_parse(rq->a, to, &rq->to)) {
		rq->to = (struct jid){ 0 };
		return ERR_SYNTAX;
	}
	rq->addressee = classify(rq->session, &rq->to);
	return 0;
}

/* Row X18: 'from' is absent or the session itself, compared after preparation. */
static bool from_is_own(const struct request *rq)
{
	struct str from = node_attr(rq->stanza, "from");
	struct jid j;

	if (!from.p || str_eq(from, rq->session->jid.full) || str_eq(from, rq->session->user->jid.full))
		return true;
	if (jid_parse(rq->a, from, &j))
		return false;
	return jid_eq(&j, &rq->session->jid) || (jid_is_bare(&j) && jid_bare_eq(&j, &rq->session->jid));
}

/*
 * Stanzas of one session are processed in order (RFC 6120 10.1): a question that follows a message or a change which is still on its way to the disk waits
 * behind it in the writer's queue, so it sees what the client sent before.
 */
struct waiting_iq {
	struct write_op op;
	struct arena *arena;
	struct node *stanza;
	struct pending *pending;
	uint32_t number;
};

static int apply_nothing(struct txn *t, struct write_op *op)
{
	(void)t;
	(void)op;
	return 0;
}

static void iq_request(struct request *rq, bool may_wait);

static void waited(struct write_op *op, int err, unsigned worker)
{
	struct waiting_iq *w = (struct waiting_iq *)op;
	struct session *s = pending_session(w->pending);

	(void)err; /* the barrier itself writes nothing; what was before it has answered for itself */
	(void)worker;
	if (s && !((struct xsession *)s)->dying) {
		struct xsession *xs = (struct xsession *)s;
		struct request rq = {
			.xs = xs, .session = s, .a = stream_arena(), .stanza = w->stanza, .sm_number = w->number
		};
		xsession_enter(xs);
		request_fill(&rq);
		iq_request(&rq, false);
		arena_reset(stream_arena());
		pending_drop(w->pending);
		xsession_leave(xs);
	} else {
		pending_drop(w->pending);
	}
}

static void free_waiting(struct write_op *op)
{
	arena_free(((struct waiting_iq *)op)->arena);
	mem_free(op);
}

static void wait_in_line(struct request *rq)
{
	struct waiting_iq *w = NEW(struct waiting_iq);

	w->op = (struct write_op){ .apply = apply_nothing, .done = waited, .free = free_waiting };
	w->arena = arena_new(2048);
	w->stanza = node_copy(w->arena, rq->stanza);
	w->number = rq->sm_number;
	w->pending = reply_later(rq);
	pending_is_fast(w->pending);
	im_write(&w->op);
}

void router_iq(struct request *rq)
{
	bool known;
	const struct handler *h = handler_find(rq->child, rq->iq_type, rq->addressee, &known);

	if (!h) {
		/* RFC 6121 8.5.1 and 8.5.2: no account or no such service is answered alike, so names cannot be probed. */
		reply_error(rq, "cancel", A_service_unavailable, "This is not offered here");
	} else if ((h->flags & FOR_ADMIN) && !rq->session->user->is_admin) {
		reply_error(rq, "auth", A_forbidden, "Only administrators may do that");
	} else {
		h->fn(rq);
	}
}

static void iq_request(struct request *rq, bool may_wait)
{
	if (may_wait && pendings_in_writer(rq->xs)) {
		wait_in_line(rq);
		return;
	}
	rq->child = node_first(rq->stanza);
	if (!rq->child || node_next(rq->child)) { /* RFC 6120 8.2.3 */
		reply_error(rq, "modify", A_bad_request, "A get or set has exactly one child element");
		return;
	}
	if (rq->addressee == TO_FULL) {
		if (jid_bare_eq(&rq->to, &rq->session->jid) && jid_eq(&rq->to, &rq->session->jid) &&
		    rq->child->ns == NS_PING)
			reply_result(rq, NULL);
		else
			router_forward_iq(rq);
		return;
	}
	router_iq(rq);
}

static void iq_stanza(struct request *rq)
{
	if (str_empty(rq->id)) {
		reply_error(rq, "modify", A_bad_request, "An iq needs an id");
		return;
	}
	if (rq->iq_type && rq->addressee != TO_REMOTE) {
		iq_request(rq, true);
	} else if (str_eq_c(rq->type, "result") || str_eq_c(rq->type, "error")) {
		if (rq->addressee == TO_FULL)
			router_forward_iq(rq); /* an answer to another client */
		else
			caps_answer(rq); /* or to our own question; other answers to us need no handling */
	} else if (!rq->iq_type) {
		reply_error(rq, "modify", A_bad_request, "The type of an iq is get, set, result or error");
	}
}

/* XEP-0191 section 3.5: what the person sends to somebody he blocks comes back. */
static void blocked_outgoing(struct request *rq)
{
	if (rq->stanza->name == A_presence)
		return;
	reply_blocked(rq);
}

void router_stanza(struct xsession *xs, struct node *stanza)
{
	struct request rq = { .xs = xs, .session = &xs->s, .a = stream_arena(), .stanza = stanza };

	if (xs->sm)
		rq.sm_number = ++xs->in;
	bool malformed = request_fill(&rq) != 0;
	if (!from_is_own(&rq)) {
		stream_error(xs->stream, "invalid-from", "You may only send as yourself");
		return;
	}
	if (malformed) {
		reply_error(&rq, "modify", A_jid_malformed, "The address in 'to' is malformed");
		return;
	}
	if (rq.addressee == TO_REMOTE) {
		reply_error(&rq, "cancel", A_remote_server_not_found, "This server talks only to its own domains");
		return;
	}
	if ((rq.addressee & (TO_ACCOUNT | TO_FULL)) && block_is_outgoing(xs->s.user, &rq.to)) {
		blocked_outgoing(&rq);
		return;
	}
	if (rq.addressee == TO_NOTIFY && stanza->name != A_iq) {
		if (stanza->name == A_message)
			notify_message(&rq); /* presence tells the service nothing */
		return;
	}
	bool chats = (rq.addressee & (TO_CHATS | TO_CHAT | TO_OCCUPANT)) != 0;
	if (stanza->name == A_message)
		chats ? muc_message(&rq) : message_stanza(&rq);
	else if (stanza->name == A_presence)
		chats ? muc_presence(&rq) : presence_stanza(&rq);
	else
		iq_stanza(&rq);
}

/* ---- iq between clients ---- */

struct forwarded {
	struct chunk *payload;
	struct jid from, to;
	struct str type, id;
	uint64_t session;
	unsigned home;
	bool is_request;
};

static void forward_release(void *data)
{
	struct forwarded *f = data;

	chunk_unref(f->payload);
	mem_free(f);
}

static struct forwarded *forwarded_new(struct request *rq, struct chunk *payload)
{
	struct str from = rq->session->jid.full;
	struct forwarded *f = mem_zero(sizeof *f + from.n + rq->to.full.n + rq->type.n + rq->id.n + 1);
	char *p = (char *)(f + 1);

	memcpy(p, from.p, from.n);
	f->from = rq->session->jid;
	f->from.full.p = p;
	p += from.n;
	memcpy(p, rq->to.full.p, rq->to.full.n);
	f->to = rq->to;
	f->to.full.p = p;
	p += rq->to.full.n;
	memcpy(p, rq->type.p, rq->type.n);
	f->type = str_of(p, rq->type.n);
	p += rq->type.n;
	memcpy(p, rq->id.p, rq->id.n);
	f->id = str_of(p, rq->id.n);
	f->payload = payload;
	f->session = rq->session->number;
	f->home = (unsigned)threads_self();
	f->is_request = rq->iq_type != 0;
	return f;
}

static void forward_refused(void *data)
{
	struct forwarded *f = data;
	struct session *s = session_by_number(f->session);
	struct outgoing o = { .kind = STANZA_IQ, .from = f->to.full, .type = STR("error"), .id = f->id };

	if (!s)
		return;
	o.payload = chunk_of(
		STR("<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"));
	session_send(s, &o);
	chunk_unref(o.payload);
}

/* On the recipient's home. */
static void forward_arrived(void *data)
{
	struct forwarded *f = data;
	struct user *u = user_find(jid_bare(&f->to));
	struct session *s = u ? session_find(u, jid_resource(&f->to)) : NULL;

	if (s) {
		struct outgoing o = { .kind = STANZA_IQ,
				      .from = f->from.full,
				      .to = f->to.full,
				      .type = f->type,
				      .id = f->id,
				      .payload = f->payload };
		session_send(s, &o);
	} else if (f->is_request) { /* RFC 6121 8.5.3.2.3 */
		struct forwarded *back =
			mem_dup(f, sizeof *f + f->from.full.n + f->to.full.n + f->type.n + f->id.n + 1);
		ptrdiff_t shift = (char *)back - (char *)f;
		back->payload = NULL;
		back->from.full.p += shift;
		back->to.full.p += shift;
		back->type.p += shift;
		back->id.p += shift;
		post_to(f->home, forward_refused, back, forward_release);
	}
}

void router_forward_iq(struct request *rq)
{
	struct jid bare = jid_to_bare(rq->to);
	const struct peer *p = peer_get(&bare);

	/* Who knows a full JID may ask it (RFC 6121 8.5.3.1); whether it is there shows only by the same error as for nobody. */
	if (!p->id || peer_blocks(p, &rq->session->jid)) {
		reply_error(rq, "cancel", A_service_unavailable, "Nobody is there");
		return;
	}
	struct forwarded *f = forwarded_new(rq, payload_of_children(rq->stanza));
	post_to(p->home, forward_arrived, f, forward_release);
}
