/* Chats, their names and members. See tab_chat.h. Writer thread for writes, any for reads. */
#include "storage/tab_chat.h"
#include "base/mem.h"
#include "storage/key.h"
#include "storage/record.h"

enum { RECORD_VERSION = 1, RECORD_MAX = 1 << 20, SMALL_MAX = 4096 };
#define KIND_NAME 'n'
#define KIND_ENTITY 'e'
#define KIND_DEPARTMENT 'd'

/* ---- counters in META ---- */

static uint64_t next_number(struct txn *t)
{
	struct recr r;
	struct recw w;
	struct str v;
	uint64_t n = 0;

	if (txn_get(t, TAB_META, STR("next chat id"), &v) == 0 && recr_open(&r, v) == 0)
		n = recr_u64(&r);
	n++;
	recw_init(&w, SMALL_MAX);
	recw_begin(&w, 1);
	recw_u64(&w, n);
	txn_put(t, TAB_META, STR("next chat id"), recw_finish(&w), 0);
	recw_clear(&w);
	return n;
}

static struct str structure_key(struct key *k, struct str domain)
{
	key_init(k);
	key_strz(k, STR("chat structure"));
	key_tail(k, domain);
	return key_str(k);
}

void chat_structure_get(struct txn *t, struct str domain, uint64_t *out_version, uint64_t *out_options)
{
	struct key k;
	struct recr r;
	struct str v;

	*out_version = *out_options = 0;
	if (txn_get(t, TAB_META, structure_key(&k, domain), &v) || recr_open(&r, v))
		return;
	*out_version = recr_u64(&r);
	*out_options = recr_u64(&r);
}

void chat_structure_set(struct txn *t, struct str domain, uint64_t version, uint64_t options)
{
	struct key k;
	struct recw w;

	recw_init(&w, SMALL_MAX);
	recw_begin(&w, 1);
	recw_u64(&w, version);
	recw_u64(&w, options);
	txn_put(t, TAB_META, structure_key(&k, domain), recw_finish(&w), 0);
	recw_clear(&w);
}

/* ---- names ---- */

static void name_begin(struct key *k, struct str domain, uint8_t kind)
{
	key_init(k);
	key_strz(k, domain);
	key_u8(k, kind);
}

static struct str name_key(struct key *k, struct str domain, struct str name)
{
	name_begin(k, domain, KIND_NAME);
	key_tail(k, name);
	return key_str(k);
}

static struct str entity_key(struct key *k, struct str domain, struct str type, struct str id)
{
	name_begin(k, domain, KIND_ENTITY);
	key_strz(k, type);
	key_tail(k, id);
	return key_str(k);
}

static struct str department_key(struct key *k, struct str domain, uint32_t department)
{
	name_begin(k, domain, KIND_DEPARTMENT);
	key_u32(k, department);
	return key_str(k);
}

static uint64_t number_at(struct txn *t, struct str key)
{
	struct recr r;
	struct str v;

	return txn_get(t, TAB_CHAT_NAME, key, &v) == 0 && recr_open(&r, v) == 0 ? recr_u64(&r) : 0;
}

static void name_put(struct txn *t, struct str key, uint64_t number)
{
	struct recw w;

	recw_init(&w, SMALL_MAX);
	recw_begin(&w, 1);
	recw_u64(&w, number);
	txn_put(t, TAB_CHAT_NAME, key, recw_finish(&w), 0);
	recw_clear(&w);
}

uint64_t chat_by_name(struct txn *t, struct str domain, struct str name)
{
	struct key k;

	return number_at(t, name_key(&k, domain, name));
}

uint64_t chat_by_entity(struct txn *t, struct str domain, struct str type, struct str id)
{
	struct key k;

	return number_at(t, entity_key(&k, domain, type, id));
}

uint64_t chat_by_department(struct txn *t, struct str domain, uint32_t department)
{
	struct key k;

	return number_at(t, department_key(&k, domain, department));
}

static bool has_department(const struct chat_rec *r)
{
	return (r->flags & (CHAT_IS_DEPARTMENT | CHAT_IS_GENERAL)) != 0;
}

/* ---- records ---- */

static struct str chat_key(struct key *k, uint64_t number)
{
	key_init(k);
	key_u64(k, number);
	return key_str(k);
}

static int decode(struct str value, uint64_t number, struct chat_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	*out = (struct chat_rec){ .number = number };
	if (err)
		return err;
	out->domain = recr_str(&r);
	out->title = recr_str(&r);
	out->description = recr_str(&r);
	out->alias = recr_str(&r);
	out->subject = recr_str(&r);
	out->subject_author = (uint32_t)recr_u64(&r);
	out->subject_ms = recr_u64(&r);
	out->colour = (uint8_t)recr_u64(&r);
	out->flags = (unsigned)recr_u64(&r);
	out->owner = (uint32_t)recr_u64(&r);
	out->author = (uint32_t)recr_u64(&r);
	out->department = (uint32_t)recr_u64(&r);
	for (int i = 0; i < CHAT_PERMISSIONS; i++)
		out->permission[i] = (uint8_t)recr_u64(&r);
	out->avatar = recr_str(&r);
	out->avatar_type = recr_str(&r);
	out->entity_type = recr_str(&r);
	out->entity_id = recr_str(&r);
	for (int i = 0; i < CHAT_ENTITY_DATA; i++)
		out->entity_data[i] = recr_str(&r);
	out->created_ms = recr_u64(&r);
	out->version = recr_u64(&r);
	out->n_members = (uint32_t)recr_u64(&r);
	return r.err;
}

