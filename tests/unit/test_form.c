/*
 * xml/form and xml/rsm: reading what clients submit, building what they are shown.
 */
#include "xml/form.h"
#include "base/err.h"
#include "tests/lib/test.h"
#include "xml/parser.h"
#include "xml/print.h"
#include "xml/rsm.h"

static const struct parser_limits limits = { 65536, 16384, 64, 4000, 64, 16 };

static struct node *parsed(struct arena *a, const char *xml)
{
	struct node *n = NULL;
	ok(parse_document(a, str_c(xml), &limits, &n) == 0, "parses");
	return n;
}

static struct str printed(struct arena *a, const struct node *n)
{
	struct buf b;
	buf_init(&b, 65536);
	print_node(&b, n, STR("jabber:client"));
	struct str s = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return s;
}

TEST(reading_a_form)
{
	struct arena *a = arena_new(4096);
	struct node *f =
		parsed(a, "<x xmlns='jabber:x:data' type='submit'>"
			  "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
			  "<field var='many'><value>1</value> <value/><other xmlns='urn:o'/><value>3</value></field>"
			  "<field var='yes'><value>true</value></field><field var='no'><value>0</value></field>"
			  "<field var='odd'><value>TRUE</value></field><field var='empty'/>"
			  "<field var='yes'><value>0</value></field>"
			  "<field xmlns='urn:o' var='foreign'><value>1</value></field>"
			  "<field var='foreign2'><value xmlns='urn:o'>1</value></field></x>");
	struct str *v;
	bool b = false;

	is_str(form_type(a, f), STR("urn:xmpp:mam:2"));
	is_str(form_value(a, f, "many"), STR("1"));
	is_int(form_values(a, f, "many", &v), 3);
	is_str(v[0], STR("1"));
	is_str(v[1], STR(""));
	is_str(v[2], STR("3"));
	ok(form_bool(a, f, "yes", &b) == 0 && b, "true; the first field of a name counts");
	ok(form_bool(a, f, "no", &b) == 0 && !b, "0");
	is_int(form_bool(a, f, "odd", &b), ERR_SYNTAX);
	is_int(form_bool(a, f, "empty", &b), ERR_SYNTAX);
	is_int(form_bool(a, f, "absent", &b), ERR_NOT_FOUND);
	ok(form_value(a, f, "absent").p == NULL, "absent");
	ok(form_value(a, f, "empty").p != NULL && form_value(a, f, "empty").n == 0, "there without a value");
	ok(form_value(a, f, "foreign").p == NULL, "a field of another namespace is none");
	is_str(form_value(a, f, "foreign2"), STR(""));
	is_int(form_values(a, f, "absent", &v), 0);
	is_ptr(v, NULL);
	ok(form_type(a, NULL).p == NULL, "no form at all");
	arena_free(a);
}

TEST(building_a_form)
{
	struct arena *a = arena_new(4096);
	struct node *iq = node_new(a, A_iq, NS_CLIENT), *form, *f;

	form = form_new(a, iq, "form", "urn:t");
	form_field(a, form, "name", "text-single", "Your <name>", STR("A & B"));
	f = form_field(a, form, "list", "list-multi", NULL, STR_NONE);
	form_field_value(a, f, STR("1"));
	form_field_value(a, f, STR("2"));
	form_field_option(a, f, "One", STR("1"));
	form_field_option(a, f, NULL, STR("2"));
	is_str(printed(a, iq),
	       STR("<iq><x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' "
		   "type='hidden'><value>urn:t</value></field>"
		   "<field var='name' type='text-single' label='Your &lt;name&gt;'><value>A &amp; B</value></field>"
		   "<field var='list' type='list-multi'><value>1</value><value>2</value><option "
		   "label='One'><value>1</value></option>"
		   "<option><value>2</value></option></field></x></iq>"));
	is_str(form_value(a, form, "name"), STR("A & B"));
	arena_free(a);
}

TEST(reading_rsm)
{
	struct arena *a = arena_new(4096);
	struct rsm_query q;

	is_int(rsm_parse(a, parsed(a, "<query/>"), &q), 0);
	ok(!q.has_max && !q.has_before && !q.has_after && !q.has_index, "nothing asked");
	is_int(rsm_parse(a,
			 parsed(a, "<query><set "
				   "xmlns='http://jabber.org/protocol/rsm'><max>50</max><before/></set></query>"),
			 &q),
	       0);
	ok(q.has_max && q.max == 50 && q.has_before && q.before.n == 0 && !q.has_after, "the last page");
	is_int(rsm_parse(
		       a,
		       parsed(a,
			      "<query><set xmlns='http://jabber.org/protocol/rsm'><max> 0 </max><after>x&amp;y</after>"
			      "<index>371</index></set></query>"),
		       &q),
	       0);
	ok(q.has_max && q.max == 0 && q.has_after && q.has_index && q.index == 371, "after, index, count only");
	is_str(q.after, STR("x&y"));
	static const char *const bad[] = { "", "-1", "x", "1.5", "99999999999999999999" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct str xml =
			arena_printf(a,
				     "<query><set xmlns='http://jabber.org/protocol/rsm'><max>%s</max></set></query>",
				     bad[i]);
		is_int(rsm_parse(a, parsed(a, xml.p), &q), ERR_SYNTAX);
	}
	arena_free(a);
}

TEST(building_rsm)
{
	struct arena *a = arena_new(4096);
	struct node *fin = node_new(a, A_fin, NS_MAM2);

	rsm_add(a, fin, STR("a"), STR("b"), 0, 800);
	is_str(printed(a, node_first(fin)),
	       STR("<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a</first><last>b</last>"
		   "<count>800</count></set>"));
	fin = node_new(a, A_fin, NS_MAM2);
	rsm_add(a, fin, STR("a"), STR("b"), UINT64_MAX, UINT64_MAX);
	is_str(printed(a, node_first(fin)),
	       STR("<set xmlns='http://jabber.org/protocol/rsm'><first>a</first><last>b</last></set>"));
	fin = node_new(a, A_fin, NS_MAM2);
	rsm_add(a, fin, STR_NONE, STR_NONE, 0, 0);
	is_str(printed(a, node_first(fin)), STR("<set xmlns='http://jabber.org/protocol/rsm'><count>0</count></set>"));
	arena_free(a);
}
