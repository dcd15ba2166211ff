/*
 * Fault injection: a named point fails at its n-th pass. Compiled in always, one relaxed load when unused.
 * Set by the environment VESTNIK_FAULT="point:n[:count]" (several separated by commas), read once by fault_init(); tests
 * set it directly. Points: malloc, store.write, store.sync, store.map, accept, read, write, random.
 */
#pragma once
#include <stdbool.h>

void fault_init(void);
/* True when the named point shall fail now. */
bool fault_hit(const char *point);
/* From now on fails passes n .. n+count-1 (count 0 = for ever); n 0 switches off. */
void fault_set(const char *point, unsigned n, unsigned count);
