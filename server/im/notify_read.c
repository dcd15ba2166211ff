/* Reading notifications and what a person wants of them. Any thread, in the caller's transaction. */
#include "base/clock.h"
#include "server/im/notify_op.h"
#include "server/net/limits.h"

bool notify_expired(const struct notify_rec *r, uint64_t now_ms)
{
	return r->expires_ms && r->expires_ms <= now_ms;
}

int notify_get(struct txn *t, uint32_t account, uint64_t gid, struct notify_rec *out)
{
	int err = notify_rec_get(t, account, gid, out);

	return !err && notify_expired(out, clock_wall_ms()) ? ERR_NOT_FOUND : err;
}

struct walk {
	const struct notify_query *q;
	uint64_t now_ms;
	notify_rec_fn *fn;
	void *ctx;
};

static bool fits_text(struct str wanted, struct str have)
{
	return !wanted.n || str_eq(wanted, have);
}

static bool fits(const struct walk *w, const struct notify_rec *r)
{
	const struct notify_query *q = w->q;

	if (notify_expired(r, w->now_ms))
		return false;
	if (q->type && r->type != q->type)
		return false;
	if (!fits_text(q->module, r->module) || !fits_text(q->event, r->event) || !fits_text(q->tag, r->tag))
		return false;
	if (q->author && r->from != q->author)
		return false;
	if (q->unread_only && (r->flags & NOTIFY_READ))
		return false;
	if ((q->from_ms && r->created_ms < q->from_ms) || (q->to_ms && r->created_ms > q->to_ms))
		return false;
	return !q->words.n || str_has_folded(r->title, q->words) || str_has_folded(r->text, q->words);
}

static bool step(void *ctx, const struct notify_rec *r)
{
	struct walk *w = ctx;

	return !fits(w, r) || w->fn(w->ctx, r);
}

void notify_each(struct txn *t, const struct notify_query *q, bool (*fn)(void *ctx, const struct notify_rec *r),
		 void *ctx)
{
	struct walk w = { q, clock_wall_ms(), fn, ctx };

	notify_rec_each(t, q->account, q->before, step, &w);
}

struct open {
	struct notify_rec *out;
	int err;
};

static bool is_open(void *ctx, const struct notify_rec *r)
{
	struct open *o = ctx;

	if ((r->flags & NOTIFY_DONE) || (!r->n_buttons && !(r->flags & NOTIFY_ANSWER)))
		return true;
	*o->out = *r;
	o->err = 0;
	return false;
}

int notify_newest_open(struct txn *t, uint32_t account, struct notify_rec *out)
{
	struct open o = { out, ERR_NOT_FOUND };

	notify_each(t, &(struct notify_query){ .account = account }, is_open, &o);
	return o.err;
}

uint32_t notify_unread(struct txn *t, uint32_t account)
{
	uint64_t first;

	return notify_unread_count(t, account, (uint32_t)limits()->unread_max, &first);
}

bool notify_wants(struct txn *t, uint32_t account, struct str module, struct str event, enum notify_channel c)
{
	const struct str ways[][2] = { { module, event }, { module, STR("") }, { STR(""), STR("") } };
	unsigned known, on;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		notify_channels_get(t, account, ways[i][0], ways[i][1], &known, &on);
		if (known & 1u << c)
			return (on & 1u << c) != 0;
	}
	return true;
}
