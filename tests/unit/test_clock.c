/*
 * base/clock: real clocks run, replaced ones stand still (row E10).
 */
#include "base/clock.h"
#include "tests/lib/test.h"
#include <time.h>

TEST(real_clocks)
{
	uint64_t a = clock_mono_us(), b = clock_mono_us();
	ok(b >= a, "monotonic");
	uint64_t before = (uint64_t)time(NULL), wall = clock_wall_ms() / 1000, after = (uint64_t)time(NULL);
	ok(wall + 1 >= before && wall <= after, "wall clock in seconds since 1970");
	uint64_t ms = clock_mono_ms();
	ok(ms >= a / 1000 && ms <= clock_mono_us() / 1000, "both units of the same clock");
}

TEST(replaced_clocks)
{
	clock_set_for_test(5000999, 1700000000123456);
	is_int(clock_mono_us(), 5000999);
	is_int(clock_mono_ms(), 5000);
	is_int(clock_wall_us(), 1700000000123456);
	is_int(clock_wall_ms(), 1700000000123);
	clock_set_for_test(5000999, 1600000000000000);
	is_int(clock_mono_ms(), 5000);
	is_int(clock_wall_ms(), 1600000000000);
	clock_set_for_test(0, 0);
	ok(clock_wall_ms() > 1700000000123, "back to the real ones");
}
