/*
 * Appendix A of RFC 6121 in its own order of states: rows A.2.1 to A.2.4 for what the person sends, A.3.1 to A.3.4 for what comes in. Pre-approval (3.4)
 * is a flag beside the state and is handled by roster_change.c.
 */
#include "server/im/roster_state.h"

#define NONE ROSTER_NONE
#define NONE_OUT ROSTER_NONE_OUT
#define NONE_IN ROSTER_NONE_IN
#define NONE_OUT_IN ROSTER_NONE_OUT_IN
#define TO ROSTER_TO
#define TO_IN ROSTER_TO_IN
#define FROM ROSTER_FROM
#define FROM_OUT ROSTER_FROM_OUT
#define BOTH ROSTER_BOTH
#define P(state)                                                                                                       \
	{                                                                                                              \
		.next = (state), .pass = true                                                                          \
	} /* passed on */
#define S(state)                                                                                                       \
	{                                                                                                              \
		.next = (state)                                                                                        \
	} /* stopped here */
#define R(state)                                                                                                       \
	{                                                                                                              \
		.next = (state), .answer = true                                                                        \
	}

const struct roster_step roster_outbound[ROSTER_STANZAS][ROSTER_STATES] = {
	[ROSTER_SUBSCRIBE] = { /* A.2.1 */
		[NONE] = P(NONE_OUT), [NONE_OUT] = P(NONE_OUT), [NONE_IN] = P(NONE_OUT_IN), [NONE_OUT_IN] = P(NONE_OUT_IN), [TO] = P(TO),
		[TO_IN] = P(TO_IN), [FROM] = P(FROM_OUT), [FROM_OUT] = P(FROM_OUT), [BOTH] = P(BOTH) },
	[ROSTER_UNSUBSCRIBE] = { /* A.2.2 */
		[NONE] = P(NONE), [NONE_OUT] = P(NONE), [NONE_IN] = P(NONE_IN), [NONE_OUT_IN] = P(NONE_IN), [TO] = P(NONE),
		[TO_IN] = P(NONE_IN), [FROM] = P(FROM), [FROM_OUT] = P(FROM), [BOTH] = P(FROM) },
	[ROSTER_SUBSCRIBED] = { /* A.2.3 */
		[NONE] = S(NONE), [NONE_OUT] = S(NONE_OUT), [NONE_IN] = P(FROM), [NONE_OUT_IN] = P(FROM_OUT), [TO] = S(TO),
		[TO_IN] = P(BOTH), [FROM] = S(FROM), [FROM_OUT] = S(FROM_OUT), [BOTH] = S(BOTH) },
	[ROSTER_UNSUBSCRIBED] = { /* A.2.4 */
		[NONE] = S(NONE), [NONE_OUT] = S(NONE_OUT), [NONE_IN] = P(NONE), [NONE_OUT_IN] = P(NONE_OUT), [TO] = S(TO),
		[TO_IN] = P(TO), [FROM] = P(NONE), [FROM_OUT] = P(NONE_OUT), [BOTH] = P(TO) },
};

const struct roster_step roster_inbound[ROSTER_STANZAS][ROSTER_STATES] = {
	[ROSTER_SUBSCRIBE] = { /* A.3.1 */
		[NONE] = P(NONE_IN), [NONE_OUT] = P(NONE_OUT_IN), [NONE_IN] = S(NONE_IN), [NONE_OUT_IN] = S(NONE_OUT_IN), [TO] = P(TO_IN),
		[TO_IN] = S(TO_IN), [FROM] = R(FROM), [FROM_OUT] = R(FROM_OUT), [BOTH] = R(BOTH) },
	[ROSTER_UNSUBSCRIBE] = { /* A.3.2 */
		[NONE] = S(NONE), [NONE_OUT] = S(NONE_OUT), [NONE_IN] = P(NONE), [NONE_OUT_IN] = P(NONE_OUT), [TO] = S(TO),
		[TO_IN] = P(TO), [FROM] = P(NONE), [FROM_OUT] = P(NONE_OUT), [BOTH] = P(TO) },
	[ROSTER_SUBSCRIBED] = { /* A.3.3 */
		[NONE] = S(NONE), [NONE_OUT] = P(TO), [NONE_IN] = S(NONE_IN), [NONE_OUT_IN] = P(TO_IN), [TO] = S(TO),
		[TO_IN] = S(TO_IN), [FROM] = S(FROM), [FROM_OUT] = P(BOTH), [BOTH] = S(BOTH) },
	[ROSTER_UNSUBSCRIBED] = { /* A.3.4 */
		[NONE] = S(NONE), [NONE_OUT] = P(NONE), [NONE_IN] = S(NONE_IN), [NONE_OUT_IN] = P(NONE_IN), [TO] = P(NONE),
		[TO_IN] = P(NONE_IN), [FROM] = S(FROM), [FROM_OUT] = P(FROM), [BOTH] = P(FROM) },
};

static const struct {
	bool to, from, ask, pending_in;
} bits[ROSTER_STATES] = {
	[NONE] = { .to = false },
	[NONE_OUT] = { .ask = true },
	[NONE_IN] = { .pending_in = true },
	[NONE_OUT_IN] = { .ask = true, .pending_in = true },
	[TO] = { .to = true },
	[TO_IN] = { .to = true, .pending_in = true },
	[FROM] = { .from = true },
	[FROM_OUT] = { .from = true, .ask = true },
	[BOTH] = { .to = true, .from = true },
};

enum roster_state roster_state_of(const struct roster_item *i)
{
	if (i->to)
		return i->from ? BOTH : i->pending_in ? TO_IN : TO;
	if (i->from)
		return i->ask ? FROM_OUT : FROM;
	if (i->ask)
		return i->pending_in ? NONE_OUT_IN : NONE_OUT;
	return i->pending_in ? NONE_IN : NONE;
}

void roster_state_set(struct roster_item *i, enum roster_state s)
{
	i->to = bits[s].to;
	i->from = bits[s].from;
	i->ask = bits[s].ask;
	i->pending_in = bits[s].pending_in;
}

static const char *const types[ROSTER_STANZAS] = {
	[ROSTER_SUBSCRIBE] = "subscribe",
	[ROSTER_SUBSCRIBED] = "subscribed",
	[ROSTER_UNSUBSCRIBE] = "unsubscribe",
	[ROSTER_UNSUBSCRIBED] = "unsubscribed",
};

enum roster_stanza roster_stanza_of(struct str type)
{
	enum roster_stanza s = 0;

	while (s < ROSTER_STANZAS && !str_eq_c(type, types[s]))
		s++;
	return s;
}

struct str roster_stanza_type(enum roster_stanza s)
{
	return str_c(types[s]);
}

struct str roster_subscription_name(const struct roster_item *i)
{
	return i->to ? (i->from ? STR("both") : STR("to")) : i->from ? STR("from") : STR("none");
}
