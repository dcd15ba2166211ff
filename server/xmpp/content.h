/* Printing and reading what messages say (im/content.h). content_init registers both; main, before the workers start. Any thread. */
#pragma once
#include "server/im/content.h"
#include "xml/node.h"

void content_init(void);
/* content_print.c */
struct chunk *content_print(const struct content *c, struct str by);
struct chunk *content_print_state(bool composing);
/* The same as children of a node in a: for who adds elements of his own. */
void content_build(struct arena *a, struct node *message, const struct content *c, struct str by);
/* Reads the children of a stanza that is a tree already. Strings may point into the tree. */
void content_read_node(struct arena *a, const struct node *message, struct content *out);
