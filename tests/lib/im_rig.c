/* See im_rig.h. All calls on the main thread of the test. */
#include "tests/lib/im_rig.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/net/threads.h"
#include "storage/migrate.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { HELPERS = 2 };
/* Of rig_settle(); lives as long as the workers: the last to leave it may still be on its way out when the others are done. */
static pthread_barrier_t halt_barrier;
static const char *const domains[] = { "example.org", "other.example" };

struct run {
	struct mail mail;
	void (*fn)(void *arg);
	void *arg;
	struct gate gate;
};

void gate_init(struct gate *g)
{
	sem_init(&g->sem, 0, 0);
}

void gate_open(struct gate *g)
{
	sem_post(&g->sem);
}

bool gate_wait(struct gate *g)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 20;
	while (sem_timedwait(&g->sem, &t))
		if (errno != EINTR)
			return false;
	return true;
}

static void run_mail(struct mail *m)
{
	struct run *r = (struct run *)(void *)m;

	r->fn(r->arg);
	gate_open(&r->gate);
}

void rig_run(unsigned worker, void (*fn)(void *arg), void *arg)
{
	struct run r = { .mail.deliver = run_mail, .fn = fn, .arg = arg };

	gate_init(&r.gate);
	threads_post(worker, &r.mail);
	bool came = gate_wait(&r.gate);
	assert(came);
}

void rig_start(unsigned workers, const char *dir)
{
	struct store_options o = { .map_bytes = 1 << 24, .max_readers = 64, .allow_network_fs = true };
	struct err_msg msg;

	if (!dir)
		im.store = store_open_mem();
	else if (store_open_lmdb(dir, &o, &im.store, &msg))
		assert(!"the store opens");
	int err = migrate_check(im.store, &msg);
	assert(!err);
	err = store_secret(im.store, im.secret);
	assert(!err);
	im.domains = domains;
	im.n_domains = sizeof(domains) / sizeof(domains[0]);
	im.scram_iterations = 4096;
	im.directory_owns_passwords = false;
	err = threads_init(workers);
	assert(!err);
	err = im_writer_start();
	assert(!err);
	err = helpers_start(HELPERS);
	assert(!err);
	err = threads_start(NULL, NULL);
	assert(!err);
	pthread_barrier_init(&halt_barrier, NULL, workers + 1);
}

void rig_stop(void)
{
	rig_settle();
	helpers_stop();
	im_writer_stop();
	threads_stop();
	pthread_barrier_destroy(&halt_barrier);
	store_close(im.store);
	im.store = NULL;
}

struct change {
	rig_verb_fn *verb;
	struct account_op op;
	struct gate gate;
	int err;
};

static void change_done(void *ctx, int err, uint32_t id)
{
	struct change *c = ctx;

	(void)id;
	c->err = err;
	gate_open(&c->gate);
}

static void change_start(void *arg)
{
	struct change *c = arg;

	c->verb(&c->op, change_done, c);
}

static int change(rig_verb_fn *verb, const char *domain, const char *local, const char *password)
{
	struct change c = { .verb = verb };

	c.op = (struct account_op){
		.domain = str_c(domain), .local = str_c(local), .password = str_c(password), .actor = STR("test")
	};
	gate_init(&c.gate);
	rig_run(0, change_start, &c);
	bool came = gate_wait(&c.gate);
	assert(came);
	return c.err;
}

int rig_add(const char *domain, const char *local, const char *password)
{
	return change(account_add, domain, local, password);
}

int rig_change(rig_verb_fn *verb, const char *local, const char *password)
{
	return change(verb, domains[0], local, password);
}

/* --- settling: flush the helpers and the writer, until all workers stand still and nothing is under way --- */

/* One job per helper; they meet at a barrier, so every earlier job has been run and its mail posted. Then an operation
 * follows the earlier ones through the writer. */
struct settle {
	struct job job;
	struct write_op op;
	pthread_barrier_t *barrier;
	struct gate gate;
};

static int settle_apply(struct txn *t, struct write_op *op)
{
	(void)t;
	(void)op;
	return 0;
}

static void settle_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
}

static void settle_free(struct write_op *op)
{
	gate_open(&list_entry(op, struct settle, op)->gate);
}

static void settle_run(struct job *j)
{
	pthread_barrier_wait(list_entry(j, struct settle, job)->barrier);
}

static void settle_back(struct job *j)
{
	struct settle *s = list_entry(j, struct settle, job);

	s->op.apply = settle_apply;
	s->op.done = settle_done;
	s->op.free = settle_free;
	im_write(&s->op);
}

static void settle_start(void *arg)
{
	struct settle *s = arg;

	s->job.run = settle_run;
	s->job.done = settle_back;
	int err = helpers_submit(&s->job);
	assert(!err);
}

static void flush(void)
{
	pthread_barrier_t barrier;
	struct settle s[HELPERS] = { 0 };

	pthread_barrier_init(&barrier, NULL, HELPERS);
	for (int i = 0; i < HELPERS; i++) {
		s[i].barrier = &barrier;
		gate_init(&s[i].gate);
		rig_run(0, settle_start, &s[i]);
	}
	for (int i = 0; i < HELPERS; i++) {
		bool came = gate_wait(&s[i].gate);
		assert(came);
	}
	pthread_barrier_destroy(&barrier);
}

/* A worker that stands still at a point of its turn where all that waits can be seen: at the timers, behind the mail. */
struct halt {
	struct timer timer;
	pthread_barrier_t *barrier;
	bool has_work;
};

static void halt_here(struct timer *t)
{
	struct halt *h = list_entry(t, struct halt, timer);
	pthread_barrier_t *barrier = h->barrier;

	pthread_barrier_wait(barrier); /* all stand still */
	pthread_barrier_wait(barrier); /* helpers and writer were looked at: what they gave us lies in the mailboxes */
	h->has_work = loop_has_work(loop_self());
	pthread_barrier_wait(barrier);
}

static void halt_soon(void *arg)
{
	struct halt *h = arg;

	h->timer.fire = halt_here;
	loop_timer(loop_self(), &h->timer, 0);
}

static bool is_quiet(void)
{
	unsigned n = threads_count();
	struct halt h[WORKERS_MAX] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		h[i].barrier = &halt_barrier;
		rig_run(i, halt_soon, &h[i]);
	}
	pthread_barrier_wait(&halt_barrier);
	bool quiet = helpers_idle() && writer_idle(im.writer);
	pthread_barrier_wait(&halt_barrier);
	pthread_barrier_wait(&halt_barrier);
	for (unsigned i = 0; i < n; i++)
		quiet = quiet && !h[i].has_work;
	return quiet;
}

void rig_settle(void)
{
	while (!is_quiet())
		flush();
}
