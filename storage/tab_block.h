/* Block lists (XEP-0191): BLOCK  account id, JID -> nothing. Writes on the writer thread, reads on any thread. */
#pragma once
#include "storage/engine.h"

/* True when exactly this JID text is on the list / when the account has any list. */
bool block_get(struct txn *t, uint32_t account, struct str jid);
bool block_any(struct txn *t, uint32_t account);
void block_put(struct txn *t, uint32_t account, struct str jid);
/* True when it was there. */
bool block_del(struct txn *t, uint32_t account, struct str jid);
/* Calls fn for each entry in order; false stops. */
void block_each(struct txn *t, uint32_t account, bool (*fn)(void *ctx, struct str jid), void *ctx);
