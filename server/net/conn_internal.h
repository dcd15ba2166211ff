/* Inside of a connection, for conn.c, conn_plain.c and conn_tls.c only. */
#pragma once
#include "server/net/bucket.h"
#include "server/net/conn.h"
#include <netinet/in.h>

enum conn_state {
	CONN_OPEN,
	CONN_CLOSING, /* conn_close: output is flushed, input discarded */
	CONN_LINGER,  /* FIN sent: input discarded until the peer's FIN */
	CONN_DEAD,    /* on_closed is due */
};

/* What differs between plain and TLS. Errors: ERR_AGAIN, ERR_CLOSED (end of input) or another code. */
struct conn_io {
	/* Sets *out_n > 0 and c->short_read (nothing more is there now), or fails. */
	int (*read)(struct conn *c, char *buf, size_t max, size_t *out_n);
	/* 0: the queue is empty; ERR_AGAIN: the kernel takes no more. */
	int (*flush)(struct conn *c);
	int (*handshake)(struct conn *c);
	void (*end)(struct conn *c); /* close_notify */
	void (*free)(struct conn *c);
	bool buffers; /* input may wait inside, where epoll does not see it */
};
extern const struct conn_io conn_plain, conn_tls_io;

struct conn {
	struct watch watch;
	struct loop *loop; /* NULL while detached */
	const struct conn_io *io;
	const struct conn_events *ev;
	void *user;
	struct outq out;
	struct deferred turn;
	struct timer rate_timer, close_timer;
	struct bucket bytes, stanzas;
	struct tls_session *tls; /* owned */
	char *unread;            /* owned */
	size_t unread_n;
	uint64_t id, rx, tx, tx_confirmed, last_rx_ms, resume_at_ms, rate_logged_ms;
	uint32_t events;         /* registered with epoll; 0: not registered */
	uint32_t discarded;
	uint16_t pauses;
	int16_t close_err;
	uint16_t blanks_left;    /* white space behind <starttls/> that may still come before the TLS handshake */
	int wire_errno;          /* of the last failed wire_recv or wire_send */
	uint8_t state;
	bool handshaking, blocked, rate_paused, out_paused, poke, short_read, wire_drained, notify_drained, eof, loopback;
	char ip[INET6_ADDRSTRLEN];
};

/* recv / send that never raise SIGPIPE, count bytes and pass the fault points "read" and "write". -1 with errno kept in
 * c->wire_errno. */
ssize_t wire_recv(struct conn *c, void *p, size_t n);
ssize_t wire_send(struct conn *c, const struct iovec *iov, int n);
/* Code for on_closed of c->wire_errno. */
int wire_error(const struct conn *c);
/* Makes c a TLS connection (handshake to come). 0 or ERR_CRYPTO. */
int conn_tls_start(struct conn *c, struct tls_context *tls);
