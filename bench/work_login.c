/*
 * login: accounts log in (stream, SASL, bind), close the stream and log in again, --concurrency logins at a time. The first
 * login of each account is measured apart from the later ones: servers that cache a verified password differ there. idle:
 * sessions that do nothing after login and initial presence; what the server's memory grew by, divided by their number.
 */
#include "bench/load.h"
#include <string.h>

static unsigned logins, next_user, waiting;
static double login_end;
static bool first_round;

/* Next closed account; NULL when all are in use or, in the first round, all had their turn. */
static struct client *next_closed(void)
{
	for (unsigned i = 0; i < bench.n_clients; i++) {
		if (first_round && next_user == bench.n_clients)
			return NULL;
		struct client *c = &bench.clients[next_user++ % bench.n_clients];
		if (c->state == CLIENT_CLOSED)
			return c;
	}
	return NULL;
}

/* A login that finds no closed account waits for the next one to be closed: ejabberd ends a stream 0.1 s late on purpose,
 * and that must not count as login time. */
static void start_next(void)
{
	struct client *c = !first_round && now_s() >= login_end ? NULL : next_closed();
	if (c)
		client_start(c);
	else
		waiting++;
}

static void login_ready(struct client *c)
{
	logins++;
	client_close(c);
	start_next();
}

static void login_closed(struct client *c)
{
	(void)c;
	if (waiting && !bench.n_lost_connections) {
		waiting--;
		start_next();
	}
}

static bool round_done(void)
{
	if (bench.n_lost_connections)
		return true;
	return first_round ? logins == bench.n_clients : now_s() >= login_end;
}

static bool all_closed(void)
{
	for (unsigned i = 0; i < bench.n_clients; i++)
		if (bench.clients[i].state != CLIENT_CLOSED)
			return false;
	return true;
}

int work_login(void)
{
	struct meter a, b;
	clients_new(bench.opt.users);
	bench.on = (struct client_events){ .ready = login_ready, .closed = login_closed };
	first_round = true;
	loop_settle(bench.opt.settle_s);
	meter_read(&a);
	for (unsigned i = 0; i < bench.opt.concurrency; i++)
		start_next();
	loop_run(round_done, bench.opt.timeout_s);
	loop_run(all_closed, 5);
	meter_read(&b);
	if (logins != bench.n_clients || !all_closed())
		return 1;
	result("first_logins", logins);
	result("first_cpu_us", (b.cpu_s - a.cpu_s) * 1e6 / logins);
	first_round = false;
	logins = 0;
	next_user = waiting = 0;
	login_end = now_s() + bench.opt.seconds;
	meter_read(&a);
	for (unsigned i = 0; i < bench.opt.concurrency; i++)
		start_next();
	loop_run(round_done, bench.opt.seconds + 5);
	meter_read(&b);
	result_span(&a, &b, logins);
	loop_run(all_closed, 5);
	return 0;
}

int work_idle(void)
{
	struct meter a, b, c;
	unsigned n = bench.opt.users;
	clients_new(n);
	/* one session comes and goes first, so that what the server sets up once is not counted */
	if (!login_all(0, 1))
		return 1;
	close_all(0, 1);
	loop_settle(bench.opt.settle_s);
	meter_read(&a);
	if (!login_all(0, n))
		return 1;
	presence_all(0, n);
	meter_read(&b);
	loop_run(NULL, bench.opt.seconds);
	loop_settle(bench.opt.settle_s);
	meter_read(&c);
	result("sessions", n);
	result("login_s", b.t - a.t);
	result("cpu_us_per_op", (b.cpu_s - a.cpu_s) * 1e6 / n);
	result("rss_before_kb", (double)a.rss_kb);
	result("rss_after_kb", (double)c.rss_kb);
	result("rss_kb_per_session", ((double)c.rss_kb - (double)a.rss_kb) / n);
	result("pss_kb_per_session", ((double)c.pss_kb - (double)a.pss_kb) / n);
	bool all = bench.n_ready == n;
	close_all(0, n);
	return all ? 0 : 1;
}
