/*
 * jabber:iq:roster (RFC 6121 section 2): get, set, remove of the own roster; nobody writes or reads another's (row I03). What a roster shows is in
 * roster_view.c, what a change does in server/im/roster_change.c. Home thread.
 */
#include "base/err.h"
#include "server/im/org.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "server/xmpp/roster_view.h"
#include "server/xmpp/session_xmpp.h"

static void get(struct request *rq)
{
	struct user *u = rq->session->user;
	struct str asked = node_attr(rq->child, "ver");
	char ver[ROSTER_VER_MAX];

	if (!rq->session->wants_roster) {
		rq->session->wants_roster = true;
		sm_state_changed(rq->xs);
	}
	if (asked.n && str_eq(asked, roster_view_version(u, ver))) { /* 2.6.3: nothing new */
		reply_result(rq, NULL);
		return;
	}
	struct outgoing o = { .kind = STANZA_IQ,
			      .from = jid_is_none(&rq->to) ? STR_NONE : rq->to.full,
			      .type = STR("result"),
			      .id = rq->id };
	o.payload = roster_view_print(u);
	session_send(rq->session, &o);
	chunk_unref(o.payload);
}

static void changed(void *ctx, int err)
{
	if (err == ERR_LIMIT)
		pending_err(ctx, err, "Your roster has as many own contacts as the server allows; remove some");
	else if (err)
		pending_err(ctx, err, err == ERR_NOT_FOUND ? "That contact is not in your roster" : NULL);
	else
		pending_result(ctx, NULL);
}

static struct pending *answer_after_commit(struct request *rq)
{
	struct pending *p = reply_later(rq);

	pending_is_fast(p);
	return p;
}

static void remove_item(struct request *rq, const struct jid *contact)
{
	const struct roster_item *own = roster_item(rq->session->user, contact->full);

	if (own && own->listed) {
		roster_remove(rq->session, contact, changed, answer_after_commit(rq));
	} else if (roster_view_person(rq->session->user, contact->full)) {
		reply_error(rq, "cancel", A_not_allowed,
			    "This contact belongs to the company structure and cannot be removed; you may rename or "
			    "regroup it");
	} else {
		reply_error(rq, "cancel", A_item_not_found, "That contact is not in your roster");
	}
}

static bool refuse(struct request *rq, enum atom condition, const char *text)
{
	reply_error(rq, "modify", condition, text);
	return false;
}

/* 2.3.3: what a set must not contain. */
static bool read_item(struct request *rq, const struct node *n, struct roster_item *out)
{
	out->name = node_attr(n, "name");
	if (out->name.n > ROSTER_NAME_MAX)
		return refuse(rq, A_not_acceptable, "The name is too long: at most 1023 bytes");
	for (struct node *g = node_child(n, A_group, NS_ROSTER); g; g = node_next_same(g)) {
		struct str name = node_text(rq->a, g);
		if (!name.n)
			return refuse(rq, A_not_acceptable, "A group needs a name");
		if (name.n > ROSTER_NAME_MAX)
			return refuse(rq, A_not_acceptable, "The name of a group is too long: at most 1023 bytes");
		for (unsigned i = 0; i < out->groups; i++)
			if (str_eq(out->group[i], name))
				return refuse(rq, A_bad_request, "A group is named twice");
		if (out->groups == ROSTER_GROUPS_MAX)
			return refuse(rq, A_not_acceptable, "A contact can be in at most 16 groups");
		out->group[out->groups++] = name;
	}
	return true;
}

static void set(struct request *rq)
{
	struct node *n = node_child(rq->child, A_item, NS_ROSTER);
	struct roster_item item = { .groups = 0 };
	struct jid contact;

	if (!n || node_next(n) || node_first(rq->child) != n) {
		refuse(rq, A_bad_request, "A roster is changed by exactly one item");
		return;
	}
	if (!node_attr(n, "jid").n) {
		refuse(rq, A_bad_request, "An item needs the address of the contact");
		return;
	}
	if (jid_parse(rq->a, node_attr(n, "jid"), &contact)) {
		refuse(rq, A_jid_malformed, "The address of the contact is malformed");
		return;
	}
	contact = jid_to_bare(contact);
	if (jid_bare_eq(&contact, &rq->session->jid)) {
		reply_error(rq, "cancel", A_not_allowed, "You cannot be your own contact");
	} else if (str_eq_c(node_attr(n, "subscription"), "remove")) {
		remove_item(rq, &contact);
	} else if (read_item(rq, n, &item)) { /* any other subscription is for the server to say (2.1.2.5) */
		item.jid = contact.full;
		roster_put(rq->session, &contact, &item, changed, answer_after_commit(rq));
	}
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_ROSTER, TO_OWN, 0, "jabber:iq:roster", get },
	{ IQ_SET, A_query, NS_ROSTER, TO_OWN, 0, NULL, set },
	{ .fn = NULL },
};
static const char *const host_features[] = { "jabber:iq:roster", NULL };
const struct handler_table roster_handlers = { "RFC 6121 roster", rows, host_features, NULL };
