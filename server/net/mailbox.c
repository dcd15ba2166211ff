/*
 * Mail between threads. Senders push onto an atomic stack; the owner takes the whole stack at once and turns it round, which gives
 * the order of pushing. Because nobody pops single elements there is no ABA problem. A mail belongs to the sender until it is
 * posted, to the receiver from deliver() on; in between to the box.
 */
#include "server/net/mailbox.h"
#include "base/mem.h"
#include <stdatomic.h>
#include <stddef.h>

struct mailbox {
	struct loop *owner;
	_Atomic(struct mail *) top;
};

static bool mail_waiting(void *ctx)
{
	struct mailbox *b = ctx;
	return atomic_load(&b->top) != NULL;
}

/* Mail that is posted by a delivery waits for the next call: one turn is bounded by what had arrived. */
static bool take_mail(void *ctx)
{
	struct mailbox *b = ctx;
	if (!atomic_load_explicit(&b->top, memory_order_relaxed))
		return false;
	struct mail *stack = atomic_exchange(&b->top, NULL);
	struct mail *first = NULL;
	while (stack) {
		struct mail *next = stack->next;
		stack->next = first;
		first = stack;
		stack = next;
	}
	while (first) {
		struct mail *m = first;
		first = m->next;
		m->next = NULL;
		m->deliver(m);
	}
	return true;
}

struct mailbox *mailbox_new(struct loop *owner)
{
	struct mailbox *b = NEW(struct mailbox);
	b->owner = owner;
	atomic_init(&b->top, NULL);
	loop_set_mail(owner, take_mail, mail_waiting, b);
	return b;
}

void mailbox_free(struct mailbox *b)
{
	if (!b)
		return;
	loop_set_mail(b->owner, NULL, NULL, NULL);
	mem_free(b);
}

void mailbox_post(struct mailbox *b, struct mail *m)
{
	struct loop *owner = b->owner; /* b may be gone once the mail is taken and says so */
	m->next = atomic_load_explicit(&b->top, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&b->top, &m->next, m))
		;
	loop_wake(owner);
}
