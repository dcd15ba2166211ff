/* Notifications: records per person, small index entries by what portals name them. */
#include "storage/tab_notify.h"
#include "storage/key.h"
#include "storage/record.h"

enum { RECORD_BYTES = 1 << 20 };

/* ---- keys ---- */

static void own_key(struct key *k, uint32_t account, char kind)
{
	key_init(k);
	key_u32(k, account);
	key_u8(k, (uint8_t)kind);
}

static struct str own_gid(struct key *k, uint32_t account, char kind, uint64_t gid)
{
	own_key(k, account, kind);
	key_u64(k, gid);
	return key_str(k);
}

static void name_key(struct key *k, char kind, struct str name)
{
	key_init(k);
	key_u8(k, (uint8_t)kind);
	key_strz(k, name);
}

/* account 0: the prefix of everybody; gid 0: of all of one. */
static struct str hit_key(struct key *k, uint32_t account, uint64_t gid)
{
	if (account)
		key_u32(k, account);
	if (gid)
		key_u64(k, gid);
	return key_str(k);
}

static void put_nothing(struct txn *t, enum table tab, struct str key)
{
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, 1);
	txn_put(t, tab, key, recw_finish(&w), 0);
	recw_clear(&w);
}

static void put_number(struct txn *t, enum table tab, struct str key, uint64_t v)
{
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, 1);
	recw_u64(&w, v);
	txn_put(t, tab, key, recw_finish(&w), 0);
	recw_clear(&w);
}

static uint64_t get_number(struct txn *t, enum table tab, struct str key)
{
	struct str value;
	struct recr r;

	return txn_get(t, tab, key, &value) || recr_open(&r, value) ? 0 : recr_u64(&r);
}

/* ---- records ---- */

static void write_record(struct txn *t, const struct notify_rec *r)
{
	const struct str texts[] = { r->module, r->event,  r->tag,     r->sub_tag,   r->title,	  r->text,  r->plain,
				     r->link,	r->params, r->webhook, r->origin_id, r->first_id, r->result };
	struct recw w;
	struct key k;

	recw_init(&w, RECORD_BYTES);
	recw_begin(&w, 1);
	recw_u64(&w, r->seq);
	recw_u64(&w, r->created_ms);
	recw_u64(&w, r->expires_ms);
	recw_u64(&w, r->from);
	recw_u64(&w, r->type);
	recw_u64(&w, r->flags & ~NOTIFY_READ);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		recw_str(&w, texts[i]);
	recw_u64(&w, r->n_buttons);
	for (size_t i = 0; i < r->n_buttons; i++) {
		recw_str(&w, r->buttons[i].title);
		recw_str(&w, r->buttons[i].value);
		recw_u64(&w, r->buttons[i].accept);
	}
	txn_put(t, TAB_NOTIFY, own_gid(&k, r->to, 'n', r->gid), recw_finish(&w), 0);
	recw_clear(&w);
}

static int decode(struct str value, uint32_t account, uint64_t gid, struct notify_rec *out)
{
	*out = (struct notify_rec){ .gid = gid, .to = account };
	struct str *const texts[] = { &out->module,    &out->event,    &out->tag,   &out->sub_tag, &out->title,
				      &out->text,      &out->plain,    &out->link,  &out->params,  &out->webhook,
				      &out->origin_id, &out->first_id, &out->result };
	struct recr r;
	int err = recr_open(&r, value);

	if (err)
		return err;
	out->seq = recr_u64(&r);
	out->created_ms = recr_u64(&r);
	out->expires_ms = recr_u64(&r);
	out->from = (uint32_t)recr_u64(&r);
	out->type = (enum notify_type)recr_u64(&r);
	out->flags = (unsigned)recr_u64(&r);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		*texts[i] = recr_str(&r);
	uint64_t n = recr_u64(&r);
	if (n > NOTIFY_BUTTONS_MAX)
		return ERR_CORRUPT;
	for (; out->n_buttons < n; out->n_buttons++) {
		struct notify_button *b = &out->buttons[out->n_buttons];
		b->title = recr_str(&r);
		b->value = recr_str(&r);
		b->accept = recr_u64(&r) != 0;
	}
	return r.err;
}

