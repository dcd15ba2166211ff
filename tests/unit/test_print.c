/*
 * xml/print: escaping, namespaces, prefixes; what is printed parses back to an equal tree (rows X12, X14).
 */
#include "xml/print.h"
#include "tests/lib/test.h"
#include "xml/build.h"
#include "xml/parser.h"

static const struct parser_limits limits = { 1 << 20, 1 << 18, 200, 100000, 200, 200 };

static struct str printed(struct arena *a, const struct node *n, struct str outer)
{
	struct buf b;
	buf_init(&b, 4 << 20);
	print_node(&b, n, outer);
	struct str s = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return s;
}

TEST(escaping)
{
	struct buf b;

	buf_init(&b, 1000);
	print_text(&b, STR("a<b>&\"'\t\n\r]]>z"));
	is_str(buf_str(&b), STR("a&lt;b&gt;&amp;\"'\t\n&#xD;]]&gt;z"));
	buf_reset(&b);
	print_attr_value(&b, STR("a<b>&\"'\t\n\rz"));
	is_str(buf_str(&b), STR("a&lt;b&gt;&amp;&quot;&apos;&#x9;&#xA;&#xD;z"));
	buf_reset(&b);
	print_attr(&b, "x", STR("<"));
	print_attr(&b, "none", STR_NONE);
	print_attr(&b, "empty", STR(""));
	is_str(buf_str(&b), STR(" x='&lt;' empty=''"));
	buf_reset(&b);
	print_text(&b, STR_NONE);
	print_text(&b, STR("\xd0\xb6\xf0\x9f\x98\x80"));
	is_str(buf_str(&b), STR("\xd0\xb6\xf0\x9f\x98\x80"));
	buf_clear(&b);
}

TEST(namespaces_are_declared_where_they_change)
{
	struct arena *a = arena_new(4096);
	struct node *m = node_new(a, A_message, NS_CLIENT);
	struct node *x = node_add(a, m, A_x, NS_DATA);
	node_add(a, x, A_field, NS_DATA);
	node_add(a, x, A_body, NS_CLIENT);
	node_append(x, node_new_named(a, STR("none"), STR_NONE));

	is_str(printed(a, m, STR("jabber:client")), STR("<message><x xmlns='jabber:x:data'><field/><body "
							"xmlns='jabber:client'/><none xmlns=''/></x></message>"));
	is_str(printed(a, m, STR("")), STR("<message xmlns='jabber:client'><x xmlns='jabber:x:data'><field/><body "
					   "xmlns='jabber:client'/><none xmlns=''/>"
					   "</x></message>"));
	struct buf b;
	buf_init(&b, 1000);
	print_children(&b, x);
	is_str(buf_str(&b), STR("<field/><body xmlns='jabber:client'/><none xmlns=''/>"));
	buf_clear(&b);
	arena_free(a);
}

TEST(stream_prefix_only_at_stream_level)
{
	struct arena *a = arena_new(4096);
	struct node *f = node_new(a, A_features, NS_STREAMS), *m = node_new(a, A_message, NS_CLIENT);

	node_add(a, f, A_starttls, NS_TLS);
	node_add(a, f, A_x, NS_CLIENT);
	is_str(printed(a, f, STR("jabber:client")),
	       STR("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><x/></stream:features>"));
	is_str(printed(a, f, STR("")),
	       STR("<stream:features xmlns:stream='http://etherx.jabber.org/streams'><starttls "
		   "xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><x xmlns='jabber:client'/></stream:features>"));
	is_str(printed(a, f, STR("urn:a")), STR("<features xmlns='http://etherx.jabber.org/streams'><starttls "
						"xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><x "
						"xmlns='jabber:client'/></features>"));
	node_add(a, m, A_error, NS_STREAMS);
	is_str(printed(a, m, STR("jabber:client")),
	       STR("<message><error xmlns='http://etherx.jabber.org/streams'/></message>"));
	arena_free(a);
}

static bool same_tree(const struct node *x, const struct node *y)
{
	if (node_is_text(x) != node_is_text(y) || x->name != y->name || x->ns != y->ns ||
	    !str_eq(x->name_str, y->name_str) || !str_eq(x->ns_str, y->ns_str) || !str_eq(x->text, y->text))
		return false;
	const struct attr *p = x->attrs, *q = y->attrs;
	for (; p && q; p = p->next, q = q->next)
		if (!str_eq(p->name, q->name) || !str_eq(p->ns, q->ns) || !str_eq(p->value, q->value))
			return false;
	const struct node *c = x->first, *d = y->first;
	for (; c && d; c = c->next, d = d->next)
		if (c->parent != x || d->parent != y || !same_tree(c, d))
			return false;
	return !p && !q && !c && !d;
}

