/*
 * Result set management (XEP-0059). The query is read with its numbers checked; what a page then is, the caller
 * decides. Thread: the owner of the arena.
 */
#include "xml/rsm.h"
#include "base/err.h"

/* A child with a number; absent is fine. */
static int read_number(struct arena *a, const struct node *set, enum atom name, bool *out_has, uint64_t *out)
{
	struct str s = node_child_text(a, set, name, NS_RSM);

	*out_has = s.p != NULL;
	return s.p ? str_u64(str_trim(s), UINT32_MAX, out) : 0;
}

int rsm_parse(struct arena *a, const struct node *parent, struct rsm_query *out)
{
	const struct node *set = node_child(parent, A_set, NS_RSM);

	*out = (struct rsm_query){ 0 };
	if (!set)
		return 0;
	if (read_number(a, set, A_max, &out->has_max, &out->max) != 0 ||
	    read_number(a, set, A_index, &out->has_index, &out->index) != 0)
		return ERR_SYNTAX;
	out->before = node_child_text(a, set, A_before, NS_RSM);
	out->has_before = out->before.p != NULL;
	out->after = node_child_text(a, set, A_after, NS_RSM);
	out->has_after = out->after.p != NULL;
	return 0;
}

static void add_number(struct arena *a, struct node *set, enum atom name, uint64_t v)
{
	node_add_text(a, set, name, NS_RSM, arena_printf(a, "%llu", (unsigned long long)v));
}

void rsm_add(struct arena *a, struct node *parent, struct str first, struct str last, uint64_t index, uint64_t count)
{
	struct node *set = node_add(a, parent, A_set, NS_RSM);

	if (first.p) {
		struct node *f = node_add_text(a, set, A_first, NS_RSM, first);
		if (index != UINT64_MAX)
			node_set_u64(a, f, "index", index);
	}
	if (last.p)
		node_add_text(a, set, A_last, NS_RSM, last);
	if (count != UINT64_MAX)
		add_number(a, set, A_count, count);
}
