/* Ad-hoc commands (XEP-0050) and their disco. Home thread of the asker. */
#pragma once
#include "server/xmpp/request.h"

/* Answers disco#info / disco#items for the commands node or one of its commands; false when the node is not ours (nothing was sent). */
bool adhoc_disco_info(struct request *rq, struct str node);
bool adhoc_disco_items(struct request *rq, struct str node);
