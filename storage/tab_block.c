/* Block lists: one key per entry; the JID text is in the value too, since long keys are cut and hashed. */
#include "storage/tab_block.h"
#include "storage/key.h"
#include "storage/record.h"

static struct str block_key(struct key *k, uint32_t account, struct str jid)
{
	key_init(k);
	key_u32(k, account);
	if (jid.p)
		key_tail(k, jid);
	return key_str(k);
}

bool block_get(struct txn *t, uint32_t account, struct str jid)
{
	struct key k;
	struct str value;

	return txn_get(t, TAB_BLOCK, block_key(&k, account, jid), &value) == 0;
}

bool block_any(struct txn *t, uint32_t account)
{
	struct scan s;
	struct key k;

	scan_open(&s, t, TAB_BLOCK, block_key(&k, account, STR_NONE), STR_NONE);
	bool any = scan_next(&s);
	scan_close(&s);
	return any;
}

void block_put(struct txn *t, uint32_t account, struct str jid)
{
	struct key k;
	struct recw w;

	recw_init(&w, 8192);
	recw_begin(&w, 1);
	recw_str(&w, jid);
	txn_put(t, TAB_BLOCK, block_key(&k, account, jid), recw_finish(&w), 0);
	recw_clear(&w);
}

bool block_del(struct txn *t, uint32_t account, struct str jid)
{
	struct key k;

	return txn_del(t, TAB_BLOCK, block_key(&k, account, jid));
}

void block_each(struct txn *t, uint32_t account, bool (*fn)(void *ctx, struct str jid), void *ctx)
{
	struct scan s;
	struct key k;
	struct recr r;

	scan_open(&s, t, TAB_BLOCK, block_key(&k, account, STR_NONE), STR_NONE);
	while (scan_next(&s))
		if (recr_open(&r, s.value) == 0 && !fn(ctx, recr_str(&r)))
			break;
	scan_close(&s);
}
