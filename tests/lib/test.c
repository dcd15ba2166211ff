/*
 * The harness behind test.h: a list of registered tests, TAP on stdout, the plan at the end, exit code 1 after a
 * failure. It does not use our own base code (only the slice type), so that it can judge it.
 */
#include "tests/lib/test.h"
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TESTS_MAX = 512, SHOWN_MAX = 2000 };

static struct test {
	const char *name, *file;
	int line;
	void (*fn)(void);
} tests[TESTS_MAX];
static int test_count, checks, failed;
static const char *current = "";
static char tmpdir[256];

void test_add(const char *name, const char *file, int line, void (*fn)(void))
{
	if (test_count == TESTS_MAX) {
		fprintf(stderr, "more than %d tests in one program\n", TESTS_MAX);
		exit(99);
	}
	tests[test_count++] = (struct test){ name, file, line, fn };
}

__attribute__((format(printf, 4, 0))) static bool result(bool passed, const char *file, int line, const char *fmt,
							 va_list ap)
{
	char name[512];

	vsnprintf(name, sizeof(name), fmt, ap);
	for (char *p = name; *p; p++)
		if (*p == '\n' || *p == '#' || *p == '\r') /* would end the line or start a TAP directive */
			*p = ' ';
	printf("%s %d - %s: %s\n", passed ? "ok" : "not ok", ++checks, current, name);
	if (!passed) {
		failed++;
		printf("#   failed at %s:%d\n", file, line);
	}
	return passed;
}

bool test_ok(bool cond, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	bool r = result(cond, file, line, fmt, ap);
	va_end(ap);
	return r;
}

bool test_is_int(long long got, long long want, const char *expr, const char *file, int line)
{
	if (!test_ok(got == want, file, line, "%s is %lld", expr, want))
		test_diag("  got %lld, want %lld", got, want);
	return got == want;
}

static void show(const char *what, struct str s)
{
	printf("#   %s %zu bytes: ", what, s.n);
	for (size_t i = 0; i < s.n && i < SHOWN_MAX; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c == 0x7f || c == '\\')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	puts(s.n > SHOWN_MAX ? "..." : "");
}

bool test_is_str(struct str got, struct str want, const char *expr, const char *file, int line)
{
	bool same = got.n == want.n && (got.n == 0 || memcmp(got.p, want.p, got.n) == 0);

	test_ok(same, file, line, "%s is as expected", expr);
	if (!same) {
		show("got ", got);
		show("want", want);
	}
	return same;
}

bool test_is_cstr(const char *got, const char *want, const char *expr, const char *file, int line)
{
	if (!got || !want)
		return test_ok(got == want, file, line, "%s is %s", expr, want ? want : "NULL");
	return test_is_str(str_of(got, strlen(got)), str_of(want, strlen(want)), expr, file, line);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	printf("ok %d # SKIP %s: ", ++checks, current);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void test_diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

const char *test_path(const char *relative)
{
	static char path[4096];
	const char *src = getenv("SRCDIR");

	snprintf(path, sizeof(path), "%s/%s", src ? src : ".", relative);
	return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

const char *test_tmpdir(void)
{
	const char *base = getenv("TMPDIR");

	if (!tmpdir[0]) {
		snprintf(tmpdir, sizeof(tmpdir), "%s/vestnik-test-XXXXXX", base && *base ? base : "/tmp");
		if (!mkdtemp(tmpdir)) {
			perror(tmpdir);
			exit(99);
		}
	}
	return tmpdir;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0); /* keep what was printed when a test crashes */
	for (int i = 0; i < test_count; i++) {
		int before = checks;

		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		current = tests[i].name;
		tests[i].fn();
		if (checks == before) /* a test that checks nothing cannot fail */
			test_ok(false, tests[i].file, tests[i].line, "makes at least one check");
	}
	if (tmpdir[0])
		nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	printf("1..%d\n", checks);
	return failed || !checks ? 1 : 0;
}
