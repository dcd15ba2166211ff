/*
 * The inbox: a scan of the rows of CURSOR, each completed from the log of its conversation. Questions on any worker in the caller's transaction; changes on the
 * writer thread, told after their commit.
 */
#include "server/im/inbox.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "storage/tab_chat.h"
#include "storage/tab_notify.h"
#include <stdlib.h>

/* ---- one dialog ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void fill(struct txn *t, uint32_t account, uint64_t conv, const struct cursor_rec *c, struct dialog *d)
{
	struct conv_counts n;
	uint32_t max = (uint32_t)limits()->unread_max;
	enum conv_kind kind = conv_kind(conv);

	*d = (struct dialog){
		.conv = conv, .delivered_seq = c->delivered, .flags = c->flags, .floor = conv_floor(t, conv, account)
	};
	if (kind == CONV_CHAT)
		d->chat = conv_chat_number(conv);
	if (kind == CONV_PRIVATE)
		d->peer = conv_peer(conv, account);
	conv_count(t, conv, account, c->read, d->floor, kind == CONV_NOTIFY ? 0 : max, &n);
	d->last_seq = n.last_seq;
	d->last_gid = n.last_gid;
	d->newest_gid = later(n.newest_gid, c->changed);
	d->read_seq = later(c->read, n.own_seq);
	d->unread = n.unread;
	d->mentions = n.mentions;
	d->first_unread_gid = n.first_unread_gid;
	if (kind == CONV_NOTIFY)
		d->unread = notify_unread_count(t, account, max, &d->first_unread_gid);
	if ((d->flags & DIALOG_HIDDEN) && d->last_seq > c->hidden_at)
		d->flags &= ~DIALOG_HIDDEN;
}

/* What only a dialog that is shown needs. */
static void complete(struct txn *t, struct dialog *d)
{
	struct message_rec m;

	d->read_gid = d->read_seq ? conv_gid_at(t, d->conv, d->read_seq) : 0;
	if (d->last_gid && message_get(t, d->last_gid, &m) == 0)
		d->last_ms = m.wall_us / 1000;
}

int inbox_get(struct txn *t, uint32_t account, uint64_t conv, struct dialog *out)
{
	struct cursor_rec c;
	int err = cursor_load(t, account, conv, &c);

	if (err)
		return err;
	fill(t, account, conv, &c, out);
	complete(t, out);
	return 0;
}

/* ---- all of them ---- */

struct gathering {
	struct txn *t;
	const struct inbox_query *q;
	struct dialog *v;
	size_t n, room;
};

static bool wanted(const struct inbox_query *q, const struct dialog *d)
{
	if ((d->flags & DIALOG_HIDDEN) && !q->include_hidden)
		return false;
	if (q->unread_only && !d->unread && !(d->flags & DIALOG_MARKED))
		return false;
	if ((q->skip_chats && d->chat) || (q->skip_private && d->peer))
		return false;
	return !q->since_gid || d->newest_gid > q->since_gid;
}

static bool gather(void *ctx, uint64_t conv, const struct cursor_rec *c)
{
	struct gathering *g = ctx;

	if (g->n == g->room) {
		g->room = g->room ? 2 * g->room : 64;
		g->v = mem_realloc(g->v, g->room * sizeof *g->v);
	}
	fill(g->t, g->q->account, conv, c, &g->v[g->n]);
	g->n += wanted(g->q, &g->v[g->n]);
	return true;
}

/* Pinned ones first, then by the newest entry; conversations without one stand last. */
static int by_place(const void *a, const void *b)
{
	const struct dialog *x = a, *y = b;
	bool px = x->flags & DIALOG_PINNED, py = y->flags & DIALOG_PINNED;

	if (px != py)
		return px ? -1 : 1;
	if (x->last_gid != y->last_gid)
		return x->last_gid > y->last_gid ? -1 : 1;
	return x->conv < y->conv ? -1 : x->conv > y->conv;
}

static bool is_behind(const struct inbox_query *q, const struct dialog *d)
{
	struct dialog at = { .conv = q->after_conv,
			     .last_gid = q->after_gid,
			     .flags = q->after_pinned ? DIALOG_PINNED : 0 };

	return !q->after || by_place(&at, d) < 0;
}

