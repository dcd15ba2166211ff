/*
 * The serialiser. Output depends on the tree only, never on the bytes or prefixes it came from (rows X12, X14): an
 * element whose namespace differs from the default namespace around it declares its own; prefixed attributes get
 * prefixes of ours. What is printed parses back to an equal tree. Recursion depth is the depth of the tree, which
 * parser_limits.depth bounds. Text must be valid XML characters already: the parser or str_xml_valid() has seen it
 * (row X10). Thread: owner of the buffer.
 */
#include "xml/print.h"
#include <string.h>

/* Index into escapes[]: what a byte becomes, 0 = itself. */
static const struct str escapes[] = {
	[1] = { "&lt;", 4 },   [2] = { "&gt;", 4 },  [3] = { "&amp;", 5 }, [4] = { "&quot;", 6 },
	[5] = { "&apos;", 6 }, [6] = { "&#x9;", 5 }, [7] = { "&#xA;", 5 }, [8] = { "&#xD;", 5 },
};
/* CR is escaped in text too: a parser would read a bare one as a line feed (XML 1.0, 2.11). */
static const uint8_t in_text[256] = { ['<'] = 1, ['>'] = 2, ['&'] = 3, ['\r'] = 8 };
static const uint8_t in_attr[256] = {
	['<'] = 1, ['>'] = 2, ['&'] = 3, ['"'] = 4, ['\''] = 5, ['\t'] = 6, ['\n'] = 7, ['\r'] = 8
};

static void escape(struct buf *b, struct str s, const uint8_t *table)
{
	const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;

	while (p < end) {
		const uint8_t *run = p;
		while (end - p >= 4 && !(table[p[0]] | table[p[1]] | table[p[2]] | table[p[3]]))
			p += 4;
		while (p < end && !table[*p])
			p++;
		if (p > run)
			buf_add(b, run, (size_t)(p - run));
		if (p < end)
			buf_str_add(b, escapes[table[*p++]]);
	}
}

void print_text(struct buf *b, struct str s)
{
	if (s.n)
		escape(b, s, in_text);
}

void print_attr_value(struct buf *b, struct str s)
{
	if (s.n)
		escape(b, s, in_attr);
}

void print_attr(struct buf *b, const char *name, struct str value)
{
	if (!value.p)
		return;
	buf_byte(b, ' ');
	buf_str_add(b, str_c(name));
	buf_lit(b, "='");
	print_attr_value(b, value);
	buf_byte(b, '\'');
}

static bool same(struct str a, struct str b)
{
	return a.n == b.n && (a.p == b.p || str_eq(a, b));
}

/* Attributes of one namespace share one prefix: the position of the first of them. */
static unsigned prefix_number(const struct node *n, const struct attr *of)
{
	unsigned k = 1;
	for (const struct attr *a = n->attrs; a != of && !same(a->ns, of->ns); a = a->next)
		k++;
	return k;
}

static void print_prefixed(struct buf *b, const struct node *n, const struct attr *a)
{
	if (same(a->ns, ns_str(NS_XML))) {
		buf_lit(b, " xml:");
	} else {
		unsigned k = prefix_number(n, a), at = 1;
		for (const struct attr *i = n->attrs; i != a; i = i->next)
			at++;
		if (k == at) {
			buf_printf(b, " xmlns:ns%u='", k);
			print_attr_value(b, a->ns);
			buf_byte(b, '\'');
		}
		buf_printf(b, " ns%u:", k);
	}
}

static void print_attrs(struct buf *b, const struct node *n)
{
	for (const struct attr *a = n->attrs; a; a = a->next) {
		if (a->ns.n)
			print_prefixed(b, n, a);
		else
			buf_byte(b, ' ');
		buf_str_add(b, a->name);
		buf_lit(b, "='");
		print_attr_value(b, a->value);
		buf_byte(b, '\'');
	}
}

static void print_element(struct buf *b, const struct node *n, struct str outer, struct str prefix, bool declare);

static void print_inner(struct buf *b, const struct node *n, struct str outer, bool declare)
{
	for (const struct node *c = n->first; c; c = c->next) {
		if (node_is_text(c))
			print_text(b, c->text);
		else if (c->ns == NS_XML) /* may not be a default namespace; its prefix is always there */
			print_element(b, c, outer, STR("xml:"), declare);
		else
			print_element(b, c, outer, STR_NONE, declare || !same(c->ns_str, outer));
	}
}

/* prefix set: no default declaration of its own, so the children's surroundings are still `outer`. */
static void print_element(struct buf *b, const struct node *n, struct str outer, struct str prefix, bool declare)
{
	buf_byte(b, '<');
	buf_str_add(b, prefix);
	buf_str_add(b, n->name_str);
	if (!prefix.p && declare) {
		buf_lit(b, " xmlns='");
		print_attr_value(b, n->ns_str);
		buf_byte(b, '\'');
	}
	if (prefix.p && n->ns == NS_STREAMS && declare) {
		buf_lit(b, " xmlns:stream='");
		buf_str_add(b, n->ns_str);
		buf_byte(b, '\'');
	}
	print_attrs(b, n);
	if (!n->first) {
		buf_lit(b, "/>");
		return;
	}
	buf_byte(b, '>');
	if (prefix.p)
		print_inner(b, n, outer, declare);
	else
		print_inner(b, n, n->ns_str, false);
	buf_lit(b, "</");
	buf_str_add(b, prefix);
	buf_str_add(b, n->name_str);
	buf_byte(b, '>');
}

void print_node(struct buf *b, const struct node *n, struct str outer)
{
	bool unknown = outer.n == 0;

	/* Only at the level of the stream: inside a stanza the prefix may not be declared where it ends up. */
	if (n->ns == NS_STREAMS && (unknown || same(outer, ns_str(NS_CLIENT))))
		print_element(b, n, outer, STR("stream:"), unknown);
	else if (n->ns == NS_XML)
		print_element(b, n, outer, STR("xml:"), unknown);
	else
		print_element(b, n, outer, STR_NONE, unknown || !same(n->ns_str, outer));
}

void print_children(struct buf *b, const struct node *n)
{
	print_inner(b, n, n->ns_str, n->ns == NS_XML);
}
