/*
 * Time (row E10): monotonic for timers, wall for stamps. Any thread. The replacement values for tests are plain
 * atomics so that a test may move time while loops run.
 */
#include "base/clock.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static atomic_bool replaced;
static _Atomic uint64_t test_mono_us, test_wall_us;

static uint64_t read_us(clockid_t id, const _Atomic uint64_t *test_us)
{
	if (__builtin_expect(atomic_load_explicit(&replaced, memory_order_relaxed), 0))
		return atomic_load(test_us);
	struct timespec ts;
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC, &test_mono_us);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

uint64_t clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME, &test_wall_us);
}

uint64_t clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

void clock_set_for_test(uint64_t mono_us, uint64_t wall_us)
{
	atomic_store(&test_mono_us, mono_us);
	atomic_store(&test_wall_us, wall_us);
	atomic_store(&replaced, mono_us > 0 || wall_us > 0);
}
