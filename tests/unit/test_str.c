/*
 * base/str: slices, numbers, hashes, UTF-8 and XML validity (row X10), base64 and hex (RFC 4648).
 */
#include "base/str.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/lib/test.h"

TEST(comparing)
{
	ok(str_eq(STR("abc"), STR("abc")) && !str_eq(STR("abc"), STR("abd")) && !str_eq(STR("abc"), STR("ab")),
	   "str_eq");
	ok(str_eq(STR_NONE, STR("")), "nothing equals the empty text");
	ok(str_eq_c(STR("x"), "x") && !str_eq_c(STR("x"), "xy") && str_eq_c(STR_NONE, NULL), "str_eq_c");
	ok(str_ieq(STR("SCRAM-sha-1"), STR("scram-SHA-1")) && !str_ieq(STR("a"), STR("b")) &&
		   !str_ieq(STR("a"), STR("aa")),
	   "str_ieq");
	ok(!str_ieq(STR("@[`{"), STR("`{@[")), "only letters fold");
	ok(!str_ieq(STR("\xc3\x84"), STR("\xc3\xa4")), "only ASCII folds");
	ok(str_cmp(STR("a"), STR("b")) < 0 && str_cmp(STR("b"), STR("a")) > 0 && str_cmp(STR("a"), STR("a")) == 0,
	   "str_cmp");
	ok(str_cmp(STR("a"), STR("ab")) < 0 && str_cmp(STR("ab"), STR("a")) > 0 && str_cmp(STR_NONE, STR("")) == 0,
	   "then length");
	ok(str_cmp(STR("\x7f"), STR("\x80")) < 0, "bytes compare unsigned");
	ok(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), STR("")) && !str_starts(STR("a"), STR("ab")),
	   "str_starts");
	ok(str_ends(STR("abc"), STR("bc")) && str_ends(STR_NONE, STR("")) && !str_ends(STR("c"), STR("bc")),
	   "str_ends");
	ok(!str_ends(STR("abc"), STR("ab")) && !str_starts(STR("abc"), STR("bc")), "and neither elsewhere");
	is_int(str_find(STR("abcb"), 'b'), 1);
	is_int(str_find(STR("abc"), 'x'), -1);
	is_int(str_find(STR_NONE, 'x'), -1);
	is_int(str_c(NULL).n, 0);
}

TEST(trimming_and_splitting)
{
	is_str(str_trim(STR(" \t\r\n a b \v\f")), STR("a b"));
	is_str(str_trim(STR("   ")), STR(""));
	is_str(str_trim(STR_NONE), STR(""));
	struct str rest = STR("a,,b"), part;
	ok(str_split(&rest, ',', &part), "first");
	is_str(part, STR("a"));
	ok(str_split(&rest, ',', &part) && part.n == 0, "empty part");
	ok(str_split(&rest, ',', &part), "last");
	is_str(part, STR("b"));
	ok(!str_split(&rest, ',', &part), "end");
	rest = STR("a,");
	ok(str_split(&rest, ',', &part) && str_split(&rest, ',', &part) && part.n == 0 && !str_split(&rest, ',', &part),
	   "a separator at the end is followed by an empty part");
	rest = STR("");
	ok(str_split(&rest, ',', &part) && part.n == 0 && !str_split(&rest, ',', &part),
	   "empty text is one empty part");
}

TEST(numbers)
{
	uint64_t v = 5;
	is_int(str_u64(STR("0"), 10, &v), 0);
	is_int(v, 0);
	is_int(str_u64(STR("18446744073709551615"), UINT64_MAX, &v), 0);
	ok(v == UINT64_MAX, "the largest");
	v = 5;
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "1a", "0x1", "18446744073709551616", "99999999999999999999", "1.0"
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(str_u64(str_c(bad[i]), UINT64_MAX, &v) == ERR_SYNTAX && v == 5, "'%s' is refused", bad[i]);
	is_int(str_u64(STR("255"), 255, &v), 0);
	is_int(str_u64(STR("256"), 255, &v), ERR_SYNTAX);
	is_int(v, 255);
}

/* CPython 3.11 hashes bytes by SipHash-1-3, with a zero key under PYTHONHASHSEED=0: an implementation that is not
 * ours. */
