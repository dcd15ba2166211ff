/* Building trees: replies, errors, pushes. Everything goes into the arena given; slices are not copied, so they must
 * live as long as the arena (use arena_str otherwise). */
#pragma once
#include "xml/node.h"

struct node *node_new(struct arena *a, enum atom name, enum ns ns);
/* For names that are not atoms. */
struct node *node_new_named(struct arena *a, struct str name, struct str ns);
/* Appends a new child element; returns it. */
struct node *node_add(struct arena *a, struct node *parent, enum atom name, enum ns ns);
/* Appends a new child element holding text; returns it. */
struct node *node_add_text(struct arena *a, struct node *parent, enum atom name, enum ns ns, struct str text);
/* Appends text to an element. */
void node_append_text(struct arena *a, struct node *n, struct str text);
/* Appends an existing, unlinked element of the same arena. */
void node_append(struct node *parent, struct node *child);
/* Sets (or replaces) an unprefixed attribute; returns n for chaining. value.p == NULL removes it. */
struct node *node_set(struct arena *a, struct node *n, const char *name, struct str value);
struct node *node_set_u64(struct arena *a, struct node *n, const char *name, uint64_t value);
