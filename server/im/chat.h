/*
 * Chats: creating, changing, members, speaking. All rules are checked in apply() on the writer thread against the store; done() runs on every worker in
 * commit order and moves the mirrors (chat_room.h). The one way in for XMPP, API and command line (design idea 8). Knows no XML. Worker threads;
 * every callback on the calling worker, exactly once. docs/web-and-chats.md
 */
#pragma once
#include "server/im/content.h"
#include "server/im/message.h"
#include "server/im/principal.h"
#include "storage/tab_chat.h"

/* err 0 with the chat's number (and the message's gid, where there is one), or why nothing was changed:
 * ERR_NOT_FOUND (no such chat, or closed to him: alike, I07), ERR_FORBIDDEN (the role does not reach), ERR_SYNTAX (title empty or too long, unknown
 * colour ...), ERR_LIMIT (limits chat_members, chats_per_account, chat_adds), ERR_EXISTS (entity pair, alias), ERR_CONFLICT (the owner cannot leave; the
 * general chat cannot be left), storage errors. */
typedef void chat_done_fn(void *ctx, int err, uint64_t number, uint64_t gid);

#define CHAT_DEFAULT (-1)    /* hide history: as the chat says */
struct chat_new {
	struct principal by;
	struct str domain;           /* prepared */
	struct str title, description, alias;
	struct str colour;           /* name such as "RED", any case; NONE: by number */
	bool open;
	uint32_t author, owner;      /* owner 0: the author */
	const uint32_t *members;  size_t n_members;
	const uint32_t *managers; size_t n_managers;
	struct str avatar, avatar_type;
	struct str entity_type, entity_id, entity_data[3];
	struct str message;          /* first line of the author; NONE: none */
	bool skip_join_lines;
	bool hide_history;
};
void chat_create(const struct chat_new *n, chat_done_fn *done, void *ctx);

/* What to change: fields with p != NULL / >= 0 only. */
struct chat_change {
	struct principal by;
	uint64_t number;
	uint32_t author;             /* who is named in the line; 0: nobody */
	struct str title, description, colour, subject, avatar, avatar_type;
	struct str entity_data[3];
	int open, hide_history, no_join_lines;          /* -1: as it is */
	int permission[CHAT_PERMISSIONS];               /* enum chat_role, -1: as it is */
	bool skip_line;              /* no system line about it */
};
extern const struct chat_change chat_change_none;   /* all fields "as it is": start from a copy */
void chat_change(const struct chat_change *c, chat_done_fn *done, void *ctx);
/* Adds people (already members: nothing happens). hide_history: CHAT_DEFAULT, 0, 1. One line for all unless skip_line. A person may join an open chat by
 * adding himself. done's gid: the line's. */
void chat_add(const struct principal *by, uint64_t number, const uint32_t *accounts, size_t n, int hide_history, bool skip_line, chat_done_fn *done, void *ctx);
/* Takes out; oneself: leaves. */
void chat_remove(const struct principal *by, uint64_t number, uint32_t account, bool skip_line, struct str reason, chat_done_fn *done, void *ctx);
/* Owner (there is one main owner: setting another makes the former a manager), manager, member, none, outcast. */
void chat_set_role(const struct principal *by, uint64_t number, uint32_t account, enum chat_role role, struct str reason, chat_done_fn *done, void *ctx);
void chat_destroy(const struct principal *by, uint64_t number, struct str reason, chat_done_fn *done, void *ctx);

/* Says something. m->to is ignored; m->from: the session's full JID or none; author as may_speak_as() allows, 0: the system. mentions are stored in the
 * log entry. sm as in message_send. A repeated origin_id answers with the first gid. */
struct chat_message {
	struct principal by;
	uint64_t number;
	uint32_t author;
	struct message m;
	const uint32_t *mentions; size_t n_mentions;
	bool mentions_all;
	uint64_t edits_gid;          /* correction of one's own */
	uint64_t reacts_gid; struct str reactions; /* NUL-separated set */
	bool moderates;              /* m.replaces_gid is somebody else's (XEP-0425) */
	uint64_t session;            /* number of the sender's session, 0: none */
};
void chat_post(const struct chat_message *cm, const struct sm_checkpoint *sm, chat_done_fn *done, void *ctx);

/* What one may know of a chat: 0 with the record and one's own membership (role CHAT_NONE when not in it), or ERR_NOT_FOUND for a missing and for a closed one
 * alike (I07). Banned people get ERR_FORBIDDEN. Slices as txn_get. Any worker. */
int chat_look(struct txn *t, uint64_t number, uint32_t viewer, struct chat_rec *out, struct chat_member_rec *out_me);
/* Number of the chat behind an address: chat<N>, an alias; 0 when there is none. domain is the people's. */
uint64_t chat_resolve(struct txn *t, struct str domain, struct str local);
/* Open chats of a domain whose title holds all words (any case), members' own closed ones too; false stops. */
void chat_search(struct txn *t, struct str domain, uint32_t viewer, struct str words, uint64_t after, bool (*fn)(void *ctx, const struct chat_rec *r), void *ctx);
/* The person's name in chats: full name, unique in the domain (login behind it for namesakes), or the login. Copied into the arena (row I05). */
struct str chat_nick(struct arena *a, uint32_t account);
void chat_names_thread_end(void);
/* Pseudonymous, stable per chat and account (XEP-0421): 32 hex digits into out. */
#define OCCUPANT_ID_LEN 32
void chat_occupant_id(uint64_t number, uint32_t account, char out[OCCUPANT_ID_LEN]);
/* Department chats and the general chat follow the structure: observer of org.h; module start, once. */
void chat_init(void);
/* Brings them to the structure at the start (once, worker 0), and when accounts came, went or were disabled (any worker). Nothing is written when nothing changed. */
void chat_structure_start(void);
void chat_accounts_changed(void);
/* Writer thread, when an account is deleted: it leaves its chats; those it owned go to a manager, else to who has been in longest. */
void chat_end_account(struct txn *t, uint32_t account);
