/* What the notify_*.c files share. */
#pragma once
#include "server/im/im.h"
#include "server/im/notify.h"
#include "xml/jid.h"

/* "notify.DOMAIN", the address notifications come from. */
struct str notify_address(struct arena *a, struct str domain);
/* May the principal change notifications of that person (0: of everybody)? */
bool notify_may_change(const struct principal *by, uint32_t account);
/* Deep copy. */
void notify_rec_copy(struct arena *a, struct notify_rec *r);
bool notify_expired(const struct notify_rec *r, uint64_t now_ms);
