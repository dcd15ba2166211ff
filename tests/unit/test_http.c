/*
 * bosh/http and bosh/route over a real socket: keep-alive, pipelining, what is refused and how (X20), limits, routes. Each request is sent whole
 * and byte by byte; the loop and the client live in the test's own thread.
 */
#include "bosh/http.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bosh/route.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "tests/lib/net.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

static int peer = -1;
static struct buf got;
static bool eof;
static unsigned want;
static struct http_request *kept;

static void echo(struct http_request *rq)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b, "[%.*s %.*s", STR_ARG(rq->method), STR_ARG(rq->path));
	if (rq->query.p)
		buf_printf(&b, " ?%.*s q=%.*s", STR_ARG(rq->query), STR_ARG(http_query(rq, "q")));
	for (const struct http_header *h = rq->headers; h; h = h->next)
		if (str_starts(h->name, STR("X")))
			buf_printf(&b, " %.*s=%.*s", STR_ARG(h->name), STR_ARG(h->value));
	if (http_header_get(rq, "x-one").p)
		buf_lit(&b, " one!");
	buf_printf(&b, " %zu:%.*s]", rq->body.n, STR_ARG(rq->body.n < 100 ? rq->body : STR("...")));
	http_answer(rq, 200, "text/plain", buf_str(&b), "X-Extra: 1\r\n");
	buf_clear(&b);
}

static void keep(struct http_request *rq)
{
	kept = rq;
}

/* ---- a sink, an answer in pieces, a file ---- */

static struct {
	size_t taken, wrote;
	unsigned gone, full;
	struct http_request *paused;
} seen;

static void sink_start(struct http_request *rq)
{
	if (http_header_get(rq, "x-refuse").p)
		http_answer(rq, 403, "text/plain", STR("[no]"), NULL);
}
static void sink_data(struct http_request *rq, struct str piece)
{
	seen.taken += piece.n;
	if (str_find(piece, 'R') >= 0) {
		http_answer(rq, 409, "text/plain", STR("[stop]"), NULL);
	} else if (str_find(piece, 'P') >= 0) {
		seen.paused = rq;
		http_body_pause(rq);
	}
}
static void count_gone(struct http_request *rq)
{
	(void)rq;
	seen.gone++;
}
static const struct http_sink sink = { sink_start, sink_data, count_gone };

#define FLOW_BYTES (4u << 20)
static void flow_more(struct http_request *rq)
{
	static const char piece[1024] = { '.' };

	while (seen.wrote < FLOW_BYTES) {
		int err = http_write(rq, str_of(piece, sizeof piece));
		seen.full += err == ERR_LIMIT;
		if (err)
			return;
		seen.wrote += sizeof piece;
	}
	if (http_write(rq, STR("]")) == 0)
		http_end(rq);
}
static const struct http_flow flow = { flow_more, count_gone };
static void flow_begin(struct http_request *rq)
{
	http_begin(rq, 200, "text/plain", FLOW_BYTES + 1, NULL, &flow);
}

static void file(struct http_request *rq)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ok(write(fd, "0]1]2]3]4]", 10) == 10, "a file");
	http_answer_file(rq, &(struct http_file){ .fd = fd, .size = 10, .type = "text/plain", .etag = "\"e\"" });
}

static const struct route routes_a[] = {
	{ "GET", "/open", ROUTE_OPEN, echo },
	{ "POST", "/open", ROUTE_OPEN, echo },
	{ "POST", "/post", ROUTE_OPEN, echo },
	{ "POST", "/sink", ROUTE_OPEN, echo, 0, &sink },
	{ "GET", "/flow", ROUTE_OPEN, flow_begin },
	{ "GET", "/file", ROUTE_OPEN, file },
	{ 0 },
};
static const struct route routes_b[] = {
	{ "GET", "/control", ROUTE_CONTROL, echo },
	{ "GET", "/files/*", ROUTE_OPEN, echo },
	{ "GET", "/later", ROUTE_OPEN, keep },
	{ 0 },
};
static const struct route *const routes[] = { routes_a, routes_b, NULL };
static const struct http_listener tcp = { .handle = route_request, .head = route_head },
				  control = { .handle = route_request, .is_control = true };

