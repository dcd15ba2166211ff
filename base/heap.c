/*
 * Binary min-heap of intrusive nodes: the timers of a loop. One thread per heap. The nodes belong to the callers;
 * the heap owns only its vector of pointers. Indices count from 1, so that a zeroed node is one that is in no heap.
 */
#include "base/heap.h"
#include "base/mem.h"
#include <assert.h>

static void put(struct heap *h, size_t i, struct heap_node *node)
{
	h->v[i - 1] = node;
	node->index = i;
}

/* Moves node, whose place i is free, towards the root. */
static void sift_up(struct heap *h, size_t i, struct heap_node *node)
{
	while (i > 1 && node->key < h->v[i / 2 - 1]->key) {
		put(h, i, h->v[i / 2 - 1]);
		i /= 2;
	}
	put(h, i, node);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *node)
{
	for (size_t child; (child = 2 * i) <= h->n; i = child) {
		if (child < h->n && h->v[child]->key < h->v[child - 1]->key)
			child++;
		if (h->v[child - 1]->key >= node->key)
			break;
		put(h, i, h->v[child - 1]);
	}
	put(h, i, node);
}

static void place(struct heap *h, size_t i, struct heap_node *node)
{
	if (i > 1 && node->key < h->v[i / 2 - 1]->key)
		sift_up(h, i, node);
	else
		sift_down(h, i, node);
}

void heap_init(struct heap *h)
{
	*h = (struct heap){ 0 };
}

void heap_clear(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->v[i]->index = 0;
	mem_free(h->v);
	heap_init(h);
}

void heap_set(struct heap *h, struct heap_node *node, uint64_t key)
{
	node->key = key;
	if (node->index > 0) {
		assert(node->index <= h->n && h->v[node->index - 1] == node);
		place(h, node->index, node);
		return;
	}
	if (h->n == h->cap) {
		h->cap = h->cap > 0 ? h->cap * 2 : 16;
		h->v = mem_realloc(h->v, h->cap * sizeof(struct heap_node *));
	}
	h->n++;
	sift_up(h, h->n, node);
}

void heap_del(struct heap *h, struct heap_node *node)
{
	size_t i = node->index;
	if (i == 0)
		return;
	assert(i <= h->n && h->v[i - 1] == node);
	node->index = 0;
	struct heap_node *last = h->v[--h->n];
	if (last != node)
		place(h, i, last);
}

struct heap_node *heap_top(const struct heap *h)
{
	return h->n > 0 ? h->v[0] : NULL;
}
