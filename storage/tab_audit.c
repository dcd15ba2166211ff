/* The audit log and its hash chain. */
#include "storage/tab_audit.h"
#include "base/crypto.h"
#include "storage/key.h"
#include "storage/record.h"
#include <string.h>

static struct str number_key(struct key *k, uint64_t number)
{
	key_init(k);
	key_u64(k, number);
	return key_str(k);
}

void audit_add(struct txn *t, const struct audit_rec *r)
{
	struct scan s;
	struct key k;
	struct recw w;
	uint64_t number = 1;
	uint8_t link[HASH_MAX] = { 0 };

	scan_open_reverse(&s, t, TAB_AUDIT, STR_NONE, STR_NONE);
	if (scan_next(&s)) {
		struct str key = s.key;
		number = key_get_u64(&key) + 1;
		digest(HASH_SHA256, s.value, link);
	}
	scan_close(&s);
	recw_init(&w, 65536);
	recw_begin(&w, 1);
	recw_str(&w, str_of((const char *)link, 32));
	recw_u64(&w, r->time_ms);
	recw_str(&w, r->actor);
	recw_str(&w, r->action);
	recw_str(&w, r->target);
	recw_str(&w, r->detail);
	txn_put(t, TAB_AUDIT, number_key(&k, number), recw_finish(&w), TXN_APPEND);
	recw_clear(&w);
}

int audit_each(struct txn *t, uint64_t from, bool (*fn)(void *ctx, const struct audit_rec *r), void *ctx)
{
	struct scan s;
	struct key k;
	uint8_t link[HASH_MAX];
	bool have_link = false;
	int err = 0;

	scan_open(&s, t, TAB_AUDIT, STR_NONE, number_key(&k, from));
	while (!err && scan_next(&s)) {
		struct str key = s.key;
		struct recr r;
		struct audit_rec a = { .number = key_get_u64(&key) };
		if ((err = recr_open(&r, s.value)) != 0)
			break;
		struct str before = recr_str(&r);
		if (have_link && (before.n != 32 || memcmp(before.p, link, 32) != 0))
			err = ERR_CORRUPT;
		digest(HASH_SHA256, s.value, link);
		have_link = true;
		a.time_ms = recr_u64(&r);
		a.actor = recr_str(&r);
		a.action = recr_str(&r);
		a.target = recr_str(&r);
		a.detail = recr_str(&r);
		if (!err && !fn(ctx, &a))
			break;
	}
	scan_close(&s);
	return err;
}
