/*
 * Connections: life, queueing, back-pressure, closing, moving. A conn belongs to the thread of the loop it is attached to. Whatever is
 * requested inside a callback (write, pause, close) only changes fields and queues c->turn; the turn before the loop sleeps delivers
 * given-back input, flushes, tells on_drained or on_closed, and registers with epoll what is wanted now. So a callback is never nested
 * in a call of the user, and many small requests of one turn cost one system call.
 * A callback may detach the conn: another thread may then own it, so nothing of it is touched when still_here() says no.
 */
#include "server/net/conn.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/mem.h"
#include "server/net/conn_internal.h"
#include "server/net/limits.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READS_PER_EVENT = 4, /* then the others get their turn */
	READ_LEAST = 4096,   /* smallest read while a rate is charged */
	STANZA_SMALL = 64,   /* bytes of input that a token for a stanza admits */
	FLUSH_BEFORE_CLOSE_MS = 5000,
	LINGER_MS = 3000,
	RATE_LOG_MS = 60000,
	DISCARD_MAX = 4 << 20, /* of a peer that goes on sending while we close */
	LATER_BYTES = 16384,   /* then output that may wait is worth a system call */
	BLANKS_MAX = 64,       /* white space behind <starttls/> */
};

static atomic_uint_fast64_t last_id, open_count;

/* The conn whose callback runs on this thread (they never nest); NULL as soon as that conn was detached. */
static _Thread_local struct conn *running;

static bool still_here(const struct conn *c)
{
	bool here = running == c;
	running = NULL;
	return here;
}

/* --- the wire --------------------------------------------------------------------------------------------------------- */
ssize_t wire_recv(struct conn *c, void *p, size_t n)
{
	ssize_t got;
	if (fault_hit("read")) {
		errno = ECONNRESET;
		got = -1;
	} else {
		do
			got = recv(c->watch.fd, p, n, MSG_DONTWAIT);
		while (got < 0 && errno == EINTR);
	}
	if (got > 0)
		c->rx += (uint64_t)got;
	if (got < 0)
		c->wire_errno = errno;
	return got;
}

