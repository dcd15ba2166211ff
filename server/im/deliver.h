/* Delivery at the recipient's home worker: RFC 6121 section 8 rules by type, address and priority; carbons (XEP-0280). */
#pragma once
#include "server/im/message.h"

/* Live delivery of one message to the loaded user. Returns true when at least one session took it. */
bool deliver_message(struct user *u, const struct message *m, uint64_t gid);
/* Copies for the sender's other sessions. */
void deliver_sent_carbons(struct user *u, const struct session *sender, const struct message *m, uint64_t gid);
/* Hands everything that waits for this user to the session that just became available (XEP-0160). */
void deliver_waiting(struct session *s);
