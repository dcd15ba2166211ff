/*
 * xml/node and xml/build: looking into trees, changing and copying them.
 */
#include "xml/build.h"
#include "tests/lib/test.h"
#include "xml/print.h"

static struct str printed(struct arena *a, const struct node *n)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	print_node(&b, n, STR("jabber:client"));
	struct str s = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return s;
}

TEST(children_and_text)
{
	struct arena *a = arena_new(1024);
	struct node *m = node_new(a, A_message, NS_CLIENT);
	struct node *b1 = node_add_text(a, m, A_body, NS_CLIENT, STR("one"));
	node_append_text(a, m, STR(" between "));
	struct node *x = node_add(a, m, A_x, NS_DATA);
	struct node *b2 = node_add_text(a, m, A_body, NS_CLIENT, STR("two"));
	struct node *odd = node_new_named(a, STR("odd"), STR("urn:odd"));
	node_append(m, odd);

	is_ptr(node_first(m), b1);
	is_ptr(node_next(b1), x);
	is_ptr(node_next_same(b1), b2);
	is_ptr(node_next_same(b2), NULL);
	is_ptr(node_child(m, A_body, NS_CLIENT), b1);
	is_ptr(node_child(m, A_body, NS_DATA), NULL);
	is_ptr(node_child_ns(m, NS_DATA), x);
	is_int(odd->name, A_NONE);
	is_int(odd->ns, NS_NONE);
	is_str(node_text(a, m), STR(" between "));
	is_str(node_child_text(a, m, A_body, NS_CLIENT), STR("one"));
	ok(node_child_text(a, m, A_subject, NS_CLIENT).p == NULL, "an absent child has no text");
	ok(node_child_text(a, m, A_x, NS_DATA).p != NULL, "an empty child has an empty text");
	node_append_text(a, b1, STR("+"));
	node_append_text(a, b1, STR("more"));
	is_str(node_text(a, b1), STR("one+more"));
	unsigned n = 0;
	node_each (c, m)
		n++;
	is_int(n, 4);
	arena_free(a);
}

TEST(unknown_siblings_compare_by_text)
{
	struct arena *a = arena_new(1024);
	struct node *m = node_new(a, A_message, NS_CLIENT);
	struct node *u1 = node_new_named(a, STR("u"), STR("urn:1")), *u2 = node_new_named(a, STR("u"), STR("urn:2"));
	struct node *u3 = node_new_named(a, STR("u"), STR("urn:1"));

	node_append(m, u1);
	node_append(m, u2);
	node_append(m, u3);
	is_ptr(node_next_same(u1), u3);
	is_ptr(node_next_same(u2), NULL);
	arena_free(a);
}

TEST(attributes)
{
	struct arena *a = arena_new(1024);
	struct node *n = node_new(a, A_iq, NS_CLIENT);

	node_set(a, node_set(a, n, "id", STR("1")), "to", STR("x"));
	node_set_u64(a, n, "n", UINT64_MAX);
	is_str(printed(a, n), STR("<iq id='1' to='x' n='18446744073709551615'/>"));
	node_set(a, n, "to", STR("y"));
	is_str(node_attr(n, "to"), STR("y"));
	node_set(a, n, "n", STR_NONE);
	node_set(a, n, "absent", STR_NONE);
	node_set(a, n, "last", STR(""));
	is_str(printed(a, n), STR("<iq id='1' to='y' last=''/>"));
	node_set(a, n, "id", STR_NONE);
	is_str(printed(a, n), STR("<iq to='y' last=''/>"));
	ok(node_attr(n, "id").p == NULL, "a removed attribute is absent");
	ok(node_attr(n, "last").p != NULL, "an empty one is there");
	ok(node_lang(n).p == NULL, "no xml:lang");
	arena_free(a);
}

TEST(removing)
{
	struct arena *a = arena_new(1024);
	struct node *m = node_new(a, A_message, NS_CLIENT);
	struct node *b = node_add(a, m, A_body, NS_CLIENT), *s = node_add(a, m, A_subject, NS_CLIENT);
	struct node *t = node_add(a, m, A_thread, NS_CLIENT);

	node_remove(s);
	is_str(printed(a, m), STR("<message><body/><thread/></message>"));
	node_remove(t);
	node_append(m, s);
	is_str(printed(a, m), STR("<message><body/><subject/></message>"));
	node_remove(b);
	node_remove(b);
	node_remove(s);
	is_str(printed(a, m), STR("<message/>"));
	node_append(m, t);
	is_str(printed(a, m), STR("<message><thread/></message>"));
	arena_free(a);
}

TEST(deep_copy_survives_the_source)
{
	struct arena *a = arena_new(1024), *b = arena_new(1024);
	struct node *m = node_new(a, A_message, NS_CLIENT), *deep = m;

	node_set(a, m, "to", arena_str(a, STR("someone@example.org")));
	for (int i = 0; i < 1000; i++) {
		deep = node_add(a, deep, A_x, NS_DATA);
		if (i % 10 == 0) {
			node_append_text(a, deep, arena_printf(a, "text %d", i));
			node_append(deep, node_new_named(a, arena_printf(a, "n%d", i), arena_printf(a, "urn:%d", i)));
		}
	}
	struct str before = printed(b, m);
	struct node *copy = node_copy(b, m);
	arena_reset(a);
	memset(arena_alloc(a, 1000), 'x', 1000);
	is_str(printed(b, copy), before);
	is_ptr(copy->parent, NULL);
	arena_free(a);
	arena_free(b);
}
