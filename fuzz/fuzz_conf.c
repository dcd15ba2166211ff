/* Configuration text (YAML): any file is either taken whole or refused with a message, and nothing leaks. */
#include "base/conf.h"
#include <assert.h>

struct listen {
	uint64_t port;
	char *address;
};
struct options {
	uint64_t n;
	char *text;
	bool flag;
	int kind;
	struct conf_list names, listen;
};
static const struct conf_option listen_rows[] = {
	{ "port", CONF_UINT, offsetof(struct listen, port), NULL, 1, 65535, NULL, NULL, NULL, 0, "Port", false },
	{ "address", CONF_STR, offsetof(struct listen, address), "::", 0, 0, NULL, NULL, NULL, 0, "Address", false },
	{ 0 }
};
static const struct conf_option rows[] = {
	{ "a.n", CONF_UINT, offsetof(struct options, n), "5", 1, 10, "ms", NULL, NULL, 0, "A number", true },
	{ "a.text", CONF_STR, offsetof(struct options, text), "", 0, 0, NULL, NULL, NULL, 0, "A text", false },
	{ "flag", CONF_BOOL, offsetof(struct options, flag), "no", 0, 0, NULL, NULL, NULL, 0, "A switch", false },
	{ "kind", CONF_ENUM, offsetof(struct options, kind), "x", 0, 0, NULL, "x|y", NULL, 0, "A choice", false },
	{ "names", CONF_STR_LIST, offsetof(struct options, names), "", 0, 9, NULL, NULL, NULL, 0, "Names", false },
	{ "listen", CONF_MAP_LIST, offsetof(struct options, listen), "", 0, 9, NULL, NULL, listen_rows,
	  sizeof(struct listen), "L", false },
	{ 0 }
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct options o = { 0 };
	struct err_msg msg = { "" };

	if (conf_parse(str_of((const char *)data, n), "fuzz", rows, &o, &msg) == 0)
		assert(o.n >= 1 && o.n <= 10 && o.kind >= 0 && o.kind <= 1 && o.names.n <= 9);
	else
		assert(msg.text[0]);
	conf_clear(rows, &o);
	return 0;
}