ssize_t wire_send(struct conn *c, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	ssize_t sent;
	if (fault_hit("write")) {
		errno = ECONNRESET;
		sent = -1;
	} else {
		do
			sent = sendmsg(c->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
	}
	if (sent > 0)
		c->tx += (uint64_t)sent;
	if (sent < 0)
		c->wire_errno = errno;
	return sent;
}

int wire_error(const struct conn *c)
{
	switch (c->wire_errno) {
	case EAGAIN: return ERR_AGAIN;
	case ECONNRESET:
	case EPIPE: return ERR_CLOSED;
	case ETIMEDOUT:
	case EHOSTUNREACH: /* what TCP_USER_TIMEOUT gives when there was no route meanwhile (row D18) */
	case ENETUNREACH: return ERR_TIMEOUT;
	default: return ERR_IO;
	}
}

/* --- what to do in this turn, what to watch --------------------------------------------------------------------------------- */
static void mark(struct conn *c)
{
	if (c->loop)
		loop_defer(c->loop, &c->turn);
}

static bool may_deliver(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->handshaking && c->pauses == 0 && !c->rate_paused && !c->out_paused;
}

static bool may_read(const struct conn *c)
{
	return may_deliver(c) && c->unread_n == 0;
}

static uint32_t wanted_events(const struct conn *c)
{
	bool in = false;
	switch ((enum conn_state)c->state) {
	case CONN_OPEN: in = c->handshaking || may_read(c); break;
	case CONN_CLOSING: in = !c->eof; break;
	case CONN_LINGER: in = true; break;
	case CONN_DEAD: return 0;
	}
	return (in ? EPOLLIN | EPOLLRDHUP : 0U) | (c->blocked ? (uint32_t)EPOLLOUT : 0U);
}

static void unwatch(struct conn *c)
{
	if (c->events != 0)
		loop_unwatch(c->loop, &c->watch);
	c->events = 0;
}

/* Takes the conn out of epoll altogether when nothing is wanted: EPOLLHUP and EPOLLERR cannot be masked and would spin. */
static void update_watch(struct conn *c)
{
	uint32_t want = wanted_events(c);
	if (want == c->events)
		return;
	int rc = 0;
	if (want == 0)
		unwatch(c);
	else if (c->events == 0)
		rc = loop_watch(c->loop, &c->watch, want);
	else
		rc = loop_rewatch(c->loop, &c->watch, want);
	c->events = want;
	if (rc < 0) {
		c->events = 0;
		conn_abort(c, rc);
	}
}

/* --- input ------------------------------------------------------------------------------------------------------------ */
static void on_rate_timer(struct timer *t)
{
	struct conn *c = list_entry(t, struct conn, rate_timer);
	c->rate_paused = false;
	mark(c);
}

/* A flood pauses many times a second: every pause counts, but a connection gets one line a minute. */
static void tell_rate(struct conn *c, const char *limit)
{
	uint64_t now = loop_now(c->loop);
	if (c->rate_logged_ms != 0 && now - c->rate_logged_ms < RATE_LOG_MS) {
		limit_hit(limit);
		return;
	}
	c->rate_logged_ms = now;
	limit_hit_log(limit, c->ip);
}

/* Row E03: nothing is dropped, reading waits until the debt is paid. */
static void pause_for_rate(struct conn *c, uint64_t wait_ms, const char *limit)
{
	if (wait_ms == 0 || c->state != CONN_OPEN)
		return;
	uint64_t due = loop_now(c->loop) + wait_ms;
	if (c->rate_paused && due <= c->resume_at_ms)
		return;
	if (!c->rate_paused)
		tell_rate(c, limit);
	c->rate_paused = true;
	c->resume_at_ms = due;
	loop_timer(c->loop, &c->rate_timer, wait_ms);
	mark(c);
}

/* No more than the buckets can pay for, roughly: what one read brings is delivered whole, so a segment full of tiny stanzas would
 * otherwise run up a debt of minutes, longer than the peer may be silent. */
static size_t read_size(struct conn *c)
{
	int64_t size = LOOP_READ_BYTES, level;
	if (c->bytes.rate > 0 && (level = bucket_level(&c->bytes, loop_now(c->loop))) < size)
		size = level;
	if (c->stanzas.rate > 0 && (level = bucket_level(&c->stanzas, loop_now(c->loop)) * STANZA_SMALL) < size)
		size = level;
	return size < READ_LEAST ? READ_LEAST : (size_t)size;
}

/* The peer's end or an error. What is queued gets one chance: the peer may still read. */
static void end_of_input(struct conn *c, int err)
{
	if (err == ERR_CLOSED && c->out.bytes > 0 && !c->blocked)
		c->io->flush(c);
	conn_abort(c, err);
}

/* False when the conn was detached inside on_data. */
static bool hand_over(struct conn *c, const char *data, size_t n)
{
	running = c;
	c->ev->on_data(c, data, n);
	return still_here(c);
}

/* False when the conn is gone. */
static bool read_input(struct conn *c)
{
	const struct conn_io *io = c->io;
	c->wire_drained = false;
	c->short_read = false;
	for (int i = 0; i < READS_PER_EVENT && may_read(c) && io == c->io && !c->short_read; i++) {
		size_t n = 0;
		char *buf = loop_read_buffer(c->loop);
		int rc = io->read(c, buf, read_size(c), &n);
		if (rc == ERR_AGAIN)
			return true;
		if (rc < 0) {
			end_of_input(c, rc);
			return true;
		}
		c->last_rx_ms = loop_now(c->loop);
		pause_for_rate(c, bucket_take(&c->bytes, n, c->last_rx_ms), "rate_bytes");
		if (!hand_over(c, buf, n))
			return false;
	}
	if (io->buffers && io == c->io && !c->short_read) {
		c->poke = true;
		mark(c);
	}
	return true;
}

/* False when the conn is gone. */
static bool deliver_unread(struct conn *c)
{
	char *data = c->unread;
	size_t n = c->unread_n;
	c->unread = NULL;
	c->unread_n = 0;
	bool here = hand_over(c, data, n);
	mem_free(data);
	return here;
}

void conn_unread(struct conn *c, const char *data, size_t n)
{
	if (n == 0)
		return;
	char *all = mem_alloc(n + c->unread_n);
	memcpy(all, data, n);
	if (c->unread_n > 0)
		memcpy(all + n, c->unread, c->unread_n);
	mem_free(c->unread);
	c->unread = all;
	c->unread_n += n;
	mark(c);
}

/* While closing: reads and forgets, so that the kernel does not answer unread input with a reset that overtakes our last words. */
static void discard_input(struct conn *c)
{
	char *buf = loop_read_buffer(c->loop);
	for (int i = 0; i < READS_PER_EVENT; i++) {
		ssize_t n = wire_recv(c, buf, LOOP_READ_BYTES);
		if (n < 0 && c->wire_errno == EAGAIN)
			return;
		if (n < 0 || (n == 0 && c->state == CONN_LINGER) || (c->discarded += (uint32_t)n) > DISCARD_MAX) {
			conn_abort(c, c->state == CONN_LINGER ? c->close_err : ERR_CLOSED);
			return;
		}
		if (n == 0) {
			c->eof = true;
			mark(c);
		}
		if (n < LOOP_READ_BYTES)
			return;
	}
}

/* --- TLS handshake ---------------------------------------------------------------------------------------------------------- */
static void on_close_timer(struct timer *t)
{
	struct conn *c = list_entry(t, struct conn, close_timer);
	if (c->handshaking)
		limit_hit_log("tls_handshake_ms", c->ip);
	conn_abort(c, c->state == CONN_LINGER ? c->close_err : ERR_TIMEOUT);
}

static int begin_tls(struct conn *c, struct tls_context *tls)
{
	int rc = conn_tls_start(c, tls);
	if (rc < 0)
		return rc;
	c->io = &conn_tls_io;
	c->handshaking = true;
	loop_timer(c->loop, &c->close_timer, limits()->tls_handshake_ms);
	return 0;
}

static void continue_handshake(struct conn *c)
{
	c->wire_drained = false;
	c->blocked = false; /* the handshake sets it again when it waits for output */
	int rc = c->io->handshake(c);
	mark(c);
	if (rc == ERR_AGAIN)
		return;
	if (rc < 0) {
		conn_abort(c, rc);
		return;
	}
	c->handshaking = false;
	loop_timer_cancel(c->loop, &c->close_timer);
	c->last_rx_ms = loop_now(c->loop);
	c->poke = true; /* application data may have come with the last handshake message */
	if (c->ev->on_secure)
		c->ev->on_secure(c);
}

/* What the kernel holds behind <starttls/> is white space at most; that is read and thrown away by the handshake (conn_tls.c). */
static bool only_blanks_wait(const struct conn *c)
{
	char waiting[BLANKS_MAX + 1];
	ssize_t n = recv(c->watch.fd, waiting, sizeof(waiting), MSG_PEEK | MSG_DONTWAIT);
	return n <= 0 || (n <= BLANKS_MAX && str_trim(str_of(waiting, (size_t)n)).n == 0);
}

int conn_starttls(struct conn *c, struct tls_context *tls)
{
	assert(c->loop && !c->tls);
	if (c->state != CONN_OPEN)
		return ERR_CLOSED;
	/* Row A05: a client waits for <proceed/>; whatever is here already was put there to be taken for encrypted input. */
	if (c->unread_n > 0 || !only_blanks_wait(c))
		return ERR_CONFLICT;
	conn_flush(c);
	if (c->state != CONN_OPEN)
		return ERR_CLOSED;
	if (c->out.bytes > 0)
		return ERR_LIMIT;
	int rc = begin_tls(c, tls);
	c->blanks_left = BLANKS_MAX;
	mark(c);
	return rc;
}

/* --- output ------------------------------------------------------------------------------------------------------------- */
static int queued(struct conn *c, int rc)
{
	if (rc == ERR_LIMIT && !c->out_paused) {
		limit_hit_log("output_bytes", c->ip);
		c->out_paused = c->out.bytes > c->out.max_bytes / 2; /* else nothing would end the pause */
	}
	mark(c);
	return rc;
}

int conn_write(struct conn *c, struct str s)
{
	return c->state == CONN_OPEN ? queued(c, outq_add(&c->out, s)) : ERR_CLOSED;
}

int conn_write_chunk(struct conn *c, struct chunk *k, size_t off, size_t n)
{
	return c->state == CONN_OPEN ? queued(c, outq_add_chunk(&c->out, k, off, n)) : ERR_CLOSED;
}

int conn_write_later(struct conn *c, struct str s)
{
	if (!c->loop || c->out.bytes + s.n >= LATER_BYTES)
		return conn_write(c, s);
	if (c->state != CONN_OPEN)
		return ERR_CLOSED;
	int rc = outq_add(&c->out, s);
	if (rc < 0)
		return queued(c, rc);
	loop_later(c->loop, &c->turn);
	return 0;
}

void conn_set_output_max(struct conn *c, size_t max_bytes)
{
	c->out.max_bytes = max_bytes;
}

size_t conn_queued(const struct conn *c)
{
	return c->out.bytes;
}

void conn_flush(struct conn *c)
{
	if (c->out.bytes == 0 || c->blocked || c->handshaking || c->state >= CONN_LINGER)
		return;
	int rc = c->io->flush(c);
	c->blocked = rc == ERR_AGAIN;
	c->notify_drained = c->out.bytes == 0;
	if (rc < 0 && rc != ERR_AGAIN)
		conn_abort(c, rc);
	else if (c->out.bytes <= c->out.max_bytes / 2)
		c->out_paused = false;
	mark(c);
}

/* --- the turn ---------------------------------------------------------------------------------------------------------- */
static void release(struct conn *c)
{
	c->io->free(c);
	outq_clear(&c->out);
	mem_free(c->unread);
	close(c->watch.fd);
	mem_free(c);
	atomic_fetch_sub_explicit(&open_count, 1, memory_order_relaxed);
}

static void start_linger(struct conn *c)
{
	c->io->end(c);
	shutdown(c->watch.fd, SHUT_WR);
	c->blocked = false;
	c->state = CONN_LINGER;
	if (c->eof)
		conn_abort(c, c->close_err);
	else
		loop_timer(c->loop, &c->close_timer, LINGER_MS);
}

/* False when the conn is gone. */
static bool tell_drained(struct conn *c)
{
	c->notify_drained = false;
	if (!c->ev->on_drained || c->state != CONN_OPEN)
		return true;
	running = c;
	c->ev->on_drained(c);
	return still_here(c);
}

static void run_turn(struct deferred *d)
{
	struct conn *c = list_entry(d, struct conn, turn);
	if (c->unread_n > 0 && may_deliver(c) && !deliver_unread(c))
		return;
	if (c->poke && may_read(c)) {
		c->poke = false;
		if (!read_input(c))
			return;
	}
	conn_flush(c);
	if (c->notify_drained && c->out.bytes == 0 && !tell_drained(c))
		return;
	if (c->state == CONN_CLOSING && c->out.bytes == 0)
		start_linger(c);
	if (c->state != CONN_DEAD)
		update_watch(c);
	if (c->state != CONN_DEAD)
		return;
	loop_undefer(&c->turn);
	c->ev->on_closed(c, c->close_err);
	loop_undefer(&c->turn);
	release(c);
}

static void on_ready(struct watch *w, uint32_t events)
{
	struct conn *c = list_entry(w, struct conn, watch);
	if (c->handshaking) {
		continue_handshake(c);
		return;
	}
	if (c->blocked && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
		c->blocked = false;
		mark(c);
	}
	if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		return;
	if (c->state != CONN_OPEN)
		discard_input(c);
	else if (may_read(c))
		read_input(c);
	else
		mark(c); /* paused in this turn: the turn takes the conn out of epoll */
}

/* --- life -------------------------------------------------------------------------------------------------------------- */
static void name_peer(struct conn *c)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof(a);
	if (getpeername(c->watch.fd, (struct sockaddr *)&a, &n) != 0)
		a.ss_family = AF_UNSPEC;
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a;
	struct in_addr v4 = a4->sin_addr;
	if (a.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr)) {
		memcpy(&v4, &a6->sin6_addr.s6_addr[12], sizeof(v4));
		a.ss_family = AF_INET;
	}
	if (a.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4, c->ip, sizeof(c->ip));
		c->loopback = (ntohl(v4.s_addr) >> 24) == 127;
	} else if (a.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &a6->sin6_addr, c->ip, sizeof(c->ip));
		c->loopback = IN6_IS_ADDR_LOOPBACK(&a6->sin6_addr);
	} else {
		snprintf(c->ip, sizeof(c->ip), "%s", a.ss_family == AF_UNIX ? "unix" : "unknown");
		c->loopback = a.ss_family == AF_UNIX;
	}
}

