/*
 * Reading and copying element trees. Everything lives in the arena of its stanza: nothing here frees, a removed child
 * is only unlinked. Loops, not recursion, wherever depth comes from input: the parser bounds depth, builders might
 * not. Thread: the owner of the arena.
 */
#include "xml/node.h"
#include <string.h>

struct str node_attr(const struct node *n, const char *name)
{
	size_t len = strlen(name);

	for (const struct attr *a = n->attrs; a; a = a->next)
		if (a->name.n == len && a->ns.n == 0 && memcmp(a->name.p, name, len) == 0)
			return a->value;
	return STR_NONE;
}

struct str node_lang(const struct node *n)
{
	for (const struct attr *a = n->attrs; a; a = a->next)
		if (a->ns.n && str_eq(a->name, STR("lang")) && str_eq(a->ns, ns_str(NS_XML)))
			return a->value;
	return STR_NONE;
}

struct node *node_child(const struct node *n, enum atom name, enum ns ns)
{
	for (struct node *c = n->first; c; c = c->next)
		if (c->name == name && c->ns == ns && !node_is_text(c))
			return c;
	return NULL;
}

struct node *node_child_ns(const struct node *n, enum ns ns)
{
	for (struct node *c = n->first; c; c = c->next)
		if (c->ns == ns && !node_is_text(c))
			return c;
	return NULL;
}

static struct node *element_from(struct node *c)
{
	while (c && node_is_text(c))
		c = c->next;
	return c;
}

struct node *node_first(const struct node *n)
{
	return element_from(n->first);
}

struct node *node_next(const struct node *n)
{
	return element_from(n->next);
}

struct node *node_next_same(const struct node *n)
{
	for (struct node *c = n->next; c; c = c->next)
		if (!node_is_text(c) && c->name == n->name && c->ns == n->ns &&
		    (n->name || str_eq(c->name_str, n->name_str)) && (n->ns || str_eq(c->ns_str, n->ns_str)))
			return c;
	return NULL;
}

struct str node_text(struct arena *a, const struct node *n)
{
	const struct node *only = NULL;
	size_t total = 0, pieces = 0;

	for (const struct node *c = n->first; c; c = c->next)
		if (node_is_text(c)) {
			only = c;
			pieces++;
			total += c->text.n;
		}
	if (pieces == 0)
		return STR("");
	if (pieces == 1)
		return only->text;
	char *p = arena_alloc(a, total + 1), *w = p;
	for (const struct node *c = n->first; c; c = c->next)
		if (node_is_text(c)) {
			memcpy(w, c->text.p, c->text.n);
			w += c->text.n;
		}
	*w = 0;
	return str_of(p, total);
}

struct str node_child_text(struct arena *a, const struct node *n, enum atom name, enum ns ns)
{
	const struct node *c = node_child(n, name, ns);
	return c ? node_text(a, c) : STR_NONE;
}

void node_remove(struct node *child)
{
	struct node *parent = child->parent, *before = NULL;

	if (!parent)
		return;
	for (struct node *c = parent->first; c && c != child; c = c->next)
		before = c;
	if (before)
		before->next = child->next;
	else
		parent->first = child->next;
	if (parent->last == child)
		parent->last = before;
	child->parent = child->next = NULL;
}

/* Texts of atoms are static: only unknown names need a copy. */
static struct str copy_str(struct arena *a, struct str s, struct str fixed)
{
	return s.p && s.p != fixed.p ? arena_str(a, s) : s;
}

static struct node *copy_one(struct arena *a, const struct node *n)
{
	struct node *m = ARENA_NEW(a, struct node);

	m->name = n->name;
	m->ns = n->ns;
	if (node_is_text(n)) {
		m->text = arena_str(a, n->text);
		return m;
	}
	m->name_str = copy_str(a, n->name_str, atom_str(n->name));
	m->ns_str = copy_str(a, n->ns_str, ns_str(n->ns));
	for (const struct attr *at = n->attrs; at; at = at->next) {
		struct attr *c = arena_alloc(a, sizeof *c);
		*c = (struct attr){ .name = arena_str(a, at->name), .value = arena_str(a, at->value) };
		c->ns = copy_str(a, at->ns, ns_str(NS_XML));
		if (m->attrs_last)
			m->attrs_last->next = c;
		else
			m->attrs = c;
		m->attrs_last = c;
	}
	return m;
}

struct node *node_copy(struct arena *a, const struct node *n)
{
	struct node *root = copy_one(a, n), *to = root;
	const struct node *from = n;

	/* Walks the source in document order; `to` is always the copy of `from`. */
	for (;;) {
		if (from->first) {
			from = from->first;
		} else {
			while (from != n && !from->next) {
				from = from->parent;
				to = to->parent;
			}
			if (from == n)
				return root;
			from = from->next;
			to = to->parent;
		}
		struct node *c = copy_one(a, from);
		c->parent = to;
		if (to->last)
			to->last->next = c;
		else
			to->first = c;
		to->last = c;
		to = c;
	}
}
