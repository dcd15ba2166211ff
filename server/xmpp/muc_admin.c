/*
 * Administration of a chat (XEP-0045 sections 8 and 9): lists by affiliation and role, changes of both. Roles follow from affiliations and the chat's
 * permissions, so a role cannot be given by itself; taking it away (kick) takes the person out of the chat. Items of one request are applied one after
 * the other; the first that is refused ends it. Home thread of the asker.
 */
#include "base/err.h"
#include "server/im/chat_room.h"
#include "server/im/im.h"
#include "server/im/person.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/reply.h"
#include <string.h>

/* ---- lists ---- */

struct list_query {
	struct request *rq;
	struct node *query;
	const struct muc_room *room;
	const char *affiliation, *role;
};

static bool collect(void *ctx, const struct chat_member_rec *m)
{
	struct list_query *l = ctx;
	struct arena *a = l->rq->a;
	const char *affiliation = muc_affiliation(m->role);

	if (l->affiliation && strcmp(l->affiliation, affiliation) != 0)
		return true;
	struct node *i = node_add(a, l->query, A_item, NS_MUC_ADMIN);
	node_set(a, i, "affiliation", str_c(affiliation));
	node_set(a, i, "jid", person_jid(a, m->account).full);
	if (m->role >= CHAT_MEMBER)
		node_set(a, i, "nick", chat_nick(a, m->account));
	return true;
}

static void list_affiliation(struct list_query *l)
{
	struct txn *t = im_read();

	chat_member_each(t, l->room->number, collect, l);
	txn_commit(t);
}

static void collect_occupant(void *ctx, const struct occupant *o)
{
	struct list_query *l = ctx;
	struct arena *a = l->rq->a;
	const char *role = muc_role(&l->room->rec, o->role);

	if (strcmp(role, l->role) != 0)
		return;
	struct node *i = node_add(a, l->query, A_item, NS_MUC_ADMIN);
	node_set(a, i, "affiliation", str_c(muc_affiliation(o->role)));
	node_set(a, i, "role", str_c(role));
	node_set(a, i, "nick", arena_str(a, o->nick));
	node_set(a, i, "jid", person_jid(a, o->account).full);
}

/* Members see each other (the chat is not anonymous); who was banned is for those who may take people out (rows I07, I13). */
static bool may_list(const struct muc_room *room, struct str affiliation)
{
	return !str_eq_c(affiliation, "outcast") || muc_may(&room->rec, room->me.role, CHAT_MAY_REMOVE);
}

static bool find_name(struct str value, const char *const *names, const char **out)
{
	for (; *names; names++)
		if (str_eq_c(value, *names)) {
			*out = *names;
			return true;
		}
	return false;
}

static const char *const affiliations[] = { "owner", "admin", "member", "outcast", "none", NULL };
static const char *const roles[] = { "moderator", "participant", "visitor", "none", NULL };

static void get_list(struct request *rq)
{
	struct node *item = node_child(rq->child, A_item, NS_MUC_ADMIN);
	struct muc_room room;
	struct list_query l = { .rq = rq, .query = node_new(rq->a, A_query, NS_MUC_ADMIN), .room = &room };

	if (!muc_look_member(rq, &room))
		return;
	bool by_affiliation = item && find_name(node_attr(item, "affiliation"), affiliations, &l.affiliation);
	bool by_role = item && !by_affiliation && find_name(node_attr(item, "role"), roles, &l.role);
	if (!by_affiliation && !by_role) {
		reply_error(rq, "modify", A_bad_request, "Ask for one affiliation or one role");
	} else if (by_affiliation && !may_list(&room, str_c(l.affiliation))) {
		muc_refuse(rq, ERR_FORBIDDEN);
	} else {
		struct room *live = room_find(room.number);
		if (!by_role)
			list_affiliation(&l);
		else if (live)
			room_each_occupant(live, collect_occupant, &l);
		reply_result(rq, l.query);
	}
}

/* ---- changes ---- */

struct change_item {
	uint32_t account;
	enum chat_role role; /* what he becomes */
	bool join;	     /* was not in it: is added */
	bool kick;	     /* by role (8.2) */
	bool nothing;	     /* has that role already */
	struct str reason;
};
/* One request on its way: the next item is submitted when the one before is done. */
struct admin_run {
	struct arena *a;
	struct pending *pending;
	struct principal by;
	uint64_t number;
	struct change_item *items;
	size_t n, next;
};

static void run_end(struct admin_run *r)
{
	arena_free(r->a);
}

static void run_next(struct admin_run *r);

static void item_done(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct admin_run *r = ctx;

	(void)number;
	(void)gid;
	if (err) {
		muc_refuse_later(r->pending, err);
		run_end(r);
	} else {
		run_next(r);
	}
}

