/* Stream parser: the same bytes whole, cut in two, in small pieces and byte by byte give the same report (X07), as
 * the start of a stream and inside one. First byte: where to cut, the size of the pieces and which limits. */
#include "tests/lib/parsed.h"
#include <assert.h>

/* Feeds up to `cut`, then in pieces of `step`; the report in the arena. */
static struct str report(struct arena *a, struct str bytes, struct parser_limits limits, size_t cut, size_t step)
{
	struct parsed p;
	size_t at = 0, n = cut, used;

	parsed_init(&p, limits);
	for (; at < bytes.n; at += n, n = step) {
		n = n > bytes.n - at ? bytes.n - at : n;
		if (parsed_feed(&p, str_of(bytes.p + at, n), &used) != 0 || p.closed)
			break;
		assert(used == n);
	}
	struct str log = arena_str(a, buf_str(&p.log));
	parsed_clear(&p);
	assert(str_xml_valid(log));
	return log;
}

static void compare(struct arena *a, struct str bytes, uint8_t choice)
{
	const struct parser_limits limits =
		choice & 1 ? PARSED_LIMITS : (struct parser_limits){ 1000, 200, 8, 32, 8, 4 };
	struct str whole = report(a, bytes, limits, bytes.n, 1);

	assert(str_eq(whole, report(a, bytes, limits, bytes.n * choice / 256, bytes.n)));
	assert(str_eq(whole, report(a, bytes, limits, 0, 1)));
	assert(str_eq(whole, report(a, bytes, limits, choice % 16, 2 + choice / 16)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(16384);

	if (n > 0) {
		struct str bytes = str_of((const char *)data + 1, n - 1);
		compare(a, bytes, data[0]);
		compare(a, arena_cat(a, STR(PARSED_HEADER), bytes, STR_NONE), data[0]);
	}
	parser_pool_clear();
	arena_free(a);
	return 0;
}
