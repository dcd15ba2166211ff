/*
 * The worker threads: each owns one loop with its mailbox and everything attached to them. The table of workers is written by the
 * main thread before the threads start and after they ended, and only read in between.
 * Orderly end: a worker that left its loop waits for the others, then all deliver their mail in rounds until none is left, so
 * that what is under way between workers (a moving connection, a finished job) is neither lost nor leaked.
 */
#include "server/net/threads.h"
#include "base/err.h"
#include "base/mem.h"
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { DRAIN_ROUNDS = 64 };

struct worker {
	struct loop *loop;
	struct mailbox *mailbox;
	pthread_t thread;
	bool running;
};
static struct worker workers[WORKERS_MAX];
static unsigned n_workers;
static bool pinned;
static void (*worker_init)(unsigned worker);
static void (*worker_fini)(unsigned worker);
static pthread_barrier_t barrier;
static atomic_uint drained[2]; /* workers that still found work, by parity of the round */
static _Thread_local int self_index = -1;

int threads_init(unsigned n)
{
	assert(n_workers == 0 && n >= 1 && n <= WORKERS_MAX);
	for (n_workers = 0; n_workers < n; n_workers++) {
		struct worker *w = &workers[n_workers];
		w->loop = loop_new();
		if (!w->loop) {
			threads_stop();
			return ERR_LIMIT;
		}
		w->mailbox = mailbox_new(w->loop);
	}
	return 0;
}

void threads_pin(bool on)
{
	pinned = on;
}

/* The index-th CPU of those allowed, round and round. A failure costs speed only. */
static void pin_self(unsigned index)
{
	cpu_set_t allowed, one;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) == 0)
		return;
	unsigned skip = index % (unsigned)CPU_COUNT(&allowed);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
		return;
	}
}

static void drain_together(struct loop *l)
{
	for (unsigned round = 0; round < DRAIN_ROUNDS; round++) {
		atomic_uint *busy = &drained[round % 2];
		pthread_barrier_wait(&barrier);
		if (loop_drain(l))
			atomic_fetch_add(busy, 1);
		pthread_barrier_wait(&barrier);
		if (atomic_load(busy) == 0)
			return;
		/* The other counter is not in use before the next barrier. */
		atomic_store(&drained[(round + 1) % 2], 0);
	}
}

static void *run_worker(void *arg)
{
	unsigned index = (unsigned)(uintptr_t)arg;
	struct worker *w = &workers[index];
	self_index = (int)index;
	char name[16];
	snprintf(name, sizeof(name), "worker-%u", index);
	pthread_setname_np(pthread_self(), name);
	if (pinned)
		pin_self(index);
	loop_enter(w->loop);
	if (worker_init)
		worker_init(index);
	loop_run(w->loop);
	drain_together(w->loop);
	if (worker_fini)
		worker_fini(index);
	return NULL;
}

int threads_start(void (*init)(unsigned worker), void (*fini)(unsigned worker))
{
	worker_init = init;
	worker_fini = fini;
	atomic_store(&drained[0], 0);
	atomic_store(&drained[1], 0);
	if (pthread_barrier_init(&barrier, NULL, n_workers) != 0)
		return ERR_NOMEM;
	for (unsigned i = 0; i < n_workers; i++) {
		int e = pthread_create(&workers[i].thread, NULL, run_worker, (void *)(uintptr_t)i);
		if (e != 0)
			return err_from_errno(e); /* the caller ends the process: the barrier cannot be met any more */
		workers[i].running = true;
	}
	return 0;
}

void threads_stop(void)
{
	bool ran = n_workers > 0 && workers[n_workers - 1].running;
	helpers_stop(); /* their results go home by mail */
	for (unsigned i = 0; i < n_workers; i++)
		loop_stop(workers[i].loop);
	for (unsigned i = 0; i < n_workers; i++) {
		if (workers[i].running)
			pthread_join(workers[i].thread, NULL);
	}
	for (unsigned i = 0; i < n_workers; i++) {
		mailbox_free(workers[i].mailbox);
		loop_free(workers[i].loop);
		workers[i] = (struct worker){ 0 };
	}
	if (ran)
		pthread_barrier_destroy(&barrier);
	n_workers = 0;
}

unsigned threads_count(void)
{
	return n_workers;
}

int threads_self(void)
{
	return self_index;
}

struct loop *threads_loop(unsigned worker)
{
	assert(worker < n_workers);
	return workers[worker].loop;
}

bool threads_alive(unsigned max_turn_ms)
{
	for (unsigned i = 0; i < n_workers; i++) {
		if (loop_busy_ms(workers[i].loop) > max_turn_ms)
			return false;
	}
	return true;
}

unsigned threads_home(struct str bare_jid)
{
	assert(n_workers > 0);
	return (unsigned)(str_hash_stable(bare_jid) % n_workers);
}

void threads_post(unsigned worker, struct mail *m)
{
	assert(worker < n_workers);
	mailbox_post(workers[worker].mailbox, m);
}
