/* Printing answers: head with the security lines, whole bodies, bodies in pieces with back-pressure, the access log. Worker of the connection. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bosh/http_impl.h"
#include "server/net/limits.h"
#include <string.h>
#include <time.h>

static const struct {
	unsigned status;
	const char *text;
} reasons[] = {
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
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

/* RFC 9110 6.6.1; made once a second and thread. */
static void print_date(struct buf *b)
{
	static _Thread_local char text[40];
	static _Thread_local time_t made;
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;

	if (now != made) {
		made = now;
		gmtime_r(&now, &tm);
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	buf_lit(b, "Date: ");
	buf_str_add(b, str_c(text));
	buf_lit(b, "\r\n");
}

static bool names(const char *extra, const char *header)
{
	return extra && strcasestr(extra, header) != NULL;
}

/* What every browser must know about every answer (rows W06, W07). */
static void print_security(struct buf *b, const char *extra)
{
	buf_lit(b, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n");
	if (!names(extra, "Cache-Control:"))
		buf_lit(b, "Cache-Control: no-store\r\n");
	if (!names(extra, "Content-Security-Policy:"))
		buf_lit(b, "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self'; base-uri "
			   "'none'; form-action 'none'; "
			   "frame-ancestors 'none'\r\n");
}

/* Pages of listed origins may read the answer; others' browsers keep it from them. */
static void print_cors(struct buf *b, const struct http_request *rq, const char *extra)
{
	if (rq->origin == ORIGIN_NONE || names(extra, "Access-Control-Allow-Origin:"))
		return;
	if (rq->origin == ORIGIN_LISTED) {
		buf_lit(b, "Access-Control-Allow-Origin: ");
		buf_str_add(b, http_header_get(rq, "origin"));
		buf_lit(b, "\r\n");
	}
	buf_lit(b, "Vary: Origin\r\n");
}

static bool has_no_body(const struct http_request *rq, unsigned status)
{
	return status == 204 || status == 304 || str_eq_c(rq->method, "HEAD");
}

static void write_head(struct http_request *rq, unsigned status, const char *type, uint64_t length, const char *extra)
{
	struct http_conn *h = rq->conn;
	struct buf b;

	buf_init(&b, 65536);
	buf_printf(&b, "HTTP/1.1 %u %s\r\n", status, reason(status));
	print_date(&b);
	if (length == HTTP_UNKNOWN && h->old_version)
		rq->keep_alive = false; /* its end is that of the connection */
	else if (length == HTTP_UNKNOWN)
		buf_lit(&b, "Transfer-Encoding: chunked\r\n");
	else if (status != 204 && status != 304)
		buf_printf(&b, "Content-Length: %llu\r\n", (unsigned long long)length);
	if (type && status != 204 && status != 304)
		buf_printf(&b, "Content-Type: %s\r\n", type);
	print_security(&b, extra);
	print_cors(&b, rq, extra);
	buf_str_add(&b, str_c(extra));
	if (!rq->keep_alive || h->state != AT_ANSWERING)
		buf_lit(&b, "Connection: close\r\n");
	else if (h->old_version)
		buf_lit(&b, "Connection: keep-alive\r\n");
	buf_lit(&b, "\r\n");
	conn_write(h->conn, buf_str(&b));
	buf_clear(&b);
	rq->status = status;
}

/* The access log. Only method, path and status: queries may carry secrets (row W13). */
static void over(struct http_request *rq)
{
	struct http_conn *h = rq->conn;
	uint64_t now = loop_now(loop_self()), ms = rq->began_ms ? now - rq->began_ms : 0;
	enum log_level level = rq->quiet || rq->is_control || !http_access_log() ? LOG_DEBUG : LOG_INFO;

	log_at(level, "http.request", LS("method", rq->method), LS("path", rq->path), LU("status", rq->status),
	       LC("ip", rq->ip), LU("bytes", rq->sent), LU("ms", ms), LU("conn", conn_id(h->conn)));
	http_next(h);
}

void http_answer(struct http_request *rq, unsigned status, const char *type, struct str body, const char *extra)
{
	struct http_conn *h = rq->conn;

	if (!h) {
		http_request_free(rq);
		return;
	}
	write_head(rq, status, type, body.n, extra);
	if (body.n && !has_no_body(rq, status)) {
		struct chunk *c = chunk_of(body);
		conn_write_chunk(h->conn, c, 0, c->n);
		rq->sent = c->n;
		chunk_unref(c);
	}
	over(rq);
}

/* ---- in pieces ---- */

void http_begin(struct http_request *rq, unsigned status, const char *type, uint64_t length, const char *extra,
		const struct http_flow *flow)
{
	struct http_conn *h = rq->conn;

	rq->flow = flow;
	rq->left = length;
	write_head(rq, status, type, length, extra);
	h->seen = 0;
	loop_timer(loop_self(), &h->timer, limits()->http_send_ms);
}

void http_flow_more(struct http_conn *h)
{
	if (h->rq->flow && h->rq->flow->more)
		h->rq->flow->more(h->rq);
}

static int room_for(const struct http_conn *h, size_t n)
{
	size_t queued = conn_queued(h->conn);

	if (conn_is_closing(h->conn))
		return ERR_CLOSED;
	return queued && queued + n > limits()->http_output_bytes ? ERR_LIMIT : 0;
}

static bool is_chunked(const struct http_request *rq)
{
	return rq->left == HTTP_UNKNOWN && !rq->conn->old_version;
}

int http_write_chunk(struct http_request *rq, struct chunk *c)
{
	struct http_conn *h = rq->conn;
	int err = room_for(h, c->n);
	char size[24];

	if (err || !c->n || has_no_body(rq, rq->status))
		return err;
	if (is_chunked(rq)) {
		int n = snprintf(size, sizeof size, "%x\r\n", c->n);
		conn_write(h->conn, str_of(size, (size_t)n));
	}
	conn_write_chunk(h->conn, c, 0, c->n);
	if (is_chunked(rq))
		conn_write(h->conn, STR("\r\n"));
	rq->sent += c->n;
	if (rq->left != HTTP_UNKNOWN)
		rq->left -= c->n < rq->left ? c->n : rq->left;
	return 0;
}

int http_write(struct http_request *rq, struct str piece)
{
	struct chunk *c = chunk_of(piece);
	int err = http_write_chunk(rq, c);

	chunk_unref(c);
	return err;
}

void http_end(struct http_request *rq)
{
	struct http_conn *h = rq->conn;

	if (!has_no_body(rq, rq->status)) {
		if (is_chunked(rq))
			conn_write(h->conn, STR("0\r\n\r\n"));
		else if (rq->left != HTTP_UNKNOWN && rq->left)
			conn_abort(h->conn, ERR_IO);
	}
	over(rq);
}

struct str http_header_get(const struct http_request *rq, const char *name)
{
	for (const struct http_header *h = rq->headers; h; h = h->next)
		if (str_ieq(h->name, str_c(name)))
			return h->value;
	return STR_NONE;
}
