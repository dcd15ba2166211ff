/*
 * XMPP over WebSocket: the upgrade (RFC 6455 4.2), frames by wslay (section 5, row X21), and RFC 7395 as a carrier of a stream: one element a message,
 * each with its namespace, <open/> and <close/> for header and end tag. The object that reads frames lives only while a frame has begun, so an idle
 * client owns no read buffer. No extensions: permessage-deflate would be a bomb and an oracle (row E07). Worker of the stream.
 */
#include "bosh/websocket.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/net/limits.h"
#include "server/xmpp/stream.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <string.h>
#include <wslay/wslay.h>

enum close_code { /* RFC 6455 7.4.1 */
		  CLOSE_NORMAL = 1000,
		  CLOSE_PROTOCOL = 1002,
		  CLOSE_DATA = 1003,
		  CLOSE_TEXT = 1007,
		  CLOSE_POLICY = 1008,
		  CLOSE_TOO_BIG = 1009,
};
#define FIN 0x80
#define CONTROL_MAX 125
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct websocket {
	struct stream *st;
	wslay_frame_context_ptr frames; /* NULL between frames */
	const char *in;			/* what is left of the segment that is being read */
	size_t in_n;
	struct buf message; /* fragments so far */
	unsigned fragments; /* 0: no message has begun */
	bool in_frame;
	uint64_t frame_n;    /* bytes of the payload of the present frame so far */
	uint64_t unfinished; /* bytes that frames has and that belong to no complete frame */
	uint8_t control_n;
	char control[CONTROL_MAX];
	bool header_wanted; /* only <open/> may come */
	bool close_sent;
	enum close_code code;
};

static void on_data(struct conn *c, const char *data, size_t n);
static void on_drained(struct conn *c);
static void on_closed(struct conn *c, int err);
static const struct conn_events events = { .on_data = on_data, .on_drained = on_drained, .on_closed = on_closed };

/* ---- output ---- */

/* Header of a frame of ours: whole, not masked (5.2). */
static size_t frame_head(uint8_t opcode, size_t n, char *out)
{
	uint8_t *p = (uint8_t *)out;

	p[0] = FIN | opcode;
	if (n <= CONTROL_MAX) {
		p[1] = (uint8_t)n;
		return 2;
	}
	size_t bytes = n <= UINT16_MAX ? 2 : 8;
	p[1] = bytes == 2 ? 126 : 127;
	for (size_t i = 0; i < bytes; i++)
		p[2 + i] = (uint8_t)((uint64_t)n >> (8 * (bytes - 1 - i)));
	return 2 + bytes;
}

static int send_control(struct websocket *ws, uint8_t opcode, struct str payload)
{
	char head[10];
	size_t n = frame_head(opcode, payload.n, head);
	int err = conn_write(ws->st->conn, str_of(head, n));

	return err ? err : conn_write(ws->st->conn, payload);
}

static void close_frame(struct websocket *ws, enum close_code code)
{
	char status[2] = { (char)(code >> 8), (char)(code & 0xff) };

	if (!ws->close_sent)
		send_control(ws, WSLAY_CONNECTION_CLOSE, str_of(status, 2));
	ws->close_sent = true;
	conn_close(ws->st->conn);
}

static int put(struct conn *c, struct str s, bool may_wait)
{
	return may_wait ? conn_write_later(c, s) : conn_write(c, s);
}

static int ws_send(struct stream *st, struct str head, struct chunk *payload, struct str tail, bool may_wait)
{
	size_t at, n = head.n + (payload ? payload->n : 0) + tail.n;
	struct str first = head.n ? head : chunk_str(payload), ns = stream_frame(first, &at);
	struct conn *c = st->conn;
	char start[10];
	int err = put(c, str_of(start, frame_head(WSLAY_TEXT_FRAME, n + ns.n, start)), may_wait);

	if (!err)
		err = put(c, str_of(first.p, at), may_wait);
	if (!err)
		err = put(c, ns, may_wait);
	if (!err && head.n)
		err = put(c, str_of(head.p + at, head.n - at), may_wait);
	if (!err && payload)
		err = conn_write_chunk(c, payload, head.n ? 0 : at, payload->n - (head.n ? 0 : at));
	return err ? err : put(c, tail, may_wait);
}

