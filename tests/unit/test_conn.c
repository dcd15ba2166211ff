/*
 * Plain connections with real sockets: queueing, slow readers, floods, closing, given-back input. The loop and the peer live in the
 * test's own thread; the peer uses its socket directly.
 */
#include "server/net/conn.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/mem.h"
#include "server/net/conn_internal.h"
#include "server/net/limits.h"
#include "tests/lib/net.h"
#include <errno.h>
#include <sys/epoll.h>

enum { PLENTY_MS = 20000, MIB = 1 << 20 };

static struct loop *loop;
static struct conn *conn;
static int peer = -1;
static struct buf got; /* what on_data gave */
static unsigned closed, drained;
static int closed_err;
static bool in_call, nested; /* our own call into conn / a callback came inside it */
static void (*on_data_hook)(struct conn *c, const char *data, size_t n);

static void on_data(struct conn *c, const char *data, size_t n)
{
	nested |= in_call;
	if (on_data_hook)
		on_data_hook(c, data, n);
	else
		buf_add(&got, data, n);
}
static void on_drained(struct conn *c)
{
	(void)c;
	nested |= in_call;
	drained++;
}
static void on_closed(struct conn *c, int err)
{
	nested |= in_call || c != conn;
	closed++;
	closed_err = err;
	conn = NULL;
}
static const struct conn_events events = { .on_data = on_data, .on_drained = on_drained, .on_closed = on_closed };

static void begin(void)
{
	int fd[2];
	ok(tcp_pair(fd), "a connected pair");
	peer = fd[1];
	fcntl(peer, F_SETFL, O_NONBLOCK);
	loop = loop_new();
	loop_enter(loop);
	buf_init(&got, 64 * MIB);
	closed = drained = 0;
	closed_err = 1;
	nested = in_call = false;
	on_data_hook = NULL;
	conn = conn_new(fd[0], &events, &got, NULL);
}
static bool is_closed(void)
{
	return closed > 0;
}
static void end(void)
{
	if (conn)
		conn_abort(conn, 0);
	ok(run_until(is_closed, PLENTY_MS), "on_closed came");
	is_int(closed, 1);
	ok(!nested, "no callback inside our own call");
	if (peer >= 0)
		close(peer);
	peer = -1;
	buf_clear(&got);
	loop_free(loop);
}

/* Bytes with a pattern that shows loss, doubles and disorder. */
static void fill(char *p, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(((from + i) * 2654435761U) >> 13);
}
static bool pattern_holds(struct str s, size_t from)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != (char)(((from + i) * 2654435761U) >> 13))
			return false;
	}
	return true;
}
static size_t got_want;
static bool got_enough(void)
{
	return got.n >= got_want || closed > 0;
}

/* What the peer reads, until it has got peer_want bytes or the end. */
static struct buf peer_got;
static size_t peer_want;
static bool peer_eof;
static bool peer_reads(void)
{
	char buf[65536];
	ssize_t n;
	while ((n = read(peer, buf, sizeof(buf))) > 0)
		buf_add(&peer_got, buf, (size_t)n);
	peer_eof = n == 0;
	return peer_eof || peer_got.n >= peer_want;
}

