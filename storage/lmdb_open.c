/*
 * Opening an LMDB store: directory, file system, lock file, the checks that refuse what is not ours, tables. Runs on the
 * main thread before others start (or in a tool). Every refusal says what to do about it (rows D09, D10, D12).
 */
#include "storage/lmdb_impl.h"
#include "storage/record.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PATH_BYTES 4096

bool fs_is_network(uint64_t magic, const char **out_name)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} fs[] = {
		{ 0x6969, "NFS" },	{ 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" }, { 0x517b, "SMB" },
		{ 0x65735546, "FUSE" }, { 0x00c36400, "Ceph" }, { 0x5346414f, "AFS" }, { 0x73757245, "Coda" },
		{ 0x564c, "NCP" },	{ 0x01021997, "9p" },
	};

	for (size_t i = 0; i < sizeof(fs) / sizeof(*fs); i++) {
		if (fs[i].magic == (uint32_t)magic) {
			*out_name = fs[i].name;
			return true;
		}
	}
	return false;
}

int store_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_from_errno(errno);
	int err = fsync(fd) ? err_from_errno(errno) : 0;

	close(fd);
	return err;
}

int store_sync_parent(const char *path)
{
	char up[PATH_BYTES];

	snprintf(up, sizeof(up), "%s/..", path);
	return store_sync_dir(up);
}

