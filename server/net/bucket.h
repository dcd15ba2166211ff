/* Token bucket in integers: rate per second, burst at most. May go below zero (a debt to be waited out). One owner, no lock. */
#pragma once
#include <stdint.h>

struct bucket {
	uint64_t rate, burst; /* rate 0: no limit */
	int64_t level;
	uint64_t stamp_ms; /* up to here time has been turned into tokens */
};

static inline void bucket_init(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t now_ms)
{
	*b = (struct bucket){ .rate = rate, .burst = burst, .level = (int64_t)burst, .stamp_ms = now_ms };
}

/* Tokens now. */
static inline int64_t bucket_level(struct bucket *b, uint64_t now_ms)
{
	enum { ELAPSED_MAX_MS = 3600000 };
	if (now_ms <= b->stamp_ms || b->rate == 0)
		return b->level;
	uint64_t elapsed = now_ms - b->stamp_ms;
	if (elapsed > ELAPSED_MAX_MS)
		elapsed = ELAPSED_MAX_MS;
	uint64_t add = elapsed * b->rate / 1000;
	if (add == 0)
		return b->level;
	b->level += (int64_t)add;
	b->stamp_ms += add * 1000 / b->rate; /* not the fraction that made no token yet */
	if (b->level >= (int64_t)b->burst || now_ms - b->stamp_ms > ELAPSED_MAX_MS) {
		b->stamp_ms = now_ms;
		if (b->level > (int64_t)b->burst)
			b->level = (int64_t)b->burst;
	}
	return b->level;
}

/* Takes n tokens; milliseconds until the debt is paid, 0 when there is none. */
static inline uint64_t bucket_take(struct bucket *b, uint64_t n, uint64_t now_ms)
{
	if (b->rate == 0)
		return 0;
	bucket_level(b, now_ms);
	b->level -= (int64_t)n;
	return b->level >= 0 ? 0 : ((uint64_t)-b->level * 1000 + b->rate - 1) / b->rate;
}
