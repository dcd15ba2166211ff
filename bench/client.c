/*
 * One connection of the load client: socket, TLS, buffers, stanza dispatch, stream management counting. Input is scanned in one
 * shared read buffer and copied only when a stanza is cut, so an idle client holds no buffers; output is queued and written
 * once per connection and turn of the loop, as a good client library does.
 */
#include "bench/load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)
#define SM_REQUEST_EVERY 5

static struct client **dirty;
static size_t n_dirty;

void clients_new(unsigned n)
{
	bench.clients = calloc(n, sizeof *bench.clients);
	dirty = calloc(2 * (size_t)n, sizeof(struct client *)); /* one may be queued again while the list is written */
	if (!bench.clients || !dirty)
		abort();
	bench.n_clients = n;
	for (unsigned i = 0; i < n; i++) {
		bench.clients[i].user = i;
		bench.clients[i].fd = -1;
	}
}

static void bytes_add(struct bytes *b, const char *p, size_t n)
{
	if (b->n + n > b->cap) {
		b->cap = (b->n + n) * 2 < 512 ? 512 : (b->n + n) * 2;
		b->p = realloc(b->p, b->cap);
		if (!b->p)
			abort();
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){ 0 };
}

static void watch(struct client *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };
	epoll_ctl(bench.epfd, op, c->fd, &e);
}

void client_start(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)bench.opt.port) };
	int one = 1;
	inet_pton(AF_INET, bench.opt.host, &to.sin_addr);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		client_fail(c, "socket", strerror(errno), strlen(strerror(errno)));
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->state = CLIENT_CONNECTING;
	c->authenticated = c->sm = false;
	c->sm_in = c->sm_out = c->sm_acked = c->sm_since_request = 0;
	watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	c->want_write = true;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
		client_fail(c, "connect", strerror(errno), strlen(strerror(errno)));
}

static void client_drop(struct client *c)
{
	if (c->state == CLIENT_CLOSED)
		return;
	if (c->state == CLIENT_READY || c->state == CLIENT_CLOSING)
		bench.n_ready--;
	c->state = CLIENT_CLOSED;
	if (c->ssl)
		SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	bytes_free(&c->in);
	bytes_free(&c->out);
	if (bench.on.closed)
		bench.on.closed(c);
}

void client_fail(struct client *c, const char *why, const char *detail, size_t n)
{
	bench.n_lost_connections++;
	if (!bench.first_error[0])
		snprintf(bench.first_error, sizeof bench.first_error, "user %u: %s: %.*s", c->user, why,
			 (int)(n > 160 ? 160 : n), detail);
	if (bench.opt.verbose)
		fprintf(stderr, "load: user %u, state %d: %s: %.*s\n", c->user, c->state, why, (int)n, detail);
	client_drop(c);
}

void client_send(struct client *c, const char *p, size_t n)
{
	if (c->state == CLIENT_CLOSED)
		return;
	bytes_add(&c->out, p, n);
	if (!c->dirty) {
		c->dirty = true;
		dirty[n_dirty++] = c;
	}
}

void client_printf(struct client *c, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text)
		abort();
	client_send(c, text, (size_t)n);
}

void client_stanza(struct client *c, const char *p, size_t n)
{
	static const char request[] = "<r xmlns='urn:xmpp:sm:3'/>";
	client_send(c, p, n);
	if (!c->sm)
		return;
	c->sm_out++;
	if (++c->sm_since_request >= SM_REQUEST_EVERY) {
		c->sm_since_request = 0;
		client_send(c, request, sizeof request - 1);
	}
}

void client_close(struct client *c)
{
	if (c->state != CLIENT_READY) {
		client_drop(c);
		return;
	}
	client_send(c, "</stream:stream>", 16);
	c->state = CLIENT_CLOSING;
}

static void set_want_write(struct client *c, bool want)
{
	if (c->want_write == want)
		return;
	c->want_write = want;
	watch(c, EPOLL_CTL_MOD, EPOLLIN | (want ? EPOLLOUT : 0u));
}

static void client_write(struct client *c)
{
	while (c->out.off < c->out.n) {
		size_t left = c->out.n - c->out.off;
		ssize_t w;
		if (c->ssl) {
			ERR_clear_error();
			int k = SSL_write(c->ssl, c->out.p + c->out.off, left > 1 << 20 ? 1 << 20 : (int)left);
			w = k > 0 ? k : SSL_get_error(c->ssl, k) == SSL_ERROR_WANT_WRITE ? 0 : -1;
		} else {
			w = send(c->fd, c->out.p + c->out.off, left, MSG_NOSIGNAL);
			if (w < 0 && errno == EAGAIN)
				w = 0;
		}
		if (w < 0) {
			client_fail(c, "write", "connection lost", 15);
			return;
		}
		if (w == 0) {
			set_want_write(c, true);
			return;
		}
		c->out.off += (size_t)w;
	}
	if (c->out.cap > 16384)
		bytes_free(&c->out);
	c->out.n = c->out.off = 0;
	set_want_write(c, false);
}

void clients_flush(void)
{
	for (size_t i = 0; i < n_dirty; i++) {
		struct client *c = dirty[i];
		c->dirty = false;
		if (c->state > CLIENT_HANDSHAKE && c->fd >= 0)
			client_write(c);
	}
	n_dirty = 0;
}

