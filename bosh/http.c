/*
 * Reading requests: llhttp parses, this file keeps the limits and refuses what another parser may read otherwise (row X20). While a request is being
 * answered its connection is still read, so that a client that leaves is noticed; a pipelined request is given back and waits. Worker of the connection.
 */
#include "bosh/http.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bosh/http_impl.h"
#include "server/net/limits.h"
#include "server/net/listener.h"
#include <stdatomic.h>
#include <string.h>

static atomic_uint_fast64_t n_connections, n_requests;

static void on_data(struct conn *c, const char *data, size_t n);
static void on_secure(struct conn *c);
static void on_drained(struct conn *c);
static void on_closed(struct conn *c, int err);
static const struct conn_events events = { on_data, on_secure, on_drained, on_closed };

void http_get_stats(struct http_stats *out)
{
	out->connections = atomic_load(&n_connections);
	out->requests = atomic_load(&n_requests);
}

struct http_kept {
	struct http_kept *next;
	void *data;
	void (*release)(void *data);
};

void http_keep(struct http_request *rq, void *data, void (*release)(void *data))
{
	struct http_kept *k = ARENA_NEW(rq->a, struct http_kept);

	k->data = data;
	k->release = release;
	k->next = rq->kept;
	rq->kept = k;
}

void http_request_free(struct http_request *rq)
{
	for (struct http_kept *k = rq->kept; k; k = k->next)
		k->release(k->data);
	arena_free(rq->a);
	mem_free(rq);
}

static void request_new(struct http_conn *h)
{
	struct http_request *rq = NEW(struct http_request);

	rq->a = arena_new(8192);
	rq->conn = h;
	rq->ip = conn_ip(h->conn);
	rq->is_control = h->listener->is_control;
	h->rq = rq;
	h->n_headers = h->url_n = 0;
	h->body_n = h->raw_n = 0;
	h->last[0] = h->last[1] = '\0';
	h->value_ended = false;
	buf_reset(&h->head);
	buf_reset(&h->body);
	llhttp_reset(&h->parser);
}

static void counted(struct http_conn *h, bool half_open)
{
	if (h->half_open == half_open)
		return;
	h->half_open = half_open;
	if (!half_open)
		preauth_leave(conn_ip(h->conn));
	else
		h->half_open = preauth_enter(conn_ip(h->conn));
}

/* ---- parser callbacks: 0 or -1 to stop ---- */

static struct http_conn *of(llhttp_t *p)
{
	return p->data;
}

static int refuse(struct http_conn *h, unsigned status, const char *text)
{
	if (h->state == AT_ENDING)
		return -1;
	if (h->state == AT_BODY && h->rq->sink)
		h->rq->sink->gone(h->rq);
	http_answer(h->rq, status, "text/plain; charset=utf-8", str_c(text), NULL);
	return -1;
}

static int check_head_size(struct http_conn *h)
{
	return buf_ok(&h->head) ? 0 : refuse(h, 431, "The request head is too large\n");
}

static int on_url(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);

	buf_add(&h->head, s, n);
	h->url_n += n;
	return check_head_size(h);
}

static int on_field(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);
	struct http_mark *m = h->n_headers ? &h->marks[h->n_headers - 1] : NULL;

	if (h->state == AT_BODY)
		return 0; /* trailers are dropped (RFC 9110 6.5.1); check_overhead counts them */
	/* llhttp takes "Content-Length : 5"; RFC 9112 5.1 wants it refused, since others read it otherwise (row X20) */
	if (memchr(s, ' ', n) || memchr(s, '\t', n))
		return refuse(h, 400, "White space in the name of a header\n");
	if (!m || m->value_n || m->value) { /* a new header begins */
		if (h->n_headers >= limits()->http_headers)
			return refuse(h, 431, "Too many header lines\n");
		m = &h->marks[h->n_headers++];
		*m = (struct http_mark){ .name = h->head.n };
	}
	h->value_ended = false;
	buf_add(&h->head, s, n);
	m->name_n += n;
	return check_head_size(h);
}

static int on_value(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);
	struct http_mark *m = h->n_headers ? &h->marks[h->n_headers - 1] : NULL;

	if (h->state == AT_BODY)
		return 0;
	/* llhttp takes header lines without a name and folded ones; another parser may not (row X20). A value has ended when it stops before the
	 * segment does. */
	if (!m || !m->name_n || h->value_ended)
		return refuse(h, 400, "A header line is malformed\n");
	h->value_ended = s + n != h->segment_end;
	if (!m->value)
		m->value = h->head.n;
	buf_add(&h->head, s, n);
	m->value_n += n;
	return check_head_size(h);
}

