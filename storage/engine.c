/*
 * The engine-independent half of the store: sticky errors, prefix scans, the changes hook, fault points "store.write" and
 * "store.sync". Read transactions on any thread; the write transaction holds write_lock from begin to end.
 * Owner of a txn handle is the engine, which pools the read ones.
 */
#include "storage/engine_impl.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

static const char *const names[TAB_COUNT] = {
#define TABLE(id, name, doc) [TAB_##id] = name,
#include "storage/tables.def"
#undef TABLE
};

const char *table_name(enum table tab)
{
	assert((unsigned)tab < TAB_COUNT);
	return names[tab];
}

void store_init(struct store *s, const struct store_engine *e)
{
	s->e = e;
	pthread_mutex_init(&s->write_lock, NULL);
}

void store_clear(struct store *s)
{
	pthread_mutex_destroy(&s->write_lock);
	if (s->change_mem)
		arena_free(s->change_mem);
	mem_free(s->change);
}

void store_close(struct store *s)
{
	if (s)
		s->e->close(s);
}

void store_get_info(struct store *s, struct store_info *out)
{
	*out = (struct store_info){ .schema = s->schema, .slow_reads = s->slow_reads };
	s->e->info(s, out);
}

int store_reader_check(struct store *s)
{
	return s->e->reader_check(s);
}

void store_on_change(struct store *s, uint64_t tables, changes_fn *fn, void *ctx)
{
	assert(s->hooks < CHANGE_HOOKS);
	s->hook[s->hooks++] = (struct change_hook){ tables, fn, ctx };
	s->hooked |= tables;
	if (!s->change_mem)
		s->change_mem = arena_new(64 * 1024);
}

/* --- transactions --- */

void txn_init(struct txn *t, struct store *s, bool write)
{
	*t = (struct txn){ .s = s, .write = write };
}

void txn_reinit(struct txn *t)
{
	t->err = 0;
	t->puts = t->bytes = 0;
	t->id = 0;
}

void txn_clear(struct txn *t)
{
	while (t->spare) {
		struct scan_state *st = t->spare;

		t->spare = st->next;
		mem_free(st);
	}
}

struct txn *txn_read(struct store *s)
{
	struct txn *t = s->e->begin(s, false);

	t->begin_ms = clock_mono_ms();
	return t;
}

struct txn *txn_write(struct store *s)
{
	pthread_mutex_lock(&s->write_lock);
	if (s->changes) {
		s->changes = 0;
		arena_reset(s->change_mem);
	}
	s->fate_unknown = false;
	struct txn *t = s->e->begin(s, true);

	if (!t->err && s->read_only)
		t->err = ERR_FORBIDDEN;
	return t;
}

static void end_read(struct txn *t)
{
	struct store *s = t->s;

	if (clock_mono_ms() - t->begin_ms > SLOW_READ_MS)
		atomic_fetch_add_explicit(&s->slow_reads, 1, memory_order_relaxed);
	s->e->abort(t);
}

/* After the commit, still under write_lock: hooks see changes in commit order. */
static void tell_changes(struct store *s, uint64_t id)
{
	for (size_t i = 0; i < s->changes; i++)
		s->change[i].txn = id;
	for (unsigned h = 0; h < s->hooks; h++) {
		const struct change_hook *hook = &s->hook[h];
		size_t from = 0;

		/* Runs of wanted entries, so that a hook for all tables gets one call. */
		for (size_t i = 0; i <= s->changes; i++) {
			if (i < s->changes && (hook->tables >> s->change[i].tab & 1))
				continue;
			if (i > from)
				hook->fn(hook->ctx, s->change + from, i - from);
			from = i + 1;
		}
	}
}

int txn_commit(struct txn *t)
{
	struct store *s = t->s;
	int err = t->err;

	assert(t->scans == 0);
	if (!t->write) {
		end_read(t);
		return err;
	}
	if (!err && t->puts && fault_hit("store.write"))
		err = ERR_NO_SPACE;
	if (!err && t->puts && fault_hit("store.sync"))
		err = ERR_IO;
	if (err) {
		s->e->abort(t);
	} else {
		uint64_t id = t->id;

		err = s->e->commit(t);
		if (!err && s->changes)
			tell_changes(s, id);
	}
	pthread_mutex_unlock(&s->write_lock);
	return err;
}

