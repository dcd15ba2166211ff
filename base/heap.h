/* Binary min-heap of intrusive nodes ordered by a 64-bit key: the timers of a loop. One thread per heap. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct heap_node { uint64_t key; size_t index; /* 0 = not in a heap */ };
struct heap { struct heap_node **v; size_t n, cap; };

void heap_init(struct heap *h);
void heap_clear(struct heap *h);
/* Inserts, or moves a node that is already in after its key changed. */
void heap_set(struct heap *h, struct heap_node *node, uint64_t key);
/* Removes; harmless when not in. */
void heap_del(struct heap *h, struct heap_node *node);
/* Smallest, or NULL. */
struct heap_node *heap_top(const struct heap *h);
