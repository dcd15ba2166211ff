/* Both engines behave alike: transactions, sticky errors, scans, the changes hook, and a model test with random operations (D11). */
#include "storage/changes.h"
#include "storage/engine.h"
#include "base/fault.h"
#include "base/mem.h"
#include "tests/unit/storage_both.h"
#include <pthread.h>
#include <stdatomic.h>

static void put1(struct store *s, const char *key, const char *value)
{
	struct txn *t = txn_write(s);

	txn_put(t, TAB_TEST, str_c(key), str_c(value), 0);
	is_int(txn_commit(t), 0);
}

static struct str get1(struct txn *t, const char *key)
{
	struct str v;

	return txn_get(t, TAB_TEST, str_c(key), &v) ? STR("(none)") : v;
}

/* Keys of a scan joined by spaces. */
static const char *keys(struct txn *t, bool reverse, const char *prefix, const char *from)
{
	static char out[2000];
	size_t n = 0;
	struct scan sc;

	(reverse ? scan_open_reverse : scan_open)(&sc, t, TAB_TEST, str_c(prefix), str_c(from));
	while (scan_next(&sc) && n < sizeof(out) - 100)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s", n ? " " : "", STR_ARG(sc.key));
	out[n] = 0;
	ok(!scan_next(&sc), "a scan at its end stays there");
	scan_close(&sc);
	return out;
}

BOTH(put_get_del)
{
	struct txn *t = txn_write(s);
	struct str v;

	is_int(txn_get(t, TAB_TEST, STR("a"), &v), ERR_NOT_FOUND);
	is_int(txn_error(t), 0);
	txn_put(t, TAB_TEST, STR("a"), STR("1"), 0);
	txn_put(t, TAB_TEST, STR("a"), STR("2"), 0);
	txn_put(t, TAB_META, STR("a"), STR("other table"), 0);
	txn_put(t, TAB_TEST, STR("empty"), STR(""), 0);
	is_str(get1(t, "a"), STR("2"));
	ok(!txn_del(t, TAB_TEST, STR("b")), "an absent key is not deleted");
	is_int(txn_commit(t), 0);

	t = txn_read(s);
	is_str(get1(t, "a"), STR("2"));
	is_str(get1(t, "empty"), STR(""));
	is_int(txn_commit(t), 0);

	t = txn_write(s);
	ok(txn_del(t, TAB_TEST, STR("a")), "deleted");
	is_str(get1(t, "a"), STR("(none)"));
	is_int(txn_commit(t), 0);
	t = txn_read(s);
	is_str(get1(t, "a"), STR("(none)"));
	is_int(txn_get(t, TAB_META, STR("a"), &v), 0);
	txn_abort(t);
}

BOTH(abort_and_snapshot)
{
	put1(s, "k", "old");
	struct txn *r = txn_read(s), *w = txn_write(s);

	txn_put(w, TAB_TEST, STR("k"), STR("new"), 0);
	is_str(get1(w, "k"), STR("new"));
	is_str(get1(r, "k"), STR("old"));
	txn_abort(w);
	put1(s, "k", "newer");
	struct txn *r2 = txn_read(s);

	is_str(get1(r, "k"), STR("old"));
	is_str(get1(r2, "k"), STR("newer"));
	txn_abort(r);
	txn_abort(r2);
	struct store_info i;

	store_get_info(s, &i);
	is_int(i.readers, 0);
}

BOTH(sticky_error)
{
	struct txn *t = txn_write(s);
	struct str v;
	char longest[512];

	memset(longest, 'x', sizeof(longest));
	txn_put(t, TAB_TEST, STR("good"), STR("1"), 0);
	txn_put(t, TAB_TEST, str_of(longest, 512), STR("1"), 0);
	is_int(txn_error(t), ERR_LIMIT);
	txn_put(t, TAB_TEST, STR("late"), STR("1"), 0);
	is_int(txn_get(t, TAB_TEST, STR("good"), &v), ERR_LIMIT);
	ok(!txn_del(t, TAB_TEST, STR("good")), "nothing is deleted after an error");
	is_str(str_c(keys(t, false, "", "")), STR(""));
	is_int(txn_commit(t), ERR_LIMIT);

	t = txn_write(s);
	txn_put(t, TAB_TEST, STR(""), STR("1"), 0);
	is_int(txn_commit(t), ERR_LIMIT);
	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("a"), STR_NONE, 0);
	is_int(txn_commit(t), ERR_LIMIT);
	t = txn_write(s);
	txn_put(t, TAB_TEST, str_of(longest, 511), STR("511"), 0);
	txn_fail(t, ERR_CORRUPT);
	txn_fail(t, ERR_LIMIT);
	is_int(txn_commit(t), ERR_CORRUPT);
	t = txn_write(s);
	txn_put(t, TAB_TEST, str_of(longest, 511), STR("511"), 0);
	is_int(txn_commit(t), 0);
	t = txn_read(s);
	is_int(txn_get(t, TAB_TEST, str_of(longest, 512), &v), ERR_NOT_FOUND);
	is_int(txn_get(t, TAB_TEST, str_of(longest, 511), &v), 0);
	is_str(get1(t, "good"), STR("(none)"));
	is_int(txn_commit(t), 0);
}

