/*
 * The roster (RFC 6121 section 2 and 3): a view of the company structure plus a person's own items and subscriptions. Knows no XML. Calls that take a user
 * run on its home.
 */
#pragma once
#include "server/im/session.h"

/* The user's own item says that he receives the contact's presence (subscription to or both). From memory. */
bool roster_sees(const struct user *viewer, struct str subject_bare);
/* The same for accounts by id, from the store; any worker. */
bool roster_sees_id(uint32_t viewer, uint32_t subject);
/* Initial presence of a session: what happened while everybody was away (pending subscription requests). */
void roster_initial_presence(struct session *s);
/* A presence of type subscribe, subscribed, unsubscribe or unsubscribed from this session's user to a bare JID (RFC 6121 section 3). id and payload are
 * passed on. done gets 0 or an error after the change is stored. */
typedef void roster_done_fn(void *ctx, int err);
void roster_subscription(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload, roster_done_fn *done,
			 void *ctx);
