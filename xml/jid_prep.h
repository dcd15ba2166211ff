/* Preparation of one part of an address by libidn's stringprep profiles, with a small cache per thread. Used by jid.c
 * only. */
#pragma once
#include "base/arena.h"

enum jid_part { PART_LOCAL, PART_DOMAIN, PART_RESOURCE };

/* Prepares a part that the ASCII fast path could not take: length, UTF-8, profile, length again, idempotence (row
 * I06). The result lies in the arena. 0 or ERR_SYNTAX. Domains are only mapped by nameprep here, labels are checked
 * by jid.c. */
int jid_prep(struct arena *a, enum jid_part part, struct str in, struct str *out);
