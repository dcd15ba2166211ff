/*
 * HTTP/1.1 for the API, metrics and pages: llhttp parses, this file keeps the limits and prints the answer. The connection reads on only after the
 * answer to its present request was queued, so pipelining needs no queue here.
 */
#include "bosh/http.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/net/limits.h"
#include <llhttp.h>
#include <stdatomic.h>
#include <string.h>

struct http_conn {
	struct conn *conn;
	const struct http_listener *listener;
	llhttp_t parser;
	struct http_request *rq; /* being read, or being answered */
	bool answering, failed;
	struct buf head, body; /* url and header text; body */
	struct timer timer;
	size_t n_headers, url_n;
	const char *segment_end; /* of the input being parsed; only compared */
	bool value_ended;	 /* of the present header line */
	struct mark {
		size_t name, name_n, value, value_n;
	} * marks; /* places in head */
};

static atomic_uint_fast64_t n_connections, n_requests;

static void on_data(struct conn *c, const char *data, size_t n);
static void on_closed(struct conn *c, int err);
static const struct conn_events events = { .on_data = on_data, .on_closed = on_closed };

void http_get_stats(struct http_stats *out)
{
	out->connections = atomic_load(&n_connections);
	out->requests = atomic_load(&n_requests);
}

static void request_free(struct http_request *rq)
{
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
	buf_reset(&h->head);
	buf_reset(&h->body);
}

/* ---- parser callbacks: 0 or -1 to stop ---- */

static struct http_conn *of(llhttp_t *p)
{
	return p->data;
}

static int refuse(struct http_conn *h, unsigned status, const char *text)
{
	if (h->failed)
		return -1;
	h->failed = true;
	h->rq->keep_alive = false;
	h->answering = true;
	http_answer(h->rq, status, "text/plain; charset=utf-8", str_c(text), NULL);
	return -1;
}

static int on_url(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);

	buf_add(&h->head, s, n);
	h->url_n += n;
	return buf_ok(&h->head) ? 0 : refuse(h, 431, "The request head is too large\n");
}

static int on_field(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);
	struct mark *m = h->n_headers ? &h->marks[h->n_headers - 1] : NULL;

	/* llhttp takes "Content-Length : 5"; RFC 9112 5.1 wants it refused, since others read it otherwise (row X20) */
	if (memchr(s, ' ', n) || memchr(s, '\t', n))
		return refuse(h, 400, "White space in the name of a header\n");
	if (!m || m->value_n || m->value) { /* a new header begins */
		if (h->n_headers >= limits()->http_headers)
			return refuse(h, 431, "Too many header lines\n");
		m = &h->marks[h->n_headers++];
		*m = (struct mark){ .name = h->head.n };
	}
	h->value_ended = false;
	buf_add(&h->head, s, n);
	m->name_n += n;
	return buf_ok(&h->head) ? 0 : refuse(h, 431, "The request head is too large\n");
}

static int on_value(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);
	struct mark *m = h->n_headers ? &h->marks[h->n_headers - 1] : NULL;

	/* llhttp takes header lines without a name and folded ones; another parser may not (row X20). A value has ended when it stops before the
	 * segment does. */
	if (!m || !m->name_n || h->value_ended)
		return refuse(h, 400, "A header line is malformed\n");
	h->value_ended = s + n != h->segment_end;
	if (!m->value)
		m->value = h->head.n;
	buf_add(&h->head, s, n);
	m->value_n += n;
	return buf_ok(&h->head) ? 0 : refuse(h, 431, "The request head is too large\n");
}

static int on_headers_complete(llhttp_t *p)
{
	struct http_conn *h = of(p);

	if ((p->flags & F_CONTENT_LENGTH) &&
	    p->content_length > h->body.max) /* the control socket's is larger: a company's CSV */
		return refuse(h, 413, "The request body is too large\n");
	return 0;
}

static int on_body(llhttp_t *p, const char *s, size_t n)
{
	struct http_conn *h = of(p);

	buf_add(&h->body, s, n);
	return buf_ok(&h->body) ? 0 : refuse(h, 413, "The request body is too large\n");
}

static void fill_request(struct http_conn *h)
{
	struct http_request *rq = h->rq;
	struct str head = arena_str(rq->a, buf_str(&h->head)), url = str_of(head.p, h->url_n);
	ptrdiff_t q = str_find(url, '?');
	struct http_header **tail = &rq->headers;

	rq->method = str_c(llhttp_method_name((llhttp_method_t)h->parser.method));
	rq->path = q < 0 ? url : str_of(url.p, (size_t)q);
	rq->query = q < 0 ? STR_NONE : str_of(url.p + q + 1, url.n - (size_t)q - 1);
	rq->body = arena_str(rq->a, buf_str(&h->body));
	rq->keep_alive = llhttp_should_keep_alive(&h->parser);
	for (size_t i = 0; i < h->n_headers; i++) {
		struct http_header *n = ARENA_NEW(rq->a, struct http_header);
		n->name = str_of(head.p + h->marks[i].name, h->marks[i].name_n);
		n->value = str_trim(str_of(head.p + h->marks[i].value, h->marks[i].value_n)); /* RFC 9110 5.5 */
		*tail = n;
		tail = &n->next;
	}
}

