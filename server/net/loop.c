/*
 * The epoll loop. A loop belongs to the thread that runs it; only loop_stop and loop_wake may be called from elsewhere.
 * Level-triggered: what a callback leaves unread is reported again. The loop owns nothing that is registered with it: watches,
 * timers and deferred work lie in their owners' structs and must be taken out before these go.
 * Sleeping and mail: the owner announces that it will sleep, then looks for mail once more; a sender queues first, then looks for
 * the announcement. With sequentially consistent operations one of the two always sees the other.
 */
#include "server/net/loop.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 256,
	DEFER_ROUNDS =
		16, /* then other descriptors get their turn before the rest (a fast reader of a long download) */
};

struct loop {
	int epoll_fd;
	struct watch wake; /* eventfd */
	atomic_bool stop, sleeping;
	atomic_uint_fast64_t turn_began_ms; /* 0 while sleeping */
	uint64_t now_ms;
	struct heap timers;
	bool firing;
	struct list deferred;
	struct list later; /* struct deferred that may wait for later_timer */
	struct timer later_timer;
	bool (*mail_take)(void *ctx);
	bool (*mail_waiting)(void *ctx);
	void *mail_ctx;
	struct epoll_event events[EVENTS_MAX];
	int n_events, next_event;
	char *read_buffer, *write_buffer;
};

static _Thread_local struct loop *self;

static void on_wake(struct watch *w, uint32_t events)
{
	(void)events;
	uint64_t count;
	ssize_t n = read(w->fd, &count, sizeof(count));
	(void)n; /* EAGAIN: somebody read it before; nothing depends on the number */
}

/* What waited runs before this turn ends. */
static void run_later(struct timer *t)
{
	struct loop *l = list_entry(t, struct loop, later_timer);
	while (!list_empty(&l->later))
		loop_defer(l, list_entry(l->later.next, struct deferred, link));
}

struct loop *loop_new(void)
{
	struct loop *l = NEW(struct loop);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake = (struct watch){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_wake };
	heap_init(&l->timers);
	list_init(&l->deferred);
	list_init(&l->later);
	l->later_timer.fire = run_later;
	l->now_ms = clock_mono_ms();
	if (l->epoll_fd >= 0 && l->wake.fd >= 0 && loop_watch(l, &l->wake, EPOLLIN) == 0)
		return l;
	loop_free(l);
	return NULL;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (self == l)
		self = NULL;
	run_later(&l->later_timer);
	while (!list_empty(&l->deferred))
		list_del(l->deferred.next);
	heap_clear(&l->timers);
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	mem_free(l->read_buffer);
	mem_free(l->write_buffer);
	mem_free(l);
}

void loop_enter(struct loop *l)
{
	self = l;
	l->now_ms = clock_mono_ms();
}

struct loop *loop_self(void)
{
	return self;
}

uint64_t loop_now(const struct loop *l)
{
	return l->now_ms;
}

static void dispatch_events(struct loop *l)
{
	for (l->next_event = 0; l->next_event < l->n_events;) {
		struct epoll_event *e = &l->events[l->next_event++];
		struct watch *w = e->data.ptr;
		if (w) /* else taken out by loop_unwatch earlier in this turn */
			w->ready(w, e->events);
	}
	l->n_events = 0;
}

static void fire_timers(struct loop *l)
{
	struct heap_node *top;
	l->firing = true;
	while ((top = heap_top(&l->timers)) && top->key <= l->now_ms) {
		struct timer *t = list_entry(top, struct timer, node);
		heap_del(&l->timers, top);
		t->fire(t);
	}
	l->firing = false;
}

/* True when something ran. */
static bool run_deferred(struct loop *l)
{
	bool ran = false;
	for (int round = 0; round < DEFER_ROUNDS && !list_empty(&l->deferred); round++) {
		struct list batch; /* what is there now; additions wait for the next round */
		list_link(&l->deferred, &batch);
		list_del(&l->deferred);
		while (!list_empty(&batch)) {
			struct deferred *d = list_entry(batch.next, struct deferred, link);
			list_del(&d->link);
			d->run(d);
			ran = true;
		}
	}
	return ran;
}

static bool take_mail(struct loop *l)
{
	return l->mail_take && l->mail_take(l->mail_ctx);
}

bool loop_has_work(struct loop *l)
{
	return !list_empty(&l->deferred) || (l->mail_waiting && l->mail_waiting(l->mail_ctx));
}

