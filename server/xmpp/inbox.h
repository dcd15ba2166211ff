/* The inbox over XMPP (XEP-0430, urn:vestnik:inbox:0). */
#pragma once
#include "server/im/session.h"
#include "storage/tab_message.h"

/* Registers the observer of events; main, before the workers start. */
void inbox_init(void);
/* The session gets pushes of changed dialogs from now on; follow: also every message of its person's chats (web clients). Home thread. */
void inbox_subscribe(struct session *s, bool follow);
/* The conversation that an address names for a person of the domain; 0: none. Any worker, in the caller's transaction. */
uint64_t inbox_conv(struct arena *a, struct txn *t, uint32_t me, struct str domain, struct str address);
