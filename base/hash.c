/*
 * Two hash tables with open addressing and linear probing: string keys and 64-bit keys. One thread per table; keys
 * and values belong to the caller. A removed entry leaves a tombstone (unless the next place is empty), so entries
 * never move except when a put makes the table anew; that is what allows removing the current entry while
 * iterating.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include <assert.h>

enum { FIRST_SIZE = 8 };

/* Places for n entries at less than 3/4 full, at least twice what is there, so that making anew is rare. */
static size_t size_for(size_t n)
{
	size_t size = FIRST_SIZE;
	while (size / 2 < n + 1)
		size *= 2;
	return size;
}

/* ---- string keys ---- */

/* Marks in slot.hash; real hashes are moved above them. */
enum { EMPTY = 0, GONE = 1, FIRST_REAL = 2 };

struct slot {
	uint64_t hash;
	struct str key;
	void *value;
};
struct hash {
	struct slot *v;
	size_t size;   /* power of two, or 0 */
	size_t live;   /* entries */
	size_t filled; /* entries and tombstones */
};

struct hash *hash_new(void)
{
	return NEW(struct hash);
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	mem_free(h->v);
	mem_free(h);
}

static uint64_t key_hash(struct str key)
{
	uint64_t x = str_hash(key);
	return x < FIRST_REAL ? x + FIRST_REAL : x;
}

static struct slot *hash_find(const struct hash *h, struct str key, uint64_t x)
{
	if (h->size == 0)
		return NULL;
	for (size_t i = x & (h->size - 1);; i = (i + 1) & (h->size - 1)) {
		struct slot *s = &h->v[i];
		if (s->hash == x && str_eq(s->key, key))
			return s;
		if (s->hash == EMPTY)
			return NULL;
	}
}

/* First free place on the way of x; there is always one. */
static struct slot *hash_place(const struct hash *h, uint64_t x)
{
	size_t i = x & (h->size - 1);
	while (h->v[i].hash >= FIRST_REAL)
		i = (i + 1) & (h->size - 1);
	return &h->v[i];
}

static void hash_rebuild(struct hash *h)
{
	struct slot *old = h->v;
	size_t old_size = h->size;
	h->size = size_for(h->live);
	h->v = mem_zero(h->size * sizeof(struct slot));
	h->filled = h->live;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].hash >= FIRST_REAL)
			*hash_place(h, old[i].hash) = old[i];
	}
	mem_free(old);
}

void *hash_get(const struct hash *h, struct str key)
{
	if (h->live == 0)
		return NULL;
	struct slot *s = hash_find(h, key, key_hash(key));
	return s ? s->value : NULL;
}

void *hash_put(struct hash *h, struct str key, void *value)
{
	uint64_t x = key_hash(key);
	struct slot *s = hash_find(h, key, x);
	if (s) {
		void *former = s->value;
		s->key = key;
		s->value = value;
		return former;
	}
	if ((h->filled + 1) * 4 > h->size * 3)
		hash_rebuild(h);
	s = hash_place(h, x);
	h->filled += s->hash == EMPTY;
	h->live++;
	*s = (struct slot){ x, key, value };
	return NULL;
}

void *hash_del(struct hash *h, struct str key)
{
	struct slot *s = h->live > 0 ? hash_find(h, key, key_hash(key)) : NULL;
	if (!s)
		return NULL;
	void *value = s->value;
	size_t i = (size_t)(s - h->v);
	bool at_end = h->v[(i + 1) & (h->size - 1)].hash == EMPTY;
	*s = (struct slot){ .hash = at_end ? EMPTY : GONE };
	h->filled -= at_end;
	h->live--;
	return value;
}

size_t hash_count(const struct hash *h)
{
	return h->live;
}

bool hash_next(const struct hash *h, size_t *pos, struct str *out_key, void **out_value)
{
	for (; *pos < h->size; (*pos)++) {
		const struct slot *s = &h->v[*pos];
		if (s->hash < FIRST_REAL)
			continue;
		if (out_key)
			*out_key = s->key;
		if (out_value)
			*out_value = s->value;
		(*pos)++;
		return true;
	}
	return false;
}

