/*
 * How messages, people and chats look in JSON: one place for /api/v1, event streams, web hooks and /rest. Every function gives a new reference. `t` is a
 * read transaction of this step. Worker of the caller.
 */
#pragma once
#include "base/arena.h"
#include "storage/tab_chat.h"
#include "storage/tab_message.h"
#include <jansson.h>

/* A message as `me` sees it (his name of the dialog): its present text, whoever corrected it, with its reactions. */
json_t *api_json_message(struct arena *a, struct txn *t, uint32_t me, const struct message_rec *m);
/* The same by number; null when there is none. May it be read: asked before. */
json_t *api_json_message_of(struct arena *a, struct txn *t, uint32_t me, uint64_t gid);
/* True for entries that a page of a dialog shows: messages, lines of the chat and tombstones; not corrections, reactions, receipts. */
bool api_json_shows(const struct message_rec *m);
/* me: membership of who asks, or NULL. */
json_t *api_json_chat(struct arena *a, const struct chat_rec *c, const struct chat_member_rec *me);
json_t *api_json_member(struct arena *a, const struct chat_member_rec *m);
struct dialog;
/* api_inbox.c: a dialog with its last message. */
json_t *api_json_dialog(struct arena *a, struct txn *t, uint32_t me, const struct dialog *d);
/* Everything the structure says of a person; null for nobody. */
json_t *api_json_card(struct arena *a, uint32_t account);

/* Words of enum chat_role and enum chat_permission; the inverse is ERR_SYNTAX for others. */
extern const char *const api_roles[], *const api_permissions[];
int api_role(struct str word, enum chat_role *out);
