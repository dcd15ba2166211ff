/* Who is mentioned in a message to a chat: XEP-0372 references, "@Full Name", "@login", "@all". Home thread of the sender. */
#pragma once
#include "server/xmpp/muc.h"

/* Fills mentions and mentions_all of cm from rq->stanza; only members of the chat count, at most limits()->mentions. */
void muc_mentions(struct request *rq, const struct muc_room *room, struct chat_message *cm);
/* Frees this worker's table of names. */
void muc_mentions_thread_fini(void);
