/*
 * xml/atom: every entry of atoms.def is found under its text and nothing else is.
 */
#include "xml/atom.h"
#include "tests/lib/test.h"

TEST(every_entry_maps_to_itself)
{
	unsigned wrong = 0;

	atom_init();
	atom_init(); /* idempotent */
	for (unsigned i = 1; i < A_COUNT; i++)
		wrong += atom_of(atom_str((enum atom)i)) != (enum atom)i;
	for (unsigned i = 1; i < NS_COUNT; i++)
		wrong += ns_of(ns_str((enum ns)i)) != (enum ns)i;
	is_int(wrong, 0);
	is_int(atom_of(STR("message")), A_message);
	is_int(ns_of(STR("jabber:client")), NS_CLIENT);
	is_str(atom_str(A_initial_response), STR("initial-response"));
}

TEST(others_are_none)
{
	static const char *const names[] = { "", "m", "Message", "messag", "messagee", "zzz", "jabber:client" };
	unsigned found = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		found += atom_of(str_c(names[i])) != A_NONE;
	is_int(found, 0);
	is_int(atom_of(STR_NONE), A_NONE);
	is_int(ns_of(STR("jabber:clien")), NS_NONE);
	is_int(ns_of(STR("urn:xmpp:sm:33")), NS_NONE);
	is_int(ns_of(STR_NONE), NS_NONE);
	ok(str_empty(atom_str(A_NONE)) && str_empty(ns_str(NS_NONE)), "none has no text");
}
