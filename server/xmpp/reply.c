/* Answers to requests: now, or after a commit or a helper job (request.h). Home thread of the asking session. */
#include "server/xmpp/reply.h"
#include "base/err.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/request.h"
#include "xml/print.h"
#include <string.h>

struct chunk *payload_of_children(const struct node *stanza)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	print_children(&b, stanza);
	struct chunk *c = chunk_of(buf_str(&b));
	buf_clear(&b);
	return c;
}

struct chunk *payload_of_node(const struct node *child)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	if (child)
		print_node(&b, child, STR("jabber:client"));
	struct chunk *c = chunk_of(buf_str(&b));
	buf_clear(&b);
	return c;
}

static void send_answer(struct xsession *xs, enum stanza_kind kind, struct str from, struct str id, const char *type,
			const struct node *child)
{
	struct chunk *payload = child ? payload_of_node(child) : NULL;
	struct outgoing o = { .kind = kind, .from = from, .type = str_c(type), .id = id, .payload = payload };

	session_send(&xs->s, &o);
	chunk_unref(payload);
}

static struct node *error_node(struct arena *a, const char *type, enum atom condition, const char *text)
{
	struct node *e = node_new(a, A_error, NS_CLIENT);

	node_set(a, e, "type", str_c(type));
	node_add(a, e, condition, NS_STANZA_ERRORS);
	if (text)
		node_add_text(a, e, A_text, NS_STANZA_ERRORS, str_c(text));
	return e;
}

/* Answers come from where the question went; without 'to' from nowhere (the own account), RFC 6120 8.1.2.1. */
static struct str answer_from(const struct request *rq)
{
	if (rq->as.p)
		return rq->as;
	return jid_is_none(&rq->to) ? STR_NONE : rq->to.full;
}

void reply_result(struct request *rq, struct node *child)
{
	if (!rq->iq_type)
		return; /* only an iq is answered by a result */
	send_answer(rq->xs, STANZA_IQ, answer_from(rq), rq->id, "result", child);
}

static enum stanza_kind kind_of(const struct request *rq)
{
	return rq->stanza->name == A_message	? STANZA_MESSAGE
	       : rq->stanza->name == A_presence ? STANZA_PRESENCE
						: STANZA_IQ;
}

static void send_error(struct request *rq, struct node *error)
{
	struct outgoing o = { .from = answer_from(rq), .type = STR("error"), .id = rq->id, .kind = kind_of(rq) };

	if (str_eq_c(rq->type, "error") || (rq->stanza->name == A_iq && str_eq_c(rq->type, "result")))
		return; /* row X19 */
	o.payload = payload_of_node(error);
	session_send(rq->session, &o);
	chunk_unref(o.payload);
}

void reply_error(struct request *rq, const char *type, enum atom condition, const char *text)
{
	send_error(rq, error_node(rq->a, type, condition, text));
}

void reply_error_with(struct request *rq, const char *type, enum atom condition, enum atom own, enum ns own_ns,
		      const char *text)
{
	struct node *e = error_node(rq->a, type, condition, text);

	node_add(rq->a, e, own, own_ns);
	send_error(rq, e);
}

void reply_printed(struct request *rq, struct str children)
{
	struct outgoing o = { .from = answer_from(rq),
			      .type = STR("result"),
			      .id = rq->id,
			      .kind = STANZA_IQ,
			      .payload = chunk_of(children) };

	session_send(rq->session, &o);
	chunk_unref(o.payload);
}

void reply_blocked(struct request *rq)
{
	reply_error_with(rq, "cancel", A_not_acceptable, A_blocked, NS_BLOCKING_ERRORS,
			 "You block this contact; unblock it first");
}

