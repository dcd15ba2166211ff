/* Archiving preferences of an account. */
#include "storage/tab_mam_prefs.h"
#include "storage/key.h"
#include "storage/record.h"

static struct str prefs_key(struct key *k, uint32_t account)
{
	key_init(k);
	key_u32(k, account);
	return key_str(k);
}

bool mam_prefs_any(struct txn *t, uint32_t account)
{
	struct key k;
	struct str value;

	return txn_get(t, TAB_MAM_PREFS, prefs_key(&k, account), &value) == 0;
}

static size_t read_list(struct recr *r, struct str *out)
{
	uint64_t n = recr_u64(r), i = 0;

	for (; i < n && i < MAM_PREFS_MAX && recr_more(r); i++)
		out[i] = recr_str(r);
	return i;
}

bool mam_prefs_get(struct txn *t, uint32_t account, struct mam_prefs *out)
{
	struct key k;
	struct str value;
	struct recr r;

	if (txn_get(t, TAB_MAM_PREFS, prefs_key(&k, account), &value) || recr_open(&r, value))
		return false;
	uint64_t def = recr_u64(&r);
	out->def = def <= MAM_ROSTER ? (enum mam_default)def : MAM_ALWAYS;
	out->n_always = read_list(&r, out->always);
	out->n_never = read_list(&r, out->never);
	return r.err == 0;
}

void mam_prefs_put(struct txn *t, uint32_t account, const struct mam_prefs *p)
{
	struct key k;
	struct recw w;

	recw_init(&w, 4u << 20);
	recw_begin(&w, 1);
	recw_u64(&w, p->def);
	recw_u64(&w, p->n_always);
	for (size_t i = 0; i < p->n_always; i++)
		recw_str(&w, p->always[i]);
	recw_u64(&w, p->n_never);
	for (size_t i = 0; i < p->n_never; i++)
		recw_str(&w, p->never[i]);
	txn_put(t, TAB_MAM_PREFS, prefs_key(&k, account), recw_finish(&w), 0);
	recw_clear(&w);
}
