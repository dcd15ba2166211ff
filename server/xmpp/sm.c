/*
 * Stream management (XEP-0198). <a/> tells the client only what is durable (design idea 2): the counter of handled stanzas is saved in the commit of
 * each stored message, and by an op of its own before an <a/> that is ahead of it; so h never goes back, not even over kill -9. What we sent is kept until
 * the client confirmed it; over a crash it comes again out of the log with the same stanza-ids.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "server/im/deliver.h"
#include "server/im/im.h"
#include "server/im/inflight.h"
#include "server/im/presence.h"
#include "server/net/limits.h"
#include "server/xmpp/inbox.h"
#include "server/xmpp/caps.h"
#include "server/xmpp/login.h"
#include "server/xmpp/reply.h"
#include "xml/build.h"

static _Thread_local struct hash *by_id; /* resumable sessions of this worker */

void sm_thread_init(void)
{
	by_id = hash_new();
}

void sm_thread_fini(void)
{
	hash_free(by_id);
	by_id = NULL;
}

#define SAVE_AGAIN_MS 1000 /* after a failed write */

static struct str id_of(const struct xsession *xs)
{
	return str_of(xs->sm_id, SM_ID_LEN);
}

/* ---- what the client sent: counting and <a/> ---- */

static struct sm_counters counters_at(const struct xsession *xs, uint32_t number)
{
	return (struct sm_counters){ .in = number, .out_acked = xs->out_acked, .seen_ms = clock_wall_ms() };
}

void sm_checkpoint_for(struct xsession *xs, uint32_t number, struct sm_checkpoint *out)
{
	out->id[0] = '\0';
	if (!xs->resumable || xs->slow_pendings)
		return;
	memcpy(out->id, xs->sm_id, sizeof out->id);
	out->counters = counters_at(xs, number);
	xs->in_submitted = number;
}

void sm_saved(struct xsession *xs, uint32_t number)
{
	if ((int32_t)(number - xs->in_saved) > 0)
		xs->in_saved = number;
}

