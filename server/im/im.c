/* The messenger's context and its way to the writer: completions come back as mail, in commit order. */
#include "server/im/im.h"
#include "base/mem.h"
#include "server/net/threads.h"

struct im im = { .people_make_chats = true };

struct batch_mail {
	struct mail mail;
	struct write_batch *batch;
	unsigned worker;
};

bool im_is_our_domain(struct str domain)
{
	for (size_t i = 0; i < im.n_domains; i++)
		if (str_eq_c(domain, im.domains[i]))
			return true;
	return false;
}

static void deliver_batch(struct mail *m)
{
	struct batch_mail *b = (struct batch_mail *)m;

	writer_deliver(b->batch, b->worker);
	mem_free(b);
}

/* Writer thread. */
static void post_batch(void *ctx, unsigned worker, struct write_batch *batch)
{
	(void)ctx;
	struct batch_mail *b = NEW(struct batch_mail);
	b->mail.deliver = deliver_batch;
	b->batch = batch;
	b->worker = worker;
	threads_post(worker, &b->mail);
}

int im_writer_start(void)
{
	im.writer = writer_new(im.store, post_batch, NULL);
	return writer_start(im.writer);
}

void im_writer_stop(void)
{
	if (im.writer)
		writer_stop(im.writer);
	im.writer = NULL;
}

void im_write(struct write_op *op)
{
	im_write_to(op, 1ull << threads_self());
}

static _Thread_local bool closed;

void im_close_writes(void)
{
	closed = true;
}

void im_write_to(struct write_op *op, uint64_t workers)
{
	if (closed) { /* the server stops: what is not stored by now is not acknowledged either */
		op->free(op);
		return;
	}
	op->targets = workers;
	writer_submit(im.writer, op);
}