/* The index entries of a record. Made before anything is written: the texts may lie in the store. */
struct index_key {
	struct key k;
	bool names_one; /* the value is the number */
};

static size_t index_keys(const struct notify_rec *r, struct index_key out[5])
{
	size_t n = 0;

	if (r->tag.n) {
		name_key(&out[n].k, 't', r->tag);
		hit_key(&out[n].k, r->to, 0);
		out[n++].names_one = true;
	}
	if (r->origin_id.n) {
		name_key(&out[n].k, 'o', r->origin_id);
		hit_key(&out[n].k, r->to, 0);
		out[n++].names_one = true;
	}
	if (r->sub_tag.n) {
		name_key(&out[n].k, 's', r->sub_tag);
		hit_key(&out[n].k, r->to, r->gid);
		out[n++].names_one = false;
	}
	if (r->module.n) {
		name_key(&out[n].k, 'm', r->module);
		key_strz(&out[n].k, r->event);
		hit_key(&out[n].k, r->to, r->gid);
		out[n++].names_one = false;
	}
	if (r->expires_ms) {
		key_init(&out[n].k);
		key_u8(&out[n].k, 'x');
		key_u64(&out[n].k, r->expires_ms);
		hit_key(&out[n].k, r->to, r->gid);
		out[n++].names_one = false;
	}
	return n;
}

void notify_rec_put(struct txn *t, const struct notify_rec *r)
{
	struct index_key index[5];
	size_t n = index_keys(r, index);

	write_record(t, r);
	notify_set_read(t, r->to, r->gid, (r->flags & (NOTIFY_READ | NOTIFY_UNCOUNTED)) != 0);
	for (size_t i = 0; i < n; i++) {
		if (index[i].names_one)
			put_number(t, TAB_NOTIFY_KEY, key_str(&index[i].k), r->gid);
		else
			put_nothing(t, TAB_NOTIFY_KEY, key_str(&index[i].k));
	}
}

int notify_rec_get(struct txn *t, uint32_t account, uint64_t gid, struct notify_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_NOTIFY, own_gid(&k, account, 'n', gid), &value);

	if (!err)
		err = decode(value, account, gid, out);
	if (!err && notify_is_read(t, account, gid))
		out->flags |= NOTIFY_READ;
	return err;
}

bool notify_rec_del(struct txn *t, uint32_t account, uint64_t gid)
{
	struct index_key index[5];
	struct notify_rec r;
	struct key k;

	if (notify_rec_get(t, account, gid, &r))
		return false;
	size_t n = index_keys(&r, index);
	for (size_t i = 0; i < n; i++) /* a tag may be another's by now */
		if (!index[i].names_one || get_number(t, TAB_NOTIFY_KEY, key_str(&index[i].k)) == gid)
			txn_del(t, TAB_NOTIFY_KEY, key_str(&index[i].k));
	txn_del(t, TAB_NOTIFY, own_gid(&k, account, 'u', gid));
	return txn_del(t, TAB_NOTIFY, own_gid(&k, account, 'n', gid));
}

uint64_t notify_rec_by_tag(struct txn *t, uint32_t account, struct str tag)
{
	struct key k;

	if (!tag.n)
		return 0;
	name_key(&k, 't', tag);
	return get_number(t, TAB_NOTIFY_KEY, hit_key(&k, account, 0));
}

uint64_t notify_rec_by_origin(struct txn *t, uint32_t account, struct str origin_id)
{
	struct key k;

	if (!origin_id.n)
		return 0;
	name_key(&k, 'o', origin_id);
	return get_number(t, TAB_NOTIFY_KEY, hit_key(&k, account, 0));
}

