/*
 * Reading archives: one function decides who may read what (rows I08, I09), one walks a page. The archive is the log (design idea 1); nothing is copied per
 * reader. Any worker, inside one loop step. Knows no XML.
 */
#pragma once
#include "storage/tab_message.h"
#include "xml/jid.h"

struct archive_query {
	uint32_t reader;             /* account that asks */
	uint32_t owner;              /* whose archive */
	uint64_t chat;               /* or that of this chat (number); owner means nothing then, with is the author */
	struct jid with;             /* none: all; bare or full */
	uint64_t start_us, end_us;   /* inclusive; 0: open */
	uint64_t after_gid, before_gid; /* exclusive; 0: open */
	bool backwards;              /* the newest of the interval instead of the oldest */
	size_t max;
};
typedef void archive_fn(void *ctx, const struct message_rec *m);
struct archive_page {
	size_t n;
	bool complete;               /* nothing of the interval lies beyond this page in the direction of the walk */
	uint64_t first, last;        /* gids of the page in order of time; 0 when empty */
};
/* The one authorisation (I08, I09): everybody reads his own archive; a chat's (number, else 0) its members, each from his floor: out_floor is the seq up to which he
 * sees nothing, 0 in his own. 0, ERR_FORBIDDEN; ERR_NOT_FOUND for a chat that is missing or closed to him (I07). */
int archive_may_read(struct txn *t, uint32_t reader, uint32_t owner, uint64_t chat, uint64_t *out_floor);
/* The same for one message: what a search found, a link, a reply. 0, ERR_FORBIDDEN, ERR_NOT_FOUND. */
int archive_may_see(struct txn *t, uint32_t reader, const struct message_rec *m);
/* Calls fn for each message of the page, oldest first. 0, ERR_FORBIDDEN or a storage error. */
int archive_read(struct txn *t, const struct archive_query *q, archive_fn *fn, void *ctx, struct archive_page *out);
/* How many messages the interval holds, counted up to max. */
size_t archive_count(struct txn *t, const struct archive_query *q, size_t max);
/* True when the owner's archive shows this message (it is his and he did not hide it). */
bool archive_has(struct txn *t, uint32_t owner, uint64_t gid);
/* MESSAGE_HIDDEN_* flags of a message between two accounts by the preferences of both (XEP-0313 section 6). */
unsigned archive_hidden(uint32_t author, struct str author_bare, uint32_t recipient, struct str recipient_bare);
