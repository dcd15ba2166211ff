/*
 * Expat objects that turn the bytes of one complete element into a tree. A treemaker is an expat parser that has been
 * given the start tag of a parent once (primed) and since then only whole children of it, one call each: between
 * calls it holds no state of a stream, so any stream with the same declarations may use it. Idle ones lie in a pool
 * per thread. Handlers only build; callbacks of the project run after expat has returned (row X08). Part of parser.c.
 */
#pragma once
#include "xml/node.h"

enum treemaker_kind {
	TREE_PLAIN,  /* parent without namespaces: documents and stream headers */
	TREE_CLIENT, /* parent <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'> */
	TREE_KINDS,
	TREE_OWN = TREE_KINDS /* primed by a start tag of the caller's, never pooled */
};

/* A namespace declaration of the element parsed; prefix empty for the default one. */
struct decl {
	struct decl *next;
	struct str prefix, uri;
};

struct treemaker;

/* From this thread's pool, or new. start_tag is for TREE_OWN only. NULL when expat refuses the start tag. */
struct treemaker *treemaker_take(enum treemaker_kind kind, struct str start_tag);
/* Back to the pool, or to free() when it is used up, broken or TREE_OWN. NULL is fine. */
void treemaker_give(struct treemaker *t);
/* Parses one complete element into the arena. out_decls may be NULL. 0 or a parser_error; after an error only give()
 * is left. */
int treemaker_parse(struct treemaker *t, struct arena *a, struct str bytes, struct node **out_root,
		    struct decl **out_decls);
/* English reason of the last error of treemaker_parse. */
const char *treemaker_why(const struct treemaker *t);
/* Frees this thread's pool. */
void treemaker_pool_clear(void);
/* Calls of XML_Parse by this thread so far. */
uint64_t treemaker_calls(void);
