/* Data forms, result sets and date-times out of an arbitrary document: every reader copes with every tree, and a value
 * read is a value that can be written into a new form and read back. */
#include "xml/datetime.h"
#include "xml/form.h"
#include "xml/parser.h"
#include "xml/rsm.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct parser_limits limits = { 100000, 5000, 64, 4000, 64, 16 };
	static const char *const vars[] = { "FORM_TYPE", "start", "end", "with", "ids", "" };
	struct arena *a = arena_new(4096);
	struct node *form;
	struct rsm_query rsm;
	struct str *values;
	bool flag;
	uint64_t when, again;
	char text[DATETIME_MAX];

	atom_init();
	if (parse_document(a, str_of((const char *)data, n), &limits, &form) == 0) {
		struct node *copy = form_new(a, node_new(a, A_query, NS_DISCO_INFO), "submit", NULL);
		form_type(a, form);
		rsm_parse(a, form, &rsm);
		for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
			struct str v = form_value(a, form, vars[i]);
			form_bool(a, form, vars[i], &flag);
			form_values(a, form, vars[i], &values);
			if (v.p) {
				form_field(a, copy, vars[i], NULL, NULL, v);
				assert(str_eq(form_value(a, copy, vars[i]), v));
			}
			if (datetime_parse(v, &when) == 0 && when < 253402300800000) { /* up to the year 9999 */
				size_t len = datetime_print(when, text);
				assert(datetime_parse(str_of(text, len), &again) == 0 && again == when);
			}
		}
	}
	parser_pool_clear();
	arena_free(a);
	return 0;
}