void notify_rec_each(struct txn *t, uint32_t account, uint64_t before, notify_rec_fn *fn, void *ctx)
{
	struct key prefix, from;
	struct scan s;
	struct notify_rec r;

	own_key(&prefix, account, 'n');
	own_gid(&from, account, 'n', before - 1);
	scan_open_reverse(&s, t, TAB_NOTIFY, key_str(&prefix), before ? key_str(&from) : STR_NONE);
	while (scan_next(&s)) {
		struct str key = s.key;
		key_get_u32(&key);
		key_get_u8(&key);
		uint64_t gid = key_get_u64(&key);
		if (decode(s.value, account, gid, &r))
			continue;
		if (notify_is_read(t, account, gid))
			r.flags |= NOTIFY_READ;
		if (!fn(ctx, &r))
			break;
	}
	scan_close(&s);
}

/* Entries of one kind, counted up to max; the number of the first. */
static size_t count_own(struct txn *t, uint32_t account, char kind, size_t max, uint64_t *out_first)
{
	struct key prefix;
	struct scan s;
	size_t n = 0;

	*out_first = 0;
	own_key(&prefix, account, kind);
	scan_open(&s, t, TAB_NOTIFY, key_str(&prefix), STR_NONE);
	while (n < max && scan_next(&s)) {
		struct str key = s.key;
		key_get_u32(&key);
		key_get_u8(&key);
		if (!n++)
			*out_first = key_get_u64(&key);
	}
	scan_close(&s);
	return n;
}

size_t notify_rec_count(struct txn *t, uint32_t account, size_t max, uint64_t *out_oldest)
{
	return count_own(t, account, 'n', max, out_oldest);
}

/* ---- read and unread ---- */

uint32_t notify_unread_count(struct txn *t, uint32_t account, uint32_t max, uint64_t *out_first)
{
	return (uint32_t)count_own(t, account, 'u', max, out_first);
}

bool notify_is_read(struct txn *t, uint32_t account, uint64_t gid)
{
	struct key k;
	struct str value;

	return txn_get(t, TAB_NOTIFY, own_gid(&k, account, 'u', gid), &value) != 0;
}

bool notify_set_read(struct txn *t, uint32_t account, uint64_t gid, bool read)
{
	struct key k;

	if (notify_is_read(t, account, gid) == read)
		return false;
	if (read)
		return txn_del(t, TAB_NOTIFY, own_gid(&k, account, 'u', gid));
	put_nothing(t, TAB_NOTIFY, own_gid(&k, account, 'u', gid));
	return true;
}

size_t notify_set_read_to(struct txn *t, uint32_t account, uint64_t gid)
{
	struct key prefix;
	struct scan s;
	size_t n = 0;

	own_key(&prefix, account, 'u');
	scan_open(&s, t, TAB_NOTIFY, key_str(&prefix), STR_NONE);
	while (scan_next(&s)) {
		struct str key = s.key;
		key_get_u32(&key);
		key_get_u8(&key);
		if (key_get_u64(&key) > gid)
			break;
		txn_del(t, TAB_NOTIFY, s.key);
		n++;
	}
	scan_close(&s);
	return n;
}

/* ---- hits ---- */

/* Keys with the prefix, which end with account and gid. */
static void each_hit(struct txn *t, struct str prefix, notify_hit_fn *fn, void *ctx)
{
	struct scan s;

	scan_open(&s, t, TAB_NOTIFY_KEY, prefix, STR_NONE);
	while (scan_next(&s)) {
		struct str end = str_of(s.key.p + s.key.n - 12, 12);
		uint32_t account = key_get_u32(&end);
		if (!fn(ctx, account, key_get_u64(&end)))
			break;
	}
	scan_close(&s);
}

void notify_hits_tag(struct txn *t, struct str tag, uint32_t account, notify_hit_fn *fn, void *ctx)
{
	struct key k;
	struct scan s;
	struct recr r;

	name_key(&k, 't', tag);
	scan_open(&s, t, TAB_NOTIFY_KEY, hit_key(&k, account, 0), STR_NONE);
	while (scan_next(&s)) {
		struct str end = str_of(s.key.p + s.key.n - 4, 4);
		if (recr_open(&r, s.value))
			continue;
		if (!fn(ctx, key_get_u32(&end), recr_u64(&r)))
			break;
	}
	scan_close(&s);
}

