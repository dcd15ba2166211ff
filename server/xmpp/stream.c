/*
 * A client stream's life: accept, header, errors, close, and the move to its home worker. What elements mean is in phase.c and the feature files.
 * One thread at a time: the worker whose loop the connection is attached to.
 */
#include "server/xmpp/stream.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/net/listener.h"
#include "server/net/threads.h"
#include "server/xmpp/session_xmpp.h"
#include "xml/build.h"
#include "xml/jid.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <assert.h>

static _Thread_local struct arena *arena;
static _Thread_local struct list all_streams;
static _Thread_local size_t n_streams;
static _Thread_local struct buf scratch;

struct stream_entry { /* a stream in the list of its worker */
	struct stream st;
	struct list link;
};

static void on_data(struct conn *c, const char *data, size_t n);
static void on_secure(struct conn *c);
static void on_drained(struct conn *c);
static void on_closed(struct conn *c, int err);
static const struct conn_events events = { on_data, on_secure, on_drained, on_closed };

static void on_open(void *ctx, struct node *header);
static void on_stanza(void *ctx, struct node *stanza);
static void on_close(void *ctx);
static const struct parser_events parser_events = { on_open, on_stanza, on_close };

void streams_thread_init(void)
{
	arena = arena_new(32768);
	list_init(&all_streams);
	buf_init(&scratch, 64u << 20);
}

