/* One record per account. See tab_vcard.h. */
#include "storage/tab_vcard.h"
#include "storage/key.h"
#include "storage/record.h"

enum { RECORD_VERSION = 1 };
#define RECORD_MAX ((size_t)64 << 20)

static struct str vcard_key(struct key *k, uint32_t account)
{
	key_init(k);
	key_u32(k, account);
	return key_str(k);
}

int vcard_get(struct txn *t, uint32_t account, struct str *out_xml)
{
	struct key k;
	struct recr r;
	struct str v;
	int err = txn_get(t, TAB_VCARD, vcard_key(&k, account), &v);

	*out_xml = STR_NONE;
	if (!err)
		err = recr_open(&r, v);
	if (err)
		return err;
	*out_xml = recr_str(&r);
	return r.err;
}

void vcard_put(struct txn *t, uint32_t account, struct str xml)
{
	struct key k;
	struct recw w;

	recw_init(&w, RECORD_MAX);
	recw_begin(&w, RECORD_VERSION);
	recw_str(&w, xml);
	txn_put(t, TAB_VCARD, vcard_key(&k, account), recw_finish(&w), 0);
	recw_clear(&w);
}

bool vcard_del(struct txn *t, uint32_t account)
{
	struct key k;

	return txn_del(t, TAB_VCARD, vcard_key(&k, account));
}
