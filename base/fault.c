/*
 * Fault injection points (rows E06, D06). Any thread; a small table under a lock that is taken only while some
 * fault is set. Nothing here allocates, because "malloc" is itself a point.
 */
#include "base/fault.h"
#include "base/log.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POINTS_MAX = 16, POINT_NAME_MAX = 24 };
struct point {
	char name[POINT_NAME_MAX];
	unsigned first, count; /* passes first .. first+count-1 fail; first 0 = off, count 0 = for ever */
	unsigned passes;
};

atomic_bool fault_active;
static pthread_mutex_t points_lock = PTHREAD_MUTEX_INITIALIZER;
static struct point points[POINTS_MAX];

/* Under points_lock. The entry of a name, a free one when make is set, or NULL. */
static struct point *find(struct str name, bool make)
{
	for (size_t i = 0; i < POINTS_MAX; i++) {
		if (points[i].first > 0 && str_eq_c(name, points[i].name))
			return &points[i];
	}
	for (size_t i = 0; make && i < POINTS_MAX; i++) {
		if (points[i].first == 0)
			return &points[i];
	}
	return NULL;
}

bool fault_pass(const char *name)
{
	pthread_mutex_lock(&points_lock);
	bool hit = false;
	struct point *p = find(str_c(name), false);
	if (p) {
		p->passes++;
		hit = p->passes >= p->first && (p->count == 0 || p->passes - p->first < p->count);
	}
	pthread_mutex_unlock(&points_lock);
	return hit;
}

static void set(struct str name, unsigned first, unsigned count)
{
	assert(name.n > 0 && name.n < POINT_NAME_MAX);
	pthread_mutex_lock(&points_lock);
	struct point *p = find(name, first > 0);
	assert(p || first == 0);
	if (p) {
		*p = (struct point){ .first = first, .count = count };
		memcpy(p->name, name.p, name.n);
	}
	bool any = false;
	for (size_t i = 0; i < POINTS_MAX; i++)
		any = any || points[i].first > 0;
	atomic_store(&fault_active, any);
	pthread_mutex_unlock(&points_lock);
}

void fault_set(const char *point, unsigned n, unsigned count)
{
	set(str_c(point), n, count);
}

/* "point:n[:count]" */
static bool set_from_text(struct str text)
{
	struct str name, first_text, count_text = STR("1");
	uint64_t first, count;
	if (!str_split(&text, ':', &name) || name.n == 0 || name.n >= POINT_NAME_MAX)
		return false;
	if (!str_split(&text, ':', &first_text) || str_u64(first_text, UINT32_MAX, &first) != 0 || first == 0)
		return false;
	(void)str_split(&text, ':', &count_text);
	if (text.p || str_u64(count_text, UINT32_MAX, &count) != 0)
		return false;
	set(name, (unsigned)first, (unsigned)count);
	return true;
}

void fault_init(void)
{
	struct str rest = str_c(getenv("VESTNIK_FAULT")), part;
	while (rest.n > 0 && str_split(&rest, ',', &part)) {
		if (!set_from_text(part)) {
			log_error("fault.syntax", LS("text", part), LC("cure", "VESTNIK_FAULT is point:n[:count],..."));
			_exit(1);
		}
	}
}
