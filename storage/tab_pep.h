/*
 * Personal eventing (XEP-0163): nodes and items of an account.
 *   PEP_NODE  account id 'n' node name              -> number, item count and bytes, next item number, name, configuration
 *   PEP_NODE  account id 't'                        -> bytes of all nodes, number of nodes, next node number
 *   PEP_ITEM  account id, node number 'i', item number -> id, publisher, time, payload (printed)
 *   PEP_ITEM  account id, node number 'd' item id      -> item number
 * Items are in publishing order; publishing an id again moves it to the end. What the configuration says is not looked at here.
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

struct pep_node {
	uint32_t account, number;
	uint64_t items, bytes, next_item;
	struct str name;         /* from pep_node_get and _create: the caller's own slice, so it outlives writes */
	struct str config;
};
struct pep_item {
	uint64_t number;         /* set by pep_item_put */
	struct str id, publisher, payload;
	uint64_t published_ms;
};
struct pep_totals { uint64_t bytes, nodes; };
typedef bool pep_node_fn(void *ctx, const struct pep_node *node); /* false stops */
typedef bool pep_item_fn(void *ctx, const struct pep_item *item); /* false stops */

/* 0, ERR_NOT_FOUND or ERR_CORRUPT. */
int pep_node_get(struct txn *t, uint32_t account, struct str name, struct pep_node *out);
/* ERR_EXISTS; ERR_LIMIT (before anything is put) when the account has max_nodes already or the name is too long. */
int pep_node_create(struct txn *t, uint32_t account, struct str name, struct str config, uint64_t max_nodes, struct pep_node *out);
/* Replaces the configuration. */
int pep_node_configure(struct txn *t, uint32_t account, struct str name, struct str config);
/* With all its items. ERR_NOT_FOUND. */
int pep_node_delete(struct txn *t, uint32_t account, struct str name);
/* In order of names; damaged ones are passed over. */
void pep_node_each(struct txn *t, uint32_t account, pep_node_fn *fn, void *ctx);
void pep_account_totals(struct txn *t, uint32_t account, struct pep_totals *out);

/* Publishes; replaces an item of the same id; drops the oldest above max_items (at least 1). ERR_LIMIT (before anything is put) when
 * the account would hold more than max_bytes. node is brought up to date, its config slice becomes invalid. */
int pep_item_put(struct txn *t, struct pep_node *node, struct pep_item *item, uint64_t max_items, uint64_t max_bytes);
int pep_item_get(struct txn *t, const struct pep_node *node, struct str id, struct pep_item *out);
/* 0 or ERR_NOT_FOUND; node is brought up to date, its config slice becomes invalid. */
int pep_item_delete(struct txn *t, struct pep_node *node, struct str id);
/* All items, oldest or newest first; damaged ones are passed over. */
void pep_item_each(struct txn *t, const struct pep_node *node, bool newest_first, pep_item_fn *fn, void *ctx);
/* Deletes all items; node as above. */
void pep_node_purge(struct txn *t, struct pep_node *node);
void pep_delete_account(struct txn *t, uint32_t account);
