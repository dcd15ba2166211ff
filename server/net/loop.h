/*
 * One epoll loop per worker thread: descriptors, timers, deferred work before sleeping, mail from other threads.
 * Order of one turn: ready descriptors, mailbox, timers, deferred (connection flushes) until none is left, sleep.
 * Everything here is called on the loop's own thread unless said otherwise.
 */
#pragma once
#include "base/heap.h"
#include "base/list.h"
#include <stdint.h>

struct loop;

struct watch {
	int fd;
	void (*ready)(struct watch *w, uint32_t epoll_events);
};
struct timer {
	struct heap_node node;
	void (*fire)(struct timer *t); /* may set the timer again or free its owner */
};
struct deferred {
	struct list link; /* zeroed or list_init'ed before first use */
	void (*run)(struct deferred *d);
	bool later;       /* the loop's: queued by loop_later */
};

/* Sizes of the two buffers that every loop lends to its connections. */
enum { LOOP_READ_BYTES = 65536, LOOP_WRITE_BYTES = 16384 };

struct loop *loop_new(void);
/* Timers, watches and deferred work of others are forgotten, not run. */
void loop_free(struct loop *l);
/* Runs until loop_stop. */
void loop_run(struct loop *l);
/* Makes l the loop of this thread before loop_run, which does it too (per-thread init, tests). */
void loop_enter(struct loop *l);
/* One step without sleeping: mail and deferred work only, for an orderly end after loop_run. True when something ran. */
bool loop_drain(struct loop *l);
/* Mail or deferred work waits. */
bool loop_has_work(struct loop *l);
/* Any thread. */
void loop_stop(struct loop *l);
/* The loop of this thread, NULL outside. */
struct loop *loop_self(void);
/* Milliseconds of the monotonic clock, cached per turn. */
uint64_t loop_now(const struct loop *l);

/* events: EPOLLIN | EPOLLOUT | EPOLLET ... 0 or error code. */
int loop_watch(struct loop *l, struct watch *w, uint32_t events);
int loop_rewatch(struct loop *l, struct watch *w, uint32_t events);
/* Events already fetched in this turn for w are not delivered any more. */
void loop_unwatch(struct loop *l, struct watch *w);
/* One-shot, relative; setting again moves it. A timer keeps order with a resolution of 1 ms. Set while a timer fires: at least 1 ms. */
void loop_timer(struct loop *l, struct timer *t, uint64_t delay_ms);
void loop_timer_cancel(struct loop *l, struct timer *t);
/* Runs d before the loop sleeps this turn; harmless when queued already. */
void loop_defer(struct loop *l, struct deferred *d);
/* Runs d before the loop sleeps, at most LOOP_LATER_MS from now, together with everything else that may wait; loop_defer makes it this turn. Harmless
 * when queued already. */
enum { LOOP_LATER_MS = 20 };
void loop_later(struct loop *l, struct deferred *d);
void loop_undefer(struct deferred *d);
/* Wakes the loop if it sleeps or is about to, else does nothing. Any thread. */
void loop_wake(struct loop *l);
/* The mail step of a turn: take delivers what waits (true: something was there), waiting asks without taking. Set by mailbox.c. */
void loop_set_mail(struct loop *l, bool (*take)(void *ctx), bool (*waiting)(void *ctx), void *ctx);
/* Milliseconds since the present turn began; 0 while the loop sleeps. For a watchdog. Any thread. */
uint64_t loop_busy_ms(struct loop *l);
/* Buffers of the loop's thread, valid until another connection of it runs: 64 KiB for input, 16 KiB to join small output. */
char *loop_read_buffer(struct loop *l);
char *loop_write_buffer(struct loop *l);
