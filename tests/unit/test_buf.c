/*
 * base/buf: growth, the hard maximum and its sticky flag.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "tests/lib/test.h"

TEST(appending)
{
	struct buf b;
	buf_init(&b, 1000);
	ok(b.p == NULL && buf_ok(&b), "nothing allocated at first");
	buf_add(&b, NULL, 0);
	ok(b.p == NULL, "nothing added, nothing allocated");
	buf_lit(&b, "ab");
	buf_byte(&b, 'c');
	buf_str_add(&b, STR("de"));
	buf_str_add(&b, STR_NONE);
	buf_u64(&b, 0);
	buf_byte(&b, ' ');
	buf_u64(&b, UINT64_MAX);
	buf_printf(&b, "<%s>", "x");
	is_str(buf_str(&b), STR("abcde0 18446744073709551615<x>"));
	buf_consume(&b, 2);
	is_str(buf_str(&b), STR("cde0 18446744073709551615<x>"));
	buf_consume(&b, b.n);
	is_int(b.n, 0);
	buf_printf(&b, "%300d", 5);
	is_int(b.n, 300);
	is_int(b.p[299], '5');
	buf_clear(&b);
	ok(b.p == NULL && b.max == 1000, "cleared, maximum kept");
	buf_lit(&b, "again");
	is_str(buf_str(&b), STR("again"));
	buf_clear(&b);
}

TEST(the_maximum_is_exact_and_sticky)
{
	struct buf b;
	buf_init(&b, 10);
	buf_lit(&b, "0123456789");
	ok(buf_ok(&b), "exactly the maximum fits");
	buf_byte(&b, 'x');
	ok(!buf_ok(&b), "one more does not");
	is_str(buf_str(&b), STR("0123456789"));
	buf_consume(&b, 5);
	buf_byte(&b, 'y');
	is_str(buf_str(&b), STR("56789"));
	ok(!buf_ok(&b), "the flag stays, later bytes are dropped as well");
	buf_reset(&b);
	ok(buf_ok(&b), "until the reset");
	buf_lit(&b, "0123456789a");
	ok(!buf_ok(&b) && b.n == 0, "a piece that does not fit is dropped whole");
	buf_reset(&b);
	buf_printf(&b, "%d", 1234567890);
	ok(buf_ok(&b) && b.n == 10, "printing needs no room for a NUL");
	buf_printf(&b, "%s", "x");
	ok(!buf_ok(&b), "printing above the maximum");
	buf_reset(&b);
	buf_printf(&b, "%400d", 1);
	ok(!buf_ok(&b) && b.n == 0, "a long print above the maximum");
	buf_clear(&b);
}

TEST(memory_never_grows_above_the_maximum)
{
	struct buf b;
	buf_init(&b, 1000);
	size_t most = 0;
	for (int i = 0; i < 2000; i++) {
		buf_byte(&b, (char)i);
		most = b.cap > most ? b.cap : most;
	}
	is_int(b.n, 1000);
	ok(most <= 1000, "capacity %zu", most);
	buf_clear(&b);
	buf_init(&b, 0);
	buf_byte(&b, 'x');
	ok(!buf_ok(&b) && b.p == NULL, "a buffer of nothing");
	buf_init(&b, SIZE_MAX);
	buf_lit(&b, "x");
	ok(buf_ok(&b), "no maximum");
	ok(buf_reserve(&b, SIZE_MAX) == NULL && !buf_ok(&b), "and no overflow of the sum");
	buf_clear(&b);
}

TEST(reserve_and_commit)
{
	struct buf b;
	buf_init(&b, 300);
	buf_lit(&b, "a");
	char *p = buf_reserve(&b, 299);
	require(p != NULL, "room up to the maximum");
	memset(p, 'z', 299);
	buf_commit(&b, 2);
	is_str(buf_str(&b), STR("azz"));
	ok(buf_reserve(&b, 298) == NULL, "not above");
	buf_clear(&b);
}

TEST(take)
{
	struct buf b;
	buf_init(&b, 100);
	buf_lit(&b, "text");
	size_t n;
	char *p = buf_take(&b, &n);
	is_int(n, 4);
	is_cstr(p, "text");
	ok(b.p == NULL && b.n == 0, "the buffer is empty");
	mem_free(p);
	p = buf_take(&b, NULL);
	is_cstr(p, "");
	mem_free(p);
}
