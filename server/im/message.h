/*
 * Messages between people: validate, append to the conversation log through the writer, deliver after the commit (design ideas 1 and 2).
 * Called on the sender's home worker; the completion runs on the sender's and the recipient's home in commit order.
 */
#pragma once
#include "server/im/session.h"
#include "storage/tab_message.h"
#include "storage/tab_sm.h"

enum message_type { MESSAGE_NORMAL, MESSAGE_CHAT, MESSAGE_GROUPCHAT, MESSAGE_HEADLINE, MESSAGE_ERROR };
extern const char *const message_type_names[]; /* indexed by message_type */

/* What the dialect found out about a message before handing it over. */
struct message {
	enum message_type type;
	struct jid from;             /* full JID of the sender's session (or of a service) */
	struct jid to;               /* as addressed: bare or full, one of our domains */
	struct str id;               /* stanza id attribute */
	struct str origin_id;        /* XEP-0359 */
	struct str lang;
	struct chunk *payload;       /* children, printed, cleaned of forged elements; the call takes its own reference */
	unsigned flags;              /* MESSAGE_* of storage/tab_message.h: STORE, COUNTS, ... */
	bool copy;                   /* carbons wanted (XEP-0280 rules, no <private/> or <no-copy/>) */
	bool transient_drop;         /* not stored: useless to somebody away (chat state) */
	uint64_t replaces_gid;       /* retraction: the message that becomes a tombstone; 0: none */
	struct chunk *tombstone;     /* what it becomes */
	uint64_t displayed_gid;      /* marker: the sender has read up to here; 0: none */
	uint64_t edits_gid;          /* correction (XEP-0308) of one's own message; 0: none */
	uint64_t reacts_gid;         /* XEP-0444: reactions is the sender's new set, NUL-separated; 0: none */
	struct str reactions;
	uint32_t author;             /* without a session: the account that speaks, on its home worker; 0: a service */
};

/* Outcome for the sender, on the sender's home worker: err 0 (stored or handed over), or ERR_NOT_FOUND (no such account or nobody
 * takes it), ERR_FORBIDDEN (blocked), ERR_NO_SPACE / ERR_IO (storage trouble). Called exactly once, maybe before message_send returns. */
typedef void message_done_fn(void *ctx, int err, uint64_t gid);

/* State of the sender's resumable session that is saved in the same commit, so that XEP-0198 h survives a crash. */
struct sm_checkpoint {
	char id[SM_ID_LEN + 1];      /* empty: not resumable */
	struct sm_counters counters;
};

/* session: the sender's session for carbons, NULL when m->author or a service speaks. All of m is copied as needed. */
void message_send(struct session *session, const struct message *m, const struct sm_checkpoint *sm, message_done_fn *done, void *ctx);