void txn_abort(struct txn *t)
{
	struct store *s = t->s;

	assert(t->scans == 0);
	if (!t->write) {
		end_read(t);
		return;
	}
	s->e->abort(t);
	pthread_mutex_unlock(&s->write_lock);
}

int txn_error(const struct txn *t)
{
	return t->err;
}

void txn_fail(struct txn *t, int error)
{
	assert(error < 0);
	if (!t->err)
		t->err = error;
}

int store_apply(struct store *s, int (*fn)(struct txn *t, void *ctx), void *ctx)
{
	for (unsigned tries = 0;; tries++) {
		struct txn *t = txn_write(s);
		int err = t->err ? t->err : fn(t, ctx);

		if (err)
			txn_fail(t, err);
		err = txn_commit(t);
		/* Only this caller writes (engine.h), so the flag is still that of our own txn. */
		if (err != ERR_NO_SPACE || !s->map_full || tries == 40)
			return err;
	}
}

/* --- single keys --- */

static bool key_ok(struct str key)
{
	return key.n > 0 && key.n <= STORE_KEY_MAX;
}

int txn_get(struct txn *t, enum table tab, struct str key, struct str *out_value)
{
	*out_value = STR_NONE;
	if (t->err)
		return t->err;
	if (!key_ok(key))
		return ERR_NOT_FOUND;
	int err = t->s->e->get(t, tab, key, out_value);

	if (err && err != ERR_NOT_FOUND)
		t->err = err;
	return err;
}

static void record_change(struct store *s, enum table tab, bool is_delete, struct str key, struct str value)
{
	if (s->changes == s->change_cap) {
		s->change_cap = s->change_cap ? 2 * s->change_cap : 256;
		s->change = mem_realloc(s->change, s->change_cap * sizeof(*s->change));
	}
	s->change[s->changes++] = (struct change){
		.tab = tab,
		.is_delete = is_delete,
		.key = arena_str(s->change_mem, key),
		.value = is_delete ? STR_NONE : arena_str(s->change_mem, value),
	};
}

void txn_put(struct txn *t, enum table tab, struct str key, struct str value, unsigned flags)
{
	if (t->err)
		return;
	assert(t->write);
	if (!key_ok(key) || !value.p) {
		t->err = ERR_LIMIT;
		return;
	}
	t->puts++;
	t->bytes += key.n + value.n;
	t->gen[tab]++;
	t->err = t->s->e->put(t, tab, key, value, flags);
	if (!t->err && (t->s->hooked >> tab & 1))
		record_change(t->s, tab, false, key, value);
}

bool txn_del(struct txn *t, enum table tab, struct str key)
{
	if (t->err || !key_ok(key))
		return false;
	assert(t->write);
	/* Recorded first: key may be a slice of what goes. */
	if (t->s->hooked >> tab & 1)
		record_change(t->s, tab, true, key, STR_NONE);
	int err = t->s->e->del(t, tab, key);

	if (err) {
		if (t->s->hooked >> tab & 1)
			t->s->changes--;
		if (err != ERR_NOT_FOUND)
			t->err = err;
		return false;
	}
	t->puts++;
	t->gen[tab]++;
	return true;
}

/* --- scans --- */

static struct scan_state *state_take(struct txn *t)
{
	struct scan_state *st = t->spare;

	if (!st)
		return mem_alloc(sizeof(*st));
	t->spare = st->next;
	return st;
}

/* Opens without a start position; st->cursor NULL means that the scan gives nothing. */
static struct scan_state *open_common(struct scan *s, struct txn *t, enum table tab, struct str prefix, bool reverse)
{
	struct scan_state *st = state_take(t);

	*s = (struct scan){ .t = t, .tab = tab, .state = st, .reverse = reverse };
	t->scans++;
	st->cursor = NULL;
	st->at_end = false;
	st->inclusive = true;
	st->pos_n = 0;
	st->prefix_n = 0;
	if (t->err || prefix.n > STORE_KEY_MAX)
		return st;
	int err = t->s->e->cursor_open(t, tab, &st->cursor);

	if (err) {
		st->cursor = NULL;
		if (err != ERR_NOT_FOUND)
			t->err = err;
		return st;
	}
	if (prefix.n)
		memcpy(st->prefix, prefix.p, prefix.n);
	st->prefix_n = prefix.n;
	s->prefix = str_of(st->prefix, prefix.n);
	return st;
}

