/* Personal eventing (XEP-0163) as other files see it. Home thread of the asker. */
#pragma once
#include "server/xmpp/request.h"

/* Answers disco#info for a node of the addressed account; false when there is no such node (nothing was sent). */
bool pep_disco_info(struct request *rq, struct str node);
/* Adds the nodes that the asker may see as disco items. */
void pep_disco_items(struct request *rq, struct node *query);
/* The session's caps changed or it became available: sends the last items of the nodes it wants (+notify). */
void pep_session_interested(struct session *s);