static void encode(struct recw *w, const struct chat_rec *r)
{
	recw_begin(w, RECORD_VERSION);
	recw_str(w, r->domain);
	recw_str(w, r->title);
	recw_str(w, r->description);
	recw_str(w, r->alias);
	recw_str(w, r->subject);
	recw_u64(w, r->subject_author);
	recw_u64(w, r->subject_ms);
	recw_u64(w, r->colour);
	recw_u64(w, r->flags);
	recw_u64(w, r->owner);
	recw_u64(w, r->author);
	recw_u64(w, r->department);
	for (int i = 0; i < CHAT_PERMISSIONS; i++)
		recw_u64(w, r->permission[i]);
	recw_str(w, r->avatar);
	recw_str(w, r->avatar_type);
	recw_str(w, r->entity_type);
	recw_str(w, r->entity_id);
	for (int i = 0; i < CHAT_ENTITY_DATA; i++)
		recw_str(w, r->entity_data[i]);
	recw_u64(w, r->created_ms);
	recw_u64(w, r->version);
	recw_u64(w, r->n_members);
}

static void write_rec(struct txn *t, const struct chat_rec *r)
{
	struct key k;
	struct recw w;

	recw_init(&w, RECORD_MAX);
	encode(&w, r);
	txn_put(t, TAB_CHAT, chat_key(&k, r->number), recw_finish(&w), 0);
	recw_clear(&w);
}

void chat_rec_copy(struct arena *a, struct chat_rec *r)
{
	struct str *const text[] = { &r->domain,    &r->title,		&r->description,    &r->alias,
				     &r->subject,   &r->avatar,		&r->avatar_type,    &r->entity_type,
				     &r->entity_id, &r->entity_data[0], &r->entity_data[1], &r->entity_data[2] };

	for (size_t i = 0; i < sizeof text / sizeof *text; i++)
		*text[i] = arena_str(a, *text[i]);
}

int chat_rec_create(struct txn *t, struct chat_rec *r)
{
	struct key alias, entity, department;

	if (txn_error(t))
		return txn_error(t);
	name_key(&alias, r->domain, r->alias);
	entity_key(&entity, r->domain, r->entity_type, r->entity_id);
	department_key(&department, r->domain, r->department);
	if (alias.overflow || entity.overflow)
		return ERR_LIMIT;
	if (r->alias.n && number_at(t, key_str(&alias)))
		return ERR_EXISTS;
	if (r->entity_id.n && number_at(t, key_str(&entity)))
		return ERR_EXISTS;
	if (has_department(r) && number_at(t, key_str(&department)))
		return ERR_EXISTS;
	r->number = next_number(t);
	r->version = 1;
	if (r->alias.n)
		name_put(t, key_str(&alias), r->number);
	if (r->entity_id.n)
		name_put(t, key_str(&entity), r->number);
	if (has_department(r))
		name_put(t, key_str(&department), r->number);
	write_rec(t, r);
	return txn_error(t);
}

int chat_rec_get(struct txn *t, uint64_t number, struct chat_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_CHAT, chat_key(&k, number), &value);

	if (!err)
		err = decode(value, number, out);
	return !err && (out->flags & CHAT_IS_REMOVED) ? ERR_NOT_FOUND : err;
}

void chat_rec_put(struct txn *t, struct chat_rec *r)
{
	r->version++;
	write_rec(t, r);
}

static void drop_names(struct txn *t, const struct chat_rec *r)
{
	struct key k;

	if (r->alias.n)
		txn_del(t, TAB_CHAT_NAME, name_key(&k, r->domain, r->alias));
	if (r->entity_id.n)
		txn_del(t, TAB_CHAT_NAME, entity_key(&k, r->domain, r->entity_type, r->entity_id));
	if (has_department(r))
		txn_del(t, TAB_CHAT_NAME, department_key(&k, r->domain, r->department));
}

static struct str of_key(struct key *k, uint32_t account, uint64_t number)
{
	key_init(k);
	key_u32(k, account);
	key_u64(k, number);
	return key_str(k);
}

void chat_rec_remove(struct txn *t, uint64_t number)
{
	struct chat_rec r;
	struct scan s;
	struct key prefix, k;
	struct arena *a;

	if (chat_rec_get(t, number, &r))
		return;
	a = arena_new(4096);
	chat_rec_copy(a, &r);
	drop_names(t, &r);
	scan_open(&s, t, TAB_CHAT_MEMBER, chat_key(&prefix, number), STR_NONE);
	while (scan_next(&s)) {
		struct str key = s.key;
		key_get_u64(&key);
		uint32_t account = key_get_u32(&key);
		txn_del(t, TAB_CHAT_OF, of_key(&k, account, number));
		txn_del(t, TAB_CHAT_MEMBER, s.key);
	}
	scan_close(&s);
	r.flags |= CHAT_IS_REMOVED;
	r.n_members = 0;
	chat_rec_put(t, &r);
	arena_free(a);
}

