/* Invitations to chats: mediated (XEP-0045 7.8.2), direct (XEP-0249), declined. Home thread of the sender. */
#pragma once
#include "server/xmpp/muc.h"

/* A message to a chat with <invite/>, <decline/> or a request for voice (8.6, which nobody answers here): handled. False: something else. */
bool muc_take_invitation(struct request *rq);
/* A message to a person with a direct invitation to one of our chats: adds the person before the message goes on. False: refused, the error was sent. */
bool muc_direct_invitation(struct request *rq);
