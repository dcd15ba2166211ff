/*
 * The LMDB engine: transactions, cursors and map growth. Settings are fixed (rows D01-D11): default sync, NOTLS, no WRITEMAP,
 * no DUPSORT. Read transactions on any thread, their LMDB slots are kept and renewed; the write transaction under write_lock.
 * The gate (mutex, counter, flag) keeps map growth and read transactions apart, because mdb_env_set_mapsize moves the map and
 * does not check (M17). Opening is in lmdb_open.c, opening again after MDB_PANIC in lmdb_recover.c.
 */
#include "storage/lmdb_impl.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	SOFT_WAIT_MS = 20,   /* growth at 75 %: how long loops may be held up */
	HARD_WAIT_MS = 2000, /* growth when the map is full */
	SOFT_EVERY_MS = 1000,
	PANIC_TRIES = 3,
	NO_SPACE_BELOW = 1 << 20, /* EIO with less than this free on disk is a full disk (M13) */
};

/* Read transactions this thread holds: a second one must pass the closed gate, or both sides would wait for ever. */
static _Thread_local unsigned held;

static struct lmdb *lmdb_of(struct store *s)
{
	return (struct lmdb *)(void *)s;
}

static struct lmdb_txn *txn_of(struct txn *t)
{
	return (struct lmdb_txn *)(void *)t;
}

static MDB_val val_of(struct str s)
{
	return (MDB_val){ s.n, (void *)(uintptr_t)s.p };
}

static struct str str_from(MDB_val v)
{
	return str_of(v.mv_data, v.mv_size);
}

/* M13: on a full disk a short write makes LMDB say EIO; tell it apart by the space left. */
static int io_error(const struct lmdb *l)
{
	struct statvfs v;

	if (l->dir && statvfs(l->dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < NO_SPACE_BELOW)
		return ERR_NO_SPACE;
	return ERR_IO;
}

int lmdb_error(struct lmdb *l, int rc)
{
	switch (rc) {
	case 0: return 0;
	case MDB_NOTFOUND: return ERR_NOT_FOUND;
	case MDB_KEYEXIST: return ERR_CONFLICT;
	case MDB_MAP_FULL: return ERR_NO_SPACE;
	case MDB_TXN_FULL:
	case MDB_BAD_VALSIZE: return ERR_LIMIT;
	case MDB_READERS_FULL: return ERR_LIMIT;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PAGE_FULL:
	case MDB_CURSOR_FULL: return ERR_CORRUPT;
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH: return ERR_VERSION;
	case MDB_PANIC: lmdb_note_panic(l); return ERR_IO;
	case EIO: return io_error(l);
	default: return rc > 0 ? err_from_errno(rc) : ERR_IO;
	}
}

void lmdb_note_map(struct lmdb *l)
{
	MDB_envinfo i;

	mdb_env_info(l->env, &i);
	l->map = i.me_mapsize;
}

uint64_t lmdb_used(struct lmdb *l)
{
	MDB_envinfo i;

	mdb_env_info(l->env, &i);
	return (i.me_last_pgno + 1) * (uint64_t)l->page;
}

/* --- the gate --- */

/* Returns with the gate's mutex held. */
static void gate_enter_locked(struct lmdb *l)
{
	pthread_mutex_lock(&l->gate);
	while (l->closed && !held)
		pthread_cond_wait(&l->changed, &l->gate);
	l->readers++;
	held++;
}

static void gate_leave_locked(struct lmdb *l)
{
	assert(l->readers > 0 && held > 0);
	held--;
	if (--l->readers == 0 && l->closed)
		pthread_cond_broadcast(&l->changed);
}

bool lmdb_gate_close(struct lmdb *l, unsigned wait_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&l->gate);
	l->closed = true;
	while (l->readers > held) { /* for our own ones we would wait in vain */
		if (pthread_cond_timedwait(&l->changed, &l->gate, &until) == ETIMEDOUT)
			break;
	}
	bool quiet = l->readers == 0;

	if (!quiet)
		l->closed = false;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->gate);
	return quiet;
}