void streams_thread_fini(void)
{
	arena_free(arena);
	buf_clear(&scratch);
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

static struct parser_limits limits_of_phase(enum phase phase)
{
	const struct limits *l = limits();

	if (phase == PHASE_BIND || phase == PHASE_SESSION)
		return (struct parser_limits){
			l->stanza_bytes,       l->token_bytes,		(unsigned)l->depth,
			(unsigned)l->elements, (unsigned)l->attributes, (unsigned)l->namespaces
		};
	return (struct parser_limits){ l->preauth_stanza_bytes,	   l->preauth_token_bytes,
				       (unsigned)l->preauth_depth, (unsigned)l->preauth_elements,
				       (unsigned)l->attributes,	   (unsigned)l->namespaces };
}

static void new_parser(struct stream *st)
{
	struct parser_limits l = limits_of_phase(st->phase);

	parser_free(st->parser);
	st->parser = parser_new(&parser_events, st, &l);
}

void stream_raise_limits(struct stream *st)
{
	const struct limits *l = limits();
	struct parser_limits pl = limits_of_phase(PHASE_SESSION);

	parser_set_limits(st->parser, &pl);
	conn_set_rate(st->conn, l->rate_bytes, l->rate_bytes_burst);
	conn_set_stanza_rate(st->conn, l->rate_stanzas, l->rate_stanzas_burst);
	conn_set_output_max(st->conn, l->output_bytes + l->output_grace_bytes);
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
	uint64_t now = loop_now(loop_self()), silent = now - conn_last_rx(st->conn);

	if (st->phase != PHASE_SESSION)
		return;
	if (st->ping_sent_ms && conn_last_rx(st->conn) >= st->ping_sent_ms)
		st->ping_sent_ms = 0;
	if (st->ping_sent_ms && now - st->ping_sent_ms >= l->ping_timeout_ms) {
		conn_abort(st->conn, ERR_TIMEOUT);
		return;
	}
	if (!st->ping_sent_ms && silent >= l->ping_ms) {
		st->ping_sent_ms = now;
		if (st->xs->sm)
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

void stream_accept(const struct stream_listener *l, int fd)
{
	struct stream_entry *e = NEW(struct stream_entry);
	struct stream *st = &e->st;
	struct tls_context *tls = l->security == STREAM_DIRECT_TLS ? l->tls() : NULL;

	st->listener = l;
	st->phase = l->security == STREAM_STARTTLS ? PHASE_TLS : PHASE_AUTH;
	st->secure = l->security == STREAM_DIRECT_TLS || l->security == STREAM_PROXIED;
	st->created_ms = loop_now(loop_self());
	st->turn.run = before_sleep;
	list_init(&st->turn.link);
	new_parser(st);
	st->conn = conn_new(fd, &events, st, tls);
	tls_context_unref(tls);
	list_stream(st);
	st->login_timer.fire = login_too_slow;
	st->idle_timer.fire = idle_check;
	loop_timer(loop_self(), &st->login_timer, limits()->login_ms);
	st->preauth_counted = preauth_enter(conn_ip(st->conn));
	if (!st->preauth_counted)
		stream_error(st, "policy-violation",
			     "Too many connections from your address wait for their login; try again later");
}

void stream_enter(struct stream *st, enum phase next)
{
	static const char *const names[PHASES] = { "tls", "auth", "bind", "session", "closed" };

	log_debug("stream.phase", LU("conn", conn_id(st->conn)), LC("from", names[st->phase]), LC("to", names[next]));
	st->phase = next;
	if (next == PHASE_SESSION) {
		loop_timer_cancel(loop_self(), &st->login_timer);
		loop_timer(loop_self(), &st->idle_timer, limits()->ping_ms);
	}
	if (next >= PHASE_SESSION && st->preauth_counted) {
		preauth_leave(conn_ip(st->conn));
		st->preauth_counted = false;
	}
}

static void too_slow(struct stream *st)
{
	limit_hit_log("output_bytes", st->xs ? st->xs->s.jid.full.p : conn_ip(st->conn));
	conn_abort(st->conn,
		   ERR_LIMIT); /* the session is detached or closed by on_closed; nothing stored is lost (E01) */
}

/* A burst (roster, presence of a company at login) may pass the limit for a while; a reader that stays above it is too slow. */
static bool stays_above_limit(struct stream *st)
{
	if (conn_queued(st->conn) <= limits()->output_bytes) {
		st->slow_since_ms = 0;
		return false;
	}
	uint64_t now = loop_now(loop_self());
	if (!st->slow_since_ms)
		st->slow_since_ms = now;
	return now - st->slow_since_ms > limits()->output_slow_ms;
}

void stream_send(struct stream *st, struct str bytes)
{
	if (conn_is_closing(st->conn))
		return;
	if (conn_write(st->conn, bytes) == ERR_LIMIT || stays_above_limit(st))
		too_slow(st);
}

void stream_send_later(struct stream *st, struct str bytes)
{
	if (conn_is_closing(st->conn))
		return;
	if (conn_write_later(st->conn, bytes) == ERR_LIMIT || stays_above_limit(st))
		too_slow(st);
}

void stream_send_chunk(struct stream *st, struct chunk *c)
{
	if (c && !conn_is_closing(st->conn) && conn_write_chunk(st->conn, c, 0, c->n) == ERR_LIMIT)
		too_slow(st);
}

void stream_send_node(struct stream *st, const struct node *n)
{
	buf_reset(&scratch);
	print_node(&scratch, n, STR("jabber:client"));
	stream_send(st, buf_str(&scratch));
}

static void send_header(struct stream *st)
{
	char id[RANDOM_TOKEN];
	struct buf *b = &scratch;

	random_token(id);
	buf_reset(b);
	buf_lit(b, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
		   "xmlns:stream='http://etherx.jabber.org/streams'"
		   " version='1.0' xml:lang='en'");
	print_attr(b, "id", str_c(id));
	if (st->domain.p)
		print_attr(b, "from", st->domain);
	if (st->from.p)
		print_attr(b, "to", st->from);
	buf_byte(b, '>');
	stream_send(st, buf_str(b));
	st->header_sent = true;
}

void stream_end(struct stream *st)
{
	if (st->phase == PHASE_CLOSED)
		return;
	if (st->header_sent)
		stream_send(st, STR("</stream:stream>"));
	stream_enter(st, PHASE_CLOSED);
	conn_close(st->conn);
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
	log_info("stream.error", LU("conn", conn_id(st->conn)), LC("ip", conn_ip(st->conn)), LC("condition", condition),
		 LC("text", text ? text : ""));
	stream_end(st);
}

/* RFC 6120 4.7 and 4.9.3: what may be wrong with a header. NULL: nothing; the text tells what to do. */
static const char *check_header(struct stream *st, struct node *h, const char **out_text)
{
	struct str to = node_attr(h, "to"), version = node_attr(h, "version"), domain;

	if (!node_is(h, A_stream, NS_STREAMS)) {
		*out_text = "The first element must be <stream:stream xmlns:stream='http://etherx.jabber.org/streams'>";
		return h->name == A_stream ? "invalid-namespace" : "bad-format";
	}
	if (!str_eq_c(parser_content_ns(st->parser), "jabber:client")) {
		*out_text = "The content namespace of a client stream is jabber:client";
		return "invalid-namespace";
	}
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

static void on_open(void *ctx, struct node *header)
{
	struct stream *st = ctx;
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

static void on_stanza(void *ctx, struct node *stanza)
{
	struct stream *st = ctx;

	if (st->phase != PHASE_CLOSED) {
		conn_charge_stanza(st->conn);
		phase_element(st, stanza);
	}
	arena_reset(arena);
}

static void on_close(void *ctx)
{
	struct stream *st = ctx;

	if (st->xs &&
	    st->phase == PHASE_SESSION) { /* the client's own goodbye: nothing to resume (XEP-0198 section 5) */
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
	if (st->feeding) { /* the parser is on the stack: it is replaced when it has returned (row X08) */
		st->want_restart = true;
		parser_stop(st->parser);
	} else {
		new_parser(st);
	}
}

static void on_data(struct conn *c, const char *data, size_t n)
{
	struct stream *st = conn_user(c);

	while (n && st->phase != PHASE_CLOSED) {
		size_t used = n;
		st->feeding = true;
		int err = parser_feed(st->parser, arena, data, n, &used);
		st->feeding = false;
		if (err) {
			arena_reset(arena);
			stream_error(st, parser_error_condition(err), parser_error_text(st->parser));
			return;
		}
		data += used;
		n -= used;
		if (!st->want_restart)
			return;
		st->want_restart = false;
		if (st->starting_tls)
			n = str_trim(str_of(data, n))
				    .n;	     /* go-sendxmpp ends its <starttls/> with a line end: thrown away */
		if (n && st->starting_tls) { /* row A05: bytes glued behind <starttls/> */
			stream_error(st, "policy-violation", "Nothing may follow <starttls/> before encryption");
			return;
		}
		new_parser(st);
	}
}

static void on_secure(struct conn *c)
{
	struct stream *st = conn_user(c);

	st->secure = true;
	if (st->starting_tls) {
		st->starting_tls = false;
		if (st->phase == PHASE_TLS)
			stream_enter(st, PHASE_AUTH);
		mem_free((void *)st->from.p); /* RFC 6120 5.4.3.3: what was said in the clear is forgotten */
		st->from = STR_NONE;
	}
}

static void on_drained(struct conn *c)
{
	struct stream *st = conn_user(c);

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
		preauth_leave(conn_ip(st->conn));
	sm_resume_forget(st);
	login_free(st);
	parser_free(st->parser);
	mem_free((void *)st->from.p);
	mem_free(st);
}

static void on_closed(struct conn *c, int err)
{
	struct stream *st = conn_user(c);

	log_info("stream.closed", LU("conn", conn_id(c)), LC("ip", conn_ip(c)), LERR(err), LU("rx", conn_tx_total(c)));
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
	conn_attach(st->conn);
	list_stream(st);
	loop_timer(loop_self(), &st->login_timer, limits()->login_ms);
	st->on_moved(st);
	arena_reset(arena);
}

void stream_move(struct stream *st, unsigned worker, void (*then)(struct stream *st))
{
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
	conn_detach(st->conn);
	threads_post(worker, &mv->mail);
}

void stream_shutdown_all(void)
{
	list_each_safe (e, &all_streams, struct stream_entry, link)
		stream_error(&e->st, "system-shutdown", "The server restarts; connect again in a moment");
}
