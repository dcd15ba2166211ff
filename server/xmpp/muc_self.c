/*
 * Questions to an occupant and about oneself: self-ping (XEP-0410), the vCard behind a nick, joining by registration (XEP-0045 7.10). Nobody is
 * anonymous here, so what is asked of another occupant goes to his real address; only ping and vCard are answered at the room's. Home thread of the asker.
 */
#include "base/err.h"
#include "server/im/chat_room.h"
#include "server/im/person.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/router.h"
#include "xml/form.h"

#define REGISTER "http://jabber.org/protocol/muc#register"

/* XEP-0410 section 3: answered by the room itself; whoever is not in it gets the same answer, whether there is such a chat or not (row I07). */
static void ping_occupant(struct request *rq)
{
	struct muc_room room;

	struct seat *seat = muc_find(rq, &room) ? NULL : room_seat(rq->session, room.number);
	if (!seat || !seat->joined)
		reply_error(rq, "cancel", A_not_acceptable, "You are not in this chat with this session: join it");
	else if (muc_occupant(room.number, jid_resource(&rq->to)))
		reply_result(rq, NULL);
	else
		reply_error(rq, "cancel", A_item_not_found, "Nobody of that name is in the chat now");
}

static void vcard_occupant(struct request *rq)
{
	struct muc_room room;
	uint32_t account;

	if (!muc_look_member(rq, &room))
		return;
	account = muc_occupant(room.number, jid_resource(&rq->to));
	rq->as = rq->to.full;
	if (!account) {
		reply_error(rq, "cancel", A_item_not_found, "Nobody of that name is in the chat now");
		return;
	}
	rq->to = person_jid(rq->a, account);
	rq->addressee = account == rq->session->user->id ? TO_SELF : TO_ACCOUNT;
	router_iq(rq);
}

static void ping_chat(struct request *rq)
{
	struct muc_room room;

	if (muc_look(rq, &room))
		reply_result(rq, NULL);
}

/* ---- registration ---- */

static void register_get(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_REGISTER), *form;
	struct str nick = chat_nick(rq->a, rq->session->user->id);
	struct muc_room room;

	if (!muc_look(rq, &room))
		return;
	if (room.me.role >= CHAT_MEMBER) {
		node_add(rq->a, q, A_registered, NS_REGISTER);
		node_add_text(rq->a, q, A_username, NS_REGISTER, nick);
	} else {
		node_add_text(rq->a, q, A_instructions, NS_REGISTER,
			      STR("Send this form and you are a member of the chat"));
		form = form_new(rq->a, q, "form", REGISTER);
		form_field(rq->a, form, "muc#register_roomnick", "text-single", "Your name, as the company has it",
			   nick);
	}
	reply_result(rq, q);
}

static void register_set(struct request *rq)
{
	struct principal by = muc_principal(rq->session);
	struct node *form = node_child(rq->child, A_x, NS_DATA);
	struct muc_room room;

	if (!muc_look(rq, &room))
		return;
	if (node_child(rq->child, A_remove, NS_REGISTER)) {
		chat_remove(&by, room.number, by.account, false, STR_NONE, muc_answered, muc_later(rq));
	} else if (form && str_eq_c(node_attr(form, "type"), "cancel")) {
		reply_result(rq, NULL);
	} else if (room.me.role >= CHAT_MEMBER) {
		reply_result(rq, NULL);
	} else {
		chat_add(&by, room.number, &by.account, 1, CHAT_DEFAULT, false, muc_answered, muc_later(rq));
	}
}

static const struct handler rows[] = {
	{ IQ_GET, A_ping, NS_PING, TO_OCCUPANT, 0, NULL, ping_occupant },
	{ IQ_GET, A_ping, NS_PING, TO_CHAT, 0, NULL, ping_chat },
	{ IQ_GET, A_vCard, NS_VCARD, TO_OCCUPANT, 0, NULL, vcard_occupant },
	{ IQ_GET, A_query, NS_REGISTER, TO_CHAT, 0, NULL, register_get },
	{ IQ_SET, A_query, NS_REGISTER, TO_CHAT, 0, NULL, register_set },
	{ .fn = NULL },
};
const struct handler_table muc_self_handlers = { "XEP-0410 self-ping, registration", rows, NULL, NULL };
