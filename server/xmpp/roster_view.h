/* The roster as a client sees it: the company structure merged with own items, printed; and pushes when either changes. Home thread of the user. */
#pragma once
#include "server/im/roster.h"

/* Version of what this user sees now (RFC 6121 2.6): policy, structure, own items. */
#define ROSTER_VER_MAX 48
struct str roster_view_version(const struct user *u, char out[ROSTER_VER_MAX]);
/* The whole <query/>, printed; caller drops the reference. */
struct chunk *roster_view_print(const struct user *u);
/* The person behind that bare JID when the structure shows him to u, else NULL. */
struct org_person;
const struct org_person *roster_view_person(const struct user *u, struct str bare);
