/*
 * Message stanzas (RFC 6121 section 5): what the elements inside mean for storage, counters, copies and order is one table; forged elements that only a
 * server may set are taken out (rows I01, I02, I04). Delivery is server/im/message.c's. Home thread of the sender.
 */
#include "server/xmpp/message.h"
#include "base/clock.h"
#include "server/im/content.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/net/limits.h"
#include "server/xmpp/muc_invite.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "server/xmpp/router.h"
#include "xml/datetime.h"

static const struct {
	enum atom name;
	enum ns ns;
	unsigned meaning;
} meanings[] = {
	{ A_body, NS_CLIENT, M_STORE | M_COUNTS | M_COPY },
	{ A_subject, NS_CLIENT, M_STORE },
	{ A_NONE, NS_CHATSTATES, M_STATE | M_COPY },
	{ A_received, NS_RECEIPTS, M_STORE | M_COPY },
	{ A_NONE, NS_MARKERS, M_STORE | M_COPY }, /* displayed, received, acknowledged; <markable/> comes with a body */
	{ A_replace, NS_CORRECT, M_STORE | M_COPY | M_NO_COUNT },
	{ A_retract, NS_RETRACT, M_STORE | M_COPY | M_NO_COUNT },
	{ A_reactions, NS_REACTIONS, M_STORE | M_COPY | M_NO_COUNT },
	{ A_encrypted, NS_OMEMO1, M_STORE | M_COUNTS | M_COPY },
	{ A_encrypted, NS_OMEMO2, M_STORE | M_COUNTS | M_COPY },
	{ A_x, NS_DIRECT_INVITE, M_STORE | M_COUNTS | M_COPY },
	{ A_attention, NS_ATTENTION, M_STORE | M_COPY },
	{ A_store, NS_HINTS, M_STORE },
	{ A_no_store, NS_HINTS, M_NO_STORE },
	{ A_no_permanent_store, NS_HINTS, M_NO_STORE },
	{ A_no_copy, NS_HINTS, M_NO_COPY },
	{ A_private, NS_CARBONS, M_NO_COPY | M_STRIP },
	{ A_received, NS_CARBONS, M_FORGED }, /* row I01 */
	{ A_sent, NS_CARBONS, M_FORGED },
	{ A_stanza_id, NS_SID, M_FORGED }, /* row I02, every instance */
	{ A_NONE, NS_OCCUPANT_ID, M_FORGED },
	{ A_x, NS_MUC_USER, M_FORGED },
	{ A_delay, NS_DELAY, M_FORGED }, /* row I04 */
	{ A_result, NS_MAM2, M_FORGED },
	{ A_event, NS_PUBSUB_EVENT, M_FORGED },
	{ A_NONE, NS_V_SYSTEM, M_FORGED }, /* lines of the system and notifications come from us only (row I14) */
	{ A_NONE, NS_V_NOTIFY, M_FORGED },
};

static unsigned meaning_of(const struct node *n)
{
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (meanings[i].ns == n->ns && (meanings[i].name == A_NONE || meanings[i].name == n->name))
			return meanings[i].meaning;
	return 0;
}

unsigned message_clean(struct node *stanza)
{
	unsigned all = 0;

	for (struct node *n = node_first(stanza), *next; n; n = next) {
		unsigned m = meaning_of(n);
		next = node_next(n);
		if (m & (M_FORGED | M_STRIP))
			node_remove(n);
		all |= m;
	}
	return all;
}

static enum message_type type_of(struct str type)
{
	for (enum message_type t = MESSAGE_NORMAL; t <= MESSAGE_ERROR; t++)
		if (str_eq_c(type, message_type_names[t]))
			return t;
	return MESSAGE_NORMAL; /* RFC 6121 5.2.2 */
}

static void set_flags(struct message *m, unsigned all)
{
	bool kept_type = m->type == MESSAGE_NORMAL || m->type == MESSAGE_CHAT;

	if (kept_type && (all & M_STORE) && !(all & M_NO_STORE))
		m->flags |= MESSAGE_STORE;
	if ((m->flags & MESSAGE_STORE) && (all & M_COUNTS) && !(all & M_NO_COUNT))
		m->flags |= MESSAGE_COUNTS;
	m->copy = kept_type && (all & M_COPY) && !(all & M_NO_COPY);
	m->transient_drop = (all & M_STATE) && !(m->flags & MESSAGE_STORE);
}

/* <displayed/> moves the sender's read cursor to the peer's message it names (XEP-0333). */
static void find_displayed(struct request *rq, struct message *m, struct txn *t, uint64_t conv, uint32_t peer)
{
	struct node *d = node_child(rq->stanza, A_displayed, NS_MARKERS);
	struct str id = d ? node_attr(d, "id") : STR_NONE;

	if (id.n)
		m->displayed_gid = message_find(t, conv, peer, id, limits()->look_back);
}

/* <retract/> turns the sender's own message into a tombstone (XEP-0424 section 5). */
static void find_retracted(struct request *rq, struct message *m, struct txn *t, uint64_t conv)
{
	struct node *r = node_child(rq->stanza, A_retract, NS_RETRACT);
	struct str id = r ? node_attr(r, "id") : STR_NONE;
	char when[DATETIME_MAX];

	if (!id.n)
		return;
	m->replaces_gid = message_find(t, conv, rq->session->user->id, id, limits()->look_back);
	if (!m->replaces_gid)
		return;
	struct node *tomb = node_new(rq->a, A_retracted, NS_RETRACT);
	node_set(rq->a, tomb, "id", rq->id);
	node_set(rq->a, tomb, "stamp", arena_str(rq->a, str_of(when, datetime_print(clock_wall_ms(), when))));
	m->tombstone = payload_of_node(tomb);
}

