/* The rig itself: settling waits for what the settled things started, over workers, helpers and the writer. */
#include "tests/lib/im_rig.h"
#include "server/net/threads.h"
#include "tests/lib/test.h"

enum { WORKERS = 2, ROUNDS = 40 };

/* Work that goes round: a helper's job, an operation on the other worker, mail back, deferred, then the next job. */
struct round {
	struct job job;
	struct write_op op;
	struct mail mail;
	struct deferred deferred;
	unsigned left;
	bool over;
};

static void start(void *arg);

static void on_deferred(struct deferred *d)
{
	struct round *r = list_entry(d, struct round, deferred);

	if (--r->left)
		start(r);
	else
		r->over = true;
}

static void on_mail(struct mail *m)
{
	loop_defer(loop_self(), &list_entry(m, struct round, mail)->deferred);
}

static int apply(struct txn *t, struct write_op *op)
{
	(void)t, (void)op;
	return 0;
}

static void done(struct write_op *op, int err, unsigned worker)
{
	(void)op, (void)err, (void)worker;
}

static void after_write(struct write_op *op)
{
	threads_post(0, &list_entry(op, struct round, op)->mail);
}

static void run(struct job *j)
{
	(void)j;
}

static void after_job(struct job *j)
{
	im_write_to(&list_entry(j, struct round, job)->op, 2);
}

static void start(void *arg)
{
	struct round *r = arg;
	int err = helpers_submit(&r->job);

	if (err)
		r->left = 0;
}

TEST(settled_means_that_nothing_is_under_way)
{
	rig_start(WORKERS, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct round r = { .job = { .run = run, .done = after_job },
				   .op = { .apply = apply, .done = done, .free = after_write },
				   .mail.deliver = on_mail,
				   .deferred.run = on_deferred,
				   .left = 3 };

		rig_run(0, start, &r);
		rig_settle();
		if (!r.over)
			ok(false, "round %u: %u laps were left", i, r.left);
	}
	ok(true, "every round was over");
	rig_stop();
}
