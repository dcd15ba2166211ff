/*
 * Opening listening sockets. A probe without SO_REUSEPORT comes first: with it alone a second instance of the server would bind the same
 * port without an error and take half of the connections. Sockets that systemd holds (LISTEN_FDS, sd_listen_fds(3)) are used
 * instead of new ones when their address is the one configured, so a restart loses no connection attempt (row D17).
 */
#include "server/net/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, PASSED_FIRST_FD = 3, PASSED_MAX = 1024 };

/* --- sockets from systemd -------------------------------------------------------------------------------------------------- */
static bool same_address(const struct sockaddr_storage *a, const struct sockaddr *b, socklen_t b_len)
{
	if (a->ss_family != b->sa_family)
		return false;
	const void *va = a, *vb = b;
	if (b->sa_family == AF_INET) {
		const struct sockaddr_in *x = va, *y = vb;
		return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
	}
	if (b->sa_family == AF_INET6) {
		const struct sockaddr_in6 *x = va, *y = vb;
		return x->sin6_port == y->sin6_port && memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
	}
	const struct sockaddr_un *x = va, *y = vb;
	return b_len <= sizeof(*x) && strncmp(x->sun_path, y->sun_path, sizeof(x->sun_path)) == 0;
}

/* A passed socket that listens on a, or -1. */
static int passed_socket(const struct sockaddr *a, socklen_t a_len)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid())
		return -1;
	long n = strtol(count, NULL, 10);
	for (int fd = PASSED_FIRST_FD; fd < PASSED_FIRST_FD + n && n <= PASSED_MAX; fd++) {
		struct sockaddr_storage own = { 0 };
		socklen_t len = sizeof(own);
		int listening = 0;
		socklen_t int_len = sizeof(listening);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) != 0 || !listening)
			continue;
		if (getsockname(fd, (struct sockaddr *)&own, &len) != 0 || !same_address(&own, a, a_len))
			continue;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		return fd;
	}
	return -1;
}

/* --- TCP -------------------------------------------------------------------------------------------------------------------- */
static int bind_failed(int errnum, const char *address, unsigned port, struct err_msg *msg)
{
	switch (errnum) {
	case EADDRINUSE:
		return err_set(msg, ERR_BUSY,
			       "port %u on %s is in use by another program: stop it (see `ss -ltnp`) or choose another "
			       "port in listen",
			       port, address);
	case EACCES:
		return err_set(msg, ERR_FORBIDDEN,
			       "port %u on %s needs privileges: choose a port above 1023 or give CAP_NET_BIND_SERVICE",
			       port, address);
	case EADDRNOTAVAIL:
		return err_set(msg, ERR_NOT_FOUND, "this machine has no address %s: correct listen", address);
	default:
		return err_set(msg, err_from_errno(errnum), "cannot listen on %s port %u: %s", address, port,
			       strerror(errnum));
	}
}

static void set_port(struct sockaddr *a, unsigned port)
{
	void *v = a;
	if (a->sa_family == AF_INET)
		((struct sockaddr_in *)v)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)v)->sin6_port = htons((uint16_t)port);
}

static int open_bound(const struct addrinfo *ai, bool reuse_port)
{
	int on = 1, off = 0;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (reuse_port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (ai->ai_family == AF_INET6) /* "::" serves IPv4 too */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

unsigned socket_port(int fd)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof(a);
	const void *v = &a;
	if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		return 0;
	if (a.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)v)->sin_port);
	return a.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)v)->sin6_port) : 0;
}

/* Is the port free? Fixes the port when any will do. Listens for a moment: bind alone does not collide with a bound socket of ours. */
static int probe(struct addrinfo *ai, unsigned *port)
{
	int fd = open_bound(ai, false);
	if (fd < 0)
		return errno;
	int e = listen(fd, 1) == 0 ? 0 : errno;
	*port = socket_port(fd);
	set_port(ai->ai_addr, *port);
	close(fd);
	return e;
}

static int open_all(struct addrinfo *ai, unsigned n, int *out_fds)
{
	for (unsigned i = 0; i < n; i++) {
		out_fds[i] = open_bound(ai, true);
		if (out_fds[i] >= 0 && listen(out_fds[i], BACKLOG) == 0)
			continue;
		int e = errno;
		for (unsigned j = 0; j <= i; j++) {
			if (out_fds[j] >= 0)
				close(out_fds[j]);
		}
		return e;
	}
	return 0;
}

int socket_listen_tcp(const char *address, unsigned port, unsigned n, int *out_fds, bool *out_shared,
		      struct err_msg *msg)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *ai = NULL;
	char service[8];
	snprintf(service, sizeof(service), "%u", port);
	bool any = !address[0] || strcmp(address, "*") == 0;
	int rc = getaddrinfo(any ? "::" : address, service, &hints, &ai);
	if (rc != 0)
		return err_set(msg, ERR_NOT_FOUND,
			       "%s is no address of this machine (%s): give an IP address in listen", address,
			       gai_strerror(rc));
	*out_shared = false;
	int passed = port > 0 ? passed_socket(ai->ai_addr, ai->ai_addrlen) : -1;
	if (passed >= 0) {
		*out_shared = true;
		out_fds[0] = passed;
		freeaddrinfo(ai);
		return 0;
	}
	int e = probe(ai, &port);
	if (e == EAFNOSUPPORT && any) { /* no IPv6 on this machine */
		freeaddrinfo(ai);
		return socket_listen_tcp("0.0.0.0", port, n, out_fds, out_shared, msg);
	}
	if (e == 0)
		e = open_all(ai, n, out_fds);
	freeaddrinfo(ai);
	return e == 0 ? 0 : bind_failed(e, address, port, msg);
}

/* --- unix -------------------------------------------------------------------------------------------------------------------- */
/* Makes the path free: a socket that nobody listens on any more is removed. */
static int clear_path(const char *path, const struct sockaddr_un *a, struct err_msg *msg)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(msg, ERR_EXISTS, "%s exists and is no socket: remove it or choose another path", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = fd >= 0 ? connect(fd, (const struct sockaddr *)a, sizeof(*a)) : 0;
	int e = errno;
	if (fd >= 0)
		close(fd);
	if (rc == 0 || e == EAGAIN)
		return err_set(msg, ERR_BUSY, "%s is in use: another server runs with this socket; stop it first",
			       path);
	unlink(path);
	return 0;
}

int socket_listen_unix(const char *path, int *out_fd, bool *out_shared, struct err_msg *msg)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(msg, ERR_LIMIT, "%s: a socket path has at most %zu bytes: choose a shorter one", path,
			       sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path));
	*out_fd = passed_socket((const struct sockaddr *)&a, sizeof(a));
	*out_shared = *out_fd >= 0;
	if (*out_shared)
		return 0;
	int rc = clear_path(path, &a, msg);
	if (rc < 0)
		return rc;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of the descriptor becomes that of the file: there is no moment when others may connect. */
	if (fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	    chmod(path, 0600) == 0 && listen(fd, BACKLOG) == 0) {
		*out_fd = fd;
		return 0;
	}
	rc = err_set(msg, err_from_errno(errno),
		     "cannot listen on %s: %s; check that its directory exists and is writable", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}
