/* Time. Timers use the monotonic clock, stamps the wall clock (row E10). Tests may set both. */
#pragma once
#include <stdint.h>

/* Monotonic milliseconds, read from the system on each call. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* Wall clock, milliseconds / microseconds since 1970 UTC. */
uint64_t clock_wall_ms(void);
uint64_t clock_wall_us(void);
/* Replaces both clocks for tests and fuzzers; 0, 0 returns to the real ones. */
void clock_set_for_test(uint64_t mono_us, uint64_t wall_us);
