/*
 * Accepting connections. Each worker has its own socket per address (SO_REUSEPORT) and accepts on its own loop; a socket from systemd is
 * one that all workers wait on with EPOLLEXCLUSIVE. The list of listeners is built by the main thread before the workers start and
 * freed after they ended; in between a `port` belongs to its worker. Counters are atomic; the total rate is one bucket under a mutex.
 * Descriptors (row E05): accepting pauses while only a reserve is left, so the store, the log and the control socket go on working;
 * clients wait in the backlog. A timer looks again, so nothing spins.
 */
#include "server/net/listener.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/net/address.h"
#include "server/net/bucket.h"
#include "server/net/limits.h"
#include "server/net/socket.h"
#include "server/net/threads.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPTS_PER_TURN = 32,
	PAUSE_MS = 100,	  /* until the next look when descriptors ran out */
	RESERVE_FDS = 64, /* for the store, the log, the control socket, files; a quarter of a small rlimit */
};

struct listener;
struct port { /* one listener on one worker */
	struct watch watch;
	struct timer resume;
	struct mail stop;
	struct listener *listener;
	unsigned worker;
	bool watched, stopped;
};
struct listener {
	struct listener *next;
	listener_fn *fn;
	void *ctx;
	unsigned port_number;
	bool shared, local; /* one socket for all workers; unix */
	char *path;	    /* of the unix socket to remove at the end; owned */
	unsigned n;
	struct port ports[];
};

static struct listener *listeners, **listeners_end = &listeners;
static atomic_bool stopping;
static atomic_uint_fast64_t accepted, refused_rate, refused_full, paused;
static pthread_mutex_t rate_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bucket total_rate;

static void count(atomic_uint_fast64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* --- when not to accept ---------------------------------------------------------------------------------------------------- */
/* Descriptors are given out lowest first: a high one says that nearly all are used. */
static bool only_reserve_left(int fd)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur == RLIM_INFINITY)
		return false;
	rlim_t reserve = l.rlim_cur / 4 < RESERVE_FDS ? l.rlim_cur / 4 : RESERVE_FDS;
	return (rlim_t)fd >= l.rlim_cur - reserve;
}

static void pause_accepting(struct port *p, uint64_t ms)
{
	if (!p->watched)
		return;
	loop_unwatch(loop_self(), &p->watch);
	p->watched = false;
	loop_timer(loop_self(), &p->resume, ms);
	count(&paused);
}

static void watch_port(struct loop *l, struct port *p)
{
	p->watched = loop_watch(l, &p->watch,
				p->listener->shared ? EPOLLIN | (uint32_t)EPOLLEXCLUSIVE : (uint32_t)EPOLLIN) == 0;
	if (!p->watched)
		loop_timer(l, &p->resume, PAUSE_MS);
}

static void on_resume(struct timer *t)
{
	struct port *p = list_entry(t, struct port, resume);
	if (p->stopped)
		return;
	int probe = fcntl(p->watch.fd, F_DUPFD_CLOEXEC, 0);
	bool full = probe < 0 || (!p->listener->local && only_reserve_left(probe));
	if (probe >= 0)
		close(probe);
	if (full)
		loop_timer(loop_self(), &p->resume, PAUSE_MS);
	else
		watch_port(loop_self(), p);
}

/* Milliseconds until the total rate admits the next connection; 0 = now. */
static uint64_t total_wait_ms(void)
{
	const struct limits *l = limits();
	uint64_t now = clock_mono_ms();
	pthread_mutex_lock(&rate_lock);
	if (total_rate.rate != l->accept_rate || total_rate.burst != l->accept_burst) /* first use, or after a reload */
		bucket_init(&total_rate, l->accept_rate, l->accept_burst, now);
	bool admitted = bucket_level(&total_rate, now) > 0;
	pthread_mutex_unlock(&rate_lock);
	return admitted ? 0 : 1000 / l->accept_rate + 1;
}

static void charge_total(void)
{
	pthread_mutex_lock(&rate_lock);
	bucket_take(&total_rate, 1, clock_mono_ms());
	pthread_mutex_unlock(&rate_lock);
}

/* --- accepting --------------------------------------------------------------------------------------------------------------- */
/* False when this was the last one for now. */
static bool admit(struct port *p, int fd, const struct sockaddr *from)
{
	if (!p->listener->local && !address_accept(from, loop_now(loop_self()))) {
		count(&refused_rate);
		limit_hit_log("accept_rate_ip", "listener");
		close(fd);
		return true;
	}
	if (!p->listener->local && conn_count() >= limits()->connections) {
		count(&refused_full);
		limit_hit_log("connections", "listener");
		close(fd);
		return true;
	}
	if (!p->listener->local)
		charge_total();
	count(&accepted);
	bool last = !p->listener->local && only_reserve_left(fd);
	p->listener->fn(p->listener->ctx, fd);
	if (!last)
		return true;
	log_warn("listener.descriptors_short", LU("fd", fd));
	pause_accepting(p, PAUSE_MS);
	return false;
}

