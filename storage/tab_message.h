/*
 * Messages: bodies in one global order, small index entries beside them (docs/storage.md).
 *   MESSAGE      gid                   -> message record (append only)
 *   CONV_LOG     conversation, seq     -> gid, author, flags, accounts that were mentioned
 *   ACCOUNT_LOG  account, gid          -> conversation, seq, flags, peer
 *   CURSOR       account, conversation -> read and delivered seq, settings: the list of a person's dialogs
 *   REACTION     gid, account          -> present set of reactions
 * Cursors and reactions: tab_cursor.c. Writes run on the writer thread, which assigns gid and seq; reads on any thread.
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
#define MESSAGE_EDITED 64u           /* was corrected: newest_edit is the present text */
#define MESSAGE_ALL 128u             /* mentions everybody */
#define MESSAGE_EDIT 256u            /* a correction of `edits` (XEP-0308); does not count */
#define MESSAGE_REACTION 512u        /* a change of reactions (XEP-0444); does not count */
#define MESSAGE_SYSTEM 1024u         /* a line about the chat itself (author 0); does not count */

struct message_rec {
	uint64_t gid, conv, seq;
	uint64_t wall_us;            /* strictly rising with gid (row E10) */
	uint32_t author, recipient;  /* account ids; 0: a service */
	uint8_t type;                /* enum message_type */
	unsigned flags;
	struct str from, to;         /* full and as addressed */
	struct str id, origin_id, lang;
	struct str payload;          /* printed children */
	uint64_t edits;              /* of a correction: the message it corrects */
	uint64_t newest_edit;        /* of a corrected message: its newest correction; of a correction: the one before; 0: none */
	const uint32_t *mentions;    /* append only: go into the log entry */
	size_t n_mentions;
};
struct log_entry {
	uint64_t gid, conv, seq;
	uint32_t peer;               /* account log: the other end, 0 in a chat; conversation log: the author */
	unsigned flags;
	struct str mentioned;        /* log_mentions() reads it; valid until the next step */
};

/* Appends: assigns gid, seq and wall_us (at least now_us) into m. Returns 0, or ERR_EXISTS with m->gid of the first copy when
 * the author sent this origin_id within 24 hours (row D05). max_ids: limits()->origin_ids. Writer thread. */
int message_append(struct txn *t, struct message_rec *m, uint64_t now_us, uint64_t max_ids);
/* Turns a message into a tombstone: new payload, RETRACTED, no longer counts. ERR_FORBIDDEN if the author differs. Writer thread. */
int message_retract(struct txn *t, uint64_t gid, uint32_t author, struct str payload);
/* The same whoever the author is (XEP-0425). Corrections of the message become tombstones too, its reactions go. Writer thread. */
int message_tombstone(struct txn *t, uint64_t gid, struct str payload);
/* Remembers at message `gid` that m, appended with m->edits = gid, is its newest correction. Writer thread. */
int message_set_edit(struct txn *t, uint64_t gid, const struct message_rec *m);
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
/* True when the entry names the account or everybody. */
bool log_mentions(const struct log_entry *e, uint32_t account);

/* Read cursor (seq) of an account in a conversation; 0 when never read. set is forward only: false when nothing changed. */
uint64_t cursor_get(struct txn *t, uint32_t account, uint64_t conv);
bool cursor_set(struct txn *t, uint32_t account, uint64_t conv, uint64_t seq);
/* The whole row: dialogs of a person. Rows appear with the first message of a private dialog or of notifications and with membership of a chat. */
struct cursor_rec {
	uint64_t read, delivered;    /* seq; delivered is used by chats */
	unsigned flags;              /* DIALOG_* of server/im/inbox.h */
	uint64_t hidden_at;          /* seq at which it was hidden */
	uint64_t changed;            /* number of the newest message when read cursor or settings changed last (im/inbox.c) */
};
/* 0, ERR_NOT_FOUND (out is all zeros then) or ERR_CORRUPT. */
int cursor_load(struct txn *t, uint32_t account, uint64_t conv, struct cursor_rec *out);
void cursor_put(struct txn *t, uint32_t account, uint64_t conv, const struct cursor_rec *c);
/* Makes an empty row when there is none. */
void cursor_touch(struct txn *t, uint32_t account, uint64_t conv);
void cursor_del(struct txn *t, uint32_t account, uint64_t conv);
/* Every dialog of an account in order of conversations (private, notifications, chats); damaged rows are passed over; false stops. */
void cursor_each(struct txn *t, uint32_t account, bool (*fn)(void *ctx, uint64_t conv, const struct cursor_rec *c), void *ctx);

/* Reactions of an account to a message: NUL-separated texts; empty removes. Writer thread. */
void reaction_put(struct txn *t, uint64_t gid, uint32_t account, struct str set);
/* Every account's set; false stops. */
void reaction_each(struct txn *t, uint64_t gid, bool (*fn)(void *ctx, uint32_t account, struct str set), void *ctx);
void reaction_del_all(struct txn *t, uint64_t gid);

/* Number of the message at that seq of a conversation; 0: there is none. */
uint64_t conv_gid_at(struct txn *t, uint64_t conv, uint64_t seq);
/* Last seq of a conversation, 0 when empty. */
uint64_t conv_last_seq(struct txn *t, uint64_t conv);
/* Finds a message of `author` in the conversation by origin id or stanza id, looking back at most max entries; 0 when not found. */
uint64_t message_find(struct txn *t, uint64_t conv, uint32_t author, struct str id, unsigned max);
/* Forgets the writer's caches of gid, seq and origin ids: after an aborted batch (writer) and between tests. */
void message_caches_drop(void);
