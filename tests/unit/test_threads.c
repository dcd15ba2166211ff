/*
 * Workers, mail between them, helpers. Run under TSan too (configure --with-sanitizer=thread). The threads only count;
 * the checks are made by the main thread after they ended.
 */
#include "server/net/threads.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/lib/test.h"
#include <pthread.h>
#include <stdatomic.h>

enum { WORKERS = 4, MESSAGES = 100000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned finished;

static void finish(void)
{
	pthread_mutex_lock(&lock);
	finished++;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}
static void wait_finished(unsigned n)
{
	pthread_mutex_lock(&lock);
	while (finished < n)
		pthread_cond_wait(&changed, &lock);
	finished = 0;
	pthread_mutex_unlock(&lock);
}

/* --- order of mail ---------------------------------------------------------------------------------------------------- */
struct letter {
	struct mail mail;
	unsigned from;
	uint64_t seq;
};
struct desk { /* one per worker, touched by it alone */
	uint64_t got[WORKERS], disorder, total, wrong_thread;
	uint64_t sent;
	struct deferred send;
} __attribute__((aligned(64)));
static struct desk desks[WORKERS];

static void on_letter(struct mail *m)
{
	struct letter *l = list_entry(m, struct letter, mail);
	int me = threads_self();
	struct desk *d = &desks[me];
	d->disorder += l->seq != d->got[l->from]++;
	d->wrong_thread += loop_self() != threads_loop((unsigned)me);
	mem_free(l);
	if (++d->total == (uint64_t)WORKERS * MESSAGES)
		finish();
}

/* Sends a hundred rounds to all workers, itself too, then lets the loop turn. */
static void send_some(struct deferred *def)
{
	struct desk *d = list_entry(def, struct desk, send);
	for (int i = 0; i < 100 && d->sent < MESSAGES; i++, d->sent++) {
		for (unsigned to = 0; to < WORKERS; to++) {
			struct letter *l = NEW(struct letter);
			*l = (struct letter){ .mail = { .deliver = on_letter },
					      .from = (unsigned)threads_self(),
					      .seq = d->sent };
			threads_post(to, &l->mail);
		}
	}
	if (d->sent < MESSAGES)
		loop_defer(loop_self(), def);
}
static void start_sending(unsigned worker)
{
	desks[worker].send.run = send_some;
	loop_defer(loop_self(), &desks[worker].send);
}

TEST(mail_of_each_sender_arrives_whole_and_in_order)
{
	memset(desks, 0, sizeof(desks));
	is_int(threads_init(WORKERS), 0);
	is_int(threads_count(), WORKERS);
	is_int(threads_self(), -1);
	is_int(threads_start(start_sending, NULL), 0);
	wait_finished(WORKERS);
	threads_stop();
	is_int(threads_count(), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		is_int(desks[i].total, (uint64_t)WORKERS * MESSAGES);
		is_int(desks[i].disorder, 0);
		is_int(desks[i].wrong_thread, 0);
	}
}

/* --- ping-pong: each message finds a sleeping receiver ------------------------------------------------------------------ */
static struct letter ball;
static void on_ball(struct mail *m)
{
	if (++ball.seq == 10000)
		finish();
	else
		threads_post(1 - (unsigned)threads_self(), m);
}

TEST(no_wake_up_is_lost_between_sleeping_loops)
{
	threads_init(2);
	threads_start(NULL, NULL);
	ball = (struct letter){ .mail = { .deliver = on_ball } };
	threads_post(0, &ball.mail);
	wait_finished(1); /* hangs if one was lost */
	is_int(ball.seq, 10000);
	threads_stop();
}

/* --- mail to itself is not nested; mail under way at the end is delivered ------------------------------------------------- */
static bool inside;
static unsigned nested, hops;
static atomic_uint inits, finis;

static void on_hop(struct mail *m)
{
	nested += inside;
	inside = true;
	if (++hops < 5)
		threads_post(0, m);
	inside = false;
}
static void count_init(unsigned worker)
{
	(void)worker;
	atomic_fetch_add(&inits, 1);
}
static void count_fini(unsigned worker)
{
	(void)worker;
	atomic_fetch_add(&finis, 1);
}

TEST(mail_under_way_is_delivered_before_the_end)
{
	threads_init(3);
	threads_start(count_init, count_fini);
	struct letter l = { .mail = { .deliver = on_hop } };
	threads_post(0, &l.mail);
	threads_stop(); /* without waiting */
	is_int(hops, 5);
	is_int(nested, 0);
	is_int(inits, 3);
	is_int(finis, 3);
}

TEST(home_is_stable_and_spread)
{
	threads_init(4);
	unsigned seen = 0;
	for (char c = 'a'; c <= 'z'; c++) {
		char jid[] = "x@example.org";
		jid[0] = c;
		unsigned home = threads_home(str_c(jid));
		is_int(home, threads_home(str_c(jid)));
		if (home < 4)
			seen |= 1U << home;
	}
	is_int(seen, 15);
	threads_stop();
}

/* --- helpers ---------------------------------------------------------------------------------------------------------- */
enum { JOBS = 3000 };
static struct job jobs[JOBS];
static unsigned refused, done_jobs, done_elsewhere;
static atomic_uint run_on_worker, runs;

static void run_job(struct job *j)
{
	(void)j;
	atomic_fetch_add(&runs, 1);
	if (threads_self() >= 0)
		atomic_fetch_add(&run_on_worker, 1);
}
static void job_done(struct job *j)
{
	(void)j;
	done_elsewhere += threads_self() != 1;
	if (++done_jobs + refused == JOBS)
		finish();
}
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static void run_at_gate(struct job *j)
{
	pthread_mutex_lock(&gate); /* holds the helpers until all are submitted */
	pthread_mutex_unlock(&gate);
	run_job(j);
}
static void submit_all(struct mail *m)
{
	(void)m;
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = (struct job){ .run = run_at_gate, .done = job_done };
		refused += helpers_submit(&jobs[i]) == ERR_LIMIT;
	}
	pthread_mutex_unlock(&gate);
}
static void hold_gate(unsigned worker)
{
	if (worker == 1)
		pthread_mutex_lock(&gate);
}

TEST(helpers_run_elsewhere_and_finish_at_home)
{
	threads_init(2);
	is_int(helpers_start(2), 0);
	threads_start(hold_gate, NULL);
	struct mail m = { .deliver = submit_all };
	threads_post(1, &m);
	wait_finished(1);
	helpers_stop();
	threads_stop();
	ok(refused > 0 && refused < JOBS, "the queue is bounded: %u refused", refused);
	is_int(done_jobs + refused, JOBS);
	is_int(runs, done_jobs);
	is_int(done_elsewhere, 0);
	is_int(run_on_worker, 0);
}
