/*
 * Up to where a person's sessions have got each chat (docs/web-and-chats.md): in memory per loaded user, written lazily. After a crash a message may come twice
 * with its stanza-id, never not at all. Home thread of the user.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/chat_room.h"
#include "server/im/conv.h"
#include "server/im/im.h"

struct delivered {
	uint64_t seq, written;
};

/* Cursors on their way to the store (as in inflight.c): who comes back before the commit starts from there, not from the older one in the table. */
static _Thread_local struct idmap *in_writing;

/* Account ids have 30 bits (docs/web-and-chats.md). */
static uint64_t writing_key(uint32_t account, uint64_t number)
{
	return (uint64_t)account << 34 | number;
}

void room_delivered_thread_end(void)
{
	idmap_free(in_writing);
	in_writing = NULL;
}

static void free_all(struct user *u)
{
	size_t pos = 0;
	uint64_t number;
	void *v;

	while (u->chats && idmap_next(u->chats, &pos, &number, &v))
		mem_free(v);
	idmap_free(u->chats);
	u->chats = NULL;
}

void room_confirmed(struct user *u, uint64_t number, uint64_t seq)
{
	if (!u->chats)
		u->chats = idmap_new();
	struct delivered *d = idmap_get(u->chats, number);
	if (!d) {
		d = NEW(struct delivered);
		idmap_put(u->chats, number, d);
	}
	if (seq > d->seq)
		d->seq = seq;
}

uint64_t room_delivered(struct user *u, struct txn *t, uint64_t number)
{
	struct delivered *d = u->chats ? idmap_get(u->chats, number) : NULL;
	struct cursor_rec c;

	cursor_load(t, u->id, conv_chat(number), &c);
	uint64_t newest = in_writing ? (uintptr_t)idmap_get(in_writing, writing_key(u->id, number)) : 0;
	if (c.delivered > newest)
		newest = c.delivered;
	return d && d->seq > newest ? d->seq : newest;
}

/* ---- writing ---- */

struct delivered_op {
	struct write_op op;
	uint32_t account;
	size_t n;
	struct {
		uint64_t number, seq;
	} v[];
};

/* Forward only, and only while the person is in the chat: the row goes when he leaves. */
static int apply_delivered(struct txn *t, struct write_op *op)
{
	struct delivered_op *d = (struct delivered_op *)op;

	for (size_t i = 0; i < d->n; i++) {
		struct cursor_rec c;
		uint64_t conv = conv_chat(d->v[i].number);
		if (cursor_load(t, d->account, conv, &c) || c.delivered >= d->v[i].seq)
			continue;
		c.delivered = d->v[i].seq;
		cursor_put(t, d->account, conv, &c);
	}
	return txn_error(t);
}

static void delivered_done(struct write_op *op, int err, unsigned worker)
{
	struct delivered_op *d = (struct delivered_op *)op;

	(void)worker;
	if (err)
		return; /* remembered here (row D06); lost with the process it means messages that come twice */
	for (size_t i = 0; i < d->n; i++) {
		uint64_t key = writing_key(d->account, d->v[i].number);
		if ((uintptr_t)idmap_get(in_writing, key) == d->v[i].seq)
			idmap_del(in_writing, key);
	}
}

static void delivered_free(struct write_op *op)
{
	mem_free(op);
}

static struct delivered_op *op_new(const struct user *u, size_t max)
{
	struct delivered_op *op = mem_zero(sizeof *op + max * sizeof op->v[0]);

	op->op = (struct write_op){ .apply = apply_delivered, .done = delivered_done, .free = delivered_free };
	op->account = u->id;
	return op;
}

static void take(struct delivered_op *op, uint64_t number, struct delivered *d)
{
	if (d->seq <= d->written)
		return;
	op->v[op->n].number = number;
	op->v[op->n++].seq = d->written = d->seq;
	if (!in_writing)
		in_writing = idmap_new();
	idmap_put(in_writing, writing_key(op->account, number), (void *)(uintptr_t)d->seq);
}

static void submit(struct delivered_op *op)
{
	if (op->n)
		im_write(&op->op);
	else
		mem_free(op);
}

void room_delivered_write(struct user *u, uint64_t number)
{
	struct delivered *d = u->chats ? idmap_get(u->chats, number) : NULL;

	if (!d || d->seq <= d->written)
		return;
	struct delivered_op *op = op_new(u, 1);
	take(op, number, d);
	submit(op);
}

void room_delivered_write_all(struct user *u)
{
	size_t pos = 0;
	uint64_t number;
	void *v;

	if (!u->chats)
		return;
	struct delivered_op *op = op_new(u, idmap_count(u->chats));
	while (idmap_next(u->chats, &pos, &number, &v))
		take(op, number, v);
	submit(op);
}

void room_delivered_forget(struct user *u)
{
	room_delivered_write_all(u);
	free_all(u);
}

static void flush_one(struct session *s, void *ctx)
{
	(void)ctx;
	room_delivered_write_all(s->user);
}

void room_flush(void)
{
	session_each(flush_one, NULL);
}
