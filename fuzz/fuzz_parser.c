/* Stream parser: the same bytes whole and in pieces give the same stanzas and the same error (X07).
 * First byte: size of the pieces and which limits. */
#include "xml/parser.h"
#include "xml/print.h"
#include <assert.h>

static void on_node(void *ctx, struct node *n)
{
	print_node(ctx, n, STR(""));
	buf_byte(ctx, '\n');
}
static void on_close(void *ctx)
{
	buf_lit((struct buf *)ctx, "closed");
}

static int run(struct buf *out, struct arena *a, const char *p, size_t n, size_t step,
	       const struct parser_limits *limits)
{
	static const struct parser_events events = { on_node, on_node, on_close };
	struct parser *parser = parser_new(&events, out, limits);
	size_t used;
	int err = PARSER_OK;

	for (size_t at = 0; at < n && err == PARSER_OK; at += step)
		err = parser_feed(parser, a, p + at, n - at < step ? n - at : step, &used);
	parser_free(parser);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct parser_limits limits[] = { { 1000, 200, 8, 32, 8, 4 }, { 100000, 5000, 64, 4000, 64, 16 } };
	struct arena *a = arena_new(4096);
	struct buf whole, pieces;

	if (n == 0)
		return arena_free(a), 0;
	atom_init();
	buf_init(&whole, 1 << 22);
	buf_init(&pieces, 1 << 22);
	const struct parser_limits *l = &limits[data[0] >> 7];
	int err = run(&whole, a, (const char *)data + 1, n - 1, n, l);
	assert(run(&pieces, a, (const char *)data + 1, n - 1, 1 + (data[0] & 127) / 4, l) == err);
	assert(str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_clear(&whole);
	buf_clear(&pieces);
	parser_pool_clear();
	return arena_free(a), 0;
}