static const struct {
	int err;
	const char *type;
	enum atom condition;
	const char *text;
} errors[] = {
	{ ERR_NOT_FOUND, "cancel", A_item_not_found, "There is no such thing" },
	{ ERR_EXISTS, "cancel", A_conflict, "It exists already" },
	{ ERR_CONFLICT, "cancel", A_conflict, "It does not fit the present state; look again and repeat" },
	{ ERR_FORBIDDEN, "auth", A_forbidden, "You may not do that" },
	{ ERR_SYNTAX, "modify", A_bad_request, "The request is malformed" },
	{ ERR_LIMIT, "modify", A_policy_violation, "A limit of the server was reached" },
	{ ERR_NO_SPACE, "wait", A_resource_constraint,
	  "The server's disk is full; tell the administrator and repeat later" },
	{ ERR_IO, "wait", A_resource_constraint,
	  "The server could not store this; tell the administrator and repeat later" }, /* D06 */
	{ ERR_UNSUPPORTED, "cancel", A_feature_not_implemented, "The server does not do that" },
	{ ERR_AGAIN, "wait", A_resource_constraint, "The server is busy; repeat in a moment" },
	{ 0, "wait", A_internal_server_error,
	  "The server could not store this; tell the administrator and repeat later" },
};

static size_t error_row(int err)
{
	size_t i = 0;

	while (errors[i].err && errors[i].err != err)
		i++;
	return i;
}

void reply_err(struct request *rq, int err, const char *text)
{
	size_t i = error_row(err);

	reply_error(rq, errors[i].type, errors[i].condition, text ? text : errors[i].text);
}

/* ---- later ---- */

struct pending *reply_later(struct request *rq)
{
	struct str to = answer_from(rq);
	struct pending *p = mem_zero(sizeof *p + rq->id.n + to.n);

	if (rq->id.n)
		memcpy(p->bytes, rq->id.p, rq->id.n);
	if (to.n)
		memcpy(p->bytes + rq->id.n, to.p, to.n);
	p->id = rq->id.p ? str_of(p->bytes, rq->id.n) : STR_NONE;
	p->to = to.p ? str_of(p->bytes + rq->id.n, to.n) : STR_NONE;
	p->session = rq->session->number;
	p->xs = rq->xs;
	p->number = rq->sm_number;
	p->kind = kind_of(rq);
	p->slow = true;
	rq->xs->slow_pendings++;
	list_add(&rq->xs->pendings, &p->link);
	return p;
}

/* A client that sends faster than the disk takes it waits in its own TCP window, not in our memory (row E03). */
static void pause_for_disk(struct xsession *xs)
{
	struct stream *st = xs->stream;

	if (!st || st->paused_for_disk || xs->fast_pendings <= limits()->writes_waiting)
		return;
	st->paused_for_disk = true;
	st->carrier->hold(st, true);
}

static void go_on_after_disk(struct xsession *xs)
{
	struct stream *st = xs->stream;

	if (!st || !st->paused_for_disk || xs->fast_pendings > limits()->writes_waiting / 2)
		return;
	st->paused_for_disk = false;
	st->carrier->hold(st, false);
}

void pending_is_fast(struct pending *p)
{
	if (p->slow && p->xs) {
		p->xs->slow_pendings--;
		p->xs->fast_pendings++;
		pause_for_disk(p->xs);
	}
	p->slow = false;
}

static void pending_end(struct pending *p)
{
	struct xsession *xs = p->xs;

	list_del(&p->link);
	if (xs && p->slow)
		xs->slow_pendings--;
	else if (xs)
		xs->fast_pendings--;
	if (xs)
		go_on_after_disk(xs);
	mem_free(p);
	if (xs)
		sm_pending_done(xs);
}

void pending_result(struct pending *p, struct node *child)
{
	if (p->xs)
		send_answer(p->xs, STANZA_IQ, p->to, p->id, "result", child);
	pending_end(p);
}

void pending_error(struct pending *p, const char *type, enum atom condition, const char *text)
{
	if (p->xs) {
		struct arena *a = stream_arena();
		send_answer(p->xs, p->kind, p->to, p->id, "error", error_node(a, type, condition, text));
	}
	pending_end(p);
}

