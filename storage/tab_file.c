/* Files: records, address tokens, shared bytes, quota. See tab_file.h for keys and threads. */
#include "storage/tab_file.h"
#include "storage/key.h"
#include "storage/record.h"
#include <string.h>

static struct str number_key(struct key *k, char kind, uint64_t number)
{
	key_init(k);
	key_u8(k, (uint8_t)kind);
	key_u64(k, number);
	return key_str(k);
}

static struct str text_key(struct key *k, char kind, struct str s)
{
	key_init(k);
	key_u8(k, (uint8_t)kind);
	key_tail(k, s);
	return key_str(k);
}

static struct str day_key(struct key *k, uint32_t account, uint32_t day)
{
	key_init(k);
	key_u8(k, 'd');
	key_u32(k, account);
	key_u32(k, day);
	return key_str(k);
}

static struct str tie_key(struct key *k, uint64_t gid, uint64_t number)
{
	key_init(k);
	key_u8(k, 'm');
	key_u64(k, gid);
	key_u64(k, number);
	return key_str(k);
}

static uint64_t get_number(struct txn *t, enum table tab, struct str key)
{
	struct str v;
	struct recr r;

	if (txn_get(t, tab, key, &v) || recr_open(&r, v))
		return 0;
	return recr_u64(&r);
}

static void put_number(struct txn *t, enum table tab, struct str key, uint64_t n)
{
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, 1);
	recw_u64(&w, n);
	txn_put(t, tab, key, recw_finish(&w), 0);
	recw_clear(&w);
}

static void put(struct txn *t, const struct file_rec *r)
{
	struct recw w;
	struct key k;

	recw_init(&w, 8192);
	recw_begin(&w, 1);
	recw_u64(&w, r->state);
	recw_u64(&w, r->owner);
	recw_u64(&w, r->size);
	recw_u64(&w, r->created_ms);
	recw_str(&w, r->token);
	recw_str(&w, r->name);
	recw_str(&w, r->type);
	recw_str(&w, str_of((const char *)r->hash, sizeof r->hash));
	recw_u64(&w, r->width);
	recw_u64(&w, r->height);
	txn_put(t, TAB_FILE, number_key(&k, 'n', r->number), recw_finish(&w), 0);
	recw_clear(&w);
}

void file_create(struct txn *t, struct file_rec *r)
{
	struct key k;

	r->number = get_number(t, TAB_META, STR("next file id"));
	if (!r->number)
		r->number = 1;
	put_number(t, TAB_META, STR("next file id"), r->number + 1);
	put(t, r);
	put_number(t, TAB_FILE, text_key(&k, 't', r->token), r->number);
}

int file_get(struct txn *t, uint64_t number, struct file_rec *out)
{
	struct key k;
	struct str v;
	struct recr r;
	int err = txn_get(t, TAB_FILE, number_key(&k, 'n', number), &v);

	if (err || (err = recr_open(&r, v)) != 0)
		return err;
	*out = (struct file_rec){ .number = number };
	out->state = (uint8_t)recr_u64(&r);
	out->owner = (uint32_t)recr_u64(&r);
	out->size = recr_u64(&r);
	out->created_ms = recr_u64(&r);
	out->token = recr_str(&r);
	out->name = recr_str(&r);
	out->type = recr_str(&r);
	struct str hash = recr_str(&r);
	if (hash.n == sizeof out->hash)
		memcpy(out->hash, hash.p, hash.n);
	out->width = (uint32_t)recr_u64(&r);
	out->height = (uint32_t)recr_u64(&r);
	return r.err;
}

int file_by_token(struct txn *t, struct str token, struct file_rec *out)
{
	struct key k;
	uint64_t number = get_number(t, TAB_FILE, text_key(&k, 't', token));

	return number ? file_get(t, number, out) : ERR_NOT_FOUND;
}

