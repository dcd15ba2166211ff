/*
 * A person's own roster items and subscriptions (RFC 6121 section 2 and 3); the company structure is not stored here.
 *   ROSTER  account id 'i' bare JID -> item (the JID text is in the value too: long keys are cut)
 *   ROSTER  account id 'v'          -> version: raised by each put and delete of an item that is listed
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

#define ROSTER_GROUPS_MAX 16

struct roster_item {
	struct str jid, name;
	struct str group[ROSTER_GROUPS_MAX];
	unsigned groups;
	bool listed;             /* shown in the roster; false: only a pending inbound request is kept (RFC 6121 3.1.3) */
	bool to, from;           /* subscription: both set is "both" */
	bool ask;                /* pending out: ask='subscribe' */
	bool pending_in;         /* a request waits for the person's answer */
	bool approved;           /* pre-approval (RFC 6121 3.4) */
	struct str request;      /* of pending_in: what came with it, printed payload; may be empty */
};
typedef bool roster_each_fn(void *ctx, const struct roster_item *item); /* false stops */

/* 0, ERR_NOT_FOUND or ERR_CORRUPT. */
int roster_item_get(struct txn *t, uint32_t account, struct str jid, struct roster_item *out);
/* Creates or replaces; an item that says nothing (not listed, nothing pending, no subscription) is deleted instead.
 * The slices must not point into the store. More groups or bytes than fit make a sticky ERR_LIMIT: check before. */
void roster_item_put(struct txn *t, uint32_t account, const struct roster_item *item);
/* True when it was there. */
bool roster_item_del(struct txn *t, uint32_t account, struct str jid);
/* All in order of their JIDs; damaged ones are passed over (D12). */
void roster_item_each(struct txn *t, uint32_t account, roster_each_fn *fn, void *ctx);
/* Number of items, listed or not. */
size_t roster_item_count(struct txn *t, uint32_t account);
/* 0 for a roster that never had an item. */
uint64_t roster_version(struct txn *t, uint32_t account);
/* Everything of an account; the version stays, so that a number is never used twice. */
void roster_delete_account(struct txn *t, uint32_t account);
