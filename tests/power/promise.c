/* Opens images and compares them with marks; see promise.h. One thread. */
#include "tests/power/promise.h"
#include "base/hash.h"
#include "storage/check.h"
#include "storage/migrate.h"
#include "storage/tab_message.h"
#include "storage/tab_sm.h"
#include "tests/power/control.h"
#include <lmdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

/* Prints why and returns the worse of two verdicts. */
static __attribute__((format(printf, 3, 4))) enum verdict wrong(enum verdict so_far, enum verdict v, const char *fmt,
								...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return v > so_far ? v : so_far;
}

/* The text between two others; NONE when it is not there. */
static struct str between(struct str s, const char *before, const char *after)
{
	const char *a = memmem(s.p, s.n, before, strlen(before));
	const char *b = a ? memmem(a, (size_t)(s.p + s.n - a), after, strlen(after)) : NULL;

	if (!b)
		return STR_NONE;
	a += strlen(before);
	return str_of(a, (size_t)(b - a));
}

/* "verb rest": true when it is that verb; *rest behind it. */
static bool verb(struct str mark, const char *name, struct str *rest)
{
	return str_split(&mark, ' ', rest) && str_eq_c(*rest, name) && (*rest = mark, true);
}

static uint64_t number(struct str s)
{
	uint64_t n = 0;

	str_u64(s, UINT64_MAX, &n);
	return n;
}

/* ---- messages ---- */

static size_t count(struct txn *t, enum table tab)
{
	struct scan sc;
	size_t n = 0;

	scan_open(&sc, t, tab, STR_NONE, STR_NONE);
	while (scan_next(&sc))
		n++;
	scan_close(&sc);
	return n;
}

/* Bodies of all messages; each message must have one entry in the log of its author and one in that of its recipient. */
static enum verdict read_messages(struct txn *t, struct hash *bodies)
{
	uint64_t last = message_last_gid(t);
	enum verdict v = KEPT;
	size_t n = 0;

	for (uint64_t gid = 1; gid <= last; gid++) {
		struct message_rec m;
		int err = message_get(t, gid, &m);
		if (err == ERR_NOT_FOUND)
			continue;
		if (err)
			return wrong(v, CORRUPT, "message %lu: %s", (unsigned long)gid, err_text(err));
		struct str body = between(m.payload, "<body>", "</body>");
		n++;
		if (hash_put(bodies, body, (void *)1))
			v = wrong(v, LOST, "twice in the archive: %.*s", STR_ARG(body));
	}
	size_t entries = count(t, TAB_ACCOUNT_LOG);
	if (entries != 2 * n)
		v = wrong(v, LOST, "%zu messages, but %zu entries in the logs of accounts", n, entries);
	return v;
}

static enum verdict check_messages(struct txn *t, const struct str *marks, size_t n)
{
	struct hash *bodies = hash_new();
	struct str body;
	enum verdict v = read_messages(t, bodies);

	for (size_t i = 0; i < n; i++)
		if (verb(marks[i], "acked", &body) && !hash_get(bodies, body))
			v = wrong(v, LOST, "acknowledged, not there: %.*s", STR_ARG(body));
	hash_free(bodies);
	return v;
}

/* ---- values that are overwritten ---- */

static enum verdict check_sm(struct txn *t, struct str rest)
{
	struct str id;
	struct sm_rec r;
	struct sm_counters c = { .in = 0 };

	str_split(&rest, ' ', &id);
	int err = sm_get(t, id, &r, &c, NULL);
	if (err || c.in < number(rest))
		return wrong(KEPT, err == ERR_CORRUPT ? CORRUPT : LOST,
			     "session %.*s had <a h='%.*s'/>, on disk is %u (%s)", STR_ARG(id), STR_ARG(rest), c.in,
			     err ? err_text(err) : "no error");
	return KEPT;
}

static enum verdict check_private(struct txn *t, struct str rest)
{
	struct scan sc;
	struct str name;
	char before[80];
	uint64_t found = 0;

	str_split(&rest, ' ', &name);
	snprintf(before, sizeof(before), ">%.*s:", STR_ARG(name));
	scan_open(&sc, t, TAB_PRIVATE, STR_NONE, STR_NONE);
	while (scan_next(&sc)) {
		uint64_t n = number(between(sc.value, before, "<"));
		found = n > found ? n : found;
	}
	scan_close(&sc);
	if (found >= number(rest))
		return KEPT;
	return wrong(KEPT, LOST, "private XML %.*s was stored as %.*s, on disk is %lu", STR_ARG(name), STR_ARG(rest),
		     (unsigned long)found);
}