static struct str hash_key(struct key *k, const uint8_t hash[32])
{
	return text_key(k, 'h', str_of((const char *)hash, 32));
}

uint64_t file_sharers(struct txn *t, const uint8_t hash[32])
{
	struct key k;

	return get_number(t, TAB_FILE, hash_key(&k, hash));
}

uint64_t file_total(struct txn *t)
{
	return get_number(t, TAB_FILE, STR("s"));
}

void file_store(struct txn *t, const struct file_rec *r)
{
	struct key k;
	uint64_t n = file_sharers(t, r->hash);

	put(t, r);
	put_number(t, TAB_FILE, hash_key(&k, r->hash), n + 1);
	if (!n)
		put_number(t, TAB_FILE, STR("s"), file_total(t) + r->size);
}

bool file_remove(struct txn *t, const struct file_rec *r)
{
	struct key k;
	bool last = false;

	if (r->state == FILE_STORED) {
		uint64_t n = file_sharers(t, r->hash), total = file_total(t);
		last = n <= 1;
		if (last)
			txn_del(t, TAB_FILE, hash_key(&k, r->hash));
		else
			put_number(t, TAB_FILE, hash_key(&k, r->hash), n - 1);
		if (last)
			put_number(t, TAB_FILE, STR("s"), total > r->size ? total - r->size : 0);
	}
	txn_del(t, TAB_FILE, text_key(&k, 't', r->token));
	txn_del(t, TAB_FILE, number_key(&k, 'n', r->number));
	return last;
}

uint64_t file_day_bytes(struct txn *t, uint32_t account, uint32_t day)
{
	struct key k;

	return get_number(t, TAB_FILE, day_key(&k, account, day));
}

/* Older days of the person go with the first promise of a new one. */
void file_add_day_bytes(struct txn *t, uint32_t account, uint32_t day, uint64_t bytes)
{
	struct key k, prefix;
	uint64_t before = file_day_bytes(t, account, day);
	struct scan s;

	if (!before) {
		key_init(&prefix);
		key_u8(&prefix, 'd');
		key_u32(&prefix, account);
		scan_open(&s, t, TAB_FILE, key_str(&prefix), STR_NONE);
		while (scan_next(&s))
			txn_del(t, TAB_FILE, s.key);
		scan_close(&s);
	}
	put_number(t, TAB_FILE, day_key(&k, account, day), before + bytes);
}

void file_tie(struct txn *t, uint64_t gid, uint64_t number)
{
	struct key k;

	put_number(t, TAB_FILE, tie_key(&k, gid, number), 1);
}

void file_untie(struct txn *t, uint64_t gid, uint64_t number)
{
	struct key k;

	txn_del(t, TAB_FILE, tie_key(&k, gid, number));
}

size_t file_of_message(struct txn *t, uint64_t gid, uint64_t *out, size_t max)
{
	struct scan s;
	struct key prefix;
	size_t n = 0;

	scan_open(&s, t, TAB_FILE, number_key(&prefix, 'm', gid), STR_NONE);
	while (n < max && scan_next(&s)) {
		struct str key = str_of(s.key.p + 9, s.key.n - 9);
		out[n++] = key_get_u64(&key);
	}
	scan_close(&s);
	return n;
}

size_t file_old_slots(struct txn *t, uint64_t before_ms, uint64_t *out, size_t max)
{
	struct scan s;
	size_t n = 0;
	unsigned looked = 0;

	scan_open_reverse(&s, t, TAB_FILE, STR("n"), STR_NONE); /* slots are young: the newest numbers are enough */
	while (n < max && looked++ < 10000 && scan_next(&s)) {
		struct str key = str_of(s.key.p + 1, s.key.n - 1);
		struct file_rec r;
		uint64_t number = key_get_u64(&key);
		if (file_get(t, number, &r) == 0 && r.state == FILE_SLOT && r.created_ms < before_ms)
			out[n++] = number;
	}
	scan_close(&s);
	return n;
}
