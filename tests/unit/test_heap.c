/*
 * base/heap: order, moves and removals against a linear search.
 */
#include "base/heap.h"
#include "tests/lib/test.h"

enum { NODES = 300 };

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 24;
}

TEST(empty_and_single)
{
	struct heap h;
	struct heap_node a = { 0 };
	heap_init(&h);
	is_ptr(heap_top(&h), NULL);
	heap_del(&h, &a);
	heap_set(&h, &a, 5);
	is_ptr(heap_top(&h), &a);
	heap_set(&h, &a, 3);
	is_int(h.n, 1);
	is_int(a.key, 3);
	heap_del(&h, &a);
	is_int(a.index, 0);
	is_ptr(heap_top(&h), NULL);
	heap_set(&h, &a, 1);
	heap_clear(&h);
	is_int(a.index, 0);
	heap_set(&h, &a, 1);
	is_ptr(heap_top(&h), &a);
	heap_clear(&h);
}

TEST(agrees_with_a_linear_search)
{
	static struct heap_node nodes[NODES];
	struct heap h;
	heap_init(&h);
	uint64_t state = 3;
	bool same = true;
	for (int step = 0; step < 30000; step++) {
		struct heap_node *n = &nodes[next_random(&state) % NODES];
		uint64_t r = next_random(&state);
		if (r % 4 == 0)
			heap_del(&h, n);
		else
			heap_set(&h, n, r % 50 == 1 ? UINT64_MAX : r / 4 % 1000);
		uint64_t least = UINT64_MAX;
		size_t in = 0;
		for (int i = 0; i < NODES; i++) {
			if (nodes[i].index == 0)
				continue;
			in++;
			least = nodes[i].key < least ? nodes[i].key : least;
			same = same && h.v[nodes[i].index - 1] == &nodes[i];
		}
		same = same && in == h.n && (in == 0 ? !heap_top(&h) : heap_top(&h)->key == least);
	}
	ok(same, "30000 random steps");
	uint64_t last = 0;
	while (heap_top(&h)) {
		struct heap_node *top = heap_top(&h);
		same = same && top->key >= last;
		last = top->key;
		heap_del(&h, top);
	}
	ok(same, "drains in order");
	heap_clear(&h);
}
