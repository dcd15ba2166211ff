/*
 * The event loop of the load program and what the works do with many clients at once: log in, close, send presence, wait until
 * the server rests.
 */
#include "bench/load.h"
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void (*tick_fn)(void);
static int tick_fd = -1;

double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void loop_tick(void (*fn)(void), double period_s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	if (tick_fd < 0) {
		tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
		epoll_ctl(bench.epfd, EPOLL_CTL_ADD, tick_fd, &e);
	}
	long ns = fn ? (long)(period_s * 1e9) : 0;
	struct timespec every = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	timerfd_settime(tick_fd, 0, &(struct itimerspec){ every, every }, NULL);
	tick_fn = fn;
}

bool loop_run(bool (*done)(void), double timeout_s)
{
	struct epoll_event events[512];
	double end = now_s() + timeout_s;
	for (;;) {
		if (tick_fn)
			tick_fn();
		clients_flush();
		if (done && done())
			return true;
		double left = end - now_s();
		if (left <= 0)
			return false;
		int n = epoll_wait(bench.epfd, events, 512, left > 0.05 ? 50 : (int)(left * 1000) + 1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr) {
				client_event(events[i].data.ptr, events[i].events);
			} else {
				uint64_t expired;
				if (read(tick_fd, &expired, sizeof expired) < 0)
					continue;
			}
		}
	}
}

void loop_settle(double max_s)
{
	double end = now_s() + max_s;
	struct meter a, b;
	if (!bench.opt.pid) {
		loop_run(NULL, 0.5);
		return;
	}
	do {
		meter_read(&a);
		loop_run(NULL, 0.3);
		meter_read(&b);
	} while (b.cpu_s - a.cpu_s > 0.04 * (b.t - a.t) && now_s() < end);
}

/* ---- many logins ---- */
static unsigned login_next, login_end, login_ready, login_wanted;
static unsigned login_lost_before;

static void login_one_more(void)
{
	if (login_next < login_end)
		client_start(&bench.clients[login_next++]);
}

static void login_ready_one(struct client *c)
{
	(void)c;
	login_ready++;
	login_one_more();
}

static bool login_done(void)
{
	return login_ready == login_wanted || bench.n_lost_connections > login_lost_before;
}

bool login_all(unsigned first, unsigned n)
{
	void (*before)(struct client *) = bench.on.ready;
	bench.on.ready = login_ready_one;
	login_next = first;
	login_end = first + n;
	login_wanted = n;
	login_ready = 0;
	login_lost_before = bench.n_lost_connections;
	for (unsigned i = 0; i < bench.opt.concurrency; i++)
		login_one_more();
	bool ok = loop_run(login_done, bench.opt.timeout_s) && login_ready == n;
	bench.on.ready = before;
	if (!ok)
		fprintf(stderr, "load: %u of %u logins worked: %s\n", login_ready, n,
			bench.first_error[0] ? bench.first_error : "timeout");
	return ok;
}

static unsigned close_first, close_n;

static bool close_done(void)
{
	for (unsigned i = close_first; i < close_first + close_n; i++)
		if (bench.clients[i].state != CLIENT_CLOSED)
			return false;
	return true;
}

void close_all(unsigned first, unsigned n)
{
	close_first = first;
	close_n = n;
	for (unsigned i = first; i < first + n; i++)
		if (bench.clients[i].state != CLIENT_CLOSED)
			client_close(&bench.clients[i]);
	loop_run(close_done, 5);
}

void presence_all(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		client_stanza(&bench.clients[i], "<presence/>", 11);
}
