/*
 * PEP nodes and items. Counts live in the node record and in one record per account, so that no limit needs a scan.
 * Keys, threads and slices: tab_pep.h.
 */
#include "storage/tab_pep.h"
#include "storage/key.h"
#include "storage/record.h"

enum { RECORD_VERSION = 1, SMALL = 64 };
#define RECORD_MAX ((size_t)64 << 20)

struct totals {
	struct pep_totals pub;
	uint32_t next_node;
};

static struct str node_key(struct key *k, uint32_t account, struct str name)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, 'n');
	key_tail(k, name);
	return key_str(k);
}

static struct str totals_key(struct key *k, uint32_t account)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, 't');
	return key_str(k);
}

static struct key item_prefix(const struct pep_node *n, char kind)
{
	struct key k;

	key_init(&k);
	key_u32(&k, n->account);
	key_u32(&k, n->number);
	if (kind)
		key_u8(&k, (uint8_t)kind);
	return k;
}

static struct str number_key(struct key *k, const struct pep_node *n, uint64_t number)
{
	*k = item_prefix(n, 'i');
	key_u64(k, number);
	return key_str(k);
}

static struct str id_key(struct key *k, const struct pep_node *n, struct str id)
{
	*k = item_prefix(n, 'd');
	key_tail(k, id);
	return key_str(k);
}

/* --- totals --- */

static void read_totals(struct txn *t, uint32_t account, struct totals *out)
{
	struct key k;
	struct str v;
	struct recr r;

	*out = (struct totals){ .next_node = 1 };
	if (txn_get(t, TAB_PEP_NODE, totals_key(&k, account), &v) || recr_open(&r, v))
		return;
	out->pub.bytes = recr_u64(&r);
	out->pub.nodes = recr_u64(&r);
	out->next_node = (uint32_t)recr_u64(&r);
}

static void write_totals(struct txn *t, uint32_t account, const struct totals *x)
{
	struct key k;
	struct recw w;

	recw_init(&w, SMALL);
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, x->pub.bytes);
	recw_u64(&w, x->pub.nodes);
	recw_u64(&w, x->next_node);
	txn_put(t, TAB_PEP_NODE, totals_key(&k, account), recw_finish(&w), 0);
	recw_clear(&w);
}

void pep_account_totals(struct txn *t, uint32_t account, struct pep_totals *out)
{
	struct totals x;

	read_totals(t, account, &x);
	*out = x.pub;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* --- nodes --- */

static int read_node(struct str value, uint32_t account, struct pep_node *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	*out = (struct pep_node){ .account = account };
	out->number = (uint32_t)recr_u64(&r);
	out->items = recr_u64(&r);
	out->bytes = recr_u64(&r);
	out->next_item = recr_u64(&r);
	out->name = recr_str(&r);
	out->config = recr_str(&r);
	return err ? err : r.err;
}

int pep_node_get(struct txn *t, uint32_t account, struct str name, struct pep_node *out)
{
	struct key k;
	struct str v;
	int err = txn_get(t, TAB_PEP_NODE, node_key(&k, account, name), &v);

	if (!err)
		err = read_node(v, account, out);
	if (!err)
		out->name = name;
	return err;
}

/* The record is built in a buffer of its own, so config may still point into the store. */
static void write_node(struct txn *t, const struct pep_node *n)
{
	struct key k;
	struct recw w;

	recw_init(&w, RECORD_MAX);
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, n->number);
	recw_u64(&w, n->items);
	recw_u64(&w, n->bytes);
	recw_u64(&w, n->next_item);
	recw_str(&w, n->name);
	recw_str(&w, n->config);
	txn_put(t, TAB_PEP_NODE, node_key(&k, n->account, n->name), recw_finish(&w), 0);
	recw_clear(&w);
}

/* Writes the counts with the configuration as it is stored; n->config may be stale by now. */
static void write_counts(struct txn *t, struct pep_node *n)
{
	struct pep_node now;

	if (pep_node_get(t, n->account, n->name, &now))
		return;
	n->config = now.config;
	write_node(t, n);
	n->config = STR_NONE;
}

int pep_node_create(struct txn *t, uint32_t account, struct str name, struct str config, uint64_t max_nodes,
		    struct pep_node *out)
{
	struct totals x;
	int err = pep_node_get(t, account, name, out);

