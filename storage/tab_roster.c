/* Own roster items: one record each, flags in one number; a version beside them. See tab_roster.h for keys and threads. */
#include "storage/tab_roster.h"
#include "storage/key.h"
#include "storage/record.h"

enum { RECORD_VERSION = 1, ITEM_MAX = 64 * 1024 };
enum { LISTED = 1, TO = 2, FROM = 4, ASK = 8, PENDING_IN = 16, APPROVED = 32 };

static struct str item_key(struct key *k, uint32_t account, struct str jid)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, 'i');
	key_tail(k, jid);
	return key_str(k);
}

static struct str version_key(struct key *k, uint32_t account)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, 'v');
	return key_str(k);
}

static int read_item(struct str value, struct roster_item *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	*out = (struct roster_item){ .groups = 0 };
	if (err)
		return err;
	uint64_t flags = recr_u64(&r);

	out->jid = recr_str(&r);
	out->name = recr_str(&r);
	uint64_t groups = recr_u64(&r);

	if (groups > ROSTER_GROUPS_MAX)
		return ERR_CORRUPT;
	while (out->groups < groups)
		out->group[out->groups++] = recr_str(&r);
	out->request = recr_str(&r);
	out->listed = flags & LISTED;
	out->to = flags & TO;
	out->from = flags & FROM;
	out->ask = flags & ASK;
	out->pending_in = flags & PENDING_IN;
	out->approved = flags & APPROVED;
	return r.err;
}

int roster_item_get(struct txn *t, uint32_t account, struct str jid, struct roster_item *out)
{
	struct key k;
	struct str v;
	int err = txn_get(t, TAB_ROSTER, item_key(&k, account, jid), &v);

	return err ? err : read_item(v, out);
}

uint64_t roster_version(struct txn *t, uint32_t account)
{
	struct key k;
	struct str v;
	struct recr r;

	if (txn_get(t, TAB_ROSTER, version_key(&k, account), &v) || recr_open(&r, v))
		return 0;
	return recr_u64(&r);
}

static void raise_version(struct txn *t, uint32_t account)
{
	struct key k;
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, roster_version(t, account) + 1);
	txn_put(t, TAB_ROSTER, version_key(&k, account), recw_finish(&w), 0);
	recw_clear(&w);
}

static bool was_listed(struct txn *t, uint32_t account, struct str jid)
{
	struct roster_item old;

	return roster_item_get(t, account, jid, &old) == 0 && old.listed;
}

void roster_item_put(struct txn *t, uint32_t account, const struct roster_item *item)
{
	struct key k;
	struct recw w;

	if (!item->listed && !item->pending_in && !item->to && !item->from && !item->ask && !item->approved) {
		roster_item_del(t, account, item->jid);
		return;
	}
	if (item->groups > ROSTER_GROUPS_MAX) {
		txn_fail(t, ERR_LIMIT);
		return;
	}
	bool visible = item->listed || was_listed(t, account, item->jid);

	recw_init(&w, ITEM_MAX);
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, (item->listed ? LISTED : 0u) | (item->to ? TO : 0u) | (item->from ? FROM : 0u) |
			     (item->ask ? ASK : 0u) | (item->pending_in ? PENDING_IN : 0u) |
			     (item->approved ? APPROVED : 0u));
	recw_str(&w, item->jid);
	recw_str(&w, item->name);
	recw_u64(&w, item->groups);
	for (unsigned i = 0; i < item->groups; i++)
		recw_str(&w, item->group[i]);
	recw_str(&w, item->pending_in ? item->request : STR_NONE);
	txn_put(t, TAB_ROSTER, item_key(&k, account, item->jid), recw_finish(&w), 0);
	recw_clear(&w);
	if (visible)
		raise_version(t, account);
}

bool roster_item_del(struct txn *t, uint32_t account, struct str jid)
{
	struct key k;
	bool visible = was_listed(t, account, jid);

	if (!txn_del(t, TAB_ROSTER, item_key(&k, account, jid)))
		return false;
	if (visible)
		raise_version(t, account);
	return true;
}

void roster_item_each(struct txn *t, uint32_t account, roster_each_fn *fn, void *ctx)
{
	struct scan s;
	struct key k;

	scan_open(&s, t, TAB_ROSTER, item_key(&k, account, STR_NONE), STR_NONE);
	while (scan_next(&s)) {
		struct roster_item item;

		if (read_item(s.value, &item) == 0 && !fn(ctx, &item))
			break;
	}
	scan_close(&s);
}

size_t roster_item_count(struct txn *t, uint32_t account)
{
	struct scan s;
	struct key k;
	size_t n = 0;

	scan_open(&s, t, TAB_ROSTER, item_key(&k, account, STR_NONE), STR_NONE);
	while (scan_next(&s))
		n++;
	scan_close(&s);
	return n;
}

void roster_delete_account(struct txn *t, uint32_t account)
{
	struct scan s;
	struct key k;
	bool any = false;

	scan_open(&s, t, TAB_ROSTER, item_key(&k, account, STR_NONE), STR_NONE);
	while (scan_next(&s))
		any |= txn_del(t, TAB_ROSTER, s.key);
	scan_close(&s);
	if (any)
		raise_version(t, account);
}
