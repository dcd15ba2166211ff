/* PEP without a server: entity caps are verified before they are believed (XEP-0115 5.4, row I12), publish-options
 * and configurations (XEP-0060 7.1.5), sizes out of picture headers (row W09). Main thread only. */
#include "base/picture.h"
#include "base/err.h"
#include "server/net/limits.h"
#include "server/xmpp/avatar.h"
#include "server/xmpp/caps.h"
#include "tests/lib/test.h"
#include "xml/parser.h"
#include <stdio.h>
#include <string.h>

static struct node *parse(struct arena *a, const char *xml)
{
	static const struct parser_limits limits = { 1 << 20, 1 << 20, 100, 10000, 100, 100 };
	struct node *root = NULL;

	atom_init();
	ok(parse_document(a, str_c(xml), &limits, &root) == 0, "test document parses");
	return root;
}

#define QUERY(inside) "<query xmlns='http://jabber.org/protocol/disco#info'>" inside "</query>"
/* The worked examples of XEP-0115 5.2 and 5.3. */
#define EXODUS                                                                                                         \
	"<identity category='client' type='pc' name='Exodus 0.9.1'/>"                                                  \
	"<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/disco#items'/>"       \
	"<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/caps'/>"
#define PSI                                                                                                            \
	"<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"                                        \
	"<identity xml:lang='el' category='client' name='\xce\xa8 0.11' type='pc'/>"                                   \
	"<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"       \
	"<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>"       \
	"<x xmlns='jabber:x:data' type='result'>"                                                                      \
	"<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"                  \
	"<field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>"                     \
	"<field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>"              \
	"<field var='software'><value>Psi</value></field><field "                                                      \
	"var='software_version'><value>0.11</value></field></x>"
#define EXODUS_VER "QgayPKawpkPSDYmwT/WM94uAlu0="
#define PSI_VER "q07IKJEyjvHSyhy//CH0CxmKi8w="

static bool verify(const char *xml, const char *hash, const char *ver)
{
	struct arena *a = arena_new(8192);
	bool fits = caps_verify(a, parse(a, xml), str_c(hash), str_c(ver));

	arena_free(a);
	return fits;
}

TEST(caps_of_the_xep_examples)
{
	ok(verify(QUERY(EXODUS), "sha-1", EXODUS_VER), "simple example");
	ok(verify(QUERY(PSI), "sha-1", PSI_VER), "complex example with languages and a form");
}

TEST(i12_wrong_caps_are_not_believed)
{
	ok(!verify(QUERY(EXODUS "<feature var='urn:xmpp:avatar:metadata+notify'/>"), "sha-1", EXODUS_VER),
	   "one feature more");
	ok(!verify(QUERY(EXODUS), "sha-1", PSI_VER), "the hash of another client");
	ok(!verify(QUERY(EXODUS), "sha-256", EXODUS_VER), "another algorithm");
	ok(!verify(QUERY(EXODUS), "md5", EXODUS_VER), "an algorithm that we do not know");
	ok(!verify(QUERY(EXODUS), "sha-1", ""), "no hash");
	ok(!verify(QUERY(EXODUS "<feature var='http://jabber.org/protocol/muc'/>"), "sha-1", EXODUS_VER),
	   "a feature twice (3.3)");
}

TEST(i12_separator_in_a_name_makes_no_other_client)
{
	/* The string is the same as with two features, so the hash would fit. */
	ok(!verify(QUERY("<identity category='client' type='pc' name='Exodus 0.9.1'/>"
			 "<feature var='http://jabber.org/protocol/caps&lt;http://jabber.org/protocol/disco#info'/>"
			 "<feature var='http://jabber.org/protocol/disco#items'/><feature "
			 "var='http://jabber.org/protocol/muc'/>"),
		   "sha-1", EXODUS_VER),
	   "'<' inside of a name is refused");
}

TEST(caps_order_is_of_the_names_alone)
{
	/* "a" stands before "a#b" although '<' comes behind '#'. Computed by hand: "client/pc//<a<a#b<". */
	ok(verify(QUERY("<identity category='client' type='pc'/><feature var='a#b'/><feature var='a'/>"), "sha-1",
		  "Kc+hAGX5pok39BghwbXxtbxnRKQ="),
	   "shorter name first");
}

/* ---- configuration ---- */

#define FORM(fields) "<x xmlns='jabber:x:data' type='submit'>" fields "</x>"
#define FIELD(var, value) "<field var='pubsub#" var "'><value>" value "</value></field>"

static int read_form(struct arena *a, const char *xml, struct pep_config *c)
{
	pep_config_default(STR("urn:example:node"), c);
	return pep_config_read_form(a, parse(a, xml), c);
}

