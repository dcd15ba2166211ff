/* Subscription states (RFC 6121 appendix A) as one table of what each presence type does to an item, outbound and inbound. No state; any thread. */
#pragma once
#include "storage/tab_roster.h"

enum sub_type { SUB_SUBSCRIBE, SUB_SUBSCRIBED, SUB_UNSUBSCRIBE, SUB_UNSUBSCRIBED, SUB_TYPES };
extern const char *const sub_names[SUB_TYPES];

struct sub_effect {
	bool route;      /* outbound: goes on to the contact; inbound: is delivered to the person */
	bool push;       /* the item changed as shown in the roster */
	bool reply;      /* inbound subscribe: answered with subscribed by the server */
};
/* -1: not a subscription type. */
int sub_type_of(struct str type);
/* Applies the type to the sender's / the recipient's item. */
struct sub_effect sub_outbound(struct roster_item *item, enum sub_type type);
struct sub_effect sub_inbound(struct roster_item *item, enum sub_type type);
