/*
 * xml/jid: cutting, preparing, comparing addresses (RFC 7622, row I06) and skeletons of names (row I05).
 */
#include "xml/jid.h"
#include "base/mem.h"
#include "tests/lib/test.h"
#include <pthread.h>

static struct arena *a;

/* want NULL: must be refused. */
static void check_jid(const char *in, const char *want)
{
	struct jid j, again;
	int err = jid_parse(a, str_c(in), &j);

	if (!want) {
		ok(err != 0 && jid_is_none(&j), "refused: %s", in);
		return;
	}
	if (!ok(err == 0, "taken: %s", in))
		return;
	test_is_str(j.full, str_c(want), in, __FILE__, __LINE__);
	ok(jid_parse(a, j.full, &again) == 0 && jid_eq(&j, &again), "prepared again the same: %s", want);
}

TEST(table)
{
	static const char *const rows[][2] = {
		{ "a@b/c", "a@b/c" },
		{ "example.org", "example.org" },
		{ "Anna@Example.ORG/Phone X", "anna@example.org/Phone X" },
		{ "example.org.", "example.org" },
		{ "a@example.org./r", "a@example.org/r" },
		{ "b/c@d/e", "b/c@d/e" },
		{ "a@b/@/", "a@b/@/" },
		{ "a@b/ r ", "a@b/ r " },
		{ "!#$%()*+,-.;=?[]^_`{|}~@b", "!#$%()*+,-.;=?[]^_`{|}~@b" },
		{ "a@[2001:DB8::1]", "a@[2001:db8::1]" },
		{ "a@127.0.0.1", "a@127.0.0.1" },
		{ "a@_x.b_c", "a@_x.b_c" },
		{ "a@xn--e1afmkfd.xn--p1ai", "a@xn--e1afmkfd.xn--p1ai" },
		/* beyond ASCII */
		{ "\xd0\x98\xd0\x92\xd0\x90\xd0\x9d@\xd0\x9f\xd0\xa0\xd0\x98\xd0\x9c\xd0\x95\xd0\xa0.\xd0\xa0\xd0\xa4",
		  "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd@\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80."
		  "\xd1\x80\xd1\x84" },
		{ "\xef\xbc\xa1@b", "a@b" }, /* fullwidth A */
		{ "stra\xc3\x9f"
		  "e@b",
		  "strasse@b" },	  /* sharp s */
		{ "a\xc2\xad@b", "a@b" }, /* soft hyphen mapped to nothing */
		{ "a@b\xe3\x80\x82"
		  "c",
		  "a@b.c" }, /* ideographic full stop */
		{ "a@b\xef\xbc\x8e"
		  "c",
		  "a@b.c" },							    /* fullwidth full stop */
		{ "a@b/\xf0\x9f\x98\x80", "a@b/\xf0\x9f\x98\x80" },		    /* newer than Unicode 3.2 */
		{ "a@b/\xd0\x94\xd0\xbe\xd0\xbc", "a@b/\xd0\x94\xd0\xbe\xd0\xbc" }, /* resources keep case */
		{ "a@b/\xe2\x84\xa1", "a@b/TEL" },				    /* NFKC */
		{ "a@b/e\xcc\x81", "a@b/\xc3\xa9" },
		/* refused */
		{ "", NULL },
		{ "@b", NULL },
		{ "a@", NULL },
		{ "a@/r", NULL },
		{ "a@b/", NULL },
		{ "/r", NULL },
		{ "a@b@c", NULL },
		{ "a b@c", NULL },
		{ "a\"@b", NULL },
		{ "a&@b", NULL },
		{ "a'@b", NULL },
		{ "a:@b", NULL },
		{ "a<@b", NULL },
		{ "a>@b", NULL },
		{ "a\x01@b", NULL },
		{ "a\x7f@b", NULL },
		{ "a@b c", NULL },
		{ "a@b..c", NULL },
		{ "a@.b", NULL },
		{ "a@.", NULL },
		{ "a@-b", NULL },
		{ "a@b-.c", NULL },
		{ "a@b:5222", NULL },
		{ "a@[::g]", NULL },
		{ "a@[::1", NULL },
		{ "a@[::1]x", NULL },
		{ "a@[]", NULL },
		{ "a@b/\x01", NULL },
		{ "a@b/\n", NULL },
		{ "\xc2\xa0@b", NULL }, /* no-break space */
		{ "a\xef\xbc\xa0"
		  "b@c",
		  NULL }, /* fullwidth commercial at */
		{ "a@b\xef\xbc\x8f"
		  "c",
		  NULL },		/* fullwidth solidus in the domain */
		{ "\xc2\xad@b", NULL }, /* nothing left */
		{ "a@\xc2\xad", NULL },
		{ "a@b/\xc2\xad", NULL },
		{ "a@b/\xef\xbf\xbe", NULL }, /* U+FFFE */
		{ "a@b/\xe2\x80\xae", NULL }, /* right-to-left override */
		{ "\xd7\x90"
		  "a@b",
		  NULL },		  /* mixed directions */
		{ "a@b/\xc0\x80", NULL }, /* broken UTF-8 (CVE-2015-2059) */
		{ "a@b/\xed\xa0\x80", NULL },
		{ "a@b/\xff", NULL },
		{ "a@b/\xd0", NULL },
		{ "\xf4\x90\x80\x80@b", NULL },
	};

	a = arena_new(4096);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_jid(rows[i][0], rows[i][1]);
	struct jid j;
	ok(jid_parse(a, STR_NONE, &j) != 0, "no string, no address");
	ok(jid_parse(a, STR("a\0@b"), &j) != 0, "NUL in the local part");
	ok(jid_parse(a, STR("\xd0\xb6\0@b"), &j) != 0, "NUL beside a letter beyond ASCII");
	arena_free(a);
}

