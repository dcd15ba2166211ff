/*
 * Numbered messages: user 2i of pair i sends 0, 1, 2, ... to user 2i+1, whose side checks every number, so that loss, doubles
 * and disorder are seen whatever the work does with them. The number stands in the body as "#N ".
 */
#include "bench/load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair *pairs;
struct pair_totals pair_totals;
static unsigned n_pairs;

void pairs_new(unsigned n)
{
	pairs = calloc(n, sizeof *pairs);
	if (!pairs)
		abort();
	n_pairs = n;
	pair_totals = (struct pair_totals){ 0 };
	for (unsigned i = 0; i < n; i++) {
		pairs[i].due = calloc(PAIR_RING, sizeof *pairs[i].due);
		if (!pairs[i].due)
			abort();
	}
}

void pair_send(unsigned i, double due_s)
{
	char text[512];
	struct pair *pr = &pairs[i];
	unsigned seq = pr->sent++;
	int n = snprintf(text, sizeof text,
			 "<message to='%s%u@%s' type='chat' id='m%u-%u'><body>#%u The quarterly figures are on the "
			 "share, please have a look "
			 "before the meeting.</body>%s</message>",
			 bench.opt.prefix, 2 * i + 1, bench.opt.domain, i, seq, seq,
			 bench.opt.receipts ? "<request xmlns='urn:xmpp:receipts'/>" : "");
	pr->due[seq % PAIR_RING] = due_s;
	pair_totals.sent++;
	client_stanza(&bench.clients[2 * i], text, (size_t)n);
}

/* First sight of number seq? */
static bool pair_mark(struct pair *pr, uint32_t seq)
{
	if (seq >= pr->seen_bits) {
		size_t bits = pr->seen_bits ? pr->seen_bits : 4096;
		while (bits <= seq)
			bits *= 2;
		pr->seen = realloc(pr->seen, bits / 8);
		if (!pr->seen)
			abort();
		memset((char *)pr->seen + pr->seen_bits / 8, 0, (bits - pr->seen_bits) / 8);
		pr->seen_bits = bits;
	}
	uint64_t bit = 1ull << (seq % 64);
	if (pr->seen[seq / 64] & bit)
		return false;
	pr->seen[seq / 64] |= bit;
	return true;
}

bool pair_received(unsigned i, const char *p, size_t n)
{
	struct pair *pr = &pairs[i];
	size_t k;
	if (!stanza_is(p, n, "message"))
		return false;
	const char *type = stanza_attr(p, n, "type", &k);
	if (type && k == 5 && memcmp(type, "error", 5) == 0) {
		bench.n_stanza_errors++;
		return false;
	}
	const char *body = memmem(p, n, "<body>#", 7);
	if (!body)
		return false;
	uint32_t seq = (uint32_t)strtoul(body + 7, NULL, 10);
	if (seq >= pr->sent) {
		bench.n_stanza_errors++;
		return false;
	}
	if (!pair_mark(pr, seq)) {
		pair_totals.doubled++;
		return false;
	}
	if (seq < pr->highest)
		pair_totals.disordered++;
	else
		pr->highest = seq + 1;
	pr->received++;
	pair_totals.received++;
	samples_add((now_s() - pr->due[seq % PAIR_RING]) * 1e6);
	return true;
}

bool pairs_report(void)
{
	uint64_t lost = pair_totals.sent - pair_totals.received;
	result("sent", (double)pair_totals.sent);
	result("lost", (double)lost);
	result("doubled", (double)pair_totals.doubled);
	result("disordered", (double)pair_totals.disordered);
	return !lost && !pair_totals.doubled && !pair_totals.disordered && !bench.n_stanza_errors;
}