BOTH(append)
{
	struct txn *t = txn_write(s);

	txn_put(t, TAB_TEST, STR("b"), STR("1"), TXN_APPEND);
	txn_put(t, TAB_TEST, STR("c"), STR("1"), TXN_APPEND);
	is_int(txn_commit(t), 0);
	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("c"), STR("2"), TXN_APPEND);
	is_int(txn_commit(t), ERR_CONFLICT);
	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("a"), STR("2"), TXN_APPEND);
	is_int(txn_commit(t), ERR_CONFLICT);
	t = txn_read(s);
	is_cstr(keys(t, false, "", ""), "b c");
	txn_abort(t);
}

BOTH(scans)
{
	const char *k[] = { "a", "b", "ba", "bb", "bb\xff", "bb\xff\xff", "bc", "c", "\xff", "\xff\xff" };
	struct txn *t = txn_write(s);

	is_cstr(keys(t, false, "", ""), "");
	is_cstr(keys(t, true, "", ""), "");
	for (size_t i = 0; i < sizeof(k) / sizeof(*k); i++)
		txn_put(t, TAB_TEST, str_c(k[i]), STR("v"), 0);
	for (int round = 0; round < 2; round++) { /* in the write txn and in a read txn */
		is_cstr(keys(t, false, "", ""), "a b ba bb bb\xff bb\xff\xff bc c \xff \xff\xff");
		is_cstr(keys(t, true, "", ""), "\xff\xff \xff c bc bb\xff\xff bb\xff bb ba b a");
		is_cstr(keys(t, false, "b", ""), "b ba bb bb\xff bb\xff\xff bc");
		is_cstr(keys(t, true, "b", ""), "bc bb\xff\xff bb\xff bb ba b");
		is_cstr(keys(t, false, "b", "bab"), "bb bb\xff bb\xff\xff bc");
		is_cstr(keys(t, true, "b", "bab"), "ba b");
		is_cstr(keys(t, true, "b", "ba"), "ba b");
		is_cstr(keys(t, false, "b", "a"), "b ba bb bb\xff bb\xff\xff bc");
		is_cstr(keys(t, true, "b", "a"), "");
		is_cstr(keys(t, false, "b", "c"), "");
		is_cstr(keys(t, true, "b", "zz"), "bc bb\xff\xff bb\xff bb ba b");
		is_cstr(keys(t, true, "bb\xff", ""), "bb\xff\xff bb\xff");
		is_cstr(keys(t, true, "\xff", ""), "\xff\xff \xff");
		is_cstr(keys(t, true, "\xff\xff", ""), "\xff\xff");
		is_cstr(keys(t, false, "x", ""), "");
		is_cstr(keys(t, true, "x", ""), "");
		is_cstr(keys(t, false, "", "bd"), "c \xff \xff\xff");
		is_cstr(keys(t, true, "", "bd"), "bc bb\xff\xff bb\xff bb ba b a");
		if (round == 0) {
			is_int(txn_commit(t), 0);
			t = txn_read(s);
		}
	}
	txn_abort(t);
}

