/* One mail per worker around a shared, reference-counted piece of data. */
#include "server/im/fanout.h"
#include "base/mem.h"
#include "server/net/threads.h"
#include <stdatomic.h>

struct shared {
	atomic_uint left;
	void (*fn)(void *data);
	void *data;
	void (*release)(void *data);
};
struct copy {
	struct mail mail;
	struct shared *shared;
};

static void run_copy(struct mail *m)
{
	struct copy *c = (struct copy *)m;
	struct shared *s = c->shared;

	mem_free(c);
	s->fn(s->data);
	if (atomic_fetch_sub_explicit(&s->left, 1, memory_order_acq_rel) > 1)
		return;
	if (s->release)
		s->release(s->data);
	mem_free(s);
}

static void post_copy(unsigned worker, struct shared *s)
{
	struct copy *c = NEW(struct copy);

	c->mail.deliver = run_copy;
	c->shared = s;
	threads_post(worker, &c->mail);
}

static struct shared *share(unsigned n, void (*fn)(void *data), void *data, void (*release)(void *data))
{
	struct shared *s = NEW(struct shared);

	atomic_init(&s->left, n);
	s->fn = fn;
	s->data = data;
	s->release = release;
	return s;
}

void fanout(void (*fn)(void *data), void *data, void (*release)(void *data))
{
	unsigned n = threads_count();
	struct shared *s = share(n, fn, data, release);

	for (unsigned w = 0; w < n; w++)
		post_copy(w, s);
}

void post_to(unsigned worker, void (*fn)(void *data), void *data, void (*release)(void *data))
{
	post_copy(worker, share(1, fn, data, release));
}
