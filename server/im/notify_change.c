/* Changes of notifications after they were added: deleting, pressing a button, answering, reading, channels. Asker's worker; apply() on the writer thread. */
#include "base/clock.h"
#include "base/mem.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/notify_op.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"

static notify_webhook_fn *webhook;

void notify_set_webhook(notify_webhook_fn *fn)
{
	webhook = fn;
}

static void tell(uint32_t account, uint64_t gid, bool gone)
{
	event_post(&(struct event){ .kind = EVENT_NOTIFY,
				    .conv = conv_notify(account),
				    .gid = gid,
				    .account = account,
				    .author = account,
				    .gone = gone });
}

/* ---- deleting ---- */

enum { HITS_MAX = 1000 }; /* of one operation; the rest in the next */
enum what { DELETE_ONE, DELETE_TAG, DELETE_SUB_TAG, DELETE_MODULE, DELETE_EXPIRED };

struct hit {
	uint32_t account;
	uint64_t gid;
};
struct delete_op {
	struct write_op op;
	struct arena *a;
	enum what what;
	uint32_t account, author;
	struct str value, event, domain; /* domain empty: any */
	uint64_t gid, before;		 /* before: how many went in earlier operations */
	struct chunk *tombstone;
	notify_done_fn *done;
	void *ctx;
	struct hit *hits; /* results of apply */
	size_t n_hits, n_deleted;
};

static bool collect(void *ctx, uint32_t account, uint64_t gid)
{
	struct delete_op *d = ctx;

	d->hits[d->n_hits++] = (struct hit){ account, gid };
	return d->n_hits < HITS_MAX;
}

static void find(struct txn *t, struct delete_op *d)
{
	d->n_hits = 0;
	switch (d->what) {
	case DELETE_ONE: collect(d, d->account, d->gid); break;
	case DELETE_TAG: notify_hits_tag(t, d->value, d->account, collect, d); break;
	case DELETE_SUB_TAG: notify_hits_sub_tag(t, d->value, d->account, collect, d); break;
	case DELETE_MODULE: notify_hits_module(t, d->value, d->event, d->account, collect, d); break;
	case DELETE_EXPIRED: notify_hits_expired(t, clock_wall_ms(), collect, d); break;
	}
}

/* Only of the principal's domain, and of the author when one is named. */
static bool fits(struct txn *t, const struct delete_op *d, const struct hit *h)
{
	struct notify_rec r;
	struct account_rec a;

	if (notify_rec_get(t, h->account, h->gid, &r) || (d->author && r.from != d->author))
		return false;
	return !d->domain.n || (account_get_by_id(t, h->account, &a) == 0 && str_eq(a.domain, d->domain));
}

static int apply_delete(struct txn *t, struct write_op *op)
{
	struct delete_op *d = (struct delete_op *)op;

	find(t, d);
	d->n_deleted = 0;
	for (size_t i = 0; i < d->n_hits; i++) {
		struct hit h = d->hits[i];
		if (!fits(t, d, &h))
			continue;
		notify_rec_del(t, h.account, h.gid);
		if (d->what != DELETE_EXPIRED)
			message_retract(t, h.gid, 0, chunk_str(d->tombstone));
		d->hits[d->n_deleted++] = h;
	}
	if (d->what == DELETE_ONE && !d->n_deleted)
		return ERR_NOT_FOUND;
	return txn_error(t);
}

static void delete_free(struct write_op *op)
{
	struct delete_op *d = (struct delete_op *)op;

	chunk_unref(d->tombstone);
	mem_free(d->hits);
	arena_free(d->a);
}

static void delete_submit(const struct delete_op *from);

static void deleted(struct write_op *op, int err, unsigned worker)
{
	struct delete_op *d = (struct delete_op *)op;

	(void)worker;
	for (size_t i = 0; !err && i < d->n_deleted; i++)
		tell(d->hits[i].account, d->hits[i].gid, true);
	d->before += err ? 0 : d->n_deleted;
	if (!err && d->n_hits == HITS_MAX && d->n_deleted)
		delete_submit(d); /* what did not fit stays, so no hit at all ends it */
	else if (d->done)
		d->done(d->ctx, err, d->before);
}

