/* Listening sockets: one per worker by SO_REUSEPORT (or one unix socket on worker 0), paused when descriptors run out (row E05),
 * with per-address and total rates (limits accept_*). systemd socket activation is taken into account (LISTEN_FDS). */
#pragma once
#include "base/err.h"
#include "server/net/conn.h"

/* Called on the worker for each new connection. The callee calls conn_new or closes fd. */
typedef void listener_fn(void *ctx, int fd);
/* Opens address:port on every worker (main thread, between threads_init and threads_start). port 0: any, see listener_port. msg names the
 * cure ("port 5222 is in use, ..."). */
int listener_open(const char *address, unsigned port, listener_fn *fn, void *ctx, struct err_msg *msg);
/* Unix socket with mode 0600; removes a stale one. */
int listener_open_unix(const char *path, listener_fn *fn, void *ctx, struct err_msg *msg);
/* Stops accepting on all listeners (drain). Any thread; takes effect on each worker's next turn. */
void listener_stop_all(void);
/* Closes all listeners and removes our unix sockets. Main thread, after threads_stop. */
void listener_free_all(void);
/* Port of the i-th listener_open of this process; 0 when there is none. */
unsigned listener_port(unsigned i);
/* Connections open now, refused so far. */
struct listener_stats {
	uint64_t open;         /* connections of this process now */
	uint64_t accepted;
	uint64_t refused_rate; /* over accept_rate_ip: closed at once */
	uint64_t refused_full; /* over the limit of connections: closed at once */
	uint64_t paused;       /* times that accepting paused: descriptors ran out, or accept_rate was passed */
};
void listener_get_stats(struct listener_stats *out);
/* Bookkeeping of an unauthenticated connection per address (limit preauth_connections_ip): false = refuse. */
bool preauth_enter(const char *ip);
void preauth_leave(const char *ip);
