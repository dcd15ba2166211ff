/*
 * LD_PRELOAD shim: the n-th call of a libc function fails, also when a library such as LMDB makes it. For plain builds
 * (BUILD_PLAIN): it does not mix with AddressSanitizer. Any thread.
 *
 *   FAULT_PRELOAD="CALL:N:ERROR[:COUNT[:PATH]]"   several rules separated by commas
 *     CALL   write pwrite writev pwritev anywrite (those four) fdatasync fsync anysync open rename ftruncate accept
 *            getrandom malloc (with calloc and realloc) bigmalloc (of 16 KiB and more)
 *     N      the first pass that fails, from 1; only passes with a matching path count
 *     ERROR  EIO ENOSPC EDQUOT EINTR EAGAIN EMFILE ENFILE ENOMEM ENOSYS EROFS ECONNABORTED, or short: a write takes half
 *     COUNT  so many passes fail (default 1; 0: for ever)
 *     PATH   only for files whose path holds this text
 *   FAULT_PRELOAD_WHILE=FILE   rules act, and passes count, only while FILE exists (create it to fill the disk, remove it
 *                              to make room)
 *   FAULT_PRELOAD_LOG=FILE     one line per injected fault: CALL PASS ERROR PATH
 *   FAULT_PRELOAD_COUNT=FILE   at an orderly exit, for each rule how many passes there were: a sweep learns how far to go
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum { RULES_MAX = 16, SHORT = -1, IOV_MOST = 1024, BIG = 16384 };

static const char *const call_names[] = { "write",  "pwrite",	 "writev", "pwritev",	"fdatasync", "fsync",	 "open",
					  "rename", "ftruncate", "accept", "getrandom", "malloc",    "bigmalloc" };
enum call {
	WRITE,
	PWRITE,
	WRITEV,
	PWRITEV,
	FDATASYNC,
	FSYNC,
	OPEN,
	RENAME,
	FTRUNCATE,
	ACCEPT,
	GETRANDOM,
	MALLOC,
	BIGMALLOC, /* of BIG bytes and more, like the buffer of a TLS record */
	CALLS
};

static const struct {
	const char *name;
	int value;
} errors[] = { { "EIO", EIO },
	       { "ENOSPC", ENOSPC },
	       { "EDQUOT", EDQUOT },
	       { "EINTR", EINTR },
	       { "EAGAIN", EAGAIN },
	       { "EMFILE", EMFILE },
	       { "ENFILE", ENFILE },
	       { "ENOMEM", ENOMEM },
	       { "ENOSYS", ENOSYS },
	       { "EROFS", EROFS },
	       { "ECONNABORTED", ECONNABORTED },
	       { "short", SHORT } };

static struct rule {
	unsigned calls; /* bit per enum call */
	unsigned first, count;
	int error;
	const char *error_name;
	char path[200];
	atomic_uint passes;
} rules[RULES_MAX];
static int rule_count;
static const char *while_file, *log_file;

/* The real function behind ours. */
#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static __attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	_exit(99); /* a test with a mistyped rule must not pass */
}

static unsigned calls_of(const char *name)
{
	if (strcmp(name, "anywrite") == 0)
		return 1u << WRITE | 1u << PWRITE | 1u << WRITEV | 1u << PWRITEV;
	if (strcmp(name, "anysync") == 0)
		return 1u << FDATASYNC | 1u << FSYNC;
	if (strcmp(name, "malloc") == 0)
		return 1u << MALLOC | 1u << BIGMALLOC;
	for (int i = 0; i < CALLS; i++)
		if (strcmp(name, call_names[i]) == 0)
			return 1u << i;
	refuse("fault_preload: unknown call '%s'\n", name);
}

static void add_rule(const char *text)
{
	struct rule *r = &rules[rule_count];
	char call[32], error[32];

	if (rule_count == RULES_MAX)
		refuse("fault_preload: more than %d rules\n", RULES_MAX);
	r->count = 1;
	if (sscanf(text, "%31[^:]:%u:%31[^:]:%u:%199[^,]", call, &r->first, error, &r->count, r->path) < 3 ||
	    r->first == 0)
		refuse("fault_preload: '%s' is not CALL:N:ERROR[:COUNT[:PATH]]\n", text);
	r->calls = calls_of(call);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(error, errors[i].name) == 0) {
			r->error = errors[i].value;
			r->error_name = errors[i].name;
		}
	if (!r->error)
		refuse("fault_preload: unknown error '%s'\n", error);
	rule_count++;
}

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("FAULT_PRELOAD");
	char one[256];

	while_file = getenv("FAULT_PRELOAD_WHILE");
	log_file = getenv("FAULT_PRELOAD_LOG");
	while (text && *text) {
		size_t n = strcspn(text, ",");

		snprintf(one, sizeof(one), "%.*s", (int)n, text);
		add_rule(one);
		text += n + (text[n] == ',');
	}
}

/* Raw system calls, so that the shim neither counts nor fails its own. */
static void note(enum call c, unsigned pass, const char *error, const char *path)
{
	char line[512];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	int n = snprintf(line, sizeof(line), "%s %u %s %s\n", call_names[c], pass, error, path);

	if (fd < 0)
		return;
	syscall(SYS_write, fd, line, n);
	syscall(SYS_close, fd);
}

__attribute__((destructor)) static void count_passes(void)
{
	const char *count_file = getenv("FAULT_PRELOAD_COUNT");
	char line[32];
	int fd = count_file ? (int)syscall(SYS_openat, AT_FDCWD, count_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
					   0644)
			    : -1;

	for (int i = 0; fd >= 0 && i < rule_count; i++) {
		int n = snprintf(line, sizeof(line), "%u\n", atomic_load(&rules[i].passes));
		syscall(SYS_write, fd, line, n);
	}
	if (fd >= 0)
		syscall(SYS_close, fd);
}