BOTH(delete_while_scanning)
{
	struct txn *t = txn_write(s);
	struct scan sc;
	char k[16];
	struct str v;
	int n = 0, seen = 0, gone = 0;

	for (int i = 0; i < 3000; i++) {
		snprintf(k, sizeof(k), "k%05d", i);
		txn_put(t, TAB_TEST, str_c(k), STR("a value of some length, so that there are many pages"), 0);
	}
	is_int(txn_commit(t), 0);
	t = txn_write(s);
	scan_open(&sc, t, TAB_TEST, STR("k"), STR_NONE);
	while (scan_next(&sc)) /* every second goes */
		if (n++ % 2)
			gone += txn_del(t, TAB_TEST, sc.key) && txn_get(t, TAB_TEST, sc.key, &v) == ERR_NOT_FOUND;
	scan_close(&sc);
	is_int(n, 3000);
	is_int(gone, 1500);
	is_int(txn_commit(t), 0);
	t = txn_write(s);
	scan_open_reverse(&sc, t, TAB_TEST, STR("k"), STR_NONE);
	while (scan_next(&sc)) {
		seen++;
		txn_put(t, TAB_TEST, sc.key, STR("changed"), 0);
		txn_del(t, TAB_TEST, sc.key);
	}
	scan_close(&sc);
	is_int(seen, 1500);
	is_cstr(keys(t, false, "", ""), "");
	is_int(txn_commit(t), 0);
}

BOTH(two_scans_and_puts)
{
	struct txn *t = txn_write(s);
	struct scan a, b;
	int n = 0, m = 0;

	for (char c = 'a'; c <= 'j'; c++)
		txn_put(t, TAB_TEST, str_of(&c, 1), STR("1"), 0);
	scan_open(&a, t, TAB_TEST, STR_NONE, STR_NONE);
	while (scan_next(&a)) {
		char key[2] = { a.key.p[0], 'x' };

		n++;
		if (a.key.n == 1)
			txn_put(t, TAB_TEST, str_of(key, 2), STR("2"), 0); /* seen by this scan: it lies ahead */
		scan_open_reverse(&b, t, TAB_TEST, STR_NONE, a.key);
		m += scan_next(&b) && str_eq(b.key, a.key);
		scan_close(&b);
	}
	scan_close(&a);
	is_int(n, 20);
	is_int(m, 20);
	txn_abort(t);
}

/* --- hook, faults --- */

struct seen {
	char text[500];
	size_t n, calls;
	uint64_t txn;
};

static void on_change(void *ctx, const struct change *v, size_t n)
{
	struct seen *c = ctx;

	c->calls++;
	for (size_t i = 0; i < n; i++) {
		c->n += (size_t)snprintf(c->text + c->n, sizeof(c->text) - c->n, "%c%.*s=%.*s ",
					 v[i].is_delete ? '-' : '+', STR_ARG(v[i].key), STR_ARG(v[i].value));
		c->txn = v[i].txn;
	}
}

BOTH(changes_hook)
{
	struct seen one = { .n = 0 }, all = { .n = 0 };

	store_on_change(s, 1u << TAB_TEST, on_change, &one);
	store_on_change(s, UINT64_MAX, on_change, &all);
	struct txn *t = txn_write(s);

	txn_put(t, TAB_TEST, STR("a"), STR("1"), 0);
	txn_put(t, TAB_META, STR("m"), STR("2"), 0);
	txn_put(t, TAB_TEST, STR("b"), STR("3"), 0);
	ok(!txn_del(t, TAB_TEST, STR("zz")), "nothing there");
	txn_del(t, TAB_TEST, STR("a"));
	is_int(all.calls, 0);
	is_int(txn_commit(t), 0);
	is_cstr(one.text, "+a=1 +b=3 -a= ");
	is_cstr(all.text, "+a=1 +m=2 +b=3 -a= ");
	is_int(all.calls, 1);
	uint64_t first = all.txn;

	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("lost"), STR("1"), 0);
	txn_abort(t);
	fault_set("store.sync", 1, 1);
	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("lost"), STR("1"), 0);
	is_int(txn_commit(t), ERR_IO);
	fault_set("store.sync", 0, 0);
	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("c"), STR("4"), 0);
	is_int(txn_commit(t), 0);
	is_cstr(one.text, "+a=1 +b=3 -a= +c=4 ");
	ok(all.txn > first, "commits are numbered upwards");
}

BOTH(fault_points)
{
	struct txn *t;

	put1(s, "a", "1");
	fault_set("store.write", 1, 1);
	t = txn_write(s);
	txn_put(t, TAB_TEST, STR("a"), STR("2"), 0);
	is_int(txn_commit(t), ERR_NO_SPACE);
	fault_set("store.write", 0, 0);
	t = txn_read(s);
	is_str(get1(t, "a"), STR("1"));
	txn_abort(t);
	put1(s, "a", "3");
}

