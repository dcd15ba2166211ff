/* Conversations: ids, unread counters and read cursors computed from the log (design idea 1). Reads need a txn of this step. */
#pragma once
#include "storage/tab_message.h"

/* The conversation of two accounts (the order does not matter; a == b: notes to oneself). */
uint64_t conv_private(uint32_t a, uint32_t b);
/* The other account of a private conversation. */
uint32_t conv_peer(uint64_t conv, uint32_t me);
/* Unread of account me: counting entries after the read cursor and after my own last message, at most max. */
uint64_t conv_unread(struct txn *t, uint64_t conv, uint32_t me, uint64_t max);
/* Moves my read cursor to the message (forward only), then calls the observer on success. Any worker. */
void conv_mark_read(uint32_t me, uint64_t conv, uint64_t gid);
