/* Blocking (XEP-0191): what is on a list is in storage/tab_block.h; peer_blocks() (peer.h) asks it for incoming stanzas. Knows no XML. */
#pragma once
#include "server/im/session.h"
#include "storage/writer.h"

/* True when the user himself blocks that address: he cannot send to it either (XEP-0191 section 3). Home thread. */
bool block_is_outgoing(struct user *u, const struct jid *to);
/* A change of the list as a writer op: adds or removes the JIDs (count 0 with remove: all). Free with block_op_free. ERR_LIMIT above limit block_items. */
struct write_op *block_op(uint32_t account, bool remove, const struct jid *v, size_t n);
void block_op_free(struct write_op *op);