/* ---- members ---- */

static struct str member_key(struct key *k, uint64_t number, uint32_t account)
{
	key_init(k);
	key_u64(k, number);
	key_u32(k, account);
	return key_str(k);
}

static int decode_member(struct str value, uint32_t account, struct chat_member_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);

	*out = (struct chat_member_rec){ .account = account };
	if (err)
		return err;
	out->role = (uint8_t)recr_u64(&r);
	out->floor = recr_u64(&r);
	out->joined_ms = recr_u64(&r);
	out->invited_by = (uint32_t)recr_u64(&r);
	return r.err ? r.err : out->role > CHAT_OWNER ? ERR_CORRUPT : 0;
}

int chat_member_get(struct txn *t, uint64_t number, uint32_t account, struct chat_member_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_CHAT_MEMBER, member_key(&k, number, account), &value);

	*out = (struct chat_member_rec){ .account = account, .role = CHAT_NONE };
	return err ? err : decode_member(value, account, out);
}

static bool is_in(struct txn *t, uint64_t number, uint32_t account)
{
	struct chat_member_rec m;

	return chat_member_get(t, number, account, &m) == 0 && m.role >= CHAT_MEMBER;
}

/* CHAT_OF and the count follow the change from `was` to `is`. */
static void count_member(struct txn *t, struct chat_rec *chat, uint32_t account, bool was, bool is)
{
	struct key k;
	struct recw w;

	if (was == is)
		return;
	if (is) {
		recw_init(&w, SMALL_MAX);
		recw_begin(&w, 1);
		txn_put(t, TAB_CHAT_OF, of_key(&k, account, chat->number), recw_finish(&w), 0);
		recw_clear(&w);
		chat->n_members++;
		return;
	}
	txn_del(t, TAB_CHAT_OF, of_key(&k, account, chat->number));
	if (chat->n_members)
		chat->n_members--;
}

void chat_member_put(struct txn *t, struct chat_rec *chat, const struct chat_member_rec *m)
{
	struct key k;
	struct recw w;
	bool was = is_in(t, chat->number, m->account);

	recw_init(&w, SMALL_MAX);
	recw_begin(&w, RECORD_VERSION);
	recw_u64(&w, m->role);
	recw_u64(&w, m->floor);
	recw_u64(&w, m->joined_ms);
	recw_u64(&w, m->invited_by);
	txn_put(t, TAB_CHAT_MEMBER, member_key(&k, chat->number, m->account), recw_finish(&w), 0);
	recw_clear(&w);
	count_member(t, chat, m->account, was, m->role >= CHAT_MEMBER);
}

void chat_member_del(struct txn *t, struct chat_rec *chat, uint32_t account)
{
	struct key k;

	count_member(t, chat, account, is_in(t, chat->number, account), false);
	txn_del(t, TAB_CHAT_MEMBER, member_key(&k, chat->number, account));
}

void chat_member_each(struct txn *t, uint64_t number, chat_member_each_fn *fn, void *ctx)
{
	struct scan s;
	struct key prefix;
	struct chat_member_rec m;
	bool more = true;

	scan_open(&s, t, TAB_CHAT_MEMBER, chat_key(&prefix, number), STR_NONE);
	while (more && scan_next(&s)) {
		struct str key = s.key;
		key_get_u64(&key);
		if (decode_member(s.value, key_get_u32(&key), &m) == 0)
			more = fn(ctx, &m);
	}
	scan_close(&s);
}

size_t chat_of_account(struct txn *t, uint32_t account, uint64_t after, uint64_t *out, size_t max)
{
	struct scan s;
	struct key prefix, from;
	size_t n = 0;

	key_init(&prefix);
	key_u32(&prefix, account);
	scan_open(&s, t, TAB_CHAT_OF, key_str(&prefix), of_key(&from, account, after + 1));
	while (n < max && scan_next(&s)) {
		struct str key = s.key;
		key_get_u32(&key);
		out[n++] = key_get_u64(&key);
	}
	scan_close(&s);
	return n;
}

void chat_each(struct txn *t, struct str domain, uint64_t after, bool (*fn)(void *ctx, const struct chat_rec *r),
	       void *ctx)
{
	struct scan s;
	struct key from;
	struct chat_rec r;
	bool more = true;

	scan_open(&s, t, TAB_CHAT, STR_NONE, chat_key(&from, after + 1));
	while (more && scan_next(&s)) {
		struct str key = s.key;
		if (decode(s.value, key_get_u64(&key), &r) || (r.flags & CHAT_IS_REMOVED) || !str_eq(r.domain, domain))
			continue;
		more = fn(ctx, &r);
	}
	scan_close(&s);
}
