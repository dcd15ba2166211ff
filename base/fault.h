/*
 * Fault injection: a named point fails at its n-th pass. Compiled in always, one relaxed load when unused. Set by
 * the environment VESTNIK_FAULT="point:n[:count]" (several separated by commas), read once by fault_init(); tests
 * set it directly. Points: malloc, store.write, store.sync, store.panic, store.map, accept, read, write, random.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

/* True while any point is set. Read it through fault_hit() only. */
extern atomic_bool fault_active;

/* Reads VESTNIK_FAULT; call once at start. A malformed value ends the process with a log line. */
void fault_init(void);
/* Counts a pass of the point; fault_hit() calls it when anything is set. */
bool fault_pass(const char *point);
/* True when the named point shall fail now. Any thread. */
static inline bool fault_hit(const char *point)
{
	return __builtin_expect(atomic_load_explicit(&fault_active, memory_order_relaxed), 0) && fault_pass(point);
}
/* From now on fails passes n .. n+count-1 (count 0 = for ever); n 0 switches off. Any thread. */
void fault_set(const char *point, unsigned n, unsigned count);
