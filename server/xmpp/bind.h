/* Resource binding (RFC 6120 section 7) and what else may come between login and session. Home worker. */
#pragma once
#include "server/xmpp/stream.h"

/* <iq/> before binding: only bind; others are not-authorized. */
void bind_iq(struct stream *st, struct node *iq);
/* <resume/> before binding (XEP-0198). */
void bind_resume(struct stream *st, struct node *resume);
void bind_enable_too_early(struct stream *st, struct node *enable);
