/* The roster as a client sees it: the company structure merged with own items, printed; and pushes when either changes. Home thread of the user. */
#pragma once
#include "server/im/org.h"
#include "server/im/roster.h"

/* Version of what this user sees now (RFC 6121 2.6): policy, structure, own items. */
#define ROSTER_VER_MAX 48
struct str roster_view_version(const struct user *u, char out[ROSTER_VER_MAX]);
/* The whole <query/>, printed; caller drops the reference. */
struct chunk *roster_view_print(const struct user *u);
/* The person behind that bare JID when the structure shows him to u, else NULL. */
const struct org_person *roster_view_person(const struct user *u, struct str bare);

/* For roster_news.c. Any session of u asked for its roster. */
bool roster_view_wants_pushes(const struct user *u);
/* Sends a push with that <query/> to those sessions. */
void roster_view_push(struct user *u, struct chunk *payload);
/* The <query/> of a push, printed: the item of p and own (either may be NULL), or its removal when neither shows one; with the version of
 * a user who has been told that structure. Caller drops the reference. */
struct chunk *roster_view_item(const struct user *u, struct str jid, const struct org_person *p, const struct roster_item *own,
			       const struct org *told, uint64_t own_version);
