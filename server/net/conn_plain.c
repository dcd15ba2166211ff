/*
 * A connection without TLS: recv into the thread's buffer, one sendmsg of up to 64 pieces at a time. Runs on the loop that the
 * connection is attached to; holds nothing of its own.
 */
#include "server/net/conn_internal.h"
#include "base/err.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { IOV_MAX_PIECES = 64 };

static int plain_read(struct conn *c, char *buf, size_t max, size_t *out_n)
{
	ssize_t n = wire_recv(c, buf, max);
	if (n == 0)
		return ERR_CLOSED;
	if (n < 0)
		return wire_error(c);
	c->short_read = (size_t)n < max;
	*out_n = (size_t)n;
	return 0;
}

static int plain_flush(struct conn *c)
{
	struct iovec iov[IOV_MAX_PIECES];
	while (c->out.bytes > 0) {
		int pieces = outq_iov(&c->out, iov, IOV_MAX_PIECES);
		size_t want = 0;
		for (int i = 0; i < pieces; i++)
			want += iov[i].iov_len;
		ssize_t n = wire_send(c, iov, pieces);
		if (n < 0)
			return wire_error(c);
		outq_consume(&c->out, (size_t)n);
		if ((size_t)n < want)
			return ERR_AGAIN;
	}
	return 0;
}

static void plain_nothing(struct conn *c)
{
	(void)c;
}

const struct conn_io conn_plain = {
	.read = plain_read,
	.flush = plain_flush,
	.end = plain_nothing,
	.free = plain_nothing,
};