TEST(parts)
{
	struct jid j, k, bare;

	a = arena_new(4096);
	require(jid_parse(a, STR("a@b.c/d/e"), &j) == 0, "parses");
	is_str(jid_local(&j), STR("a"));
	is_str(jid_domain(&j), STR("b.c"));
	is_str(jid_resource(&j), STR("d/e"));
	is_str(jid_bare(&j), STR("a@b.c"));
	ok(!jid_is_bare(&j), "full");
	bare = jid_to_bare(j);
	ok(jid_is_bare(&bare) && jid_bare_eq(&j, &bare) && !jid_eq(&j, &bare), "bare");
	require(jid_parse(a, STR("b.c/d"), &k) == 0, "parses");
	is_int(k.local_n, 0);
	is_str(jid_domain(&k), STR("b.c"));
	ok(!jid_bare_eq(&j, &k), "the domain is not the account");
	k = jid_make(a, STR("a"), STR("b.c"), STR("d/e"));
	ok(jid_eq(&j, &k), "made from parts");
	k = jid_make(a, STR_NONE, STR("b.c"), STR_NONE);
	is_str(k.full, STR("b.c"));
	k = jid_dup_heap(j);
	ok(jid_eq(&j, &k) && k.full.p != j.full.p, "copied");
	mem_free((void *)(uintptr_t)k.full.p);
	k = jid_dup(a, (struct jid){ 0 });
	ok(jid_is_none(&k), "none stays none");
	/* same bytes, cut elsewhere */
	struct jid x = { .full = STR("a@b"), .local_n = 1, .domain_n = 1 },
		   y = { .full = STR("a@b"), .local_n = 0, .domain_n = 3 };
	ok(!jid_eq(&x, &y) && !jid_bare_eq(&x, &y), "lengths count");
	arena_free(a);
}

TEST(unchanged_input_is_not_copied)
{
	static const char in[] = "anna@example.org/Phone";
	struct jid j;

	a = arena_new(4096);
	size_t before = arena_used(a);
	require(jid_parse(a, str_c(in), &j) == 0, "parses");
	is_ptr(j.full.p, in);
	is_int(arena_used(a), before);
	arena_free(a);
}

