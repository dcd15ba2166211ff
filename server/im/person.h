/* A person by account id: address, home worker and name. Reads the structure of this worker first, then the store. Worker threads. */
#pragma once
#include "base/arena.h"
#include "storage/engine.h"
#include "xml/jid.h"

/* Bare JID, copied into the arena; none (jid_is_none) when there is no such account. */
struct jid person_jid(struct arena *a, uint32_t account);
/* Home worker of the account; that of nobody is 0. */
unsigned person_home(uint32_t account);
/* How a line names him, read in the caller's transaction so that the writer thread can use it: full name, or the login. Copied into the arena. */
struct str person_name(struct arena *a, struct txn *t, uint32_t account);
/* Bare JID as text, read in the caller's transaction as person_name; empty when there is no such account. */
struct str person_address(struct arena *a, struct txn *t, uint32_t account);
