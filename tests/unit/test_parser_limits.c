/*
 * xml/parser: every limit at its exact value, before and after the limits are changed (rows X02-X06, X09, X14, X15,
 * P9), and what an attack may cost at most. Costs are counted (bytes held, calls into expat), not timed.
 */
#include "tests/lib/parsed.h"
#include "tests/lib/test.h"

#define BEFORE                                                                                                         \
	((struct parser_limits){ .stanza_bytes = 10000,                                                                \
				 .token_bytes = 4096,                                                                  \
				 .depth = 8,                                                                           \
				 .elements = 32,                                                                       \
				 .attributes = 16,                                                                     \
				 .namespaces = 4 })

static struct buf text;

/* Appends `piece` n times to text. */
static void repeat(const char *piece, size_t n)
{
	for (; n; n--)
		buf_str_add(&text, str_c(piece));
}

static void begin(void)
{
	if (!text.p)
		buf_init(&text, 64u << 20);
	buf_reset(&text);
}

/* Feeds `text` into a stream with these limits, in segments of `step` bytes; returns the error and how many bytes
 * were fed. */
static int feed_text(struct parsed *p, size_t step, size_t *out_fed)
{
	int err = 0;
	size_t at = 0;

	for (; at < text.n && !err; at += step) {
		size_t n = text.n - at < step ? text.n - at : step;
		err = parsed_feed(p, str_of(text.p + at, n), NULL);
	}
	if (out_fed)
		*out_fed = at < text.n ? at : text.n;
	return err;
}

static const size_t steps[] = { SIZE_MAX / 2, 1, 7, 1460 };

/* `text` must pass or be refused for policy in a stream that had `first` and now has `limits`, however it is cut. */
static void check_text(struct parser_limits first, struct parser_limits limits, bool passes, const char *what)
{
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct parsed p;
		parsed_init(&p, first);
		parsed_feed(&p, STR(PARSED_HEADER), NULL);
		parser_set_limits(p.parser, &limits);
		int err = feed_text(&p, steps[i], NULL);
		ok(passes ? err == 0 && p.stanzas == 1 : err == PARSER_POLICY && p.stanzas == 0,
		   "%s, step %zu, limit %s: %d %s", what, steps[i], passes ? "reached" : "passed", err,
		   parser_error_text(p.parser));
		if (err)
			is_cstr(parser_error_condition(err), "policy-violation");
		parsed_clear(&p);
	}
}

static void nested(size_t depth)
{
	begin();
	repeat("<a>", depth);
	repeat("</a>", depth);
}

TEST(x02_depth)
{
	nested(8);
	check_text(BEFORE, BEFORE, true, "8 nested before login");
	nested(9);
	check_text(BEFORE, BEFORE, false, "9 nested before login");
	check_text(BEFORE, PARSED_LIMITS, true, "9 nested after login");
	nested(64);
	check_text(BEFORE, PARSED_LIMITS, true, "64 nested after login");
	nested(65);
	check_text(BEFORE, PARSED_LIMITS, false, "65 nested after login");
	check_text(PARSED_LIMITS, PARSED_LIMITS, false, "65 nested, limits from the start");
	begin();
	repeat("<a>", 8);
	repeat("<b/>", 1);
	repeat("</a>", 8);
	check_text(BEFORE, BEFORE, false, "an empty element at depth 9");
}

static void wide(size_t elements)
{
	begin();
	repeat("<message>", 1);
	repeat("<a/>", elements);
	repeat("</message>", 1);
}

TEST(x03_elements)
{
	wide(32);
	check_text(BEFORE, BEFORE, true, "32 elements before login");
	wide(33);
	check_text(BEFORE, BEFORE, false, "33 elements before login");
	wide(4000);
	check_text(BEFORE, PARSED_LIMITS, true, "4000 elements after login");
	wide(4001);
	check_text(BEFORE, PARSED_LIMITS, false, "4001 elements after login");
}

/* A stanza of exactly n bytes. */
static void sized(size_t n)
{
	begin();
	repeat("<message><body>", 1);
	repeat("x", n - strlen("<message><body></body></message>"));
	repeat("</body></message>", 1);
	is_int(text.n, n);
}

TEST(x04_stanza_bytes)
{
	sized(10000);
	check_text(BEFORE, BEFORE, true, "10,000 bytes before login");
	sized(10001);
	check_text(BEFORE, BEFORE, false, "10,001 bytes before login");
	sized(262143);
	check_text(BEFORE, PARSED_LIMITS, true, "256 KiB - 1 after login");
	sized(262144);
	check_text(BEFORE, PARSED_LIMITS, true, "256 KiB after login");
	sized(262145);
	check_text(BEFORE, PARSED_LIMITS, false, "256 KiB + 1 after login");
}