/* local part of n times `unit` */
static int local_of(const char *unit, size_t n, struct str *out)
{
	struct str s = STR("");
	size_t len = strlen(unit);
	char *p = arena_alloc(a, n * len + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(p + i * len, unit, len);
	s = str_of(p, n * len);
	return jid_prep_local(a, s, out);
}

TEST(i06_lengths_before_and_after)
{
	struct str out;
	struct jid j;

	a = arena_new(65536);
	ok(local_of("a", 1023, &out) == 0 && out.n == 1023, "1023 ASCII");
	ok(local_of("a", 1024, &out) != 0, "1024 ASCII");
	ok(local_of("A", 1023, &out) == 0 && out.n == 1023, "1023 folded");
	ok(local_of("\xd0\xb6", 511, &out) == 0 && out.n == 1022, "1022 Cyrillic");
	ok(local_of("\xd0\xb6", 512, &out) != 0, "1024 Cyrillic");
	ok(local_of("\xef\xb7\xba", 300, &out) != 0, "U+FDFA x 300 grows eighteen-fold");
	ok(local_of("\xc3\x9f", 500, &out) == 0 && out.n == 1000, "sharp s becomes ss");
	ok(local_of("\xef\xac\x83", 341, &out) == 0 && out.n == 1023, "ffi ligature becomes three letters");
	ok(local_of("\xce\x90", 200, &out) == 0 && out.n == 400, "composed again");
	ok(local_of("\xc2\xad", 100, &out) != 0, "nothing left");
	struct str many = str_of(memset(arena_alloc(a, 4000), 'a', 4000), 4000);
	ok(jid_parse(a, many, &j) != 0, "4,000 bytes");
	struct str r = str_of(many.p, 1023), l = r;
	char domain[256];
	memset(domain, 'd', sizeof domain);
	for (size_t i = 63; i < sizeof domain; i += 64)
		domain[i] = '.';
	struct str full = arena_cat(a, l, STR("@"), str_of(domain, 255), STR("/"), r, STR_NONE);
	ok(jid_parse(a, full, &j) == 0 && j.local_n == 1023 && jid_resource(&j).n == 1023,
	   "all parts at their longest");
	memset(domain, 'd', 64);
	ok(jid_parse(a, str_of(domain, 64), &j) != 0, "a label of 64");
	ok(jid_parse(a, str_of(domain, 63), &j) == 0, "a label of 63");
	arena_free(a);
}

TEST(i06_preparing_twice_changes_nothing)
{
	/* every code point of the BMP and some beyond, alone and after a letter, in each part */
	struct str out, again;
	unsigned changed = 0, taken = 0, invalid = 0;

	a = arena_new(65536);
	for (uint32_t u = 0x80; u < 0x2fa20; u = u == 0xd7ff   ? 0xe000
						 : u == 0x3400 ? 0x4db0
						 : u == 0x4e00 ? 0x9fa0
						 : u == 0xac10 ? 0xd790
							       : u + 1) {
		char in[8] = "a";
		size_t n = 1;
		if (u < 0x800) {
			in[n++] = (char)(0xc0 | u >> 6);
		} else if (u < 0x10000) {
			in[n++] = (char)(0xe0 | u >> 12);
			in[n++] = (char)(0x80 | (u >> 6 & 0x3f));
		} else {
			in[n++] = (char)(0xf0 | u >> 18);
			in[n++] = (char)(0x80 | (u >> 12 & 0x3f));
			in[n++] = (char)(0x80 | (u >> 6 & 0x3f));
		}
		in[n++] = (char)(0x80 | (u & 0x3f));
		for (int k = 0; k < 2; k++) {
			struct str s = str_of(in + k, n - (size_t)k);
			int (*const prep[])(struct arena *, struct str,
					    struct str *) = { jid_prep_local, jid_prep_domain, jid_prep_resource };
			for (int part = 0; part < 3; part++) {
				if (prep[part](a, s, &out) != 0)
					continue;
				taken++;
				invalid += !str_xml_valid(out);
				if (prep[part](a, out, &again) != 0 || !str_eq(out, again)) {
					if (changed++ < 5)
						diag("part %d changes: U+%04X", part, u);
				}
			}
		}
		arena_reset(a);
	}
	ok(taken > 50000, "%u prepared", taken);
	is_int(changed, 0);
	is_int(invalid, 0);
	arena_free(a);
}

static void *prepare_elsewhere(void *ctx)
{
	struct arena *own = arena_new(4096);
	struct str out;
	unsigned *wrong = ctx;

	for (int i = 0; i < 2000; i++) {
		struct str in = arena_printf(own, "\xd0\x96%d", i % 700),
			   want = arena_printf(own, "\xd0\xb6%d", i % 700);
		*wrong += jid_prep_local(own, in, &out) != 0 || !str_eq(out, want);
		*wrong += jid_prep_resource(own, in, &out) != 0 || !str_eq(out, in);
	}
	arena_free(own);
	return NULL; /* the cache of this thread goes with it: LeakSanitizer looks */
}

TEST(cache_gives_the_same_answers)
{
	pthread_t t;
	unsigned here = 0, there = 0;

	require(pthread_create(&t, NULL, prepare_elsewhere, &there) == 0, "thread");
	prepare_elsewhere(&here);
	pthread_join(t, NULL);
	is_int(here, 0);
	is_int(there, 0);
}