/* 0, an errno, or SHORT for this pass. path NULL: that of fd; fd -1: none. */
static int fault(enum call c, int fd, const char *path)
{
	char link[64], buffer[PATH_MAX] = "";
	int saved = errno, found = 0;

	if (rule_count == 0 || (while_file && syscall(SYS_access, while_file, F_OK) != 0)) {
		errno = saved;
		return 0;
	}
	for (int i = 0; i < rule_count; i++) {
		struct rule *r = &rules[i];

		if (!(r->calls & 1u << c))
			continue;
		if (!path) {
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
			ssize_t n = fd < 0 ? 0 : syscall(SYS_readlink, link, buffer, sizeof(buffer) - 1);
			buffer[n > 0 ? n : 0] = 0;
			path = buffer;
		}
		if (r->path[0] && !strstr(path, r->path))
			continue;
		unsigned pass = atomic_fetch_add(&r->passes, 1) + 1;
		if (found || pass < r->first || (r->count && pass >= r->first + r->count))
			continue;
		found = r->error;
		if (log_file)
			note(c, pass, r->error_name, path);
	}
	errno = saved;
	return found;
}

/* Returns from the caller with the fault, unless there is none or it is SHORT (then `error` says so). */
#define FAIL_OR_GO_ON(c, fd, path, failure)                                                                            \
	int error = fault((c), (fd), (path));                                                                          \
	if (error > 0) {                                                                                               \
		errno = error;                                                                                         \
		return failure;                                                                                        \
	}                                                                                                              \
	(void)error

static size_t half(size_t n)
{
	return n > 1 ? n / 2 : n;
}

/* Copies the front half of an array of buffers; returns how many entries. */
static int half_iov(const struct iovec *v, int n, struct iovec *out)
{
	size_t total = 0, left;
	int i;

	for (i = 0; i < n; i++)
		total += v[i].iov_len;
	left = half(total);
	for (i = 0; i < n && i < IOV_MOST && left; i++) {
		out[i] = v[i];
		if (out[i].iov_len > left)
			out[i].iov_len = left;
		left -= out[i].iov_len;
	}
	return i;
}

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
	FAIL_OR_GO_ON(WRITE, fd, NULL, -1);
	return syscall(SYS_write, fd, p, error == SHORT ? half(n) : n);
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	FAIL_OR_GO_ON(PWRITE, fd, NULL, -1);
	return REAL(pwrite)(fd, p, error == SHORT ? half(n) : n, at);
}
EXPORT ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) __attribute__((alias("pwrite")));

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	struct iovec less[IOV_MOST];

	FAIL_OR_GO_ON(WRITEV, fd, NULL, -1);
	if (error == SHORT) {
		n = half_iov(v, n, less);
		v = less;
	}
	return REAL(writev)(fd, v, n);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	struct iovec less[IOV_MOST];

	FAIL_OR_GO_ON(PWRITEV, fd, NULL, -1);
	if (error == SHORT) {
		n = half_iov(v, n, less);
		v = less;
	}
	return REAL(pwritev)(fd, v, n, at);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) __attribute__((alias("pwritev")));

EXPORT int fdatasync(int fd)
{
	FAIL_OR_GO_ON(FDATASYNC, fd, NULL, -1);
	return REAL(fdatasync)(fd);
}

EXPORT int fsync(int fd)
{
	FAIL_OR_GO_ON(FSYNC, fd, NULL, -1);
	return REAL(fsync)(fd);
}

EXPORT int ftruncate(int fd, off_t n)
{
	FAIL_OR_GO_ON(FTRUNCATE, fd, NULL, -1);
	return REAL(ftruncate)(fd, n);
}
EXPORT int ftruncate64(int fd, off64_t n) __attribute__((alias("ftruncate")));

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	FAIL_OR_GO_ON(OPEN, -1, path, -1);
	return (int)syscall(SYS_openat, dir, path, flags, mode);
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

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(dir, path, flags, mode);
}
EXPORT int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

/* What the fortified library calls when there is no mode argument. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}
EXPORT int __open64_2(const char *path, int flags) __attribute__((alias("__open_2")));

EXPORT int rename(const char *from, const char *to)
{
	FAIL_OR_GO_ON(RENAME, -1, to, -1);
	return REAL(rename)(from, to);
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *n, int flags)
{
	FAIL_OR_GO_ON(ACCEPT, fd, NULL, -1);
	return REAL(accept4)(fd, addr, n, flags);
}

EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *n)
{
	FAIL_OR_GO_ON(ACCEPT, fd, NULL, -1);
	return REAL(accept)(fd, addr, n);
}

EXPORT ssize_t getrandom(void *p, size_t n, unsigned flags)
{
	FAIL_OR_GO_ON(GETRANDOM, -1, NULL, -1);
	return REAL(getrandom)(p, error == SHORT ? half(n) : n, flags);
}

/* glibc's own entry points: dlsym() allocates, so it cannot be used here. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

EXPORT void *malloc(size_t n)
{
	FAIL_OR_GO_ON(n < BIG ? MALLOC : BIGMALLOC, -1, NULL, NULL);
	return __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
	FAIL_OR_GO_ON(MALLOC, -1, NULL, NULL);
	return __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
	FAIL_OR_GO_ON(MALLOC, -1, NULL, NULL);
	return __libc_realloc(p, n);
}