static unsigned headers_named(const struct http_request *rq, const char *name)
{
	unsigned n = 0;

	for (const struct http_header *h = rq->headers; h; h = h->next)
		n += str_ieq(h->name, str_c(name));
	return n;
}

static int fill_request(struct http_conn *h)
{
	struct http_request *rq = h->rq;
	struct str head = arena_str(rq->a, buf_str(&h->head)), url = str_of(head.p, h->url_n);
	struct http_header **tail = &rq->headers;

	rq->method = str_c(llhttp_method_name((llhttp_method_t)h->parser.method));
	rq->keep_alive = llhttp_should_keep_alive(&h->parser);
	rq->length = h->parser.flags & F_CHUNKED	  ? HTTP_UNKNOWN
		     : h->parser.flags & F_CONTENT_LENGTH ? h->parser.content_length
							  : 0;
	h->old_version = h->parser.http_major == 1 && h->parser.http_minor == 0;
	for (size_t i = 0; i < h->n_headers; i++) {
		struct http_header *n = ARENA_NEW(rq->a, struct http_header);
		n->name = str_of(head.p + h->marks[i].name, h->marks[i].name_n);
		n->value = str_trim(str_of(head.p + h->marks[i].value, h->marks[i].value_n)); /* RFC 9110 5.5 */
		*tail = n;
		tail = &n->next;
	}
	http_client_know(rq, h->conn);
	return http_path_take(rq, url);
}

/* What a strict reading of RFC 9112 refuses and llhttp does not; NULL when all is well. */
static const char *strict_fault(const struct http_conn *h)
{
	const struct http_request *rq = h->rq;
	struct str coding = http_header_get(rq, "transfer-encoding"), host = http_header_get(rq, "host");
	unsigned hosts = headers_named(rq, "host");

	if (hosts > 1 || (hosts == 0 && !h->old_version))
		return "There must be one Host line\n"; /* 3.2 */
	for (size_t i = 0; i < host.n; i++)
		if (strchr("/@?#\\ ,\t", host.p[i]))
			return "The Host line is malformed\n";
	if (!coding.p)
		return NULL;
	if (h->old_version)
		return "HTTP/1.0 knows no Transfer-Encoding\n"; /* 6.1 */
	if (!str_ieq(coding, STR("chunked")) || headers_named(rq, "transfer-encoding") > 1)
		return "The only Transfer-Encoding is chunked\n";
	return headers_named(rq, "content-length") ? "Content-Length and Transfer-Encoding exclude each other\n"
						   : NULL; /* 6.3 */
}

static int start_body(struct http_conn *h)
{
	struct http_request *rq = h->rq;
	struct str expect = http_header_get(rq, "expect");

	if (rq->sink)
		rq->sink->start(rq);
	if (h->state == AT_ENDING)
		return -1;
	if (expect.p && !h->old_version && rq->length)
		conn_write(h->conn, STR("HTTP/1.1 100 Continue\r\n\r\n")); /* RFC 9110 10.1.1 */
	h->seen = 0;
	loop_timer(loop_self(), &h->timer, limits()->http_head_ms);
	return 0;
}

static int on_headers_complete(llhttp_t *p)
{
	struct http_conn *h = of(p);
	struct http_request *rq = h->rq;
	int err = fill_request(h);
	const char *fault = strict_fault(h);

	if (fault)
		return refuse(h, 400, fault);
	if (err)
		return refuse(h, 400, "The path is not in its plain form\n");
	struct str expect = http_header_get(rq, "expect"), encoding = http_header_get(rq, "content-encoding");
	if (expect.p && !str_ieq(expect, STR("100-continue")))
		return refuse(h, 417, "Only 100-continue may be expected\n");
	if (encoding.p && !str_ieq(encoding, STR("identity")))
		return refuse(h, 415, "Bodies must come without Content-Encoding\n"); /* row W11 */
	const struct http_sink *sink = h->listener->head ? h->listener->head(rq) : NULL;
	if (h->state == AT_ENDING) /* it was answered: rq is gone */
		return -1;
	rq->sink = sink;
	h->state = AT_BODY;
	if (!rq->sink && rq->length != HTTP_UNKNOWN &&
	    rq->length > h->body.max) /* the control socket's is larger: a company's CSV */
		return refuse(h, 413, "The request body is too large\n");
	return rq->length || rq->sink ? start_body(h) : 0;
}