static unsigned answers(void)
{
	unsigned n = 0;

	for (const char *p = got.p, *end = got.p + got.n; p && (p = memmem(p, (size_t)(end - p), "HTTP/1.1 ", 9)); p++)
		n++;
	return n;
}

static void read_peer(void)
{
	char b[65536];
	ssize_t n;

	while ((n = read(peer, b, sizeof(b))) > 0)
		buf_add(&got, b, (size_t)n);
	eof |= n == 0;
}

/* As many answers as wanted, and the last one whole (its body ends with "]", "\n" or nothing after the head). */
static bool enough(void)
{
	read_peer();
	return eof || (answers() >= want && got.n && (got.p[got.n - 1] == ']' || got.p[got.n - 1] == '\n'));
}
static bool at_end(void)
{
	read_peer();
	return eof;
}
static bool is_kept(void)
{
	return kept != NULL;
}
static bool all_gone(void)
{
	return conn_count() == 0;
}

static void begin(const struct http_listener *l)
{
	static const char *const domains[] = { "example.org" };
	int fd[2];

	im.domains = domains; /* who asks on the control socket belongs to the first one */
	im.n_domains = 1;
	route_init(routes);
	ok(tcp_pair(fd), "a connected pair");
	peer = fd[1];
	fcntl(peer, F_SETFL, O_NONBLOCK);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	loop_enter(loop_new());
	buf_init(&got, 8 << 20);
	eof = false;
	kept = NULL;
	http_accept(l, fd[0]);
}

static void end(void)
{
	struct loop *l = loop_self();

	close(peer);
	ok(run_until(all_gone, 5000), "the connection ends");
	buf_clear(&got);
	loop_free(l);
}

static bool progress(void)
{
	return true;
}

static void send_all(struct str s)
{
	while (s.n) {
		ssize_t n = write(peer, s.p, s.n);
		if (n > 0)
			s = str_of(s.p + n, s.n - (size_t)n);
		else
			run_until(progress, 1);
		if (n < 0 && errno != EAGAIN)
			return;
		read_peer();
	}
}

/* Sends and waits for n answers; then says whether the server closed. */
static const char *ask_n(struct str request, bool bytewise, unsigned n)
{
	want = n;
	buf_reset(&got);
	if (bytewise)
		for (size_t i = 0; i < request.n && !eof; i++) {
			send_all(str_of(request.p + i, 1));
			run_until(progress, 1);
		}
	else
		send_all(request);
	ok(run_until(enough, 20000), "answered");
	buf_byte(&got, 0);
	got.n--;
	return got.p;
}

/* The status of each answer and its bracket, "closed" at the end when the server closed. */
static const char *summary(struct str request, bool bytewise, unsigned n, bool closes)
{
	static char out[1000];
	size_t k = 0;
	const char *p = ask_n(request, bytewise, n);

	if (closes) {
		ok(run_until(at_end, 20000), "and closed");
		buf_byte(&got, 0);
		got.n--;
		p = got.p;
	}
	out[0] = 0;
	for (p = strstr(p, "HTTP/1.1 "); p; p = strstr(p + 1, "HTTP/1.1 ")) {
		const char *next = strstr(p + 1, "HTTP/1.1 "), *b = strstr(p, "\r\n\r\n[");
		k += (size_t)snprintf(out + k, sizeof(out) - k, "%.3s", p + 9);
		if (b && (!next || b < next))
			k += (size_t)snprintf(out + k, sizeof(out) - k, "%.*s", (int)(strchr(b, ']') - b - 3), b + 4);
		k += (size_t)snprintf(out + k, sizeof(out) - k, " ");
	}
	if (eof)
		snprintf(out + k, sizeof(out) - k, "closed");
	return out;
}

