/*
 * LD_PRELOAD recorder for power cuts (row D02): everything a program does to the files below one directory goes into a log,
 * in the order in which it happened, together with the moments at which it was durable. tests/power/replay.c makes of the log
 * what a disk may hold after a power cut. For plain builds, as fault_preload.c beside it. Any thread.
 *
 *   RECORD_DIR=DIR       files and directories below are recorded (absolute path)
 *   RECORD_LOG=FILE      appended to, one write(2) for each record; others may append marks (tests/power/log.h)
 *   RECORD_SYNC_MS=N     each sync takes so much longer, as on a slow disk: what is promised too early shows more easily
 *
 * A change is logged before its call, with both under one lock; a sync at its begin (what was changed before is meant) and
 * at its end (now it is durable). What stdio writes is not seen by a preloaded library: at its fsync the whole file is logged.
 */
#include "tests/power/log.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum { IOV_MOST = 1024, STDIO_MOST = 1 << 20 };

static const char *dir;
static size_t dir_length;
static int log_fd = -1;
static unsigned sync_ms;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint_fast64_t last_id;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
	const char *file = getenv("RECORD_LOG"), *ms = getenv("RECORD_SYNC_MS");

	dir = getenv("RECORD_DIR");
	if (!dir || !file)
		return;
	dir_length = strlen(dir);
	sync_ms = ms ? (unsigned)atoi(ms) : 0;
	log_fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log_fd < 0) {
		fprintf(stderr, "record_preload: cannot open %s\n", file);
		_exit(99);
	}
}

/* ids: unique over the processes of one log. */
static uint64_t new_id(void)
{
	return (uint64_t)getpid() << 40 | ++last_id;
}

/* One record. A log that cannot be written would make a test lie. */
static void put(char kind, uint64_t id, const char *path, uint64_t at, const struct iovec *v, int n)
{
	struct log_head h = { .kind = kind, .path_bytes = (uint32_t)strlen(path), .id = id, .at = at };
	struct iovec all[IOV_MOST + 2] = { { &h, sizeof(h) }, { (void *)path, h.path_bytes } };

	for (int i = 0; i < n; i++) {
		all[2 + i] = v[i];
		h.data_bytes += (uint32_t)v[i].iov_len;
	}
	if (syscall(SYS_writev, log_fd, all, n + 2) != (long)(sizeof(h) + h.path_bytes + h.data_bytes))
		_exit(99);
}

static void put_text(char kind, const char *path, const char *text)
{
	put(kind, 0, path, 0, &(struct iovec){ (void *)text, strlen(text) }, 1);
}

static bool below(const char *path)
{
	return log_fd >= 0 && strncmp(path, dir, dir_length) == 0 && (path[dir_length] == '/' || !path[dir_length]);
}

/* Absolute path of a file that may not exist yet; false when it is none of ours. */
static bool ours(int at, const char *path, char out[PATH_MAX])
{
	char link[64], base[PATH_MAX];
	int saved = errno;

	if (log_fd < 0)
		return false;
	if (path[0] == '/') {
		snprintf(out, PATH_MAX, "%s", path);
	} else {
		if (at == AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/self/cwd");
		else
			snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
		ssize_t n = syscall(SYS_readlink, link, base, sizeof(base) - 1);
		base[n > 0 ? n : 0] = 0;
		if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
			out[0] = 0;
	}
	errno = saved;
	return below(out);
}

static bool our_fd(int fd, char out[PATH_MAX])
{
	char link[64];
	int saved = errno;

	if (log_fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = syscall(SYS_readlink, link, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = 0;
	errno = saved;
	return below(out);
}

/* ---- writes ---- */

/* Where a write without offset lands. */
static off_t place(int fd)
{
	struct stat st;

	if (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND)
		return fstat(fd, &st) ? 0 : st.st_size;
	return syscall(SYS_lseek, fd, (off_t)0, SEEK_CUR);
}

static void slow_disk(void)
{
	if (sync_ms)
		usleep(sync_ms * 1000);
}

/* at < 0: at the file's position. */
static ssize_t do_write(int fd, const struct iovec *v, int n, off_t at)
{
	char path[PATH_MAX];
	ssize_t done, whole = 0;

	if (!our_fd(fd, path))
		return at < 0 ? syscall(SYS_writev, fd, v, n) : REAL(pwritev)(fd, v, n, at);
	if (n > IOV_MOST)
		_exit(99);
	uint64_t id = new_id();
	bool durable = syscall(SYS_fcntl, fd, F_GETFL) & O_DSYNC; /* O_SYNC has this bit too */
	pthread_mutex_lock(&order);
	put(LOG_WRITE, id, path, (uint64_t)(at < 0 ? place(fd) : at), v, n);
	done = at < 0 ? syscall(SYS_writev, fd, v, n) : REAL(pwritev)(fd, v, n, at);
	pthread_mutex_unlock(&order);
	int saved = errno;
	for (int i = 0; i < n; i++)
		whole += (ssize_t)v[i].iov_len;
	if (done != whole)
		put_text(LOG_LOST, path, "a write failed or was short");
	if (durable) {
		slow_disk();
		put(LOG_WRITTEN, id, path, 0, NULL, 0);
	}
	errno = saved;
	return done;
}

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
	char path[PATH_MAX];

	return our_fd(fd, path) ? do_write(fd, &(struct iovec){ (void *)p, n }, 1, -1) : syscall(SYS_write, fd, p, n);
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return do_write(fd, &(struct iovec){ (void *)p, n }, 1, at);
}
EXPORT ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) __attribute__((alias("pwrite")));

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	return do_write(fd, v, n, -1);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return do_write(fd, v, n, at);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) __attribute__((alias("pwritev")));

