/* The way of every change of a chat: checked and put on the writer thread, then told on every worker in commit order. See chat_op.h. */
#include "server/im/chat_op.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/im/conv.h"
#include "server/net/loop.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "storage/tab_sm.h"

struct principal chat_principal_copy(struct arena *a, const struct principal *p)
{
	struct principal c = *p;

	c.domain = arena_str(a, p->domain);
	c.name = arena_str(a, p->name);
	return c;
}

static void forget_effects(struct chat_op *o)
{
	for (struct chat_effect *e = o->effects; e; e = e->next)
		chunk_unref(e->message.payload);
	o->effects = NULL;
	o->last_effect = &o->effects;
	o->gid = 0;
}

static int apply(struct txn *t, struct write_op *op)
{
	struct chat_op *o = (struct chat_op *)op;

	forget_effects(o); /* apply may run twice */
	int err = o->run(t, o);
	if (err)
		return err;
	if (o->sm.id[0])
		sm_put_counters(t, str_of(o->sm.id, SM_ID_LEN), &o->sm.counters);
	return txn_error(t);
}

struct chat_effect *chat_did(struct chat_op *o, enum chat_effect_kind kind)
{
	struct chat_effect *e = ARENA_NEW(o->a, struct chat_effect);

	e->kind = kind;
	e->number = e->message.number = o->number;
	e->author = o->by.account;
	*o->last_effect = e;
	o->last_effect = &e->next;
	return e;
}

/* ---- after the commit, on every worker ---- */

static void tell(const struct chat_effect *e)
{
	static const enum event_kind kinds[] = {
		[CHAT_DID_MEMBER] = EVENT_MEMBER,
		[CHAT_DID_CHANGE] = EVENT_CHAT,
		[CHAT_DID_END] = EVENT_CHAT,
		[CHAT_DID_MESSAGE] = EVENT_MESSAGE,
		[CHAT_DID_CHANGE_MESSAGE] = EVENT_MESSAGE_CHANGED,
		[CHAT_DID_READ] = EVENT_READ,
	};
	struct event v = {
		.kind = kinds[e->kind],
		.conv = conv_chat(e->number),
		.gid = e->message.gid,
		.seq = e->message.seq,
		.account = e->account,
		.author = e->author,
		.flags = e->message.flags,
		.payload = chunk_str(e->message.payload),
		.gone = e->kind == CHAT_DID_END || (e->kind == CHAT_DID_MEMBER && e->role < CHAT_MEMBER),
	};

	if (e->kind == CHAT_DID_MESSAGE && (!v.gid || (v.flags & (MESSAGE_EDIT | MESSAGE_REACTION))))
		return; /* nothing new that shows */
	event_tell(&v);
}

static void take_effect(const struct chat_effect *e)
{
	switch (e->kind) {
	case CHAT_DID_MEMBER: room_member_changed(e->number, e->account, e->role, e->author, e->reason); break;
	case CHAT_DID_END: room_destroyed(e->number, e->reason); break;
	case CHAT_DID_MESSAGE: room_deliver(&e->message); break;
	case CHAT_DID_CHANGE:
	case CHAT_DID_CHANGE_MESSAGE:
	case CHAT_DID_READ: break;
	}
	tell(e);
}

void chat_op_committed(struct write_op *op, int err, unsigned worker)
{
	struct chat_op *o = (struct chat_op *)op;

	if (!err)
		for (const struct chat_effect *e = o->effects; e; e = e->next)
			take_effect(e);
	if (worker == o->asker)
		o->done(o->ctx, err, err ? 0 : o->number, err ? 0 : o->gid);
}

static void op_free(struct write_op *op)
{
	struct chat_op *o = (struct chat_op *)op;

	forget_effects(o);
	if (o->post)
		chunk_unref(o->post->m.payload);
	if (o->post)
		chunk_unref(o->post->m.tombstone);
	arena_free(o->a);
	mem_free(o);
}

struct chat_op *chat_op_new(const struct principal *by, uint64_t number, chat_run_fn *run, chat_done_fn *done,
			    void *ctx)
{
	struct chat_op *o = NEW(struct chat_op);

	o->op = (struct write_op){ .apply = apply, .done = chat_op_committed, .free = op_free };
	o->a = arena_new(2048);
	o->run = run;
	o->by = chat_principal_copy(o->a, by);
	o->number = number;
	o->done = done;
	o->ctx = ctx;
	o->asker = (unsigned)threads_self();
	o->last_effect = &o->effects;
	return o;
}

void chat_op_submit(struct chat_op *o)
{
	unsigned n = threads_count();

	im_write_to(&o->op, n == WORKERS_MAX ? UINT64_MAX : (1ull << n) - 1);
}

struct refused {
	struct deferred deferred;
	chat_done_fn *done;
	void *ctx;
	int err;
};

static void tell_refused(struct deferred *d)
{
	struct refused *r = list_entry(d, struct refused, deferred);

	r->done(r->ctx, r->err, 0, 0);
	mem_free(r);
}

void chat_op_refuse(struct chat_op *o, int err)
{
	struct refused *r = NEW(struct refused);

	*r = (struct refused){ .done = o->done, .ctx = o->ctx, .err = err };
	r->deferred.run = tell_refused;
	loop_defer(loop_self(), &r->deferred);
	op_free(&o->op);
}

/* ---- rules that all changes share; writer thread ---- */

static bool same_domain(const struct principal *p, struct str domain)
{
	return p->kind == PRINCIPAL_CONTROL || str_eq(p->domain, domain);
}

int chat_enter(struct txn *t, struct chat_op *o)
{
	struct chat_member_rec me;
	int err = chat_rec_get(t, o->number, &o->chat);

	if (err)
		return err;
	if (!same_domain(&o->by, o->chat.domain))
		return ERR_NOT_FOUND;
	bool as_system = o->post && !o->post->author && principal_has(&o->by, SCOPE_SYSTEM);
	if (principal_has(&o->by, SCOPE_CHATS) || as_system) {
		o->rank = CHAT_OWNER;
	} else {
		if (!o->by.account || may_speak_as(&o->by, o->by.account))
			return ERR_FORBIDDEN;
		err = chat_look(t, o->number, o->by.account, &o->chat, &me);
		if (err)
			return err;
		o->rank = me.role;
	}
	chat_rec_copy(o->a, &o->chat);
	return 0;
}

int chat_allows(const struct chat_op *o, enum chat_permission p)
{
	return o->rank >= o->chat.permission[p] ? 0 : ERR_FORBIDDEN;
}

int chat_account_fits(struct txn *t, struct str domain, uint32_t account)
{
	struct account_rec r;
	int err = account_get_by_id(t, account, &r);

	if (err)
		return err;
	return r.disabled || !str_eq(r.domain, domain) ? ERR_NOT_FOUND : 0;
}

void chat_audit(struct txn *t, const struct chat_op *o, const char *action, struct str detail)
{
	if (o->by.kind == PRINCIPAL_USER && !o->by.is_admin)
		return;
	struct audit_rec r = {
		.time_ms = clock_wall_ms(),
		.actor = o->by.name,
		.action = str_c(action),
		.target = arena_printf(o->a, "chat%llu@chats.%.*s", (unsigned long long)o->number,
				       STR_ARG(o->chat.domain)),
		.detail = detail,
	};
	audit_add(t, &r);
}
