/* A store with its writer thread and nothing else, for benchmarks of storing. One at a time; all calls from one thread. */
#pragma once
#include <stdint.h>

struct rig_counts {
	uint64_t messages, commits;
};

/* Opens or creates the data directory. Messages go between `pairs` pairs of accounts 1..2*pairs. Ends the program on failure. */
void rig_open(const char *dir, unsigned pairs);
/* Only so many of the pairs, evenly spread, take part from now on. */
void rig_active(unsigned pairs);
/* These pairs lie evenly among all; another wave (0 .. rig_waves() - 1) is those beside them. Each pair is in exactly one wave. */
unsigned rig_waves(void);
void rig_wave(unsigned number);
/* Makes n accounts u0, u1, ... of a domain, all with this password, each a person of the company structure. */
void rig_accounts(const char *domain, const char *password, unsigned n);
/* Stores n messages, `batch` under way at a time, and waits until they are committed. A refused one ends the program. */
void rig_messages(unsigned n, unsigned batch);
struct rig_counts rig_counts(void);
void rig_close(void);
/* Removes the directory and all in it. */
void rig_remove(const char *dir);
