/*
 * The writer thread: group commit (design idea 2, rows D01, D06). It takes whatever is queued, applies it in one transaction,
 * commits, and hands each worker its finished ops in commit order, one batch per worker and commit. The queue is the only thing
 * shared with other threads: one lock per submit, one per batch, a wake-up only when the writer sleeps.
 * Owner of an op: the writer from submit until the batch is posted, then the workers of its targets.
 */
#include "storage/writer.h"
#include "storage/engine_impl.h"
#include "base/clock.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
	BATCH_OPS = 4096, /* bounds of one transaction, so that nobody waits long for his commit */
	BATCH_BYTES = 4 << 20,
	GROW_TRIES = 12,
	GUILTY_MAX = 8,	     /* ops that broke a batch before the rest is tried one by one */
	HOPELESS_AFTER = 16, /* single commits failing in a row before the rest fails unseen */
	WORKERS_MAX = 64,    /* bits of write_op.targets */
	RECOVER_EVERY_MS = 100,
};
#define NOBODY ((size_t)-1)

struct write_batch {
	size_t n;
	struct write_op *op[];
};

struct writer {
	struct store *s;
	writer_post_fn *post;
	void *ctx;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* protects the next four */
	pthread_cond_t wake;
	struct write_op *head, **tail;
	bool sleeping, stop;

	/* Writer thread only. */
	struct write_op *todo, **todo_tail;
	struct write_op *op[BATCH_OPS];
	size_t n;

	_Atomic int health, trouble;
	_Atomic uint64_t commits, ops, failed, us_total, us_max, submitted, finished, posted;
};

struct writer *writer_new(struct store *s, writer_post_fn *post, void *ctx)
{
	struct writer *w = NEW(struct writer);

	w->s = s;
	w->post = post;
	w->ctx = ctx;
	w->tail = &w->head;
	w->todo_tail = &w->todo;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	return w;
}

void writer_submit(struct writer *w, struct write_op *op)
{
	assert(op->targets);
	op->next = NULL;
	op->err = 0;
	atomic_fetch_add_explicit(&w->submitted, 1, memory_order_relaxed);
	pthread_mutex_lock(&w->lock);
	*w->tail = op;
	w->tail = &op->next;
	bool wake = w->sleeping;

	w->sleeping = false;
	pthread_mutex_unlock(&w->lock);
	if (wake)
		pthread_cond_signal(&w->wake);
}

/* --- one transaction --- */

/* Applies op i; true when the transaction can go on. False: it is broken, op->err says why when the op is to blame. */
static bool apply(struct txn *t, struct write_op *op)
{
	uint64_t puts = t->puts;
	int err = op->apply(t, op);

	op->err = err;
	if (t->err) {
		op->err = t->err;
		return false;
	}
	if (err && t->puts != puts) {
		/* Refused after it had put something: against the rule of writer.h, so its puts must go. */
		txn_fail(t, err);
		return false;
	}
	return true;
}

static void note_commit(struct writer *w, uint64_t begin_us)
{
	uint64_t us = clock_mono_us() - begin_us;

	atomic_fetch_add_explicit(&w->commits, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->us_total, us, memory_order_relaxed);
	if (us > atomic_load_explicit(&w->us_max, memory_order_relaxed))
		atomic_store_explicit(&w->us_max, us, memory_order_relaxed);
}

static bool is_trouble(int err)
{
	return err == ERR_IO || err == ERR_NO_SPACE || err == ERR_CORRUPT || err == ERR_NOMEM;
}

/*
 * Applies ops [0, *n) that are not blamed yet (blamed[i] false) in one transaction; lowers *n when they are too many bytes.
 * 0, or the error; *out_guilty is then the op whose apply broke it, or NOBODY when the commit itself failed.
 */
