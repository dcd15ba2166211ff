/* Messages between loops: one lock-free-to-read queue and one eventfd per loop; senders batch per turn, so a turn costs at most
 * one wake-up per target. Mail from one sender arrives in order. */
#pragma once
#include "server/net/loop.h"

struct mail {
	struct mail *next;
	void (*deliver)(struct mail *m); /* on the receiving loop; owns m from then on */
};
struct mailbox;

struct mailbox *mailbox_new(struct loop *owner);
void mailbox_free(struct mailbox *b);
/* Hands m over; wakes the owner if it may sleep. Any thread. Not NULL-safe. */
void mailbox_post(struct mailbox *b, struct mail *m);
