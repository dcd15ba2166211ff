/* From stanza to handler: stamps the sender, classifies the addressee, looks the row up, gives default answers. */
#pragma once
#include "server/xmpp/session_xmpp.h"

/* One stanza of a bound session (home thread). */
void router_stanza(struct xsession *xs, struct node *stanza);
/* Delivers an iq to a full JID of an account on its home (requests between clients); errors go back to the sender. */
struct request;
void router_forward_iq(struct request *rq);
/* Calls the row that fits rq->child and rq->addressee, or sends the default error. */
void router_iq(struct request *rq);
/* message.c and presence.c: the other two kinds. */
void message_stanza(struct request *rq);
void presence_stanza(struct request *rq);