EXPORT int ftruncate(int fd, off_t n)
{
	char path[PATH_MAX];

	if (!our_fd(fd, path))
		return REAL(ftruncate)(fd, n);
	pthread_mutex_lock(&order);
	put(LOG_TRUNCATE, 0, path, (uint64_t)n, NULL, 0);
	int rc = REAL(ftruncate)(fd, n);
	pthread_mutex_unlock(&order);
	return rc;
}
EXPORT int ftruncate64(int fd, off64_t n) __attribute__((alias("ftruncate")));

/* What the replay does not know. */
EXPORT int fallocate(int fd, int mode, off_t at, off_t n)
{
	char path[PATH_MAX];

	if (our_fd(fd, path))
		put_text(LOG_LOST, path, "fallocate is not recorded");
	return REAL(fallocate)(fd, mode, at, n);
}
EXPORT int fallocate64(int fd, int mode, off64_t at, off64_t n) __attribute__((alias("fallocate")));

/* ---- syncs ---- */

/* A file written by stdio shows its bytes only here. */
static void put_whole(int fd, const char *path)
{
	static char bytes[STDIO_MOST];
	char own[64];
	struct stat st;
	const char *dot = strrchr(path, '.');

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > STDIO_MOST || (dot && strcmp(dot, ".mdb") == 0))
		return;
	if (strstr(path, ".mdb.part")) /* LMDB writes it by pwrite */
		return;
	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	int again = (int)syscall(SYS_openat, AT_FDCWD, own, O_RDONLY | O_CLOEXEC, 0);
	pthread_mutex_lock(&order);
	ssize_t n = again < 0 ? -1 : REAL(pread)(again, bytes, sizeof(bytes), 0);
	if (n > 0)
		put(LOG_WRITE, new_id(), path, 0, &(struct iovec){ bytes, (size_t)n }, 1);
	pthread_mutex_unlock(&order);
	if (again >= 0)
		syscall(SYS_close, again);
}

static int do_sync(int fd, int (*real)(int fd))
{
	char path[PATH_MAX];

	if (!our_fd(fd, path))
		return real(fd);
	put_whole(fd, path);
	uint64_t id = new_id();
	pthread_mutex_lock(&order);
	put(LOG_SYNC, id, path, 0, NULL, 0);
	pthread_mutex_unlock(&order);
	int rc = real(fd);
	if (rc)
		return rc;
	slow_disk();
	put(LOG_SYNCED, id, path, 0, NULL, 0);
	return 0;
}

EXPORT int fdatasync(int fd)
{
	return do_sync(fd, REAL(fdatasync));
}

EXPORT int fsync(int fd)
{
	return do_sync(fd, REAL(fsync));
}

/* ---- names ---- */

static int open_at(int at, const char *path, int flags, mode_t mode)
{
	char whole[PATH_MAX];

	if (!(flags & (O_CREAT | O_TRUNC)) || !ours(at, path, whole))
		return (int)syscall(SYS_openat, at, path, flags, mode);
	pthread_mutex_lock(&order);
	if (syscall(SYS_access, whole, F_OK) != 0)
		put(LOG_CREATE, 0, whole, 0, NULL, 0);
	else if (flags & O_TRUNC)
		put(LOG_TRUNCATE, 0, whole, 0, NULL, 0);
	int fd = (int)syscall(SYS_openat, at, path, flags, mode);
	pthread_mutex_unlock(&order);
	if (fd < 0)
		put_text(LOG_LOST, whole, "open with O_CREAT or O_TRUNC failed");
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(AT_FDCWD, path, flags, mode);
}
EXPORT int open64(const char *path, int flags, ...) __attribute__((alias("open")));

EXPORT int openat(int at, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(at, path, flags, mode);
}
EXPORT int openat64(int at, const char *path, int flags, ...) __attribute__((alias("openat")));

EXPORT int mkdir(const char *path, mode_t mode)
{
	char whole[PATH_MAX];

	if (!ours(AT_FDCWD, path, whole) || syscall(SYS_access, whole, F_OK) == 0)
		return REAL(mkdir)(path, mode);
	pthread_mutex_lock(&order);
	put(LOG_MKDIR, 0, whole, 0, NULL, 0);
	int rc = REAL(mkdir)(path, mode);
	pthread_mutex_unlock(&order);
	return rc;
}

EXPORT int rename(const char *from, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	bool mine = ours(AT_FDCWD, from, a), into = ours(AT_FDCWD, to, b);

	if (!mine && !into)
		return REAL(rename)(from, to);
	pthread_mutex_lock(&order);
	put_text(mine && into ? LOG_RENAME : LOG_LOST, a, b);
	int rc = REAL(rename)(from, to);
	pthread_mutex_unlock(&order);
	if (rc)
		put_text(LOG_LOST, a, "rename failed");
	return rc;
}

EXPORT int unlink(const char *path)
{
	char whole[PATH_MAX];

	if (!ours(AT_FDCWD, path, whole) || syscall(SYS_access, whole, F_OK) != 0)
		return REAL(unlink)(path);
	pthread_mutex_lock(&order);
	put(LOG_UNLINK, 0, whole, 0, NULL, 0);
	int rc = REAL(unlink)(path);
	pthread_mutex_unlock(&order);
	return rc;
}
