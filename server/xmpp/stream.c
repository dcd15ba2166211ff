/*
 * A client stream's life over whatever carries it: header, errors, close, and the move to its home worker. What elements mean is in phase.c and the
 * feature files. One thread at a time: the worker whose loop the carrier is attached to.
 */
#include "server/xmpp/stream.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/net/listener.h"
#include "server/net/threads.h"
#include "server/xmpp/login.h"
#include "server/xmpp/session_xmpp.h"
#include "xml/build.h"
#include "xml/jid.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <assert.h>

static _Thread_local struct arena *arena;
static _Thread_local struct list all_streams;
static _Thread_local size_t n_streams;
static _Thread_local struct buf scratch, joined;

#define JOIN_MAX 1024 /* a payload up to this size is copied: one piece of output instead of three */

struct stream_entry { /* a stream in the list of its worker */
	struct stream st;
	struct list link;
};

void streams_thread_init(void)
{
	arena = arena_new(32768);
	list_init(&all_streams);
	buf_init(&scratch, 64u << 20);
	buf_init(&joined, 64u << 20);
}

void streams_thread_fini(void)
{
	arena_free(arena);
	buf_clear(&scratch);
	buf_clear(&joined);
	parser_pool_clear();
}

struct arena *stream_arena(void)
{
	return arena;
}

size_t stream_count(void)
{
	return n_streams;
}

static void list_stream(struct stream *st)
{
	list_add(&all_streams, &((struct stream_entry *)st)->link);
	n_streams++;
}

static void unlist_stream(struct stream *st)
{
	list_del(&((struct stream_entry *)st)->link);
	n_streams--;
}

struct parser_limits stream_limits(const struct stream *st)
{
	const struct limits *l = limits();

	if (st->phase == PHASE_BIND || st->phase == PHASE_SESSION || (st->login && st->login->done))
		return (struct parser_limits){
			l->stanza_bytes,       l->token_bytes,		(unsigned)l->depth,
			(unsigned)l->elements, (unsigned)l->attributes, (unsigned)l->namespaces
		};
	return (struct parser_limits){ l->preauth_stanza_bytes,	   l->preauth_token_bytes,
				       (unsigned)l->preauth_depth, (unsigned)l->preauth_elements,
				       (unsigned)l->attributes,	   (unsigned)l->namespaces };
}

void stream_raise_limits(struct stream *st)
{
	st->carrier->limits(st);
}

static void login_too_slow(struct timer *t)
{
	struct stream *st = list_entry(t, struct stream, login_timer);

	stream_error(st, "connection-timeout", "Login took too long; connect again");
}

/* Silence: ping, then give up (row D18). One lazy timer per stream; it looks at the time of the last byte when it fires. */
static void idle_check(struct timer *t)
{
	struct stream *st = list_entry(t, struct stream, idle_timer);
	const struct limits *l = limits();
	uint64_t now = loop_now(loop_self()), silent = now - st->carrier->last_rx(st);

	if (st->phase != PHASE_SESSION)
		return;
	if (st->ping_sent_ms && st->carrier->last_rx(st) >= st->ping_sent_ms)
		st->ping_sent_ms = 0;
	if (st->ping_sent_ms && now - st->ping_sent_ms >= l->ping_timeout_ms) {
		st->carrier->abort(st, ERR_TIMEOUT);
		return;
	}
	if (!st->ping_sent_ms && silent >= l->ping_ms) {
		st->ping_sent_ms = now;
		if (st->carrier->ping)
			st->carrier->ping(st);
		else if (st->xs->sm)
			stream_send(st, STR("<r xmlns='urn:xmpp:sm:3'/>"));
		else
			stream_send(st, STR("<iq type='get' id='server-ping'><ping xmlns='urn:xmpp:ping'/></iq>"));
		loop_timer(loop_self(), t, l->ping_timeout_ms);
		return;
	}
	loop_timer(loop_self(), t, st->ping_sent_ms ? l->ping_timeout_ms : l->ping_ms - silent);
}

static void before_sleep(struct deferred *d)
{
	struct stream *st = list_entry(d, struct stream, turn);

	if (st->xs)
		sm_request(st->xs);
}

struct stream *stream_new(const struct stream_listener *l, const struct stream_carrier *carrier, void *link,
			  struct conn *conn, const char *ip, uint64_t id)
{
	struct stream_entry *e = NEW(struct stream_entry);
	struct stream *st = &e->st;

	st->listener = l;
	st->carrier = carrier;
	st->link = link;
	st->conn = conn;
	st->id = id;
	snprintf(st->ip, sizeof st->ip, "%s", ip);
	st->phase = l->security == STREAM_STARTTLS ? PHASE_TLS : PHASE_AUTH;
	st->created_ms = loop_now(loop_self());
	st->turn.run = before_sleep;
	list_init(&st->turn.link);
	st->login_timer.fire = login_too_slow;
	st->idle_timer.fire = idle_check;
	list_stream(st);
	return st;
}

