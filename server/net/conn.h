/*
 * A byte connection: plain or TLS behind one set of calls. Owned by the loop it is attached to; may move to another loop
 * (conn_detach / conn_attach) between two events. Output is queued, and flushed once per loop turn by one writev (plain) or one
 * SSL_write run; a drained idle connection holds no buffers. Input is read into the thread's buffer and handed to on_data.
 */
#pragma once
#include "base/chunk.h"
#include "server/net/loop.h"
#include "server/net/tls.h"

struct conn;
struct conn_events {
	/* Bytes arrived (decrypted). They are gone after the call: keep what you need. May close the connection. */
	void (*on_data)(struct conn *c, const char *data, size_t n);
	/* TLS handshake done (direct or after conn_starttls); not called for plain connections. May be NULL. */
	void (*on_secure)(struct conn *c);
	/* The output queue was fully handed to the kernel at the end of a turn. May be NULL. */
	void (*on_drained)(struct conn *c);
	/* Last call; the conn is freed afterwards. err: 0 our conn_close finished, ERR_CLOSED the peer closed, ERR_TIMEOUT (TLS handshake,
	 * TCP_USER_TIMEOUT), ERR_CRYPTO failed handshake, what conn_abort was given, or another code. */
	void (*on_closed)(struct conn *c, int err);
};
struct conn_stats { uint64_t rx_bytes, tx_bytes; /* on the wire, ciphertext for TLS */ };
void conn_get_stats(const struct conn *c, struct conn_stats *out);

/* Takes over a connected socket on the current loop; never NULL. tls: handshake first when not NULL (direct TLS); the conn takes its
 * own reference. Writes before the end of the handshake are queued. */
struct conn *conn_new(int fd, const struct conn_events *ev, void *user, struct tls_context *tls);
void *conn_user(const struct conn *c);
void conn_set_user(struct conn *c, const struct conn_events *ev, void *user);
/* Queues bytes (copied) / a chunk range (shared). ERR_LIMIT when the queue would pass its maximum: nothing was queued and
 * on_data pauses until the queue is half empty; the caller decides (detach the session, close). ERR_CLOSED after close. */
int conn_write(struct conn *c, struct str s);
int conn_write_chunk(struct conn *c, struct chunk *k, size_t off, size_t n);
/* conn_write of what nobody waits for: it may stay queued for LOOP_LATER_MS, so that more of it shares one system call. Whatever else makes the
 * connection flush, or 16 KiB together, takes it along in its place. */
int conn_write_later(struct conn *c, struct str s);
/* Sets the maximum of queued bytes. */
void conn_set_output_max(struct conn *c, size_t max_bytes);
size_t conn_queued(const struct conn *c);
/* Makes this turn's output go out now instead of before sleeping (rarely needed). */
void conn_flush(struct conn *c);
/* Flushes (5 s at most), sends close_notify and FIN, waits up to 3 s for the peer's so that the last words arrive; on_data stops at
 * once. / Closes at once. on_closed follows, never nested inside this call. Not while detached. */
void conn_close(struct conn *c);
void conn_abort(struct conn *c, int err);
bool conn_is_closing(const struct conn *c);
/* Stops / resumes reading (back-pressure); counted: each pause needs one resume. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
/* True while input is held back for any reason. A stream that sees it after a stanza may give the rest back by conn_unread(). */
bool conn_is_paused(const struct conn *c);
/* Token buckets for input; exceeding pauses reading until paid back (row E03). 0 = no limit. */
void conn_set_rate(struct conn *c, uint64_t bytes_per_s, uint64_t burst);
/* Charges n stanzas against the stanza bucket (called by the stream). */
void conn_set_stanza_rate(struct conn *c, uint64_t per_s, uint64_t burst);
void conn_charge_stanza(struct conn *c);
/* Server side of STARTTLS: call from on_data after queueing <proceed/>; it is flushed in clear first. What the caller has of the segment
 * behind <starttls/> it gives back by conn_unread() before. ERR_CONFLICT when there is such input, here or in the kernel
 * (row A05: nothing in the clear may follow; only up to 64 bytes of white space, waiting or still to come, are thrown away), ERR_LIMIT when
 * <proceed/> does not go out at once: the caller closes. */
int conn_starttls(struct conn *c, struct tls_context *tls);
bool conn_is_tls(const struct conn *c);
/* NULL when plain. For channel binding and client certificates, see tls.h. */
struct tls_session *conn_tls(const struct conn *c);
/* Peer address as text ("192.0.2.1" or "::1"; "unix" for the control socket) and whether it is loopback. */
const char *conn_ip(const struct conn *c);
bool conn_is_loopback(const struct conn *c);
/* Stable number of this connection for logs. */
uint64_t conn_id(const struct conn *c);
/* Wire bytes handed to the kernel so far, and how many of them the peer's TCP has confirmed (SIOCOUTQ; promise P4). */
uint64_t conn_tx_total(const struct conn *c);
uint64_t conn_tx_confirmed(struct conn *c);
/* Takes the connection off its loop / attaches it to the current loop; in between only the holder may touch it. Bytes that were
 * read but not consumed travel along: conn_unread() gives them back to the front before detaching; they come again by on_data. Not
 * while closing (conn_is_closing) or in a TLS handshake. After conn_detach inside on_data the conn is not touched any more by it. */
void conn_unread(struct conn *c, const char *data, size_t n);
void conn_detach(struct conn *c);
void conn_attach(struct conn *c);
/* Monotonic ms of the last byte read. */
uint64_t conn_last_rx(const struct conn *c);
/* Connections that exist in this process. Any thread. */
uint64_t conn_count(void);
