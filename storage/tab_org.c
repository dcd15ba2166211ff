/* The company structure as stored: departments, people, and a version that rosters are compared by. */
#include "storage/tab_org.h"
#include "storage/key.h"
#include "storage/record.h"

static struct str org_key(struct key *k, struct str domain, char kind, uint32_t id)
{
	key_init(k);
	key_strz(k, domain);
	key_u8(k, (uint8_t)kind);
	if (id)
		key_u32(k, id);
	return key_str(k);
}

void org_dept_put(struct txn *t, struct str domain, const struct org_dept_rec *d)
{
	struct key k;
	struct recw w;

	recw_init(&w, 65536);
	recw_begin(&w, 1);
	recw_u64(&w, d->parent);
	recw_str(&w, d->name);
	txn_put(t, TAB_ORG, org_key(&k, domain, 'd', d->id), recw_finish(&w), 0);
	recw_clear(&w);
}

void org_dept_del(struct txn *t, struct str domain, uint32_t id)
{
	struct key k;

	txn_del(t, TAB_ORG, org_key(&k, domain, 'd', id));
}

struct head {
	uint64_t version;
	uint32_t next_dept;
};

static struct head head_get(struct txn *t, struct str domain)
{
	struct head h = { 0, 1 };
	struct key k;
	struct str value;
	struct recr r;

	if (txn_get(t, TAB_ORG, org_key(&k, domain, 'v', 0), &value) || recr_open(&r, value))
		return h;
	h.version = recr_u64(&r);
	h.next_dept = (uint32_t)recr_u64(&r);
	return h;
}

static void head_put(struct txn *t, struct str domain, struct head h)
{
	struct key k;
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, 1);
	recw_u64(&w, h.version);
	recw_u64(&w, h.next_dept);
	txn_put(t, TAB_ORG, org_key(&k, domain, 'v', 0), recw_finish(&w), 0);
	recw_clear(&w);
}

uint32_t org_next_dept(struct txn *t, struct str domain)
{
	struct head h = head_get(t, domain);
	uint32_t id = h.next_dept++;

	head_put(t, domain, h);
	return id;
}

uint64_t org_version_get(struct txn *t, struct str domain)
{
	return head_get(t, domain).version;
}

void org_version_raise(struct txn *t, struct str domain)
{
	struct head h = head_get(t, domain);

	h.version++;
	head_put(t, domain, h);
}

void org_person_put(struct txn *t, struct str domain, const struct org_person_rec *p)
{
	struct key k;
	struct recw w;

	recw_init(&w, 65536);
	recw_begin(&w, 1);
	recw_u64(&w, p->number);
	recw_u64(&w, p->dept);
	recw_u64(&w, p->head);
	recw_str(&w, p->full_name);
	recw_str(&w, p->position);
	recw_str(&w, p->email);
	recw_str(&w, p->phone);
	txn_put(t, TAB_ORG, org_key(&k, domain, 'p', p->account), recw_finish(&w), 0);
	recw_clear(&w);
}

void org_person_del(struct txn *t, struct str domain, uint32_t account)
{
	struct key k;

	txn_del(t, TAB_ORG, org_key(&k, domain, 'p', account));
}

static int person_decode(struct str value, uint32_t account, struct org_person_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	if (err)
		return err;
	*out = (struct org_person_rec){ .account = account };
	out->number = recr_u64(&r);
	out->dept = (uint32_t)recr_u64(&r);
	out->head = recr_u64(&r) != 0;
	out->full_name = recr_str(&r);
	out->position = recr_str(&r);
	out->email = recr_str(&r);
	out->phone = recr_str(&r);
	return r.err;
}

int org_person_get(struct txn *t, struct str domain, uint32_t account, struct org_person_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_ORG, org_key(&k, domain, 'p', account), &value);

	return err ? err : person_decode(value, account, out);
}

static uint32_t id_of_key(struct str key, struct str prefix)
{
	struct str rest = str_of(key.p + prefix.n, key.n - prefix.n);

	return rest.n == 4 ? key_get_u32(&rest) : 0;
}

void org_dept_each(struct txn *t, struct str domain, bool (*fn)(void *ctx, const struct org_dept_rec *d), void *ctx)
{
	struct key k;
	struct str prefix = org_key(&k, domain, 'd', 0);
	struct scan s;

	scan_open(&s, t, TAB_ORG, prefix, STR_NONE);
	while (scan_next(&s)) {
		struct recr r;
		struct org_dept_rec d = { .id = id_of_key(s.key, prefix) };
		if (!d.id || recr_open(&r, s.value))
			continue;
		d.parent = (uint32_t)recr_u64(&r);
		d.name = recr_str(&r);
		if (r.err == 0 && !fn(ctx, &d))
			break;
	}
	scan_close(&s);
}

void org_person_each(struct txn *t, struct str domain, bool (*fn)(void *ctx, const struct org_person_rec *p), void *ctx)
{
	struct key k;
	struct str prefix = org_key(&k, domain, 'p', 0);
	struct scan s;

	scan_open(&s, t, TAB_ORG, prefix, STR_NONE);
	while (scan_next(&s)) {
		struct org_person_rec p;
		uint32_t id = id_of_key(s.key, prefix);
		if (!id || person_decode(s.value, id, &p))
			continue;
		if (!fn(ctx, &p))
			break;
	}
	scan_close(&s);
}