/* A correction of one's own message (XEP-0308 section 4). What names a message of the other person stays a message by itself (row I14); a message that was
 * never stored is left to the clients. */
static bool find_corrected(struct request *rq, struct message *m, struct txn *t, uint64_t conv, uint32_t peer)
{
	struct node *n = node_child(rq->stanza, A_replace, NS_CORRECT);
	struct str id = n ? node_attr(n, "id") : STR_NONE;

	m->edits_gid = content_find(t, conv, rq->session->user->id, id, 0);
	if (m->edits_gid || !content_find(t, conv, peer, id, 0))
		return true;
	node_remove(n);
	return false;
}

/* The set as the store keeps it: NUL-separated, cut at 4 KiB. */
static struct str reactions_of(struct arena *a, const struct node *n)
{
	struct buf b;

	buf_init(&b, 4096);
	for (struct node *r = node_child(n, A_reaction, NS_REACTIONS); r; r = node_next_same(r)) {
		struct str text = str_trim(node_text(a, r));
		if (!text.n || b.n + text.n + 1 > 4096)
			continue;
		if (b.n)
			buf_byte(&b, '\0');
		buf_str_add(&b, text);
	}
	struct str set = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return set;
}

/* The sender's new set for a message of either (XEP-0444 section 3.2). */
static void find_reacted(struct request *rq, struct message *m, struct txn *t, uint64_t conv)
{
	struct node *n = node_child(rq->stanza, A_reactions, NS_REACTIONS);

	m->reacts_gid = n ? content_find(t, conv, 0, node_attr(n, "id"), 0) : 0;
	if (m->reacts_gid)
		m->reactions = reactions_of(rq->a, n);
}

static bool refers(const struct node *stanza)
{
	return node_child(stanza, A_displayed, NS_MARKERS) || node_child(stanza, A_retract, NS_RETRACT) ||
	       node_child(stanza, A_replace, NS_CORRECT) || node_child(stanza, A_reactions, NS_REACTIONS);
}

/* False: a correction that is not one was taken out. */
static bool find_references(struct request *rq, struct message *m)
{
	struct jid bare = jid_to_bare(m->to);
	uint32_t peer = refers(rq->stanza) ? peer_get(&bare)->id : 0;
	bool own;

	if (!peer)
		return true;
	uint64_t conv = conv_private(rq->session->user->id, peer);
	struct txn *t = im_read();
	find_displayed(rq, m, t, conv, peer);
	find_retracted(rq, m, t, conv);
	own = find_corrected(rq, m, t, conv, peer);
	find_reacted(rq, m, t, conv);
	txn_commit(t);
	return own;
}

static void message_done(void *ctx, int err, uint64_t gid)
{
	struct pending *p = ctx;

	(void)gid;
	if (p->xs && p->saves_counter) {
		if (err)
			sm_not_saved(p->xs, p->number);
		else
			sm_saved(p->xs, p->number);
	}
	if (!err)
		pending_drop(p);
	else if (err == ERR_NOT_FOUND || err == ERR_FORBIDDEN) /* RFC 6121 8.5.1, XEP-0191 section 2.4: alike */
		pending_error(p, "cancel", A_service_unavailable, "The message could not be delivered to that address");
	else
		pending_err(p, err, NULL);
}

void message_stanza(struct request *rq)
{
	struct message m = {
		.type = type_of(rq->type), .from = rq->session->jid, .id = rq->id, .lang = node_lang(rq->stanza)
	};
	struct sm_checkpoint sm = { .id = "" };

	if (rq->addressee == TO_HOST) {
		reply_error(rq, "cancel", A_service_unavailable, "The server itself reads no messages");
		return;
	}
	if (m.type == MESSAGE_GROUPCHAT) {
		reply_error(rq, "cancel", A_service_unavailable, "That address is a person, not a chat");
		return;
	}
	if (!muc_direct_invitation(rq))
		return;
	unsigned all = message_clean(rq->stanza);
	m.to = rq->addressee == TO_NONE ? rq->session->user->jid : rq->to;
	if (!find_references(rq, &m))
		all &= ~(unsigned)M_NO_COUNT;
	set_flags(&m, all);
	if (!node_first(rq->stanza))
		return; /* nothing left to say */
	struct node *origin = node_child(rq->stanza, A_origin_id, NS_SID);
	if (origin)
		m.origin_id = node_attr(origin, "id");
	m.payload = payload_of_children(rq->stanza);
	struct pending *p = reply_later(rq);
	pending_is_fast(p);
	if (rq->xs->sm && (m.flags & MESSAGE_STORE))
		sm_checkpoint_for(rq->xs, rq->sm_number, &sm);
	p->saves_counter = sm.id[0] != '\0';
	message_send(rq->session, &m, &sm, message_done, p);
	chunk_unref(m.payload);
	chunk_unref(m.tombstone);
}

static const char *const host_features[] = { "urn:xmpp:sid:0", NULL };
static const char *const account_features[] = { "urn:xmpp:sid:0", "urn:xmpp:message-retract:1#tombstone", NULL };
static const struct handler rows[] = { { .fn = NULL } };
const struct handler_table message_handlers = { "RFC 6121 messages", rows, host_features, account_features };
