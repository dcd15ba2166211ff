/* The service notify.DOMAIN, where notifications come from and where they are answered. Home thread of the asker. */
#pragma once
#include "server/xmpp/request.h"

/* True for the service of the session's own domain; those of other domains do not exist for it. */
bool notify_is_service(const struct session *s, const struct jid *to);
/* A message to the service: the number of a button, an answer, or a marker (XEP-0333). Anything else gets help. */
void notify_message(struct request *rq);
/* What a refusal of im/notify.h means to the person. */
const char *notify_refusal(int err);
