/* Messages between loops: a lock-free stack that the owner takes whole, and its loop's eventfd. A sender writes to the eventfd only
 * when the owner sleeps and nobody has woken it yet, so any number of messages costs at most one wake-up. Mail from one sender
 * arrives in order. */
#pragma once
#include "server/net/loop.h"

struct mail {
	struct mail *next;
	void (*deliver)(struct mail *m); /* on the receiving loop; owns m from then on */
};
struct mailbox;

struct mailbox *mailbox_new(struct loop *owner);
/* Mail that was not delivered is dropped, not freed: its memory is its sender's business. */
void mailbox_free(struct mailbox *b);
/* Hands m over; wakes the owner if it may sleep. Any thread. Not NULL-safe. */
void mailbox_post(struct mailbox *b, struct mail *m);