static void delete_submit(const struct delete_op *from)
{
	struct arena *a = arena_new(2048);
	struct delete_op *d = ARENA_NEW(a, struct delete_op);

	*d = *from;
	d->a = a;
	d->op = (struct write_op){ .apply = apply_delete, .done = deleted, .free = delete_free };
	d->value = arena_str(a, from->value);
	d->event = arena_str(a, from->event);
	d->domain = arena_str(a, from->domain);
	d->tombstone = content_codec.print(&(struct content){ .retracted = true }, STR(""));
	d->hits = mem_alloc(HITS_MAX * sizeof *d->hits);
	if (threads_self() < 0)
		im_write_to(&d->op, 1);
	else
		im_write(&d->op);
}

bool notify_may_change(const struct principal *by, uint32_t account)
{
	return principal_has(by, SCOPE_SYSTEM) || (account && by->kind == PRINCIPAL_USER && by->account == account);
}

void notify_delete(const struct principal *by, uint32_t account, uint64_t gid, notify_done_fn *done, void *ctx)
{
	if (!account || !notify_may_change(by, account)) {
		done(ctx, ERR_FORBIDDEN, 0);
		return;
	}
	delete_submit(&(struct delete_op){
		.what = DELETE_ONE, .account = account, .gid = gid, .domain = by->domain, .done = done, .ctx = ctx });
}

void notify_delete_by(const struct principal *by, uint32_t account, uint32_t author, enum notify_key key,
		      struct str value, struct str event, notify_done_fn *done, void *ctx)
{
	static const enum what whats[] = {
		[NOTIFY_BY_TAG] = DELETE_TAG, [NOTIFY_BY_SUB_TAG] = DELETE_SUB_TAG, [NOTIFY_BY_MODULE] = DELETE_MODULE
	};
	int err = !value.n || value.n > NOTIFY_KEY_BYTES || event.n > NOTIFY_KEY_BYTES ? ERR_SYNTAX
		  : notify_may_change(by, account)				       ? 0
										       : ERR_FORBIDDEN;

	if (err) {
		done(ctx, err, 0);
		return;
	}
	delete_submit(&(struct delete_op){ .what = whats[key],
					   .account = account,
					   .author = author,
					   .value = value,
					   .event = event,
					   .domain = by->domain,
					   .done = done,
					   .ctx = ctx });
}

void notify_sweep(void)
{
	delete_submit(&(struct delete_op){ .what = DELETE_EXPIRED });
}

/* ---- buttons, answers, reading, channels: one record each ---- */

struct change_op {
	struct write_op op;
	struct arena *a;
	int (*change)(struct txn *t, struct change_op *c);
	uint32_t account;
	uint64_t gid;
	struct str value, module, event;
	bool on, and_older;
	enum notify_channel channel;
	const char *hook; /* web hook event, NULL: none */
	notify_done_fn *done;
	void *ctx;
	struct notify_rec rec; /* result: as it is now, for the hook */
};

static int apply_change(struct txn *t, struct write_op *op)
{
	struct change_op *c = (struct change_op *)op;
	int err = c->change(t, c);

	return err ? err : txn_error(t);
}

static void changed(struct write_op *op, int err, unsigned worker)
{
	struct change_op *c = (struct change_op *)op;

	(void)worker;
	if (!err)
		tell(c->account, c->gid, false);
	if (!err && c->hook && c->rec.webhook.n && webhook)
		webhook(&c->rec, c->hook, c->value);
	c->done(c->ctx, err, c->gid);
}

static void change_free(struct write_op *op)
{
	arena_free(((struct change_op *)op)->a);
}

static void change_submit(const struct change_op *from, notify_done_fn *done, void *ctx)
{
	struct arena *a = arena_new(1024);
	struct change_op *c = ARENA_NEW(a, struct change_op);

	*c = *from;
	c->a = a;
	c->op = (struct write_op){ .apply = apply_change, .done = changed, .free = change_free };
	c->value = arena_str(a, from->value);
	c->module = arena_str(a, from->module);
	c->event = arena_str(a, from->event);
	c->done = done;
	c->ctx = ctx;
	im_write(&c->op);
}

static bool has_button(const struct notify_rec *r, struct str value)
{
	for (size_t i = 0; i < r->n_buttons; i++)
		if (str_eq(r->buttons[i].value, value))
			return true;
	return false;
}

static int close_rec(struct txn *t, struct change_op *c)
{
	c->rec.result = c->value;
	c->rec.flags |= NOTIFY_DONE | NOTIFY_READ;
	notify_rec_put(t, &c->rec);
	return 0;
}

