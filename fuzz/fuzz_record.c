/* Record decoder (row D12): damaged bytes are ERR_CORRUPT, bytes with a right checksum but any content end in
 * values or ERR_CORRUPT, never in a read past the end. */
#include "storage/record.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_of((const char *)data, n), value;
	struct recr r;
	struct recw w;

	if (recr_open(&r, in) == 0)
		recr_str(&r);
	if (n == 0)
		return 0;
	recw_init(&w, 1 << 20);
	recw_begin(&w, data[0]);
	buf_add(&w.b, data + 1, n - 1);
	value = recw_finish(&w);
	assert(recr_open(&r, value) == 0 && r.version == data[0]);
	for (size_t i = 0; recr_more(&r) && !r.err; i++)
		if (data[i % n] & 1)
			recr_u64(&r);
		else
			assert(recr_str(&r).n <= n);
	recw_clear(&w);
	return 0;
}
