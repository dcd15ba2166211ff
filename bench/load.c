/*
 * The load program: `load WORK [--option value]...` connects to one XMPP server, does one work, and prints one JSON object with
 * what it measured. bench/run starts servers and calls it; by hand: `bench/load msg --port 5222 --domain example.org --pid N`.
 * Accounts are PREFIX0, PREFIX1, ... with one password for all.
 */
#include "bench/load.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

struct bench bench = {
	.opt = { .host = "127.0.0.1",
		 .domain = "bench.test",
		 .password = "bench-password",
		 .prefix = "u",
		 .mechanism = "SCRAM-SHA-1",
		 .port = 5222,
		 .users = 100,
		 .pairs = 20,
		 .window = 10,
		 .count = 200,
		 .concurrency = 20,
		 .rate = 1000,
		 .page = 50,
		 .seconds = 5,
		 .warmup_s = 1,
		 .timeout_s = 120,
		 .settle_s = 10 },
};

static const struct work {
	const char *name;
	int (*run)(void);
	const char *text;
} works[] = {
	{ "login", work_login, "--users accounts log in again and again, --concurrency at a time, for --seconds" },
	{ "idle", work_idle, "--users sessions sit still; memory per session" },
	{ "msg", work_msg, "--pairs pairs, --window messages under way in each, for --seconds" },
	{ "latency", work_latency, "--rate messages a second over --pairs pairs for --seconds" },
	{ "offline", work_offline, "--count messages to each of --users absent users, who then log in" },
	{ "mam", work_mam, "--count archived messages read in pages of --page for --seconds by --pairs users" },
	{ "morning", work_morning,
	  "--users who all see each other (or --group by --group) log in at once, then all change to away" },
};

enum { OPT_TEXT, OPT_UINT, OPT_REAL, OPT_FLAG };
static const struct {
	const char *name;
	int kind;
	void *to;
} rows[] = {
	{ "host", OPT_TEXT, &bench.opt.host },
	{ "domain", OPT_TEXT, &bench.opt.domain },
	{ "password", OPT_TEXT, &bench.opt.password },
	{ "prefix", OPT_TEXT, &bench.opt.prefix },
	{ "mechanism", OPT_TEXT, &bench.opt.mechanism },
	{ "port", OPT_UINT, &bench.opt.port },
	{ "users", OPT_UINT, &bench.opt.users },
	{ "group", OPT_UINT, &bench.opt.group },
	{ "pairs", OPT_UINT, &bench.opt.pairs },
	{ "window", OPT_UINT, &bench.opt.window },
	{ "count", OPT_UINT, &bench.opt.count },
	{ "concurrency", OPT_UINT, &bench.opt.concurrency },
	{ "rate", OPT_UINT, &bench.opt.rate },
	{ "page", OPT_UINT, &bench.opt.page },
	{ "pid", OPT_UINT, &bench.opt.pid },
	{ "seconds", OPT_REAL, &bench.opt.seconds },
	{ "warmup", OPT_REAL, &bench.opt.warmup_s },
	{ "timeout", OPT_REAL, &bench.opt.timeout_s },
	{ "settle", OPT_REAL, &bench.opt.settle_s },
	{ "tls", OPT_FLAG, &bench.opt.tls },
	{ "sm", OPT_FLAG, &bench.opt.sm },
	{ "receipts", OPT_FLAG, &bench.opt.receipts },
	{ "verbose", OPT_FLAG, &bench.opt.verbose },
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static int usage(void)
{
	fprintf(stderr, "usage: load WORK [options]\nworks:\n");
	for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
		fprintf(stderr, "  %-8s %s\n", works[i].name, works[i].text);
	fprintf(stderr, "options:");
	for (size_t i = 0; i < N_ROWS; i++)
		fprintf(stderr, " --%s%s", rows[i].name, rows[i].kind == OPT_FLAG ? "" : " V");
	fprintf(stderr, "\n");
	return 2;
}

static bool read_options(int argc, char **argv)
{
	struct option longs[N_ROWS + 1] = { 0 };
	int i, got;
	for (size_t k = 0; k < N_ROWS; k++)
		longs[k] = (struct option){ rows[k].name, rows[k].kind == OPT_FLAG ? no_argument : required_argument,
					    NULL, 0 };
	while ((got = getopt_long(argc, argv, "", longs, &i)) == 0) {
		if (rows[i].kind == OPT_TEXT)
			*(const char **)rows[i].to = optarg;
		else if (rows[i].kind == OPT_UINT)
			*(unsigned *)rows[i].to = (unsigned)strtoul(optarg, NULL, 10);
		else if (rows[i].kind == OPT_REAL)
			*(double *)rows[i].to = strtod(optarg, NULL);
		else
			*(bool *)rows[i].to = true;
	}
	if (got != -1 || optind != argc - 1)
		return false;
	bench.opt.work = argv[optind];
	return bench.opt.users && bench.opt.pairs && bench.opt.window && bench.opt.window < PAIR_RING &&
	       bench.opt.rate && bench.opt.page;
}

static void more_files(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	const struct work *w = NULL;
	if (!read_options(argc, argv))
		return usage();
	for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
		if (strcmp(works[i].name, bench.opt.work) == 0)
			w = &works[i];
	if (!w)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	more_files();
	bench.epfd = epoll_create1(EPOLL_CLOEXEC);
	bench.tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(bench.tls, SSL_VERIFY_NONE, NULL); /* scratch servers with certificates of their own */
	SSL_CTX_set_mode(bench.tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	int rc = w->run();
	result("lost_connections", bench.n_lost_connections);
	result("stanza_errors", bench.n_stanza_errors);
	result_text("first_error", bench.first_error);
	result("ok", rc == 0 && !bench.n_lost_connections && !bench.n_stanza_errors);
	results_print();
	return rc;
}