TEST(bytes_go_both_ways_and_are_counted)
{
	begin();
	is_cstr(conn_ip(conn), "127.0.0.1");
	ok(conn_is_loopback(conn), "loopback");
	ok(!conn_is_tls(conn) && !conn_tls(conn), "plain");
	is_ptr(conn_user(conn), &got);
	ok(conn_id(conn) > 0, "a number");
	is_int(conn_count(), 1);
	ok(write(peer, "hello", 5) == 5, "peer writes");
	got_want = 5;
	ok(run_until(got_enough, PLENTY_MS), "arrived");
	is_str(buf_str(&got), STR("hello"));

	in_call = true;
	is_int(conn_write(conn, STR("abc")), 0);
	struct chunk *k = chunk_of(STR("0123456789"));
	is_int(conn_write_chunk(conn, k, 3, 4), 0);
	chunk_unref(k);
	in_call = false;
	is_int(conn_queued(conn), 7);
	char c;
	ok(recv(peer, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "nothing leaves before the end of the turn");
	buf_init(&peer_got, MIB);
	peer_want = 7;
	ok(run_until(peer_reads, PLENTY_MS), "the peer has it");
	is_str(buf_str(&peer_got), STR("abc3456"));
	is_int(drained, 1);
	buf_clear(&peer_got);
	struct conn_stats st;
	conn_get_stats(conn, &st);
	is_int(st.rx_bytes, 5);
	is_int(st.tx_bytes, 7);
	is_int(conn_tx_total(conn), 7);
	close(peer);
	peer = -1;
	ok(run_until(is_closed, PLENTY_MS), "the peer's end is seen");
	is_int(closed_err, ERR_CLOSED);
	end();
	is_int(conn_count(), 0);
}

TEST(flush_sends_now)
{
	begin();
	conn_write(conn, STR("now"));
	in_call = true;
	conn_flush(conn);
	in_call = false;
	is_int(conn_queued(conn), 0);
	is_int(drained, 0);
	end();
}

static bool peer_has_some(void)
{
	peer_reads();
	return peer_got.n > 0;
}

TEST(output_that_may_wait_leaves_in_its_place)
{
	begin();
	conn_set_output_max(conn, 2 * MIB);
	buf_init(&peer_got, MIB);
	run_until(NULL, 0); /* the turn of conn_new */
	uint64_t since = loop_now(loop);
	is_int(conn_write_later(conn, STR("a")), 0);
	is_int(conn_write_later(conn, STR("b")), 0);
	ok(run_until(peer_has_some, PLENTY_MS), "it leaves by itself");
	is_str(buf_str(&peer_got), STR("ab"));
	ok(loop_now(loop) - since >= LOOP_LATER_MS, "after the wait");
	is_int(drained, 1);

	buf_reset(&peer_got);
	is_int(conn_write_later(conn, STR("c")), 0);
	is_int(conn_write(conn, STR("d")), 0);
	ok(loop_drain(loop), "an ordinary write takes it along at the end of the turn");
	is_int(conn_queued(conn), 0);
	peer_want = 2;
	ok(run_until(peer_reads, PLENTY_MS), "both arrived");
	is_str(buf_str(&peer_got), STR("cd"));

	buf_reset(&peer_got);
	char *much = mem_alloc(16384);
	fill(much, 16384, 0);
	is_int(conn_write_later(conn, STR("e")), 0);
	is_int(conn_write_later(conn, str_of(much, 16384)), 0);
	ok(loop_drain(loop), "much does not wait");
	is_int(conn_queued(conn), 0);
	peer_want = 16385;
	ok(run_until(peer_reads, PLENTY_MS), "all arrived");
	ok(peer_got.p[0] == 'e' && pattern_holds(str_of(peer_got.p + 1, 16384), 0), "in order");

	buf_reset(&peer_got);
	is_int(conn_write_later(conn, STR("last")), 0);
	conn_close(conn);
	is_int(conn_write_later(conn, STR("too late")), ERR_CLOSED);
	peer_want = SIZE_MAX;
	ok(run_until(peer_reads, PLENTY_MS), "the end");
	is_str(buf_str(&peer_got), STR("last"));
	close(peer);
	peer = -1;
	mem_free(much);
	buf_clear(&peer_got);
	end();
}

TEST(the_maximum_holds_for_output_that_may_wait)
{
	begin();
	conn_set_output_max(conn, 10);
	is_int(conn_write_later(conn, STR("12345678901")), ERR_LIMIT);
	is_int(conn_queued(conn), 0);
	is_int(conn_write_later(conn, STR("x")), 0);
	conn_abort(conn, 0); /* with output that waits */
	end();
}

TEST(a_slow_reader_hits_the_maximum_and_recovers)
{
	/* Row E01: a bounded queue, nothing of a refused write is sent, input waits meanwhile. */
	begin();
	enum { MAX = MIB, PIECE = 10000 };
	conn_set_output_max(conn, MAX);
	char *piece = mem_alloc(PIECE);
	size_t total = 0;
	int rc = 0;
	for (int i = 0; i < 4000 && rc == 0; i++) { /* until the kernel's buffers and ours are full */
		fill(piece, PIECE, total);
		rc = conn_write(conn, str_of(piece, PIECE));
		if (rc == 0)
			total += PIECE;
		if (i % 20 == 0)
			run_until(NULL, 0);
	}
	is_int(rc, ERR_LIMIT);
	ok(conn_queued(conn) <= MAX && conn_queued(conn) > MAX - PIECE, "the queue is full, not over");
	ok(conn_tx_confirmed(conn) < conn_tx_total(conn), "the peer's TCP has not confirmed all (promise P4)");
	ok(conn_is_paused(conn), "input waits");
	ok(write(peer, "later", 5) == 5, "peer writes");
	run_until(NULL, 20);
	is_int(got.n, 0);

	buf_init(&peer_got, 64 * MIB);
	peer_want = total;
	ok(run_until(peer_reads, PLENTY_MS), "the peer reads on");
	is_int(peer_got.n, total);
	ok(pattern_holds(buf_str(&peer_got), 0), "in order, nothing lost or doubled");
	buf_clear(&peer_got);
	got_want = 5;
	ok(run_until(got_enough, PLENTY_MS), "then input goes on");
	is_str(buf_str(&got), STR("later"));
	is_int(drained > 0, 1);
	is_int(conn_tx_total(conn), total);
	is_int(conn_tx_confirmed(conn), total);
	mem_free(piece);
	end();
}

TEST(a_write_above_the_maximum_alone_does_not_stop_input)
{
	begin();
	conn_set_output_max(conn, 10);
	is_int(conn_write(conn, STR("12345678901")), ERR_LIMIT);
	is_int(conn_queued(conn), 0);
	ok(!conn_is_paused(conn), "nothing is queued, so nothing would end the pause");
	end();
}

/* --- floods (row E03) ------------------------------------------------------------------------------------------------------- */
static uint64_t hits_of(const char *name)
{
	for (size_t i = 0; i < limits_count(); i++) {
		if (strcmp(limits_name(i), name) == 0)
			return limits_hits(i);
	}
	return 0;
}

static size_t flood_size, flood_sent;
static bool flood_goes_on(void)
{
	char piece[8192];
	while (flood_sent < flood_size) {
		size_t n = flood_size - flood_sent < sizeof(piece) ? flood_size - flood_sent : sizeof(piece);
		fill(piece, n, flood_sent);
		ssize_t sent = write(peer, piece, n);
		if (sent <= 0)
			break;
		flood_sent += (size_t)sent;
	}
	return got.n >= flood_size || closed > 0;
}

TEST(a_flood_of_bytes_is_paused_and_resumed_without_loss)
{
	begin();
	uint64_t before = hits_of("rate_bytes");
	conn_set_rate(conn, MIB, 16384);
	flood_size = MIB / 4;
	flood_sent = 0;
	ok(run_until(flood_goes_on, PLENTY_MS), "all arrived");
	is_int(got.n, flood_size);
	ok(pattern_holds(buf_str(&got), 0), "in order");
	ok(hits_of("rate_bytes") > before + 3, "it was paused several times: %u",
	   (unsigned)(hits_of("rate_bytes") - before));
	end();
}

enum { STANZA = 64 };
static size_t largest_run;
static void take_stanzas(struct conn *c, const char *data, size_t n)
{
	size_t used = 0;
	while (n - used >= STANZA && !conn_is_paused(c)) {
		buf_add(&got, data + used, STANZA);
		used += STANZA;
		conn_charge_stanza(c);
	}
	if (used > largest_run)
		largest_run = used;
	if (n - used >= STANZA)
		conn_unread(c, data + used, n - used);
	else
		buf_add(&got, data + used, n - used);
}

TEST(a_flood_of_stanzas_is_paused_and_resumed_without_loss)
{
	begin();
	uint64_t before = hits_of("rate_stanzas");
	largest_run = 0;
	on_data_hook = take_stanzas;
	conn_set_stanza_rate(conn, 10000, 100);
	flood_size = 2000 * STANZA;
	flood_sent = 0;
	ok(run_until(flood_goes_on, PLENTY_MS), "all arrived");
	is_int(got.n, flood_size);
	ok(pattern_holds(buf_str(&got), 0), "in order, also what was given back");
	ok(hits_of("rate_stanzas") > before + 3, "it was paused several times");
	ok(largest_run < 65536, "a read was cut by the rate: %zu", largest_run);
	end();
}

static void charge_tiny(struct conn *c, const char *data, size_t n)
{
	buf_add(&got, data, n);
	if (n > largest_run)
		largest_run = n;
	for (size_t i = 0; i < n; i += 11)
		conn_charge_stanza(c);
}

TEST(tiny_stanzas_run_up_no_long_debt)
{
	/* Row E03: <presence/> has eleven bytes; a client above its rate is slowed down, not starved until its ping fails. */
	begin();
	largest_run = 0;
	on_data_hook = charge_tiny;
	conn_set_stanza_rate(conn, 100000, 10);
	flood_size = 20 * 4096;
	flood_sent = 0;
	ok(run_until(flood_goes_on, PLENTY_MS), "all arrived");
	is_int(got.n, flood_size);
	ok(largest_run <= 4096, "at most %zu bytes at a time", largest_run);
	end();
}

/* --- pausing --------------------------------------------------------------------------------------------------------------------- */
TEST(pauses_count_and_input_waits)
{
	begin();
	conn_pause(conn);
	conn_pause(conn);
	ok(write(peer, "x", 1) == 1, "peer writes");
	run_until(NULL, 5);
	is_int(got.n, 0);
	conn_resume(conn);
	run_until(NULL, 5);
	is_int(got.n, 0);
	in_call = true;
	conn_resume(conn);
	in_call = false;
	got_want = 1;
	ok(run_until(got_enough, PLENTY_MS), "arrived after the second resume");
	end();
}

static unsigned turns;
static bool count_turn(void *ctx)
{
	(void)ctx;
	turns++;
	return false;
}

TEST(a_paused_connection_whose_peer_is_gone_does_not_spin)
{
	begin();
	conn_pause(conn);
	run_until(NULL, 1);
	struct linger reset = { .l_onoff = 1 };
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(peer); /* EPOLLERR and EPOLLHUP from now on */
	peer = -1;
	turns = 0;
	loop_set_mail(loop, NULL, count_turn, NULL);
	run_until(NULL, 50);
	ok(turns < 500, "%u looks at the mail in about 50 turns", turns); /* a spinning loop makes 10^5 */
	is_int(closed, 0);
	loop_set_mail(loop, NULL, NULL, NULL);
	conn_resume(conn);
	ok(run_until(is_closed, PLENTY_MS), "closed after the resume");
	is_int(closed_err, ERR_CLOSED);
	end();
}

static void give_back_once(struct conn *c, const char *data, size_t n)
{
	on_data_hook = NULL;
	buf_add(&got, data, 2);
	conn_unread(c, data + 4, n - 4);
	conn_unread(c, data + 2, 2); /* to the front */
}

TEST(bytes_given_back_come_again_in_order)
{
	begin();
	on_data_hook = give_back_once;
	ok(write(peer, "abcdefgh", 8) == 8, "peer writes");
	got_want = 8;
	ok(run_until(got_enough, PLENTY_MS), "arrived");
	is_str(buf_str(&got), STR("abcdefgh"));
	end();
}

/* --- closing ----------------------------------------------------------------------------------------------------------------------- */
TEST(close_delivers_what_is_queued_and_the_end)
{
	begin();
	enum { SIZE = 8 * MIB };
	char *all = mem_alloc(SIZE);
	fill(all, SIZE, 0);
	conn_set_output_max(conn, SIZE);
	is_int(conn_write(conn, str_of(all, SIZE)), 0);
	mem_free(all);
	in_call = true;
	conn_close(conn);
	conn_close(conn);
	is_int(conn_write(conn, STR("late")), ERR_CLOSED);
	in_call = false;
	ok(conn_is_closing(conn), "closing");
	/* Input at this time must neither be delivered nor make the kernel answer with a reset, which would destroy our output. */
	ok(write(peer, "ignored", 7) == 7, "peer writes");
	buf_init(&peer_got, 64 * MIB);
	peer_want = SIZE + 1;
	ok(run_until(peer_reads, PLENTY_MS), "the peer reads to the end");
	ok(peer_eof, "an orderly end, no reset");
	is_int(peer_got.n, SIZE);
	ok(pattern_holds(buf_str(&peer_got), 0), "whole");
	buf_clear(&peer_got);
	is_int(closed, 0);
	is_int(got.n, 0);
	close(peer);
	peer = -1;
	ok(run_until(is_closed, PLENTY_MS), "closed when the peer closed too");
	is_int(closed_err, 0);
	end();
}

static void close_inside(struct conn *c, const char *data, size_t n)
{
	buf_add(&got, data, n);
	in_call = true;
	conn_write(c, STR("</stream:stream>"));
	conn_close(c);
	in_call = false;
}

TEST(close_inside_on_data)
{
	begin();
	on_data_hook = close_inside;
	ok(write(peer, "a", 1) == 1, "peer writes");
	buf_init(&peer_got, MIB);
	peer_want = 100;
	ok(run_until(peer_reads, PLENTY_MS) && peer_eof, "the last words and the end");
	is_str(buf_str(&peer_got), STR("</stream:stream>"));
	buf_clear(&peer_got);
	is_str(buf_str(&got), STR("a"));
	shutdown(peer, SHUT_WR);
	end();
	is_int(closed_err, 0);
}

TEST(abort_is_not_nested_and_passes_its_code)
{
	begin();
	conn_write(conn, STR("x"));
	in_call = true;
	conn_abort(conn, ERR_TIMEOUT);
	conn_abort(conn, ERR_IO);
	conn_close(conn);
	in_call = false;
	is_int(closed, 0);
	end();
	is_int(closed_err, ERR_TIMEOUT);
}

TEST(what_is_queued_reaches_a_peer_that_shut_its_side)
{
	begin();
	conn_write(conn, STR("answer"));
	shutdown(peer, SHUT_WR);
	buf_init(&peer_got, MIB);
	peer_want = 6;
	ok(run_until(peer_reads, PLENTY_MS), "arrived");
	is_str(buf_str(&peer_got), STR("answer"));
	buf_clear(&peer_got);
	end();
	is_int(closed_err, ERR_CLOSED);
}

TEST(injected_errors_of_the_wire_close_the_connection)
{
	begin();
	fault_set("write", 1, 1);
	conn_write(conn, STR("x"));
	ok(run_until(is_closed, PLENTY_MS), "closed");
	is_int(closed_err, ERR_CLOSED);
	end();
	begin();
	fault_set("read", 1, 1);
	ok(write(peer, "x", 1) == 1, "peer writes");
	ok(run_until(is_closed, PLENTY_MS), "closed");
	is_int(closed_err, ERR_CLOSED);
	is_int(got.n, 0);
	end();
	fault_set("read", 0, 0);
	fault_set("write", 0, 0);
}

TEST(unix_sockets_are_local)
{
	int fd[2];
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0, "a pair");
	begin();
	conn_abort(conn, 0);
	run_until(is_closed, PLENTY_MS);
	closed = 0;
	conn = conn_new(fd[0], &events, NULL, NULL);
	is_cstr(conn_ip(conn), "unix");
	ok(conn_is_loopback(conn), "local");
	/* A peer that writes and closes at once is heard out: EPOLLHUP comes together with the data. */
	ok(write(fd[1], "GET", 3) == 3, "peer writes");
	close(fd[1]);
	got_want = 3;
	ok(run_until(got_enough, PLENTY_MS), "arrived");
	is_str(buf_str(&got), STR("GET"));
	end();
}

TEST(a_connection_is_small)
{
	ok(sizeof(struct conn) <= 1024, "%zu bytes", sizeof(struct conn));
}
