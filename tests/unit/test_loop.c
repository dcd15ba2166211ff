/*
 * The loop: order of a turn, timers, deferred work, and that a watch taken out hears nothing any more.
 * Single thread; the loop runs in the test's own thread and is stopped from its callbacks.
 */
#include "server/net/loop.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/net/limits.h"
#include "server/net/mailbox.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct loop *loop;
static char trace[64];

static void note(char c)
{
	size_t n = strlen(trace);
	if (n + 1 < sizeof(trace))
		trace[n] = c;
}

static void begin(void)
{
	memset(trace, 0, sizeof(trace));
	loop = loop_new();
	loop_enter(loop);
}

/* --- order of one turn ------------------------------------------------------------------------------------------------ */
struct all_kinds {
	struct watch w;
	struct mail m;
	struct timer t;
	struct deferred d, again;
	struct mailbox *box;
};
static struct all_kinds k;

static void on_ready(struct watch *w, uint32_t events)
{
	(void)events;
	char c;
	ok(read(w->fd, &c, 1) == 1, "the descriptor is readable");
	note('r');
	loop_defer(loop, &k.d);
	mailbox_post(k.box, &k.m);
	loop_timer(loop, &k.t, 0);
}
static void on_mail(struct mail *m)
{
	(void)m;
	note('m');
}
static void on_fire(struct timer *t)
{
	(void)t;
	note('t');
}
static void on_again(struct deferred *d)
{
	(void)d;
	note('D');
	loop_stop(loop);
}
static void on_deferred(struct deferred *d)
{
	(void)d;
	note('d');
	loop_defer(loop, &k.again);
	loop_defer(loop, &k.again);
}

TEST(a_turn_goes_ready_mail_timers_deferred)
{
	begin();
	int fd[2];
	require(pipe2(fd, O_CLOEXEC) == 0, "pipe");
	k = (struct all_kinds){ .w = { .fd = fd[0], .ready = on_ready },
				.m = { .deliver = on_mail },
				.t = { .fire = on_fire },
				.d = { .run = on_deferred },
				.again = { .run = on_again },
				.box = mailbox_new(loop) };
	is_int(loop_watch(loop, &k.w, EPOLLIN), 0);
	ok(loop_watch(loop, &k.w, EPOLLIN) < 0, "watching twice is an error");
	ok(write(fd[1], "x", 1) == 1, "one byte");
	loop_run(loop);
	is_cstr(trace, "rmtdD");
	is_ptr(loop_self(), loop);
	mailbox_free(k.box);
	loop_free(loop);
	is_ptr(loop_self(), NULL);
	close(fd[0]);
	close(fd[1]);
}

/* --- unwatch -------------------------------------------------------------------------------------------------------- */
static struct watch *pair[2];

static void on_either(struct watch *w, uint32_t events)
{
	(void)events;
	note('x');
	/* Both were fetched in one turn; the other one is gone, freed, and must not be called (ASan would tell). */
	struct watch *other = pair[0] == w ? pair[1] : pair[0];
	loop_unwatch(loop, other);
	mem_free(other);
	loop_unwatch(loop, w);
	mem_free(w);
}
static void stop_now(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}

