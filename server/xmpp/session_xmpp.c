/*
 * The XMPP session: prints what the messenger hands over (im/transport.h), keeps it until the client or TCP confirmed it, and lives on without a
 * connection when it can be resumed. Home thread.
 */
#include "server/xmpp/session_xmpp.h"
#include "base/log.h"
#include "base/random.h"
#include "server/im/auth.h"
#include "server/im/chat_room.h"
#include "server/im/deliver.h"
#include "server/im/inflight.h"
#include "server/im/opaque.h"
#include "server/net/limits.h"
#include "server/xmpp/login.h"
#include "server/xmpp/reply.h"
#include "xml/datetime.h"
#include "xml/print.h"

#define CONFIRM_EVERY 64 /* entries after which TCP is asked without waiting for the timer */
#define CONFIRM_MS 1000

static const char *const kind_names[] = { "message", "presence", "iq" };
static _Thread_local struct buf head_buf, tail_buf;

/* ---- printing ---- */

void xsessions_thread_init(void)
{
	buf_init(&head_buf, 65536);
	buf_init(&tail_buf, 65536);
}

void xsessions_thread_fini(void)
{
	buf_clear(&head_buf);
	buf_clear(&tail_buf);
}

static void print_start(struct buf *b, const struct outgoing *o, struct str to)
{
	buf_byte(b, '<');
	buf_str_add(b, str_c(kind_names[o->kind]));
	print_attr(b, "from", o->from);
	print_attr(b, "to", to);
	print_attr(b, "type", o->type);
	print_attr(b, "id", o->id);
	print_attr(b, "xml:lang", o->lang);
	buf_byte(b, '>');
}

static void print_stanza_id(struct buf *b, const struct outgoing *o)
{
	char id[OPAQUE_LEN];

	if (!o->gid)
		return;
	opaque_print(o->gid, id);
	buf_lit(b, "<stanza-id xmlns='urn:xmpp:sid:0'");
	print_attr(b, "by", o->by);
	print_attr(b, "id", str_of(id, OPAQUE_LEN));
	buf_lit(b, "/>");
}

static void print_delay(struct buf *b, const struct outgoing *o)
{
	char when[DATETIME_MAX];

	if (!o->delay_ms)
		return;
	buf_lit(b, "<delay xmlns='urn:xmpp:delay'");
	if (o->chat)
		print_attr(b, "from", o->by); /* XEP-0045 7.2.14: the room says when */
	print_attr(b, "stamp", str_of(when, datetime_print(o->delay_ms, when)));
	buf_lit(b, "/>");
}

static void print_occupant(struct buf *b, const struct outgoing *o)
{
	if (!o->occupant.p)
		return;
	buf_lit(b, "<occupant-id xmlns='urn:xmpp:occupant-id:0'"); /* XEP-0421 */
	print_attr(b, "id", o->occupant);
	buf_lit(b, "/>");
}

static void print_end(struct buf *b, const struct outgoing *o)
{
	print_occupant(b, o);
	print_stanza_id(b, o);
	print_delay(b, o);
	buf_lit(b, "</");
	buf_str_add(b, str_c(kind_names[o->kind]));
	buf_byte(b, '>');
}

/* XEP-0280: the copy travels inside a message from the own bare JID. */
static void print_carbon(struct xsession *xs, const struct outgoing *o)
{
	const char *name = o->carbon == CARBON_SENT ? "sent" : "received";
	struct outgoing outer = { .kind = STANZA_MESSAGE, .from = xs->s.user->jid.full, .type = o->type };

	print_start(&head_buf, &outer, xs->s.jid.full);
	buf_printf(&head_buf, "<%s xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>", name);
	buf_lit(&head_buf, "<message xmlns='jabber:client'");
	print_attr(&head_buf, "from", o->from);
	print_attr(&head_buf, "to", o->to);
	print_attr(&head_buf, "type", o->type);
	print_attr(&head_buf, "id", o->id);
	print_attr(&head_buf, "xml:lang", o->lang);
	buf_byte(&head_buf, '>');
	print_end(&tail_buf, o);
	buf_printf(&tail_buf, "</forwarded></%s></message>", name);
}

