/* Private XML with a running total per account, so that the limit costs no scan. See tab_private.h for keys and threads. */
#include "storage/tab_private.h"
#include "storage/key.h"
#include "storage/record.h"

enum { RECORD_VERSION = 1 };
#define RECORD_MAX ((size_t)64 << 20)

static struct str element_key(struct key *k, uint32_t account, struct str name, struct str ns)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, 'x');
	key_strz(k, name);
	key_tail(k, ns);
	return key_str(k);
}

static struct str kind_key(struct key *k, uint32_t account, char kind)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, (uint8_t)kind);
	return key_str(k);
}

static int read_element(struct str value, struct str *out_name, struct str *out_ns, struct str *out_xml)
{
	struct recr r;
	int err = recr_open(&r, value);

	*out_name = recr_str(&r);
	*out_ns = recr_str(&r);
	*out_xml = recr_str(&r);
	return err ? err : r.err;
}

int private_get(struct txn *t, uint32_t account, struct str name, struct str ns, struct str *out_xml)
{
	struct key k;
	struct str v, name2, ns2;
	int err = txn_get(t, TAB_PRIVATE, element_key(&k, account, name, ns), &v);

	*out_xml = STR_NONE;
	return err ? err : read_element(v, &name2, &ns2, out_xml);
}

uint64_t private_bytes(struct txn *t, uint32_t account)
{
	struct key k;
	struct str v;
	struct recr r;

	if (txn_get(t, TAB_PRIVATE, kind_key(&k, account, 't'), &v) || recr_open(&r, v))
		return 0;
	return recr_u64(&r);
}

static void set_bytes(struct txn *t, uint32_t account, uint64_t bytes)
{
	struct key k;
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, bytes);
	txn_put(t, TAB_PRIVATE, kind_key(&k, account, 't'), recw_finish(&w), 0);
	recw_clear(&w);
}

/* What the element takes now; 0 when it is not there. */
static uint64_t bytes_of(struct txn *t, struct str key)
{
	struct str v;

	return txn_get(t, TAB_PRIVATE, key, &v) ? 0 : v.n;
}

int private_put(struct txn *t, uint32_t account, struct str name, struct str ns, struct str xml, uint64_t max_total)
{
	struct key k;
	struct recw w;
	struct str key = element_key(&k, account, name, ns);
	uint64_t total = private_bytes(t, account), before = bytes_of(t, key);

	recw_init(&w, RECORD_MAX);
	recw_begin(&w, RECORD_VERSION);
	recw_str(&w, name);
	recw_str(&w, ns);
	recw_str(&w, xml);
	struct str v = recw_finish(&w);
	int err = 0;

	total = total > before ? total - before : 0;
	if (str_empty(key) || !v.p || total + v.n > max_total)
		err = ERR_LIMIT;
	if (!err) {
		txn_put(t, TAB_PRIVATE, key, v, 0);
		set_bytes(t, account, total + v.n);
	}
	recw_clear(&w);
	return err;
}

bool private_del(struct txn *t, uint32_t account, struct str name, struct str ns)
{
	struct key k;
	struct str key = element_key(&k, account, name, ns);
	uint64_t total = private_bytes(t, account), before = bytes_of(t, key);

	if (!txn_del(t, TAB_PRIVATE, key))
		return false;
	set_bytes(t, account, total > before ? total - before : 0);
	return true;
}

void private_each(struct txn *t, uint32_t account, private_each_fn *fn, void *ctx)
{
	struct scan s;
	struct key k;

	scan_open(&s, t, TAB_PRIVATE, kind_key(&k, account, 'x'), STR_NONE);
	while (scan_next(&s)) {
		struct str name, ns, xml;

		if (read_element(s.value, &name, &ns, &xml) == 0 && !fn(ctx, name, ns, xml))
			break;
	}
	scan_close(&s);
}

void private_delete_account(struct txn *t, uint32_t account)
{
	struct scan s;
	struct key k;

	key_init(&k);
	key_u32(&k, account);
	scan_open(&s, t, TAB_PRIVATE, key_str(&k), STR_NONE);
	while (scan_next(&s))
		txn_del(t, TAB_PRIVATE, s.key);
	scan_close(&s);
}