static void set_options(struct conn *c)
{
	int on = 1;
	unsigned timeout_ms = (unsigned)limits()->tcp_user_timeout_ms;
	/* Both fail on unix sockets, harmlessly. */
	setsockopt(c->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->watch.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms)); /* row D18 */
}

struct conn *conn_new(int fd, const struct conn_events *ev, void *user, struct tls_context *tls)
{
	struct conn *c = NEW(struct conn);
	c->watch = (struct watch){ .fd = fd, .ready = on_ready };
	c->loop = loop_self();
	assert(c->loop);
	c->io = &conn_plain;
	c->ev = ev;
	c->user = user;
	outq_init(&c->out, limits()->output_bytes);
	c->turn.run = run_turn;
	c->rate_timer.fire = on_rate_timer;
	c->close_timer.fire = on_close_timer;
	c->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	c->last_rx_ms = loop_now(c->loop);
	atomic_fetch_add_explicit(&open_count, 1, memory_order_relaxed);
	name_peer(c);
	set_options(c);
	mark(c);
	if (tls && begin_tls(c, tls) < 0)
		conn_abort(c, ERR_CRYPTO);
	return c;
}

void conn_close(struct conn *c)
{
	assert(c->loop);
	if (c->state != CONN_OPEN)
		return;
	if (c->handshaking) {
		conn_abort(c, 0);
		return;
	}
	c->state = CONN_CLOSING;
	c->close_err = 0;
	loop_timer_cancel(c->loop, &c->rate_timer);
	loop_timer(c->loop, &c->close_timer, FLUSH_BEFORE_CLOSE_MS);
	mark(c);
}

