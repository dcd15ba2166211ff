/*
 * A stream on a TCP connection (RFC 6120): the parser sees one long document, STARTTLS and SASL put a new one in its place. And what every carrier with
 * a connection of its own does with it. Worker of the connection.
 */
#include "base/err.h"
#include "base/random.h"
#include "server/net/limits.h"
#include "server/net/tls.h"
#include "server/xmpp/stream.h"
#include "xml/parser.h"
#include "xml/print.h"

static void on_data(struct conn *c, const char *data, size_t n);
static void on_secure(struct conn *c);
static void on_drained(struct conn *c);
static void on_closed(struct conn *c, int err);
static const struct conn_events events = { on_data, on_secure, on_drained, on_closed };

static void on_open(void *ctx, struct node *header);
static void on_stanza(void *ctx, struct node *stanza);
static void on_close(void *ctx);
static const struct parser_events parser_events = { on_open, on_stanza, on_close };

/* ---- carriers with a connection ---- */

void stream_conn_abort(struct stream *st, int err)
{
	conn_abort(st->conn, err);
}

void stream_conn_limits(struct stream *st)
{
	const struct limits *l = limits();

	conn_set_rate(st->conn, l->rate_bytes, l->rate_bytes_burst);
	conn_set_stanza_rate(st->conn, l->rate_stanzas, l->rate_stanzas_burst);
	conn_set_output_max(st->conn, l->output_bytes + l->output_grace_bytes);
}

void stream_conn_hold(struct stream *st, bool on)
{
	if (on)
		conn_pause(st->conn);
	else
		conn_resume(st->conn);
}

void stream_conn_charge(struct stream *st)
{
	conn_charge_stanza(st->conn);
}

bool stream_conn_is_closing(const struct stream *st)
{
	return conn_is_closing(st->conn);
}

size_t stream_conn_queued(const struct stream *st)
{
	return conn_queued(st->conn);
}

uint64_t stream_conn_last_rx(const struct stream *st)
{
	return conn_last_rx(st->conn);
}

uint64_t stream_conn_sent(const struct stream *st)
{
	return conn_tx_total(st->conn);
}

uint64_t stream_conn_confirmed(struct stream *st)
{
	return conn_tx_confirmed(st->conn);
}

void stream_conn_detach(struct stream *st, unsigned worker)
{
	(void)worker;
	conn_detach(st->conn);
}

void stream_conn_attach(struct stream *st)
{
	conn_attach(st->conn);
}

/* ---- TCP: output ---- */

static int tcp_send(struct stream *st, struct str head, struct chunk *payload, struct str tail, bool may_wait)
{
	int err = may_wait ? conn_write_later(st->conn, head) : conn_write(st->conn, head);

	if (!err && payload)
		err = conn_write_chunk(st->conn, payload, 0, payload->n);
	return err || !tail.n ? err : conn_write(st->conn, tail);
}

static void tcp_open(struct stream *st, const char *id)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_lit(&b, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
		    "xmlns:stream='http://etherx.jabber.org/streams'"
		    " version='1.0' xml:lang='en'");
	print_attr(&b, "id", str_c(id));
	if (st->domain.p)
		print_attr(&b, "from", st->domain);
	if (st->from.p)
		print_attr(&b, "to", st->from);
	buf_byte(&b, '>');
	stream_send(st, buf_str(&b));
	buf_clear(&b);
}

static void tcp_end(struct stream *st)
{
	if (st->header_sent)
		stream_send(st, STR("</stream:stream>"));
	conn_close(st->conn);
}

static void new_parser(struct stream *st)
{
	struct parser_limits l = stream_limits(st);

	parser_free(st->parser);
	st->parser = parser_new(&parser_events, st, &l);
}

static void tcp_restart(struct stream *st)
{
	if (st->feeding) { /* the parser is on the stack: it is replaced when it has returned (row X08) */
		st->want_restart = true;
		parser_stop(st->parser);
	} else {
		new_parser(st);
	}
}

static void tcp_limits(struct stream *st)
{
	struct parser_limits l = stream_limits(st);

	parser_set_limits(st->parser, &l);
	stream_conn_limits(st);
}

static const struct stream_carrier tcp = {
	.name = "tcp",
	.send = tcp_send,
	.open = tcp_open,
	.end = tcp_end,
	.restart = tcp_restart,
	.limits = tcp_limits,
	STREAM_ON_CONN,
};

void stream_accept(const struct stream_listener *l, int fd)
{
	struct tls_context *tls = l->security == STREAM_DIRECT_TLS ? l->tls() : NULL;
	struct conn *c = conn_new(fd, &events, NULL, tls);
	struct stream *st = stream_new(l, &tcp, NULL, c, conn_ip(c), conn_id(c));

	tls_context_unref(tls);
	conn_set_user(c, &events, st);
	st->secure = l->security == STREAM_DIRECT_TLS;
	st->loopback = conn_is_loopback(c);
	new_parser(st);
	stream_start(st);
}

/* ---- TCP: input ---- */

static void on_open(void *ctx, struct node *header)
{
	struct stream *st = ctx;

	if (!node_is(header, A_stream, NS_STREAMS))
		stream_error(
			st, header->name == A_stream ? "invalid-namespace" : "bad-format",
			"The first element must be <stream:stream xmlns:stream='http://etherx.jabber.org/streams'>");
	else if (!str_eq_c(parser_content_ns(st->parser), "jabber:client"))
		stream_error(st, "invalid-namespace", "The content namespace of a client stream is jabber:client");
	else
		stream_header(st, header);
}

static void on_stanza(void *ctx, struct node *stanza)
{
	stream_element(ctx, stanza);
}

static void on_close(void *ctx)
{
	stream_peer_ended(ctx);
}

static void on_data(struct conn *c, const char *data, size_t n)
{
	struct stream *st = conn_user(c);

	while (n && st->phase != PHASE_CLOSED) {
		size_t used = n;
		st->feeding = true;
		int err = parser_feed(st->parser, stream_arena(), data, n, &used);
		st->feeding = false;
		if (err) {
			stream_bad_input(st, err, parser_error_text(st->parser));
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
	stream_drained(conn_user(c));
}

static void on_closed(struct conn *c, int err)
{
	stream_gone(conn_user(c), err);
}