void pending_error_with(struct pending *p, const char *type, enum atom condition, enum atom own, enum ns own_ns,
			const char *text)
{
	if (p->xs) {
		struct node *e = error_node(stream_arena(), type, condition, text);
		node_add(stream_arena(), e, own, own_ns);
		send_answer(p->xs, p->kind, p->to, p->id, "error", e);
	}
	pending_end(p);
}

void pending_err(struct pending *p, int err, const char *text)
{
	size_t i = error_row(err);

	pending_error(p, errors[i].type, errors[i].condition, text ? text : errors[i].text);
}

void pending_drop(struct pending *p)
{
	pending_end(p);
}

struct session *pending_session(const struct pending *p)
{
	return p->xs ? &p->xs->s : NULL;
}

void pendings_forget(struct xsession *xs)
{
	list_each_safe (p, &xs->pendings, struct pending, link) {
		p->xs = NULL;
		list_del(&p->link);
	}
}

uint32_t pendings_handled(const struct xsession *xs)
{
	uint32_t handled = xs->in;

	list_each (p, &xs->pendings, struct pending, link)
		if (p->number && (int32_t)(p->number - 1 - handled) < 0)
			handled = p->number - 1;
	return handled;
}

/* ---- after a write ---- */

/* The caller's op is carried inside one of ours, which runs its apply() and answers after the commit. */
struct answered_write {
	struct write_op op; /* submitted */
	struct write_op *inner;
	struct pending *pending;
	void (*after)(struct write_op *op, struct session *s);
	void (*release)(struct write_op *op);
	struct chunk *answer; /* printed child of the result; NULL: none */
};

static int apply_inner(struct txn *t, struct write_op *op)
{
	struct write_op *inner = ((struct answered_write *)op)->inner;

	return inner->apply(t, inner);
}

static void pending_printed(struct pending *p, struct chunk *payload)
{
	struct outgoing o = {
		.kind = STANZA_IQ, .from = p->to, .type = STR("result"), .id = p->id, .payload = payload
	};

	if (p->xs)
		session_send(&p->xs->s, &o);
	pending_end(p);
}

static void answered(struct write_op *op, int err, unsigned worker)
{
	struct answered_write *w = (struct answered_write *)op;

	(void)worker;
	if (!err && w->after)
		w->after(w->inner, pending_session(w->pending));
	if (err)
		pending_err(w->pending, err, NULL);
	else
		pending_printed(w->pending, w->answer);
}

static void free_answered(struct write_op *op)
{
	struct answered_write *w = (struct answered_write *)op;

	if (w->release)
		w->release(w->inner);
	else
		mem_free(w->inner);
	chunk_unref(w->answer);
	mem_free(w);
}

static void submit(struct request *rq, struct write_op *op, struct chunk *answer,
		   void (*after)(struct write_op *op, struct session *s), void (*release)(struct write_op *op))
{
	struct answered_write *w = NEW(struct answered_write);

	w->op = (struct write_op){ .apply = apply_inner, .done = answered, .free = free_answered };
	w->inner = op;
	w->pending = reply_later(rq);
	pending_is_fast(w->pending);
	w->after = after;
	w->release = release;
	w->answer = answer;
	im_write(&w->op);
}

void reply_after_write(struct request *rq, struct write_op *op, void (*after)(struct write_op *op, struct session *s),
		       void (*release)(struct write_op *op))
{
	submit(rq, op, NULL, after, release);
}

void reply_with_after_write(struct request *rq, struct node *child, struct write_op *op,
			    void (*release)(struct write_op *op))
{
	submit(rq, op, payload_of_node(child), NULL, release);
}

void push_iq(struct session *s, struct arena *a, struct node *child)
{
	char token[RANDOM_TOKEN];
	struct chunk *payload = payload_of_node(child);
	(void)a;

	random_token(token);
	struct outgoing o = { .kind = STANZA_IQ, .type = STR("set"), .id = str_of(token, 12), .payload = payload };
	session_send(s, &o);
	chunk_unref(payload);
}