void stream_start(struct stream *st)
{
	loop_timer(loop_self(), &st->login_timer, limits()->login_ms);
	st->preauth_counted = preauth_enter(st->ip);
	if (!st->preauth_counted)
		stream_error(st, "policy-violation",
			     "Too many connections from your address wait for their login; try again later");
}

struct tls_session *stream_tls(const struct stream *st)
{
	return st->conn && !st->proxied ? conn_tls(st->conn) : NULL;
}

void stream_enter(struct stream *st, enum phase next)
{
	static const char *const names[PHASES] = { "tls", "auth", "bind", "session", "closed" };

	log_debug("stream.phase", LU("conn", st->id), LC("from", names[st->phase]), LC("to", names[next]));
	st->phase = next;
	if (next == PHASE_SESSION) {
		loop_timer_cancel(loop_self(), &st->login_timer);
		loop_timer(loop_self(), &st->idle_timer, limits()->ping_ms);
	}
	if (next >= PHASE_SESSION && st->preauth_counted) {
		preauth_leave(st->ip);
		st->preauth_counted = false;
	}
}

static void too_slow(struct stream *st)
{
	limit_hit_log("output_bytes", st->xs ? st->xs->s.jid.full.p : st->ip);
	st->carrier->abort(
		st, ERR_LIMIT); /* the session is detached or closed by stream_gone; nothing stored is lost (E01) */
}

/* A burst (roster, presence of a company at login) may pass the limit for a while; a reader that stays above it is too slow. */
static bool stays_above_limit(struct stream *st)
{
	if (st->carrier->queued(st) <= limits()->output_bytes) {
		st->slow_since_ms = 0;
		return false;
	}
	uint64_t now = loop_now(loop_self());
	if (!st->slow_since_ms)
		st->slow_since_ms = now;
	return now - st->slow_since_ms > limits()->output_slow_ms;
}

static struct str join(struct str head, struct chunk *payload, struct str tail)
{
	buf_reset(&joined);
	buf_str_add(&joined, head);
	buf_str_add(&joined, chunk_str(payload));
	buf_str_add(&joined, tail);
	return buf_str(&joined);
}

void stream_send_parts(struct stream *st, struct str head, struct chunk *payload, struct str tail, bool may_wait)
{
	bool small = (payload || tail.n) && (!payload || payload->n <= JOIN_MAX);

	if (st->carrier->is_closing(st))
		return;
	int err = small ? st->carrier->send(st, join(head, payload, tail), NULL, STR_NONE, may_wait)
			: st->carrier->send(st, head, payload, tail, may_wait);
	if (err == ERR_LIMIT || stays_above_limit(st))
		too_slow(st);
}

void stream_send(struct stream *st, struct str element)
{
	stream_send_parts(st, element, NULL, STR_NONE, false);
}

void stream_send_node(struct stream *st, const struct node *n)
{
	buf_reset(&scratch);
	print_node(&scratch, n, STR("jabber:client"));
	stream_send(st, buf_str(&scratch));
}

/* Our printer writes the default namespace first or not at all. */
struct str stream_frame(struct str first, size_t *out_at)
{
	size_t i = 1;

	while (i < first.n && first.p[i] != ' ' && first.p[i] != '>' && first.p[i] != '/')
		i++;
	*out_at = i;
	if (str_starts(first, STR("<stream:")))
		return STR(" xmlns:stream='http://etherx.jabber.org/streams'");
	if (str_starts(str_of(first.p + i, first.n - i), STR(" xmlns='")))
		return STR_NONE;
	return STR(" xmlns='jabber:client'");
}

static void send_header(struct stream *st)
{
	char id[RANDOM_TOKEN];

	random_token(id);
	st->carrier->open(st, id);
	st->header_sent = true;
}

void stream_end(struct stream *st)
{
	if (st->phase == PHASE_CLOSED)
		return;
	stream_enter(st, PHASE_CLOSED);
	st->carrier->end(st);
}

void stream_error(struct stream *st, const char *condition, const char *text)
{
	struct buf *b = &scratch;

	if (st->phase == PHASE_CLOSED)
		return;
	if (!st->header_sent)
		send_header(st); /* RFC 6120 4.9.1.2 */
	buf_reset(b);
	buf_printf(b, "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", condition);
	if (text) {
		buf_lit(b, "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>");
		print_text(b, str_c(text));
		buf_lit(b, "</text>");
	}
	buf_lit(b, "</stream:error>");
	stream_send(st, buf_str(b));
	log_info("stream.error", LU("conn", st->id), LC("ip", st->ip), LC("condition", condition),
		 LC("text", text ? text : ""));
	st->error = condition;
	stream_end(st);
}

