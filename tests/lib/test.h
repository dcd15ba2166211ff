/*
 * Test harness: prints TAP, needs nothing but base/str.h. A test file is one program:
 *
 *   #include "base/hash.h"
 *   #include "tests/lib/test.h"
 *
 *   TEST(put_replaces_and_returns_former)
 *   {
 *           struct hash *h = hash_new();
 *           is_ptr(hash_put(h, STR("a"), "1"), NULL);
 *           is_int(hash_count(h), 1);
 *           ok(hash_get(h, STR("b")) == NULL, "an absent key is NULL (row X07)");
 *           hash_free(h);
 *   }
 *
 * There is no main() and no list: each TEST registers itself and they run in file order. Every check is one TAP line;
 * a failed check prints both values, the test goes on. require() leaves the TEST when the rest makes no sense.
 * Add the line "UNIT_TESTS += tests/unit/test_NAME" to tests/Makefile.inc; run with `make check`,
 * or build/tests/unit/test_NAME [PART-OF-TEST-NAME] for one of them (NAME=glob not needed, a substring is enough).
 * Data files: test_path("tests/unit/data/x.xml"); scratch directory, removed at exit: test_tmpdir().
 * Single-threaded: checks from other threads are collected by the test itself.
 */
#pragma once
#include "base/str.h"
#include <string.h>

#define TEST(name)                                                                                             \
	static void test_##name(void);                                                                         \
	__attribute__((constructor)) static void test_register_##name(void) { test_add(#name, __FILE__, __LINE__, test_##name); } \
	static void test_##name(void)

/* cond with a printf-like name of what is expected. All checks return whether they passed. */
#define ok(cond, ...) test_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want) test_is_int((long long)(got), (long long)(want), #got, __FILE__, __LINE__)
#define is_ptr(got, want) test_ok((const void *)(got) == (const void *)(want), __FILE__, __LINE__, "%s is %s", #got, #want)
/* struct str, shown escaped when they differ; is_str(s, STR("abc")). */
#define is_str(got, want) test_is_str((got), (want), #got, __FILE__, __LINE__)
/* NUL-terminated strings, NULL allowed. */
#define is_cstr(got, want) test_is_cstr((got), (want), #got, __FILE__, __LINE__)
#define is_mem(got, want, n) test_is_str(str_of((const char *)(got), (n)), str_of((const char *)(want), (n)), #got, __FILE__, __LINE__)
/* Leaves the TEST function (plain return) when the condition does not hold. */
#define require(cond, ...) do { if (!ok(cond, __VA_ARGS__)) return; } while (0)
/* A check that cannot run here, with the reason; counted as skipped, not as passed. */
#define skip(...) test_skip(__VA_ARGS__)
/* A remark in the output. */
#define diag(...) test_diag(__VA_ARGS__)

/* File of the source tree (works out of tree); valid until the next call. */
const char *test_path(const char *relative);
/* A fresh directory for this program, removed with all it holds at exit. */
const char *test_tmpdir(void);

/* Below: used by the macros. */
void test_add(const char *name, const char *file, int line, void (*fn)(void));
bool test_ok(bool cond, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
bool test_is_int(long long got, long long want, const char *expr, const char *file, int line);
bool test_is_str(struct str got, struct str want, const char *expr, const char *file, int line);
bool test_is_cstr(const char *got, const char *want, const char *expr, const char *file, int line);
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