TEST(parsed_documents_come_back)
{
	static const char *const documents[] = {
		"<a/>",
		"<a xmlns='u' xmlns:p='v' p:x='1' x='2' p:y='3'><p:b xml:lang='ru' p:x='4'/></a>",
		"<p:a xmlns:p='http://etherx.jabber.org/streams'><b xmlns='jabber:client'><p:c/></b></p:a>",
		"<a x='&#9;&#10;&#13;&lt;&gt;&amp;&quot;&apos;'>&#13;&#10;&#9;&lt;&gt;&amp;]]&gt;</a>",
		"<a x='\t\n\r\n'>\r\n</a>",
		"<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>",
		"<xml:a><xml:b xml:c='1' c='2'/></xml:a>",
		"<a xmlns='&lt;&#39;\t'><b xmlns=''/></a>",
		"<a xmlns:n1='u1' xmlns:n2='u2' n2:x='' n1:x='' n2:y=''><n1:b n2:z=''/></a>",
		"<\xd0\xb6 \xd0\xb6='\xf0\x9f\x98\x80'>\xf0\x9f\x98\x80</\xd0\xb6>",
	};
	static const char *const outers[] = { "", "jabber:client", "http://etherx.jabber.org/streams", "u" };
	struct arena *a = arena_new(4096);

	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
		struct node *one, *two;
		arena_reset(a);
		require(parse_document(a, str_c(documents[i]), &limits, &one) == 0, "parses: %s", documents[i]);
		for (size_t k = 0; k < sizeof outers / sizeof *outers; k++) {
			struct str inside = printed(a, one, str_c(outers[k]));
			struct str whole = arena_cat(a, STR("<o xmlns='"), str_c(outers[k]),
						     STR("' xmlns:stream='http://etherx.jabber.org/streams'>"), inside,
						     STR("</o>"), STR_NONE);
			require(parse_document(a, whole, &limits, &two) == 0, "parses again: %.*s", STR_ARG(whole));
			struct node *copy = node_copy(a, node_first(two));
			ok(same_tree(one, copy), "equal tree: %s in '%s'", documents[i], outers[k]);
		}
	}
	arena_free(a);
	parser_pool_clear();
}

static uint32_t pick(uint32_t n)
{
	static uint64_t state = 88172645463325252u; /* fixed: a failure comes back */
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

static struct str random_text(struct arena *a)
{
	static const char *const pieces[] = { "<",
					      ">",
					      "&",
					      "\"",
					      "'",
					      "\t",
					      "\n",
					      "\r",
					      " ",
					      "abc",
					      "]]>",
					      "\xd0\xb6",
					      "\xf0\x9f\x98\x80",
					      "&amp;",
					      "--",
					      "\x7f",
					      "\xc2\x85",
					      "?>" };
	struct str s = STR("");
	for (uint32_t n = pick(6) + 1; n; n--)
		s = arena_cat(a, s, str_c(pieces[pick(sizeof pieces / sizeof *pieces)]), STR_NONE);
	return s;
}

static struct node *random_tree(struct arena *a, int depth)
{
	static const char *const names[] = { "a", "message", "x", "\xd0\xb6", "n1", "stream" };
	static const char *const spaces[] = { "",     "jabber:client", "http://etherx.jabber.org/streams",
					      "u<'&", "urn:b",	       "http://www.w3.org/XML/1998/namespace" };
	struct node *n = node_new_named(a, str_c(names[pick(6)]), str_c(spaces[pick(6)]));

	for (uint32_t i = pick(4); i; i--) {
		struct attr *at = ARENA_NEW(a, struct attr);
		at->name = arena_printf(a, "%s%u", names[pick(6)], i);
		at->ns = str_c(spaces[pick(6)]);
		at->value = random_text(a);
		at->next = n->attrs;
		n->attrs = at;
		if (!n->attrs_last)
			n->attrs_last = at;
	}
	bool text_before = false;
	for (uint32_t i = pick(5); i && depth; i--) {
		if (!text_before && pick(3) == 0) {
			node_append_text(a, n, random_text(a));
			text_before = true;
			continue;
		}
		node_append(n, random_tree(a, depth - 1));
		text_before = false;
	}
	return n;
}

TEST(random_trees_come_back)
{
	static const char *const outers[] = { "", "jabber:client", "urn:b" };
	struct arena *a = arena_new(16384);
	unsigned wrong = 0;

	for (int i = 0; i < 3000; i++) {
		struct node *one = random_tree(a, 5), *two = NULL;
		struct str outer = str_c(outers[i % 3]);
		struct str whole = arena_cat(a, STR("<o xmlns='"), outer,
					     STR("' xmlns:stream='http://etherx.jabber.org/streams'>"),
					     printed(a, one, outer), STR("</o>"), STR_NONE);
		int err = parse_document(a, whole, &limits, &two);
		if (err || !same_tree(one, node_copy(a, node_first(two)))) {
			if (wrong++ < 3)
				diag("error %d: %.*s", err, STR_ARG(whole));
		}
		arena_reset(a);
	}
	is_int(wrong, 0);
	arena_free(a);
	parser_pool_clear();
}
