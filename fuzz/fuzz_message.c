/* Message records (row D12): any content under a right checksum is read as a message or refused as damaged. */
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_message.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct message_rec m;
	struct recw w;
	struct key k;

	if (n == 0)
		return 0;
	recw_init(&w, 1 << 20);
	recw_begin(&w, data[0]);
	buf_add(&w.b, data + 1, n - 1);
	struct store *s = store_open_mem();
	struct txn *t = txn_write(s);
	key_init(&k);
	key_u64(&k, 1);
	txn_put(t, TAB_MESSAGE, key_str(&k), recw_finish(&w), 0);
	int err = message_get(t, 1, &m);
	assert(err == 0 || err == ERR_CORRUPT || err == ERR_VERSION);
	if (err == 0)
		assert(m.payload.n < n && m.from.n < n && m.to.n < n && m.id.n < n);
	txn_abort(t);
	store_close(s);
	recw_clear(&w);
	return 0;
}
