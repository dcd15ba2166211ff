/*
 * The list of a person's dialogs, computed from the log at each question: nothing that could drift (design idea 1). Reads in the caller's transaction of this
 * step, any worker; changes through the writer. Knows no XML.
 */
#pragma once
#include "server/im/principal.h"
#include "storage/tab_message.h"

#define DIALOG_PINNED 1u
#define DIALOG_MUTED 2u
#define DIALOG_MARKED 4u         /* marked unread by hand */
#define DIALOG_HIDDEN 8u         /* until the next message */

struct dialog {
	uint64_t conv, chat;         /* chat number, 0: private or notify */
	uint32_t peer;               /* private: the other account */
	uint64_t last_seq, last_gid; /* newest entry that shows to him; 0: none */
	uint64_t last_ms;            /* wall clock; inbox_read and inbox_get only */
	uint64_t newest_gid;         /* newest entry of any kind, or of the last change of the row */
	uint64_t read_seq, read_gid, delivered_seq, floor;
	uint64_t first_unread_gid;
	uint32_t unread, mentions;   /* exact up to limits()->unread_max, then that */
	unsigned flags;
	bool gone;                   /* pushes only: the person is no member any more */
};
struct inbox_query {
	uint32_t account;
	bool unread_only, include_hidden, skip_chats, skip_private;
	uint64_t since_gid;          /* only dialogs with a newer entry or a changed row; 0: all */
	size_t max;                  /* newest first, pinned in front */
	bool after;                  /* next page: what comes behind this position (struct dialog: pinned, last_gid, conv) */
	bool after_pinned;
	uint64_t after_gid, after_conv;
};
typedef void inbox_fn(void *ctx, const struct dialog *d);
/* 0 or a storage error. Pinned ones first, then by newest entry. */
int inbox_read(struct txn *t, const struct inbox_query *q, inbox_fn *fn, void *ctx);
/* One dialog; ERR_NOT_FOUND when he has none such. */
int inbox_get(struct txn *t, uint32_t account, uint64_t conv, struct dialog *out);
/* Totals over all dialogs that are not muted: what a bell shows. Each of chats, privates, notify: unread there. */
struct inbox_totals { uint32_t unread, mentions, dialogs_unread, chats, privates, notify; };
int inbox_totals(struct txn *t, uint32_t account, struct inbox_totals *out);

/* err 0, ERR_NOT_FOUND, ERR_LIMIT (pinned ones: limits()->pinned) or a storage error; on the calling worker. */
typedef void inbox_done_fn(void *ctx, int err);
/* Sets and clears DIALOG_* flags. Tells EVENT_DIALOG. */
void inbox_set(uint32_t account, uint64_t conv, unsigned set, unsigned clear, inbox_done_fn *done, void *ctx);
/* Moves the read cursor to the entry (seq), forward; clears MARKED. backwards: the person marks from there: everything from seq on is unread, and MARKED is set.
 * Tells EVENT_READ. */
void inbox_read_to(uint32_t account, uint64_t conv, uint64_t seq, bool backwards, inbox_done_fn *done, void *ctx);
/* The forward part for other operations: true when something changed. Writer thread. */
bool inbox_apply_read(struct txn *t, uint32_t account, uint64_t conv, uint64_t seq);
void inbox_read_all(uint32_t account, inbox_done_fn *done, void *ctx);
/* Who has read up to that entry: accounts, at most max (limits()->readers). For members of the conversation only: check first. */
size_t inbox_readers(struct txn *t, uint64_t conv, uint64_t seq, uint32_t *out, size_t max);
