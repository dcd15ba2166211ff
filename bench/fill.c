/*
 * fill DIR DOMAIN PASSWORD ACCOUNTS MESSAGES: makes the data directory of a grown company, without a server, and tells what storing a
 * message cost at its beginning and at its end, between the same 100 pairs (1,000 at a time; CPU of this process, and by the
 * clock); "spread" is the cost when they go to all accounts in turn and so touch the most pages. The bulk in between goes to some pairs at a
 * time, in the largest commits: the tables become the same, and 10,000,000 take minutes. Used by `run growth`, which then starts the server on it. Prints one JSON object.
 */
#include "bench/rig.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ACTIVE_PAIRS = 100, WAVE_PAIRS = 500, WAVE_BATCH = 4000 };

struct cost {
	double cpu_us, wall_us;
};

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static struct cost measured(unsigned n)
{
	double cpu = cpu_us(), wall = (double)clock_mono_us();
	rig_messages(n, 1000);
	return (struct cost){ (cpu_us() - cpu) / n, ((double)clock_mono_us() - wall) / n };
}

static void bulk(unsigned messages)
{
	rig_active(WAVE_PAIRS);
	unsigned waves = rig_waves();
	for (unsigned w = 0; w < waves; w++) {
		rig_wave(w);
		rig_messages(messages / waves + (w < messages % waves), WAVE_BATCH);
	}
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: fill DIR DOMAIN PASSWORD ACCOUNTS MESSAGES\n");
		return 2;
	}
	unsigned accounts = (unsigned)strtoul(argv[4], NULL, 10), messages = (unsigned)strtoul(argv[5], NULL, 10);
	unsigned part = messages / 5 < 100000 ? messages / 5 : 100000;
	if (accounts < 2 || part < 1000) {
		fprintf(stderr, "fill: at least 2 accounts and 5000 messages\n");
		return 2;
	}
	rig_open(argv[1], accounts / 2);
	rig_accounts(argv[2], argv[3], accounts);
	rig_active(ACTIVE_PAIRS);
	rig_messages(part / 10, 1000); /* warm */
	struct cost first = measured(part);
	bulk(messages - 3 * part - 2 * (part / 10));
	rig_active(accounts / 2);
	struct cost spread = measured(part);
	rig_active(ACTIVE_PAIRS);
	rig_messages(part / 10, 1000);
	struct cost last = measured(part);
	rig_close();
	printf("{\"accounts\": %u, \"messages\": %u, \"first_cpu_us\": %.2f, \"last_cpu_us\": %.2f, \"first_us\": "
	       "%.2f, "
	       "\"last_us\": %.2f, \"spread_cpu_us\": %.2f, \"spread_us\": %.2f}\n",
	       accounts, messages, first.cpu_us, last.cpu_us, first.wall_us, last.wall_us, spread.cpu_us,
	       spread.wall_us);
	return 0;
}