TEST(x04_counted_while_it_arrives)
{
	struct parsed p;
	size_t fed;

	begin();
	repeat("<message><body>", 1);
	repeat("x", 1 << 20);
	parsed_init(&p, PARSED_LIMITS);
	parsed_feed(&p, STR(PARSED_HEADER), NULL);
	is_int(feed_text(&p, 1000, &fed), PARSER_POLICY);
	is_int(fed, 263000); /* the segment with byte 262,144 is the last one taken */
	parsed_clear(&p);
}

/* One tag of exactly n bytes. */
static void long_tag(size_t n)
{
	begin();
	repeat("<message a='", 1);
	repeat("x", n - strlen("<message a=''/>"));
	repeat("'/>", 1);
	is_int(text.n, n);
}

TEST(x05_token_bytes)
{
	long_tag(4096);
	check_text(BEFORE, BEFORE, true, "tag of 4 KiB before login");
	long_tag(4097);
	check_text(BEFORE, BEFORE, false, "tag of 4 KiB + 1 before login");
	long_tag(16384);
	check_text(BEFORE, PARSED_LIMITS, true, "tag of 16 KiB after login");
	long_tag(16385);
	check_text(BEFORE, PARSED_LIMITS, false, "tag of 16 KiB + 1 after login");
	begin();
	repeat("<message><![CDATA[", 1);
	repeat("]", 16384 - strlen("<![CDATA[]]>"));
	repeat("]]></message>", 1);
	check_text(BEFORE, PARSED_LIMITS, true, "CDATA section of 16 KiB after login");
	begin();
	repeat("<message><![CDATA[", 1);
	repeat("]", 16385 - strlen("<![CDATA[]]>"));
	repeat("]]></message>", 1);
	check_text(BEFORE, PARSED_LIMITS, false, "CDATA section of 16 KiB + 1 after login");
}

TEST(x05_endless_tokens)
{
	static const char *const starts[] = { "<message a='",	    "<",  "<message ",	"<message a",
					      "<message><![CDATA[", "</", "<a xmlns='", "<a></" };

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
		for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
			struct parsed p;
			size_t fed;
			begin();
			repeat(starts[i], 1);
			repeat("x", 1 << 20);
			parsed_init(&p, PARSED_LIMITS);
			parsed_feed(&p, STR(PARSED_HEADER), NULL);
			size_t step = steps[k] < text.n ? steps[k] : text.n;
			int err = feed_text(&p, step, &fed);
			ok(err == PARSER_POLICY && (step == text.n || fed <= 16384 + 12 + step),
			   "%s then endless: closed after %zu bytes in steps of %zu", starts[i], fed, step);
			parsed_clear(&p);
		}
}

TEST(x05_header_and_declaration_are_limited_too)
{
	static const char *const starts[] = { "<stream:stream a='", "<?xml ", "<", "</" };

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		struct parsed p;
		size_t fed;
		begin();
		repeat(starts[i], 1);
		repeat("x", 100000);
		parsed_init(&p, BEFORE);
		int err = feed_text(&p, 100, &fed);
		ok(err != 0 && fed <= 4200, "%s then endless: closed after %zu bytes", starts[i], fed);
		parsed_clear(&p);
	}
}

TEST(x06_one_call_of_expat_per_stanza)
{
	struct parsed p;
	uint64_t calls;

	long_tag(16384);
	parsed_init(&p, PARSED_LIMITS);
	parsed_feed(&p, STR(PARSED_HEADER), NULL);
	parsed_feed(&p, STR("<a/>"), NULL);
	calls = parser_expat_calls();
	is_int(feed_text(&p, 1, NULL), 0);
	is_int(p.stanzas, 2);
	is_int(parser_expat_calls() - calls, 1);
	sized(262144);
	calls = parser_expat_calls();
	is_int(feed_text(&p, 1, NULL), 0);
	is_int(p.stanzas, 3);
	ok(parser_expat_calls() - calls <= 2, "at most a new object and the stanza");
	parsed_clear(&p);
}

static void attributes(const char *format, unsigned n)
{
	begin();
	repeat("<message", 1);
	for (unsigned i = 0; i < n; i++)
		buf_printf(&text, " %s%u = \"u\"", format, i);
	repeat("/>", 1);
}

