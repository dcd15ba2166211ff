/*
 * The roster (RFC 6121 section 2 and 3): a view of the company structure plus a person's own items and subscriptions. Knows no XML. Calls that take a user
 * run on its home.
 */
#pragma once
#include "server/im/session.h"
#include "storage/tab_roster.h"

#define ROSTER_NAME_MAX 1023 /* bytes of a name or group */

/* Registers the session hooks; main, once. */
void roster_init(void);
/* How a changed item is told to the sessions of a user (server/xmpp/roster.c): item->listed false means it went from the roster. Main, once. */
typedef void roster_push_fn(struct user *u, const struct roster_item *item, uint64_t own_version);
void roster_set_push(roster_push_fn *fn);

/* The user's own item says that he receives the contact's presence (subscription to or both). From memory. */
bool roster_sees(const struct user *viewer, struct str subject_bare);
/* The same for accounts by id, from the store; any worker. */
bool roster_sees_id(uint32_t viewer, uint32_t subject);
/* Own item of that bare JID, listed or not; NULL when there is none. Valid for this loop step; request is empty here. */
const struct roster_item *roster_item(const struct user *u, struct str bare);
/* Number of own items and version of them. */
size_t roster_count(const struct user *u);
uint64_t roster_own_version(const struct user *u);
/* Every own item, listed or not, in any order. */
void roster_each(const struct user *u, void (*fn)(void *ctx, const struct roster_item *item), void *ctx);

/* Initial presence of a session: what happened while everybody was away (pending subscription requests). */
void roster_initial_presence(struct session *s);
/* Tells the sessions of u that all resources of that person are unavailable: he may not see them any more. */
void roster_hide(struct user *u, struct str about_bare);
/* A presence of type subscribe, subscribed, unsubscribe or unsubscribed from this session's user to a bare JID (RFC 6121 section 3). id and payload are
 * passed on. done gets 0 or an error after the change is stored. */
typedef void roster_done_fn(void *ctx, int err);
void roster_subscription(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload, roster_done_fn *done,
			 void *ctx);
/* Adds or changes an own item (RFC 6121 2.3, 2.4): jid (bare), name, groups are read, the subscription stays. ERR_LIMIT: too many items. */
void roster_put(struct session *s, const struct jid *contact, const struct roster_item *item, roster_done_fn *done, void *ctx);
/* Removes an own item and ends both subscriptions (RFC 6121 2.5). ERR_NOT_FOUND when it is not in the roster. */
void roster_remove(struct session *s, const struct jid *contact, roster_done_fn *done, void *ctx);

/* Writer thread, when an account is deleted: its items go, and its contacts' items say none, so that the next owner of the name inherits nothing. */
void roster_end_account(struct txn *t, uint32_t account, struct str bare);
/* After that commit: contacts who are online forget the account too, and their sessions are told. Any worker. */
void roster_account_gone(struct str bare);

/* For roster_change.c: an item in one piece of heap (freed with mem_free; request is left out), and the memory of a user brought to what was
 * committed. */
struct roster_item *roster_item_copy(const struct roster_item *item);
void roster_remember(struct user *u, const struct roster_item *item, uint64_t own_version);
void roster_push(struct user *u, const struct roster_item *item, uint64_t own_version);
