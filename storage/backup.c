/*
 * Backup while serving (row D13): one read transaction, every record appended to a fresh LMDB file, which makes the copy compact.
 * Not mdb_env_copy, because that cannot be stopped: the map cannot grow while a read transaction is open (M17) and pages freed
 * meanwhile are not used again (M15). So the copy gives way when the writer needs room, and then starts anew.
 * Runs on a thread of its own choice, never on a loop.
 */
#include "storage/engine_impl.h"
#include "base/clock.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LIMIT_MS = 30 * 60 * 1000,
	TRIES = 3,
	COMMIT_BYTES = 16 << 20,
	LOOK_EVERY = 256, /* records between two looks at clock and writer */
	PATH_BYTES = 4096,
};
#define GROWTH_MIN ((uint64_t)256 << 20)

struct backup {
	struct store *from, *to;
	struct txn *read, *write;
	uint64_t began_ms, used_at_start, count;
	char part[PATH_BYTES], whole[PATH_BYTES];
	struct err_msg *msg;
};

static int empty_dir(const char *dir, struct err_msg *msg)
{
	int err;

	if (mkdir(dir, 0700) == 0) {
		if ((err = store_sync_parent(dir))) /* D02: else a power cut takes the whole backup */
			return err_set(msg, err, "cannot sync the parent of %s to disk: %s", dir, err_text(err));
	} else if (errno != EEXIST) {
		return err_set(msg, err_from_errno(errno), "cannot make %s: %s", dir, strerror(errno));
	}
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = true;

	if (!d)
		return err_set(msg, err_from_errno(errno), "cannot open %s: %s", dir, strerror(errno));
	while ((e = readdir(d)))
		empty = empty && e->d_name[0] == '.' && (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2]));
	closedir(d);
	return empty ? 0 : err_set(msg, ERR_EXISTS, "%s is not empty: name a new directory for the backup", dir);
}

/* The guards; ERR_AGAIN: start anew after the writer had its room. */
static int look(struct backup *b)
{
	struct store_info info;

	if (b->from->e->wants_quiet(b->from))
		return err_set(b->msg, ERR_AGAIN,
			       "the store had to grow during the backup: try again when fewer messages are written");
	if (clock_mono_ms() - b->began_ms > LIMIT_MS)
		return err_set(b->msg, ERR_TIMEOUT, "the backup took longer than %d minutes: write it to a faster disk",
			       LIMIT_MS / 60000);
	store_get_info(b->from, &info);
	if (info.used_bytes > b->used_at_start + b->used_at_start / 2 &&
	    info.used_bytes > b->used_at_start + GROWTH_MIN)
		return err_set(b->msg, ERR_LIMIT,
			       "the store grew by half during the backup: try again when fewer messages are written");
	return 0;
}

static int next_commit(struct backup *b)
{
	int err = txn_commit(b->write);

	b->write = txn_write(b->to);
	return err;
}

static int copy_table(struct backup *b, enum table tab)
{
	struct scan sc;
	int err = 0;

	scan_open(&sc, b->read, tab, STR_NONE, STR_NONE);
	while (!err && scan_next(&sc)) {
		txn_put(b->write, tab, sc.key, sc.value, TXN_APPEND);
		if (b->write->bytes > COMMIT_BYTES)
			err = next_commit(b);
		if (!err && ++b->count % LOOK_EVERY == 0)
			err = look(b);
	}
	scan_close(&sc);
	return err ? err : txn_error(b->write);
}

static int copy_all(struct backup *b)
{
	int err = 0;

	b->write = txn_write(b->to);
	for (unsigned tab = 0; tab < TAB_COUNT && !err; tab++)
		err = copy_table(b, (enum table)tab);
	if (!err)
		err = txn_error(b->read);
	if (err) {
		txn_abort(b->write);
		return err;
	}
	return txn_commit(b->write);
}

static int put_in_place(struct backup *b, const char *dir)
{
	int err = rename(b->part, b->whole) ? err_from_errno(errno) : store_sync_dir(dir);

	return err ? err_set(b->msg, err, "cannot finish the backup in %s: %s", dir, err_text(err)) : 0;
}

static int try_once(struct backup *b, const char *dir)
{
	struct store_info info;

	store_get_info(b->from, &info);
	/* Room beforehand, so that the writer seldom has to ask for it. */
	b->from->e->reserve(b->from, info.used_bytes / 2);
	b->used_at_start = info.used_bytes;
	/* A map of twice the source is enough for any shape of the copy; it is only address space. */
	int err = lmdb_copy_begin(b->part, 2 * info.used_bytes + ((uint64_t)64 << 20), &b->to, b->msg);

	if (err)
		return err;
	b->read = txn_read(b->from);
	err = copy_all(b);
	txn_abort(b->read);
	int err2 = lmdb_copy_finish(b->to, b->part, err ? NULL : b->msg);

	return err ? err : err2 ? err2 : put_in_place(b, dir);
}

int store_backup(struct store *s, const char *dir, struct err_msg *msg)
{
	struct err_msg own = { .text = "" };
	struct backup b = { .from = s, .began_ms = clock_mono_ms(), .msg = &own };
	int err = empty_dir(dir, msg);

	if (err)
		return err;
	if ((size_t)snprintf(b.whole, sizeof(b.whole), "%s/data.mdb", dir) >= sizeof(b.whole) - 8)
		return err_set(msg, ERR_LIMIT, "the name of the backup directory is too long");
	memcpy(b.part, b.whole, sizeof(b.part));
	memcpy(b.part + strlen(b.part), ".part", sizeof(".part"));
	for (unsigned i = 0; i < TRIES; i++) {
		err = try_once(&b, dir);
		if (err != ERR_AGAIN)
			break;
		unlink(b.part);
	}
	if (!err)
		return 0;
	unlink(b.part);
	return err_set(msg, err, "%s",
		       *own.text	     ? own.text
		       : err == ERR_NO_SPACE ? "no space left for the backup: free some space there"
					     : err_text(err));
}