/* True to go on accepting. */
static bool accept_failed(struct port *p, int errnum)
{
	switch (errnum) {
	case EAGAIN: return false;
	case EINTR:
	case ECONNABORTED:
	case EPROTO: return true; /* this one has gone; accept(2) lists errors of the new socket too */
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM: log_warn("listener.descriptors_out"); break;
	default: log_error("listener.accept_failed", LI("errno", errnum)); break;
	}
	pause_accepting(p, PAUSE_MS);
	return false;
}

static void on_connection(struct watch *w, uint32_t events)
{
	struct port *p = list_entry(w, struct port, watch);
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN && p->watched; i++) {
		/* Asked before accepting: above the rate the others wait in the backlog. */
		uint64_t wait_ms = p->listener->local ? 0 : total_wait_ms();
		if (wait_ms > 0) {
			limit_hit_log("accept_rate", "listener");
			pause_accepting(p, wait_ms);
			return;
		}
		struct sockaddr_storage from = { 0 };
		socklen_t n = sizeof(from);
		int fd = -1;
		if (fault_hit("accept"))
			errno = EMFILE;
		else
			fd = accept4(w->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 ? !accept_failed(p, errno) : !admit(p, fd, (struct sockaddr *)&from))
			return;
	}
}

/* --- life ---------------------------------------------------------------------------------------------------------------------- */
static void on_stop(struct mail *m)
{
	struct port *p = list_entry(m, struct port, stop);
	p->stopped = true;
	loop_timer_cancel(loop_self(), &p->resume);
	if (p->watched)
		loop_unwatch(loop_self(), &p->watch);
	p->watched = false;
	/* Closed at once, so that clients are refused and try elsewhere instead of waiting in the backlog. */
	if (!p->listener->shared)
		close(p->watch.fd);
	p->watch.fd = -1;
}

/* Registers fds (one per worker, or one for all when shared; unix: one on worker 0). */
static void add_listener(const int *fds, unsigned n, bool shared, const char *path, listener_fn *fn, void *ctx)
{
	struct listener *l = mem_zero(sizeof(*l) + n * sizeof(l->ports[0]));
	l->fn = fn;
	l->ctx = ctx;
	l->shared = shared;
	l->local = path != NULL;
	l->path = path && !shared ? str_dup(str_c(path)) : NULL;
	l->port_number = socket_port(fds[0]);
	l->n = n;
	for (unsigned i = 0; i < n; i++) {
		l->ports[i] = (struct port){ .watch = { .fd = shared ? fds[0] : fds[i], .ready = on_connection },
					     .resume = { .fire = on_resume },
					     .stop = { .deliver = on_stop },
					     .listener = l,
					     .worker = i };
		watch_port(threads_loop(i), &l->ports[i]);
	}
	*listeners_end = l;
	listeners_end = &l->next;
	atomic_store(&stopping, false);
}

int listener_open(const char *address, unsigned port, listener_fn *fn, void *ctx, struct err_msg *msg)
{
	int fds[WORKERS_MAX];
	bool shared;
	int rc = socket_listen_tcp(address, port, threads_count(), fds, &shared, msg);
	if (rc == 0)
		add_listener(fds, threads_count(), shared, NULL, fn, ctx);
	return rc;
}

int listener_open_unix(const char *path, listener_fn *fn, void *ctx, struct err_msg *msg)
{
	int fd;
	bool shared;
	int rc = socket_listen_unix(path, &fd, &shared, msg);
	if (rc == 0)
		add_listener(&fd, 1, shared, path, fn, ctx);
	return rc;
}

void listener_stop_all(void)
{
	if (atomic_exchange(&stopping, true))
		return;
	for (struct listener *l = listeners; l; l = l->next) {
		for (unsigned i = 0; i < l->n; i++)
			threads_post(l->ports[i].worker, &l->ports[i].stop);
	}
}

void listener_free_all(void)
{
	while (listeners) {
		struct listener *l = listeners;
		listeners = l->next;
		for (unsigned i = 0; i < l->n; i++) {
			if (l->ports[i].watch.fd >= 0 && (!l->shared || i == 0))
				close(l->ports[i].watch.fd);
		}
		if (l->path)
			unlink(l->path);
		mem_free(l->path);
		mem_free(l);
	}
	listeners_end = &listeners;
	address_clear();
}

unsigned listener_port(unsigned i)
{
	struct listener *l = listeners;
	while (l && i-- > 0)
		l = l->next;
	return l ? l->port_number : 0;
}

void listener_get_stats(struct listener_stats *out)
{
	*out = (struct listener_stats){ .open = conn_count(),
					.accepted = accepted,
					.refused_rate = refused_rate,
					.refused_full = refused_full,
					.paused = paused };
}