void lmdb_gate_open(struct lmdb *l)
{
	pthread_mutex_lock(&l->gate);
	l->closed = false;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->gate);
}

/* --- growth (D07) --- */

/* A failed mdb_env_set_mapsize leaves no map at all, so try whether the address space is there. */
static bool map_possible(struct lmdb *l, size_t bytes)
{
	int fd;

	if (mdb_env_get_fd(l->env, &fd))
		return false;
	void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, bytes);
	return true;
}

static int grow_quiet(struct lmdb *l, size_t want)
{
	if (!map_possible(l, want))
		return ERR_NO_SPACE;
	int rc = mdb_env_set_mapsize(l->env, want);

	if (rc && mdb_env_set_mapsize(l->env, l->map)) { /* no map any more: open again */
		lmdb_note_panic(l);
		return ERR_NO_SPACE;
	}
	lmdb_note_map(l);
	return rc ? ERR_NO_SPACE : 0;
}

int lmdb_grow(struct lmdb *l, uint64_t used, uint64_t extra, unsigned wait_ms)
{
	size_t want = l->map;

	do
		want += want < MAP_STEP_MAX ? want : MAP_STEP_MAX;
	while ((used + extra) * 4 > (uint64_t)want * 3);
	if (l->max_map && want > l->max_map)
		want = l->max_map;
	want -= want % l->page;
	if (want <= l->map)
		return ERR_NO_SPACE;
	if (!lmdb_gate_close(l, wait_ms)) {
		l->growths_failed++;
		return ERR_AGAIN;
	}
	int err = grow_quiet(l, want);

	if (err)
		l->growths_failed++;
	else
		l->growths++;
	lmdb_gate_open(l);
	return err;
}

static void grow_if_needed(struct lmdb *l)
{
	uint64_t used = lmdb_used(l), now;
	bool hard = l->s.map_full || used * 10 > (uint64_t)l->map * 9;

	if (!hard && used * 4 <= (uint64_t)l->map * 3) {
		l->no_growth = false;
		return;
	}
	now = clock_mono_ms();
	if (!hard && now < l->next_soft_try_ms)
		return;
	l->next_soft_try_ms = now + SOFT_EVERY_MS;
	if (hard)
		l->quiet_wanted = true;
	int err = lmdb_grow(l, used, 0, hard ? HARD_WAIT_MS : SOFT_WAIT_MS);

	l->no_growth = err != 0;
	if (err != ERR_AGAIN) /* stays wanted until it worked or cannot be */
		l->quiet_wanted = false;
}

/* Bytes in the free list, read like the mdb_stat tool does: each value of table 0 starts with its number of pages.
 * Needs a read txn of its own; no gate, for growth happens on this thread only. */
static uint64_t free_bytes(struct lmdb *l)
{
	MDB_txn *mdb;
	MDB_cursor *c;
	MDB_val k, v;
	uint64_t pages = 0;

	if (mdb_txn_begin(l->env, NULL, MDB_RDONLY, &mdb))
		return 0;
	if (mdb_cursor_open(mdb, 0, &c) == 0) {
		while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
			pages += *(const size_t *)v.mv_data;
		mdb_cursor_close(c);
	}
	mdb_txn_abort(mdb);
	return pages * l->page;
}

/* --- begin and end --- */

void lmdb_free_handle(struct lmdb_txn *x)
{
	for (unsigned i = 0; i < TAB_COUNT; i++)
		if (x->scan_cursor[i])
			mdb_cursor_close(x->scan_cursor[i]);
	if (x->mdb)
		mdb_txn_abort(x->mdb);
	txn_clear(&x->t);
	mem_free(x);
}

static struct lmdb_txn *try_begin_read(struct lmdb *l)
{
	int rc;

	gate_enter_locked(l);
	struct lmdb_txn *x = l->spare;

