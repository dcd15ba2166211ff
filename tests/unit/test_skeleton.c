/*
 * jid_skeleton: look-alike names have equal skeletons, different names different ones (row I05: 40 pairs).
 */
#include "tests/lib/test.h"
#include "xml/jid.h"

TEST(i05_pairs_that_look_alike)
{
	static const char *const pairs[][2] = {
		{ "boss", "b\xd0\xbess" }, /* Cyrillic o */
		{ "boss", "BOSS" },
		{ "boss", "bo\xe2\x80\x8bss" },					/* zero width space */
		{ "boss", "\xef\xbd\x82\xef\xbd\x8f\xef\xbd\x93\xef\xbd\x93" }, /* fullwidth */
		{ "boss", "b0ss" },
		{ "boss", "boss " },
		{ "boss", " boss" },
		{ "boss", "b\xce\xbfss" },			/* Greek omicron */
		{ "boss", "bo\xd1\x95\xd1\x95" },		/* Cyrillic dze */
		{ "boss", "\xd0\xac\xd0\xbe\xd1\x95\xd1\x95" }, /* soft sign */
		{ "boss", "b\xc3\xb6ss" },			/* o with diaeresis */
		{ "boss", "bo\xcc\x88ss" },			/* combining diaeresis */
		{ "boss", "bo\xc2\xadss" },			/* soft hyphen */
		{ "boss", "\xf0\x9d\x90\x9b\xf0\x9d\x90\xa8\xf0\x9d\x90\xac\xf0\x9d\x90\xac" }, /* mathematical bold */
		{ "boss", "\xe2\x93\x91\xe2\x93\x9e\xe2\x93\xa2\xe2\x93\xa2" },			/* circled */
		{ "boss", "\xe2\x80\xae"
			  "boss" },		/* direction override */
		{ "boss", "bo\xef\xb8\x8fss" }, /* variation selector */
		{ "boss", "\xef\xbb\xbf"
			  "boss" }, /* byte order mark */
		{ "paypal", "p\xd0\xb0yp\xd0\xb0l" },
		{ "paypal", "paypa1" },
		{ "paypal", "\xd1\x80\xd0\xb0\xd1\x83\xd1\x80\xd0\xb0\xd3\x8f" },
		{ "alice", "al\xd1\x96"
			   "ce" },		 /* Ukrainian i */
		{ "alice", "a\xe2\x84\x93ice" }, /* script l */
		{ "alice", "\xc9\x91lice" },	 /* Latin alpha */
		{ "alice", "al\xc4\xb1"
			   "ce" }, /* dotless i */
		{ "alice", "a|ice" },
		{ "boss", "b\xe1\xb4\x8fss" }, /* small capital o */
		{ "jane", "\xd1\x98"
			  "ane" }, /* Cyrillic je */
		{ "max", "\xd0\xbc\xd0\xb0\xd1\x85" },
		{ "kop", "\xd0\xba\xd0\xbe\xd1\x80" },
		{ "cep", "\xd1\x81\xd0\xb5\xd1\x80" },
		{ "hat", "\xd0\xbd\xd0\xb0\xd1\x82" }, /* H and En as capitals */
		{ "BAH", "\xd0\x92\xd0\x90\xd0\x9d" },
		{ "ivan petrov", "ivan  petrov" },
		{ "ivan petrov", "ivan\xc2\xa0petrov" },     /* no-break space */
		{ "ivan petrov", "ivan\xe2\x80\x83petrov" }, /* em space */
		{ "ivan-petrov", "ivan\xe2\x80\x93petrov" }, /* en dash */
		{ "ivan-petrov", "ivan\xe2\x80\x91petrov" }, /* non-breaking hyphen */
		{ "o'neil", "o\xe2\x80\x99neil" },	     /* right single quotation mark */
		{ "\xd0\xba\xd0\xbe\xd1\x80\xd0\xbe\xd0\xbb\xd1\x91\xd0\xb2",
		  "\xd0\xba\xd0\xbe\xd1\x80\xd0\xbe\xd0\xbb\xd0\xb5\xd0\xb2" }, /* yo = ye */
		{ "file", "\xef\xac\x81le" },					/* fi ligature */
		{ "strasse", "stra\xc3\x9f"
			     "e" },
	};
	struct arena *a = arena_new(65536);

	is_int(sizeof pairs / sizeof *pairs >= 40, 1);
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct str x = jid_skeleton(a, str_c(pairs[i][0])), y = jid_skeleton(a, str_c(pairs[i][1]));
		ok(str_eq(x, y), "%s and %s: %.*s and %.*s", pairs[i][0], pairs[i][1], STR_ARG(x), STR_ARG(y));
	}
	arena_free(a);
}

TEST(different_names_stay_different)
{
	static const char *const names[] = {
		"anna",
		"anne",
		"hanna",
		"ivan",
		"ivanov",
		"ivanova",
		"petrov",
		"petrova",
		"boss",
		"bos",
		"mail",
		"mall",
		"a b",
		"ab",
		"a-b",
		"a.b",
		"a_b",
		"user1",
		"user2",
		"user3",
		"\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0", /* Anna in Cyrillic: other letters than "anna" */
		"\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd",
		"\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd\xd0\xbe\xd0\xb2",
		"\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd\xd0\xbe\xd0\xb2\xd0\xb0",
		"\xd0\xbf\xd0\xb5\xd1\x82\xd1\x80\xd0\xbe\xd0\xb2",
		"\xd0\xbf\xd1\x91\xd1\x82\xd1\x80",
		"\xe5\xbc\xa0\xe4\xbc\x9f",
		"\xe5\xbc\xa0\xe8\x96\x87",
	};
	struct arena *a = arena_new(65536);
	size_t n = sizeof names / sizeof *names;
	unsigned equal = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (str_eq(jid_skeleton(a, str_c(names[i])), jid_skeleton(a, str_c(names[k])))) {
				equal++;
				diag("%s and %s", names[i], names[k]);
			}
	is_int(equal, 0);
	arena_free(a);
}

TEST(odd_input)
{
	struct arena *a = arena_new(65536);

	is_str(jid_skeleton(a, STR("")), STR(""));
	is_str(jid_skeleton(a, STR("\xff")), STR("\xff")); /* no UTF-8: as it is */
	is_str(jid_skeleton(a, STR("\xe2\x80\x8b")), STR(""));
	is_str(jid_skeleton(a, STR("   ")), STR(""));
	char big[1023];
	for (size_t i = 0; i < 1023; i += 3)
		memcpy(big + i, "\xef\xb7\xba", 3);
	ok(jid_skeleton(a, str_of(big, 1023)).n > 1023, "341 times U+FDFA");
	arena_free(a);
}

TEST(table_is_sorted)
{
	static const uint32_t points[] = {
#define CONFUSABLE(point, text) point,
#include "xml/confusables.def"
#undef CONFUSABLE
	};
	unsigned wrong = 0;

	for (size_t i = 1; i < sizeof points / sizeof *points; i++)
		wrong += points[i] <= points[i - 1];
	is_int(wrong, 0);
}