static void run_next(struct admin_run *r)
{
	if (r->next == r->n) {
		pending_result(r->pending, NULL);
		run_end(r);
		return;
	}
	struct change_item *i = &r->items[r->next++];
	if (i->nothing)
		run_next(r);
	else if (i->join)
		chat_add(&r->by, r->number, &i->account, 1, CHAT_DEFAULT, false, item_done, r);
	else if (i->kick)
		chat_remove(&r->by, r->number, i->account, false, i->reason, item_done, r);
	else
		chat_set_role(&r->by, r->number, i->account, i->role, i->reason, item_done, r);
}

static uint32_t account_of_item(struct request *rq, const struct muc_room *room, const struct node *item)
{
	struct str jid = node_attr(item, "jid"), nick = node_attr(item, "nick");

	if (jid.n)
		return muc_account(rq, jid);
	return nick.n ? muc_occupant(room->number, nick) : 0;
}

static enum chat_role affiliation_value(const char *name)
{
	for (uint8_t r = CHAT_OUTCAST; r <= CHAT_OWNER; r++)
		if (strcmp(muc_affiliation(r), name) == 0)
			return r;
	return CHAT_NONE;
}

static uint8_t present_role(uint64_t number, uint32_t account)
{
	struct chat_member_rec m;
	struct txn *t = im_read();
	uint8_t role = chat_member_get(t, number, account, &m) ? CHAT_NONE : m.role;

	txn_commit(t);
	return role;
}

/* What a role means here: "none" takes the person out; the one he has is granted; others are a matter of affiliation (5.1.2 leaves that to us). */
static const char *read_role(const struct muc_room *room, uint8_t present, const char *role, struct change_item *out)
{
	out->kick = strcmp(role, "none") == 0;
	out->nothing = !out->kick;
	return out->kick || strcmp(role, muc_role(&room->rec, present)) == 0
		       ? NULL
		       : "Roles follow from the affiliation: make the person an admin, or change who may write";
}

/* NULL, or what is wrong (not-allowed). */
static const char *read_item(struct request *rq, const struct muc_room *room, const struct node *item,
			     struct change_item *out)
{
	const char *affiliation, *role;

	out->account = account_of_item(rq, room, item);
	out->reason = node_child_text(rq->a, item, A_reason, NS_MUC_ADMIN);
	if (!out->account)
		return "There is no such person in this domain";
	uint8_t present = present_role(room->number, out->account);
	if (find_name(node_attr(item, "affiliation"), affiliations, &affiliation)) {
		out->role = affiliation_value(affiliation);
		out->join = out->role == CHAT_MEMBER && present == CHAT_NONE;
		out->nothing = out->role == present;
		return NULL;
	}
	if (find_name(node_attr(item, "role"), roles, &role))
		return read_role(room, present, role, out);
	return "Give each item an affiliation or a role";
}

static struct admin_run *run_new(struct request *rq, const struct muc_room *room)
{
	size_t n = 1;
	struct arena *a = arena_new(1024);

	node_each (item, rq->child)
		n++;
	struct admin_run *r = ARENA_NEW(a, struct admin_run);

	r->a = a;
	r->by = muc_principal(rq->session);
	r->by.domain = arena_str(a, r->by.domain);
	r->by.name = arena_str(a, r->by.name);
	r->number = room->number;
	r->items = arena_zero(a, n * sizeof *r->items);
	return r;
}

static void set_list(struct request *rq)
{
	struct muc_room room;
	const char *wrong = NULL;

	if (!muc_look_member(rq, &room))
		return;
	struct admin_run *r = run_new(rq, &room);
	for (struct node *n = node_child(rq->child, A_item, NS_MUC_ADMIN); n && !wrong; n = node_next_same(n)) {
		wrong = read_item(rq, &room, n, &r->items[r->n]);
		r->items[r->n].reason = arena_str(r->a, r->items[r->n].reason);
		r->n++;
	}
	if (wrong || !r->n) {
		if (wrong)
			reply_error(rq, "cancel", A_not_allowed, wrong);
		else
			reply_error(rq, "modify", A_bad_request, "Name the people as items");
		run_end(r);
		return;
	}
	r->pending = muc_later(rq);
	run_next(r);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_MUC_ADMIN, TO_CHAT, 0, NULL, get_list },
	{ IQ_SET, A_query, NS_MUC_ADMIN, TO_CHAT, 0, NULL, set_list },
	{ .fn = NULL },
};
const struct handler_table muc_admin_handlers = { "XEP-0045 administration", rows, NULL, NULL };
