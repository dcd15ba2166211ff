/* HR data (row X10): any file is taken row by row or refused with the line; what a row holds is text that may enter a stanza. */
#include "server/im/org_import.h"
#include <assert.h>

static int on_row(void *ctx, size_t line, const struct str v[COLUMNS], struct err_msg *msg)
{
	size_t *rows = ctx;

	(void)msg;
	assert(line > 1);
	for (int i = 0; i < COLUMNS; i++)
		assert(v[i].n <= 2000 && str_xml_valid(v[i]));
	++*rows;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err_msg msg = { "" };
	size_t rows = 0;

	int err = org_csv_parse(str_of((const char *)data, n), on_row, &rows, &msg);
	assert(err <= 0 && rows <= n);
	assert(!err || msg.text[0]);
	assert(str_utf8_valid(str_c(msg.text)));
	return 0;
}