void conn_abort(struct conn *c, int err)
{
	assert(c->loop);
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	c->close_err = (int16_t)err;
	c->handshaking = false;
	loop_timer_cancel(c->loop, &c->rate_timer);
	loop_timer_cancel(c->loop, &c->close_timer);
	unwatch(c);
	mark(c);
}

bool conn_is_closing(const struct conn *c)
{
	return c->state != CONN_OPEN;
}

void conn_detach(struct conn *c)
{
	assert(c->loop && c->state == CONN_OPEN && !c->handshaking);
	unwatch(c);
	loop_timer_cancel(c->loop, &c->rate_timer);
	loop_undefer(&c->turn);
	if (running == c)
		running = NULL;
	c->loop = NULL;
}

void conn_attach(struct conn *c)
{
	assert(!c->loop);
	c->loop = loop_self();
	assert(c->loop);
	uint64_t now = loop_now(c->loop);
	if (c->rate_paused)
		loop_timer(c->loop, &c->rate_timer, c->resume_at_ms > now ? c->resume_at_ms - now : 0);
	c->poke = c->io->buffers;
	mark(c);
}

void conn_pause(struct conn *c)
{
	assert(c->pauses < UINT16_MAX);
	c->pauses++;
	mark(c);
}

void conn_resume(struct conn *c)
{
	assert(c->pauses > 0);
	c->pauses--;
	mark(c);
}

