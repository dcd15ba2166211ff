/*
 * Connections that move between workers while data flow, plain and TLS. Run under TSan too. Clients are threads with blocking sockets;
 * the checks are made by the main thread.
 */
#include "base/err.h"
#include "base/mem.h"
#include "server/net/conn.h"
#include "server/net/threads.h"
#include "tests/lib/certs.h"
#include "tests/lib/net.h"
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

enum { WORKERS = 3, BLOCK = 40000, BLOCKS = 50 };

struct mover {
	struct mail mail;
	struct conn *conn;
	unsigned calls;
};
static atomic_uint moves, closes, wrong_thread;

static void arrive(struct mail *m)
{
	struct mover *v = list_entry(m, struct mover, mail);
	conn_attach(v->conn);
}

/* Echoes; at every other call only a third, gives the rest back and moves on to the next worker. */
static void on_data(struct conn *c, const char *data, size_t n)
{
	struct mover *v = conn_user(c);
	size_t used = ++v->calls % 2 ? n : n / 3;
	if (conn_write(c, str_of(data, used)) < 0)
		conn_abort(c, ERR_LIMIT);
	if (used == n)
		return;
	conn_unread(c, data + used, n - used);
	conn_detach(c);
	atomic_fetch_add(&moves, 1);
	v->mail.deliver = arrive;
	threads_post(((unsigned)threads_self() + 1) % WORKERS, &v->mail);
}
static void on_closed(struct conn *c, int err)
{
	(void)err;
	if (threads_self() < 0)
		atomic_fetch_add(&wrong_thread, 1);
	mem_free(conn_user(c));
	atomic_fetch_add(&closes, 1);
}
static const struct conn_events events = { .on_data = on_data, .on_closed = on_closed };

struct begin {
	struct mail mail;
	int fd;
	struct tls_context *tls;
};
static void take_over(struct mail *m)
{
	struct begin *b = list_entry(m, struct begin, mail);
	struct mover *v = NEW(struct mover);
	v->conn = conn_new(b->fd, &events, v, b->tls);
	conn_set_output_max(v->conn, 1 << 24);
	conn_set_rate(v->conn, 32 << 20, 20000); /* so that some moves happen while input is paused */
	mem_free(b);
}

static void fill_block(char *p, unsigned block)
{
	for (size_t i = 0; i < BLOCK; i++)
		p[i] = (char)(((block * BLOCK + i) * 2654435761U) >> 13);
}

/* The client: each block must come back as it was sent. Returns how many did. */
static unsigned talk(SSL *ssl, int fd)
{
	char *out = mem_alloc(BLOCK), *in = mem_alloc(BLOCK);
	unsigned good = 0;
	for (; good < BLOCKS; good++) {
		fill_block(out, good);
		size_t n = 0;
		if (ssl) {
			if (SSL_write(ssl, out, BLOCK) != BLOCK || !ssl_read_all(ssl, in, BLOCK))
				break;
		} else {
			if (write(fd, out, BLOCK) != BLOCK)
				break;
			for (ssize_t r; n < BLOCK && (r = read(fd, in + n, BLOCK - n)) > 0;)
				n += (size_t)r;
			if (n < BLOCK)
				break;
		}
		if (memcmp(in, out, BLOCK) != 0)
			break;
	}
	mem_free(out);
	mem_free(in);
	return good;
}

static void tls_talk(struct tls_client *c)
{
	*(unsigned *)c->arg = talk(c->ssl, -1);
}
static void *plain_talk(void *arg)
{
	struct tls_client *c = arg;
	*(unsigned *)c->arg = talk(NULL, c->fd);
	close(c->fd);
	return NULL;
}

static void move_about(struct tls_context *tls)
{
	enum { CLIENTS = 4 };
	struct tls_client clients[CLIENTS];
	unsigned good[CLIENTS] = { 0 };
	signal(SIGPIPE, SIG_IGN);
	atomic_store(&moves, 0);
	atomic_store(&closes, 0);
	threads_init(WORKERS);
	threads_start(NULL, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		int fd[2];
		ok(tcp_pair(fd), "a connected pair");
		struct begin *b = NEW(struct begin);
		*b = (struct begin){ .mail = { .deliver = take_over }, .fd = fd[0], .tls = tls };
		clients[i] = (struct tls_client){ .fd = fd[1], .script = tls_talk, .arg = &good[i] };
		threads_post(i % WORKERS, &b->mail);
		pthread_create(&clients[i].thread, NULL, tls ? run_client : plain_talk, &clients[i]);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		join_client(&clients[i]);
		is_int(good[i], BLOCKS);
	}
	for (int i = 0; i < 20000 && atomic_load(&closes) < CLIENTS; i++)
		poll(NULL, 0, 1);
	is_int(atomic_load(&closes), CLIENTS);
	threads_stop();
	is_int(atomic_load(&wrong_thread), 0);
	ok(atomic_load(&moves) >= BLOCKS, "%u moves", atomic_load(&moves));
}

TEST(plain_connections_move_while_data_flow)
{
	move_about(NULL);
}

TEST(tls_connections_move_while_data_flow)
{
	struct tls_context *tls = NULL;
	struct tls_options o = { .data_dir = test_tmpdir(),
				 .domains = (const char *const[]){ "example.org" },
				 .n_domains = 1 };
	require(tls_context_new(&o, &tls, NULL) == 0, "context");
	move_about(tls);
	tls_context_unref(tls);
}