static void set_pos(struct scan_state *st, struct str key)
{
	/* A start key longer than any stored key is cut: nothing lies between the cut and the whole (511 is the maximum). */
	st->pos_n = key.n < STORE_KEY_MAX ? key.n : STORE_KEY_MAX;
	if (st->pos_n)
		memmove(st->pos, key.p, st->pos_n);
}

void scan_open(struct scan *s, struct txn *t, enum table tab, struct str prefix, struct str from)
{
	struct scan_state *st = open_common(s, t, tab, prefix, false);

	set_pos(st, str_cmp(from, prefix) > 0 ? from : prefix);
	st->inclusive = from.n <= STORE_KEY_MAX;
	st->at_end = st->pos_n == 0;
}

/* Smallest key greater than every key with the prefix; false when there is none. */
static bool prefix_successor(struct scan_state *st)
{
	set_pos(st, str_of(st->prefix, st->prefix_n));
	while (st->pos_n && (uint8_t)st->pos[st->pos_n - 1] == 0xff)
		st->pos_n--;
	if (!st->pos_n)
		return false;
	st->pos[st->pos_n - 1]++;
	return true;
}

void scan_open_reverse(struct scan *s, struct txn *t, enum table tab, struct str prefix, struct str from)
{
	struct scan_state *st = open_common(s, t, tab, prefix, true);

	if (!st->cursor)
		return;
	if (!str_empty(from) && str_starts(from, prefix)) {
		set_pos(st, from);
	} else if (!str_empty(from) && str_cmp(from, prefix) < 0) {
		t->s->e->cursor_close(t, tab, st->cursor);
		st->cursor = NULL;
	} else {
		st->inclusive = false;
		st->at_end = !prefix_successor(st);
	}
}

/* Places the cursor by st->pos: on it (inclusive) or the next one in scan direction. */
static int place(struct scan *s, struct str *key, struct str *value)
{
	struct scan_state *st = s->state;
	const struct store_engine *e = s->t->s->e;
	struct str pos = str_of(st->pos, st->pos_n);

	st->gen = s->t->gen[s->tab];
	if (st->at_end)
		return e->cursor_move(s->t, st->cursor, s->reverse ? CURSOR_LAST : CURSOR_FIRST, STR_NONE, key, value);
	int err = e->cursor_move(s->t, st->cursor, CURSOR_SEEK, pos, key, value);

	if (!s->reverse) {
		if (!err && !st->inclusive && str_eq(*key, pos))
			err = e->cursor_move(s->t, st->cursor, CURSOR_NEXT, STR_NONE, key, value);
		return err;
	}
	if (err == ERR_NOT_FOUND)
		return e->cursor_move(s->t, st->cursor, CURSOR_LAST, STR_NONE, key, value);
	if (!err && !(st->inclusive && str_eq(*key, pos)))
		err = e->cursor_move(s->t, st->cursor, CURSOR_PREV, STR_NONE, key, value);
	return err;
}

bool scan_next(struct scan *s)
{
	struct scan_state *st = s->state;
	struct txn *t = s->t;
	int err;

	if (t->err || !st->cursor)
		return false;
	if (!s->started || (t->write && st->gen != t->gen[s->tab]))
		err = place(s, &s->key, &s->value);
	else
		err = t->s->e->cursor_move(t, st->cursor, s->reverse ? CURSOR_PREV : CURSOR_NEXT, STR_NONE, &s->key,
					   &s->value);
	if (err || !str_starts(s->key, s->prefix)) {
		if (err && err != ERR_NOT_FOUND)
			t->err = err;
		t->s->e->cursor_close(t, s->tab, st->cursor);
		st->cursor = NULL;
		s->key = s->value = STR_NONE;
		return false;
	}
	s->started = true;
	if (t->write) {
		set_pos(st, s->key);
		s->key = str_of(st->pos, st->pos_n);
		st->inclusive = st->at_end = false;
	}
	return true;
}

void scan_close(struct scan *s)
{
	struct scan_state *st = s->state;

	if (!st)
		return;
	if (st->cursor)
		s->t->s->e->cursor_close(s->t, s->tab, st->cursor);
	st->next = s->t->spare;
	s->t->spare = st;
	s->t->scans--;
	s->state = NULL;
}
