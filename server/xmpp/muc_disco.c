/*
 * What the chat service and a chat tell about themselves (XEP-0030, 0045 sections 6.2 to 6.5, XEP-0128 form): features, description, who is in it. Nothing of a
 * closed chat to outsiders (row I07). Home thread of the asker.
 */
#include "base/hash.h"
#include "server/im/chat_colour.h"
#include "server/im/chat_room.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/muc.h"
#include "xml/form.h"
#include "xml/rsm.h"

#define MUC "http://jabber.org/protocol/muc"

static void add_features(struct arena *a, struct node *q, const char *const *v)
{
	for (; *v; v++)
		node_set(a, node_add(a, q, A_feature, NS_DISCO_INFO), "var", str_c(*v));
}

static void add_identity(struct arena *a, struct node *q, struct str name)
{
	struct node *i = node_add(a, q, A_identity, NS_DISCO_INFO);

	node_set(a, i, "category", STR("conference"));
	node_set(a, i, "type", STR("text"));
	node_set(a, i, "name", name);
}

/* ---- the service ---- */

static const char *const service_features[] = {
	"http://jabber.org/protocol/disco#info",
	"http://jabber.org/protocol/disco#items",
	MUC,
	MUC "#stable_id",
	"http://jabber.org/protocol/rsm",
	"urn:xmpp:occupant-id:0",
	"urn:xmpp:hats:0",
	"urn:xmpp:ping",
	"urn:xmpp:mam:2",
	"vcard-temp",
	"urn:xmpp:channel-search:0:search",
	"https://xmlns.zombofant.net/muclumbus/search/1.0",
	NULL,
};

static bool has_no_node(struct request *rq)
{
	if (!node_attr(rq->child, "node").p)
		return true;
	reply_error(rq, "cancel", A_item_not_found, "There is no such node");
	return false;
}

static void info_service(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO);

	if (!has_no_node(rq))
		return;
	add_identity(rq->a, q, STR("Chats"));
	add_features(rq->a, q, service_features);
	reply_result(rq, q);
}

struct listing {
	struct request *rq;
	struct node *query;
	struct str people;
	uint64_t first, last, max, n;
	bool more;
};

static bool list_chat(void *ctx, const struct chat_rec *r)
{
	struct listing *l = ctx;
	struct arena *a = l->rq->a;

	if (l->n == l->max) {
		l->more = true;
		return false;
	}
	struct node *i = node_add(a, l->query, A_item, NS_DISCO_ITEMS);
	node_set(a, i, "jid", muc_address(a, r));
	node_set(a, i, "name", arena_str(a, r->title));
	if (!l->n++)
		l->first = r->number;
	l->last = r->number;
	return true;
}

static struct str number_text(struct arena *a, uint64_t number)
{
	return number ? arena_printf(a, "%llu", (unsigned long long)number) : STR_NONE;
}

/* Open chats and one's own, in pages (XEP-0045 6.3, XEP-0059). Pages go forward only. */
static void items_service(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_DISCO_ITEMS);
	struct listing l = { .rq = rq, .query = q, .max = limits()->chat_list };
	struct rsm_query r;
	uint64_t after = 0;

	if (!has_no_node(rq))
		return;
	if (rsm_parse(rq->a, rq->child, &r) || r.has_before || r.has_index ||
	    (r.has_after && str_u64(r.after, UINT64_MAX, &after))) {
		reply_error(rq, "modify", A_bad_request,
			    "Pages go forward: ask with <after/> and the <last/> of the page before");
		return;
	}
	if (r.has_max && r.max < l.max)
		l.max = r.max;
	muc_service(jid_domain(&rq->to), &l.people);
	if (str_eq(l.people, jid_domain(&rq->session->jid))) {
		struct txn *t = im_read();
		chat_search(t, l.people, rq->session->user->id, STR_NONE, after, list_chat, &l);
		txn_commit(t);
	}
	if (r.has_max || l.more)
		rsm_add(rq->a, q, number_text(rq->a, l.first), number_text(rq->a, l.last), UINT64_MAX, UINT64_MAX);
	reply_result(rq, q);
}

/* ---- a chat ---- */

static const char *const chat_features[] = {
	"http://jabber.org/protocol/disco#info",
	"http://jabber.org/protocol/disco#items",
	MUC,
	MUC "#stable_id",
	MUC "#self-ping-optimization",
	MUC "#request",
	"muc_persistent",
	"muc_nonanonymous",
	"muc_unsecured",
	"vcard-temp",
	"urn:xmpp:mam:2",
	"urn:xmpp:mam:2#extended",
	"urn:xmpp:sid:0",
	"urn:xmpp:ping",
	"urn:xmpp:occupant-id:0",
	"urn:xmpp:hats:0",
	"urn:xmpp:message-moderate:1",
	"urn:xmpp:message-retract:1",
	"urn:xmpp:message-retract:1#tombstone",
	"urn:xmpp:reactions:0",
	"jabber:iq:register",
	"jabber:x:conference",
	NULL,
};