TEST(unwatch_in_a_callback_suppresses_fetched_events)
{
	begin();
	int fd[2][2];
	for (int i = 0; i < 2; i++) {
		require(pipe2(fd[i], O_CLOEXEC) == 0 && write(fd[i][1], "x", 1) == 1, "pipe with a byte");
		pair[i] = NEW(struct watch);
		*pair[i] = (struct watch){ .fd = fd[i][0], .ready = on_either };
		loop_watch(loop, pair[i], EPOLLIN);
	}
	struct timer t = { .fire = stop_now };
	loop_timer(loop, &t, 2);
	loop_run(loop);
	is_cstr(trace, "x");
	for (int i = 0; i < 2; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
	loop_free(loop);
}

/* --- timers --------------------------------------------------------------------------------------------------------- */
enum { MANY = 100000 };
struct numbered {
	struct timer t;
	uint64_t due;
};
static uint64_t last_due, fired, disorder, early;

static void on_numbered(struct timer *t)
{
	struct numbered *n = (struct numbered *)t;
	disorder += n->due < last_due;
	early += loop_now(loop) < n->due;
	last_due = n->due;
	if (++fired == MANY / 2)
		loop_stop(loop);
}

TEST(a_hundred_thousand_timers_fire_in_order)
{
	begin();
	struct numbered *v = mem_zero(MANY * sizeof(*v));
	last_due = fired = disorder = early = 0;
	for (size_t i = 0; i < MANY; i++) {
		uint64_t delay = random_u64() % 200;
		v[i] = (struct numbered){ .t = { .fire = on_numbered }, .due = loop_now(loop) + delay };
		loop_timer(loop, &v[i].t, delay + 1000);
		loop_timer(loop, &v[i].t, delay); /* setting again moves it */
	}
	for (size_t i = 0; i < MANY; i += 2)
		loop_timer_cancel(loop, &v[i].t);
	loop_timer_cancel(loop, &v[0].t); /* twice is harmless */
	loop_run(loop);
	is_int(fired, MANY / 2);
	is_int(disorder, 0);
	is_int(early, 0);
	loop_free(loop);
	mem_free(v);
}

static unsigned refires;
static void on_refire(struct timer *t)
{
	note('f');
	if (++refires == 3)
		loop_stop(loop);
	else
		loop_timer(loop, t, 0);
}
static void on_each_turn(struct deferred *d)
{
	note('.');
	(void)d;
}
static struct deferred each_turn = { .run = on_each_turn };
static void on_refire_traced(struct timer *t)
{
	loop_defer(loop, &each_turn);
	on_refire(t);
}

TEST(a_timer_that_sets_itself_does_not_hold_the_turn)
{
	begin();
	refires = 0;
	struct timer t = { .fire = on_refire_traced };
	loop_timer(loop, &t, 0);
	loop_run(loop);
	is_cstr(trace, "f.f.f.");
	loop_free(loop);
}

TEST(timers_use_the_monotonic_clock)
{
	/* Row E10: a step of the wall clock neither fires nor delays a timer. */
	uint64_t mono_us = clock_mono_us();
	clock_set_for_test(mono_us, 1000);
	begin();
	refires = 2;
	struct timer t = { .fire = on_refire };
	loop_timer(loop, &t, 5);
	clock_set_for_test(mono_us + 6000, UINT64_C(4000000000000000));
	loop_run(loop);
	is_cstr(trace, "f");
	clock_set_for_test(0, 0);
	loop_free(loop);
}

/* --- deferred --------------------------------------------------------------------------------------------------------- */
static unsigned rounds;
static void on_forever(struct deferred *d)
{
	if (++rounds < 1000)
		loop_defer(loop, d);
	else
		loop_stop(loop);
}

TEST(deferred_work_runs_until_none_is_left_without_sleeping)
{
	begin();
	rounds = 0;
	struct deferred d = { .run = on_forever }, removed = { .run = on_deferred };
	loop_defer(loop, &removed);
	loop_undefer(&removed);
	loop_undefer(&removed);
	loop_defer(loop, &d);
	loop_run(loop); /* would hang here if the loop slept with work queued: there is no timer and no event */
	is_int(rounds, 1000);
	is_cstr(trace, "");
	loop_free(loop);
}

/* --- limits --------------------------------------------------------------------------------------------------------- */
/* --- work that may wait ---------------------------------------------------------------------------------------------------- */
static struct deferred waits[3];
static uint64_t wait_since_ms, waited_ms[3];

static void on_waited(struct deferred *d)
{
	waited_ms[d - waits] = loop_now(loop) - wait_since_ms;
	note((char)('a' + (d - waits)));
	if (strlen(trace) == 3)
		loop_stop(loop);
}

TEST(work_that_may_wait_runs_together_and_in_order)
{
	begin();
	memset(waits, 0, sizeof(waits));
	for (int i = 0; i < 3; i++)
		waits[i].run = on_waited;
	wait_since_ms = loop_now(loop);
	for (int twice = 0; twice < 2; twice++)
		for (int i = 0; i < 3; i++)
			loop_later(loop, &waits[i]);
	loop_defer(loop, &waits[2]); /* became urgent */
	loop_later(loop, &waits[2]); /* and stays so */
	ok(loop_drain(loop), "the urgent one runs");
	is_cstr(trace, "c");
	loop_run(loop);
	is_cstr(trace, "cab");
	ok(waited_ms[0] >= LOOP_LATER_MS && waited_ms[0] == waited_ms[1], "the others together, in one turn");

	loop_later(loop, &waits[0]);
	loop_undefer(&waits[0]); /* its owner goes */
	ok(list_empty(&waits[0].link) && !waits[0].later, "taken out");
	loop_later(loop, &waits[1]);
	loop_free(loop); /* forgotten, not run */
	ok(list_empty(&waits[1].link) && !waits[1].later, "taken out");
	is_cstr(trace, "cab");
}

TEST(limits_have_defaults_and_are_replaced_as_a_whole)
{
	const struct limits *before = limits();
	is_int(before->preauth_stanza_bytes, 8192);
	is_int(before->sm_queue, 1000);
	struct limits l = *before;
	l.sm_queue = 7;
	limits_set(&l);
	is_int(limits()->sm_queue, 7);
	is_int(before->sm_queue, 1000); /* who still reads the old table sees the old table */
	l.sm_queue = 1000;
	limits_set(&l);
	is_int(limits()->sm_queue, 1000);
}

TEST(limit_hits_are_counted_by_name)
{
	uint64_t before = 0, after = 0;
	limit_hit_log("output_bytes", "192.0.2.1");
	for (size_t i = 0; i < limits_count(); i++) {
		if (strcmp(limits_name(i), "output_bytes") == 0)
			before = limits_hits(i);
	}
	limit_hit_log("output_bytes", "192.0.2.1");
	limit_hit_log("output_bytes", "192.0.2.1");
	for (size_t i = 0; i < limits_count(); i++) {
		if (strcmp(limits_name(i), "output_bytes") == 0)
			after = limits_hits(i);
	}
	is_int(before, 1);
	is_int(after, 3);
	is_ptr(limits_name(limits_count()), NULL);
}
