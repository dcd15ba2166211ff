/*
 * The roster (RFC 6121 section 2 and 3): a person's own items and subscriptions beside the company structure. Knows no XML. Calls that take a user run on its
 * home. The tables of subscription states are in roster_sub.c.
 */
#pragma once
#include "server/im/session.h"
#include "storage/tab_roster.h"

/* Registers hooks and the printer of pushes; main, once. push: item.listed false means removed; own_version belongs to the roster version. */
typedef void roster_push_fn(struct user *u, const struct roster_item *item, uint64_t own_version);
void roster_init(roster_push_fn *push);

/* The user's own item says that he receives the contact's presence (subscription to or both). From memory. */
bool roster_sees(const struct user *viewer, struct str subject_bare);
/* The same for accounts by id, from the store; any worker. */
bool roster_sees_id(uint32_t viewer, uint32_t subject);
/* Version of the own items, from memory. */
uint64_t roster_own_version(const struct user *u);
/* Initial presence of a session: requests that wait for an answer are shown again (RFC 6121 3.1.3). */
void roster_initial_presence(struct session *s);

typedef void roster_done_fn(void *ctx, int err);
/* A presence of type subscribe, subscribed, unsubscribe or unsubscribed from this session's user to a bare JID of our domains (RFC 6121 section 3).
 * done after the commit, on this worker. */
void roster_subscription(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload, roster_done_fn *done,
			 void *ctx);
/* Sets name and groups of an own item (made when missing). ERR_LIMIT above limit roster_items. */
void roster_set(struct session *s, const struct jid *contact, struct str name, const struct str *groups, unsigned n_groups, roster_done_fn *done,
		void *ctx);
/* Removes an own item and cancels both subscriptions (RFC 6121 2.5). ERR_NOT_FOUND. */
void roster_remove(struct session *s, const struct jid *contact, roster_done_fn *done, void *ctx);
