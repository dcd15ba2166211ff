/* Payloads as a client may have had them stored: reading copes with all of them, and what was understood prints and reads back the same text. */
#include "server/im/im.h"
#include "server/xmpp/content.h"
#include "xml/parser.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool ready;
	struct content c, again;

	if (!ready) {
		atom_init();
		content_init();
		im.store = store_open_mem(); /* kept for ever */
		ready = true;
	}
	struct arena *a = arena_new(4096);
	content_codec.read(a, str_of((const char *)data, n), &c);
	struct chunk *payload = content_codec.print(&c, STR("chat1@chats.example.org"));
	content_codec.read(a, chunk_str(payload), &again);
	assert(str_eq(c.subject, again.subject) && str_eq(c.params, again.params) && c.n_files == again.n_files);
	if (!c.n_files)
		assert(str_eq(c.text, again.text));
	chunk_unref(payload);
	arena_free(a);
	parser_pool_clear();
	return 0;
}