static void handshake(struct client *c)
{
	ERR_clear_error();
	int k = SSL_connect(c->ssl);
	if (k == 1) {
		c->state = CLIENT_FEATURES;
		set_want_write(c, false);
		login_header(c);
		return;
	}
	int e = SSL_get_error(c->ssl, k);
	if (e == SSL_ERROR_WANT_READ)
		set_want_write(c, false);
	else if (e == SSL_ERROR_WANT_WRITE)
		set_want_write(c, true);
	else
		client_fail(c, "TLS handshake", "failed", 6);
}

/* Answers and counts of stream management; true when the stanza was its own. */
static bool sm_stanza(struct client *c, const char *p, size_t n)
{
	if (stanza_is(p, n, "r")) {
		client_printf(c, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", c->sm_in);
		return true;
	}
	if (stanza_is(p, n, "a")) {
		size_t k;
		const char *h = stanza_attr(p, n, "h", &k);
		if (h)
			c->sm_acked = (uint32_t)strtoul(h, NULL, 10);
		return true;
	}
	c->sm_in++;
	return false;
}

static void client_got(struct client *c, enum scan_found found, const char *p, size_t n)
{
	if (found == SCAN_OPEN)
		return;
	if (found == SCAN_CLOSE) {
		if (c->state == CLIENT_CLOSING)
			client_drop(c);
		else
			client_fail(c, "stream", "closed by the server", 20);
		return;
	}
	if (stanza_is(p, n, "stream:error")) {
		client_fail(c, "stream error", p, n);
		return;
	}
	if (c->state < CLIENT_READY) {
		login_stanza(c, p, n);
		return;
	}
	if (c->sm && sm_stanza(c, p, n))
		return;
	if (bench.on.stanza)
		bench.on.stanza(c, p, n);
}

/* Scans bytes that start with what was left over; returns how many are done with. */
static size_t client_scan(struct client *c, const char *p, size_t n)
{
	size_t start, len, done = 0;
	for (;;) {
		enum client_state before = c->state;
		enum scan_found found = scan_next(&c->scan, p, n, &start, &len);
		if (found == SCAN_MORE)
			break;
		if (found == SCAN_CLOSE)
			start = len = 0;
		done = c->scan.pos;
		client_got(c, found, p + start, len);
		if (c->state == CLIENT_CLOSED)
			return n;
		if (c->state == CLIENT_HANDSHAKE || (before == CLIENT_AUTH && c->state == CLIENT_FEATURES)) {
			scan_reset(&c->scan); /* a new stream begins */
			return n;
		}
	}
	return c->scan.in_tag || c->scan.depth > 1 ? done : n;
}

static void client_input(struct client *c, const char *p, size_t n)
{
	if (c->in.n == 0) {
		size_t used = client_scan(c, p, n);
		if (c->state == CLIENT_CLOSED)
			return;
		if (used < n)
			bytes_add(&c->in, p + used, n - used);
		if (c->scan.pos)
			scan_shift(&c->scan, used);
		return;
	}
	bytes_add(&c->in, p, n);
	size_t used = client_scan(c, c->in.p, c->in.n);
	if (c->state == CLIENT_CLOSED)
		return;
	if (used == c->in.n) {
		bytes_free(&c->in);
	} else if (used) {
		memmove(c->in.p, c->in.p + used, c->in.n - used);
		c->in.n -= used;
	}
	if (c->scan.pos)
		scan_shift(&c->scan, used);
}

static void client_read(struct client *c)
{
	static char buf[READ_BYTES];
	while (c->fd >= 0 && c->state != CLIENT_HANDSHAKE) {
		ssize_t r;
		if (c->ssl) {
			ERR_clear_error();
			int k = SSL_read(c->ssl, buf, sizeof buf);
			int e = k > 0 ? 0 : SSL_get_error(c->ssl, k);
			if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
				return;
			r = k > 0 ? k : 0;
		} else {
			r = recv(c->fd, buf, sizeof buf, 0);
			if (r < 0 && errno == EAGAIN)
				return;
		}
		if (r <= 0) {
			if (c->state == CLIENT_CLOSING)
				client_drop(c);
			else
				client_fail(c, "read", r < 0 ? strerror(errno) : "connection closed",
					    r < 0 ? strlen(strerror(errno)) : 17);
			return;
		}
		client_input(c, buf, (size_t)r);
		if (c->state == CLIENT_HANDSHAKE)
			handshake(c); /* only now: it may finish in one call, and then a new stream begins */
		if (!c->ssl && (size_t)r < sizeof buf)
			return;
	}
}

void client_event(struct client *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (c->state == CLIENT_CONNECTING) {
		int err = 0;
		socklen_t k = sizeof err;
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &k);
		if (err) {
			client_fail(c, "connect", strerror(err), strlen(strerror(err)));
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		c->state = CLIENT_FEATURES;
		set_want_write(c, false);
		login_header(c);
		return;
	}
	if (c->state == CLIENT_HANDSHAKE) {
		handshake(c);
		return;
	}
	if (events & EPOLLOUT)
		client_write(c);
	if (c->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		client_read(c);
}
