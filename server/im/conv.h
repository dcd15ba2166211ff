/* Conversations: ids, unread counters and read cursors computed from the log (design idea 1). Reads need a txn of this step. */
#pragma once
#include "storage/tab_message.h"

enum conv_kind { CONV_PRIVATE, CONV_NOTIFY, CONV_CHAT };
/* Which kind an id is; account ids stay below 1 << 30, so the two top bits tell. */
static inline enum conv_kind conv_kind(uint64_t conv) { return conv >> 63 ? CONV_CHAT : conv >> 62 ? CONV_NOTIFY : CONV_PRIVATE; }
/* The log of a chat, and the chat's number of such an id; the log of a person's notifications. */
static inline uint64_t conv_chat(uint64_t number) { return number | 1ull << 63; }
static inline uint64_t conv_chat_number(uint64_t conv) { return conv & ~(1ull << 63); }
static inline uint64_t conv_notify(uint32_t account) { return account | 1ull << 62; }
/* The conversation of two accounts (the order does not matter; a == b: notes to oneself). */
uint64_t conv_private(uint32_t a, uint32_t b);
/* The other account of a private conversation. */
uint32_t conv_peer(uint64_t conv, uint32_t me);
/* What an account sees of a conversation behind its read cursor and floor, read off the log backwards (design idea 1). */
struct conv_counts {
	uint64_t newest_gid;         /* newest entry of any kind */
	uint64_t last_seq, last_gid; /* newest that shows: a message, a system line, a tombstone; 0: none above the floor */
	uint64_t own_seq;            /* my newest message when it lies behind the cursor: I have read up to it; else 0 */
	uint64_t first_unread_gid;
	uint32_t unread, mentions;   /* counted up to max */
};
void conv_count(struct txn *t, uint64_t conv, uint32_t me, uint64_t read, uint64_t floor, uint32_t max, struct conv_counts *out);
/* First seq that is hidden from a member of a chat with all before it; 0 elsewhere. */
uint64_t conv_floor(struct txn *t, uint64_t conv, uint32_t me);
/* Unread of account me: counting entries after the read cursor and after my own last message, at most max. */
uint64_t conv_unread(struct txn *t, uint64_t conv, uint32_t me, uint64_t max);
/* Moves my read cursor to the message (forward only; ignored when it is not of that conversation). Tells EVENT_READ when it moved. Any worker. */
void conv_mark_read(uint32_t me, uint64_t conv, uint64_t gid);