TEST(publish_options_are_preconditions)
{
	struct arena *a = arena_new(8192);
	struct pep_config have, wanted;

	is_int(read_form(a, FORM(FIELD("access_model", "open") FIELD("max_items", "5")), &have), 0);
	is_int(read_form(a, FORM(FIELD("access_model", "open")), &wanted), 0);
	ok(pep_config_fits(&have, &wanted), "the named one is equal, others do not count");
	is_int(read_form(a, FORM(FIELD("access_model", "whitelist")), &wanted), 0);
	ok(!pep_config_fits(&have, &wanted), "the named one differs");
	is_int(read_form(a, FORM(FIELD("access_model", "open") FIELD("max_items", "6")), &wanted), 0);
	ok(!pep_config_fits(&have, &wanted), "one of two differs");
	is_int(read_form(a, FORM(FIELD("persist_items", "true")), &wanted), 0);
	ok(pep_config_fits(&have, &wanted), "true and 1 are the same");
	is_int(read_form(a, FORM(FIELD("example", "x")), &wanted), 0);
	ok(pep_config_fits(&have, &wanted), "unknown fields are passed over");
	arena_free(a);
}

TEST(options_that_are_not_offered)
{
	struct arena *a = arena_new(8192);
	struct pep_config c;

	is_int(read_form(a, FORM(FIELD("access_model", "authorize")), &c), ERR_SYNTAX);
	is_int(read_form(a, FORM(FIELD("max_items", "0")), &c), ERR_SYNTAX);
	is_int(read_form(a, FORM(FIELD("max_items", "-1")), &c), ERR_SYNTAX);
	is_int(read_form(a, FORM(FIELD("persist_items", "perhaps")), &c), ERR_SYNTAX);
	is_int(read_form(a, FORM(FIELD("title", "two\nlines")), &c), ERR_SYNTAX);
	is_int(read_form(a, FORM(FIELD("access_model", "roster")), &c), 0);
	is_int(pep_config_access(&c), ACCESS_PRESENCE);
	arena_free(a);
}

TEST(configuration_survives_the_store)
{
	struct arena *a = arena_new(8192);
	struct pep_config c, back;

	is_int(read_form(a,
			 FORM(FIELD("access_model", "whitelist") FIELD("max_items", "max") FIELD("title", "a=b")
				      FIELD("send_last_published_item", "never")),
			 &c),
	       0);
	pep_config_parse(pep_config_print(a, &c), STR("urn:example:node"), &back);
	for (size_t i = 0; i < PEP_OPTIONS; i++)
		is_str(back.v[i], c.v[i]);
	is_int(pep_config_max_items(&back), limits()->pep_items);
	ok(!pep_config_sends_last(&back), "never");
	pep_config_parse(STR_NONE, STR("urn:xmpp:bookmarks:1"), &back);
	is_int(pep_config_access(&back), ACCESS_WHITELIST); /* XEP-0402: nobody else's business */
	arena_free(a);
}

/* ---- pictures ---- */

TEST(w09_sizes_are_read_from_headers)
{
	uint32_t w = 0, h = 0;

	ok(picture_size(str_of("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x10\0\0\0\x20\x01", 24), &w, &h), "PNG");
	is_int(w, 4096);
	is_int(h, 8193);
	ok(picture_size(str_of("GIF89a\x10\0\x20\x01", 10), &w, &h), "GIF");
	is_int(w, 16);
	is_int(h, 288);
	ok(picture_size(str_of("\xff\xd8\xff\xe0\0\x04zz\xff\xc0\0\x11\x08\x01\0\x02\0\x03", 18), &w, &h), "JPEG");
	is_int(h, 256);
	is_int(w, 512);
	ok(!picture_size(str_of("\xff\xd8\xff\xe0\xff\xff", 6), &w, &h), "JPEG that ends too early");
	ok(!picture_size(STR("picture"), &w, &h), "no picture");
	ok(!picture_size(str_of("\x89PNG\r\n\x1a\n", 8), &w, &h), "PNG that ends too early");
}

TEST(w09_picture_bombs_are_refused)
{
	struct arena *a = arena_new(8192);
	char b64[64], xml[256];
	size_t n = base64_encode("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\0\0\0\x01\0\0", 24, b64);

	snprintf(xml, sizeof xml, "<data xmlns='urn:xmpp:avatar:data'>%.*s</data>", (int)n, b64);
	is_int(avatar_check_data(a, parse(a, xml)), ERR_LIMIT);
	is_int(avatar_check_data(a, parse(a, "<data xmlns='urn:xmpp:avatar:data'>no base64!</data>")), ERR_SYNTAX);
	is_int(avatar_check_data(a, parse(a, "<data xmlns='urn:xmpp:avatar:data'>cGlj\n dHVyZQ==</data>")), 0);
	arena_free(a);
}