/* An open one of the person, copied: it outlives the transaction. */
static int get_open(struct txn *t, struct change_op *c)
{
	int err = notify_get(t, c->account, c->gid, &c->rec);

	if (err)
		return err;
	notify_rec_copy(c->a, &c->rec);
	return c->rec.flags & NOTIFY_DONE ? ERR_CONFLICT : 0;
}

static int confirm(struct txn *t, struct change_op *c)
{
	int err = get_open(t, c);

	if (!err && !has_button(&c->rec, c->value))
		err = ERR_SYNTAX;
	return err ? err : close_rec(t, c);
}

static int answer(struct txn *t, struct change_op *c)
{
	int err = get_open(t, c);

	if (!err && !(c->rec.flags & NOTIFY_ANSWER))
		err = ERR_SYNTAX;
	return err ? err : close_rec(t, c);
}

void notify_confirm(uint32_t account, uint64_t gid, struct str value, notify_done_fn *done, void *ctx)
{
	change_submit(
		&(struct change_op){
			.change = confirm, .account = account, .gid = gid, .value = value, .hook = "confirm" },
		done, ctx);
}

void notify_answer(uint32_t account, uint64_t gid, struct str text, notify_done_fn *done, void *ctx)
{
	if (!text.n || text.n > limits()->notify_bytes || !str_xml_valid(text)) {
		done(ctx, ERR_SYNTAX, 0);
		return;
	}
	change_submit(
		&(struct change_op){
			.change = answer, .account = account, .gid = gid, .value = text, .hook = "answer" },
		done, ctx);
}

struct unreading {
	struct txn *t;
	uint64_t *gids;
	size_t n, max;
};

static bool unread_one(void *ctx, const struct notify_rec *r)
{
	struct unreading *u = ctx;

	if (!(r->flags & NOTIFY_UNCOUNTED))
		u->gids[u->n++] = r->gid;
	return u->n < u->max;
}

static void unread_to(struct txn *t, uint32_t account, uint64_t gid)
{
	struct unreading u = { .t = t, .max = limits()->notify_kept };

	u.gids = mem_alloc(u.max * sizeof *u.gids);
	notify_rec_each(t, account, gid == UINT64_MAX ? 0 : gid + 1, unread_one, &u);
	for (size_t i = 0; i < u.n; i++)
		notify_set_read(t, account, u.gids[i], false);
	mem_free(u.gids);
}

static int mark(struct txn *t, struct change_op *c)
{
	uint64_t to = c->gid ? c->gid : UINT64_MAX;
	struct notify_rec r;

	if (c->and_older || !c->gid) {
		if (c->on)
			notify_set_read_to(t, c->account, to);
		else
			unread_to(t, c->account, to);
		return 0;
	}
	int err = notify_get(t, c->account, c->gid, &r);
	if (!err && !(r.flags & NOTIFY_UNCOUNTED))
		notify_set_read(t, c->account, c->gid, c->on);
	return err;
}

void notify_mark(uint32_t account, uint64_t gid, bool read, bool and_older, notify_done_fn *done, void *ctx)
{
	change_submit(
		&(struct change_op){
			.change = mark, .account = account, .gid = gid, .on = read, .and_older = and_older },
		done, ctx);
}

static int set_wants(struct txn *t, struct change_op *c)
{
	unsigned known, on, bit = 1u << c->channel;

	notify_channels_get(t, c->account, c->module, c->event, &known, &on);
	notify_channels_set(t, c->account, c->module, c->event, known | bit, c->on ? on | bit : on & ~bit);
	return 0;
}

void notify_set_wants(uint32_t account, struct str module, struct str event, enum notify_channel c, bool on,
		      notify_done_fn *done, void *ctx)
{
	if (module.n > NOTIFY_KEY_BYTES || event.n > NOTIFY_KEY_BYTES || !str_xml_valid(module) ||
	    !str_xml_valid(event) || c >= NOTIFY_CHANNELS || (event.n && !module.n)) {
		done(ctx, ERR_SYNTAX, 0);
		return;
	}
	change_submit(&(struct change_op){ .change = set_wants,
					   .account = account,
					   .module = module,
					   .event = event,
					   .channel = c,
					   .on = on },
		      done, ctx);
}
