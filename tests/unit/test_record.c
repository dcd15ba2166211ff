/* Keys keep their order, records come back as written, and no flipped bit is ever served (D12). */
#include "storage/key.h"
#include "storage/record.h"
#include "base/crypto.h"
#include "base/err.h"
#include "tests/lib/test.h"

TEST(keys_sort_like_their_parts)
{
	static const uint64_t n[] = { 0, 1, 255, 256, 65535, 65536, UINT32_MAX, 1ull << 32, UINT64_MAX };
	struct key last = { 0 }, k;

	for (size_t i = 0; i < sizeof(n) / sizeof(*n); i++) {
		key_init(&k);
		key_u64(&k, n[i]);
		ok(i == 0 || str_cmp(key_str(&last), key_str(&k)) < 0, "%llu sorts behind the former",
		   (unsigned long long)n[i]);
		last = k;
	}
	key_init(&last);
	key_strz(&last, STR("ab"));
	key_u8(&last, 255);
	key_init(&k);
	key_strz(&k, STR("abc"));
	key_u8(&k, 0);
	ok(str_cmp(key_str(&last), key_str(&k)) < 0, "a shorter string sorts first");
}

TEST(keys_read_back)
{
	struct key k;

	key_init(&k);
	key_u32(&k, 0x01020304);
	key_strz(&k, STR("dom"));
	key_u64(&k, 77);
	key_u8(&k, 9);
	key_tail(&k, STR("rest"));
	is_mem(k.p, "\1\2\3\4dom", 8);
	struct str in = key_str(&k);

	is_int(key_get_u32(&in), 0x01020304);
	is_str(key_get_strz(&in), STR("dom"));
	is_int(key_get_u64(&in), 77);
	is_int(key_get_u8(&in), 9);
	is_str(in, STR("rest"));
	is_int(key_get_u64(&in), 0);
	is_int(in.n, 0);
	in = STR("no end");
	is_str(key_get_strz(&in), STR_NONE);
}

TEST(long_parts)
{
	static char a[1000], b[1000];
	struct key ka, kb;

	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	b[999] = 'y';
	key_init(&ka);
	key_u32(&ka, 1);
	kb = ka;
	key_tail(&ka, str_of(a, 1000));
	key_tail(&kb, str_of(b, 1000));
	is_int(key_str(&ka).n, KEY_MAX);
	ok(!str_eq(key_str(&ka), key_str(&kb)), "long parts that differ at the end have different keys");
	key_init(&kb);
	key_u32(&kb, 1);
	key_tail(&kb, str_of(a, 1000));
	ok(str_eq(key_str(&ka), key_str(&kb)), "the same part has the same key");
	key_init(&kb);
	key_tail(&kb, str_of(a, KEY_MAX));
	ok(!kb.overflow && str_eq(key_str(&kb), str_of(a, KEY_MAX)), "one that just fits is not cut");
	key_init(&kb);
	key_strz(&kb, str_of(a, KEY_MAX));
	ok(kb.overflow && key_str(&kb).n == 0, "a middle part that does not fit gives no key");
	key_init(&kb);
	key_strz(&kb, STR("a\0b"));
	ok(kb.overflow && key_str(&kb).n == 0, "a NUL inside a middle part gives no key");
}

static struct str sample(struct recw *w)
{
	recw_begin(w, 3);
	recw_u64(w, 0);
	recw_u64(w, 127);
	recw_u64(w, 128);
	recw_u64(w, UINT64_MAX);
	recw_str(w, STR("hello"));
	recw_str(w, STR_NONE);
	recw_str(w, STR("the last field of a record that is used for flipping bits, somewhat longer"));
	return recw_finish(w);
}

TEST(record_round_trip)
{
	struct recw w;
	struct recr r;

	recw_init(&w, 1000);
	struct str v = sample(&w);

	is_int(recr_open(&r, v), 0);
	is_int(r.version, 3);
	is_int(recr_u64(&r), 0);
	is_int(recr_u64(&r), 127);
	is_int(recr_u64(&r), 128);
	ok(recr_u64(&r) == UINT64_MAX, "the greatest number");
	is_str(recr_str(&r), STR("hello"));
	is_str(recr_str(&r), STR(""));
	ok(recr_more(&r), "one more");
	is_int(recr_str(&r).n, 74);
	ok(!recr_more(&r), "the end");
	is_int(r.err, 0);
	is_int(recr_u64(&r), 0);
	is_int(r.err, ERR_CORRUPT);
	recw_clear(&w);
}

TEST(record_limits)
{
	struct recw w;
	struct recr r;

	recw_init(&w, 20);
	recw_begin(&w, 1);
	recw_str(&w, STR("far too much for twenty bytes"));
	ok(recw_finish(&w).p == NULL, "a record above its maximum is none");
	recw_begin(&w, 1);
	is_int(recr_open(&r, recw_finish(&w)), 0);
	ok(!recr_more(&r), "empty record");
	recw_clear(&w);
	is_int(recr_open(&r, STR("")), ERR_CORRUPT);
	is_int(recr_open(&r, STR("\1\0\0\0\0\0\0")), ERR_CORRUPT);
	is_int(recr_open(&r, STR("\0\0\0\0\0\0\0\0")), ERR_CORRUPT);
}

/* Content with a right CRC but nonsense in it (a bug, or somebody's forgery): errors, never out of bounds. */
TEST(nonsense_content)
{
	static const struct {
		struct str content;
		const char *what;
	} bad[] = {
		{ { "\x80", 1 }, "varint without end" },
		{ { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 }, "varint above 64 bits" },
		{ { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 }, "varint of 11 bytes" },
		{ { "\x05"
		    "abcd",
		    5 },
		  "string longer than the rest" },
		{ { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		    "abcd",
		    14 },
		  "string of 2^64-1 bytes" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct recw w;
		struct recr r;

		recw_init(&w, 100);
		recw_begin(&w, 1);
		buf_add(&w.b, bad[i].content.p, bad[i].content.n);
		is_int(recr_open(&r, recw_finish(&w)), 0);
		is_str(recr_str(&r), STR_NONE);
		is_int(r.err, ERR_CORRUPT);
		ok(!recr_more(&r), "%s: nothing more is read", bad[i].what);
		recw_clear(&w);
	}
}

TEST(flipped_bits_are_never_served)
{
	struct recw w;
	struct recr r;
	char copy[200];
	unsigned served = 0, flips = 0;
	uint32_t x = 12345;

	recw_init(&w, 1000);
	struct str v = sample(&w);

	/* Every single bit, then 10^4 random places with one to four flips (D12). */
	for (size_t bit = 0; bit < v.n * 8; bit++, flips++) {
		memcpy(copy, v.p, v.n);
		copy[bit / 8] ^= (char)(1 << bit % 8);
		served += recr_open(&r, str_of(copy, v.n)) == 0;
	}
	for (unsigned i = 0; i < 10000; i++, flips++) {
		memcpy(copy, v.p, v.n);
		for (unsigned k = 0; k <= i % 4; k++) {
			x = x * 1664525 + 1013904223;
			copy[(x >> 8) % v.n] ^= (char)(1 << (x >> 28) % 8);
		}
		if (memcmp(copy, v.p, v.n) != 0)
			served += recr_open(&r, str_of(copy, v.n)) == 0;
	}
	is_int(served, 0);
	for (size_t n = 0; n < v.n; n++)
		served += recr_open(&r, str_of(v.p, n)) == 0;
	is_int(served, 0);
	ok(flips > 10000, "%u damaged copies", flips);
	recw_clear(&w);
}