	if (x) {
		l->spare = x->next_spare;
		l->spares--;
	}
	pthread_mutex_unlock(&l->gate);
	if (x) {
		txn_reinit(&x->t);
		rc = mdb_txn_renew(x->mdb);
	} else {
		x = NEW(struct lmdb_txn);
		txn_init(&x->t, &l->s, false);
		rc = l->env ? mdb_txn_begin(l->env, NULL, MDB_RDONLY, &x->mdb) : MDB_PANIC;
		if (rc)
			x->mdb = NULL;
	}
	x->t.err = lmdb_error(l, rc);
	return x;
}

static void end_read(struct lmdb *l, struct lmdb_txn *x)
{
	/* A handle whose begin failed is not worth keeping. */
	bool keep = x->mdb && x->t.err != ERR_IO;

	if (keep)
		mdb_txn_reset(x->mdb);
	else
		lmdb_free_handle(x);
	pthread_mutex_lock(&l->gate);
	gate_leave_locked(l);
	if (keep && l->spares < SPARE_READERS) {
		x->next_spare = l->spare;
		l->spare = x;
		l->spares++;
		keep = false;
		x = NULL;
	}
	pthread_mutex_unlock(&l->gate);
	if (keep)
		lmdb_free_handle(x);
}

/* A panic of the writer's commit is over in a moment: readers wait for that rather than fail (D06, M18). */
static struct txn *begin_read(struct lmdb *l)
{
	struct lmdb_txn *x = try_begin_read(l);

	for (unsigned tries = 0; x->t.err && l->panicked && held == 1 && tries < PANIC_TRIES; tries++) {
		end_read(l, x);
		lmdb_await_recovery(l);
		x = try_begin_read(l);
	}
	return &x->t;
}

static struct txn *begin(struct store *s, bool write)
{
	struct lmdb *l = lmdb_of(s);

	if (!write)
		return begin_read(l);
	struct lmdb_txn *x = l->write_handle;

	txn_reinit(&x->t);
	x->mdb = NULL;
	x->scarce = false;
	for (unsigned i = 0; i < TAB_COUNT; i++)
		x->put_cursor[i] = NULL;
	if (s->read_only) {
		x->t.err = ERR_FORBIDDEN;
		return &x->t;
	}
	if (lmdb_recover(l) || clock_mono_ms() < l->next_write_ms) {
		x->t.err = l->write_err;
		return &x->t;
	}
	grow_if_needed(l);
	if (l->panicked && lmdb_recover(l)) {
		x->t.err = l->write_err;
		return &x->t;
	}
	s->map_full = false;
	if (l->no_growth) {
		uint64_t used = lmdb_used(l), room = l->map / 10;

		x->scarce = used + room > l->map && used - free_bytes(l) + room > l->map;
	}
	x->t.err = lmdb_error(l, mdb_txn_begin(l->env, NULL, 0, &x->mdb));
	if (x->t.err) {
		x->mdb = NULL;
		return &x->t;
	}
	x->t.id = mdb_txn_id(x->mdb);
	return &x->t;
}

static void abort_txn(struct txn *t)
{
	struct lmdb_txn *x = txn_of(t);

	if (!t->write) {
		end_read(lmdb_of(t->s), x);
		return;
	}
	if (x->mdb)
		mdb_txn_abort(x->mdb);
	x->mdb = NULL;
}

/* A failed write of the meta page sets MDB_PANIC, which only the next begin tells (M18). */
static void probe_panic(struct lmdb *l)
{
	MDB_txn *probe;
	int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &probe);

	if (rc == 0)
		mdb_txn_abort(probe);
	else if (rc == MDB_PANIC)
		lmdb_note_panic(l);
}

/* Whatever the system called it (EROFS, EINTR ...), the disk did not take it. */
static int commit_error(struct lmdb *l, int rc)
{
	int err = lmdb_error(l, rc);

	return err == ERR_NO_SPACE || err == ERR_CORRUPT || err == ERR_NOMEM ? err : ERR_IO;
}