void notify_hits_sub_tag(struct txn *t, struct str sub_tag, uint32_t account, notify_hit_fn *fn, void *ctx)
{
	struct key k;

	name_key(&k, 's', sub_tag);
	each_hit(t, hit_key(&k, account, 0), fn, ctx);
}

struct only_account {
	uint32_t account;
	notify_hit_fn *fn;
	void *ctx;
};

static bool of_account(void *ctx, uint32_t account, uint64_t gid)
{
	struct only_account *o = ctx;

	return (o->account && account != o->account) || o->fn(o->ctx, account, gid);
}

void notify_hits_module(struct txn *t, struct str module, struct str event, uint32_t account, notify_hit_fn *fn,
			void *ctx)
{
	struct only_account o = { account, fn, ctx };
	struct key k;

	name_key(&k, 'm', module);
	if (event.n) {
		key_strz(&k, event);
		hit_key(&k, account, 0);
	}
	each_hit(t, key_str(&k), of_account, &o);
}

void notify_hits_expired(struct txn *t, uint64_t now_ms, notify_hit_fn *fn, void *ctx)
{
	struct key k;
	struct scan s;

	key_init(&k);
	key_u8(&k, 'x');
	scan_open(&s, t, TAB_NOTIFY_KEY, key_str(&k), STR_NONE);
	while (scan_next(&s)) {
		struct str key = s.key;
		key_get_u8(&key);
		if (key_get_u64(&key) > now_ms)
			break;
		uint32_t account = key_get_u32(&key);
		if (!fn(ctx, account, key_get_u64(&key)))
			break;
	}
	scan_close(&s);
}

/* ---- channels ---- */

static struct str channel_key(struct key *k, uint32_t account, struct str module, struct str event)
{
	own_key(k, account, 'w');
	key_strz(k, module);
	key_tail(k, event);
	return key_str(k);
}

static bool read_channels(struct str value, unsigned *out_known, unsigned *out_on)
{
	struct recr r;

	if (recr_open(&r, value))
		return false;
	*out_known = (unsigned)recr_u64(&r);
	*out_on = (unsigned)recr_u64(&r);
	return r.err == 0;
}

void notify_channels_get(struct txn *t, uint32_t account, struct str module, struct str event, unsigned *out_known,
			 unsigned *out_on)
{
	struct key k;
	struct str value;

	*out_known = *out_on = 0;
	if (txn_get(t, TAB_NOTIFY, channel_key(&k, account, module, event), &value) == 0 &&
	    read_channels(value, out_known, out_on))
		return;
	*out_known = *out_on = 0;
}

void notify_channels_set(struct txn *t, uint32_t account, struct str module, struct str event, unsigned known,
			 unsigned on)
{
	struct key k;
	struct recw w;

	recw_init(&w, 64);
	recw_begin(&w, 1);
	recw_u64(&w, known);
	recw_u64(&w, on);
	txn_put(t, TAB_NOTIFY, channel_key(&k, account, module, event), recw_finish(&w), 0);
	recw_clear(&w);
}

void notify_channels_each(struct txn *t, uint32_t account,
			  bool (*fn)(void *ctx, struct str module, struct str event, unsigned known, unsigned on),
			  void *ctx)
{
	struct key prefix;
	struct scan s;
	unsigned known, on;

	own_key(&prefix, account, 'w');
	scan_open(&s, t, TAB_NOTIFY, key_str(&prefix), STR_NONE);
	while (scan_next(&s)) {
		struct str key = s.key;
		key_get_u32(&key);
		key_get_u8(&key);
		struct str module = key_get_strz(&key);
		if (read_channels(s.value, &known, &on) && !fn(ctx, module, key, known, on))
			break;
	}
	scan_close(&s);
}