TEST(siphash)
{
	static const uint64_t zero_key[2];
	char run[63];
	for (size_t i = 0; i < sizeof(run); i++)
		run[i] = (char)i;
	ok(siphash13(zero_key, STR("a")) == 0x407448d2b89b1813u, "STR('a')");
	ok(siphash13(zero_key, STR("abcdefg")) == 0x6db12aae9070f506u, "STR('abcdefg')");
	ok(siphash13(zero_key, STR("abcdefgh")) == 0x3f7b849c0b8e35eau, "STR('abcdefgh')");
	ok(siphash13(zero_key, STR("vestnik")) == 0xf8c97d1457daa08u, "STR('vestnik')");
	ok(siphash13(zero_key, str_of(run, sizeof(run))) == 0x385d3e39e5f37359u, "str_of(run, sizeof(run))");
	static const uint64_t other_key[2] = { 1, 2 };
	ok(siphash13(other_key, STR("a")) != siphash13(zero_key, STR("a")), "the key counts");
	ok(str_hash(STR("a")) == str_hash(str_of("ab", 1)) && str_hash(STR("a")) != str_hash(STR("b")),
	   "equal texts, equal hashes");
}

TEST(the_stable_hash_is_stable)
{
	/* On disk and between nodes: these values must never change. */
	ok(str_hash_stable(STR("")) == 0xefd01f60ba992926u, "empty");
	ok(str_hash_stable(STR("anna@example.org")) == 0xedac091a5392a63eu, "a JID");
	unsigned buckets[8] = { 0 };
	for (int i = 0; i < 8000; i++) {
		char name[32];
		int n = snprintf(name, sizeof(name), "user%d@example.org", i);
		buckets[str_hash_stable(str_of(name, (size_t)n)) % 8]++;
	}
	bool even = true;
	for (int i = 0; i < 8; i++)
		even = even && buckets[i] > 800 && buckets[i] < 1200;
	ok(even, "8000 names spread evenly over 8 homes");
}

/* Every sequence of up to 4 bytes at the borders, against the table of RFC 3629 section 4 written out. */
static bool rfc3629(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char lo0, hi0, lo1, hi1;
		size_t len;
	} rows[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	while (n > 0) {
		size_t len = 0;
		for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
			if (p[0] < rows[r].lo0 || p[0] > rows[r].hi0 || rows[r].len > n)
				continue;
			if (rows[r].len > 1 && (p[1] < rows[r].lo1 || p[1] > rows[r].hi1))
				continue;
			len = rows[r].len;
			for (size_t k = 2; k < rows[r].len; k++)
				len = p[k] < 0x80 || p[k] > 0xbf ? 0 : len;
		}
		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

TEST(utf8_agrees_with_the_table_of_the_rfc)
{
	static const unsigned char border[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
						0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
						0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
	enum { N = sizeof(border) };
	unsigned wrong = 0, valid = 0;
	for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
		/* In the middle of ASCII, so that the fast path is entered and left around the sequence. */
		unsigned char text[24];
		memset(text, 'a', sizeof(text));
		for (size_t k = 0, v = i; k < 4; k++, v /= N)
			text[9 + k] = border[v % N];
		bool want = rfc3629(text, sizeof(text));
		wrong += str_utf8_valid(str_of((char *)text, sizeof(text))) != want;
		wrong += str_utf8_valid(str_of((char *)text + 9, 4)) != rfc3629(text + 9, 4);
		valid += want;
	}
	is_int(wrong, 0);
	ok(valid > 1000, "%u of them are valid", valid);
	ok(str_utf8_valid(STR_NONE), "nothing is valid");
	ok(!str_utf8_valid(STR("abcdefgh\xd0")), "cut off");
}

TEST(utf8_next)
{
	uint32_t cp = 0;
	is_int(str_utf8_next(STR_NONE, &cp), 0);
	is_int(str_utf8_next(STR("\xd1\x8fz"), &cp), 2);
	is_int(cp, 0x44f);
	is_int(str_utf8_next(STR("\xe2\x82\xac"), &cp), 3);
	is_int(cp, 0x20ac);
	is_int(str_utf8_next(STR("\xf0\x9f\x98\x80"), &cp), 4);
	is_int(cp, 0x1f600);
	is_int(str_utf8_next(STR("\x80"), &cp), 0);
}

/* Row X10: "a\u0001b", "\uFFFE", a lone surrogate, C0 80; and XML 1.0 Char for every code point, at every place in
 * a word. */
TEST(xml_chars)
{
	ok(!str_xml_valid(STR("a\001b")), "U+0001");
	ok(!str_xml_valid(STR("\xef\xbf\xbe")) && !str_xml_valid(STR("\xef\xbf\xbf")), "U+FFFE, U+FFFF");
	ok(!str_xml_valid(STR("\xed\xa0\x80")), "lone surrogate");
	ok(!str_xml_valid(STR("\xc0\x80")), "overlong NUL");
	ok(!str_xml_valid(str_of("a\0b", 3)), "NUL");
	ok(str_xml_valid(STR("\t\r\n \x7f\xc2\x80\xef\xbf\xbd\xf4\x8f\xbf\xbf")), "all that is allowed at the borders");
	ok(str_xml_valid(STR_NONE), "nothing is valid");
	unsigned wrong = 0;
	for (unsigned c = 0; c < 128; c++) {
		bool want = c >= 0x20 || c == 9 || c == 10 || c == 13;
		for (size_t at = 0; at < 20; at++) {
			char text[20];
			memset(text, at % 2 ? ' ' : '\x7f', sizeof(text));
			text[at] = (char)c;
			wrong += str_xml_valid(str_of(text, sizeof(text))) != want;
		}
	}
	is_int(wrong, 0);
}

TEST(dup)
{
	char *z = str_dup(str_of("abc", 2));
	is_cstr(z, "ab");
	mem_free(z);
	z = str_dup(STR_NONE);
	is_cstr(z, "");
	mem_free(z);
}

/* RFC 4648 section 10 */
TEST(base64_vectors)
{
	static const char *const pairs[][2] = { { "", "" },
						{ "f", "Zg==" },
						{ "fo", "Zm8=" },
						{ "foo", "Zm9v" },
						{ "foob", "Zm9vYg==" },
						{ "fooba", "Zm9vYmE=" },
						{ "foobar", "Zm9vYmFy" },
						{ "\xff\xef\xfe", "/+/+" } };
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char text[16], back[16];
		size_t n = base64_encode(pairs[i][0], strlen(pairs[i][0]), text);
		is_str(str_of(text, n), str_c(pairs[i][1]));
		ptrdiff_t len = base64_decode(str_c(pairs[i][1]), back, sizeof(back));
		require(len >= 0, "decodes");
		is_str(str_of(back, (size_t)len), str_c(pairs[i][0]));
	}
}

