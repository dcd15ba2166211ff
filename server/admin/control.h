/* The HTTP side of the server so far: control socket, metrics, health and the first page, on the same HTTP code. Main thread to open. */
#pragma once
#include "base/err.h"
#include "server/net/tls.h"

/* Opens an HTTP port (tls NULL: plain) / the control socket with mode 0600. msg names the cure. */
int control_listen(const char *address, unsigned port, struct tls_context *(*tls)(void), struct err_msg *msg);
int control_listen_unix(const char *path, struct err_msg *msg);
/* Removes the socket file. */
void control_stop(void);
