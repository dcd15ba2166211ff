/*
 * Messages: bodies in one global order, small index entries beside them (docs/storage.md).
 *   MESSAGE      gid                   -> message record (append only)
 *   CONV_LOG     conversation, seq     -> gid, author, flags
 *   ACCOUNT_LOG  account, gid          -> conversation, seq, flags, peer
 *   CURSOR       account, conversation -> read cursor
 * Writes run on the writer thread, which assigns gid and seq; reads on any thread.
 */
#pragma once
#include "base/buf.h"
#include "storage/engine.h"

#define MESSAGE_STORE 1u             /* goes into the log (otherwise transient) */
#define MESSAGE_COUNTS 2u            /* counts as unread */
#define MESSAGE_RETRACTED 4u         /* tombstone */
#define MESSAGE_INCOMING 8u          /* account log: this account is the recipient */
#define MESSAGE_HIDDEN_AUTHOR 16u    /* not in the author's archive (his preferences, XEP-0313) */
#define MESSAGE_HIDDEN_RECIPIENT 32u /* not in the recipient's archive; still delivered */

struct message_rec {
	uint64_t gid, conv, seq;
	uint64_t wall_us;            /* strictly rising with gid (row E10) */
	uint32_t author, recipient;  /* account ids; 0: a service */
	uint8_t type;                /* enum message_type */
	unsigned flags;
	struct str from, to;         /* full and as addressed */
	struct str id, origin_id, lang;
	struct str payload;          /* printed children */
};
struct log_entry {
	uint64_t gid, conv, seq;
	uint32_t peer;
	unsigned flags;
};

/* Appends: assigns gid, seq and wall_us (at least now_us) into m. Returns 0, or ERR_EXISTS with m->gid of the first copy when
 * the author sent this origin_id within 24 hours (row D05). max_ids: limits()->origin_ids. Writer thread. */
int message_append(struct txn *t, struct message_rec *m, uint64_t now_us, uint64_t max_ids);
/* Turns a message into a tombstone: new payload, RETRACTED, no longer counts. ERR_FORBIDDEN if the author differs. Writer thread. */
int message_retract(struct txn *t, uint64_t gid, uint32_t author, struct str payload);
/* Reads one; slices valid as txn_get. 0, ERR_NOT_FOUND, ERR_CORRUPT. */
int message_get(struct txn *t, uint64_t gid, struct message_rec *out);
/* Number of the first message at or after that time (last + 1 when there is none). */
uint64_t message_gid_at(struct txn *t, uint64_t wall_us);
/* Number of the newest message, 0 when empty. */
uint64_t message_last_gid(struct txn *t);

/* Walks an account's log, or with conv != 0 only that conversation (entries have no INCOMING flag then: compare the author).
 * from_gid is the inclusive bound in the direction of the walk; 0 forwards and UINT64_MAX backwards mean the end. */
struct log_scan {
	struct scan s;
	uint32_t account;
	uint64_t conv;
};
void log_scan_open(struct log_scan *ls, struct txn *t, uint32_t account, uint64_t conv, uint64_t from_gid, bool reverse);
bool log_scan_next(struct log_scan *ls, struct log_entry *out);
void log_scan_close(struct log_scan *ls);

/* Read cursor (seq) of an account in a conversation; 0 when never read. set is forward only: false when nothing changed. */
uint64_t cursor_get(struct txn *t, uint32_t account, uint64_t conv);
bool cursor_set(struct txn *t, uint32_t account, uint64_t conv, uint64_t seq);
/* Last seq of a conversation, 0 when empty. */
uint64_t conv_last_seq(struct txn *t, uint64_t conv);
/* Finds a message of `author` in the conversation by origin id or stanza id, looking back at most max entries; 0 when not found. */
uint64_t message_find(struct txn *t, uint64_t conv, uint32_t author, struct str id, unsigned max);
/* Forgets the writer's caches of gid, seq and origin ids: after an aborted batch (writer) and between tests. */
void message_caches_drop(void);
