/*
 * Chats as stored (docs/web-and-chats.md):
 *   CHAT         number                          -> chat record
 *   CHAT_NAME    domain NUL 'n' name             -> number   prepared local part of a room's address that a client or an import chose
 *   CHAT_NAME    domain NUL 'e' type NUL id      -> number   ENTITY_TYPE and ENTITY_ID of the portal
 *   CHAT_NAME    domain NUL 'd' department id    -> number   the department's own chat; id 0: the general chat
 *   CHAT_MEMBER  number, account                 -> member record (also banned people)
 *   CHAT_OF      account, number                 -> nothing
 *   META         "next chat id"; "chat structure" domain -> version of the structure that department chats follow, and options then
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "base/arena.h"
#include "storage/engine.h"

enum chat_role { CHAT_OUTCAST, CHAT_NONE, CHAT_MEMBER, CHAT_MANAGER, CHAT_OWNER };
/* Permissions: each the least role that has it. */
enum chat_permission { CHAT_MAY_ADD, CHAT_MAY_REMOVE, CHAT_MAY_RENAME, CHAT_MAY_SETTINGS, CHAT_MAY_MODERATE, CHAT_MAY_POST, CHAT_PERMISSIONS };
#define CHAT_IS_OPEN 1u          /* anybody of the domain may find and join (IM_MESSAGE_OPEN); otherwise closed (IM_MESSAGE_CHAT) */
#define CHAT_HIDES_HISTORY 2u    /* new members see nothing from before they came, unless said otherwise */
#define CHAT_IS_GENERAL 4u       /* everybody of the domain is in it and cannot leave */
#define CHAT_IS_DEPARTMENT 8u    /* filled from the structure */
#define CHAT_IS_REMOVED 16u      /* a tombstone: the number is never used again */
#define CHAT_NO_JOIN_LINES 32u   /* nobody's coming and going is told as a line */

struct chat_rec {
	uint64_t number;
	struct str domain, title, description, alias;
	struct str subject;          /* XEP-0045 subject; empty: the title */
	uint32_t subject_author; uint64_t subject_ms;
	uint8_t colour;              /* index of the portal's safe colours; im/chat_colour.h */
	unsigned flags;
	uint32_t owner, author;      /* accounts; author created it */
	uint32_t department;
	uint8_t permission[CHAT_PERMISSIONS];
	struct str avatar;           /* SHA-256 hex of the picture in CHAT_AVATAR or FILE; empty: none */
	struct str avatar_type;
	struct str entity_type, entity_id, entity_data[3];
	uint64_t created_ms, version; /* version rises with each change */
	uint32_t n_members;
};
struct chat_member_rec {
	uint32_t account;
	uint8_t role;
	uint64_t floor;              /* entries up to this seq are not shown to him (hidden history, rejoined) */
	uint64_t joined_ms;
	uint32_t invited_by;
};

#define CHAT_ENTITY_DATA 3
/* Copies of all texts in the arena: what is needed beyond the next write. */
void chat_rec_copy(struct arena *a, struct chat_rec *r);
/* Assigns the number, writes names. ERR_EXISTS when alias or entity pair is taken. */
int chat_rec_create(struct txn *t, struct chat_rec *r);
/* 0, ERR_NOT_FOUND (also for a removed one), ERR_CORRUPT. */
int chat_rec_get(struct txn *t, uint64_t number, struct chat_rec *out);
/* Replaces; raises version. Names (alias, entity pair) stay as they were at creation. */
void chat_rec_put(struct txn *t, struct chat_rec *r);
/* Leaves a tombstone, removes names, members and their index. */
void chat_rec_remove(struct txn *t, uint64_t number);
/* By address name (prepared), entity pair, department. 0 when there is none. */
uint64_t chat_by_name(struct txn *t, struct str domain, struct str name);
uint64_t chat_by_entity(struct txn *t, struct str domain, struct str type, struct str id);
uint64_t chat_by_department(struct txn *t, struct str domain, uint32_t department);
/* 0, ERR_NOT_FOUND, ERR_CORRUPT. */
int chat_member_get(struct txn *t, uint64_t number, uint32_t account, struct chat_member_rec *out);
/* Adds or replaces; keeps CHAT_OF and n_members of *chat right (caller puts the chat). */
void chat_member_put(struct txn *t, struct chat_rec *chat, const struct chat_member_rec *m);
void chat_member_del(struct txn *t, struct chat_rec *chat, uint32_t account);
typedef bool chat_member_each_fn(void *ctx, const struct chat_member_rec *m); /* false stops */
void chat_member_each(struct txn *t, uint64_t number, chat_member_each_fn *fn, void *ctx);
/* Numbers of the chats a person is in, ascending; at most max from after (exclusive). */
size_t chat_of_account(struct txn *t, uint32_t account, uint64_t after, uint64_t *out, size_t max);
/* Every chat of a domain in order of numbers from after (exclusive); false stops. */
void chat_each(struct txn *t, struct str domain, uint64_t after, bool (*fn)(void *ctx, const struct chat_rec *r), void *ctx);
/* What department chats were filled from last: version of the structure and a caller's word about options; zeros when never. */
void chat_structure_get(struct txn *t, struct str domain, uint64_t *out_version, uint64_t *out_options);
void chat_structure_set(struct txn *t, struct str domain, uint64_t version, uint64_t options);
