/* Message stanzas: what message.c shares with the chats (muc_message.c). Home thread of the sender. */
#pragma once
#include "server/im/message.h"
#include "server/xmpp/request.h"

/* What an element of a message says. */
enum meaning {
	M_STORE = 1,      /* worth keeping */
	M_COUNTS = 2,     /* unread */
	M_COPY = 4,       /* worth a carbon (XEP-0280 section 6.1) */
	M_STATE = 8,      /* only for who is there (chat state) */
	M_NO_STORE = 16, M_NO_COPY = 32,
	M_NO_COUNT = 64,  /* about another message: correction, retraction, reaction */
	M_FORGED = 128,   /* only a server sets this: taken out */
	M_STRIP = 256,    /* read here and not passed on */
};
/* Sums up what the elements say and takes out what may not travel (rows I01, I02, I04). */
unsigned message_clean(struct node *stanza);
