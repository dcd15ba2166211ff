/* Blocking command (XEP-0191): list, block, unblock, pushes to the other resources, and the presence that others see change. Home thread. */
#include "server/im/block.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/net/limits.h"
#include "server/xmpp/request.h"
#include "server/xmpp/session_xmpp.h"
#include "storage/tab_block.h"

struct listing {
	struct arena *a;
	struct node *list;
};

static bool add_item(void *ctx, struct str jid)
{
	struct listing *l = ctx;

	node_set(l->a, node_add(l->a, l->list, A_item, NS_BLOCKING), "jid", arena_str(l->a, jid));
	return true;
}

static void blocklist(struct request *rq)
{
	struct listing l = { .a = rq->a, .list = node_new(rq->a, A_blocklist, NS_BLOCKING) };
	struct txn *t = im_read();

	block_each(t, rq->session->user->id, add_item, &l);
	txn_commit(t);
	if (!rq->session->wants_blocklist) {
		rq->session->wants_blocklist = true;
		sm_state_changed(rq->xs);
	}
	reply_result(rq, l.list);
}

/* What the change did, kept beside the op until it is committed. */
struct change {
	struct write_op op;
	struct write_op *inner;
	struct arena *arena;
	struct node *push;
	bool block;
	struct jid *v;
	size_t n;
	struct jid user;
};

static int apply_change(struct txn *t, struct write_op *op)
{
	struct write_op *inner = ((struct change *)op)->inner;

	return inner->apply(t, inner);
}

static void free_change(struct write_op *op)
{
	struct change *c = (struct change *)op;

	block_op_free(c->inner);
	arena_free(c->arena);
	mem_free(c);
}

/* XEP-0191 3.3 and 3.4: a blocked contact sees one as unavailable, an unblocked one sees the present state again. */
static void after_change(struct write_op *op, struct session *asker)
{
	struct change *c = (struct change *)op;
	struct user *u = user_find(c->user.full);

	(void)asker;
	peer_forget_all();
	if (!u)
		return;
	list_each_safe (s, &u->sessions, struct session, of_user)
		if (s->wants_blocklist)
			push_iq(s, c->arena, c->push);
	for (size_t i = 0; i < c->n; i++) {
		if (!c->v[i].local_n || !presence_is_available(c->user.full))
			continue;
		struct jid bare = jid_to_bare(c->v[i]);
		uint32_t contact = peer_get(&bare)->id;
		if (contact && presence_may_see(contact, u->id))
			presence_reveal(c->user.full, bare.full, !c->block);
	}
}

static void change(struct request *rq)
{
	struct change *c = NEW(struct change);
	struct jid j;

	c->arena = arena_new(2048);
	c->block = rq->child->name == A_block;
	c->push = node_copy(c->arena, rq->child);
	c->user = jid_dup(c->arena, rq->session->user->jid);
	c->v = arena_zero(c->arena, (limits()->elements + 1) * sizeof *c->v);
	c->op.apply = apply_change;
	for (struct node *n = node_child(rq->child, A_item, NS_BLOCKING); n; n = node_next_same(n)) {
		if (jid_parse(rq->a, node_attr(n, "jid"), &j)) {
			arena_free(c->arena);
			mem_free(c);
			reply_error(rq, "modify", A_jid_malformed, "An address in the list is malformed");
			return;
		}
		c->v[c->n++] = jid_dup(c->arena, j);
	}
	if (c->block && !c->n) {
		arena_free(c->arena);
		mem_free(c);
		reply_error(rq, "modify", A_bad_request, "Name at least one address to block");
		return;
	}
	c->inner = block_op(rq->session->user->id, !c->block, c->v, c->n);
	reply_after_write(rq, &c->op, after_change, free_change);
}

static const struct handler rows[] = {
	{ IQ_GET, A_blocklist, NS_BLOCKING, TO_OWN, 0, "urn:xmpp:blocking", blocklist },
	{ IQ_SET, A_block, NS_BLOCKING, TO_OWN, 0, NULL, change },
	{ IQ_SET, A_unblock, NS_BLOCKING, TO_OWN, 0, NULL, change },
	{ .fn = NULL },
};
static const char *const host_features[] = { "urn:xmpp:blocking", NULL };
const struct handler_table blocking_handlers = { "XEP-0191 blocking", rows, host_features, NULL };