/* RFC 6120 4.7 and 4.9.3: what may be wrong with a header. NULL: nothing; the text tells what to do. */
static const char *check_header(struct stream *st, const struct node *h, const char **out_text)
{
	struct str to = node_attr(h, "to"), version = node_attr(h, "version"), domain;

	if (!to.p || jid_prep_domain(arena, to, &domain)) {
		*out_text = "Name the server's domain in 'to'";
		return to.p ? "host-unknown" : "improper-addressing";
	}
	for (size_t i = 0; i < im.n_domains && !st->domain.p; i++)
		if (str_eq_c(domain, im.domains[i]))
			st->domain = str_c(im.domains[i]);
	if (!st->domain.p || (st->header_seen && !str_eq(domain, st->domain))) { /* row A03 */
		*out_text = st->header_seen ? "The domain may not change within a connection"
					    : "This server does not serve that domain";
		return st->header_seen ? "not-authorized" : "host-unknown";
	}
	uint64_t major;
	ptrdiff_t dot = version.p ? str_find(version, '.') : -1;
	if (dot <= 0 || str_u64(str_of(version.p, (size_t)dot), UINT32_MAX, &major) ||
	    major < 1) { /* a higher one is answered by ours, 4.7.5 */
		*out_text = "XMPP version 1.0 is needed";
		return "unsupported-version";
	}
	return NULL;
}

static void take_from(struct stream *st, struct str from)
{
	struct jid j;

	if (!from.p || st->from.p || jid_parse(arena, from, &j))
		return;
	j = jid_dup_heap(jid_to_bare(j));
	st->from = j.full;
}

void stream_header(struct stream *st, const struct node *header)
{
	const char *text = NULL;

	if (st->phase == PHASE_CLOSED)
		return;
	const char *condition = check_header(st, header, &text);
	if (condition) {
		stream_error(st, condition, text);
		return;
	}
	st->header_seen = true;
	take_from(st, node_attr(header, "from"));
	send_header(st);
	features_send(st);
}

void stream_element(struct stream *st, struct node *n)
{
	if (st->phase != PHASE_CLOSED) {
		st->carrier->charge(st);
		phase_element(st, n);
	}
	arena_reset(arena);
}

void stream_bad_input(struct stream *st, int parser_error, const char *text)
{
	arena_reset(arena);
	stream_error(st, parser_error_condition(parser_error), text);
}

/* The client's own goodbye: nothing to resume (XEP-0198 section 5). */
void stream_peer_ended(struct stream *st)
{
	if (st->xs && st->phase == PHASE_SESSION) {
		struct xsession *xs = st->xs;
		xsession_confirm(xs);
		st->xs = NULL;
		xs->stream = NULL;
		xsession_stream_gone(xs, true);
	}
	stream_end(st);
}

void stream_restart(struct stream *st)
{
	st->header_sent = false;
	st->carrier->restart(st);
}

void stream_drained(struct stream *st)
{
	if (st->xs)
		xsession_drained(st->xs);
}

static void stream_free(struct stream *st)
{
	unlist_stream(st);
	loop_timer_cancel(loop_self(), &st->login_timer);
	loop_timer_cancel(loop_self(), &st->idle_timer);
	loop_undefer(&st->turn);
	if (st->preauth_counted)
		preauth_leave(st->ip);
	sm_resume_forget(st);
	login_free(st);
	parser_free(st->parser);
	mem_free((void *)st->from.p);
	mem_free(st);
}

void stream_gone(struct stream *st, int err)
{
	log_info("stream.closed", LU("conn", st->id), LC("ip", st->ip), LC("transport", st->carrier->name), LERR(err),
		 LU("tx", st->carrier->sent(st)));
	if (st->xs) {
		struct xsession *xs = st->xs;
		xsession_confirm(xs);
		st->xs = NULL;
		xs->stream = NULL;
		xsession_stream_gone(xs, false);
	}
	stream_free(st);
}

/* ---- moving to another worker ---- */

struct move {
	struct mail mail;
	struct stream *st;
};

static void arrived(struct mail *m)
{
	struct move *mv = (struct move *)m;
	struct stream *st = mv->st;

	mem_free(mv);
	st->carrier->attach(st);
	list_stream(st);
	loop_timer(loop_self(), &st->login_timer, limits()->login_ms);
	st->on_moved(st);
	arena_reset(arena);
}

void stream_move(struct stream *st, unsigned worker, void (*then)(struct stream *st))
{
	if (st->carrier->is_closing(st))
		return; /* stream_gone is on its way */
	if ((int)worker == threads_self()) {
		then(st);
		return;
	}
	struct move *mv = NEW(struct move);
	mv->mail.deliver = arrived;
	mv->st = st;
	st->on_moved = then;
	loop_timer_cancel(loop_self(), &st->login_timer);
	loop_undefer(&st->turn);
	unlist_stream(st);
	st->carrier->detach(st, worker);
	threads_post(worker, &mv->mail);
}

void stream_shutdown_all(void)
{
	list_each_safe (e, &all_streams, struct stream_entry, link)
		stream_error(&e->st, "system-shutdown", "The server restarts; connect again in a moment");
}