static int commit(struct txn *t)
{
	struct lmdb *l = lmdb_of(t->s);
	struct lmdb_txn *x = txn_of(t);
	int rc = mdb_txn_commit(x->mdb);

	x->mdb = NULL;
	if (!rc && fault_hit("store.panic")) { /* told as failed at its last step, although it is in the file */
		lmdb_note_panic(l);
		rc = EIO;
	}
	if (!rc)
		return 0;
	if (rc == MDB_MAP_FULL)
		t->s->map_full = true;
	else
		probe_panic(l);
	int err = commit_error(l, rc);

	if (l->panicked)
		t->s->fate_unknown = !lmdb_commit_panicked(l, t->id, err);
	return err;
}

/* --- single keys --- */

static int get(struct txn *t, enum table tab, struct str key, struct str *out)
{
	struct lmdb *l = lmdb_of(t->s);
	MDB_val k = val_of(key), v;

	if (!l->has[tab])
		return ERR_NOT_FOUND;
	int rc = mdb_get(txn_of(t)->mdb, l->dbi[tab], &k, &v);

	if (rc)
		return lmdb_error(l, rc);
	*out = str_from(v);
	return 0;
}

static int put_cursor(struct lmdb *l, struct lmdb_txn *x, enum table tab)
{
	if (x->put_cursor[tab])
		return 0;
	return lmdb_error(l, mdb_cursor_open(x->mdb, l->dbi[tab], &x->put_cursor[tab]));
}

static int put(struct txn *t, enum table tab, struct str key, struct str value, unsigned flags)
{
	struct lmdb *l = lmdb_of(t->s);
	struct lmdb_txn *x = txn_of(t);
	MDB_val k = val_of(key), v = val_of(value), old;
	int rc = put_cursor(l, x, tab);

	if (rc)
		return rc;
	/* The rest of a map that cannot grow is for deletes, and for the counters they change (D07, M14). */
	if (x->scarce && mdb_get(x->mdb, l->dbi[tab], &k, &old) == MDB_NOTFOUND)
		return ERR_NO_SPACE;
	if (fault_hit("store.map"))
		rc = MDB_MAP_FULL;
	else
		rc = mdb_cursor_put(x->put_cursor[tab], &k, &v, flags & TXN_APPEND ? MDB_APPEND : 0);
	if (rc == MDB_MAP_FULL)
		t->s->map_full = true;
	return lmdb_error(l, rc);
}

static int del(struct txn *t, enum table tab, struct str key)
{
	struct lmdb *l = lmdb_of(t->s);
	MDB_val k = val_of(key);
	int rc = mdb_del(txn_of(t)->mdb, l->dbi[tab], &k, NULL);

	if (rc == MDB_MAP_FULL)
		t->s->map_full = true;
	return lmdb_error(l, rc);
}

/* --- cursors --- */

static int cursor_open(struct txn *t, enum table tab, struct cursor **out)
{
	struct lmdb *l = lmdb_of(t->s);
	struct lmdb_txn *x = txn_of(t);
	MDB_cursor *c = x->scan_cursor[tab];
	int rc;

	if (!l->has[tab])
		return ERR_NOT_FOUND;
	if (!t->write && c) {
		x->scan_cursor[tab] = NULL;
		rc = mdb_cursor_renew(x->mdb, c);
		if (rc)
			mdb_cursor_close(c);
	} else {
		rc = mdb_cursor_open(x->mdb, l->dbi[tab], &c);
	}
	*out = (struct cursor *)(void *)c;
	return lmdb_error(l, rc);
}

