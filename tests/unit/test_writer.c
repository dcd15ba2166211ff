/* The writer: order, grouping, who fails and who does not, recovery (D01, D06, D07). Workers are played by lists of batches. */
#include "storage/writer.h"
#include "storage/key.h"
#include "base/fault.h"
#include "base/mem.h"
#include "tests/unit/storage_both.h"
#include <pthread.h>

enum kind { PUT, REFUSE, REFUSE_LATE, POISON, BIG };

struct op {
	struct write_op op;
	enum kind kind;
	unsigned nr, times;
	struct bench *bench;
};

enum { WORKERS = 3, BATCHES = 5000 };
struct bench {
	struct store *s;
	struct writer *w;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct write_batch *batch[WORKERS][BATCHES];
	unsigned batches[WORKERS], delivered[WORKERS];
	/* filled by done() */
	unsigned order[WORKERS][10000], orders[WORKERS], freed;
	int err[10000];
	bool hold; /* apply() waits while set, so that a batch can gather */
	unsigned applying;
};

static void key_of(struct key *k, unsigned nr)
{
	key_init(k);
	key_u32(k, nr);
}

static int apply(struct txn *t, struct write_op *wo)
{
	struct op *o = (struct op *)wo;
	struct bench *b = o->bench;
	static char big[1 << 20];
	struct key k;

	pthread_mutex_lock(&b->lock);
	b->applying++;
	pthread_cond_broadcast(&b->cond);
	while (b->hold)
		pthread_cond_wait(&b->cond, &b->lock);
	pthread_mutex_unlock(&b->lock);
	o->times++;
	if (o->kind == REFUSE)
		return ERR_FORBIDDEN;
	key_of(&k, o->nr);
	if (o->kind == BIG)
		txn_put(t, TAB_TEST, key_str(&k), str_of(big, sizeof(big)), 0);
	else
		txn_put(t, TAB_TEST, key_str(&k), STR("some value"), 0);
	if (o->kind == POISON)
		txn_fail(t, ERR_CORRUPT);
	return o->kind == REFUSE_LATE ? ERR_CONFLICT : 0;
}

static void done(struct write_op *wo, int err, unsigned worker)
{
	struct op *o = (struct op *)wo;

	o->bench->order[worker][o->bench->orders[worker]++] = o->nr;
	o->bench->err[o->nr] = err;
}

static void op_free(struct write_op *wo)
{
	struct op *o = (struct op *)wo;

	o->bench->freed++;
	mem_free(o);
}

static void post(void *ctx, unsigned worker, struct write_batch *batch)
{
	struct bench *b = ctx;

	pthread_mutex_lock(&b->lock);
	b->batch[worker][b->batches[worker]++] = batch;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

static struct bench *bench_new(struct store *s)
{
	struct bench *b = NEW(struct bench);

	b->s = s;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->cond, NULL);
	b->w = writer_new(s, post, b);
	is_int(writer_start(b->w), 0);
	return b;
}

static void submit(struct bench *b, unsigned nr, enum kind kind, uint64_t targets)
{
	struct op *o = NEW(struct op);

	o->op = (struct write_op){ .apply = apply, .done = done, .free = op_free, .targets = targets };
	o->kind = kind;
	o->nr = nr;
	o->bench = b;
	writer_submit(b->w, &o->op);
}