	if (err != ERR_NOT_FOUND)
		return err ? err : ERR_EXISTS;
	read_totals(t, account, &x);
	if (x.pub.nodes >= max_nodes || str_empty(name) || config.n > RECORD_MAX / 2 || name.n > RECORD_MAX / 4)
		return ERR_LIMIT;
	*out = (struct pep_node){
		.account = account, .number = x.next_node++, .next_item = 1, .name = name, .config = config
	};
	x.pub.nodes++;
	write_node(t, out);
	write_totals(t, account, &x);
	return txn_error(t);
}

int pep_node_configure(struct txn *t, uint32_t account, struct str name, struct str config)
{
	struct pep_node n;
	int err = pep_node_get(t, account, name, &n);

	if (err)
		return err;
	n.config = config;
	write_node(t, &n);
	return txn_error(t);
}

static void delete_all(struct txn *t, enum table tab, struct str prefix)
{
	struct scan s;

	scan_open(&s, t, tab, prefix, STR_NONE);
	while (scan_next(&s))
		txn_del(t, tab, s.key);
	scan_close(&s);
}

static void delete_items(struct txn *t, struct pep_node *n)
{
	struct key k = item_prefix(n, 0);

	delete_all(t, TAB_PEP_ITEM, key_str(&k));
}

int pep_node_delete(struct txn *t, uint32_t account, struct str name)
{
	struct pep_node n;
	struct totals x;
	struct key k;
	int err = pep_node_get(t, account, name, &n);

	if (err)
		return err;
	delete_items(t, &n);
	txn_del(t, TAB_PEP_NODE, node_key(&k, account, name));
	read_totals(t, account, &x);
	x.pub.nodes = less(x.pub.nodes, 1);
	x.pub.bytes = less(x.pub.bytes, n.bytes);
	write_totals(t, account, &x);
	return txn_error(t);
}

void pep_node_purge(struct txn *t, struct pep_node *n)
{
	struct totals x;

	delete_items(t, n);
	read_totals(t, n->account, &x);
	x.pub.bytes = less(x.pub.bytes, n->bytes);
	n->items = n->bytes = 0;
	write_counts(t, n);
	write_totals(t, n->account, &x);
}

void pep_node_each(struct txn *t, uint32_t account, pep_node_fn *fn, void *ctx)
{
	struct scan s;
	struct key k;

	scan_open(&s, t, TAB_PEP_NODE, node_key(&k, account, STR_NONE), STR_NONE);
	while (scan_next(&s)) {
		struct pep_node n;

		if (read_node(s.value, account, &n) == 0 && !fn(ctx, &n))
			break;
	}
	scan_close(&s);
}

void pep_delete_account(struct txn *t, uint32_t account)
{
	struct key k;

	key_init(&k);
	key_u32(&k, account);
	delete_all(t, TAB_PEP_ITEM, key_str(&k));
	delete_all(t, TAB_PEP_NODE, key_str(&k));
}

/* --- items --- */

static int read_item(struct str key, struct str value, struct pep_item *out)
{
	struct recr r;
	int err = recr_open(&r, value);
	struct str number = str_of(key.p + key.n - sizeof(uint64_t), sizeof(uint64_t));

	*out = (struct pep_item){ .number = key_get_u64(&number) };
	out->id = recr_str(&r);
	out->publisher = recr_str(&r);
	out->published_ms = recr_u64(&r);
	out->payload = recr_str(&r);
	return err ? err : r.err;
}

static int find_number(struct txn *t, const struct pep_node *n, struct str id, uint64_t *out)
{
	struct key k;
	struct str v;
	struct recr r;
	int err = txn_get(t, TAB_PEP_ITEM, id_key(&k, n, id), &v);

	if (!err)
		err = recr_open(&r, v);
	if (err)
		return err;
	*out = recr_u64(&r);
	return r.err;
}

int pep_item_get(struct txn *t, const struct pep_node *n, struct str id, struct pep_item *out)
{
	uint64_t number;
	struct key k;
	struct str v;
	int err = find_number(t, n, id, &number);

	if (!err)
		err = txn_get(t, TAB_PEP_ITEM, number_key(&k, n, number), &v);
	return err ? err : read_item(key_str(&k), v, out);
}

