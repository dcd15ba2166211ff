/*
 * morning: people who all see each other (or the others of their group, --group) log in at once (stream, login, roster, presence) until
 * everybody has everybody's presence; then all change to away until everybody knows. A bitmap of (who sees, whom) tells distinct
 * presences from repeated ones; presence of the own account is not counted.
 */
#include "bench/load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t *seen;
static uint64_t distinct, delivered, strangers, roster_items, roster_bytes;
static unsigned started, rosters;
static bool away;

static unsigned group_size(void)
{
	return bench.opt.group ? bench.opt.group : bench.n_clients;
}

/* Presences that everybody together shall see. */
static uint64_t presences_due(void)
{
	uint64_t n = bench.n_clients, g = group_size(), rest = n % g;
	return (n - rest) * (g - 1) + (rest ? rest * (rest - 1) : 0);
}

static void morning_ready(struct client *c)
{
	client_printf(c, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>");
	if (started < bench.n_clients)
		client_start(&bench.clients[started++]);
}

static void count_roster(const char *p, size_t n)
{
	rosters++;
	roster_bytes += n;
	for (const char *q = p, *end = p + n; (q = memmem(q, (size_t)(end - q), "<item", 5)) != NULL; q += 5)
		roster_items++;
}

static void morning_stanza(struct client *c, const char *p, size_t n)
{
	size_t k;
	const char *id = stanza_is(p, n, "iq") ? stanza_attr(p, n, "id", &k) : NULL;
	if (id && k == 6 && memcmp(id, "roster", 6) == 0) {
		const char *type = stanza_attr(p, n, "type", &k);
		if (type && k == 6)
			count_roster(p, n);
		else
			bench.n_stanza_errors++;
		return;
	}
	if (!stanza_is(p, n, "presence"))
		return;
	const char *from = stanza_attr(p, n, "from", &k);
	size_t prefix_n = strlen(bench.opt.prefix), type_n;
	if (!from || k <= prefix_n || stanza_attr(p, n, "type", &type_n))
		return;
	if (away != stanza_has(p, n, "<show>away</show>"))
		return;
	unsigned long who = strtoul(from + prefix_n, NULL, 10);
	if (who >= bench.n_clients || who == c->user)
		return;
	if (who / group_size() != c->user / group_size())
		strangers++;
	delivered++;
	uint64_t bit = (uint64_t)c->user * bench.n_clients + who;
	if (!(seen[bit / 64] & 1ull << (bit % 64))) {
		seen[bit / 64] |= 1ull << (bit % 64);
		distinct++;
	}
}

static bool morning_done(void)
{
	return (distinct == presences_due() && rosters == bench.n_clients) || bench.n_lost_connections ||
	       bench.n_stanza_errors;
}

static void forget(void)
{
	uint64_t n = bench.n_clients;
	memset(seen, 0, (n * n / 64 + 1) * 8);
	distinct = delivered = 0;
}

int work_morning(void)
{
	struct meter a, b, c;
	uint64_t n = bench.opt.users;
	clients_new((unsigned)n);
	double expected = (double)presences_due();
	seen = calloc(n * n / 64 + 1, 8);
	if (!seen || !login_all(0, (unsigned)n)) /* once before: keys are derived, the server is warm */
		return 1;
	close_all(0, (unsigned)n);
	loop_settle(bench.opt.settle_s);
	forget();
	bench.on = (struct client_events){ .ready = morning_ready, .stanza = morning_stanza };
	meter_read(&a);
	for (started = 0; started < bench.opt.concurrency && started < n;)
		client_start(&bench.clients[started++]);
	bool all = loop_run(morning_done, bench.opt.timeout_s) && !bench.n_lost_connections && !bench.n_stanza_errors;
	meter_read(&b);
	result("people", (double)n);
	result("morning_s", b.t - a.t);
	result("morning_cpu_us", distinct ? (b.cpu_s - a.cpu_s) * 1e6 / (double)distinct : 0);
	result("morning_cpu_s", b.cpu_s - a.cpu_s);
	result("load_cpu_s", b.own_cpu_s - a.own_cpu_s);
	result("morning_missing", expected - (double)distinct);
	result("morning_repeated", (double)(delivered - distinct));
	result("morning_strangers", (double)strangers);
	result("roster_items", rosters ? (double)roster_items / rosters : 0);
	result("roster_bytes", rosters ? (double)roster_bytes / rosters : 0);
	result("rss_growth_mb", ((double)b.rss_kb - (double)a.rss_kb) / 1024);
	if (!all)
		return 1;
	loop_settle(bench.opt.settle_s);
	forget();
	away = true;
	meter_read(&b);
	for (unsigned i = 0; i < n; i++)
		client_printf(&bench.clients[i], "<presence><show>away</show></presence>");
	all = loop_run(morning_done, bench.opt.timeout_s) && !bench.n_lost_connections && !bench.n_stanza_errors;
	meter_read(&c);
	result("away_s", c.t - b.t);
	result("away_cpu_us", distinct ? (c.cpu_s - b.cpu_s) * 1e6 / (double)distinct : 0);
	result("away_missing", expected - (double)distinct);
	result("rss_after_mb", (double)c.rss_kb / 1024);
	bench.on = (struct client_events){ 0 };
	close_all(0, (unsigned)n);
	return all ? 0 : 1;
}