static int run_once(struct writer *w, struct write_op **op, const bool *blamed, size_t *n, size_t *out_guilty)
{
	struct txn *t = txn_write(w->s);

	*out_guilty = NOBODY;
	for (size_t i = 0; i < *n && !t->err; i++) {
		if (blamed && blamed[i])
			continue;
		if (!apply(t, op[i]))
			*out_guilty = i;
		else if (!blamed && t->bytes >= BATCH_BYTES)
			*n = i + 1;
	}
	if (t->err || t->puts == 0) {
		int err = t->err;

		txn_abort(t);
		return err;
	}
	uint64_t begin_us = clock_mono_us();
	int err = txn_commit(t);

	if (!err)
		note_commit(w, begin_us);
	else if (!w->s->map_full)
		w->trouble = err;
	return err;
}

/* run_once, repeated while the map can grow (D07). The flag is ours: nobody else writes while the daemon runs. */
static int run(struct writer *w, struct write_op **op, const bool *blamed, size_t *n, size_t *out_guilty)
{
	for (unsigned tries = 0;; tries++) {
		int err = run_once(w, op, blamed, n, out_guilty);

		if (err != ERR_NO_SPACE || !w->s->map_full || tries == GROW_TRIES)
			return err;
	}
}

static void fail(struct write_op **op, const bool *blamed, size_t n, int err)
{
	for (size_t i = 0; i < n; i++)
		if (!blamed[i])
			op[i]->err = err;
}

/* The disk said no to a batch, or too many ops broke it: each op alone, so that what can be stored is (D06). */
static void run_singly(struct writer *w, struct write_op **op, const bool *blamed, size_t n)
{
	unsigned in_a_row = 0;
	size_t guilty, one = 1;

	for (size_t i = 0; i < n; i++) {
		if (blamed[i])
			continue;
		int err = run(w, op + i, NULL, &one, &guilty);

		if (err)
			op[i]->err = err;
		in_a_row = is_trouble(err) && guilty == NOBODY ? in_a_row + 1 : 0;
		if (w->s->fate_unknown || in_a_row == HOPELESS_AFTER) {
			fail(op + i + 1, blamed + i + 1, n - i - 1, err);
			return;
		}
	}
}

/* The first try failed: leave out who broke it and repeat with the rest. */
static void run_again(struct writer *w, int err, size_t guilty)
{
	bool blamed[BATCH_OPS] = { false };

	for (unsigned bad = 1; err; bad++) {
		if (w->s->fate_unknown) { /* repeated, they might be stored twice */
			fail(w->op, blamed, w->n, err);
			return;
		}
		if (guilty == NOBODY || bad > GUILTY_MAX) {
			run_singly(w, w->op, blamed, w->n);
			return;
		}
		blamed[guilty] = true; /* its err stays */
		err = run(w, w->op, blamed, &w->n, &guilty);
	}
}

/* --- batches --- */

/* Ops behind the n that made one transaction go back to the front of the list. */
static void give_back(struct writer *w, size_t n)
{
	if (n == w->n)
		return;
	for (size_t i = n; i + 1 < w->n; i++)
		w->op[i]->next = w->op[i + 1];
	w->op[w->n - 1]->next = w->todo;
	if (!w->todo)
		w->todo_tail = &w->op[w->n - 1]->next;
	w->todo = w->op[n];
	w->n = n;
}

static void run_batch(struct writer *w)
{
	size_t guilty, n = w->n;
	int err = run(w, w->op, NULL, &n, &guilty);

	give_back(w, n);
	if (err && w->n == 1)
		w->op[0]->err = err;
	else if (err)
		run_again(w, err, guilty);
}

