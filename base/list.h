/* Intrusive doubly linked ring: a head and its members are the same struct. No allocation, no locking. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list { struct list *next, *prev; };

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_link(struct list *before, struct list *e)
{
	e->prev = before->prev;
	e->next = before;
	before->prev->next = e;
	before->prev = e;
}
/* Appends at the end / at the front of head. */
static inline void list_add(struct list *head, struct list *e) { list_link(head, e); }
static inline void list_push(struct list *head, struct list *e) { list_link(head->next, e); }
/* Takes e out; e becomes an empty ring, so removing twice is harmless. */
static inline void list_del(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}
#define list_entry(ptr, T, member) ((T *)(void *)((char *)(ptr)-offsetof(T, member)))
#define list_each(it, head, T, member)                                                                     \
	for (T *it = list_entry((head)->next, T, member); &it->member != (head);                           \
	     it = list_entry(it->member.next, T, member))
/* Like list_each, but the current element may be removed (only that one). */
#define list_each_safe(it, head, T, member)                                                                \
	for (T *it = list_entry((head)->next, T, member), *it##_next = list_entry(it->member.next, T, member); \
	     &it->member != (head); it = it##_next, it##_next = list_entry(it->member.next, T, member))