static void send_ack(struct xsession *xs, uint32_t h)
{
	char text[64];
	int n = snprintf(text, sizeof text, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", h);

	xs->ack_wanted = false;
	if (xs->stream)
		stream_send(xs->stream, str_of(text, (size_t)n));
}

struct counters_op {
	struct write_op op;
	char id[SM_ID_LEN + 1];
	struct sm_counters c;
	uint64_t session;
};

static void save_state(const struct xsession *xs, struct str queue);

/* What the disk refused is written when it takes it again; without that a client whose window is full would wait for its <a/> for ever (row D06). */
static void save_again(struct timer *t)
{
	struct xsession *xs = list_entry(t, struct xsession, save_again);

	if (xs->state_unsaved)
		save_state(xs, STR_NONE);
	xs->state_unsaved = false;
	sm_pending_done(xs);
}

static void try_again_later(struct xsession *xs)
{
	xs->save_again.fire = save_again;
	loop_timer(loop_self(), &xs->save_again, SAVE_AGAIN_MS);
}

void sm_not_saved(struct xsession *xs, uint32_t number)
{
	if (xs->in_submitted == number)
		xs->in_submitted = xs->in_saved;
}

static int apply_counters(struct txn *t, struct write_op *op)
{
	struct counters_op *c = (struct counters_op *)op;

	sm_put_counters(t, str_of(c->id, SM_ID_LEN), &c->c);
	return txn_error(t);
}

static void counters_done(struct write_op *op, int err, unsigned worker)
{
	struct counters_op *c = (struct counters_op *)op;
	struct session *s = session_by_number(c->session);

	(void)worker;
	if (!s)
		return;
	if (err) { /* no <a/> yet: the client keeps what it sent */
		sm_not_saved((struct xsession *)s, c->c.in);
		try_again_later((struct xsession *)s);
		return;
	}
	sm_saved((struct xsession *)s, c->c.in);
	sm_pending_done((struct xsession *)s);
}

static void free_op(struct write_op *op)
{
	mem_free(op);
}

static void save_counters(struct xsession *xs, uint32_t number)
{
	struct counters_op *c = NEW(struct counters_op);

	c->op = (struct write_op){ .apply = apply_counters, .done = counters_done, .free = free_op };
	memcpy(c->id, xs->sm_id, sizeof c->id);
	c->c = counters_at(xs, number);
	c->session = xs->s.number;
	xs->in_submitted = number;
	im_write(&c->op);
}

/* Answers a waiting <r/> as soon as everything received is handled and durable. */
void sm_pending_done(struct xsession *xs)
{
	if (!xs->sm || !xs->ack_wanted)
		return;
	uint32_t handled = pendings_handled(xs);
	if (!xs->resumable) { /* nothing survives us: handled is enough */
		if (handled == xs->in)
			send_ack(xs, handled);
		return;
	}
	if (handled != xs->in)
		return;
	if (xs->in_saved == handled)
		send_ack(xs, handled);
	else if (xs->in_submitted != handled)
		save_counters(xs, handled);
}

/* ---- what we sent: <r/> and its answer ---- */

/* The client answers no more although its TCP may look alive (limit sm_ack_ms): the session waits for a resumption. */
static void no_answer(struct timer *t)
{
	struct xsession *xs = list_entry(t, struct xsession, expire);

	if (!xs->stream)
		return;
	limit_hit_log("sm_ack_ms", xs->s.jid.full.p);
	xs->stream->carrier->abort(xs->stream, ERR_TIMEOUT);
}

void sm_request(struct xsession *xs)
{
	if (!xs->sm || !xs->stream || xs->request_sent || (xs->out_count == xs->out_acked && !xs->uncounted))
		return;
	xs->request_sent = true;
	xs->expire.fire = no_answer;
	loop_timer(loop_self(), &xs->expire, limits()->sm_ack_ms);
	stream_send(xs->stream, STR("<r xmlns='urn:xmpp:sm:3'/>"));
}

/* h from the client; false after a stream error (row A18, arithmetic modulo 2^32). */
static bool take_h_number(struct stream *st, struct xsession *xs, uint32_t h)
{
	uint32_t fresh = h - xs->out_acked, sent = xs->out_count - xs->out_acked;

	if (fresh > sent) {
		struct arena *a = stream_arena();
		struct node *e = node_new(a, A_error, NS_STREAMS);
		node_add(a, e, A_undefined_condition, NS_STREAM_ERRORS);
		struct node *c = node_add(a, e, A_handled_count_too_high, NS_SM3);
		node_set_u64(a, c, "h", h);
		node_set_u64(a, c, "send-count", xs->out_count);
		stream_send_node(st, e);
		st->error = "undefined-condition";
		stream_end(st);
		return false;
	}
	/* An answer to our <r/>, or to anything behind <enabled/>: what went out before was read. */
	for (; xs->uncounted && (xs->request_sent || fresh); xs->uncounted--)
		xsession_pop(xs, true);
	while (fresh-- && xs->out.first) {
		xsession_pop(xs, true);
		xs->out_acked++;
	}
	return true;
}

static bool take_h(struct stream *st, struct xsession *xs, struct str text)
{
	uint64_t h;

	if (str_u64(text, UINT32_MAX, &h)) {
		stream_error(st, "bad-format", "h must be a number");
		return false;
	}
	return take_h_number(st, xs, (uint32_t)h);
}

static void failed(struct stream *st, enum atom condition)
{
	struct arena *a = stream_arena();
	struct node *f = node_new(a, A_failed, NS_SM3);

	node_add(a, f, condition, NS_STANZA_ERRORS);
	stream_send_node(st, f);
}

void sm_element(struct stream *st, struct node *n)
{
	struct xsession *xs = st->xs;

	if (n->name == A_enable) {
		struct str want = node_attr(n, "resume");
		if (xs->sm) {
			failed(st, A_unexpected_request);
			return;
		}
		stream_send_node(st, sm_enable(xs, str_eq_c(want, "true") || str_eq_c(want, "1"), stream_arena()));
	} else if (!xs->sm || (n->name != A_r && n->name != A_a)) {
		failed(st, A_unexpected_request);
	} else if (n->name == A_r) {
		xs->ack_wanted = true;
		sm_pending_done(xs);
	} else if (take_h(st, xs, node_attr(n, "h"))) {
		xs->request_sent = false;
		loop_timer_cancel(loop_self(), &xs->expire);
		st->ping_sent_ms = 0;
		if (xs->out_count != xs->out_acked || xs->uncounted)
			loop_defer(loop_self(), &st->turn);
	}
}

/* ---- enabling ---- */

struct state_op {
	struct write_op op;
	char id[SM_ID_LEN + 1];
	struct sm_rec rec;
	struct str queue;
	struct chunk *presence;
	uint64_t session;
	bool remove;
};

static int apply_state(struct txn *t, struct write_op *op)
{
	struct state_op *s = (struct state_op *)op;
	struct str id = str_of(s->id, SM_ID_LEN);

	if (s->remove) {
		sm_del(t, id);
	} else {
		sm_put(t, id, &s->rec);
		if (s->queue.p)
			sm_put_queue(t, id, s->queue);
	}
	return txn_error(t);
}

static void state_done(struct write_op *op, int err, unsigned worker)
{
	struct state_op *o = (struct state_op *)op;
	struct session *s = err && !o->remove ? session_by_number(o->session) : NULL;

	(void)worker;
	if (err)
		log_warn("sm.not_saved", LERR(err));
	if (!s)
		return;
	((struct xsession *)s)->state_unsaved = true;
	try_again_later((struct xsession *)s);
}

static void state_free(struct write_op *op)
{
	struct state_op *s = (struct state_op *)op;

	mem_free((void *)s->rec.full_jid.p);
	mem_free((void *)s->queue.p);
	chunk_unref(s->presence);
	mem_free(s);
}

static struct state_op *state_new(const struct xsession *xs)
{
	struct state_op *o = NEW(struct state_op);

	o->op = (struct write_op){ .apply = apply_state, .done = state_done, .free = state_free };
	memcpy(o->id, xs->sm_id, sizeof o->id);
	o->session = xs->s.number;
	return o;
}

/* Saves who this session is; again when it detaches, with its last presence. */
static void save_state(const struct xsession *xs, struct str queue)
{
	struct state_op *o = state_new(xs);
	const struct session *s = &xs->s;

	o->presence = s->presence ? chunk_ref(s->presence) : NULL;
	o->rec = (struct sm_rec){
		.account = s->user->id,
		.credentials_epoch = s->user->credentials_epoch,
		.full_jid = jid_dup_heap(s->jid).full,
		.expires_ms = clock_wall_ms() + limits()->sm_resume_ms,
		.carbons = s->carbons,
		.is_admin = s->user->is_admin,
		.wants_roster = s->wants_roster,
		.wants_blocklist = s->wants_blocklist,
		.inbox = s->inbox,
		.follows = s->follows,
		.available = s->available,
		.priority = s->priority,
		.presence = chunk_str(s->presence),
	};
	o->queue = queue;
	im_write(&o->op);
}

void sm_credentials_changed(struct xsession *xs)
{
	if (!xs->resumable)
		return;
	save_state(xs, STR_NONE);
	save_counters(xs, xs->in_saved); /* a sweep between the change and this may have removed both */
}

void sm_state_changed(struct xsession *xs)
{
	if (xs->resumable)
		save_state(xs, STR_NONE);
}

struct node *sm_enable(struct xsession *xs, bool want_resume, struct arena *a)
{
	struct node *e = node_new(a, A_enabled, NS_SM3);
	char token[RANDOM_TOKEN];

	xsession_confirm(xs);
	xs->sm = true;
	loop_timer_cancel(loop_self(), &xs->expire); /* TCP is not asked any more */
	xs->uncounted = (uint32_t)xs->out.n;	     /* what it has not confirmed waits for an <a/> (promise P4) */
	if (xs->uncounted && xs->stream)
		loop_defer(loop_self(), &xs->stream->turn);
	if (!want_resume || !limits()->sm_resume_ms)
		return e;
	random_token(token);
	memcpy(xs->sm_id, token, SM_ID_LEN);
	xs->resumable = true;
	hash_put(by_id, id_of(xs), xs);
	save_state(xs, STR_NONE);
	node_set(a, e, "id", arena_str(a, id_of(xs)));
	node_set(a, e, "resume", STR("true"));
	node_set_u64(a, e, "max", limits()->sm_resume_ms / 1000);
	return e;
}

/* ---- losing the connection ---- */

static void resume_time_over(struct timer *t)
{
	struct xsession *xs = list_entry(t, struct xsession, expire);

	log_info("session.expired", LS("jid", xs->s.jid.full));
	xsession_close(xs);
}

void sm_drop_uncounted(struct xsession *xs)
{
	for (; xs->uncounted; xs->uncounted--)
		xsession_pop(xs, false);
}

void sm_detach(struct xsession *xs)
{
	xs->expire.fire = resume_time_over;
	loop_timer(loop_self(), &xs->expire, limits()->sm_resume_ms);
	save_state(xs, STR_NONE);
}

void sm_forget(struct xsession *xs)
{
	if (!xs->resumable)
		return;
	hash_del(by_id, id_of(xs));
	struct state_op *o = state_new(xs);
	o->remove = true;
	im_write(&o->op);
}

/* ---- resuming ---- */

static struct node *resume_failed(struct arena *a, enum atom condition)
{
	struct node *f = node_new(a, A_failed, NS_SM3);

	node_add(a, f, condition, NS_STANZA_ERRORS);
	return f;
}

/* What the client had confirmed of the stanzas that were on their way at an orderly stop (their gids in order, 0: transient). */
static void confirm_saved_queue(struct xsession *xs, struct str queue, uint32_t out_acked, uint32_t h)
{
	uint32_t confirmed = h - out_acked;

	for (uint32_t i = 0; i < confirmed && (size_t)(i + 1) * 8 <= queue.n; i++) {
		uint64_t gid;
		memcpy(&gid, queue.p + (size_t)i * 8, 8);
		if (gid)
			inflight_confirm(xs->s.user, gid);
	}
}

static void restore_fields(struct xsession *xs, struct str id, const struct sm_rec *r, const struct sm_counters *c,
			   uint32_t h)
{
	xs->sm = xs->resumable = true;
	memcpy(xs->sm_id, id.p, SM_ID_LEN);
	hash_put(by_id, id_of(xs), xs);
	xs->in = xs->in_saved = xs->in_submitted = c->in;
	/* What was sent before the restart is not known any more: counting goes on from what the client saw; stored messages that it did
	 * not confirm come again by deliver_waiting. */
	xs->out_acked = xs->out_count = h;
	xs->s.carbons = r->carbons;
	xs->s.wants_roster = r->wants_roster;
	xs->s.wants_blocklist = r->wants_blocklist;
	if (r->inbox)
		inbox_subscribe(&xs->s, r->follows);
	xs->s.detached = true;
	xs->expire.fire = resume_time_over;
	loop_timer(loop_self(), &xs->expire, limits()->sm_resume_ms);
}

/* Somebody has bound that resource since the restart (RFC 6120 7.7.2.2). */
static bool is_taken(const struct jid *jid)
{
	struct user *u = user_find(jid_bare(jid));

	return u && session_find(u, jid_resource(jid));
}

/* A state of before a restart (row D17) becomes a detached session again; NULL when there is none for this account. */
static struct xsession *restore(struct stream *st, struct str id, uint32_t h)
{
	struct txn *t = im_read();
	struct sm_rec r;
	struct sm_counters c;
	struct str queue;
	struct xsession *xs = NULL;
	struct login *l = st->login;
	int err = id.n == SM_ID_LEN ? sm_get(t, id, &r, &c, &queue) : ERR_NOT_FOUND;
	struct jid jid;

	if (!err && r.account == l->account_id && r.credentials_epoch == l->credentials_epoch &&
	    clock_wall_ms() < (c.seen_ms + limits()->sm_resume_ms > r.expires_ms ? c.seen_ms + limits()->sm_resume_ms
										 : r.expires_ms) &&
	    jid_parse(stream_arena(), r.full_jid, &jid) == 0 && !is_taken(&jid))
		xs = xsession_new(&jid, r.account, r.credentials_epoch, r.is_admin, &err);
	if (xs) {
		restore_fields(xs, id, &r, &c, h);
		confirm_saved_queue(xs, queue, c.out_acked, h);
		if (r.available) {
			struct chunk *presence = chunk_of(r.presence);
			presence_restore(&xs->s, presence, r.priority);
			chunk_unref(presence);
			/* What waited goes into the queue now, before anything new can: one order (row D04). */
			if (r.priority >= 0)
				deliver_waiting(&xs->s);
			caps_restored(&xs->s, r.presence);
		}
	}
	txn_commit(t);
	return xs;
}

/* The answer waits for an op behind everything this session has in the writer's queue: only then is it known, and durable, up to where its stanzas
 * were handled, and nothing is sent twice. */
struct resume_wait {
	struct write_op op;
	struct sm_counters counters;
	char id[SM_ID_LEN + 1];
	struct stream *st; /* NULL: closed meanwhile */
	uint64_t session;
	uint32_t h;
	sm_resumed_fn *done;
};

static int apply_resume(struct txn *t, struct write_op *op)
{
	struct resume_wait *w = (struct resume_wait *)op;
	struct sm_rec r;
	struct sm_counters c;
	struct str queue;
	int err = sm_get(t, str_of(w->id, SM_ID_LEN), &r, &c, &queue);

	if (err)
		return err; /* ended by an op before this one: an id is good for one session only (row A17) */
	sm_put_counters(t, str_of(w->id, SM_ID_LEN), &w->counters);
	if (queue.n) /* was used by restore(): from here on stanzas are counted anew */
		sm_del_queue(t, str_of(w->id, SM_ID_LEN));
	return txn_error(t);
}

static void attach(struct stream *st, struct xsession *xs)
{
	if (xs->stream) { /* the old connection is dead, we had not noticed */
		struct stream *old = xs->stream;
		sm_drop_uncounted(xs);
		old->xs = NULL;
		xs->stream = NULL;
		stream_error(old, "conflict", "The session was resumed by another connection");
		old->carrier->hold(old, false); /* closing: nothing is handled any more */
	} else {
		for (struct unacked *u = xs->out.first; u; u = u->next)
			if (u->gid)
				inflight_hold(xs->s.user, u->gid);
	}
	st->xs = xs;
	xs->stream = st;
	xs->s.detached = false;
	xs->s.inactive = false; /* XEP-0352 5.2 */
	loop_timer_cancel(loop_self(), &xs->expire);
}

/* While a resumption waits for its commit the old connection is not read: its h is fixed, and the client sends again what is not in it. */
static void resume_begins(struct xsession *xs)
{
	if (xs->resumes++ == 0 && xs->stream)
		xs->stream->carrier->hold(xs->stream, true);
}

/* st: the stream that has the session now; NULL: it stays where it was, and that one goes on. */
static void resume_ends(struct xsession *xs, struct stream *st)
{
	xs->resumes--;
	if (st)
		attach(st, xs);
	if (st && xs->resumes)
		st->carrier->hold(st, true);
	else if (!st && !xs->resumes && xs->stream)
		xs->stream->carrier->hold(xs->stream, false);
}

static void resume_committed(struct write_op *op, int err, unsigned worker)
{
	struct resume_wait *w = (struct resume_wait *)op;
	struct stream *st = w->st;
	struct session *s = session_by_number(w->session);
	struct arena *a = stream_arena();

	(void)worker;
	if (st)
		st->resume_wait = NULL;
	bool wanted = st && st->phase != PHASE_CLOSED;
	if (s)
		resume_ends((struct xsession *)s, wanted && !err ? st : NULL);
	if (!wanted)
		return;
	if (err || !s) {
		w->done(st, resume_failed(a, err && err != ERR_NOT_FOUND ? A_internal_server_error : A_item_not_found),
			false);
		if (err == ERR_NOT_FOUND && s && s->detached)
			xsession_close((struct xsession *)s);
		return;
	}
	struct xsession *xs = (struct xsession *)s;
	sm_saved(xs, w->counters.in);
	if (!take_h_number(st, xs, w->h))
		return;
	xs->in = xs->in_submitted = xs->in_saved;
	struct node *r = node_new(a, A_resumed, NS_SM3);
	node_set_u64(a, r, "h", xs->in);
	node_set(a, r, "previd", arena_str(a, id_of(xs)));
	log_info("session.resumed", LU("conn", st->id), LS("jid", xs->s.jid.full), LU("h", xs->in));
	w->done(st, r, true);
	arena_reset(a);
}

void sm_resume_forget(struct stream *st)
{
	if (st->resume_wait)
		st->resume_wait->st = NULL;
	st->resume_wait = NULL;
}

void sm_resume(struct stream *st, struct node *resume, sm_resumed_fn *done)
{
	struct arena *a = stream_arena();
	struct str previd = node_attr(resume, "previd");
	uint64_t h;

	if (!previd.p || str_u64(node_attr(resume, "h"), UINT32_MAX, &h)) {
		done(st, resume_failed(a, A_bad_request), false);
		return;
	}
	struct xsession *xs = hash_get(by_id, previd);
	if (xs && xs->s.user->id != st->login->account_id)
		xs = NULL; /* row A17: another's session is as good as none */
	else if (!xs)
		xs = restore(st, previd, (uint32_t)h);
	if (!xs || st->resume_wait) {
		done(st, resume_failed(a, A_item_not_found), false);
		return;
	}
	struct resume_wait *w = NEW(struct resume_wait);
	w->op = (struct write_op){ .apply = apply_resume, .done = resume_committed, .free = free_op };
	memcpy(w->id, xs->sm_id, sizeof w->id);
	/* What is in the writer's queue is durable when this op is; only slow answers (helper threads) are not. */
	w->counters = counters_at(xs, xs->slow_pendings ? pendings_handled(xs) : xs->in);
	w->st = st;
	w->session = xs->s.number;
	w->h = (uint32_t)h;
	w->done = done;
	st->resume_wait = w;
	resume_begins(xs);
	im_write(&w->op);
}

void sm_after_resume(struct stream *st)
{
	struct xsession *xs = st->xs;

	xs->request_sent = false;
	for (struct unacked *u = xs->out.first; u && st->xs == xs; u = u->next)
		stream_send_parts(st, str_of(u->bytes, u->head_n), u->payload, str_of(u->bytes + u->head_n, u->tail_n),
				  false);
	loop_defer(loop_self(), &st->turn);
	if (st->xs == xs)
		csi_set(xs, false);
	if (xs->s.available && xs->s.priority >= 0)
		deliver_waiting(&xs->s);
}

/* Orderly stop: which stored messages are on their way, in order, so that the resumption doubles nothing. */
void sm_save_for_shutdown(struct xsession *xs)
{
	if (!xs->resumable)
		return;
	sm_drop_uncounted(xs);
	uint64_t *gids = mem_alloc(xs->out.n * sizeof *gids);
	size_t n = 0;

	for (struct unacked *u = xs->out.first; u; u = u->next)
		gids[n++] = u->gid;
	save_state(xs, str_of((const char *)gids, n * sizeof *gids));
	save_counters(xs, xs->slow_pendings ? pendings_handled(xs) : xs->in);
}
