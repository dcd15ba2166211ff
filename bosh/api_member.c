/* /api/v1/chats/N/members: list, add, take out or leave, role. Rules: server/im/chat.h. Worker of the connection. */
#include "bosh/api_chat.h"
#include "bosh/api_json.h"
#include "base/err.h"
#include "server/im/chat.h"
#include "server/im/im.h"
#include "server/net/limits.h"

struct listing {
	struct http_request *rq;
	json_t *list;
	uint32_t after, last;
	size_t n, max;
	bool more, banned;
};

static bool add_member(void *ctx, const struct chat_member_rec *m)
{
	struct listing *l = ctx;

	if (m->account <= l->after || (m->role == CHAT_OUTCAST) != l->banned)
		return true;
	if (l->n == l->max) {
		l->more = true;
		return false;
	}
	json_array_append_new(l->list, api_json_member(l->rq->a, m));
	l->last = m->account;
	l->n++;
	return true;
}

/* Who may know the members: those who are in it, and services with the scope chats (row I07). Banned people: managers only. */
static int may_list(struct http_request *rq, const struct chat_member_rec *me, bool banned)
{
	if (!rq->who->account)
		return 0;
	return me->role >= (banned ? CHAT_MANAGER : CHAT_MEMBER) ? 0 : ERR_FORBIDDEN;
}

static void member_list(struct http_request *rq)
{
	struct listing l = { .rq = rq, .max = api_limit(rq, 100, 500), .banned = api_query_flag(rq, "banned") };
	struct str cursor = http_query(rq, "after");
	struct chat_rec c;
	struct chat_member_rec me;
	uint64_t number, after = 0;

	if (!api_number(rq, rq->param[0], &number))
		return;
	if (cursor.p && str_u64(cursor, UINT32_MAX, &after)) {
		answer_error(rq, 400, "bad_request", "after is what next said");
		return;
	}
	l.after = (uint32_t)after;
	l.list = json_array();
	struct txn *t = im_read();
	int err = api_chat_look(rq, t, number, &c, &me);
	if (!err)
		err = may_list(rq, &me, l.banned);
	if (!err)
		chat_member_each(t, number, add_member, &l);
	txn_commit(t);
	if (err) {
		json_decref(l.list);
		api_chat_error(rq, err);
		return;
	}
	json_t *next = l.more ? api_str(arena_printf(rq->a, "%u", l.last)) : json_null();
	answer_value(rq, 200, json_pack("{s:o, s:o}", "members", l.list, "next", next));
}

static void member_add(struct http_request *rq)
{
	json_t *in = api_body(rq);
	uint64_t number;
	uint32_t *v;
	size_t n;

	if (!in || !api_number(rq, rq->param[0], &number) ||
	    !api_people(rq, json_object_get(in, "people"), "people", limits()->chat_adds, &v, &n))
		return;
	if (!n) {
		answer_error(rq, 400, "people", "people is a list with at least one number or login");
		return;
	}
	json_t *hide = json_object_get(in, "hide_history");
	chat_add(rq->who, number, v, n, json_is_boolean(hide) ? json_is_true(hide) : CHAT_DEFAULT,
		 api_flag(in, "skip_line", false), api_chat_done, rq);
}

static void member_remove(struct http_request *rq)
{
	uint64_t number;
	uint32_t account;

	if (!api_number(rq, rq->param[0], &number) || !(account = api_person_named(rq, rq->param[1])))
		return;
	chat_remove(rq->who, number, account, api_query_flag(rq, "skip_line"), STR_NONE, api_chat_done, rq);
}

static void member_role(struct http_request *rq)
{
	json_t *in = api_body(rq);
	enum chat_role role;
	uint64_t number;
	uint32_t account;

	if (!in || !api_number(rq, rq->param[0], &number) || !(account = api_person_named(rq, rq->param[1])))
		return;
	if (api_role(api_text(rq, in, "role"), &role)) {
		answer_error(rq, 400, "role", "role is owner, manager, member, none or outcast");
		return;
	}
	struct str reason = api_text(rq, in, "reason");
	if (api_check_text(rq, "reason", reason, limits()->chat_text_bytes, false))
		chat_set_role(rq->who, number, account, role, reason, api_chat_done, rq);
}

const struct route member_routes[] = {
	{ "GET", "/api/v1/chats/{chat}/members", ROUTE_TOKEN, member_list },
	{ "POST", "/api/v1/chats/{chat}/members", ROUTE_TOKEN, member_add },
	{ "DELETE", "/api/v1/chats/{chat}/members/{person}", ROUTE_TOKEN, member_remove },
	{ "PATCH", "/api/v1/chats/{chat}/members/{person}", ROUTE_TOKEN, member_role },
	{ .path = NULL },
};