TEST(base64_is_strict)
{
	static const char *const bad[] = { "Z",	       "Zg",   "Zg=",	 "Zg===", "=",	     "====",
					   "Zg==Zg==", "Z===", "Zm8=\n", " Zg=",  "Zm9v=",   "Zm9*",
					   "Zm9-",     "Zh==", "Zm9=",	 "Z=g=",  "Zm8=Zm8=" };
	char out[32];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(base64_decode(str_c(bad[i]), out, sizeof(out)) == ERR_SYNTAX, "'%s' is refused", bad[i]);
	is_int(base64_decode(STR("Zm9v"), out, 2), ERR_SYNTAX);
	is_int(base64_decode(STR("Zm8="), out, 2), 2);
	is_int(base64_decode(STR("Zg=="), out, 0), ERR_SYNTAX);
	is_int(base64_decode(STR_NONE, out, 0), 0);
}

TEST(base64_and_hex_round_trip)
{
	unsigned char bytes[100], back[100];
	bool same = true;
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(i * 89 + n * 7);
		char text[256];
		size_t len = base64_encode(bytes, n, text);
		same = same && len == 4 * ((n + 2) / 3);
		same = same && base64_decode(str_of(text, len), back, n) == (ptrdiff_t)n && memcmp(bytes, back, n) == 0;
		hex_encode(bytes, n, text);
		same = same && hex_decode(str_of(text, 2 * n), back, n) == (ptrdiff_t)n && memcmp(bytes, back, n) == 0;
	}
	ok(same, "0 to 100 bytes");
}

TEST(hex)
{
	char text[8];
	unsigned char out[4];
	hex_encode("\x00\xab\x9f", 3, text);
	is_str(str_of(text, 6), STR("00ab9f"));
	is_int(hex_decode(STR("00AB9f"), out, 4), 3);
	is_mem(out, "\x00\xab\x9f", 3);
	is_int(hex_decode(STR("0"), out, 4), ERR_SYNTAX);
	is_int(hex_decode(STR("0g"), out, 4), ERR_SYNTAX);
	is_int(hex_decode(STR("0011223344"), out, 4), ERR_SYNTAX);
}

TEST(utf8_cut_keeps_whole_characters)
{
	struct str s = STR("a\u042f\u20ac\U0001f600"); /* 1 + 2 + 3 + 4 bytes */
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

	for (size_t max = 0; max < sizeof(want) / sizeof(want[0]); max++)
		is_int(str_utf8_cut(s, max).n, want[max]);
	is_int(str_utf8_cut(STR_NONE, 5).n, 0);
}