/* ---- 64-bit keys ---- */

/* The value says what a place is: NULL empty, &gone_mark a tombstone, &null_mark an entry whose value is NULL. */
static char gone_mark, null_mark;

struct idslot {
	uint64_t key;
	void *value;
};
struct idmap {
	struct idslot *v;
	size_t size, live, filled; /* as in struct hash */
};

static uint64_t id_seed;

/* Numbers may come from outside (a client names a chat), so their places are not foreseeable either. */
__attribute__((constructor)) static void draw_id_seed(void)
{
	id_seed = random_u64();
}

static uint64_t id_hash(uint64_t key)
{
	uint64_t x = (key ^ id_seed) * 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

static bool is_entry(const struct idslot *s)
{
	return s->value && s->value != &gone_mark;
}

static void *shown(const struct idslot *s)
{
	return s->value == &null_mark ? NULL : s->value;
}

struct idmap *idmap_new(void)
{
	return NEW(struct idmap);
}

void idmap_free(struct idmap *m)
{
	if (!m)
		return;
	mem_free(m->v);
	mem_free(m);
}

static struct idslot *idmap_find(const struct idmap *m, uint64_t key)
{
	if (m->size == 0)
		return NULL;
	for (size_t i = id_hash(key) & (m->size - 1);; i = (i + 1) & (m->size - 1)) {
		struct idslot *s = &m->v[i];
		if (s->key == key && is_entry(s))
			return s;
		if (!s->value)
			return NULL;
	}
}

static struct idslot *idmap_place(const struct idmap *m, uint64_t key)
{
	size_t i = id_hash(key) & (m->size - 1);
	while (is_entry(&m->v[i]))
		i = (i + 1) & (m->size - 1);
	return &m->v[i];
}

static void idmap_rebuild(struct idmap *m)
{
	struct idslot *old = m->v;
	size_t old_size = m->size;
	m->size = size_for(m->live);
	m->v = mem_zero(m->size * sizeof(struct idslot));
	m->filled = m->live;
	for (size_t i = 0; i < old_size; i++) {
		if (is_entry(&old[i]))
			*idmap_place(m, old[i].key) = old[i];
	}
	mem_free(old);
}

void *idmap_get(const struct idmap *m, uint64_t key)
{
	struct idslot *s = idmap_find(m, key);
	return s ? shown(s) : NULL;
}

void *idmap_put(struct idmap *m, uint64_t key, void *value)
{
	if (!value)
		value = &null_mark;
	struct idslot *s = idmap_find(m, key);
	if (s) {
		void *former = shown(s);
		s->value = value;
		return former;
	}
	if ((m->filled + 1) * 4 > m->size * 3)
		idmap_rebuild(m);
	s = idmap_place(m, key);
	m->filled += !s->value;
	m->live++;
	*s = (struct idslot){ key, value };
	return NULL;
}

void *idmap_del(struct idmap *m, uint64_t key)
{
	struct idslot *s = idmap_find(m, key);
	if (!s)
		return NULL;
	void *value = shown(s);
	size_t i = (size_t)(s - m->v);
	bool at_end = !m->v[(i + 1) & (m->size - 1)].value;
	*s = (struct idslot){ .value = at_end ? NULL : &gone_mark };
	m->filled -= at_end;
	m->live--;
	return value;
}

size_t idmap_count(const struct idmap *m)
{
	return m->live;
}

bool idmap_next(const struct idmap *m, size_t *pos, uint64_t *out_key, void **out_value)
{
	for (; *pos < m->size; (*pos)++) {
		const struct idslot *s = &m->v[*pos];
		if (!is_entry(s))
			continue;
		if (out_key)
			*out_key = s->key;
		if (out_value)
			*out_value = shown(s);
		(*pos)++;
		return true;
	}
	return false;
}
