/* Accounts: the record with its SCRAM keys, the way from id to name, and two small values that change often. */
#include "storage/tab_account.h"
#include "storage/key.h"
#include "storage/record.h"
#include <string.h>

#define TOMBSTONE 2 /* record version of a deleted account */

static struct str name_key(struct key *k, struct str domain, struct str local)
{
	key_init(k);
	key_strz(k, domain);
	key_tail(k, local);
	return key_str(k);
}

static struct str id_key(struct key *k, uint32_t id, char part)
{
	key_init(k);
	key_u32(k, id);
	if (part)
		key_u8(k, (uint8_t)part);
	return key_str(k);
}

static void put_scram(struct recw *w, const struct scram_keys *s, enum hash_kind kind)
{
	recw_u64(w, s->present);
	if (!s->present)
		return;
	recw_u64(w, s->iterations);
	recw_str(w, str_of((const char *)s->salt, s->salt_n));
	recw_str(w, str_of((const char *)s->stored_key, digest_size(kind)));
	recw_str(w, str_of((const char *)s->server_key, digest_size(kind)));
}

static bool get_bytes(struct recr *r, uint8_t *out, size_t max, size_t want)
{
	struct str s = recr_str(r);

	if (s.n > max || (want && s.n != want))
		return false;
	if (s.n)
		memcpy(out, s.p, s.n);
	return true;
}

static bool get_scram(struct recr *r, struct scram_keys *s, enum hash_kind kind)
{
	*s = (struct scram_keys){ .present = recr_u64(r) != 0 };
	if (!s->present)
		return true;
	s->iterations = (uint32_t)recr_u64(r);
	struct str salt = recr_str(r);
	if (salt.n > sizeof s->salt)
		return false;
	s->salt_n = (uint8_t)salt.n;
	if (salt.n)
		memcpy(s->salt, salt.p, salt.n);
	return get_bytes(r, s->stored_key, sizeof s->stored_key, digest_size(kind)) &&
	       get_bytes(r, s->server_key, sizeof s->server_key, digest_size(kind));
}

void account_put(struct txn *t, const struct account_rec *r)
{
	struct key k;
	struct recw w;

	recw_init(&w, 8192);
	recw_begin(&w, 1);
	recw_u64(&w, r->id);
	recw_u64(&w, (r->disabled ? 1u : 0) | (r->is_admin ? 2u : 0) | (r->directory_owned ? 4u : 0));
	recw_u64(&w, r->created_ms);
	recw_u64(&w, r->credentials_epoch);
	for (unsigned i = 0; i < HASH_KINDS; i++)
		put_scram(&w, &r->scram[i], (enum hash_kind)i);
	struct str name = name_key(&k, r->domain, r->local);
	txn_put(t, TAB_ACCOUNT, name, recw_finish(&w), 0);
	recw_clear(&w);
}

/* key: the stored key, whose parts become domain and local. */
static int decode(struct str key, struct str value, struct account_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	if (err)
		return err;
	if (r.version == TOMBSTONE)
		return ERR_NOT_FOUND;
	memset(out, 0, sizeof *out);
	out->domain = key_get_strz(&key);
	out->local = key;
	out->id = (uint32_t)recr_u64(&r);
	uint64_t flags = recr_u64(&r);
	out->disabled = flags & 1;
	out->is_admin = flags & 2;
	out->directory_owned = flags & 4;
	out->created_ms = recr_u64(&r);
	out->credentials_epoch = (uint32_t)recr_u64(&r);
	for (unsigned i = 0; i < HASH_KINDS; i++)
		if (!get_scram(&r, &out->scram[i], (enum hash_kind)i))
			return ERR_CORRUPT;
	return r.err;
}

int account_get(struct txn *t, struct str domain, struct str local, struct account_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_ACCOUNT, name_key(&k, domain, local), &value);

	if (!err)
		err = decode(key_str(&k), value, out);
	if (!err) { /* the key is in our frame: the caller's slices live as long as he wants */
		out->domain = domain;
		out->local = local;
	}
	return err;
}

int account_get_by_id(struct txn *t, uint32_t id, struct account_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_ACCOUNT_ID, id_key(&k, id, 0), &value);
	struct recr r;

	if (err)
		return err;
	if ((err = recr_open(&r, value)) != 0)
		return err;
	struct str domain = recr_str(&r), local = recr_str(&r);
	if (r.err)
		return r.err;
	err = account_get(t, domain, local, out);
	/* The name may have been given to somebody else since: he is not the one asked for. */
	return err ? err : out->id == id ? 0 : ERR_NOT_FOUND;
}