#define H "Host: x\r\n"
static const struct {
	const char *request;
	unsigned n;
	bool closes;
	const char *want;
} table[] = {
	{ "GET /open HTTP/1.1\r\n" H "\r\n", 1, false, "200[GET /open 0:] " },
	{ "GET /open?a=1&q=%41b+c%2 HTTP/1.1\r\n" H "\r\n", 1, false, "200[GET /open ?a=1&q=%41b+c%2 q=Ab c%2 0:] " },
	{ "POST /open HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 1, false, "200[POST /open 5:hello] " },
	{ "POST /open HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 1, false,
	  "200[POST /open 5:hello] " },
	{ "GET /open HTTP/1.1\r\n" H "X-One: 1\r\nX-Two:\r\nX-Three:  3 3 \r\n\r\n", 1, false,
	  "200[GET /open X-One=1 X-Two= X-Three=3 3 one! 0:] " },
	{ "GET /open HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 1, true, "200[GET /open 0:] closed" },
	{ "GET /open HTTP/1.0\r\n\r\n", 1, true, "200[GET /open 0:] closed" },
	{ "GET /files/a/b HTTP/1.1\r\n" H "\r\n", 1, false, "200[GET /files/a/b 0:] " },
	/* pipelined: answered in order, one at a time */
	{ "GET /open HTTP/1.1\r\n" H "\r\nPOST /post HTTP/1.1\r\n" H
	  "Content-Length: 2\r\n\r\nabGET /files/x HTTP/1.1\r\n" H "\r\n",
	  3, false, "200[GET /open 0:] 200[POST /post 2:ab] 200[GET /files/x 0:] " },
	{ "GET /open HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /open HTTP/1.1\r\n" H "\r\n", 1, true,
	  "200[GET /open 0:] closed" },
	/* routes */
	{ "GET /none HTTP/1.1\r\n" H "\r\n", 1, false, "404 " },
	{ "GET /open/ HTTP/1.1\r\n" H "\r\n", 1, false, "404 " },
	{ "GET /fil HTTP/1.1\r\n" H "\r\n", 1, false, "404 " },
	{ "GET /post HTTP/1.1\r\n" H "\r\n", 1, false, "405 " },
	{ "DELETE /open HTTP/1.1\r\n" H "\r\n", 1, false, "405 " },
	{ "GET /control HTTP/1.1\r\n" H "\r\n", 1, false, "403 " },
	{ "POST /control HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 1, false, "405 " },
	/* what another parser may read otherwise (X20) */
	{ "rubbish\r\n\r\n", 1, true, "400 closed" },
	{ "<stream:stream>", 1, true, "400 closed" },
	{ "GET /open HTTP/9.9\r\n" H "\r\n", 1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H
	  "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /open HTTP/1.1\r\n" H "\r\n",
	  1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /open HTTP/1.1\r\n" H "\r\n",
	  1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nabcd", 1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n", 1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 1, true, "400 closed" },
	{ "POST /open HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nZ\r\n\r\n", 1, true, "400 closed" },
	{ "GET /open HTTP/1.1\r\n" H "X-One : 1\r\n\r\n", 1, true, "400 closed" },
	{ "GET /open HTTP/1.1\r\n" H "X-One: 1\r\n folded\r\n\r\n", 1, true, "400 closed" },
	{ "GET /open HTTP/1.1\r\n" H ": 1\r\n\r\n", 1, true, "400 closed" },
};

static void run_table(bool bytewise)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		begin(&tcp);
		const char *s = summary(str_c(table[i].request), bytewise, table[i].n, table[i].closes);
		if (!ok(strcmp(s, table[i].want) == 0, "row %zu", i))
			diag("%.60s\ngot '%s'\nwant '%s'", table[i].request, s, table[i].want);
		end();
	}
}

TEST(x20_requests_whole)
{
	run_table(false);
}

TEST(x20_requests_byte_by_byte)
{
	run_table(true);
}

TEST(keep_alive)
{
	begin(&tcp);
	for (int i = 0; i < 5; i++) {
		is_cstr(summary(STR("POST /post HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab"), false, 1, false),
			"200[POST /post 2:ab] ");
		is_cstr(summary(STR("GET /none HTTP/1.1\r\n" H "\r\n"), false, 1, false), "404 ");
	}
	is_cstr(summary(STR("GET /control HTTP/1.1\r\n" H "\r\n"), false, 1, false), "403 ");
	is_cstr(summary(STR("GET /open HTTP/1.1\r\n" H "\r\n"), false, 1, false), "200[GET /open 0:] ");
	end();
}

TEST(answer_has_its_lines)
{
	static const char *const lines[] = { "HTTP/1.1 200 OK\r\n", "Content-Length: 14\r\n",
					     "Content-Type: text/plain\r\n", "X-Content-Type-Options: nosniff\r\n",
					     "X-Extra: 1\r\n" };

	begin(&tcp);
	const char *p = ask_n(STR("GET /open HTTP/1.1\r\n" H "\r\n"), false, 1);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		ok(strstr(p, lines[i]) != NULL, "%.20s", lines[i]);
	p = ask_n(STR("HEAD /open HTTP/1.1\r\n" H "\r\n"), false, 1);
	ok(strstr(p, "Content-Length: 15\r\n") != NULL && got.n > 4 && memcmp(got.p + got.n - 4, "\r\n\r\n", 4) == 0,
	   "HEAD: the length and no body");
	is_cstr(summary(STR("GET /open HTTP/1.1\r\n" H "\r\n"), false, 1, false), "200[GET /open 0:] ");
	end();
}

TEST(control_socket_may_do_it)
{
	begin(&control);
	is_cstr(summary(STR("GET /control HTTP/1.1\r\n" H "\r\n"), false, 1, false), "200[GET /control 0:] ");
	end();
}

TEST(a_later_answer_and_a_client_that_left)
{
	begin(&tcp);
	send_all(STR("GET /later HTTP/1.1\r\n" H "\r\nGET /open HTTP/1.1\r\n" H "\r\n"));
	ok(run_until(is_kept, 20000), "the handler has it");
	read_peer();
	is_int(got.n, 0); /* the second waits for the first */
	want = 2;
	http_answer(kept, 202, "text/plain", STR("[]"), NULL);
	ok(run_until(enough, 20000), "both");
	is_int(answers(), 2);
	ok(memmem(got.p, got.n, "202 Accepted", 12) < memmem(got.p, got.n, "200 OK", 6), "in order");
	end();

	begin(&tcp);
	send_all(STR("GET /later HTTP/1.1\r\n" H "\r\n"));
	ok(run_until(is_kept, 20000), "the handler has it");
	shutdown(peer, SHUT_RDWR); /* leaves; nobody reads the connection while its request is being answered */
	http_answer(kept, 200, "text/plain", STR("[]"), NULL);
	end();
}

static struct str big_request(const char *start, char fill, size_t n, const char *rest)
{
	static struct buf b;

	buf_clear(&b);
	buf_init(&b, 8 << 20);
	buf_str_add(&b, str_c(start));
	for (size_t i = 0; i < n; i++)
		buf_byte(&b, fill);
	buf_str_add(&b, str_c(rest));
	return buf_str(&b);
}

TEST(limits_of_head_and_body)
{
	struct limits l = *limits(), former = l;
	struct buf many;
	char head[200];

	l.http_head_bytes = 4096;
	l.http_headers = 10;
	l.http_body_bytes = 1024;
	limits_set(&l);
	begin(&tcp);
	is_cstr(summary(big_request("GET /open HTTP/1.1\r\nHost: x\r\nY: ", 'a', 3900, "\r\n\r\n"), false, 1, false),
		"200[GET /open 0:] ");
	is_cstr(summary(big_request("GET /open HTTP/1.1\r\nHost: x\r\nY: ", 'a', 5000, "\r\n\r\n"), false, 1, true),
		"431 closed");
	end();
	begin(&tcp);
	is_cstr(summary(big_request("GET /", 'a', 5000, " HTTP/1.1\r\n" H "\r\n"), false, 1, true), "431 closed");
	end();
	for (int n = 9; n <= 10; n++) {
		buf_init(&many, 8192);
		buf_lit(&many, "GET /open HTTP/1.1\r\n" H);
		for (int i = 0; i < n; i++)
			buf_printf(&many, "Y%d: 1\r\n", i);
		buf_lit(&many, "\r\n");
		begin(&tcp);
		is_cstr(summary(buf_str(&many), false, 1, n == 10), n == 9 ? "200[GET /open 0:] " : "431 closed");
		end();
		buf_clear(&many);
	}
	for (int n = 1024; n <= 1025; n++) {
		snprintf(head, sizeof(head), "POST /post HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", n);
		begin(&tcp);
		is_cstr(summary(big_request(head, 'b', (size_t)n, ""), false, 1, n == 1025),
			n == 1024 ? "200[POST /post 1024:...] " : "413 closed");
		end();
		snprintf(head, sizeof(head), "POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n%x\r\n",
			 (unsigned)n);
		begin(&tcp);
		is_cstr(summary(big_request(head, 'b', (size_t)n, "\r\n0\r\n\r\n"), false, 1, n == 1025),
			n == 1024 ? "200[POST /post 1024:...] " : "413 closed");
		end();
	}
	begin(&control); /* a company's CSV is larger than what strangers may send */
	snprintf(head, sizeof(head), "POST /post HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", 300000);
	is_cstr(summary(big_request(head, 'b', 300000, ""), false, 1, false), "200[POST /post 300000:...] ");
	end();
	limits_set(&former);
}

TEST(slow_heads_end)
{
	struct limits l = *limits(), former = l;

	l.http_head_ms = 20;
	l.http_idle_ms = 20;
	limits_set(&l);
	begin(&tcp); /* nothing at all: closed without a word */
	ok(run_until(at_end, 20000), "closed");
	is_int(got.n, 0);
	end();
	begin(&tcp);
	is_cstr(summary(STR("GET /open HT"), false, 1, true), "408 closed");
	end();
	l.http_idle_ms = 3600000;
	limits_set(&l);
	begin(&tcp); /* a second head on a kept-alive connection has no more time than the first */
	is_cstr(summary(STR("GET /open HTTP/1.1\r\n" H "\r\nGET /open HT"), false, 2, true),
		"200[GET /open 0:] 408 closed");
	end();
	begin(&tcp);
	is_cstr(summary(STR("GET /open HTTP/1.1\r\n" H "\r\n"), false, 1, false), "200[GET /open 0:] ");
	send_all(STR("GET /op"));
	ok(run_until(at_end, 20000) && memmem(got.p, got.n, "HTTP/1.1 408 ", 13), "closed with the reason");
	end();
	l.http_idle_ms = 20;
	limits_set(&l);
	begin(&tcp); /* idle after an answer: closed without a word */
	is_cstr(summary(STR("GET /open HTTP/1.1\r\n" H "\r\n"), false, 1, true), "200[GET /open 0:] closed");
	end();
	limits_set(&former);
}

static bool took_two(void)
{
	return seen.taken == 2;
}
static bool is_paused(void)
{
	return seen.paused != NULL;
}
static bool is_full(void)
{
	return seen.full > 0;
}
#define SINK(n, more) "POST /sink HTTP/1.1\r\n" H more "Content-Length: " n "\r\n\r\n"

TEST(a_sink_takes_and_refuses)
{
	static const struct {
		const char *request, *want;
		size_t taken;
		bool closes;
	} rows[] = {
		{ SINK("5", "") "hello", "200[POST /sink 0:] ", 5, false },
		{ SINK("5", "X-Refuse: 1\r\n") "hello", "403[no] closed", 0, true },
		{ SINK("9", "") "Rest", "409[stop] closed", 4, true },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		memset(&seen, 0, sizeof seen);
		begin(&tcp);
		is_cstr(summary(str_c(rows[i].request), false, 1, rows[i].closes), rows[i].want);
		is_int(seen.taken, rows[i].taken);
		end();
		is_int(seen.gone, 0); /* nothing after an answer */
	}
}

TEST(a_sink_whose_client_goes)
{
	memset(&seen, 0, sizeof seen);
	begin(&tcp);
	send_all(STR(SINK("5", "") "he"));
	ok(run_until(took_two, 20000), "a part came");
	end();
	is_int(seen.gone, 1);
}

TEST(a_sink_that_pauses)
{
	memset(&seen, 0, sizeof seen);
	begin(&tcp);
	send_all(STR(SINK("3", "") "P"));
	ok(run_until(is_paused, 20000), "paused");
	send_all(STR("ab"));
	run_until(at_end, 20);
	is_int(seen.taken, 1);
	want = 1;
	http_body_resume(seen.paused);
	ok(run_until(enough, 20000), "answered after going on");
	is_int(seen.taken, 3);
	end();
}

TEST(an_answer_in_pieces)
{
	struct limits l = *limits(), former = l;

	l.http_output_bytes = 65536;
	limits_set(&l);
	memset(&seen, 0, sizeof seen);
	begin(&tcp);
	ask_n(STR("GET /flow HTTP/1.1\r\n" H "\r\n"), false, 1);
	ok(seen.full > 0, "it waited for the client");
	ok(got.n > FLOW_BYTES && seen.wrote == FLOW_BYTES, "and came whole");
	is_cstr(summary(STR("GET /open HTTP/1.1\r\n" H "\r\n"), false, 1, false), "200[GET /open 0:] ");
	end();
	is_int(seen.gone, 0);

	memset(&seen, 0, sizeof seen);
	begin(&tcp);
	send_all(STR("GET /flow HTTP/1.1\r\n" H "\r\n"));
	ok(run_until(is_full, 20000), "the client does not read");
	end();
	is_int(seen.gone, 1);
	limits_set(&former);
}

TEST(files_ranges_and_tags)
{
	static const struct {
		const char *lines, *status, *has, *body;
	} rows[] = {
		{ "", "200", "ETag: \"e\"\r\n", "0]1]2]3]4]" },
		{ "Range: bytes=2-5\r\n", "206", "Content-Range: bytes 2-5/10\r\n", "1]2]" },
		{ "Range: bytes=6-\r\n", "206", "Content-Range: bytes 6-9/10\r\n", "3]4]" },
		{ "Range: bytes=-2\r\n", "206", "Content-Range: bytes 8-9/10\r\n", "4]" },
		{ "Range: bytes=8-99\r\n", "206", "Content-Range: bytes 8-9/10\r\n", "4]" },
		{ "Range: bytes=10-\r\n", "416", "Content-Range: bytes */10\r\n", NULL },
		{ "Range: bytes=0-1,4-5\r\n", "200", "Content-Length: 10\r\n", "0]1]2]3]4]" },
		{ "Range: bytes=5-2\r\n", "200", "Content-Length: 10\r\n", "0]1]2]3]4]" },
		{ "Range: bytes=8-9\r\nIf-Range: \"e\"\r\n", "206", "Content-Length: 2\r\n", "4]" },
		{ "Range: bytes=8-9\r\nIf-Range: \"x\"\r\n", "200", "Content-Length: 10\r\n", "0]1]2]3]4]" },
		{ "If-None-Match: \"e\"\r\n", "304", "ETag: \"e\"\r\n", "" },
		{ "If-None-Match: \"x\", W/\"e\"\r\n", "304", "ETag: \"e\"\r\n", "" },
		{ "If-None-Match: *\r\n", "304", "ETag: \"e\"\r\n", "" },
		{ "If-None-Match: \"x\"\r\n", "200", "Content-Length: 10\r\n", "0]1]2]3]4]" },
	};
	char request[300];

	begin(&tcp);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(request, sizeof request, "GET /file HTTP/1.1\r\n" H "%s\r\n", rows[i].lines);
		const char *p = ask_n(str_c(request), false, 1), *body = strstr(p, "\r\n\r\n");
		bool good = strncmp(p + 9, rows[i].status, 3) == 0 && strstr(p, rows[i].has) && body &&
			    (!rows[i].body || strcmp(body + 4, rows[i].body) == 0);
		if (!ok(good, "%.40s", rows[i].lines))
			diag("%s", p);
	}
	end();
}