static void ws_open(struct stream *st, const char *id)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_lit(&b, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' xml:lang='en'");
	print_attr(&b, "id", str_c(id));
	if (st->domain.p)
		print_attr(&b, "from", st->domain);
	if (st->from.p)
		print_attr(&b, "to", st->from);
	buf_lit(&b, "/>");
	stream_send(st, buf_str(&b));
	buf_clear(&b);
}

static void ws_end(struct stream *st)
{
	struct websocket *ws = st->link;

	if (st->header_sent)
		stream_send(st, STR("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"));
	if (!conn_is_closing(st->conn))
		close_frame(ws, ws->code);
}

static void ws_restart(struct stream *st)
{
	((struct websocket *)st->link)->header_wanted = true; /* RFC 7395 3.7 */
}

/* Answered by the browser itself, also while its pages sleep. */
static void ws_ping(struct stream *st)
{
	send_control(st->link, WSLAY_PING, STR_NONE);
}

static const struct stream_carrier carrier = {
	.name = "websocket",
	.send = ws_send,
	.open = ws_open,
	.end = ws_end,
	.restart = ws_restart,
	.ping = ws_ping,
	.limits = stream_conn_limits,
	STREAM_ON_CONN,
};

/* ---- messages ---- */

static void header_came(struct websocket *ws, struct node *n)
{
	struct stream *st = ws->st;

	if (!node_is(n, A_open, NS_FRAMING)) {
		stream_error(
			st, n->name == A_open ? "invalid-namespace" : "bad-format",
			"The first message must be <open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/> (RFC 7395)");
		return;
	}
	ws->header_wanted = false;
	stream_header(st, n);
}

static void message_came(struct websocket *ws, struct str text)
{
	struct stream *st = ws->st;
	struct parser_limits l = stream_limits(st);
	struct node *n;

	if (st->phase == PHASE_CLOSED)
		return;
	if (!str_utf8_valid(text)) {
		ws->code = CLOSE_TEXT; /* RFC 6455 8.1 */
		stream_bad_input(st, PARSER_NOT_WELL_FORMED, "The message is not UTF-8");
		return;
	}
	int err = text.n && text.p[0] == '<' ? parse_document(stream_arena(), text, &l, &n)
					     : PARSER_NOT_WELL_FORMED; /* RFC 7395 3.3.3 */
	if (err)
		stream_bad_input(st, err, "A message holds exactly one element, complete and within the limits");
	else if (node_is(n, A_close, NS_FRAMING))
		stream_peer_ended(st);
	else if (ws->header_wanted)
		header_came(ws, n);
	else
		stream_element(st, n);
	arena_reset(stream_arena());
}

/* ---- frames ---- */

/* What the head of a frame says before a byte of it is kept; 0 or a close code. */
static enum close_code check_frame(const struct websocket *ws, const struct wslay_frame_iocb *f)
{
	const struct parser_limits l = stream_limits(ws->st);

	if (!f->mask || f->rsv)
		return CLOSE_PROTOCOL;
	if (wslay_is_ctrl_frame(f->opcode)) /* wslay has seen that it is whole and small */
		return f->opcode == WSLAY_CONNECTION_CLOSE || f->opcode == WSLAY_PING || f->opcode == WSLAY_PONG
			       ? 0
			       : CLOSE_PROTOCOL;
	if (f->opcode == WSLAY_BINARY_FRAME && !ws->fragments)
		return CLOSE_DATA;
	if (f->opcode != (ws->fragments ? WSLAY_CONTINUATION_FRAME : WSLAY_TEXT_FRAME))
		return CLOSE_PROTOCOL;
	if (ws->fragments >= limits()->ws_fragments)
		return CLOSE_POLICY;
	return f->payload_length + ws->message.n > l.stanza_bytes ? CLOSE_TOO_BIG : 0;
}

