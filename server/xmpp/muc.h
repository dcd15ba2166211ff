/*
 * Chats as multi-user chat (XEP-0045): what the muc_*.c files share. The rules are server/im/chat.h's, who is in a room is server/im/chat_room.h's; here
 * is only the dialect. Home thread of the asker unless said. Outsiders cannot tell a closed chat from a missing one (row I07).
 */
#pragma once
#include "server/im/chat.h"
#include "server/xmpp/request.h"

/* A chat as one request sees it; all strings in the request's arena. */
struct muc_room {
	uint64_t number;
	struct chat_rec rec;
	struct chat_member_rec me;  /* role CHAT_NONE: not in it */
	struct str address;         /* bare JID by which the asker knows it */
};

/* TO_CHATS, TO_CHAT, TO_OCCUPANT or TO_REMOTE for an address outside of the people's domains. */
unsigned muc_classify(const struct jid *to);
/* True for "chats.DOMAIN" and its aliases (option chats.aliases); out_people: DOMAIN. Any thread. */
bool muc_service(struct str host, struct str *out_people);
/* The chat that rq->to names: 0, ERR_NOT_FOUND (missing, closed to him, or of another domain: alike) or ERR_FORBIDDEN (banned). */
int muc_find(struct request *rq, struct muc_room *out);
/* The same; false: the error was sent. */
bool muc_look(struct request *rq, struct muc_room *out);
/* The same, for members only; others get forbidden. */
bool muc_look_member(struct request *rq, struct muc_room *out);
/* The one address under which a chat is listed: "chat<N>@chats.DOMAIN", or the name that a client gave it. In the arena. */
struct str muc_address(struct arena *a, const struct chat_rec *r);
/* The person who acts in this session. Borrowed slices of the session. */
struct principal muc_principal(const struct session *s);
/* True when the role reaches what the permission asks for. */
bool muc_may(const struct chat_rec *rec, uint8_t role, enum chat_permission p);
/* Names of XEP-0045 section 5: "owner" ... and "moderator", "participant", "visitor", "none". */
const char *muc_affiliation(uint8_t role);
const char *muc_role(const struct chat_rec *rec, uint8_t role);
/* Account behind a bare JID text of the asker's domain, 0: nobody there. */
uint32_t muc_account(struct request *rq, struct str jid);
/* Account of the occupant with that nick, 0: nobody. */
uint32_t muc_occupant(uint64_t number, struct str nick);
/* Adds XEP-0421's element. */
void muc_add_occupant_id(struct arena *a, struct node *parent, uint64_t number, uint32_t account);

/* Error that fits a refusal of server/im/chat.h, now or later. */
void muc_refuse(struct request *rq, int err);
void muc_refuse_later(struct pending *p, int err);
/* A chat_done_fn whose ctx is a pending iq: empty result or the error. */
void muc_answered(void *ctx, int err, uint64_t number, uint64_t gid);
/* reply_later() for what goes straight to the writer. */
struct pending *muc_later(struct request *rq);

/* ---- the stanzas of the router ---- */
void muc_message(struct request *rq);
void muc_presence(struct request *rq);
/* Sets the observer of rooms; main, once. */
void muc_init(void);