static int on_body(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);

	h->body_n += n;
	if (h->rq->sink) {
		h->rq->sink->data(h->rq, str_of(s, n));
		return h->state == AT_ENDING ? -1 : 0;
	}
	buf_add(&h->body, s, n);
	return buf_ok(&h->body) ? 0 : refuse(h, 413, "The request body is too large\n");
}

static int on_complete(llhttp_t *p)
{
	struct http_conn *h = of(p);

	h->rq->body = arena_str(h->rq->a, buf_str(&h->body));
	buf_clear(&h->body);
	h->state = AT_ANSWERING;
	loop_timer_cancel(loop_self(), &h->timer);
	counted(h, false);
	atomic_fetch_add_explicit(&n_requests, 1, memory_order_relaxed);
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* ---- connection ---- */

/* A body must arrive at limit http_body_rate at least, an answer must be taken (row W11). */
static bool too_slow(struct http_conn *h)
{
	const struct limits *l = limits();
	uint64_t now = h->state == AT_BODY ? h->body_n : conn_tx_total(h->conn), got = now - h->seen;

	h->seen = now;
	if (h->state != AT_BODY)
		return got == 0;
	return !h->body_paused && got < l->http_body_rate * l->http_head_ms / 1000;
}

static void on_timer(struct timer *t)
{
	struct http_conn *h = list_entry(t, struct http_conn, timer);
	bool sends = conn_queued(h->conn) > 0;

	switch (h->state) {
	case AT_HEAD: refuse(h, 408, "The request took too long\n"); break;
	case AT_BODY:
		if (too_slow(h))
			refuse(h, 408, "The request body comes too slowly\n");
		else
			loop_timer(loop_self(), t, limits()->http_head_ms);
		break;
	case AT_ANSWERING:
	case AT_IDLE:
		if (sends && too_slow(h)) {
			limit_hit_log("http_send_ms", conn_ip(h->conn));
			conn_abort(h->conn, ERR_TIMEOUT);
		} else if (sends || h->state == AT_ANSWERING) {
			loop_timer(loop_self(), t, limits()->http_send_ms);
		} else {
			conn_close(h->conn);
		}
		break;
	case AT_ENDING: break;
	}
}

void http_accept(const struct http_listener *l, int fd)
{
	struct http_conn *h = NEW(struct http_conn);
	struct tls_context *tls = l->tls ? l->tls() : NULL;

	h->listener = l;
	buf_init(&h->head, limits()->http_head_bytes);
	buf_init(&h->body, l->is_control ? 256u << 20 : limits()->http_body_bytes);
	h->marks = mem_zero(limits()->http_headers * sizeof *h->marks);
	llhttp_init(&h->parser, HTTP_REQUEST, &settings);
	h->parser.data = h;
	h->timer.fire = on_timer;
	h->conn = conn_new(fd, &events, h, tls);
	request_new(h);
	conn_set_output_max(h->conn, 256u << 20);
	if (!tls)
		loop_timer(loop_self(), &h->timer, limits()->http_head_ms); /* with TLS from the end of the handshake */
	tls_context_unref(tls);
	atomic_fetch_add_explicit(&n_connections, 1, memory_order_relaxed);
	counted(h, true);
	if (!h->half_open && !l->is_control)
		refuse(h, 429, "Too many connections of your address have not sent their request yet\n");
}

static void on_secure(struct conn *c)
{
	struct http_conn *h = conn_user(c);

	if (h->state != AT_ENDING)
		loop_timer(loop_self(), &h->timer, limits()->http_head_ms);
}

/* A bare LF ends a line for some parsers only (row X20). Looks at the head only: up to its empty line. */
static bool has_bare_lf(struct http_conn *h, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!h->last[1] && (data[i] == '\r' || data[i] == '\n'))
			continue; /* empty lines before it, RFC 9112 2.2 */
		if (data[i] == '\n' && h->last[1] != '\r')
			return true;
		if (data[i] == '\n' && h->last[0] == '\n') { /* "\n\r\n": its end */
			h->raw_n = n - i - 1;
			return false;
		}
		if (data[i] == '\r' && h->last[1] == '\n')
			h->last[0] = '\n';
		else if (data[i] != '\n')
			h->last[0] = '\0';
		h->last[1] = data[i];
	}
	return false;
}

/* Chunk extensions, tiny chunks and trailers may not be many times the body (row W11). */
static bool has_overhead(const struct http_conn *h)
{
	return h->state == AT_BODY && h->raw_n > limits()->http_head_bytes + 8 * h->body_n;
}

static void wait_behind(struct http_conn *h, const char *data, size_t n)
{
	conn_unread(h->conn, data, n);
	if (!h->held)
		conn_pause(h->conn);
	h->held = true;
}

