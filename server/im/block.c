/* Blocking: changes of a list, and the question for what the user sends himself. */
#include "server/im/block.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/net/limits.h"
#include "storage/tab_block.h"

struct block_change {
	struct write_op op;
	struct arena *arena;
	uint32_t account;
	bool remove;
	struct str *v;
	size_t n;
};

bool block_is_outgoing(struct user *u, const struct jid *to)
{
	const struct peer *me = user_peer(u);

	return !jid_is_none(to) && !jid_bare_eq(to, &u->jid) && peer_blocks(me, to);
}

static bool count_one(void *ctx, struct str jid)
{
	(void)jid;
	++*(size_t *)ctx;
	return true;
}

struct collected {
	struct arena *a;
	struct str v[256];
	size_t n;
};

static bool collect(void *ctx, struct str jid)
{
	struct collected *c = ctx;

	c->v[c->n++] = arena_str(c->a, jid);
	return c->n < 256;
}

static int remove_all(struct txn *t, uint32_t account)
{
	struct collected *c = NEW(struct collected);

	c->a = arena_new(4096);
	do {
		c->n = 0;
		block_each(t, account, collect, c);
		for (size_t i = 0; i < c->n; i++)
			block_del(t, account, c->v[i]);
	} while (c->n);
	arena_free(c->a);
	mem_free(c);
	return txn_error(t);
}

static int apply_block(struct txn *t, struct write_op *op)
{
	struct block_change *b = (struct block_change *)op;
	size_t have = 0, new = 0;

	if (b->remove && !b->n)
		return remove_all(t, b->account);
	if (!b->remove) {
		block_each(t, b->account, count_one, &have);
		for (size_t i = 0; i < b->n; i++)
			new += !block_get(t, b->account, b->v[i]);
		if (have + new > limits()->block_items)
			return ERR_LIMIT;
	}
	for (size_t i = 0; i < b->n; i++) {
		if (b->remove)
			block_del(t, b->account, b->v[i]);
		else
			block_put(t, b->account, b->v[i]);
	}
	return txn_error(t);
}

struct write_op *block_op(uint32_t account, bool remove, const struct jid *v, size_t n)
{
	struct block_change *b = NEW(struct block_change);
	struct hash *seen = hash_new();

	b->arena = arena_new(2048);
	b->op.apply = apply_block;
	b->account = account;
	b->remove = remove;
	b->v = arena_zero(b->arena, (n + 1) * sizeof *b->v);
	for (size_t i = 0; i < n; i++) /* each once, so that the limit counts them once */
		if (!hash_put(seen, v[i].full, b))
			b->v[b->n++] = arena_str(b->arena, v[i].full);
	hash_free(seen);
	return &b->op;
}

void block_op_free(struct write_op *op)
{
	arena_free(((struct block_change *)op)->arena);
	mem_free(op);
}
