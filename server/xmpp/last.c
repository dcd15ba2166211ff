/* Last activity (XEP-0012): how long the server is up, how long a person has been away. Only for those who may see
 * the person's presence (section 5); all others get the same forbidden whether the account exists or not (row I11).
 * Home thread of the asker. */
#include "base/clock.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/xmpp/request.h"
#include "storage/tab_account.h"
#include "xml/parser.h"

static void answer(struct request *rq, uint64_t seconds, struct str status)
{
	struct node *q = node_new(rq->a, A_query, NS_LAST);

	node_set_u64(rq->a, q, "seconds", seconds);
	if (status.n)
		node_append_text(rq->a, q, status);
	reply_result(rq, q);
}

static uint64_t seconds_since(uint64_t wall_ms)
{
	uint64_t now = clock_wall_ms();

	return now > wall_ms ? (now - wall_ms) / 1000 : 0;
}

static void uptime(struct request *rq)
{
	answer(rq, seconds_since(im.started_ms), STR_NONE);
}

/* Text of <status/> in a printed presence payload. */
static struct str status_of(struct arena *a, struct str payload)
{
	static const struct parser_limits limits = { 16777216, 16777216, 512, 100000, 1000, 100 };
	struct str doc = arena_cat(a, STR("<presence xmlns='jabber:client'>"), payload, STR("</presence>"), STR_NONE);
	struct node *root;

	if (!payload.n || parse_document(a, doc, &limits, &root))
		return STR_NONE;
	return node_child_text(a, root, A_status, NS_CLIENT);
}

static void last_seen(struct request *rq)
{
	bool own = rq->addressee & TO_OWN;
	const struct peer *peer = peer_get(own ? &rq->session->user->jid : &rq->to);
	uint32_t id = peer->id;
	struct str payload, status, bare = own ? rq->session->user->jid.full : rq->to.full;
	uint64_t wall_ms;

	if (!id || !presence_may_see(rq->session->user->id, id) || (!own && peer_blocks(peer, &rq->session->jid))) {
		reply_error(rq, "auth", A_forbidden, "You may not see when this person was here");
		return;
	}
	if (presence_is_available(bare)) {
		answer(rq, 0, STR_NONE);
		return;
	}
	struct txn *t = im_read();
	int err = account_get_last_seen(t, id, &wall_ms, &payload);
	status = err ? STR_NONE : status_of(rq->a, payload);
	txn_commit(t);
	if (err)
		reply_error(rq, "cancel", A_item_not_found, "This person was never here");
	else
		answer(rq, seconds_since(wall_ms), status);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_LAST, TO_HOST, 0, "jabber:iq:last", uptime },
	{ IQ_GET, A_query, NS_LAST, TO_OWN | TO_ACCOUNT, 0, "jabber:iq:last", last_seen },
	{ .fn = NULL },
};
const struct handler_table last_handlers = { "XEP-0012 last activity", rows, NULL, NULL };
