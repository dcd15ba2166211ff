/*
 * The writer thread: group commit (design idea 2). Workers submit operations; the writer runs each op's apply() in one LMDB
 * write transaction, commits whatever was queued as soon as the last commit returned (no timer), and then posts the ops back to the
 * workers in commit order. An op is refused alone when its apply() returns an error before its first put; a storage error aborts the batch,
 * which is then repeated op by op so that only the guilty one fails (D06).
 * Anything that promises durability (SM <a/>, IQ result, delivery to others) leaves in done(), never before.
 */
#pragma once
#include "storage/engine.h"
#include <stdatomic.h>

struct write_op {
	struct write_op *next;                       /* of the queue; the writer's */
	/* Writer thread. Validate first, then put. May run twice (retry), so it must not change the op except its results. */
	int (*apply)(struct txn *t, struct write_op *op);
	/* On each worker of targets, in commit order, err = 0 or why the op failed. Never on the writer thread. */
	void (*done)(struct write_op *op, int err, unsigned worker);
	/* When the last done() returned, on that worker. */
	void (*free)(struct write_op *op);
	uint64_t targets;                            /* bit per worker, at least one */
	atomic_uint pending;                         /* the writer's */
	int err;                                     /* the writer's: result for done() */
};

struct writer;
/* One batch of finished ops for one worker: the post function puts it into that worker's mailbox, which calls writer_deliver. */
struct write_batch;
typedef void writer_post_fn(void *ctx, unsigned worker, struct write_batch *batch);

struct writer *writer_new(struct store *s, writer_post_fn *post, void *ctx);
int writer_start(struct writer *w);
/* Drains, joins the thread and frees w; nobody may submit any more. The last batches are posted before it returns. */
void writer_stop(struct writer *w);
/* Queues an op; ownership passes until its free(). Any thread. */
void writer_submit(struct writer *w, struct write_op *op);
/* On the worker: runs done() of each op of the batch, then frees the batch. */
void writer_deliver(struct write_batch *batch, unsigned worker);
/* Every op that was submitted has been handed to its workers' mailboxes. Any thread. */
bool writer_idle(const struct writer *w);
/* Storage trouble seen by the last commits (0 = none): shown in health, new writes are still tried (recovers by itself).
 * ERR_IO while store_down(). */
int writer_health(const struct writer *w);
/* What the last failed commit since the last call failed with, also when its repetition worked; 0 = none failed. For the log. */
int writer_take_trouble(struct writer *w);
struct writer_stats { uint64_t commits, ops, failed, commit_us_total, commit_us_max, queue_depth; };
void writer_get_stats(const struct writer *w, struct writer_stats *out);