bool conn_is_paused(const struct conn *c)
{
	return !may_deliver(c);
}

void conn_set_rate(struct conn *c, uint64_t bytes_per_s, uint64_t burst)
{
	bucket_init(&c->bytes, bytes_per_s, burst, loop_now(loop_self()));
}

void conn_set_stanza_rate(struct conn *c, uint64_t per_s, uint64_t burst)
{
	bucket_init(&c->stanzas, per_s, burst, loop_now(loop_self()));
}

void conn_charge_stanza(struct conn *c)
{
	assert(c->loop);
	pause_for_rate(c, bucket_take(&c->stanzas, 1, loop_now(c->loop)), "rate_stanzas");
}

/* --- questions ------------------------------------------------------------------------------------------------------------ */
void *conn_user(const struct conn *c)
{
	return c->user;
}

void conn_set_user(struct conn *c, const struct conn_events *ev, void *user)
{
	c->ev = ev;
	c->user = user;
}

bool conn_is_tls(const struct conn *c)
{
	return c->tls != NULL;
}

struct tls_session *conn_tls(const struct conn *c)
{
	return c->tls;
}

const char *conn_ip(const struct conn *c)
{
	return c->ip;
}

bool conn_is_loopback(const struct conn *c)
{
	return c->loopback;
}

uint64_t conn_id(const struct conn *c)
{
	return c->id;
}

void conn_get_stats(const struct conn *c, struct conn_stats *out)
{
	*out = (struct conn_stats){ .rx_bytes = c->rx, .tx_bytes = c->tx };
}

uint64_t conn_tx_total(const struct conn *c)
{
	return c->tx;
}

uint64_t conn_tx_confirmed(struct conn *c)
{
	int unsent = 0;
	if (ioctl(c->watch.fd, SIOCOUTQ, &unsent) == 0 && unsent >= 0 && (uint64_t)unsent <= c->tx)
		c->tx_confirmed = c->tx - (uint64_t)unsent;
	return c->tx_confirmed;
}

uint64_t conn_last_rx(const struct conn *c)
{
	return c->last_rx_ms;
}

uint64_t conn_count(void)
{
	return atomic_load_explicit(&open_count, memory_order_relaxed);
}
