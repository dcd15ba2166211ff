/* An XML element as a tree in an arena; strings are slices into the same arena. One thread; gone with the arena. */
#pragma once
#include "base/arena.h"
#include "xml/atom.h"

struct attr {
	struct attr *next;
	struct str name;   /* local name; "lang" for xml:lang */
	struct str ns;     /* empty for unprefixed attributes */
	struct str value;
};
struct node {
	struct node *next, *parent;
	struct node *first, *last;   /* children: elements and text */
	struct attr *attrs, *attrs_last;
	enum atom name;
	enum ns ns;
	struct str name_str, ns_str; /* always set for elements */
	struct str text;             /* text nodes: p != NULL and name_str.p == NULL */
};

static inline bool node_is_text(const struct node *n) { return n->name_str.p == NULL; }
static inline bool node_is(const struct node *n, enum atom name, enum ns ns) { return n->name == name && n->ns == ns; }
/* Value of an unprefixed attribute; p == NULL when absent. */
struct str node_attr(const struct node *n, const char *name);
/* xml:lang value or NONE. */
struct str node_lang(const struct node *n);
/* First child element with that name and namespace / with that namespace / any element; NULL when none. */
struct node *node_child(const struct node *n, enum atom name, enum ns ns);
struct node *node_child_ns(const struct node *n, enum ns ns);
struct node *node_first(const struct node *n);
/* Next sibling element / next sibling with the same name and namespace; NULL at the end. */
struct node *node_next(const struct node *n);
struct node *node_next_same(const struct node *n);
/* Text of all direct text children, joined in the arena when there are several; empty slice when none. */
struct str node_text(struct arena *a, const struct node *n);
/* Text of the named child, trimmed of nothing; p == NULL when the child is absent. */
struct str node_child_text(struct arena *a, const struct node *n, enum atom name, enum ns ns);
/* Unlinks a child from its parent. */
void node_remove(struct node *child);
/* Deep copy into another arena. */
struct node *node_copy(struct arena *a, const struct node *n);

#define node_each(it, parent) for (struct node *it = node_first(parent); it; it = node_next(it))
