/* Message carbons (XEP-0280): switching copies on and off. The copies themselves: server/im/deliver.c and session_xmpp.c. */
#include "server/xmpp/request.h"
#include "server/xmpp/session_xmpp.h"

static void carbons_switch(struct request *rq)
{
	rq->session->carbons = rq->child->name == A_enable;
	sm_state_changed(rq->xs);
	reply_result(rq, NULL);
}

static const struct handler rows[] = {
	{ IQ_SET, A_enable, NS_CARBONS, TO_OWN, 0, "urn:xmpp:carbons:2", carbons_switch },
	{ IQ_SET, A_disable, NS_CARBONS, TO_OWN, 0, NULL, carbons_switch },
	{ .fn = NULL },
};
static const char *const host_features[] = { "urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0", NULL };
const struct handler_table carbons_handlers = { "XEP-0280 carbons", rows, host_features, NULL };