static int apply_two(struct txn *t, void *ctx)
{
	int *n = ctx;

	(*n)++;
	txn_put(t, TAB_TEST, STR("x"), STR("1"), 0);
	return *n == 1 ? ERR_FORBIDDEN : 0;
}

BOTH(apply)
{
	int n = 0;

	is_int(store_apply(s, apply_two, &n), ERR_FORBIDDEN);
	struct txn *t = txn_read(s);

	is_str(get1(t, "x"), STR("(none)"));
	txn_abort(t);
	is_int(store_apply(s, apply_two, &n), 0);
	t = txn_read(s);
	is_str(get1(t, "x"), STR("1"));
	txn_abort(t);
}

/* --- the model (D11) --- */

enum { MODEL_KEYS = 700, MODEL_OPS = 100000, VALUE_MAX = 3000 };

struct model {
	bool there[MODEL_KEYS];
	uint32_t tag[MODEL_KEYS];
	uint32_t len[MODEL_KEYS];
};

static uint64_t rnd_state;
static uint32_t rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)((rnd_state * 0x9e3779b97f4a7c15u) >> 33) % below;
}

/* Key i: a few lengths, so that pages split unevenly; the order of keys is the order of i. */
static struct str model_key(unsigned i, char buf[200])
{
	int n = snprintf(buf, 200, "%05u", i);

	memset(buf + n, 'p', i % 5 * 40);
	return str_of(buf, (size_t)n + i % 5 * 40);
}

static bool value_is(struct str v, uint32_t tag, uint32_t len)
{
	if (v.n != len)
		return false;
	for (size_t i = 0; i < v.n; i += 64)
		if ((uint8_t)v.p[i] != (uint8_t)(tag + i / 64))
			return false;
	return true;
}

static bool model_get(struct txn *t, const struct model *m, unsigned i)
{
	char kb[200];
	struct str v;
	int err = txn_get(t, TAB_TEST, model_key(i, kb), &v);

	return m->there[i] ? err == 0 && value_is(v, m->tag[i], m->len[i]) : err == ERR_NOT_FOUND;
}

static bool model_scan(struct txn *t, const struct model *m, unsigned i, bool reverse, unsigned max)
{
	char kb[200], want[200];
	struct scan sc;
	bool good = true;
	int at = (int)i;

	(reverse ? scan_open_reverse : scan_open)(&sc, t, TAB_TEST, STR_NONE, model_key(i, kb));
	for (unsigned n = 0; n < max && good; n++) {
		while (at >= 0 && at < MODEL_KEYS && !m->there[at])
			at += reverse ? -1 : 1;
		bool more = at >= 0 && at < MODEL_KEYS;

		if (scan_next(&sc) != more)
			good = false;
		if (!more)
			break;
		good = good && str_eq(sc.key, model_key((unsigned)at, want)) &&
		       value_is(sc.value, m->tag[at], m->len[at]);
		at += reverse ? -1 : 1;
	}
	scan_close(&sc);
	return good;
}

static void model_change(struct txn *t, struct model *m, unsigned i, bool *good)
{
	static char value[VALUE_MAX];
	char kb[200];

	if (rnd(3) == 0) {
		*good = *good && txn_del(t, TAB_TEST, model_key(i, kb)) == m->there[i];
		m->there[i] = false;
		return;
	}
	m->there[i] = true;
	m->tag[i] = rnd(256);
	m->len[i] = rnd(20) ? rnd(200) : rnd(VALUE_MAX);
	for (size_t k = 0; k < m->len[i]; k += 64)
		memset(value + k, (int)(m->tag[i] + k / 64), 64 < VALUE_MAX - k ? 64 : VALUE_MAX - k);
	txn_put(t, TAB_TEST, model_key(i, kb), str_of(value, m->len[i]), 0);
}