TEST(x15_attributes_and_x14_declarations)
{
	attributes("a", 16);
	check_text(BEFORE, BEFORE, true, "16 attributes before login");
	attributes("a", 17);
	check_text(BEFORE, BEFORE, false, "17 attributes before login");
	attributes("a", 64);
	check_text(BEFORE, PARSED_LIMITS, true, "64 attributes after login");
	attributes("a", 65);
	check_text(BEFORE, PARSED_LIMITS, false, "65 attributes after login");
	attributes("a", 16000);
	check_text(PARSED_LIMITS, PARSED_LIMITS, false, "16,000 attributes");
	attributes("xmlns:a", 4);
	check_text(BEFORE, BEFORE, true, "4 declarations before login");
	attributes("xmlns:a", 5);
	check_text(BEFORE, BEFORE, false, "5 declarations before login");
	attributes("xmlns:a", 16);
	check_text(BEFORE, PARSED_LIMITS, true, "16 declarations after login");
	attributes("xmlns:a", 17);
	check_text(BEFORE, PARSED_LIMITS, false, "17 declarations after login");
	/* both kinds are counted for each element anew, and apart from each other */
	begin();
	repeat("<message xmlns='jabber:client'", 1);
	for (unsigned i = 1; i < 16; i++)
		buf_printf(&text, " xmlns:p%u='u%u'", i, i);
	for (unsigned i = 0; i < 64; i++)
		buf_printf(&text, " a%u='' ", i);
	repeat("><a xmlns='' b=''/></message>", 1);
	check_text(BEFORE, PARSED_LIMITS, true, "16 declarations and 64 attributes");
	/* names that only look like declarations */
	attributes("xmlnsa", 17);
	check_text(BEFORE, PARSED_LIMITS, true, "17 attributes named xmlnsa0...");
}

TEST(x14_long_namespace_names)
{
	/* counted with references resolved, so that what we print passes when it is read again */
	static const char *const units[] = { "u", "&gt;", "&quot;" };

	for (size_t i = 0; i < 3; i++)
		for (size_t more = 0; more < 2; more++) {
			begin();
			repeat("<a xmlns='", 1);
			repeat(units[i], PARSER_NS_BYTES + more);
			repeat("'><b/></a>", 1);
			check_text(PARSED_LIMITS, PARSED_LIMITS, !more, "namespace name");
		}
	begin();
	repeat("<a xmlns:unused='", 1);
	repeat("u", 6 * PARSER_NS_BYTES + 1);
	check_text(PARSED_LIMITS, PARSED_LIMITS, false, "namespace name that is not used");
}

static size_t tree_bytes;
static void note_bytes(void *ctx, struct node *n)
{
	(void)n;
	tree_bytes = arena_used(ctx);
}
static void ignore_open(void *ctx, struct node *n)
{
	(void)ctx;
	(void)n;
}

/* Memory of the tree of `text`, which must parse. */
static size_t cost_of_text(void)
{
	static const struct parser_events events = { ignore_open, note_bytes, NULL };
	struct arena *a = arena_new(4096);
	struct parser_limits l = PARSED_LIMITS;
	struct parser *p = parser_new(&events, a, &l);

	tree_bytes = 0;
	parser_feed(p, a, PARSED_HEADER, strlen(PARSED_HEADER), NULL);
	arena_reset(a);
	is_int(parser_feed(p, a, text.p, text.n, NULL), 0);
	parser_free(p);
	arena_free(a);
	return tree_bytes;
}

TEST(one_long_namespace_name_costs_its_bytes_once)
{
	/* expat hands out the full name with every element and attribute */
	begin();
	repeat("<a xmlns='", 1);
	repeat("u", 1000);
	repeat("' xmlns:b='", 1);
	repeat("v", 1000);
	repeat("'>", 1);
	repeat("<b:c b:d=''/><c/>", 1900);
	repeat("</a>", 1);
	size_t cost = cost_of_text();
	ok(cost > 0 && cost < 1500000, "3,800 elements in two namespaces: %zu bytes", cost);
}

TEST(p9_memory_before_login)
{
	/* the worst that fits the limits before login, complete or not, is far below 64 KiB */
	begin();
	repeat("<a>", 8);
	repeat("</a>", 8);
	ok(cost_of_text() < 16384, "8 nested: %zu bytes", tree_bytes);
	wide(32);
	ok(cost_of_text() < 16384, "32 elements: %zu bytes", tree_bytes);
}
