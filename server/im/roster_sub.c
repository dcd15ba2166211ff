/*
 * RFC 6121 appendix A. A state is five bits (to, from, ask, pending_in, approved); each of the eight transitions is a row: bits one of which must be set for
 * it to act at all, bits it clears and sets, and what follows. No state machine beyond that.
 */
#include "server/im/roster_sub.h"

const char *const sub_names[SUB_TYPES] = { "subscribe", "subscribed", "unsubscribe", "unsubscribed" };

enum { TO = 1, FROM = 2, ASK = 4, PENDING = 8, APPROVED = 16 };

struct rule {
	unsigned needs;      /* acts only if one of these is set; 0: always */
	unsigned unless;     /* and none of these */
	unsigned clear, set;
	bool route, reply;
};
/* The first rule that acts counts; none: nothing changes and nothing is routed. */
static const struct rule outbound[SUB_TYPES][3] = {
	[SUB_SUBSCRIBE] = { { 0, TO | ASK, 0, ASK, true, false }, { 0, 0, 0, 0, true, false } },                /* A.2.1 */
	[SUB_SUBSCRIBED] = { { PENDING, 0, PENDING, FROM, true, false }, { 0, FROM, 0, APPROVED, false, false } }, /* A.2.3 and pre-approval 3.4 */
	[SUB_UNSUBSCRIBE] = { { TO | ASK, 0, TO | ASK, 0, true, false } },                                       /* A.2.2 */
	[SUB_UNSUBSCRIBED] = { { FROM | PENDING, 0, FROM | PENDING | APPROVED, 0, true, false }, { APPROVED, 0, APPROVED, 0, false, false } }, /* A.2.4 */
};
static const struct rule inbound[SUB_TYPES][3] = {
	[SUB_SUBSCRIBE] = { { FROM, 0, 0, 0, false, true }, { APPROVED, 0, APPROVED, FROM, false, true }, { 0, 0, 0, PENDING, true, false } }, /* A.3.1 */
	[SUB_SUBSCRIBED] = { { ASK, 0, ASK, TO, true, false } },                                                 /* A.3.3 */
	[SUB_UNSUBSCRIBE] = { { FROM | PENDING, 0, FROM | PENDING, 0, true, false } },                           /* A.3.2 */
	[SUB_UNSUBSCRIBED] = { { TO | ASK, 0, TO | ASK, 0, true, false } },                                      /* A.3.4 */
};

int sub_type_of(struct str type)
{
	for (int i = 0; i < SUB_TYPES; i++)
		if (str_eq_c(type, sub_names[i])) return i;
	return -1;
}

static unsigned bits_of(const struct roster_item *i)
{
	return (i->to ? TO : 0u) | (i->from ? FROM : 0u) | (i->ask ? ASK : 0u) | (i->pending_in ? PENDING : 0u) | (i->approved ? APPROVED : 0u);
}

static void set_bits(struct roster_item *i, unsigned bits)
{
	i->to = bits & TO;
	i->from = bits & FROM;
	i->ask = bits & ASK;
	i->pending_in = bits & PENDING;
	i->approved = bits & APPROVED;
}

static struct sub_effect run(struct roster_item *item, const struct rule *rules)
{
	unsigned before = bits_of(item);

	for (const struct rule *r = rules; r < rules + 3; r++) {
		bool empty = !r->needs && !r->clear && !r->set && !r->route && !r->reply;
		if (empty || (r->needs && !(before & r->needs)) || (before & r->unless)) continue;
		unsigned after = (before & ~r->clear) | r->set;
		set_bits(item, after);
		/* A request that waits is not shown in the roster (RFC 6121 3.1.3). */
		bool shown = (after & ~(unsigned)PENDING) != (before & ~(unsigned)PENDING);
		if (after & ~(unsigned)PENDING) item->listed = true;
		return (struct sub_effect){ .route = r->route, .push = shown, .reply = r->reply };
	}
	return (struct sub_effect){ .route = false };
}

struct sub_effect sub_outbound(struct roster_item *item, enum sub_type type)
{
	return run(item, outbound[type]);
}

struct sub_effect sub_inbound(struct roster_item *item, enum sub_type type)
{
	return run(item, inbound[type]);
}
