/* Observers of what happened, in a table that main fills before the workers start; a posted event is one mail to the home of its person or one per worker. */
#include "server/im/event.h"
#include "base/mem.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/person.h"
#include <assert.h>

#define OBSERVERS_MAX 16

static struct {
	unsigned kinds;
	event_fn *fn;
} observers[OBSERVERS_MAX];
static unsigned n_observers;

void event_observe(unsigned kinds, event_fn *fn)
{
	assert(n_observers < OBSERVERS_MAX);
	observers[n_observers].kinds = kinds;
	observers[n_observers++].fn = fn;
}

void event_tell(const struct event *e)
{
	for (unsigned i = 0; i < n_observers; i++)
		if (observers[i].kinds & 1u << e->kind)
			observers[i].fn(e);
}

static void arrived(void *data)
{
	event_tell(data);
}

void event_post(const struct event *e)
{
	struct event *copy = mem_dup(e, sizeof *e);

	copy->payload = STR_NONE; /* borrowed */
	if (!e->account)
		fanout(arrived, copy, mem_free);
	else
		post_to(person_home(e->account), arrived, copy, mem_free);
}