static void post(struct writer *w)
{
	struct write_batch *batch[WORKERS_MAX] = { NULL };
	size_t count[WORKERS_MAX] = { 0 };
	uint64_t failed = 0;
	int trouble = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (is_trouble(w->op[i]->err))
			trouble = w->op[i]->err;
		atomic_store_explicit(&w->op[i]->pending, (unsigned)__builtin_popcountll(w->op[i]->targets),
				      memory_order_relaxed);
		for (uint64_t left = w->op[i]->targets; left; left &= left - 1)
			count[__builtin_ctzll(left)]++;
		failed += w->op[i]->err != 0;
	}
	for (unsigned k = 0; k < WORKERS_MAX; k++) {
		if (count[k]) {
			batch[k] = mem_alloc(sizeof(struct write_batch) + count[k] * sizeof(struct write_op *));
			batch[k]->n = 0;
		}
	}
	for (size_t i = 0; i < w->n; i++)
		for (uint64_t left = w->op[i]->targets; left; left &= left - 1) {
			struct write_batch *b = batch[__builtin_ctzll(left)];

			b->op[b->n++] = w->op[i];
		}
	if (trouble || failed < w->n)
		w->health = trouble;
	atomic_fetch_add_explicit(&w->ops, w->n, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->failed, failed, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->finished, w->n, memory_order_relaxed);
	for (unsigned k = 0; k < WORKERS_MAX; k++)
		if (batch[k])
			w->post(w->ctx, k, batch[k]); /* from here on the ops may be freed */
	atomic_fetch_add(&w->posted, w->n);
}

void writer_deliver(struct write_batch *batch, unsigned worker)
{
	for (size_t i = 0; i < batch->n; i++) {
		struct write_op *op = batch->op[i];

		op->done(op, op->err, worker);
		if (atomic_fetch_sub_explicit(&op->pending, 1, memory_order_acq_rel) == 1)
			op->free(op);
	}
	mem_free(batch);
}

bool writer_idle(const struct writer *w)
{
	return atomic_load(&w->posted) == atomic_load(&w->submitted);
}

/* Waits for work, under the lock. A store that must be opened again is looked after meanwhile: readers need it too (M18). */
static void wait_for_work(struct writer *w)
{
	struct timespec until;

	if (!store_down(w->s)) {
		pthread_cond_wait(&w->wake, &w->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += RECOVER_EVERY_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	if (pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
		return;
	pthread_mutex_unlock(&w->lock);
	store_recover(w->s);
	pthread_mutex_lock(&w->lock);
}

/* Moves the queue behind the own list; sleeps when both are empty. False: stopped and nothing left. */
static bool fetch(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->head && !w->todo && !w->stop) {
		w->sleeping = true;
		wait_for_work(w);
	}
	w->sleeping = false;
	if (w->head) {
		*w->todo_tail = w->head;
		w->todo_tail = w->tail;
		w->head = NULL;
		w->tail = &w->head;
	}
	pthread_mutex_unlock(&w->lock);
	return w->todo != NULL;
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;

	pthread_setname_np(pthread_self(), "writer");
	while (fetch(w)) {
		for (w->n = 0; w->n < BATCH_OPS && w->todo; w->n++) {
			w->op[w->n] = w->todo;
			w->todo = w->todo->next;
		}
		if (!w->todo)
			w->todo_tail = &w->todo;
		run_batch(w);
		post(w);
	}
	return NULL;
}

int writer_start(struct writer *w)
{
	int rc = pthread_create(&w->thread, NULL, writer_main, w);

	if (rc)
		return err_from_errno(rc);
	w->started = true;
	return 0;
}

void writer_stop(struct writer *w)
{
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_mutex_unlock(&w->lock);
		pthread_cond_signal(&w->wake);
		pthread_join(w->thread, NULL);
	}
	assert(!w->head && !w->todo);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

int writer_health(const struct writer *w)
{
	return store_down(w->s) ? ERR_IO : w->health;
}

int writer_take_trouble(struct writer *w)
{
	return atomic_exchange(&w->trouble, 0);
}

void writer_get_stats(const struct writer *w, struct writer_stats *out)
{
	uint64_t finished = w->finished, submitted = w->submitted;

	*out = (struct writer_stats){ .commits = w->commits,
				      .ops = w->ops,
				      .failed = w->failed,
				      .commit_us_total = w->us_total,
				      .commit_us_max = w->us_max,
				      .queue_depth = submitted > finished ? submitted - finished : 0 };
}