/* Makes the directory when it is missing (not its parents). */
static int need_dir(const char *dir, bool read_only, struct err_msg *msg)
{
	struct stat st;

	if (stat(dir, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return err_set(msg, ERR_CONFLICT,
				       "%s is not a directory: set the data directory (option data) to a directory",
				       dir);
		if (access(dir, read_only ? R_OK | X_OK : R_OK | W_OK | X_OK))
			return err_set(msg, ERR_FORBIDDEN,
				       "no permission for data directory %s: give it to this user (chown -R %u %s)",
				       dir, (unsigned)geteuid(), dir);
		return 0;
	}
	if (errno != ENOENT || read_only)
		return err_set(msg, err_from_errno(errno), "cannot open data directory %s: %s", dir, strerror(errno));
	if (mkdir(dir, 0700))
		return err_set(msg, err_from_errno(errno),
			       "cannot make data directory %s: %s; make it by hand and give it to this user", dir,
			       strerror(errno));
	int err = store_sync_parent(dir);

	return err ? err_set(msg, err, "cannot sync the parent of %s to disk: %s", dir, err_text(err)) : 0;
}

static int refuse_network(const char *dir, const struct store_options *o, struct err_msg *msg)
{
	struct statfs fs;
	const char *name;

	if (o->allow_network_fs || statfs(dir, &fs) || !fs_is_network((uint64_t)fs.f_type, &name))
		return 0;
	return err_set(msg, ERR_UNSUPPORTED, "data directory %s is on %s: the store needs a local disk; move it to one",
		       dir, name);
}

/* flock, so that a second open in this very process is seen too (D10). */
static int take_lock(struct lmdb *l, bool read_only, struct err_msg *msg)
{
	char path[PATH_BYTES], pid[24] = "";

	snprintf(path, sizeof(path), "%s/vestnik.lock", l->dir);
	l->lock_fd = open(path, read_only ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (l->lock_fd < 0) {
		if (read_only && (errno == ENOENT || errno == EACCES))
			return 0; /* a backup has none */
		return err_set(msg, err_from_errno(errno), "cannot open lock file %s: %s", path, strerror(errno));
	}
	if (flock(l->lock_fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
		ssize_t n = pread(l->lock_fd, pid, sizeof(pid) - 1, 0);

		pid[n > 0 ? n : 0] = 0;
		pid[strspn(pid, "0123456789")] = 0;
		return err_set(msg, ERR_BUSY,
			       "data directory %s is in use by another vestnik (process %s): stop that one or set "
			       "another directory",
			       l->dir, *pid ? pid : "unknown");
	}
	if (read_only)
		return 0;
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

	if (ftruncate(l->lock_fd, 0) || pwrite(l->lock_fd, pid, (size_t)n, 0) != n)
		return err_set(msg, err_from_errno(errno), "cannot write lock file %s: %s", path, strerror(errno));
	return 0;
}

static int explain_open(struct lmdb *l, int rc, const char *path, struct err_msg *msg)
{
	int err = lmdb_error(l, rc);

	if (err == ERR_VERSION || err == ERR_CORRUPT)
		return err_set(
			msg, ERR_VERSION,
			"%s is not a data file of vestnik (or of another LMDB version): set another data directory "
			"or put a backup there",
			path);
	if (err == ERR_FORBIDDEN)
		return err_set(msg, err, "no permission for %s: give it to this user (chown %u %s)", path,
			       (unsigned)geteuid(), path);
	if (err == ERR_NO_SPACE)
		return err_set(msg, err, "no space left for %s: free some space on that disk", path);
	return err_set(msg, err ? err : ERR_IO, "cannot open %s: %s", path, mdb_strerror(rc));
}

/* A read-only file without lock file has one reader process: us. */
static int open_env(struct lmdb *l, const char *path, const struct store_options *o, unsigned flags,
		    struct err_msg *msg)
{
	int rc = mdb_env_create(&l->env);

	if (rc) {
		l->env = NULL;
		return err_set(msg, ERR_NOMEM, "cannot create the LMDB environment: %s", mdb_strerror(rc));
	}
	mdb_env_set_maxdbs(l->env, TAB_COUNT);
	mdb_env_set_maxreaders(l->env, o->max_readers ? o->max_readers : READERS_DEFAULT);
	mdb_env_set_mapsize(l->env, o->map_bytes ? o->map_bytes : MAP_DEFAULT);
	rc = mdb_env_open(l->env, path, flags | MDB_NOTLS, 0600);
	if (rc)
		return explain_open(l, rc, path, msg);
	MDB_stat st;

	mdb_env_stat(l->env, &st);
	l->page = st.ms_psize;
	lmdb_note_map(l);
	return 0;
}

/* --- what is in the file --- */

/* Every value readable and sound, the free list too. Used for a short file only. */
static bool walk(struct lmdb *l)
{
	MDB_txn *t;
	bool sound = true;

	if (mdb_txn_begin(l->env, NULL, MDB_RDONLY, &t))
		return false;
	for (int i = -1; sound && i < TAB_COUNT; i++) {
		MDB_cursor *c;
		MDB_val k, v;
		MDB_dbi dbi = 0;
		int rc = i < 0 ? 0 : mdb_dbi_open(t, table_name((enum table)i), 0, &dbi);

		if (rc == MDB_NOTFOUND)
			continue;
		if (rc || mdb_cursor_open(t, dbi, &c)) {
			sound = false;
			break;
		}
		while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
			struct recr r;

			if (i >= 0 && recr_open(&r, str_of(v.mv_data, v.mv_size)))
				sound = false;
		}
		sound = sound && rc == MDB_NOTFOUND;
		mdb_cursor_close(c);
	}
	mdb_txn_abort(t);
	return sound;
}

/*
 * A truncated file would kill the process by SIGBUS when the missing part is read (D12). LMDB leaves out pages at the end that
 * were taken and given back in one transaction, so a short file may still be whole: fill it up with a hole and read everything.
 */
static int check_length(struct lmdb *l, const char *path, bool read_only, struct err_msg *msg)
{
	struct stat st;
	uint64_t want = lmdb_used(l);
	int fd;

	if (mdb_env_get_fd(l->env, &fd) || fstat(fd, &st))
		return err_set(msg, ERR_IO, "cannot read the size of %s: %s", path, strerror(errno));
	if ((uint64_t)st.st_size >= want)
		return 0;
	if (!read_only && ftruncate(fd, (off_t)want) == 0) {
		if (walk(l))
			return 0;
		if (ftruncate(fd, st.st_size)) /* as it was, so that the next start says the same */
			return err_set(msg, ERR_CORRUPT, "%s is damaged: put a backup there", path);
	}
	return err_set(msg, ERR_CORRUPT, "%s is cut off (%llu of %llu bytes): put a backup there", path,
		       (unsigned long long)st.st_size, (unsigned long long)want);
}

/* An LMDB file with other tables than ours belongs to somebody else; nothing may be written to it. */
static int check_foreign(struct lmdb *l, const char *path, struct err_msg *msg)
{
	MDB_txn *t;
	MDB_dbi main_dbi, meta;
	MDB_stat st = { 0 };
	int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &t);

	if (rc)
		return explain_open(l, rc, path, msg);
	rc = mdb_dbi_open(t, NULL, 0, &main_dbi);
	if (!rc)
		rc = mdb_stat(t, main_dbi, &st);
	bool foreign = !rc && st.ms_entries && mdb_dbi_open(t, table_name(TAB_META), 0, &meta) != 0;

	mdb_txn_abort(t);
	if (rc)
		return explain_open(l, rc, path, msg);
	return foreign ? explain_open(l, MDB_INVALID, path, msg) : 0;
}

static int open_tables(struct lmdb *l, bool read_only, const char *path, struct err_msg *msg)
{
	MDB_txn *t;
	int rc = mdb_txn_begin(l->env, NULL, read_only ? MDB_RDONLY : 0, &t);

	if (rc)
		return explain_open(l, rc, path, msg);
	for (unsigned i = 0; i < TAB_COUNT && !rc; i++) {
		rc = mdb_dbi_open(t, table_name((enum table)i), read_only ? 0 : MDB_CREATE, &l->dbi[i]);
		l->has[i] = rc == 0;
		if (rc == MDB_NOTFOUND && read_only)
			rc = 0;
	}
	if (rc) {
		mdb_txn_abort(t);
		return explain_open(l, rc, path, msg);
	}
	rc = mdb_txn_commit(t);
	return rc ? explain_open(l, rc, path, msg) : 0;
}

int lmdb_open_again(struct lmdb *l)
{
	struct store_options o = { .map_bytes = l->map, .max_readers = l->max_readers };
	int err = open_env(l, l->dir, &o, l->s.read_only ? MDB_RDONLY | MDB_NOLOCK : 0, NULL);

	/* Without the right to make tables nothing is written: they are all there. */
	return err ? err : open_tables(l, true, l->dir, NULL);
}

static struct lmdb *new_lmdb(const char *dir)
{
	struct lmdb *l = NEW(struct lmdb);
	pthread_condattr_t attr;

	store_init(&l->s, &lmdb_engine);
	l->lock_fd = -1;
	l->dir = str_dup(str_c(dir));
	pthread_mutex_init(&l->gate, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	l->write_handle = NEW(struct lmdb_txn);
	txn_init(&l->write_handle->t, &l->s, true);
	return l;
}

static int open_data(struct lmdb *l, const struct store_options *o, struct err_msg *msg)
{
	char path[PATH_BYTES];
	struct stat st;
	int err, dead;

	if ((size_t)snprintf(path, sizeof(path), "%s/data.mdb", l->dir) > sizeof(path) - 32)
		return err_set(msg, ERR_LIMIT, "the name of the data directory is too long");
	if ((err = need_dir(l->dir, o->read_only, msg)) || (err = refuse_network(l->dir, o, msg)) ||
	    (err = take_lock(l, o->read_only, msg)))
		return err;
	bool is_new = stat(path, &st) != 0 || st.st_size == 0;

	if (is_new && o->read_only)
		return err_set(msg, ERR_NOT_FOUND, "%s holds no data.mdb: name the directory of a backup", l->dir);
	if ((err = open_env(l, l->dir, o, o->read_only ? MDB_RDONLY | MDB_NOLOCK : 0, msg)))
		return err;
	if (!o->read_only)
		mdb_reader_check(l->env, &dead);
	if ((err = check_length(l, path, o->read_only, msg)) || (err = check_foreign(l, path, msg)) ||
	    (err = open_tables(l, o->read_only, path, msg)))
		return err;
	if (!o->read_only && (err = store_sync_dir(l->dir))) /* D02: the names too must survive a power cut */
		return err_set(msg, err, "cannot sync %s to disk: %s", l->dir, err_text(err));
	return 0;
}

int store_open_lmdb(const char *dir, const struct store_options *o, struct store **out, struct err_msg *msg)
{
	struct lmdb *l = new_lmdb(dir);
	int err;

	*out = NULL;
	l->s.read_only = o->read_only;
	l->max_map = o->max_map_bytes;
	l->max_readers = o->max_readers;
	err = open_data(l, o, msg);
	if (err) {
		store_close(&l->s);
		return err;
	}
	*out = &l->s;
	return 0;
}

/* --- the target of a backup --- */

int lmdb_copy_begin(const char *file, uint64_t map_bytes, struct store **out, struct err_msg *msg)
{
	struct lmdb *l = new_lmdb(file);
	struct store_options o = { .map_bytes = map_bytes };
	/* Nobody reads this file before it is whole, synced and renamed: the one place where NOSYNC is right. */
	int err = open_env(l, file, &o, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, msg);

	if (!err)
		err = open_tables(l, false, file, msg);
	if (err) {
		store_close(&l->s);
		return err;
	}
	*out = &l->s;
	return 0;
}

int lmdb_copy_finish(struct store *s, const char *file, struct err_msg *msg)
{
	struct lmdb *l = (struct lmdb *)(void *)s;
	struct stat st;
	uint64_t want = lmdb_used(l);
	int fd, err = 0;

	/* A whole number of pages, so that nobody takes the copy for a truncated one. */
	if (mdb_env_get_fd(l->env, &fd) || fstat(fd, &st) ||
	    ((uint64_t)st.st_size < want && ftruncate(fd, (off_t)want)) || fsync(fd))
		err = err_set(msg, err_from_errno(errno), "cannot finish %s: %s", file, strerror(errno));
	store_close(s);
	return err;
}
