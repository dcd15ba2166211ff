/* The inbox over XMPP (XEP-0430, urn:vestnik:inbox:0). */
#pragma once
#include "server/im/session.h"

/* Registers the observer of events; main, before the workers start. */
void inbox_init(void);
/* The session gets pushes of changed dialogs from now on; follow: also every message of its person's chats (web clients). Home thread. */
void inbox_subscribe(struct session *s, bool follow);
