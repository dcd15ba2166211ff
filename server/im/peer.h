/* Who is behind a bare JID of one of our domains: a small per-worker cache over the account table, dropped whenever accounts or
 * block lists or archiving preferences change. Any worker thread. */
#pragma once
#include "xml/jid.h"

struct peer {
	uint32_t id;          /* account id; 0: no such account (or disabled) */
	uint32_t archived;    /* account id also of a disabled account: its old messages can still be read */
	unsigned home;        /* worker */
	bool has_blocks;      /* the account has a block list: ask peer_blocks() */
	bool has_prefs;       /* the account has archiving preferences: ask archive_hidden() */
	bool disabled;
	struct str bare;      /* owned by the cache, valid for this loop step */
};
/* Never NULL; id 0 when there is no such account. Valid for this loop step. */
const struct peer *peer_get(const struct jid *bare);
/* The same by a place the caller keeps, zeroed at first: no look-up while the cache is the one it was found in. */
struct peer_place {
	const struct peer *peer;
	uint64_t cache;       /* number of that cache */
};
const struct peer *peer_at(struct peer_place *place, const struct jid *bare);
/* True when account `p` blocks `who` (RFC: XEP-0191; matches full, bare and domain entries). */
bool peer_blocks(const struct peer *p, const struct jid *who);
/* Drops every worker's cache (account created, deleted, disabled; block list or archiving preferences changed). Any thread. */
void peer_forget_all(void);
/* Frees this thread's cache (thread end). */
void peer_thread_end(void);
