/*
 * What belongs to one person in a conversation: the row of his dialog with its cursors (CURSOR), and his reactions to a message (REACTION). See tab_message.h.
 * Record of CURSOR: version 1 held the read cursor alone, version 2 adds delivered, settings, and where it was hidden.
 */
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_message.h"

enum { CURSOR_VERSION = 2, RECORD_MAX = 65536 };

static struct str cursor_key(struct key *k, uint32_t account, uint64_t conv)
{
	key_init(k);
	key_u32(k, account);
	key_u64(k, conv);
	return key_str(k);
}

static int decode_cursor(struct str value, struct cursor_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	*out = (struct cursor_rec){ 0 };
	if (err)
		return err;
	out->read = recr_u64(&r);
	if (r.version < CURSOR_VERSION)
		return r.err;
	out->delivered = recr_u64(&r);
	out->flags = (unsigned)recr_u64(&r);
	out->hidden_at = recr_u64(&r);
	if (recr_more(&r))
		out->changed = recr_u64(&r);
	return r.err;
}

int cursor_load(struct txn *t, uint32_t account, uint64_t conv, struct cursor_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_CURSOR, cursor_key(&k, account, conv), &value);

	*out = (struct cursor_rec){ 0 };
	return err ? err : decode_cursor(value, out);
}

void cursor_put(struct txn *t, uint32_t account, uint64_t conv, const struct cursor_rec *c)
{
	struct key k;
	struct recw w;

	recw_init(&w, RECORD_MAX);
	recw_begin(&w, CURSOR_VERSION);
	recw_u64(&w, c->read);
	recw_u64(&w, c->delivered);
	recw_u64(&w, c->flags);
	recw_u64(&w, c->hidden_at);
	if (c->changed)
		recw_u64(&w, c->changed);
	txn_put(t, TAB_CURSOR, cursor_key(&k, account, conv), recw_finish(&w), 0);
	recw_clear(&w);
}

void cursor_touch(struct txn *t, uint32_t account, uint64_t conv)
{
	struct cursor_rec c;

	if (cursor_load(t, account, conv, &c) == ERR_NOT_FOUND)
		cursor_put(t, account, conv, &c);
}

void cursor_del(struct txn *t, uint32_t account, uint64_t conv)
{
	struct key k;

	txn_del(t, TAB_CURSOR, cursor_key(&k, account, conv));
}

uint64_t cursor_get(struct txn *t, uint32_t account, uint64_t conv)
{
	struct cursor_rec c;

	cursor_load(t, account, conv, &c);
	return c.read;
}

bool cursor_set(struct txn *t, uint32_t account, uint64_t conv, uint64_t seq)
{
	struct cursor_rec c;

	cursor_load(t, account, conv, &c);
	if (c.read >= seq)
		return false;
	c.read = seq;
	cursor_put(t, account, conv, &c);
	return txn_error(t) == 0;
}

void cursor_each(struct txn *t, uint32_t account, bool (*fn)(void *ctx, uint64_t conv, const struct cursor_rec *c),
		 void *ctx)
{
	struct scan s;
	struct key prefix;
	bool more = true;

	key_init(&prefix);
	key_u32(&prefix, account);
	scan_open(&s, t, TAB_CURSOR, key_str(&prefix), STR_NONE);
	while (more && scan_next(&s)) {
		struct str key = s.key;
		struct cursor_rec c;
		key_get_u32(&key);
		if (decode_cursor(s.value, &c) == 0)
			more = fn(ctx, key_get_u64(&key), &c);
	}
	scan_close(&s);
}

/* ---- reactions ---- */

static void reaction_prefix(struct key *k, uint64_t gid)
{
	key_init(k);
	key_u64(k, gid);
}

void reaction_put(struct txn *t, uint64_t gid, uint32_t account, struct str set)
{
	struct key k;
	struct recw w;

	reaction_prefix(&k, gid);
	key_u32(&k, account);
	if (str_empty(set)) {
		txn_del(t, TAB_REACTION, key_str(&k));
		return;
	}
	recw_init(&w, RECORD_MAX);
	recw_begin(&w, 1);
	recw_str(&w, set);
	txn_put(t, TAB_REACTION, key_str(&k), recw_finish(&w), 0);
	recw_clear(&w);
}

void reaction_each(struct txn *t, uint64_t gid, bool (*fn)(void *ctx, uint32_t account, struct str set), void *ctx)
{
	struct scan s;
	struct key prefix;
	bool more = true;

	reaction_prefix(&prefix, gid);
	scan_open(&s, t, TAB_REACTION, key_str(&prefix), STR_NONE);
	while (more && scan_next(&s)) {
		struct str key = s.key, set;
		struct recr r;
		key_get_u64(&key);
		if (recr_open(&r, s.value))
			continue;
		set = recr_str(&r);
		if (r.err == 0)
			more = fn(ctx, key_get_u32(&key), set);
	}
	scan_close(&s);
}

void reaction_del_all(struct txn *t, uint64_t gid)
{
	struct scan s;
	struct key prefix;

	reaction_prefix(&prefix, gid);
	scan_open(&s, t, TAB_REACTION, key_str(&prefix), STR_NONE);
	while (scan_next(&s))
		txn_del(t, TAB_REACTION, s.key);
	scan_close(&s);
}
