/*
 * base/hash: both tables against naive arrays, growth, and removal while iterating.
 */
#include "base/hash.h"
#include "tests/lib/test.h"

enum { KEYS = 600, STEPS = 60000 };

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void *value_of(uint64_t r)
{
	static char values[256];
	return &values[r >> 32 & 255];
}

TEST(put_get_del)
{
	char one[] = "1", two[] = "2", empty[] = "empty";
	struct hash *h = hash_new();
	ok(hash_get(h, STR("a")) == NULL && hash_del(h, STR("a")) == NULL, "an empty table");
	is_ptr(hash_put(h, STR("a"), one), NULL);
	char key[] = "a";
	is_ptr(hash_put(h, str_of(key, 1), two), one);
	is_int(hash_count(h), 1);
	is_ptr(hash_get(h, STR("a")), two);
	size_t pos = 0;
	struct str shown;
	ok(hash_next(h, &pos, &shown, NULL) && shown.p == key, "on replace the stored key becomes the new one");
	is_ptr(hash_put(h, STR_NONE, empty), NULL);
	is_ptr(hash_get(h, STR("")), empty);
	is_ptr(hash_del(h, STR("a")), two);
	is_int(hash_count(h), 1);
	hash_free(h);
	hash_free(NULL);
}

TEST(strings_agree_with_an_array)
{
	static char names[KEYS][16];
	void *model[KEYS] = { 0 };
	size_t count = 0;
	uint64_t state = 7;
	bool same = true;
	struct hash *h = hash_new();
	for (int i = 0; i < KEYS; i++)
		(void)snprintf(names[i], sizeof(names[i]), "key%d", i);
	for (int i = 0; i < STEPS; i++) {
		uint64_t r = next_random(&state);
		/* Phases of growth and of decline, so that tombstones pile up and the table is made anew both ways. */
		unsigned k = (unsigned)(r % KEYS), putting = i / 5000 % 2 ? 2 : 6;
		struct str key = str_c(names[k]);
		if (r >> 16 & 1) {
			same = same && hash_get(h, key) == model[k];
		} else if ((r >> 20 & 7) < putting) {
			void *v = value_of(r);
			same = same && hash_put(h, key, v) == model[k];
			count += !model[k];
			model[k] = v;
		} else {
			same = same && hash_del(h, key) == model[k];
			count -= model[k] != NULL;
			model[k] = NULL;
		}
		same = same && hash_count(h) == count;
	}
	for (int k = 0; k < KEYS; k++)
		same = same && hash_get(h, str_c(names[k])) == model[k];
	ok(same, "%d random steps", STEPS);
	size_t pos = 0, seen = 0;
	struct str key;
	void *v;
	while (hash_next(h, &pos, &key, &v)) {
		same = same && model[atoi(key.p + 3)] == v;
		seen++;
	}
	ok(same, "iteration shows the true values");
	is_int(seen, count);
	hash_free(h);
}

TEST(numbers_agree_with_an_array)
{
	void *model[KEYS] = { 0 };
	bool there[KEYS] = { false };
	size_t count = 0;
	uint64_t state = 9;
	bool same = true;
	struct idmap *m = idmap_new();
	for (int i = 0; i < STEPS; i++) {
		uint64_t r = next_random(&state);
		unsigned k = (unsigned)(r % KEYS), putting = i / 5000 % 2 ? 2 : 6;
		uint64_t key = k % 2 ? k : UINT64_MAX - k; /* 0 and the largest among them */
		if (r >> 16 & 1) {
			same = same && idmap_get(m, key) == model[k];
		} else if ((r >> 20 & 7) < putting) {
			void *v = k % 7 ? value_of(r) : NULL; /* NULL is a value too */
			same = same && idmap_put(m, key, v) == model[k];
			count += !there[k];
			there[k] = true;
			model[k] = v;
		} else {
			same = same && idmap_del(m, key) == model[k];
			count -= there[k];
			there[k] = false;
			model[k] = NULL;
		}
		same = same && idmap_count(m) == count;
	}
	ok(same, "%d random steps", STEPS);
	size_t pos = 0, seen = 0;
	uint64_t key;
	void *v;
	while (idmap_next(m, &pos, &key, &v)) {
		size_t k = key < KEYS ? key : UINT64_MAX - key;
		same = same && there[k] && model[k] == v;
		seen++;
	}
	ok(same, "iteration shows the true values");
	is_int(seen, count);
	idmap_free(m);
	idmap_free(NULL);
}

TEST(the_current_entry_may_be_removed)
{
	static char names[500][16];
	struct hash *h = hash_new();
	struct idmap *m = idmap_new();
	for (uint64_t i = 0; i < 500; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "k%d", (int)i);
		hash_put(h, str_c(names[i]), names[i]);
		idmap_put(m, i, names[i]);
	}
	size_t pos = 0, seen = 0;
	struct str key;
	while (hash_next(h, &pos, &key, NULL)) {
		seen++;
		if (seen % 3)
			hash_del(h, key);
	}
	is_int(seen, 500);
	is_int(hash_count(h), 166);
	seen = 0;
	uint64_t id;
	for (pos = 0; idmap_next(m, &pos, &id, NULL); seen++)
		idmap_del(m, id);
	is_int(seen, 500);
	is_int(idmap_count(m), 0);
	pos = 0;
	ok(!idmap_next(m, &pos, &id, NULL), "empty");
	hash_free(h);
	idmap_free(m);
}

/* Sessions come and go for months: the same few entries put and removed must neither fill the table nor slow it
 * down for ever. */
TEST(churn_does_not_fill_the_table)
{
	struct idmap *m = idmap_new();
	bool right = true;
	for (uint64_t i = 0; i < 200000; i++) {
		idmap_put(m, i, &right);
		right = right && (i < 10 || idmap_del(m, i - 10) == &right);
	}
	ok(right, "every entry was found");
	is_int(idmap_count(m), 10);
	idmap_free(m);
}