int inbox_read(struct txn *t, const struct inbox_query *q, inbox_fn *fn, void *ctx)
{
	struct gathering g = { .t = t, .q = q };
	size_t given = 0;

	cursor_each(t, q->account, gather, &g);
	if (g.n)
		qsort(g.v, g.n, sizeof *g.v, by_place);
	for (size_t i = 0; i < g.n && given < q->max; i++) {
		if (!is_behind(q, &g.v[i]))
			continue;
		complete(t, &g.v[i]);
		fn(ctx, &g.v[i]);
		given++;
	}
	mem_free(g.v);
	return txn_error(t);
}

struct totalling {
	struct txn *t;
	uint32_t account;
	struct inbox_totals *out;
};

static bool total(void *ctx, uint64_t conv, const struct cursor_rec *c)
{
	struct totalling *s = ctx;
	struct dialog d;

	fill(s->t, s->account, conv, c, &d);
	if (d.flags & DIALOG_MUTED)
		return true;
	s->out->unread += d.unread;
	s->out->mentions += d.mentions;
	s->out->dialogs_unread += d.unread || (d.flags & DIALOG_MARKED);
	switch (conv_kind(conv)) {
	case CONV_CHAT: s->out->chats += d.unread; break;
	case CONV_NOTIFY: s->out->notify += d.unread; break;
	case CONV_PRIVATE: s->out->privates += d.unread; break;
	}
	return true;
}

int inbox_totals(struct txn *t, uint32_t account, struct inbox_totals *out)
{
	struct totalling s = { t, account, out };

	*out = (struct inbox_totals){ 0 };
	cursor_each(t, account, total, &s);
	return txn_error(t);
}

/* ---- who has read ---- */

struct reading {
	struct txn *t;
	uint64_t conv, seq;
	uint32_t *out;
	size_t n, max;
};

static void add_reader(struct reading *r, uint32_t account)
{
	struct conv_counts n;
	uint64_t read = cursor_get(r->t, account, r->conv);

	if (read < r->seq) { /* perhaps he spoke after it */
		conv_count(r->t, r->conv, account, r->seq - 1, 0, UINT32_MAX, &n);
		read = n.own_seq;
	}
	if (read >= r->seq && r->n < r->max)
		r->out[r->n++] = account;
}

static bool member_read(void *ctx, const struct chat_member_rec *m)
{
	struct reading *r = ctx;

	if (m->role >= CHAT_MEMBER)
		add_reader(r, m->account);
	return r->n < r->max;
}

size_t inbox_readers(struct txn *t, uint64_t conv, uint64_t seq, uint32_t *out, size_t max)
{
	struct reading r = { t, conv, seq, out, 0, max };
	uint32_t a = (uint32_t)(conv >> 32), b = (uint32_t)conv;

	switch (conv_kind(conv)) {
	case CONV_CHAT: chat_member_each(t, conv_chat_number(conv), member_read, &r); break;
	case CONV_NOTIFY: add_reader(&r, b); break;
	case CONV_PRIVATE:
		add_reader(&r, a);
		if (a != b)
			add_reader(&r, b);
		break;
	}
	return r.n;
}

/* ---- changes ---- */

struct inbox_op {
	struct write_op op;
	int (*change)(struct txn *t, struct inbox_op *o);
	uint32_t account;
	uint64_t conv, seq;
	unsigned set, clear;
	enum event_kind tells;
	inbox_done_fn *done;
	void *ctx;
	uint64_t *convs; /* result of reading all: which moved */
	size_t n_convs;
};

static int apply_change(struct txn *t, struct write_op *op)
{
	struct inbox_op *o = (struct inbox_op *)op;
	int err = o->change(t, o);

	return err ? err : txn_error(t);
}

static void changed(struct write_op *op, int err, unsigned worker)
{
	struct inbox_op *o = (struct inbox_op *)op;
	struct event e = {
		.kind = o->tells, .conv = o->conv, .seq = o->seq, .account = o->account, .author = o->account
	};

	(void)worker;
	if (!err && o->conv)
		event_post(&e);
	for (size_t i = 0; !err && i < o->n_convs; i++) {
		e.conv = o->convs[i];
		event_post(&e);
	}
	o->done(o->ctx, err);
}

static void change_free(struct write_op *op)
{
	mem_free(((struct inbox_op *)op)->convs);
	mem_free(op);
}

static void submit(const struct inbox_op *from)
{
	struct inbox_op *o = mem_dup(from, sizeof *from);

	o->op = (struct write_op){ .apply = apply_change, .done = changed, .free = change_free };
	im_write(&o->op);
}

