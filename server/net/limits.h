/* The one table of limits (limits.def), readable from any thread, replaced as a whole on SIGHUP. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits {
#define LIMIT(name, def, least, most, unit, reload, text) uint64_t name;
#include "server/net/limits.def"
#undef LIMIT
};
/* Present limits: defaults until limits_set. The pointer stays valid (old tables are never freed). Any thread. */
const struct limits *limits(void);
/* Publishes a copy. Main thread. */
void limits_set(const struct limits *l);
/* Counts a hit of a limit (for metrics) and logs it, rate-limited. field is the name of the limit. Any thread. */
void limit_hit_log(const char *name, const char *who);
/* Only counts: for hits that one peer can cause many times a second. Any thread. */
void limit_hit(const char *name);
/* The table by index, for metrics: number of limits, name (NULL past the end), hits so far. Any thread. */
size_t limits_count(void);
const char *limits_name(size_t i);
uint64_t limits_hits(size_t i);