static int cursor_move(struct txn *t, struct cursor *cursor, enum cursor_move how, struct str key, struct str *out_key,
		       struct str *out_value)
{
	static const MDB_cursor_op op[] = {
		[CURSOR_SEEK] = MDB_SET_RANGE, [CURSOR_FIRST] = MDB_FIRST, [CURSOR_LAST] = MDB_LAST,
		[CURSOR_NEXT] = MDB_NEXT,      [CURSOR_PREV] = MDB_PREV,
	};
	MDB_val k = val_of(key), v;
	int rc = mdb_cursor_get((MDB_cursor *)(void *)cursor, &k, &v, op[how]);

	if (rc)
		return lmdb_error(lmdb_of(t->s), rc);
	*out_key = str_from(k);
	*out_value = str_from(v);
	return 0;
}

static void cursor_close(struct txn *t, enum table tab, struct cursor *cursor)
{
	struct lmdb_txn *x = txn_of(t);
	MDB_cursor *c = (MDB_cursor *)(void *)cursor;

	if (!t->write && !x->scan_cursor[tab])
		x->scan_cursor[tab] = c;
	else
		mdb_cursor_close(c);
}

/* --- the rest --- */

static void close_store(struct store *s)
{
	struct lmdb *l = lmdb_of(s);

	assert(l->readers == 0);
	while (l->spare) {
		struct lmdb_txn *x = l->spare;

		l->spare = x->next_spare;
		lmdb_free_handle(x);
	}
	if (l->write_handle)
		lmdb_free_handle(l->write_handle);
	if (l->env)
		mdb_env_close(l->env);
	if (l->lock_fd >= 0)
		close(l->lock_fd);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->gate);
	store_clear(s);
	mem_free(l->dir);
	mem_free(l);
}

static void info(struct store *s, struct store_info *out)
{
	struct lmdb *l = lmdb_of(s);
	MDB_envinfo i = { 0 };

	gate_enter_locked(l); /* as a reader: the environment may be closed and opened meanwhile */
	out->readers = l->readers - 1;
	out->growths = l->growths;
	out->growths_failed = l->growths_failed;
	out->reopens = l->reopens;
	unsigned page = (unsigned)l->page;
	if (l->env)
		mdb_env_info(l->env, &i);
	gate_leave_locked(l);
	pthread_mutex_unlock(&l->gate);
	out->map_bytes = i.me_mapsize;
	out->used_bytes = (i.me_last_pgno + 1) * (uint64_t)page;
	out->last_txn = i.me_last_txnid;
}

static int reader_check(struct store *s)
{
	struct lmdb *l = lmdb_of(s);
	int dead = 0;

	if (s->read_only)
		return 0;
	gate_enter_locked(l);
	pthread_mutex_unlock(&l->gate);
	int rc = l->env ? mdb_reader_check(l->env, &dead) : MDB_PANIC;
	int err = lmdb_error(l, rc);

	pthread_mutex_lock(&l->gate);
	gate_leave_locked(l);
	pthread_mutex_unlock(&l->gate);
	return err ? err : dead;
}

static void reserve(struct store *s, uint64_t bytes)
{
	struct lmdb *l = lmdb_of(s);

	pthread_mutex_lock(&s->write_lock);
	if (lmdb_recover(l) == 0) {
		uint64_t used = lmdb_used(l);

		if ((used + bytes) * 4 > (uint64_t)l->map * 3)
			lmdb_grow(l, used, bytes, SOFT_WAIT_MS);
		lmdb_recover(l);
	}
	pthread_mutex_unlock(&s->write_lock);
}

static bool wants_quiet(struct store *s)
{
	return lmdb_of(s)->quiet_wanted;
}

const struct store_engine lmdb_engine = {
	.name = "lmdb",
	.close = close_store,
	.info = info,
	.reader_check = reader_check,
	.reserve = reserve,
	.wants_quiet = wants_quiet,
	.begin = begin,
	.commit = commit,
	.abort = abort_txn,
	.get = get,
	.put = put,
	.del = del,
	.cursor_open = cursor_open,
	.cursor_move = cursor_move,
	.cursor_close = cursor_close,
};