static void refuse(struct websocket *ws, enum close_code code)
{
	static const struct {
		enum close_code code;
		const char *text;
	} texts[] = {
		{ CLOSE_TOO_BIG, "A message is larger than the largest stanza" },
		{ CLOSE_POLICY, "A message has too many fragments" },
	};

	log_info("websocket.refused", LU("conn", ws->st->id), LC("ip", ws->st->ip), LU("code", code));
	ws->code = code;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].code == code)
			stream_error(ws->st, "policy-violation", texts[i].text);
	if (!conn_is_closing(ws->st->conn))
		close_frame(ws, code);
}

/* 7.4: a code that may be sent, and a reason in UTF-8. */
static bool close_is_valid(struct str payload)
{
	unsigned code = payload.n >= 2 ? (unsigned)(uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1] : CLOSE_NORMAL;

	if (payload.n == 1 || (payload.n > 2 && !str_utf8_valid(str_of(payload.p + 2, payload.n - 2))))
		return false;
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
	       (code >= 3000 && code <= 4999);
}

static void control_came(struct websocket *ws, uint8_t opcode)
{
	struct str payload = str_of(ws->control, ws->control_n);

	conn_charge_stanza(ws->st->conn); /* floods cost as stanzas do */
	ws->control_n = 0;
	if (opcode == WSLAY_PING && send_control(ws, WSLAY_PONG, payload))
		conn_abort(ws->st->conn, ERR_LIMIT);
	if (opcode != WSLAY_CONNECTION_CLOSE)
		return;
	close_frame(ws, close_is_valid(payload)
				? CLOSE_NORMAL
				: CLOSE_PROTOCOL); /* without <close/>: the session waits to be resumed */
}

static void frame_ended(struct websocket *ws, const struct wslay_frame_iocb *f)
{
	uint64_t n = f->payload_length;

	ws->in_frame = false;
	ws->unfinished -= n + 2 + 4 + (n <= CONTROL_MAX ? 0 : n <= UINT16_MAX ? 2 : 8);
	if (wslay_is_ctrl_frame(f->opcode)) {
		control_came(ws, f->opcode);
		return;
	}
	if (!f->fin)
		return;
	struct buf whole = ws->message;
	buf_init(&ws->message, SIZE_MAX / 4);
	ws->fragments = 0;
	message_came(ws, buf_str(&whole));
	buf_clear(&whole);
}

/* A piece of a frame; false when the connection ends. */
static bool piece_came(struct websocket *ws, const struct wslay_frame_iocb *f)
{
	bool is_control = wslay_is_ctrl_frame(f->opcode);

	if (!ws->in_frame) {
		enum close_code code = check_frame(ws, f);
		if (code) {
			refuse(ws, code);
			return false;
		}
		ws->in_frame = true;
		ws->frame_n = 0;
		ws->fragments += !is_control;
	}
	ws->frame_n += f->data_length;
	if (is_control) {
		memcpy(ws->control + ws->control_n, f->data, f->data_length);
		ws->control_n = (uint8_t)(ws->control_n + f->data_length);
	} else {
		buf_add(&ws->message, f->data, f->data_length);
	}
	if (ws->frame_n == f->payload_length)
		frame_ended(ws, f);
	return ws->st->phase != PHASE_CLOSED && !conn_is_closing(ws->st->conn);
}

static ssize_t give_input(uint8_t *to, size_t n, int flags, void *user)
{
	struct websocket *ws = user;

	(void)flags;
	if (n > ws->in_n)
		n = ws->in_n;
	if (!n)
		return -1; /* wants more: wslay says WSLAY_ERR_WANT_READ */
	memcpy(to, ws->in, n);
	ws->in += n;
	ws->in_n -= n;
	ws->unfinished += n;
	return (ssize_t)n;
}

static void on_data(struct conn *c, const char *data, size_t n)
{
	static const struct wslay_frame_callbacks callbacks = { .recv_callback = give_input };
	struct websocket *ws = conn_user(c);
	struct wslay_frame_iocb f = { 0 };
	ssize_t got;

	ws->in = data;
	ws->in_n = n;
	if (!ws->frames && wslay_frame_context_init(&ws->frames, &callbacks, ws)) { /* out of memory */
		conn_abort(c, ERR_NOMEM);
		return;
	}
	do {
		memset(&f, 0, sizeof f);
		got = wslay_frame_recv(ws->frames, &f);
	} while (got >= 0 && piece_came(ws, &f));
	if (got < 0 && got != WSLAY_ERR_WANT_READ)
		refuse(ws, CLOSE_PROTOCOL);
	if (ws->unfinished)
		return;
	wslay_frame_context_free(ws->frames);
	ws->frames = NULL;
}

