/*
 * base/list: the intrusive ring.
 */
#include "base/list.h"
#include "tests/lib/test.h"

struct item {
	int v;
	struct list link;
};

static void join(struct list *head, char *out)
{
	list_each (it, head, struct item, link)
		*out++ = (char)('0' + it->v);
	*out = '\0';
}

TEST(order_and_removal)
{
	struct list head;
	struct item items[5];
	char text[10];
	list_init(&head);
	ok(list_empty(&head), "empty");
	for (int i = 0; i < 5; i++) {
		items[i].v = i;
		if (i % 2)
			list_push(&head, &items[i].link);
		else
			list_add(&head, &items[i].link);
	}
	join(&head, text);
	is_cstr(text, "31024");
	list_del(&items[0].link);
	list_del(&items[0].link);
	join(&head, text);
	is_cstr(text, "3124");
	list_link(&items[2].link, &items[0].link);
	join(&head, text);
	is_cstr(text, "31024");
	list_each_safe (it, &head, struct item, link) {
		if (it->v % 2 == 0)
			list_del(&it->link);
	}
	join(&head, text);
	is_cstr(text, "31");
	list_each_safe (it, &head, struct item, link)
		list_del(&it->link);
	ok(list_empty(&head), "empty again");
}