/* Deletes or changes about half of what a scan meets; the scan must still meet everything. */
static bool model_scan_change(struct txn *t, struct model *m, unsigned i, unsigned max)
{
	char kb[200], want[200];
	struct scan sc;
	bool good = true, reverse = rnd(2);
	int at = (int)i;

	(reverse ? scan_open_reverse : scan_open)(&sc, t, TAB_TEST, STR_NONE, model_key(i, kb));
	while (max-- && good && scan_next(&sc)) {
		while (at >= 0 && at < MODEL_KEYS && !m->there[at])
			at += reverse ? -1 : 1;
		good = at >= 0 && at < MODEL_KEYS && str_eq(sc.key, model_key((unsigned)at, want));
		if (good && rnd(2))
			model_change(t, m, (unsigned)at, &good);
		if (good && rnd(4) == 0)
			model_change(t, m, rnd(MODEL_KEYS), &good);
		at += reverse ? -1 : 1;
	}
	scan_close(&sc);
	return good;
}

BOTH(model)
{
	static struct model now, before;
	struct txn *w = txn_write(s), *r = NULL;
	static struct model seen;
	bool good = true;
	unsigned ops, ops_max = MODEL_OPS;
	uint64_t n;

	/* STORE_MODEL_OPS=10000000 for the long run of D11; STORE_MODEL_SEED for another sequence. */
	if (str_u64(str_c(getenv("STORE_MODEL_OPS")), UINT32_MAX, &n) == 0)
		ops_max = (unsigned)n;
	rnd_state = 0x5eed5eed5eedull;
	if (str_u64(str_c(getenv("STORE_MODEL_SEED")), UINT32_MAX, &n) == 0)
		rnd_state += n;
	now = before = (struct model){ 0 };
	for (ops = 0; ops < ops_max && good; ops++) {
		unsigned i = rnd(MODEL_KEYS);

		switch (rnd(40)) {
		case 0: good = model_scan(w, &now, i, rnd(2), 40); break;
		case 1: good = rnd(8) || model_scan_change(w, &now, i, 60); break;
		case 2: /* commit, abort, sometimes a new snapshot */
			if (rnd(4)) {
				good = txn_commit(w) == 0;
				before = now;
			} else {
				txn_abort(w);
				now = before;
			}
			if (r && rnd(3) == 0) {
				good = good && txn_commit(r) == 0;
				r = NULL;
			}
			if (!r) {
				r = txn_read(s);
				seen = before;
			}
			w = txn_write(s);
			break;
		case 3: good = !r || model_scan(r, &seen, i, rnd(2), 40); break;
		case 4:
		case 5:
		case 6:
		case 7:
		case 8: good = !r || model_get(r, &seen, i); break;
		case 9:
		case 10:
		case 11:
		case 12:
		case 13:
		case 14: good = model_get(w, &now, i); break;
		default: model_change(w, &now, i, &good);
		}
		good = good && txn_error(w) == 0;
	}
	ok(good, "%u random operations agree with the model", ops);
	is_int(txn_commit(w), 0);
	if (r)
		txn_abort(r);
	r = txn_read(s);
	ok(model_scan(r, &now, 0, false, MODEL_KEYS + 1), "all of it forwards");
	ok(model_scan(r, &now, MODEL_KEYS - 1, true, MODEL_KEYS + 1), "all of it backwards");
	txn_abort(r);
}

/* --- threads --- */

struct reader {
	struct store *s;
	atomic_bool *stop;
	unsigned reads;
	bool good;
};

static void *read_on(void *arg)
{
	struct reader *x = arg;

	x->good = true;
	while (!*x->stop || x->reads < 50) {
		struct txn *t = txn_read(x->s);
		struct str a, b;
		int ea = txn_get(t, TAB_TEST, STR("a"), &a), eb = txn_get(t, TAB_TEST, STR("b"), &b);

		if (ea != eb || (!ea && !str_eq(a, b)))
			x->good = false;
		if (txn_commit(t))
			x->good = false;
		x->reads++;
	}
	return NULL;
}

BOTH(readers_see_whole_commits)
{
	atomic_bool stop = false;
	struct reader x[3];
	pthread_t th[3];
	char v[64];

	for (int i = 0; i < 3; i++) {
		x[i] = (struct reader){ .s = s, .stop = &stop };
		pthread_create(&th[i], NULL, read_on, &x[i]);
	}
	for (int i = 0; i < 300; i++) {
		struct txn *t = txn_write(s);

		snprintf(v, sizeof(v), "value %d", i);
		txn_put(t, TAB_TEST, STR("a"), str_c(v), 0);
		txn_put(t, TAB_TEST, STR("b"), str_c(v), 0);
		if (txn_commit(t))
			break;
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(th[i], NULL);
		ok(x[i].good, "both values of one commit in each snapshot");
	}
}
