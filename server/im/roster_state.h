/* The subscription states of RFC 6121 appendix A as tables: what a stanza that leaves, or arrives, does to an item. No state of its own; any thread. */
#pragma once
#include "storage/tab_roster.h"

enum roster_state { ROSTER_NONE, ROSTER_NONE_OUT, ROSTER_NONE_IN, ROSTER_NONE_OUT_IN, ROSTER_TO, ROSTER_TO_IN, ROSTER_FROM, ROSTER_FROM_OUT,
		    ROSTER_BOTH, ROSTER_STATES };
enum roster_stanza { ROSTER_SUBSCRIBE, ROSTER_SUBSCRIBED, ROSTER_UNSUBSCRIBE, ROSTER_UNSUBSCRIBED, ROSTER_STANZAS };

struct roster_step {
	enum roster_state next;
	bool pass;             /* outbound: goes to the contact; inbound: is delivered to the person */
	bool answer;           /* inbound subscribe: the server answers "subscribed" itself (A.3.1 note 2) */
};
extern const struct roster_step roster_outbound[ROSTER_STANZAS][ROSTER_STATES], roster_inbound[ROSTER_STANZAS][ROSTER_STATES];

enum roster_state roster_state_of(const struct roster_item *item);
void roster_state_set(struct roster_item *item, enum roster_state state);
/* Type of a presence stanza; ROSTER_STANZAS when it is none of the four. */
enum roster_stanza roster_stanza_of(struct str type);
struct str roster_stanza_type(enum roster_stanza s);
/* "none", "to", "from" or "both". */
struct str roster_subscription_name(const struct roster_item *item);
