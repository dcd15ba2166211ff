/*
 * Building trees. Slices given are kept as they are (no copy), so they must live as long as the arena; names of atoms
 * are static texts. Nothing fails: arenas never do. Thread: the owner of the arena.
 */
#include "xml/build.h"
#include <assert.h>
#include <string.h>

struct node *node_new(struct arena *a, enum atom name, enum ns ns)
{
	assert(name != A_NONE);
	struct node *n = ARENA_NEW(a, struct node);
	n->name = name;
	n->ns = ns;
	n->name_str = atom_str(name);
	n->ns_str = ns_str(ns);
	return n;
}

struct node *node_new_named(struct arena *a, struct str name, struct str ns)
{
	assert(name.n > 0);
	struct node *n = ARENA_NEW(a, struct node);
	n->name = atom_of(name);
	n->ns = ns_of(ns);
	n->name_str = name;
	n->ns_str = ns.p ? ns : STR("");
	return n;
}

void node_append(struct node *parent, struct node *child)
{
	assert(!child->parent && !child->next);
	child->parent = parent;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

struct node *node_add(struct arena *a, struct node *parent, enum atom name, enum ns ns)
{
	struct node *n = node_new(a, name, ns);
	node_append(parent, n);
	return n;
}

void node_append_text(struct arena *a, struct node *n, struct str text)
{
	if (text.n == 0)
		return;
	struct node *t = ARENA_NEW(a, struct node);
	t->text = text;
	node_append(n, t);
}

struct node *node_add_text(struct arena *a, struct node *parent, enum atom name, enum ns ns, struct str text)
{
	struct node *n = node_add(a, parent, name, ns);
	node_append_text(a, n, text);
	return n;
}

static void unlink_attr(struct node *n, struct attr *before, struct attr *at)
{
	if (before)
		before->next = at->next;
	else
		n->attrs = at->next;
	if (n->attrs_last == at)
		n->attrs_last = before;
}

struct node *node_set(struct arena *a, struct node *n, const char *name, struct str value)
{
	struct str key = str_c(name);
	struct attr *before = NULL;

	for (struct attr *at = n->attrs; at; before = at, at = at->next) {
		if (at->ns.n || !str_eq(at->name, key))
			continue;
		if (value.p)
			at->value = value;
		else
			unlink_attr(n, before, at);
		return n;
	}
	if (!value.p)
		return n;
	struct attr *at = ARENA_NEW(a, struct attr);
	at->name = key;
	at->value = value;
	if (n->attrs_last)
		n->attrs_last->next = at;
	else
		n->attrs = at;
	n->attrs_last = at;
	return n;
}

struct node *node_set_u64(struct arena *a, struct node *n, const char *name, uint64_t value)
{
	return node_set(a, n, name, arena_printf(a, "%llu", (unsigned long long)value));
}