static void print_outgoing(struct xsession *xs, const struct outgoing *o)
{
	buf_reset(&head_buf);
	buf_reset(&tail_buf);
	if (o->carbon != CARBON_NONE) {
		print_carbon(xs, o);
		return;
	}
	/* RFC 6121: stanzas to the bare JID reach each resource with the address they were sent to, or its own full JID. */
	print_start(&head_buf, o, o->to.p ? o->to : xs->s.jid.full);
	print_end(&tail_buf, o);
}

/* ---- keeping until confirmed ---- */

static void keep(struct xsession *xs, struct str head, struct chunk *payload, struct str tail, struct kept_id id)
{
	size_t n = xs->sm ? head.n + tail.n : 0;
	struct unacked *u = mem_alloc(sizeof *u + n);

	*u = (struct unacked){ .gid = id.gid, .chat = id.chat, .seq = id.seq };
	if (xs->sm) {
		u->payload = payload ? chunk_ref(payload) : NULL;
		u->head_n = (uint32_t)head.n;
		u->tail_n = (uint32_t)tail.n;
		if (head.n)
			memcpy(u->bytes, head.p, head.n);
		if (tail.n)
			memcpy(u->bytes + head.n, tail.p, tail.n);
		xs->out_count++;
	}
	if (xs->out.last)
		xs->out.last->next = u;
	else
		xs->out.first = u;
	xs->out.last = u;
	if (!xs->out.unsent)
		xs->out.unsent = u;
	xs->out.n++;
	if (id.gid && !xs->s.detached)
		inflight_hold(xs->s.user, id.gid); /* a lost client holds nothing back from the next login */
}

/* Takes the oldest one off: confirmed, or lost with the session. */
void xsession_pop(struct xsession *xs, bool confirmed)
{
	struct unacked *u = xs->out.first;

	xs->out.first = u->next;
	if (!xs->out.first)
		xs->out.last = NULL;
	if (xs->out.unsent == u)
		xs->out.unsent = u->next;
	xs->out.n--;
	if (u->gid && confirmed)
		inflight_confirm(xs->s.user, u->gid);
	else if (u->gid && !xs->s.detached)
		inflight_drop(xs->s.user, u->gid);
	if (u->chat && confirmed)
		room_confirmed(xs->s.user, u->chat, u->seq);
	chunk_unref(u->payload);
	mem_free(u);
}

static void ask_tcp(struct xsession *xs)
{
	uint64_t confirmed = xs->stream->carrier->confirmed(xs->stream);

	while (xs->out.first && xs->out.first->tx_end && xs->out.first->tx_end <= confirmed)
		xsession_pop(xs, true);
}

void xsession_drained(struct xsession *xs)
{
	if (xs->sm || !xs->out.n || !xs->stream)
		return;
	uint64_t total = xs->stream->carrier->sent(xs->stream);
	for (; xs->out.unsent; xs->out.unsent = xs->out.unsent->next)
		xs->out.unsent->tx_end = total;
	if (xs->out.n >= CONFIRM_EVERY)
		ask_tcp(xs);
}

/* One second after the last stored message: what TCP confirmed by then was delivered (promise P4). */
static void confirm_later(struct timer *t)
{
	struct xsession *xs = list_entry(t, struct xsession, expire);

	if (!xs->stream || xs->sm)
		return;
	xsession_confirm(xs);
	if (xs->out.n)
		loop_timer(loop_self(), t, CONFIRM_MS);
}

void xsession_confirm(struct xsession *xs)
{
	if (xs->sm || !xs->out.n || !xs->stream)
		return;
	if (xs->stream->carrier->queued(xs->stream) == 0)
		xsession_drained(xs);
	ask_tcp(xs);
}