static int on_complete(llhttp_t *p)
{
	struct http_conn *h = of(p);

	fill_request(h);
	h->answering = true;
	loop_timer_cancel(loop_self(), &h->timer);
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

static void too_slow(struct timer *t)
{
	struct http_conn *h = list_entry(t, struct http_conn, timer);

	if (h->head.n && !h->answering)
		refuse(h, 408, "The request took too long\n");
	else
		conn_close(h->conn);
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
	h->timer.fire = too_slow;
	h->conn = conn_new(fd, &events, h, tls);
	tls_context_unref(tls);
	request_new(h);
	conn_set_output_max(h->conn, 256u << 20);
	loop_timer(loop_self(), &h->timer, limits()->http_head_ms);
	atomic_fetch_add_explicit(&n_connections, 1, memory_order_relaxed);
}

static void on_data(struct conn *c, const char *data, size_t n)
{
	struct http_conn *h = conn_user(c);

	if (h->failed)
		return;
	if (h->answering) { /* read before the pause took effect: the next request waits */
		conn_unread(c, data, n);
		return;
	}
	h->segment_end = data + n;
	llhttp_errno_t err = llhttp_execute(&h->parser, data, n);
	if (err == HPE_PAUSED) {
		const char *at = llhttp_get_error_pos(&h->parser);
		llhttp_resume(&h->parser);
		conn_pause(c);
		if (at && at < data + n)
			conn_unread(c, at, (size_t)(data + n - at));
		h->listener->handle(h->rq);
	} else if (err != HPE_OK && !h->failed) {
		refuse(h, 400, "The request is not valid HTTP/1.1\n");
	}
}

static void on_closed(struct conn *c, int err)
{
	struct http_conn *h = conn_user(c);

	(void)err;
	loop_timer_cancel(loop_self(), &h->timer);
	if (h->rq && h->answering)
		h->rq->conn = NULL; /* its handler will answer into nothing */
	else if (h->rq)
		request_free(h->rq);
	buf_clear(&h->head);
	buf_clear(&h->body);
	mem_free(h->marks);
	mem_free(h);
}

/* ---- answers ---- */

static const struct {
	unsigned status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
	{ 507, "Insufficient Storage" },
};

static const char *reason(unsigned status)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}

static void next_request(struct http_conn *h)
{
	bool keep = h->rq->keep_alive && !h->failed;

	request_free(h->rq);
	h->rq = NULL;
	if (!keep) {
		conn_close(h->conn);
		return;
	}
	h->answering = false;
	request_new(h);
	loop_timer(loop_self(), &h->timer, limits()->http_idle_ms);
	conn_resume(h->conn);
}

void http_answer(struct http_request *rq, unsigned status, const char *type, struct str body, const char *extra)
{
	struct http_conn *h = rq->conn;
	struct buf b;

	if (!h) {
		request_free(rq);
		return;
	}
	buf_init(&b, 65536);
	buf_printf(&b, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\nContent-Type: %s\r\n", status, reason(status), body.n,
		   type);
	buf_lit(&b, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"
		    "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors "
		    "'none'\r\n");
	buf_str_add(&b, str_c(extra));
	buf_str_add(&b, str_c(rq->keep_alive ? "\r\n" : "Connection: close\r\n\r\n"));
	conn_write(h->conn, buf_str(&b));
	buf_clear(&b);
	if (body.n && !str_eq_c(rq->method, "HEAD")) {
		struct chunk *c = chunk_of(body);
		conn_write_chunk(h->conn, c, 0, c->n);
		chunk_unref(c);
	}
	/* Only method, path and status: queries may carry secrets (row W13). */
	log_debug("http.request", LS("method", rq->method), LS("path", rq->path), LU("status", status),
		  LC("ip", rq->ip));
	next_request(h);
}

struct str http_header_get(const struct http_request *rq, const char *name)
{
	for (const struct http_header *h = rq->headers; h; h = h->next)
		if (str_ieq(h->name, str_c(name)))
			return h->value;
	return STR_NONE;
}

static struct str percent_decode(struct arena *a, struct str s)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char byte;
		if (s.p[i] == '%' && i + 2 < s.n && hex_decode(str_of(s.p + i + 1, 2), &byte, 1) == 1) {
			out[n++] = byte;
			i += 2;
		} else {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	return str_of(out, n);
}

struct str http_query(struct http_request *rq, const char *name)
{
	struct str rest = rq->query, part;

	while (rest.p && str_split(&rest, '&', &part)) {
		ptrdiff_t eq = str_find(part, '=');
		struct str key = eq < 0 ? part : str_of(part.p, (size_t)eq);
		if (str_eq_c(key, name))
			return percent_decode(rq->a,
					      eq < 0 ? STR("") : str_of(part.p + eq + 1, part.n - (size_t)eq - 1));
	}
	return STR_NONE;
}
