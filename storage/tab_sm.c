/* Resumable sessions over a restart: three small values below one resume id, so that the hot one (counters) stays small. */
#include "storage/tab_sm.h"
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_account.h"

static struct str sm_key(struct key *k, struct str id, char part)
{
	key_init(k);
	key_strz(k, id);
	if (part)
		key_u8(k, (uint8_t)part);
	return key_str(k);
}

void sm_put(struct txn *t, struct str id, const struct sm_rec *r)
{
	struct key k;
	struct recw w;

	recw_init(&w, 1u << 20);
	recw_begin(&w, 1);
	recw_u64(&w, r->account);
	recw_u64(&w, r->credentials_epoch);
	recw_str(&w, r->full_jid);
	recw_u64(&w, r->expires_ms);
	recw_u64(&w, (r->carbons ? 1u : 0) | (r->is_admin ? 2u : 0) | (r->wants_roster ? 4u : 0) |
			     (r->available ? 8u : 0) | (r->wants_blocklist ? 16u : 0) | (r->inbox ? 32u : 0) |
			     (r->follows ? 64u : 0));
	recw_u64(&w, (uint64_t)(r->priority + 128));
	recw_str(&w, r->presence);
	txn_put(t, TAB_SM, sm_key(&k, id, 0), recw_finish(&w), 0);
	recw_clear(&w);
}

void sm_put_counters(struct txn *t, struct str id, const struct sm_counters *c)
{
	struct key k;
	struct recw w;

	recw_init(&w, 256);
	recw_begin(&w, 1);
	recw_u64(&w, c->in);
	recw_u64(&w, c->out_acked);
	recw_u64(&w, c->seen_ms);
	txn_put(t, TAB_SM, sm_key(&k, id, 'c'), recw_finish(&w), 0);
	recw_clear(&w);
}

void sm_put_queue(struct txn *t, struct str id, struct str bytes)
{
	struct key k;
	struct recw w;

	recw_init(&w, bytes.n + 64);
	recw_begin(&w, 1);
	recw_str(&w, bytes);
	txn_put(t, TAB_SM, sm_key(&k, id, 'q'), recw_finish(&w), 0);
	recw_clear(&w);
}

void sm_del_queue(struct txn *t, struct str id)
{
	struct key k;

	txn_del(t, TAB_SM, sm_key(&k, id, 'q'));
}

static int read_state(struct str value, struct sm_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	if (err)
		return err;
	*out = (struct sm_rec){ 0 };
	out->account = (uint32_t)recr_u64(&r);
	out->credentials_epoch = (uint32_t)recr_u64(&r);
	out->full_jid = recr_str(&r);
	out->expires_ms = recr_u64(&r);
	uint64_t flags = recr_u64(&r);
	out->carbons = flags & 1;
	out->is_admin = flags & 2;
	out->wants_roster = flags & 4;
	out->available = flags & 8;
	out->wants_blocklist = flags & 16;
	out->inbox = flags & 32;
	out->follows = flags & 64;
	out->priority = (int8_t)((int)(recr_u64(&r) & 0xff) - 128);
	out->presence = recr_str(&r);
	return r.err;
}

int sm_get(struct txn *t, struct str id, struct sm_rec *out, struct sm_counters *out_counters, struct str *out_queue)
{
	struct key k;
	struct str value;
	struct recr r;
	int err = txn_get(t, TAB_SM, sm_key(&k, id, 0), &value);

	if (err)
		return err;
	if ((err = read_state(value, out)) != 0)
		return err;
	*out_counters = (struct sm_counters){ 0 };
	if (txn_get(t, TAB_SM, sm_key(&k, id, 'c'), &value) == 0 && recr_open(&r, value) == 0) {
		out_counters->in = (uint32_t)recr_u64(&r);
		out_counters->out_acked = (uint32_t)recr_u64(&r);
		out_counters->seen_ms = recr_u64(&r);
	}
	if (!out_queue)
		return 0;
	*out_queue = STR_NONE;
	if (txn_get(t, TAB_SM, sm_key(&k, id, 'q'), &value) == 0 && recr_open(&r, value) == 0)
		*out_queue = recr_str(&r);
	return 0;
}

void sm_del(struct txn *t, struct str id)
{
	struct key k;

	txn_del(t, TAB_SM, sm_key(&k, id, 0));
	txn_del(t, TAB_SM, sm_key(&k, id, 'c'));
	txn_del(t, TAB_SM, sm_key(&k, id, 'q'));
}

/* When the client was last heard of: the state's own time, or the counters'. */
static uint64_t last_seen(struct txn *t, struct str id, const struct sm_rec *r)
{
	struct key k;
	struct str value;
	struct recr c;
	uint64_t seen_ms = 0;

	if (txn_get(t, TAB_SM, sm_key(&k, id, 'c'), &value) == 0 && recr_open(&c, value) == 0) {
		recr_u64(&c);
		recr_u64(&c);
		seen_ms = recr_u64(&c);
	}
	return seen_ms > r->expires_ms ? seen_ms : r->expires_ms;
}

/* The account is gone, or its password was changed since: nobody can resume this any more. */
static bool is_void(struct txn *t, const struct sm_rec *r)
{
	struct account_rec a;
	int err = account_get_by_id(t, r->account, &a);

	return err == ERR_NOT_FOUND || (!err && a.credentials_epoch != r->credentials_epoch);
}

size_t sm_expire(struct txn *t, uint64_t before_ms)
{
	struct scan s;
	size_t n = 0;
	char ids[64][SM_ID_LEN + 1];

	/* Collect first, then delete: at most 64 a call, the caller comes again. */
	scan_open(&s, t, TAB_SM, STR_NONE, STR_NONE);
	while (n < 64 && scan_next(&s)) {
		struct str key = s.key;
		struct str id = key_get_strz(&key);
		struct sm_rec r;
		if (key.n || id.n > SM_ID_LEN || read_state(s.value, &r))
			continue;
		if (last_seen(t, id, &r) >= before_ms && !is_void(t, &r))
			continue;
		memcpy(ids[n], id.p, id.n);
		ids[n++][id.n] = '\0';
	}
	scan_close(&s);
	for (size_t i = 0; i < n; i++)
		sm_del(t, str_c(ids[i]));
	return n;
}
