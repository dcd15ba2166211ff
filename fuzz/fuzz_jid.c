/* Address preparation (row I06): whatever comes in, a prepared address has legal lengths, is valid text, and preparing it
 * again changes nothing: two spellings of one address can never become two accounts. */
#include "xml/jid.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(4096);
	struct str in = str_of((const char *)data, n), part, again;
	struct jid one, two;

	if (jid_parse(a, in, &one) == 0) {
		assert(one.domain_n > 0 && one.domain_n <= JID_PART_MAX && one.local_n <= JID_PART_MAX);
		assert(jid_resource(&one).n <= JID_PART_MAX);
		assert(str_xml_valid(one.full));
		assert(jid_parse(a, one.full, &two) == 0);
		assert(jid_eq(&one, &two));
		struct jid made = jid_make(a, jid_local(&one), jid_domain(&one), jid_resource(&one));
		assert(jid_eq(&one, &made));
		struct str skeleton = jid_skeleton(a, jid_local(&one));
		assert(str_utf8_valid(skeleton));
	}
	if (jid_prep_local(a, in, &part) == 0)
		assert(jid_prep_local(a, part, &again) == 0 && str_eq(part, again));
	if (jid_prep_domain(a, in, &part) == 0)
		assert(jid_prep_domain(a, part, &again) == 0 && str_eq(part, again));
	if (jid_prep_resource(a, in, &part) == 0)
		assert(jid_prep_resource(a, part, &again) == 0 && str_eq(part, again));
	arena_free(a);
	return 0;
}
