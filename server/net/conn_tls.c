/*
 * A connection with TLS. OpenSSL talks to the socket through a BIO of ours: it counts ciphertext bytes, never raises SIGPIPE, and ends
 * a read run without a last EAGAIN when recv came back short. Small pieces of output are joined in the thread's buffer so that
 * one turn's stanzas share a record. An SSL object may change threads with its connection: one thread at a time uses it; its
 * buffers are given back when idle (SSL_MODE_RELEASE_BUFFERS).
 */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/net/conn_internal.h"
#include "server/net/tls_internal.h"
#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

enum { RECORD_MAX = LOOP_WRITE_BYTES, PIECES = 64 };
static_assert(RECORD_MAX <= SSL3_RT_MAX_PLAIN_LENGTH, "one coalesced write is one record");

/* --- the BIO ------------------------------------------------------------------------------------------------------------- */
static BIO_METHOD *wire_method;
static pthread_once_t wire_once = PTHREAD_ONCE_INIT;

/* A client that ends its <starttls/> with a line end may send that in a segment of its own. The first byte of a handshake is 22, so nothing is lost;
 * whatever else comes here OpenSSL refuses (row A05). Returns how much is left. */
static ssize_t drop_blanks(struct conn *c, char *data, ssize_t n)
{
	ssize_t blank = str_trim(str_of(data, (size_t)n)).p - data;
	if (blank > c->blanks_left)
		blank = 0;
	c->blanks_left = blank == n ? c->blanks_left - (uint16_t)blank : 0;
	memmove(data, data + blank, (size_t)(n - blank));
	return n - blank;
}

static int wire_bio_read(BIO *b, char *out, int n)
{
	struct conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (c->wire_drained) { /* level-triggered epoll tells when there is more */
		BIO_set_retry_read(b);
		return -1;
	}
	ssize_t got = wire_recv(c, out, (size_t)n);
	if (got < 0 && c->wire_errno == EAGAIN)
		BIO_set_retry_read(b);
	if (got < 0)
		return -1;
	c->wire_drained = got < n && got > 0;
	c->eof = got == 0;
	if (c->blanks_left && got > 0 && (got = drop_blanks(c, out, got)) == 0) {
		c->wire_drained = true; /* epoll tells when the handshake comes */
		BIO_set_retry_read(b);
		return -1;
	}
	return (int)got;
}

static int wire_bio_write(BIO *b, const char *data, int n)
{
	struct conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = (size_t)n };
	ssize_t sent = wire_send(c, &iov, 1);
	if (sent < 0 && c->wire_errno == EAGAIN)
		BIO_set_retry_write(b);
	return sent < 0 ? -1 : (int)sent;
}

static long wire_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	const struct conn *c = BIO_get_data(b);
	switch (cmd) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_EOF: return c->eof;
	default: return 0;
	}
}

static void make_wire_method(void)
{
	wire_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "vestnik wire");
	assert(wire_method);
	BIO_meth_set_read(wire_method, wire_bio_read);
	BIO_meth_set_write(wire_method, wire_bio_write);
	BIO_meth_set_ctrl(wire_method, wire_bio_ctrl);
}

/* --- the connection ------------------------------------------------------------------------------------------------------- */
static void tls_free(struct conn *c)
{
	if (!c->tls)
		return;
	SSL_free(c->tls->ssl);
	tls_context_unref(c->tls->context);
	mem_free(c->tls);
	c->tls = NULL;
}

int conn_tls_start(struct conn *c, struct tls_context *tls)
{
	pthread_once(&wire_once, make_wire_method);
	ERR_clear_error();
	SSL *ssl = SSL_new(tls->ssl_ctx);
	BIO *bio = BIO_new(wire_method);
	if (!ssl || !bio) {
		SSL_free(ssl);
		BIO_free(bio);
		return ERR_CRYPTO;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_accept_state(ssl);
	c->tls = NEW(struct tls_session);
	*c->tls = (struct tls_session){ .ssl = ssl, .context = tls_context_ref(tls) };
	return 0;
}

/* Maps a result that is not success. ERR_AGAIN when OpenSSL waits for the wire. */
static int tls_error(struct conn *c, int ret)
{
	if (c->tls->failed)
		return c->tls->failed;
	switch (SSL_get_error(c->tls->ssl, ret)) {
	case SSL_ERROR_WANT_READ: return ERR_AGAIN;
	case SSL_ERROR_WANT_WRITE: c->blocked = true; return ERR_AGAIN;
	case SSL_ERROR_ZERO_RETURN: return ERR_CLOSED;
	case SSL_ERROR_SYSCALL: return c->eof ? ERR_CLOSED : wire_error(c);
	default: break;
	}
	c->tls->failed = c->eof ? ERR_CLOSED
				: ERR_CRYPTO; /* told once only: later calls fail without a word and look like "wait" */
	if (c->eof)
		return ERR_CLOSED; /* without close_notify; the end of an XML stream is its end tag */
	char text[160];
	log_debug("tls.error", LC("ip", c->ip), LU("conn", c->id), LC("reason", tls_error_text(text, sizeof(text))));
	return ERR_CRYPTO;
}

static int tls_handshake(struct conn *c)
{
	ERR_clear_error();
	int ret = SSL_do_handshake(c->tls->ssl);
	return ret == 1 ? 0 : tls_error(c, ret);
}

/* Fills buf from as many records as are there. */
static int tls_read(struct conn *c, char *buf, size_t max, size_t *out_n)
{
	size_t n = 0;
	int rc = 0;
	ERR_clear_error();
	while (n < max && rc == 0) {
		int ret = SSL_read(c->tls->ssl, buf + n, (int)(max - n));
		if (ret > 0)
			n += (size_t)ret;
		else
			rc = tls_error(c, ret);
	}
	*out_n = n;
	c->short_read = rc == ERR_AGAIN;
	/* An error behind good bytes comes again with the next read; that one is forced because short_read is false. */
	return n > 0 ? 0 : rc;
}

/* What the next record takes: a view into the queue's first piece if that fills it, else a copy of several. Repeated after ERR_AGAIN it
 * gives the same bytes or more behind them, as SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER wants. */
static struct str next_record(struct conn *c)
{
	struct iovec iov[PIECES];
	int pieces = outq_iov(&c->out, iov, PIECES);
	if (pieces == 1 || iov[0].iov_len >= RECORD_MAX)
		return str_of(iov[0].iov_base, iov[0].iov_len < RECORD_MAX ? iov[0].iov_len : RECORD_MAX);
	char *buf = loop_write_buffer(c->loop);
	size_t n = 0;
	for (int i = 0; i < pieces && n < RECORD_MAX; i++) {
		size_t part = iov[i].iov_len < RECORD_MAX - n ? iov[i].iov_len : RECORD_MAX - n;
		memcpy(buf + n, iov[i].iov_base, part);
		n += part;
	}
	return str_of(buf, n);
}

static int tls_flush(struct conn *c)
{
	ERR_clear_error();
	while (c->out.bytes > 0) {
		struct str s = next_record(c);
		int ret = SSL_write(c->tls->ssl, s.p, (int)s.n);
		if (ret <= 0)
			return tls_error(c, ret);
		outq_consume(&c->out, (size_t)ret);
	}
	return 0;
}

static void tls_end(struct conn *c)
{
	ERR_clear_error();
	SSL_shutdown(c->tls->ssl); /* best effort: a full socket must not hold up the close */
	ERR_clear_error();
}

const struct conn_io conn_tls_io = {
	.read = tls_read,
	.flush = tls_flush,
	.handshake = tls_handshake,
	.end = tls_end,
	.free = tls_free,
	.buffers = true,
};
