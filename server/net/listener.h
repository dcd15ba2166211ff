/* Listening sockets: one per worker by SO_REUSEPORT (or one unix socket on worker 0), paused when descriptors run out (row E05),
 * with per-address and total rates (limits accept_*). systemd socket activation is taken into account (LISTEN_FDS). */
#pragma once
#include "base/err.h"
#include "server/net/conn.h"

/* Called on the worker for each new connection; ip is text. The callee calls conn_new or closes fd. */
typedef void listener_fn(void *ctx, int fd);
/* Opens address:port on every worker (main thread, before threads_start). msg names the cure ("port 5222 is in use, ..."). */
int listener_open(const char *address, unsigned port, listener_fn *fn, void *ctx, struct err_msg *msg);
/* Unix socket with mode 0600; removes a stale one. */
int listener_open_unix(const char *path, listener_fn *fn, void *ctx, struct err_msg *msg);
/* Stops accepting on all listeners (drain). Any thread; takes effect on each worker's next turn. */
void listener_stop_all(void);
/* Connections open now, refused so far. */
struct listener_stats { uint64_t open, accepted, refused_rate, refused_full, paused; };
void listener_get_stats(struct listener_stats *out);
/* Bookkeeping of an unauthenticated connection per address (limit preauth_connections_ip): false = refuse. */
bool preauth_enter(const char *ip);
void preauth_leave(const char *ip);
