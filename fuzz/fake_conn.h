/* Connections without a network for fuzzers and tests: all of server/net/conn.h, bytes in by fake_conn_feed, bytes out collected.
 * Linked before libnet.a, so that conn.c stays out. On the worker that called conn_new. */
#pragma once
#include "server/net/conn.h"

/* The connection that conn_new made last. */
struct conn *fake_conn_last(void);
/* Hands bytes over as if they had arrived; false when nobody listens any more (closing). */
bool fake_conn_feed(struct conn *c, const char *data, size_t n);
/* What the server wrote since the last fake_conn_forget. */
struct str fake_conn_output(const struct conn *c);
void fake_conn_forget(struct conn *c);
/* The peer goes away: on_closed follows in this turn. The object stays until fake_conn_free, which must come after it. */
void fake_conn_hang_up(struct conn *c);
bool fake_conn_is_closed(const struct conn *c);
void fake_conn_free(struct conn *c);
/* From now on the peer's TCP confirms nothing more (conn_tx_confirmed). */
void fake_conn_mute(struct conn *c);
