/* Printer (X12): a document that parses is printed as one that parses to the same print again, so nothing inside a value can
 * become markup on the way out. */
#include "xml/parser.h"
#include "xml/print.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct parser_limits in = { 100000, 5000, 64, 4000, 64, 16 },
					  out = { 4000000, 400000, 64, 4000, 200, 200 };
	struct arena *a = arena_new(4096);
	struct buf one, two;
	struct node *root;

	atom_init();
	buf_init(&one, 1 << 22);
	buf_init(&two, 1 << 22);
	if (parse_document(a, str_of((const char *)data, n), &in, &root) == 0) {
		print_node(&one, root, STR(""));
		assert(parse_document(a, buf_str(&one), &out, &root) == 0);
		print_node(&two, root, STR(""));
		assert(str_eq(buf_str(&one), buf_str(&two)));
	}
	buf_clear(&one);
	buf_clear(&two);
	parser_pool_clear();
	arena_free(a);
	return 0;
}