static void field(struct arena *a, struct node *form, const char *var, const char *type, const char *label,
		  struct str value)
{
	form_field(a, form, var, type, label, value.p ? value : STR(""));
}

/* The form of XEP-0045 6.4 and 15.5.4. */
static void add_room_info(struct request *rq, struct node *q, const struct muc_room *room)
{
	struct arena *a = rq->a;
	const struct chat_rec *r = &room->rec;
	struct node *f = form_new(a, q, "result", MUC "#roominfo");
	struct room *live = room_find(room->number);
	size_t occupants = live ? idmap_count(live->occupants) : 0;

	field(a, f, "muc#roomconfig_roomname", "text-single", "Title", r->title);
	field(a, f, "muc#roominfo_description", "text-single", "Description", r->description);
	field(a, f, "muc#roominfo_subject", "text-single", "Subject", r->subject);
	field(a, f, "muc#roominfo_subjectmod", "boolean", "Members may change the subject",
	      r->permission[CHAT_MAY_POST] <= CHAT_MEMBER ? STR("1") : STR("0"));
	field(a, f, "muc#roominfo_occupants", "text-single", "Number of occupants", arena_printf(a, "%zu", occupants));
	field(a, f, "muc#roomconfig_allowinvites", "boolean", "Members may invite",
	      r->permission[CHAT_MAY_ADD] <= CHAT_MEMBER ? STR("1") : STR("0"));
	if (r->avatar.n)
		field(a, f, "muc#roominfo_avatarhash", "text-multi", "Avatar hash", r->avatar);
	field(a, f, "{urn:vestnik:chat:0}number", "text-single", "Number of the chat (chat ID of the portal)",
	      number_text(a, room->number));
	field(a, f, "{urn:vestnik:chat:0}colour", "text-single", "Colour", chat_colour_name(r->colour));
	field(a, f, "{urn:vestnik:chat:0}members", "text-single", "Number of members",
	      arena_printf(a, "%u", r->n_members));
}

/* XEP-0045 7.12: the nick that the asker has. */
static void info_nick(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO);

	node_set(rq->a, q, "node", node_attr(rq->child, "node"));
	add_identity(rq->a, q, chat_nick(rq->a, rq->session->user->id));
	reply_result(rq, q);
}

static void info_chat(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO);
	bool open, moderated;
	struct muc_room room;

	if (!muc_look(rq, &room))
		return;
	if (str_eq_c(node_attr(rq->child, "node"), "x-roomuser-item"))
		return info_nick(rq);
	if (!has_no_node(rq))
		return;
	open = room.rec.flags & CHAT_IS_OPEN;
	moderated = room.rec.permission[CHAT_MAY_POST] > CHAT_MEMBER;
	const char *const own[] = { open ? "muc_open" : "muc_membersonly", open ? "muc_public" : "muc_hidden",
				    moderated ? "muc_moderated" : "muc_unmoderated", NULL };
	add_identity(rq->a, q, room.rec.title);
	add_features(rq->a, q, chat_features);
	add_features(rq->a, q, own);
	add_room_info(rq, q, &room);
	reply_result(rq, q);
}

struct occupants {
	struct arena *a;
	struct node *query;
	struct str address;
};

static void list_occupant(void *ctx, const struct occupant *o)
{
	struct occupants *l = ctx;
	struct node *i = node_add(l->a, l->query, A_item, NS_DISCO_ITEMS);

	node_set(l->a, i, "jid", arena_printf(l->a, "%.*s/%.*s", STR_ARG(l->address), STR_ARG(o->nick)));
	node_set(l->a, i, "name", arena_str(l->a, o->nick));
}

/* Who is in it, for members (XEP-0045 6.5). */
static void items_chat(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_DISCO_ITEMS);
	struct muc_room room;

	if (!muc_look(rq, &room) || !has_no_node(rq))
		return;
	struct occupants l = { .a = rq->a, .query = q, .address = room.address };
	struct room *live = room_find(room.number);
	if (live && room.me.role >= CHAT_MEMBER)
		room_each_occupant(live, list_occupant, &l);
	reply_result(rq, q);
}

static void ping_service(struct request *rq)
{
	reply_result(rq, NULL);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_DISCO_INFO, TO_CHATS, 0, NULL, info_service },
	{ IQ_GET, A_query, NS_DISCO_ITEMS, TO_CHATS, 0, NULL, items_service },
	{ IQ_GET, A_query, NS_DISCO_INFO, TO_CHAT, 0, NULL, info_chat },
	{ IQ_GET, A_query, NS_DISCO_ITEMS, TO_CHAT, 0, NULL, items_chat },
	{ IQ_GET, A_ping, NS_PING, TO_CHATS, 0, NULL, ping_service },
	{ .fn = NULL },
};
const struct handler_table muc_disco_handlers = { "XEP-0045 discovery", rows, NULL, NULL };