static void begin_head(struct http_conn *h)
{
	h->state = AT_HEAD;
	h->rq->began_ms = loop_now(loop_self());
	counted(h, true);
	loop_timer(loop_self(), &h->timer, limits()->http_head_ms);
}

static void on_data(struct conn *c, const char *data, size_t n)
{
	struct http_conn *h = conn_user(c);

	if (h->state == AT_ENDING)
		return;
	if (h->state == AT_ANSWERING) {
		wait_behind(h, data, n);
		return;
	}
	if (h->state == AT_IDLE)
		begin_head(h);
	if (h->state == AT_HEAD && has_bare_lf(h, data, n)) {
		refuse(h, 400, "Lines end in CR LF\n");
		return;
	}
	if (h->state == AT_BODY)
		h->raw_n += n;
	h->segment_end = data + n;
	llhttp_errno_t err = llhttp_execute(&h->parser, data, n);
	if (h->state == AT_ENDING)
		return;
	if (err == HPE_PAUSED) {
		const char *at = llhttp_get_error_pos(&h->parser);
		if (at && at < data + n)
			wait_behind(h, at, (size_t)(data + n - at));
		h->listener->handle(h->rq);
	} else if (err != HPE_OK) {
		refuse(h, 400, "The request is not valid HTTP/1.1\n");
	} else if (has_overhead(h)) {
		refuse(h, 400, "The body has more framing than content\n");
	}
}

static void on_drained(struct conn *c)
{
	struct http_conn *h = conn_user(c);

	if (h->state == AT_ANSWERING && h->rq->status)
		http_flow_more(h);
}

static void conn_forget(struct http_conn *h)
{
	loop_timer_cancel(loop_self(), &h->timer);
	counted(h, false);
	buf_clear(&h->head);
	buf_clear(&h->body);
	mem_free(h->marks);
	mem_free(h);
}

static void on_closed(struct conn *c, int err)
{
	struct http_conn *h = conn_user(c);
	struct http_request *rq = h->rq;

	(void)err;
	if (rq && h->state == AT_ANSWERING && !rq->flow) { /* its handler will answer into nothing */
		rq->conn = NULL;
	} else if (rq) {
		rq->conn = NULL;
		if (rq->flow)
			rq->flow->gone(rq);
		else if (h->state == AT_BODY && rq->sink)
			rq->sink->gone(rq);
		http_request_free(rq);
	}
	conn_forget(h);
}

void http_next(struct http_conn *h)
{
	bool keep = h->rq->keep_alive && h->state == AT_ANSWERING;

	http_request_free(h->rq);
	h->rq = NULL;
	loop_timer_cancel(loop_self(), &h->timer);
	if (!keep) {
		h->state = AT_ENDING;
		conn_close(h->conn);
		return;
	}
	h->state = AT_IDLE;
	request_new(h);
	h->seen = 0;
	loop_timer(loop_self(), &h->timer, limits()->http_idle_ms);
	if (h->held)
		conn_resume(h->conn);
	h->held = false;
	if (h->body_paused) /* answered without the sink's resuming: the body was whole already */
		conn_resume(h->conn);
	h->body_paused = false;
}

void http_body_pause(struct http_request *rq)
{
	struct http_conn *h = rq->conn;

	if (!h || h->body_paused)
		return;
	h->body_paused = true;
	conn_pause(h->conn);
}

void http_body_resume(struct http_request *rq)
{
	struct http_conn *h = rq->conn;

	if (!h || !h->body_paused)
		return;
	h->body_paused = false;
	h->seen = h->body_n;
	conn_resume(h->conn);
}

/* ---- leaving the worker, leaving HTTP ---- */

bool http_detach(struct http_request *rq)
{
	struct http_conn *h = rq->conn;

	if (!h || conn_is_closing(h->conn))
		return false;
	loop_timer_cancel(loop_self(), &h->timer);
	conn_detach(h->conn);
	return true;
}

void http_attach(struct http_request *rq)
{
	conn_attach(rq->conn->conn);
}

struct conn *http_raw(struct http_request *rq)
{
	return rq->conn ? rq->conn->conn : NULL;
}

struct conn *http_release(struct http_request *rq)
{
	struct http_conn *h = rq->conn;
	struct conn *c = h->conn;

	log_info("http.upgraded", LS("path", rq->path), LC("ip", rq->ip), LU("conn", conn_id(c)));
	http_request_free(rq);
	if (h->held)
		conn_resume(c);
	conn_forget(h);
	return c;
}
