/*
 * msg: closed loop. Each pair keeps --window messages under way; the next leaves when one arrived (with --receipts: when its
 * receipt came back to the sender). latency: open loop. Message k of the run is due at start + k/rate whatever the server does,
 * and its latency counts from that moment, so a server that stalls pays for everything that it kept waiting.
 */
#include "bench/load.h"
#include <stdio.h>
#include <string.h>

static bool sending;
static double open_start;
static uint64_t open_next;

static void send_receipt(struct client *c, const char *p, size_t n)
{
	char text[512];
	size_t from_n, id_n;
	const char *from = stanza_attr(p, n, "from", &from_n), *id = stanza_attr(p, n, "id", &id_n);
	if (!from || !id)
		return;
	int k = snprintf(
		text, sizeof text,
		"<message to='%.*s' type='chat' id='r%.*s'><received xmlns='urn:xmpp:receipts' id='%.*s'/></message>",
		(int)from_n, from, (int)id_n, id, (int)id_n, id);
	if (k > 0 && (size_t)k < sizeof text)
		client_stanza(c, text, (size_t)k);
}

static void msg_stanza(struct client *c, const char *p, size_t n)
{
	unsigned i = c->user / 2;
	if (c->user % 2 == 0) { /* the sender's side: receipts and errors */
		if (!stanza_is(p, n, "message"))
			return;
		if (stanza_has(p, n, "<received ")) {
			pair_totals.receipts++;
			if (sending)
				pair_send(i, now_s());
		} else if (stanza_has(p, n, "type='error'")) {
			bench.n_stanza_errors++;
		}
		return;
	}
	if (!pair_received(i, p, n))
		return;
	if (bench.opt.receipts)
		send_receipt(c, p, n);
	else if (sending && !open_start)
		pair_send(i, now_s());
}

static bool all_received(void)
{
	return pair_totals.received == pair_totals.sent &&
	       (!bench.opt.receipts || pair_totals.receipts == pair_totals.sent);
}

/* Everything that was sent under stream management must have been acknowledged once the last <r/> is answered. */
static bool all_acknowledged(void)
{
	for (unsigned i = 0; i < bench.n_clients; i++)
		if (bench.clients[i].sm_acked != bench.clients[i].sm_out)
			return false;
	return true;
}

static bool pairs_online(void)
{
	unsigned n = 2 * bench.opt.pairs;
	clients_new(n);
	pairs_new(bench.opt.pairs);
	if (!login_all(0, n))
		return false;
	bench.on.stanza = msg_stanza;
	presence_all(0, n);
	loop_settle(bench.opt.settle_s);
	return true;
}

static void drain(void)
{
	sending = false;
	loop_tick(NULL, 0);
	loop_run(all_received, 10);
	loop_run(NULL, 0.2); /* doubles would come now */
	if (bench.opt.sm) {
		for (unsigned i = 0; i < bench.n_clients; i++)
			client_printf(&bench.clients[i], "<r xmlns='urn:xmpp:sm:3'/>");
		result("acknowledged", loop_run(all_acknowledged, 5));
	}
}

int work_msg(void)
{
	struct meter a, b;
	if (!pairs_online())
		return 1;
	sending = true;
	for (unsigned i = 0; i < bench.opt.pairs; i++)
		for (unsigned w = 0; w < bench.opt.window; w++)
			pair_send(i, now_s());
	loop_run(NULL, bench.opt.warmup_s);
	samples_reset();
	meter_read(&a);
	uint64_t before = bench.opt.receipts ? pair_totals.receipts : pair_totals.received;
	loop_run(NULL, bench.opt.seconds);
	meter_read(&b);
	uint64_t after = bench.opt.receipts ? pair_totals.receipts : pair_totals.received;
	result_span(&a, &b, (double)(after - before));
	result("p50_us", samples_percentile(0.5));
	result("p99_us", samples_percentile(0.99));
	drain();
	bool clean = pairs_report();
	bench.on.stanza = NULL;
	close_all(0, bench.n_clients);
	return clean && after > before ? 0 : 1;
}

/* Sends all that is due by now. */
static void open_tick(void)
{
	double now = now_s();
	for (;;) {
		double due = open_start + (double)open_next / bench.opt.rate;
		if (due > now || !sending)
			return;
		pair_send((unsigned)(open_next++ % bench.opt.pairs), due);
	}
}

int work_latency(void)
{
	struct meter a, b;
	if (!pairs_online())
		return 1;
	sending = true;
	open_start = now_s();
	loop_tick(open_tick, 1.0 / bench.opt.rate > 0.0005 ? 0.0005 : 1.0 / bench.opt.rate);
	loop_run(NULL, bench.opt.warmup_s);
	samples_reset();
	meter_read(&a);
	uint64_t before = pair_totals.received;
	loop_run(NULL, bench.opt.seconds);
	meter_read(&b);
	result_span(&a, &b, (double)(pair_totals.received - before));
	drain();
	result("p50_us", samples_percentile(0.5));
	result("p99_us", samples_percentile(0.99));
	result("max_us", samples_percentile(1));
	bool clean = pairs_report();
	bench.on.stanza = NULL;
	close_all(0, bench.n_clients);
	return clean ? 0 : 1;
}
