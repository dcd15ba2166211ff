/* Listening sockets for listener.c: addresses, bind with messages that name the cure, sockets passed by systemd. Main thread. */
#pragma once
#include "base/err.h"

/* Opens n sockets that listen on address:port (SO_REUSEPORT; port 0: any) into out_fds, or one shared socket when systemd passed it
 * (then *out_shared). 0 or error. */
int socket_listen_tcp(const char *address, unsigned port, unsigned n, int *out_fds, bool *out_shared, struct err_msg *msg);
/* One unix socket of mode 0600; a stale one is removed. *out_shared: it came from systemd and is not ours to remove. */
int socket_listen_unix(const char *path, int *out_fd, bool *out_shared, struct err_msg *msg);
/* Port that a socket is bound to, 0 for none. */
unsigned socket_port(int fd);