static void on_drained(struct conn *c)
{
	stream_drained(((struct websocket *)conn_user(c))->st);
}

static void on_closed(struct conn *c, int err)
{
	struct websocket *ws = conn_user(c);

	stream_gone(ws->st, err);
	if (ws->frames)
		wslay_frame_context_free(ws->frames);
	buf_clear(&ws->message);
	mem_free(ws);
}

/* ---- the upgrade ---- */

/* One of a comma-separated list of tokens. */
static bool lists(struct str list, const char *token)
{
	struct str part;

	while (list.p && str_split(&list, ',', &part))
		if (str_ieq(str_trim(part), str_c(token)))
			return true;
	return false;
}

/* RFC 6455 4.2.2, 5.4; false when the key is not 16 bytes in base64. */
static bool accept_key(struct str key, char out[29])
{
	char joined[24 + sizeof GUID], raw[24];
	uint8_t d[HASH_MAX];

	if (key.n != 24 || base64_decode(key, raw, sizeof raw) != 16)
		return false;
	memcpy(joined, key.p, 24);
	memcpy(joined + 24, GUID, sizeof GUID);
	digest(HASH_SHA1, str_of(joined, 24 + sizeof GUID - 1), d);
	out[base64_encode(d, 20, out)] = '\0';
	return true;
}

/* NULL: upgrade; else why not, with the status. */
static const char *fault(struct http_request *rq, unsigned *out_status)
{
	*out_status = 400;
	if (!lists(http_header_get(rq, "upgrade"), "websocket") ||
	    !lists(http_header_get(rq, "connection"), "upgrade")) {
		*out_status = 426;
		return "This address speaks WebSocket (RFC 6455) with the subprotocol xmpp (RFC 7395)";
	}
	if (!str_eq_c(http_header_get(rq, "sec-websocket-version"), "13")) {
		*out_status = 426;
		return "The version of WebSocket is 13";
	}
	if (!lists(http_header_get(rq, "sec-websocket-protocol"), "xmpp"))
		return "Ask for the subprotocol xmpp (RFC 7395)";
	*out_status = 403;
	if (rq->origin == ORIGIN_FOREIGN)
		return "Pages of that origin may not connect; http.origins lists those that may"; /* row W01 */
	if (!rq->secure)
		return "Without encryption nobody logs in: use https, or name the proxy in http.trusted_proxies"; /* row A04 */
	return NULL;
}

static void upgrade(struct http_request *rq)
{
	static const struct stream_listener listener = { .security = STREAM_PROXIED };
	char key[29];
	unsigned status;
	const char *why = fault(rq, &status);

	if (why) {
		http_answer(rq, status, "text/plain; charset=utf-8", str_c(why),
			    status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : NULL);
		return;
	}
	if (!accept_key(http_header_get(rq, "sec-websocket-key"), key)) {
		answer_error(rq, 400, "websocket", "Sec-WebSocket-Key must be 16 bytes in base64");
		return;
	}
	struct websocket *ws = NEW(struct websocket);
	struct conn *c = http_raw(rq);
	struct str head =
		arena_printf(rq->a,
			     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			     "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n",
			     key);
	conn_write(c, head);
	buf_init(&ws->message, SIZE_MAX / 4); /* check_frame bounds it */
	ws->header_wanted = true;
	ws->code = CLOSE_NORMAL;
	ws->st = stream_new(&listener, &carrier, ws, c, rq->ip, conn_id(c));
	ws->st->secure = rq->secure;
	ws->st->proxied = rq->proxied;
	http_release(rq);
	conn_set_user(c, &events, ws);
	conn_set_output_max(c, limits()->output_bytes);
	stream_start(ws->st);
}

const struct route websocket_routes[] = {
	{ "GET", "/ws", ROUTE_OPEN, upgrade },
	{ .path = NULL },
};