/* Bytes of an item's record; 0 when it is not there. */
static uint64_t item_bytes(struct txn *t, const struct pep_node *n, uint64_t number)
{
	struct key k;
	struct str v;

	return txn_get(t, TAB_PEP_ITEM, number_key(&k, n, number), &v) ? 0 : v.n;
}

/* Takes the record and its id entry out and off the counts (n and x, both still to be written). */
static void drop(struct txn *t, struct pep_node *n, struct totals *x, uint64_t number, struct str id)
{
	struct key k;
	uint64_t bytes = item_bytes(t, n, number);

	/* The id entry first: id may be a slice of the record (id_key copies it before anything is deleted). */
	if (!str_empty(id))
		txn_del(t, TAB_PEP_ITEM, id_key(&k, n, id));
	if (!txn_del(t, TAB_PEP_ITEM, number_key(&k, n, number)))
		return;
	n->items = less(n->items, 1);
	n->bytes = less(n->bytes, bytes);
	x->pub.bytes = less(x->pub.bytes, bytes);
}

static void drop_oldest(struct txn *t, struct pep_node *n, struct totals *x, uint64_t max_items)
{
	struct key prefix = item_prefix(n, 'i');
	struct scan s;

	if (n->items <= max_items)
		return;
	scan_open(&s, t, TAB_PEP_ITEM, key_str(&prefix), STR_NONE);
	while (n->items > max_items && scan_next(&s)) {
		struct pep_item old;

		/* A damaged one goes too; its id entry then leads nowhere, which reads as not found. */
		bool sound = read_item(s.key, s.value, &old) == 0;

		drop(t, n, x, old.number, sound ? old.id : STR_NONE);
	}
	scan_close(&s);
}

int pep_item_put(struct txn *t, struct pep_node *n, struct pep_item *item, uint64_t max_items, uint64_t max_bytes)
{
	struct key k;
	struct recw w;
	struct totals x;
	uint64_t old = 0, old_bytes = 0;

	read_totals(t, n->account, &x);
	if (find_number(t, n, item->id, &old) == 0)
		old_bytes = item_bytes(t, n, old);
	recw_init(&w, RECORD_MAX);
	recw_begin(&w, RECORD_VERSION);
	recw_str(&w, item->id);
	recw_str(&w, item->publisher);
	recw_u64(&w, item->published_ms);
	recw_str(&w, item->payload);
	struct str v = recw_finish(&w);

	if (!v.p || less(x.pub.bytes, old_bytes) + v.n > max_bytes) {
		recw_clear(&w);
		return ERR_LIMIT;
	}
	if (old)
		drop(t, n, &x, old, item->id);
	item->number = n->next_item++;
	txn_put(t, TAB_PEP_ITEM, number_key(&k, n, item->number), v, 0);
	n->items++;
	n->bytes += v.n;
	x.pub.bytes += v.n;
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, item->number);
	txn_put(t, TAB_PEP_ITEM, id_key(&k, n, item->id), recw_finish(&w), 0);
	recw_clear(&w);
	drop_oldest(t, n, &x, max_items ? max_items : 1);
	write_counts(t, n);
	write_totals(t, n->account, &x);
	return txn_error(t);
}

int pep_item_delete(struct txn *t, struct pep_node *n, struct str id)
{
	uint64_t number;
	struct totals x;
	int err = find_number(t, n, id, &number);

	if (err)
		return err;
	read_totals(t, n->account, &x);
	drop(t, n, &x, number, id);
	write_counts(t, n);
	write_totals(t, n->account, &x);
	return txn_error(t);
}

void pep_item_each(struct txn *t, const struct pep_node *n, bool newest_first, pep_item_fn *fn, void *ctx)
{
	struct key prefix = item_prefix(n, 'i');
	struct scan s;

	(newest_first ? scan_open_reverse : scan_open)(&s, t, TAB_PEP_ITEM, key_str(&prefix), STR_NONE);
	while (scan_next(&s)) {
		struct pep_item item;

		if (read_item(s.key, s.value, &item) == 0 && !fn(ctx, &item))
			break;
	}
	scan_close(&s);
}