void xsession_write(struct xsession *xs, struct str head, struct chunk *payload, struct str tail, struct kept_id id,
		    bool may_wait)
{
	const struct limits *l = limits();

	if (xs->sm || id.gid || id.chat) {
		keep(xs, head, payload, tail, id);
		if (!xs->sm && xs->out.n == 1) {
			xs->expire.fire = confirm_later;
			loop_timer(loop_self(), &xs->expire, CONFIRM_MS);
		}
	}
	if (xs->stream) {
		if (xs->sm)
			(may_wait ? loop_later
				  : loop_defer)(loop_self(),
						&xs->stream->turn); /* <r/>, before the connection flushes */
		stream_send_parts(xs->stream, head, payload, tail, may_wait);
	}
	if (!xs->stream && xs->out.n > l->sm_queue) { /* nobody there to read it: what is stored waits in the log */
		limit_hit_log("sm_queue", xs->s.jid.full.p);
		loop_timer(loop_self(), &xs->expire,
			   0); /* ends the session, not within this call: the caller walks the sessions */
	}
}

/* Confirming it moves the delivered cursor. A copy for a resource that is no target of messages does not (RFC 6121 8.5.2.1, XEP-0160): the message
 * waits for one that is. */
static bool delivers(const struct session *s, const struct outgoing *o)
{
	return o->carbon == CARBON_NONE || (o->carbon == CARBON_RECEIVED && s->available && s->priority >= 0);
}

static void send_outgoing(struct session *s, const struct outgoing *o)
{
	struct xsession *xs = (struct xsession *)s;

	if (xs->dying)
		return;
	print_outgoing(xs, o);
	if (s->inactive && csi_hold(xs, o, buf_str(&head_buf), buf_str(&tail_buf)))
		return;
	if (s->inactive && xs->held)
		csi_flush(xs);
	/* A chat message waits for its cursor in the chat, not for the one of private messages. */
	struct kept_id id = { .gid = delivers(s, o) && !o->chat ? o->gid : 0, .chat = o->chat, .seq = o->seq };
	xsession_write(xs, buf_str(&head_buf), o->payload, buf_str(&tail_buf), id, o->may_wait);
}

/* ---- ending ---- */

static void release_out(struct xsession *xs)
{
	while (xs->out.first)
		xsession_pop(xs, false);
}

/* The other sessions of the user that could take what this one left behind. */
static void hand_over(struct user *u, const struct session *except)
{
	uint64_t one;

	if (!inflight_waiting(u, &one, 1))
		return;
	list_each (s, &u->sessions, struct session, of_user) {
		if (s == except || s->detached || !s->available || s->priority < 0)
			continue;
		deliver_waiting(s);
		return;
	}
}

void xsession_close(struct xsession *xs)
{
	if (xs->busy) {
		xs->dying = true;
		return;
	}
	struct user *u = xs->s.user;
	struct str bare = u->jid.full;
	char keep_bare[3 * 1024 + 3];
	size_t n = bare.n < sizeof keep_bare ? bare.n : 0;

	memcpy(keep_bare, bare.p, n);
	loop_timer_cancel(loop_self(), &xs->expire);
	loop_timer_cancel(loop_self(), &xs->save_again);
	release_out(xs);
	pendings_forget(xs);
	csi_free(xs);
	if (xs->sm)
		sm_forget(xs);
	log_info("session.closed", LS("jid", xs->s.jid.full));
	session_close(&xs->s);
	mem_free(xs);
	u = user_find(str_of(keep_bare, n));
	if (u)
		hand_over(u, NULL);
}

static void drop_one(struct session *s, void *ctx)
{
	struct xsession *xs = (struct xsession *)s;

	(void)ctx;
	if (s->transport != &xmpp_transport)
		return;
	loop_timer_cancel(loop_self(), &xs->expire);
	loop_timer_cancel(loop_self(), &xs->save_again);
	if (xs->stream)
		xs->stream->xs = NULL;
	release_out(xs);
	pendings_forget(xs);
	csi_free(xs);
	session_drop(s);
	mem_free(xs);
}

void xsessions_drop_all(void)
{
	session_each(drop_one, NULL);
}

void xsession_stream_gone(struct xsession *xs, bool clean)
{
	if (!xs->sm && xs->out.n)
		loop_timer_cancel(loop_self(), &xs->expire);
	if (clean || !xs->resumable || xs->dying) {
		xsession_close(xs);
		return;
	}
	sm_drop_uncounted(xs);
	xs->s.detached = true;
	xs->request_sent = xs->ack_wanted = false;
	for (struct unacked *u = xs->out.first; u; u = u->next)
		if (u->gid)
			inflight_drop(
				xs->s.user,
				u->gid); /* the next login may have it (and the resumption too, with the same id) */
	log_info("session.detached", LS("jid", xs->s.jid.full), LU("unacked", xs->out.n));
	sm_detach(xs);
	hand_over(xs->s.user, &xs->s);
}