static enum verdict check_values(struct txn *t, const struct str *marks, size_t n)
{
	struct hash *seen = hash_new(); /* only the newest promise about a value holds */
	enum verdict v = KEPT, one;
	struct str rest, who, tail;

	for (size_t i = n; i-- > 0;) {
		bool sm = verb(marks[i], "sm", &rest);
		if (!sm && !verb(marks[i], "private", &rest))
			continue;
		tail = rest;
		str_split(&tail, ' ', &who);
		if (hash_put(seen, who, (void *)1))
			continue;
		one = sm ? check_sm(t, rest) : check_private(t, rest);
		v = one > v ? one : v;
	}
	hash_free(seen);
	return v;
}

/* ---- one store ---- */

static enum verdict check_store(const char *dir, bool backup, const struct str *marks, size_t n)
{
	struct store_options o = { .read_only = backup };
	struct err_msg msg;
	struct store *s;
	struct check_report report;
	enum verdict v, w;
	int err = store_open_lmdb(dir, &o, &s, &msg);

	if (err)
		return wrong(KEPT, CORRUPT, "%s", msg.text);
	if (!backup && (err = migrate_check(s, &msg)))
		v = wrong(KEPT, CORRUPT, "%s", msg.text);
	else if ((err = store_check(s, &report)))
		v = wrong(KEPT, CORRUPT, "%s: check says: %s", dir, err_text(err));
	else {
		struct txn *t = txn_read(s);
		v = check_messages(t, marks, n);
		w = backup ? KEPT : check_values(t, marks, n);
		v = w > v ? w : v;
		if ((err = txn_commit(t)))
			v = wrong(v, CORRUPT, "%s: %s", dir, err_text(err));
	}
	store_close(s);
	return v;
}

/* A backup that was reported must be there; one that has its name must be whole, also when it was not reported yet (row D13). */
static enum verdict check_backup(const char *dir, struct str name, bool reported, const struct str *marks, size_t n)
{
	char path[PATH_BYTES], file[PATH_BYTES + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%.*s", dir, STR_ARG(name));
	snprintf(file, sizeof(file), "%s/data.mdb", path);
	if (stat(file, &st) == 0)
		return check_store(path, true, marks, n);
	return reported ? wrong(KEPT, LOST, "backup %.*s was reported, it is not there", STR_ARG(name)) : KEPT;
}

static bool was_reported(struct str name, const struct str *marks, size_t n)
{
	struct str rest;

	for (size_t i = 0; i < n; i++)
		if (verb(marks[i], "backup", &rest) && str_eq(rest, name))
			return true;
	return false;
}

enum verdict promise_store(const char *dir, const struct str *marks, size_t n)
{
	char path[PATH_BYTES];
	struct str name;
	enum verdict v, w;

	snprintf(path, sizeof(path), "%s/data", dir);
	mkdir(path, 0700); /* the daemon makes it too */
	v = check_store(path, false, marks, n);
	for (size_t i = 0; i < n; i++)
		if (verb(marks[i], "begin", &name)) {
			w = check_backup(dir, name, was_reported(name, marks, n), marks, i);
			v = w > v ? w : v;
		}
	return v;
}

/* ---- plain LMDB ---- */

static enum verdict check_keys(MDB_txn *txn, MDB_dbi dbi, const struct str *marks, size_t n)
{
	char key[CONTROL_KEY], value[CONTROL_VALUE];
	struct str rest;
	enum verdict v = KEPT;

	for (size_t i = 0; i < n; i++) {
		MDB_val got;
		if (!verb(marks[i], "key", &rest))
			continue;
		control_record(number(rest), key, value);
		int err = mdb_get(txn, dbi, &(MDB_val){ CONTROL_KEY, key }, &got);
		if (err == MDB_NOTFOUND)
			v = wrong(v, LOST, "committed, not there: key %.*s", STR_ARG(rest));
		else if (err || got.mv_size != CONTROL_VALUE || memcmp(got.mv_data, value, CONTROL_VALUE) != 0)
			return wrong(v, CORRUPT, "key %.*s: %s", STR_ARG(rest),
				     err ? mdb_strerror(err) : "another value");
	}
	return v;
}

enum verdict promise_lmdb(const char *dir, const struct str *marks, size_t n)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	enum verdict v;
	int err;

	if ((err = mdb_env_create(&env)) || (err = mdb_env_open(env, dir, MDB_NOTLS, 0600)) ||
	    (err = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn)) || (err = mdb_dbi_open(txn, NULL, 0, &dbi)))
		v = wrong(KEPT, CORRUPT, "%s", mdb_strerror(err));
	else
		v = check_keys(txn, dbi, marks, n);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return v;
}
