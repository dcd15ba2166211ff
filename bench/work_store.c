/*
 * offline: messages to absent users, who then log in and get them all. mam: an archive is filled, then its owner pages backwards
 * through it again and again (XEP-0313 with RSM), every page checked for its number of results and their order.
 */
#include "bench/load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- offline: users 0, 2, ... send, users 1, 3, ... are absent ----
 * The senders use stream management: a message counts as stored when the server took responsibility for it by <a/>. */
static unsigned pongs, wanted;

/* Asks for a sign that the server has dealt with everything before: <a/>, or the answer to a ping. */
static void ask_done(struct client *c)
{
	if (c->sm)
		client_printf(c, "<r xmlns='urn:xmpp:sm:3'/>");
	else
		client_printf(c, "<iq type='get' id='done' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>",
			      bench.opt.domain);
}

static void filled_stanza(struct client *c, const char *p, size_t n)
{
	size_t k;
	const char *id = stanza_is(p, n, "iq") ? stanza_attr(p, n, "id", &k) : NULL;
	if (id && k == 4 && memcmp(id, "done", 4) == 0) {
		pongs++;
	} else if (stanza_is(p, n, "message") && c->user % 2 == 0) {
		if (stanza_has(p, n, "type='error'"))
			bench.n_stanza_errors++;
	} else if (c->user % 2 == 1) {
		pair_received(c->user / 2, p, n);
	}
}

static bool batch_done(void)
{
	unsigned done = pongs;
	for (unsigned i = 0; i < bench.n_clients; i += 2)
		done += bench.clients[i].sm && bench.clients[i].sm_acked == bench.clients[i].sm_out;
	return done == wanted;
}

/* 50 messages of each sender at a time, so no queue of the server grows without bound. */
static bool fill(unsigned n, unsigned count)
{
	for (unsigned sent = 0; sent < count;) {
		unsigned batch = count - sent < 50 ? count - sent : 50;
		pongs = 0;
		wanted = n;
		for (unsigned i = 0; i < n; i++) {
			for (unsigned k = 0; k < batch; k++)
				pair_send(i, now_s());
			ask_done(&bench.clients[2 * i]);
		}
		sent += batch;
		if (!loop_run(batch_done, bench.opt.timeout_s))
			return false;
	}
	return true;
}

static bool all_flushed(void)
{
	return pair_totals.received == pair_totals.sent;
}

int work_offline(void)
{
	struct meter a, b, c;
	unsigned n = bench.opt.pairs;
	clients_new(2 * n);
	pairs_new(n);
	bench.on.stanza = filled_stanza;
	bench.opt.sm = true;
	for (unsigned i = 0; i < n; i++)
		if (!login_all(2 * i, 1))
			return 1;
	bench.opt.sm = false;
	loop_settle(bench.opt.settle_s);
	meter_read(&a);
	if (!fill(n, bench.opt.count))
		return 1;
	meter_read(&b);
	double stored_s = b.t - a.t;
	loop_settle(bench.opt.settle_s); /* some servers store behind the sender's back: that CPU counts too */
	meter_read(&b);
	result("messages", (double)pair_totals.sent);
	result("store_s", stored_s);
	result("store_per_s", (double)pair_totals.sent / stored_s);
	result("store_cpu_us", (b.cpu_s - a.cpu_s) * 1e6 / (double)pair_totals.sent);
	for (unsigned i = 0; i < n; i++)
		if (!login_all(2 * i + 1, 1))
			return 1;
	loop_settle(bench.opt.settle_s);
	meter_read(&a);
	for (unsigned i = 0; i < n; i++)
		presence_all(2 * i + 1, 1);
	loop_run(all_flushed, bench.opt.timeout_s);
	meter_read(&b);
	loop_run(NULL, 0.3); /* doubles would come now */
	loop_settle(bench.opt.settle_s);
	meter_read(&c);
	result("flush_s", b.t - a.t);
	result("flush_per_s", (double)pair_totals.received / (b.t - a.t));
	result("flush_cpu_us", (c.cpu_s - a.cpu_s) * 1e6 / (double)pair_totals.sent);
	bool clean = pairs_report();
	close_all(0, bench.n_clients);
	return clean ? 0 : 1;
}