static void set_hold(struct bench *b, bool hold)
{
	pthread_mutex_lock(&b->lock);
	b->hold = hold;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

/* The writer stands in apply() of op 0 of its own transaction; what is submitted now makes the next one. */
static void hold_writer(struct bench *b)
{
	b->applying = 0;
	set_hold(b, true);
	submit(b, 0, PUT, 1);
	pthread_mutex_lock(&b->lock);
	while (!b->applying)
		pthread_cond_wait(&b->cond, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static void deliver(struct bench *b)
{
	for (unsigned k = 0; k < WORKERS; k++)
		while (b->delivered[k] < b->batches[k])
			writer_deliver(b->batch[k][b->delivered[k]++], k);
}

/* Waits until worker 0 has so many results. */
static void wait_for(struct bench *b, unsigned results)
{
	while (b->orders[0] < results) {
		pthread_mutex_lock(&b->lock);
		while (b->delivered[0] == b->batches[0])
			pthread_cond_wait(&b->cond, &b->lock);
		writer_deliver(b->batch[0][b->delivered[0]++], 0);
		pthread_mutex_unlock(&b->lock);
	}
}

static void stop(struct bench *b)
{
	writer_stop(b->w);
	b->w = NULL;
	deliver(b);
}

static void bench_free(struct bench *b)
{
	pthread_cond_destroy(&b->cond);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

static bool stored(struct bench *b, unsigned nr)
{
	struct txn *t = txn_read(b->s);
	struct key k;
	struct str v;

	key_of(&k, nr);
	bool there = txn_get(t, TAB_TEST, key_str(&k), &v) == 0;

	txn_abort(t);
	return there;
}

BOTH(order_and_targets)
{
	struct bench *b = bench_new(s);
	unsigned sorted[WORKERS] = { 0 };

	for (unsigned i = 1; i <= 5000; i++)
		submit(b, i, PUT, i % 7 ? 1 << i % WORKERS : 7);
	stop(b);
	is_int(b->freed, 5000);
	for (unsigned k = 0; k < WORKERS; k++) {
		for (unsigned i = 1; i < b->orders[k]; i++)
			sorted[k] += b->order[k][i] > b->order[k][i - 1];
		is_int(sorted[k], b->orders[k] - 1);
	}
	is_int(b->orders[0] + b->orders[1] + b->orders[2], 5000 + 2 * (5000 / 7));
	ok(stored(b, 1) && stored(b, 5000), "stored");
	bench_free(b);
}

BOTH(commits_what_is_queued)
{
	struct bench *b = bench_new(s);
	struct writer_stats st;

	hold_writer(b);
	for (unsigned i = 1; i <= 100; i++)
		submit(b, i, PUT, 1);
	writer_get_stats(b->w, &st);
	is_int(st.queue_depth, 101);
	set_hold(b, false);
	wait_for(b, 101);
	writer_get_stats(b->w, &st);
	is_int(st.commits, 2);
	is_int(st.ops, 101);
	is_int(st.queue_depth, 0);
	is_int(st.failed, 0);
	is_int(b->delivered[0], 2);
	stop(b);
	bench_free(b);
}

BOTH(refused_alone)
{
	struct bench *b = bench_new(s);
	struct writer_stats st;
	unsigned wrong = 0;

	hold_writer(b);
	for (unsigned i = 1; i <= 50; i++)
		submit(b, i, i % 10 == 3 ? REFUSE : PUT, 1);
	set_hold(b, false);
	wait_for(b, 51);
	for (unsigned i = 1; i <= 50; i++) {
		wrong += b->err[i] != (i % 10 == 3 ? ERR_FORBIDDEN : 0);
		wrong += stored(b, i) != (i % 10 != 3);
	}
	is_int(wrong, 0);
	writer_get_stats(b->w, &st);
	is_int(st.commits, 2);
	is_int(st.failed, 5);
	is_int(writer_health(b->w), 0);
	/* Nothing but refusals: no commit at all. */
	submit(b, 60, REFUSE, 1);
	wait_for(b, 52);
	writer_get_stats(b->w, &st);
	is_int(st.commits, 2);
	stop(b);
	bench_free(b);
}

/* One that damages its transaction does not take the others with it, and nothing of it is stored. */
BOTH(guilty_alone)
{
	struct bench *b = bench_new(s);
	unsigned wrong = 0, unsorted = 0;

	hold_writer(b);
	for (unsigned i = 1; i <= 60; i++)
		submit(b, i, i == 7 ? POISON : i == 30 ? REFUSE_LATE : PUT, 1);
	set_hold(b, false);
	wait_for(b, 61);
	for (unsigned i = 1; i <= 60; i++) {
		wrong += b->err[i] != (i == 7 ? ERR_CORRUPT : i == 30 ? ERR_CONFLICT : 0);
		wrong += stored(b, i) != (i != 7 && i != 30);
		unsorted += b->order[0][i] != i;
	}
	is_int(wrong, 0);
	is_int(unsorted, 0);
	stop(b);
	bench_free(b);
}

BOTH(many_guilty)
{
	struct bench *b = bench_new(s);
	unsigned wrong = 0;

	hold_writer(b);
	for (unsigned i = 1; i <= 60; i++)
		submit(b, i, i % 3 ? PUT : POISON, 1);
	set_hold(b, false);
	wait_for(b, 61);
	for (unsigned i = 1; i <= 60; i++) {
		wrong += b->err[i] != (i % 3 ? 0 : ERR_CORRUPT);
		wrong += stored(b, i) != (i % 3 != 0);
	}
	is_int(wrong, 0);
	stop(b);
	bench_free(b);
}

BOTH(failed_commit_is_repeated_singly)
{
	struct bench *b = bench_new(s);
	unsigned wrong = 0;

	/* The batch fails and then the first op alone; the others get through. */
	hold_writer(b);
	for (unsigned i = 1; i <= 20; i++)
		submit(b, i, PUT, 1);
	fault_set("store.write", 2, 2);
	set_hold(b, false);
	wait_for(b, 21);
	fault_set("store.write", 0, 0);
	for (unsigned i = 1; i <= 20; i++) {
		wrong += b->err[i] != (i == 1 ? ERR_NO_SPACE : 0);
		wrong += stored(b, i) != (i != 1);
	}
	is_int(wrong, 0);
	is_int(b->err[0], 0);
	stop(b);
	bench_free(b);
}

BOTH(full_disk_and_recovery)
{
	struct bench *b = bench_new(s);
	unsigned wrong = 0;

	submit(b, 0, PUT, 1);
	wait_for(b, 1);
	fault_set("store.sync", 1, 0);
	hold_writer(b);
	for (unsigned i = 1; i <= 100; i++)
		submit(b, i, PUT, 1);
	set_hold(b, false);
	wait_for(b, 102);
	for (unsigned i = 1; i <= 100; i++) {
		wrong += b->err[i] != ERR_IO;
		wrong += stored(b, i);
	}
	is_int(wrong, 0);
	is_int(writer_health(b->w), ERR_IO);
	ok(!store_panicked(s), "it may recover");
	ok(stored(b, 0), "reads go on");
	fault_set("store.sync", 0, 0);
	submit(b, 101, PUT, 1);
	wait_for(b, 103);
	is_int(b->err[101], 0);
	is_int(writer_health(b->w), 0);
	stop(b);
	bench_free(b);
}

BOTH(large_batches_are_split)
{
	struct bench *b = bench_new(s);
	struct writer_stats st;
	unsigned wrong = 0;

	hold_writer(b);
	for (unsigned i = 1; i <= 30; i++)
		submit(b, i, BIG, 1);
	set_hold(b, false);
	wait_for(b, 31);
	for (unsigned i = 1; i <= 30; i++)
		wrong += b->err[i] || b->order[0][i] != i || !stored(b, i);
	is_int(wrong, 0);
	writer_get_stats(b->w, &st);
	is_int(st.commits, 1 + 8); /* four of 1 MiB in each, two in the last */
	stop(b);
	bench_free(b);
}

/* D07: 8 MiB map, far more written: nobody notices. */
TEST(map_grows_under_the_writer)
{
	struct store_options o = { .map_bytes = 1 << 20 };
	struct store_info info;
	struct err_msg msg;
	struct store *s;
	unsigned wrong = 0;
	char dir[300];

	snprintf(dir, sizeof(dir), "%s/grow", test_tmpdir());
	is_int(store_open_lmdb(dir, &o, &s, &msg), 0);
	struct bench *b = bench_new(s);

	hold_writer(b);
	for (unsigned i = 1; i <= 100; i++)
		submit(b, i, BIG, 1);
	set_hold(b, false);
	wait_for(b, 101);
	for (unsigned i = 1; i <= 100; i++)
		wrong += b->err[i] || !stored(b, i);
	is_int(wrong, 0);
	store_get_info(s, &info);
	ok(info.map_bytes > 100u << 20 && info.growths >= 3, "map of %llu after %llu steps",
	   (unsigned long long)info.map_bytes, (unsigned long long)info.growths);
	fault_set("store.map", 1, 1);
	submit(b, 200, PUT, 1);
	wait_for(b, 102);
	is_int(b->err[200], 0);
	fault_set("store.map", 0, 0);
	stop(b);
	bench_free(b);
	store_close(s);
}

struct many {
	struct bench *b;
	unsigned from;
};

static void *submit_many(void *arg)
{
	struct many *m = arg;

	for (unsigned i = 0; i < 2000; i++)
		submit(m->b, m->from + i, PUT, 1u << m->from / 2000);
	return NULL;
}

BOTH(many_threads)
{
	struct bench *b = bench_new(s);
	struct many m[WORKERS];
	pthread_t th[WORKERS];
	unsigned sorted = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		m[i] = (struct many){ b, i * 2000 };
		pthread_create(&th[i], NULL, submit_many, &m[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(th[i], NULL);
	stop(b);
	for (unsigned k = 0; k < WORKERS; k++)
		for (unsigned i = 0; i < b->orders[k]; i++)
			sorted += b->order[k][i] == k * 2000 + i;
	is_int(sorted, 6000);
	is_int(b->freed, 6000);
	bench_free(b);
}
