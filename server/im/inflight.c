/*
 * Messages on their way to a loaded user: a queue of numbers in commit order. An entry leaves at the front once confirmed; what is in front of the
 * queue is delivered, so the cursor is the number before the first entry.
 */
#include "server/im/inflight.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "storage/tab_account.h"
#include "storage/tab_message.h"
#include <string.h>

#define WRITE_DELAY_MS 200 /* what a crash makes come twice */

struct entry {
	uint64_t gid;
	uint16_t holders;
	bool confirmed;
};
struct inflight {
	struct entry *v; /* v[first .. n) are live, ascending gid */
	size_t first, n, cap;
	uint64_t cursor;  /* everything up to here is delivered */
	uint64_t written; /* what the table holds */
};

/* Cursors on their way to the store: a user who comes back before the commit starts from there, not from the older one in the table. */
static _Thread_local struct idmap *in_writing;

static void push(struct inflight *f, uint64_t gid)
{
	if (f->n == f->cap && f->first > f->cap / 2) {
		memmove(f->v, f->v + f->first, (f->n - f->first) * sizeof *f->v);
		f->n -= f->first;
		f->first = 0;
	} else if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 8;
		f->v = mem_realloc(f->v, f->cap * sizeof *f->v);
	}
	f->v[f->n++] = (struct entry){ .gid = gid };
}

static struct entry *find(struct inflight *f, uint64_t gid)
{
	size_t lo = f->first, hi = f->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (f->v[mid].gid < gid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < f->n && f->v[lo].gid == gid ? &f->v[lo] : NULL;
}

/* What lies behind the cursor, newest first, at most the limit: older ones stay in the archive only (limit offline_flush). */
static void read_behind_cursor(struct user *u, struct inflight *f, struct txn *t)
{
	struct log_scan ls;
	struct log_entry e;
	size_t max = limits()->offline_flush;

	log_scan_open(&ls, t, u->id, 0, UINT64_MAX, true);
	while (f->n < max && log_scan_next(&ls, &e) && e.gid > f->cursor)
		if ((e.flags & MESSAGE_INCOMING) && !(e.flags & MESSAGE_RETRACTED))
			push(f, e.gid);
	log_scan_close(&ls);
	for (size_t i = 0; i < f->n / 2; i++) { /* to ascending order */
		struct entry swap = f->v[i];
		f->v[i] = f->v[f->n - 1 - i];
		f->v[f->n - 1 - i] = swap;
	}
}

void inflight_load(struct user *u)
{
	struct inflight *f = NEW(struct inflight);
	struct txn *t = im_read();

	f->cursor = f->written = account_get_delivered(t, u->id);
	uint64_t newer = in_writing ? (uintptr_t)idmap_get(in_writing, u->id) : 0;
	if (newer > f->cursor)
		f->cursor = newer;
	read_behind_cursor(u, f, t);
	txn_commit(t);
	u->inflight = f;
}

struct cursor_op {
	struct write_op op;
	uint32_t account;
	uint64_t gid;
};

static int apply_cursor(struct txn *t, struct write_op *op)
{
	struct cursor_op *c = (struct cursor_op *)op;

	account_set_delivered(t, c->account, c->gid);
	return txn_error(t);
}

static void cursor_done(struct write_op *op, int err, unsigned worker)
{
	struct cursor_op *c = (struct cursor_op *)op;

	(void)worker;
	if (err)
		return; /* remembered, and written with the next one (row D06); lost with the process it means a message that comes twice */
	if ((uintptr_t)idmap_get(in_writing, c->account) == c->gid)
		idmap_del(in_writing, c->account);
}

static void cursor_free(struct write_op *op)
{
	mem_free(op);
}

static void write_cursor(struct user *u)
{
	struct inflight *f = u->inflight;

	if (f->cursor == f->written)
		return;
	struct cursor_op *c = NEW(struct cursor_op);
	c->op = (struct write_op){ .apply = apply_cursor, .done = cursor_done, .free = cursor_free };
	c->account = u->id;
	c->gid = f->written = f->cursor;
	if (!in_writing)
		in_writing = idmap_new();
	idmap_put(in_writing, u->id, (void *)(uintptr_t)c->gid);
	im_write(&c->op);
}

static void write_dirty(struct timer *timer)
{
	struct home *h = list_entry(timer, struct home, dirty_timer);

	while (!list_empty(&h->dirty)) {
		struct user *u = list_entry(h->dirty.next, struct user, link_dirty);
		list_del(&u->link_dirty);
		write_cursor(u);
	}
}

void inflight_flush(void)
{
	write_dirty(&home()->dirty_timer);
}

static void advance(struct user *u)
{
	struct inflight *f = u->inflight;
	struct home *h = home();
	uint64_t before = f->cursor;

	while (f->first < f->n && f->v[f->first].confirmed)
		f->cursor = f->v[f->first++].gid;
	if (f->cursor == before)
		return;
	if (f->first == f->n)
		f->first = f->n = 0;
	if (!list_empty(&u->link_dirty))
		return;
	if (list_empty(&h->dirty)) {
		h->dirty_timer.fire = write_dirty;
		loop_timer(loop_self(), &h->dirty_timer, WRITE_DELAY_MS);
	}
	list_add(&h->dirty, &u->link_dirty);
}

void inflight_thread_end(void)
{
	idmap_free(in_writing);
	in_writing = NULL;
}

void inflight_unload(struct user *u)
{
	write_cursor(u);
	mem_free(u->inflight->v);
	mem_free(u->inflight);
	u->inflight = NULL;
}

bool inflight_add(struct user *u, uint64_t gid)
{
	struct inflight *f = u->inflight;

	/* A message committed before the user was loaded, but completed after: the load has seen it already. */
	if (gid <= f->cursor || (f->n > f->first && f->v[f->n - 1].gid >= gid))
		return false;
	push(f, gid);
	return true;
}

void inflight_hold(struct user *u, uint64_t gid)
{
	struct entry *e = find(u->inflight, gid);

	if (e && e->holders < UINT16_MAX)
		e->holders++;
}

void inflight_confirm(struct user *u, uint64_t gid)
{
	struct entry *e = find(u->inflight, gid);

	if (!e)
		return;
	if (e->holders)
		e->holders--;
	e->confirmed = true;
	advance(u);
}

void inflight_drop(struct user *u, uint64_t gid)
{
	struct entry *e = find(u->inflight, gid);

	if (e && e->holders)
		e->holders--;
}

size_t inflight_waiting(const struct user *u, uint64_t *out_gids, size_t max)
{
	const struct inflight *f = u->inflight;
	size_t n = 0;

	for (size_t i = f->first; i < f->n && n < max; i++)
		if (!f->v[i].confirmed && !f->v[i].holders)
			out_gids[n++] = f->v[i].gid;
	return n;
}

uint64_t inflight_cursor(const struct user *u)
{
	return u->inflight->cursor;
}