/* ---- mam ---- */
static struct reader {
	unsigned results;
	uint32_t last; /* number of the last message seen on this page */
	bool any;
	double asked_s;
	char before[128];
} * readers;
static uint64_t n_pages, bad_pages, page_results;
static double mam_end;

static void ask_page(struct client *c)
{
	struct reader *r = &readers[c->user / 2];
	r->results = 0;
	r->any = false;
	r->asked_s = now_s();
	client_printf(c,
		      "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2' queryid='q'><x xmlns='jabber:x:data' "
		      "type='submit'>"
		      "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field "
		      "var='with'><value>%s%u@%s</value>"
		      "</field></x><set "
		      "xmlns='http://jabber.org/protocol/rsm'><max>%u</max><before>%s</before></set></query></iq>",
		      bench.opt.prefix, c->user - 1, bench.opt.domain, bench.opt.page, r->before);
}

/* The page ended: checks it, remembers where the one before it begins. */
static void page_end(struct client *c, const char *p, size_t n)
{
	struct reader *r = &readers[c->user / 2];
	size_t k = 0;
	if (stanza_has(p, n, "type='error'")) {
		bench.n_stanza_errors++;
		return;
	}
	const char *first = stanza_between(p, n, "<first", "</first>", &k);
	const char *gt = first ? memchr(first, '>', k) : NULL;
	bool complete = stanza_has(p, n, "complete='true'") || stanza_has(p, n, "complete=\"true\"");
	if (r->results != bench.opt.page && !(complete && r->results))
		bad_pages++;
	n_pages++;
	page_results += r->results;
	samples_add((now_s() - r->asked_s) * 1e6);
	bool more = !complete && gt && r->results == bench.opt.page && r->last >= bench.opt.page;
	snprintf(r->before, sizeof r->before, "%.*s", more ? (int)(k - (size_t)(gt + 1 - first)) : 0,
		 more ? gt + 1 : "");
	if (now_s() < mam_end)
		ask_page(c);
}

static void mam_stanza(struct client *c, const char *p, size_t n)
{
	struct reader *r = &readers[c->user / 2];
	if (stanza_is(p, n, "message") && stanza_has(p, n, "<result ")) {
		const char *body = memmem(p, n, "<body>#", 7);
		uint32_t seq = body ? (uint32_t)strtoul(body + 7, NULL, 10) : UINT32_MAX;
		if (r->any && seq != r->last + 1)
			pair_totals.disordered++;
		r->any = true;
		r->last = seq;
		r->results++;
	} else if (stanza_is(p, n, "iq") && stanza_has(p, n, "<fin")) {
		page_end(c, p, n);
	} else if (stanza_is(p, n, "iq") && stanza_has(p, n, "type='error'")) {
		client_fail(c, "archive query refused", p, n);
	}
}

int work_mam(void)
{
	struct meter a, b;
	unsigned n = bench.opt.pairs;
	clients_new(2 * n);
	pairs_new(n);
	readers = calloc(n, sizeof *readers);
	if (!readers || !login_all(0, 2 * n))
		return 1;
	bench.on.stanza = filled_stanza;
	presence_all(0, 2 * n);
	meter_read(&a);
	if (!fill(n, bench.opt.count) || !loop_run(all_flushed, 60))
		return 1;
	meter_read(&b);
	result("fill_cpu_us", (b.cpu_s - a.cpu_s) * 1e6 / (double)pair_totals.sent);
	loop_settle(bench.opt.settle_s);
	bench.on.stanza = mam_stanza;
	samples_reset();
	meter_read(&a);
	mam_end = now_s() + bench.opt.seconds;
	for (unsigned i = 0; i < n; i++)
		ask_page(&bench.clients[2 * i + 1]);
	loop_run(NULL, bench.opt.seconds);
	meter_read(&b);
	result_span(&a, &b, (double)n_pages);
	result("results_per_page", n_pages ? (double)page_results / (double)n_pages : 0);
	result("bad_pages", (double)bad_pages);
	result("p50_us", samples_percentile(0.5));
	result("p99_us", samples_percentile(0.99));
	loop_run(NULL, 0.5);
	bool clean = pairs_report();
	close_all(0, bench.n_clients);
	return clean && n_pages && !bad_pages ? 0 : 1;
}
