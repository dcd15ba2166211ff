/*
 * Invitations (XEP-0045 7.8.2, XEP-0249): who invites somebody adds him to the chat, when he may (row I13: asked at each step, by the writer). So
 * the invited person gets the chat with all his devices, and a client that never saw the invitation finds it too. Declining leaves the chat again. Home thread of the sender.
 */
#include "server/xmpp/muc_invite.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/message.h"
#include "server/im/peer.h"
#include "server/net/limits.h"
#include "server/xmpp/reply.h"

/* One request: who is told when the change is committed. */
struct invitation {
	struct arena *a;
	struct pending *pending;
	struct str room; /* address as the sender knows it */
	struct jid *to;	 /* bare JIDs of those to tell */
	struct chunk **payload;
	size_t n;
};

static void told(void *ctx, int err, uint64_t gid)
{
	(void)ctx;
	(void)err;
	(void)gid;
}

static void invitation_free(struct invitation *i)
{
	for (size_t k = 0; k < i->n; k++)
		chunk_unref(i->payload[k]);
	arena_free(i->a);
}

static void tell(struct invitation *i)
{
	struct jid from;

	if (jid_parse(i->a, i->room, &from))
		return;
	for (size_t k = 0; k < i->n; k++) {
		struct message m = { .type = MESSAGE_NORMAL, .from = from, .to = i->to[k], .payload = i->payload[k] };
		message_send(NULL, &m, NULL, told, NULL);
	}
}

static void committed(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct invitation *i = ctx;

	(void)number;
	(void)gid;
	if (err) {
		muc_refuse_later(i->pending, err);
	} else {
		tell(i);
		pending_drop(i->pending);
	}
	invitation_free(i);
}

static struct invitation *invitation_new(struct request *rq, const struct muc_room *room, size_t max)
{
	struct arena *a = arena_new(1024);
	struct invitation *i = ARENA_NEW(a, struct invitation);

	i->a = a;
	i->room = arena_str(a, room->address);
	i->to = arena_zero(a, max * sizeof *i->to);
	i->payload = arena_zero(a, max * sizeof *i->payload);
	i->pending = muc_later(rq);
	return i;
}

/* <x muc#user><invite|decline from><reason/></x>, an invitation also with the element of XEP-0249 for clients that know only that (7.8.2). */
static struct chunk *told_payload(struct request *rq, const struct muc_room *room, enum atom what, struct str reason)
{
	struct arena *a = rq->a;
	struct node *m = node_new(a, A_message, NS_CLIENT), *x = node_add(a, m, A_x, NS_MUC_USER),
		    *n = node_add(a, x, what, NS_MUC_USER);

	node_set(a, n, "from", what == A_invite ? rq->session->jid.full : rq->session->user->jid.full);
	if (reason.n)
		node_add_text(a, n, A_reason, NS_MUC_USER, reason);
	if (what == A_invite) {
		struct node *direct = node_add(a, m, A_x, NS_DIRECT_INVITE);
		node_set(a, direct, "jid", room->address);
		if (reason.n)
			node_set(a, direct, "reason", reason);
	}
	return payload_of_children(m);
}

static void invite(struct request *rq, struct node *x)
{
	struct principal by = muc_principal(rq->session);
	struct muc_room room;
	uint32_t *accounts;
	size_t n = 0, max = 0;

	if (!muc_look_member(rq, &room))
		return;
	node_each (c, x)
		max++;
	accounts = arena_zero(rq->a, max * sizeof *accounts);
	struct invitation *i = invitation_new(rq, &room, max);
	for (struct node *c = node_child(x, A_invite, NS_MUC_USER); c; c = node_next_same(c)) {
		struct jid to;
		accounts[n] = muc_account(rq, node_attr(c, "to"));
		if (!accounts[n++]) {
			pending_error(i->pending, "cancel", A_item_not_found, "There is no such person to invite");
			invitation_free(i);
			return;
		}
		jid_parse(rq->a, node_attr(c, "to"), &to);
		i->to[i->n] = jid_dup(i->a, jid_to_bare(to));
		i->payload[i->n++] =
			told_payload(rq, &room, A_invite, node_child_text(rq->a, c, A_reason, NS_MUC_USER));
	}
	chat_add(&by, room.number, accounts, n, CHAT_DEFAULT, false, committed, i);
}

/* 7.8.2, example 60: the inviter is told, and who declines is taken out again if it was that person who brought him in. */
static void decline(struct request *rq, struct node *d)
{
	struct principal by = muc_principal(rq->session);
	struct str inviter = node_attr(d, "to");
	uint32_t account = muc_account(rq, inviter);
	struct muc_room room;
	struct jid to;

	if (!muc_look_member(rq, &room))
		return;
	if (!account || room.me.invited_by != account || jid_parse(rq->a, inviter, &to)) {
		reply_error(rq, "cancel", A_item_not_found, "That person has not invited you");
		return;
	}
	struct invitation *i = invitation_new(rq, &room, 1);
	i->to[0] = jid_dup(i->a, jid_to_bare(to));
	i->payload[0] = told_payload(rq, &room, A_decline, node_child_text(rq->a, d, A_reason, NS_MUC_USER));
	i->n = 1;
	chat_remove(&by, room.number, by.account, true, STR_NONE, committed, i);
}

bool muc_take_invitation(struct request *rq)
{
	struct node *x = node_child(rq->stanza, A_x, NS_MUC_USER), *d;

	if (node_child(rq->stanza, A_x, NS_DATA))
		return true; /* asks for voice: the owner gives it by making the person a manager */
	if (!x)
		return false;
	d = node_child(x, A_decline, NS_MUC_USER);
	if (d)
		decline(rq, d);
	else if (node_child(x, A_invite, NS_MUC_USER))
		invite(rq, x);
	else
		return false;
	return true;
}

static void added(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)ctx;
	(void)err; /* between the question below and the writer somebody took the right away: the invitation is then one to a closed door */
	(void)number;
	(void)gid;
}

bool muc_direct_invitation(struct request *rq)
{
	struct node *x = node_child(rq->stanza, A_x, NS_DIRECT_INVITE);
	struct principal by = muc_principal(rq->session);
	struct request room_rq = *rq;
	struct muc_room room;
	uint32_t account = x ? muc_account(rq, jid_bare(&rq->to)) : 0;

	if (!x || jid_parse(rq->a, node_attr(x, "jid"), &room_rq.to) ||
	    !(muc_classify(&room_rq.to) & (TO_CHAT | TO_OCCUPANT)) || !account)
		return true;
	room_rq.as = rq->to.full;
	if (!muc_look(&room_rq, &room))
		return false;
	if ((room.rec.flags & CHAT_IS_OPEN) && !muc_may(&room.rec, room.me.role, CHAT_MAY_ADD))
		return true; /* he comes in by himself */
	if (!muc_may(&room.rec, room.me.role, CHAT_MAY_ADD)) {
		muc_refuse(rq, ERR_FORBIDDEN);
		return false;
	}
	chat_add(&by, room.number, &account, 1, CHAT_DEFAULT, false, added, NULL);
	return true;
}
