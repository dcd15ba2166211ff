/*
 * The present limits: a pointer to an immutable table, replaced as a whole. Readers on any thread may keep what limits() returned
 * for as long as they like, so replaced tables are never freed; they hang in a list (a reload is rare and a table is small).
 */
#include "server/net/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include <stdatomic.h>
#include <string.h>

struct published {
	struct limits table;
	struct published *former;
};
static const struct limits defaults = {
#define LIMIT(name, def, least, most, unit, reload, text) .name = (def),
#include "server/net/limits.def"
#undef LIMIT
};
static const char *const names[] = {
#define LIMIT(name, def, least, most, unit, reload, text) #name,
#include "server/net/limits.def"
#undef LIMIT
};
enum { COUNT = sizeof(names) / sizeof(names[0]) };

static _Atomic(const struct limits *) present = &defaults;
static struct published *all; /* main thread */
static atomic_uint_fast64_t hits[COUNT];

const struct limits *limits(void)
{
	return atomic_load_explicit(&present, memory_order_acquire);
}

void limits_set(const struct limits *l)
{
	struct published *p = NEW(struct published);
	p->table = *l;
	p->former = all;
	all = p;
	atomic_store_explicit(&present, &p->table, memory_order_release);
}

void limit_hit(const char *name)
{
	for (size_t i = 0; i < COUNT; i++) {
		if (strcmp(names[i], name) == 0) {
			atomic_fetch_add_explicit(&hits[i], 1, memory_order_relaxed);
			break;
		}
	}
}

void limit_hit_log(const char *name, const char *who)
{
	limit_hit(name);
	log_warn("limit.hit", LC("limit", name), LC("who", who));
}

size_t limits_count(void)
{
	return COUNT;
}

const char *limits_name(size_t i)
{
	return i < COUNT ? names[i] : NULL;
}

uint64_t limits_hits(size_t i)
{
	return i < COUNT ? atomic_load_explicit(&hits[i], memory_order_relaxed) : 0;
}