static void kick(struct session *s, const char *condition, const char *text)
{
	struct xsession *xs = (struct xsession *)s;
	struct stream *st = xs->stream;

	if (st) {
		st->xs = NULL;
		xs->stream = NULL;
		stream_error(st, condition, text);
	}
	xsession_close(xs);
}

static void describe(struct session *s, struct buf *b)
{
	struct xsession *xs = (struct xsession *)s;
	struct stream *st = xs->stream;

	struct tls_session *tls = st ? stream_tls(st) : NULL;

	buf_printf(b, "\"transport\":\"%s\",\"resumable\":%s,\"connected\":%s", st ? st->carrier->name : "none",
		   xs->resumable ? "true" : "false", st ? "true" : "false");
	if (st)
		buf_printf(b, ",\"ip\":\"%s\"", st->ip);
	if (tls)
		buf_printf(b, ",\"tls\":\"%s\",\"cipher\":\"%s\"", tls_version(tls), tls_cipher(tls));
}

/* Half of what would be too much. A lost session is never full: nobody could empty it, and one that gets too much ends by limit sm_queue. */
static bool is_full(const struct session *s)
{
	const struct xsession *xs = (const struct xsession *)s;

	return xs->stream && (xs->stream->carrier->queued(xs->stream) > limits()->output_bytes / 2 ||
			      (xs->sm && xs->out.n > limits()->sm_queue / 2));
}

const struct transport xmpp_transport = { "tcp", send_outgoing, kick, describe, is_full };

void xsession_enter(struct xsession *xs)
{
	xs->busy++;
}

void xsession_leave(struct xsession *xs)
{
	if (--xs->busy == 0 && xs->dying)
		xsession_close(xs);
}

/* ---- binding ---- */

static int resource_for(struct stream *st, struct str wanted, struct jid *out)
{
	struct arena *a = stream_arena();
	char token[RANDOM_TOKEN];
	struct str resource;

	if (str_empty(wanted)) {
		random_token(token);
		resource = arena_str(a, str_c(token));
	} else if (jid_prep_resource(a, wanted, &resource)) {
		return ERR_SYNTAX;
	}
	struct jid bare;
	if (jid_parse(a, st->login->bare, &bare))
		return ERR_SYNTAX;
	*out = jid_make(a, jid_local(&bare), jid_domain(&bare), resource);
	return 0;
}

struct xsession *xsession_new(const struct jid *jid, uint32_t account, uint32_t epoch, bool is_admin, int *out_err)
{
	/* The login may be older than a password change that just ended all sessions here: this one must not come after it (row A16). */
	*out_err = auth_still_valid(account, epoch);
	if (*out_err)
		return NULL;
	struct xsession *xs = NEW(struct xsession);

	list_init(&xs->pendings);
	list_init(&xs->held_order);
	*out_err = session_open(&xs->s, jid, account, epoch, is_admin, &xmpp_transport);
	if (!*out_err)
		return xs;
	mem_free(xs);
	return NULL;
}

int xsession_bind(struct stream *st, struct str wanted)
{
	struct login *l = st->login;
	struct jid jid;
	int err = resource_for(st, wanted, &jid);

	if (err)
		return err;
	struct user *u = user_find(jid_bare(&jid));
	struct session *old = u ? session_find(u, jid_resource(&jid)) : NULL;
	if (old)
		old->transport->kick(old, "conflict", "The same account logged in with the same resource");
	struct xsession *xs = xsession_new(&jid, l->account_id, l->credentials_epoch, l->is_admin, &err);
	if (!xs)
		return err;
	xs->stream = st;
	st->xs = xs;
	log_info("session.bound", LU("conn", st->id), LS("jid", xs->s.jid.full), LC("ip", st->ip),
		 LC("transport", st->carrier->name), LC("tls", stream_tls(st) ? tls_version(stream_tls(st)) : ""));
	return 0;
}
