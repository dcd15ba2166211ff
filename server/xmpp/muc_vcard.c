/* The vCard of a chat (XEP-0054 as room clients ask for it): title, description, address. Its picture is set by the portal and the API. Home thread of the asker. */
#include "base/err.h"
#include "server/xmpp/muc.h"

static void get(struct request *rq)
{
	struct node *card = node_new(rq->a, A_vCard, NS_VCARD);
	struct muc_room room;

	if (!muc_look(rq, &room))
		return;
	node_add_text(rq->a, card, A_FN, NS_VCARD, room.rec.title);
	if (room.rec.description.n)
		node_add_text(rq->a, card, A_DESC, NS_VCARD, room.rec.description);
	node_add_text(rq->a, card, A_JABBERID, NS_VCARD, room.address);
	reply_result(rq, card);
}

static void set(struct request *rq)
{
	struct muc_room room;

	if (!muc_look(rq, &room))
		return;
	if (!muc_may(&room.rec, room.me.role, CHAT_MAY_SETTINGS))
		muc_refuse(rq, ERR_FORBIDDEN);
	else
		reply_error(rq, "cancel", A_feature_not_implemented,
			    "Title and description are set by the chat's settings, the picture by the portal");
}

static const struct handler rows[] = {
	{ IQ_GET, A_vCard, NS_VCARD, TO_CHAT, 0, NULL, get },
	{ IQ_SET, A_vCard, NS_VCARD, TO_CHAT, 0, NULL, set },
	{ .fn = NULL },
};
const struct handler_table muc_vcard_handlers = { "XEP-0054 of a chat", rows, NULL, NULL };
