/* Presence payloads of chats (XEP-0045 muc#user, XEP-0421, XEP-0317): printed once, shared by everybody who gets them. Any worker. */
#pragma once
#include "server/xmpp/muc.h"

#define MUC_STATUSES 6
#define MUC_STATUS_NONANONYMOUS 100
#define MUC_STATUS_SELF 110
#define MUC_STATUS_LOGGED 170
#define MUC_STATUS_CREATED 201
#define MUC_STATUS_NICK_SET 210
#define MUC_STATUS_BANNED 301
#define MUC_STATUS_KICKED 307
#define MUC_STATUS_AFFILIATION 321
#define MUC_STATUS_CLOSED 322
#define MUC_STATUS_SHUTDOWN 332

/* What a presence of an occupant says beside what his client wrote. */
struct muc_words {
	uint64_t number;
	uint32_t account;
	const char *affiliation, *role;
	struct str jid;              /* real full JID; p == NULL: left out */
	struct str actor, reason;    /* nick of who did it and why (8.2, 9.1) */
	unsigned status[MUC_STATUSES];
	size_t n_status;
	bool destroyed;              /* 10.9 */
	struct str client;           /* children of the client's presence, printed */
};
struct chunk *muc_print_presence(const struct muc_words *w);
/* What of a client's presence is passed on: all but what only the room says (row I02). Printed; the stanza is changed. */
struct chunk *muc_client_presence(struct node *stanza);