static bool may_sleep(struct loop *l)
{
	return !loop_has_work(l) && !atomic_load(&l->stop);
}

static int sleep_ms(struct loop *l)
{
	struct heap_node *top = heap_top(&l->timers);
	if (!top)
		return -1;
	uint64_t now = clock_mono_ms();
	if (top->key <= now)
		return 0;
	return top->key - now > INT_MAX ? INT_MAX : (int)(top->key - now);
}

static void fetch_events(struct loop *l)
{
	int timeout_ms = 0;
	if (may_sleep(l)) {
		atomic_store(&l->sleeping, true);
		if (may_sleep(l))
			timeout_ms = sleep_ms(l);
	}
	atomic_store_explicit(&l->turn_began_ms, 0, memory_order_relaxed);
	int n = epoll_wait(l->epoll_fd, l->events, EVENTS_MAX, timeout_ms);
	atomic_store(&l->sleeping, false);
	assert(n >= 0 || errno == EINTR);
	l->n_events = n > 0 ? n : 0;
	l->now_ms = clock_mono_ms();
	atomic_store_explicit(&l->turn_began_ms, l->now_ms, memory_order_relaxed);
}

uint64_t loop_busy_ms(struct loop *l)
{
	uint64_t began = atomic_load_explicit(&l->turn_began_ms, memory_order_relaxed), now = clock_mono_ms();
	return began != 0 && now > began ? now - began : 0;
}

void loop_run(struct loop *l)
{
	loop_enter(l);
	while (!atomic_load(&l->stop)) {
		fetch_events(l);
		dispatch_events(l);
		take_mail(l);
		fire_timers(l);
		run_deferred(l);
	}
	atomic_store(&l->stop, false);
}

bool loop_drain(struct loop *l)
{
	bool mail = take_mail(l);
	return run_deferred(l) || mail;
}

void loop_wake(struct loop *l)
{
	/* The first one to see the sleeper wakes it. */
	if (!atomic_load(&l->sleeping) || !atomic_exchange(&l->sleeping, false))
		return;
	uint64_t one = 1;
	ssize_t n = write(l->wake.fd, &one, sizeof(one));
	(void)n; /* EAGAIN: the counter is full, so the descriptor is ready anyway */
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	loop_wake(l);
}

int loop_watch(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &e) == 0 ? 0 : err_from_errno(errno);
}

int loop_rewatch(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &e) == 0 ? 0 : err_from_errno(errno);
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL); /* fails only when it was not watched */
	for (int i = l->next_event; i < l->n_events; i++) {
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
	}
}

void loop_timer(struct loop *l, struct timer *t, uint64_t delay_ms)
{
	if (l->firing && delay_ms == 0)
		delay_ms = 1; /* a timer that sets itself must not keep the turn from ending */
	uint64_t due = delay_ms < UINT64_MAX - l->now_ms ? l->now_ms + delay_ms : UINT64_MAX;
	heap_set(&l->timers, &t->node, due);
}

void loop_timer_cancel(struct loop *l, struct timer *t)
{
	heap_del(&l->timers, &t->node);
}

void loop_defer(struct loop *l, struct deferred *d)
{
	if (!d->link.next)
		list_init(&d->link);
	if (d->later)
		loop_undefer(d);
	if (list_empty(&d->link))
		list_add(&l->deferred, &d->link);
}

void loop_later(struct loop *l, struct deferred *d)
{
	if (!d->link.next)
		list_init(&d->link);
	if (!list_empty(&d->link))
		return;
	if (list_empty(&l->later))
		loop_timer(l, &l->later_timer, LOOP_LATER_MS);
	d->later = true;
	list_add(&l->later, &d->link);
}

void loop_undefer(struct deferred *d)
{
	if (d->link.next)
		list_del(&d->link);
	d->later = false;
}

void loop_set_mail(struct loop *l, bool (*take)(void *ctx), bool (*waiting)(void *ctx), void *ctx)
{
	l->mail_take = take;
	l->mail_waiting = waiting;
	l->mail_ctx = ctx;
}

char *loop_read_buffer(struct loop *l)
{
	if (!l->read_buffer)
		l->read_buffer = mem_alloc(LOOP_READ_BYTES);
	return l->read_buffer;
}

char *loop_write_buffer(struct loop *l)
{
	if (!l->write_buffer)
		l->write_buffer = mem_alloc(LOOP_WRITE_BYTES);
	return l->write_buffer;
}