struct pins {
	size_t n;
	uint64_t except;
};

static bool count_pin(void *ctx, uint64_t conv, const struct cursor_rec *c)
{
	struct pins *p = ctx;

	p->n += conv != p->except && (c->flags & DIALOG_PINNED);
	return true;
}

static int set_flags(struct txn *t, struct inbox_op *o)
{
	struct cursor_rec c;
	struct dialog d;
	struct pins pins = { 0, o->conv };
	int err = cursor_load(t, o->account, o->conv, &c);

	if (err)
		return err;
	if (o->set & DIALOG_PINNED)
		cursor_each(t, o->account, count_pin, &pins);
	if (pins.n >= limits()->pinned)
		return ERR_LIMIT;
	fill(t, o->account, o->conv, &c, &d);
	c.flags = (c.flags & ~o->clear) | o->set;
	if (o->set & DIALOG_HIDDEN)
		c.hidden_at = d.last_seq;
	c.changed = message_last_gid(t);
	cursor_put(t, o->account, o->conv, &c);
	return 0;
}

void inbox_set(uint32_t account, uint64_t conv, unsigned set, unsigned clear, inbox_done_fn *done, void *ctx)
{
	submit(&(struct inbox_op){ .change = set_flags,
				   .account = account,
				   .conv = conv,
				   .set = set,
				   .clear = clear,
				   .tells = EVENT_DIALOG,
				   .done = done,
				   .ctx = ctx });
}

bool inbox_apply_read(struct txn *t, uint32_t account, uint64_t conv, uint64_t seq)
{
	struct cursor_rec c;
	uint64_t last = conv_last_seq(t, conv);
	bool moved = false;

	if (seq > last)
		seq = last;
	if (cursor_load(t, account, conv, &c))
		return false;
	if (conv_kind(conv) == CONV_NOTIFY)
		moved = notify_set_read_to(t, account, conv_gid_at(t, conv, seq)) > 0;
	if (seq <= c.read && !(c.flags & DIALOG_MARKED) && !moved)
		return false;
	if (seq > c.read)
		c.read = seq;
	c.flags &= ~DIALOG_MARKED;
	c.changed = message_last_gid(t);
	cursor_put(t, account, conv, &c);
	return true;
}

static int read_to(struct txn *t, struct inbox_op *o)
{
	struct cursor_rec c;
	int err = cursor_load(t, o->account, o->conv, &c);

	if (!err)
		inbox_apply_read(t, o->account, o->conv, o->seq);
	return err;
}

static int unread_from(struct txn *t, struct inbox_op *o)
{
	struct cursor_rec c;
	int err = cursor_load(t, o->account, o->conv, &c);

	if (err)
		return err;
	if (o->seq && o->seq <= c.read)
		c.read = o->seq - 1;
	c.flags |= DIALOG_MARKED;
	c.changed = message_last_gid(t);
	cursor_put(t, o->account, o->conv, &c);
	return 0;
}

void inbox_read_to(uint32_t account, uint64_t conv, uint64_t seq, bool backwards, inbox_done_fn *done, void *ctx)
{
	submit(&(struct inbox_op){ .change = backwards ? unread_from : read_to,
				   .account = account,
				   .conv = conv,
				   .seq = seq,
				   .tells = EVENT_READ,
				   .done = done,
				   .ctx = ctx });
}

static bool gather_conv(void *ctx, uint64_t conv, const struct cursor_rec *c)
{
	struct inbox_op *o = ctx;

	(void)c;
	o->convs = mem_realloc(o->convs, (o->n_convs + 1) * sizeof *o->convs);
	o->convs[o->n_convs++] = conv;
	return true;
}

static int read_all(struct txn *t, struct inbox_op *o)
{
	size_t moved = 0;

	o->n_convs = 0; /* apply may run twice */
	cursor_each(t, o->account, gather_conv, o);
	for (size_t i = 0; i < o->n_convs; i++)
		if (inbox_apply_read(t, o->account, o->convs[i], UINT64_MAX))
			o->convs[moved++] = o->convs[i];
	o->n_convs = moved;
	return 0;
}

void inbox_read_all(uint32_t account, inbox_done_fn *done, void *ctx)
{
	submit(&(struct inbox_op){
		.change = read_all, .account = account, .tells = EVENT_READ, .done = done, .ctx = ctx });
}