static uint32_t next_id(struct txn *t)
{
	struct str value;
	struct recr r;
	struct recw w;
	uint64_t id = 1;

	if (txn_get(t, TAB_META, STR("next account id"), &value) == 0) {
		if (recr_open(&r, value) == 0)
			id = recr_u64(&r);
		/* Starting anew would give away the ids of others. */
		if (r.err || id == 0 || id >= UINT32_MAX)
			txn_fail(t, ERR_CORRUPT);
	}
	recw_init(&w, 64);
	recw_begin(&w, 1);
	recw_u64(&w, id + 1);
	txn_put(t, TAB_META, STR("next account id"), recw_finish(&w), 0);
	recw_clear(&w);
	return (uint32_t)id;
}

int account_create(struct txn *t, struct account_rec *r)
{
	struct account_rec old;
	struct key k;
	struct recw w;
	int err = account_get(t, r->domain, r->local, &old);

	if (err != ERR_NOT_FOUND)
		return err ? err : ERR_EXISTS;
	r->id = next_id(t);
	recw_init(&w, 4096);
	recw_begin(&w, 1);
	recw_str(&w, r->domain);
	recw_str(&w, r->local);
	txn_put(t, TAB_ACCOUNT_ID, id_key(&k, r->id, 0), recw_finish(&w), 0);
	recw_clear(&w);
	account_put(t, r);
	return txn_error(t);
}

int account_delete(struct txn *t, uint32_t id)
{
	struct account_rec r;
	struct key k;
	struct recw w;
	int err = account_get_by_id(t, id, &r);

	if (err)
		return err;
	recw_init(&w, 64);
	recw_begin(&w, TOMBSTONE);
	recw_u64(&w, id);
	struct str name = name_key(&k, r.domain, r.local);
	txn_put(t, TAB_ACCOUNT, name, recw_finish(&w), 0);
	recw_clear(&w);
	txn_del(t, TAB_ACCOUNT_ID, id_key(&k, id, 'd'));
	txn_del(t, TAB_ACCOUNT_ID, id_key(&k, id, 's'));
	return txn_error(t);
}

void account_each(struct txn *t, struct str domain, account_each_fn *fn, void *ctx)
{
	struct scan s;
	struct key prefix;
	bool go_on = true;

	key_init(&prefix);
	key_strz(&prefix, domain);
	scan_open(&s, t, TAB_ACCOUNT, key_str(&prefix), STR_NONE);
	while (go_on && scan_next(&s)) {
		struct account_rec r;
		if (decode(s.key, s.value, &r) == 0)
			go_on = fn(ctx, &r);
	}
	scan_close(&s);
}

uint64_t account_get_delivered(struct txn *t, uint32_t id)
{
	struct key k;
	struct str value;
	struct recr r;

	if (txn_get(t, TAB_ACCOUNT_ID, id_key(&k, id, 'd'), &value) || recr_open(&r, value))
		return 0;
	return recr_u64(&r);
}

void account_set_delivered(struct txn *t, uint32_t id, uint64_t gid)
{
	struct key k;
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, 1);
	recw_u64(&w, gid);
	txn_put(t, TAB_ACCOUNT_ID, id_key(&k, id, 'd'), recw_finish(&w), 0);
	recw_clear(&w);
}

int account_get_last_seen(struct txn *t, uint32_t id, uint64_t *out_wall_ms, struct str *out_status)
{
	struct key k;
	struct str value;
	struct recr r;
	int err = txn_get(t, TAB_ACCOUNT_ID, id_key(&k, id, 's'), &value);

	if (err)
		return err;
	if ((err = recr_open(&r, value)) != 0)
		return err;
	*out_wall_ms = recr_u64(&r);
	*out_status = recr_str(&r);
	return r.err;
}

void account_set_last_seen(struct txn *t, uint32_t id, uint64_t wall_ms, struct str status)
{
	struct key k;
	struct recw w;

	recw_init(&w, 65536);
	recw_begin(&w, 1);
	recw_u64(&w, wall_ms);
	recw_str(&w, status.n < 60000 ? status : STR_NONE);
	txn_put(t, TAB_ACCOUNT_ID, id_key(&k, id, 's'), recw_finish(&w), 0);
	recw_clear(&w);
}
