/*
 * Runs below the power-cut recorder and shows that it is not blind (row D02, measurement M12): commits keys to LMDB one by one and marks each in the
 * recorder's log after the commit. With default sync every image must hold every marked key; with MDB_NOMETASYNC some must not; with
 * MDB_NOSYNC images must be broken; with marks made before the commit some must miss a key. "calls" changes a file in every way that
 * the recorder knows; the replay compares what it makes of the log with the file. Built without sanitizers.
 * usage: control sync|nometasync|nosync|nonames|early|calls DIRECTORY COUNT
 */
#include "tests/power/control.h"
#include "tests/power/log.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "control: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void mark(int log, uint64_t n)
{
	char text[32];
	struct log_head h = { .kind = LOG_MARK };

	h.data_bytes = (uint32_t)snprintf(text, sizeof(text), "key %llu", (unsigned long long)n);
	must(writev(log, (struct iovec[]){ { &h, sizeof(h) }, { text, h.data_bytes } }, 2) > 0, "mark");
}

static void commits(const char *dir, unsigned flags, bool early, bool names, uint64_t count, int log)
{
	char key[CONTROL_KEY], value[CONTROL_VALUE];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(!mdb_env_create(&env) && !mdb_env_set_mapsize(env, 64 << 20) &&
		     !mdb_env_open(env, dir, flags | MDB_NOTLS, 0600),
	     "open");
	must(fd >= 0 && (!names || fsync(fd) == 0) && close(fd) == 0, "directory"); /* LMDB itself does not do that */
	for (uint64_t n = 1; n <= count; n++) {
		control_record(n, key, value);
		must(!mdb_txn_begin(env, NULL, 0, &txn) && !mdb_dbi_open(txn, NULL, 0, &dbi), "begin");
		must(!mdb_put(txn, dbi, &(MDB_val){ CONTROL_KEY, key }, &(MDB_val){ CONTROL_VALUE, value }, 0), "put");
		if (early)
			mark(log, n);
		must(!mdb_txn_commit(txn), "commit");
		if (!early)
			mark(log, n);
	}
	mdb_env_close(env);
}

static void calls(const char *dir)
{
	char a[4200], b[4200];
	char letters[] = "abcdefghij";
	struct iovec two[2] = { { letters, 4 }, { letters + 4, 6 } };

	snprintf(a, sizeof(a), "%s/first.mdb", dir);
	snprintf(b, sizeof(b), "%s/second.mdb", dir);
	int fd = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, "0123456789", 10) == 10 && writev(fd, two, 2) == 10, "write");
	must(pwrite(fd, "XY", 2, 5) == 2 && pwritev(fd, two, 2, 4000) == 10, "pwrite");
	must(lseek(fd, 1000, SEEK_SET) == 1000 && writev(fd, two, 2) == 10 && lseek(fd, 2000, SEEK_SET) == 2000 &&
		     write(fd, "Z", 1) == 1,
	     "lseek");
	must(ftruncate(fd, 5000) == 0 && ftruncate(fd, 3000) == 0 && fsync(fd) == 0 && close(fd) == 0, "ftruncate");
	fd = open(a, O_WRONLY | O_APPEND | O_DSYNC | O_CLOEXEC);
	must(fd >= 0 && write(fd, "end", 3) == 3 && close(fd) == 0, "append");
	must(rename(a, b) == 0, "rename");
	fd = open(a, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, "new", 3) == 3 && close(fd) == 0 && unlink(a) == 0, "unlink");
	snprintf(a, sizeof(a), "%s/below", dir);
	must(mkdir(a, 0700) == 0, "mkdir");
	fd = open(b, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, "again", 5) == 5 && close(fd) == 0, "O_TRUNC");
}

int main(int argc, char **argv)
{
	const char *mode = argc == 4 ? argv[1] : "", *file = getenv("RECORD_LOG");

	if (argc != 4 || !file)
		return 2;
	/* a raw call: the log is no file that is recorded, but it need not even be looked at */
	int log = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	must(log >= 0, file);
	if (strcmp(mode, "calls") == 0)
		calls(argv[2]);
	else
		commits(argv[2],
			strcmp(mode, "nosync") == 0	  ? MDB_NOSYNC
			: strcmp(mode, "nometasync") == 0 ? MDB_NOMETASYNC
							  : 0,
			strcmp(mode, "early") == 0, strcmp(mode, "nonames") != 0, (uint64_t)atoi(argv[3]), log);
	return 0;
}
