/* im.user.*, im.department.*: people and the structure, as far as the caller may see them (im/org.h). Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat_colour.h"
#include "server/im/org.h"
#include "server/im/presence.h"

enum { PAGE = 10, PAGE_MAX = 50 };

/* ---- people ---- */

bool rest_may_see(const struct rest_call *c, const struct org_person *p)
{
	if (!str_eq(jid_domain(&p->jid), c->by.domain))
		return false;
	if (!c->me)
		return principal_has(&c->by, SCOPE_READ);
	return c->me == p->account || org_visible(org_current(), c->me, p->account);
}

/* Somebody of the structure that one may see, or oneself. */
static bool is_seen(const struct rest_call *c, uint32_t account)
{
	const struct org_person *p = org_person(org_current(), account);

	return account && (account == c->me || (p && rest_may_see(c, p)));
}

static void user_get(struct rest_call *c)
{
	struct str id = rest_text(c, "ID");
	uint32_t account = id.n ? rest_account(c, id) : c->me;

	if (is_seen(c, account))
		rest_result(c, rest_user(c, account));
	else
		rest_error(c, 400, "USER_NOT_EXISTS", "ID names nobody");
}

struct users {
	struct rest_call *c;
	json_t *out;
};

static bool add_user(void *ctx, json_t *v)
{
	struct users *u = ctx;
	struct str id = rest_text_of(u->c, v);
	uint32_t account = rest_account(u->c, id);

	if (id.n && str_utf8_valid(id))
		json_object_set_new(u->out, arena_str(u->c->rq->a, id).p,
				    is_seen(u->c, account) ? rest_user(u->c, account) : json_null());
	return json_object_size(u->out) < PAGE_MAX;
}

static void user_list(struct rest_call *c)
{
	struct users u = { c, json_object() };
	struct str type = rest_text(c, "RESULT_TYPE");

	rest_each(c, "ID", add_user, &u);
	if (!str_ieq(type, STR("array"))) {
		rest_result(c, u.out);
		return;
	}
	json_t *list = json_array(), *v;
	const char *key;
	json_object_foreach(u.out, key, v) if (!json_is_null(v)) json_array_append(list, v);
	json_decref(u.out);
	rest_result(c, list);
}

static void status_get(struct rest_call *c)
{
	json_t *o = rest_user(c, c->me);

	json_t *status = json_incref(json_object_get(o, "status"));
	json_decref(o);
	rest_result(c, status);
}

/* What somebody's status is, his clients say by presence (RFC 6121 4); a statement of the portal is checked and has no effect (docs/rest.md). */
static void status_set(struct rest_call *c)
{
	static const char *const known[] = { "online", "dnd", "away", "break" };
	struct str s = rest_text(c, "STATUS");

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (str_eq_c(s, known[i])) {
			rest_result(c, json_true());
			return;
		}
	rest_error(c, 400, "STATUS_ERROR", "STATUS is online, dnd, away or break");
}

static void idle(struct rest_call *c)
{
	rest_result(c, json_true());
}

/* ---- departments ---- */

static bool is_below(const struct org_dept *d, const struct org_dept *top)
{
	for (; d; d = d->parent)
		if (d == top)
			return true;
	return false;
}

bool rest_may_see_department(const struct rest_call *c, const struct org_dept *d)
{
	size_t n;
	const struct org_person *const *all = org_people(org_current(), &n);

	for (size_t i = 0; i < n; i++)
		if (all[i]->dept && is_below(all[i]->dept, d) && rest_may_see(c, all[i]))
			return true;
	return false;
}

struct ids {
	struct rest_call *c;
	const struct org_dept *v[PAGE_MAX];
	size_t n;
};

static bool add_dept(void *ctx, json_t *v)
{
	struct ids *l = ctx;
	size_t n;
	uint64_t id;
	const struct org_dept *const *all = org_depts(org_current(), &n);

	if (str_u64(rest_text_of(l->c, v), UINT32_MAX, &id))
		return true;
	for (size_t i = 0; i < n; i++)
		if (all[i]->id == id && rest_may_see_department(l->c, all[i]))
			l->v[l->n++] = all[i];
	return l->n < PAGE_MAX;
}

static void department_get(struct rest_call *c)
{
	struct ids l = { .c = c };
	json_t *out = json_array();

	rest_each(c, "ID", add_dept, &l);
	for (size_t i = 0; i < l.n; i++)
		json_array_append_new(out, rest_department(c, l.v[i]));
	rest_result(c, out);
}

/* {department: [people]} of the departments asked for; heads only or all. */
static void people_of(struct rest_call *c, bool heads)
{
	struct ids l = { .c = c };
	json_t *out = json_object();
	bool data = rest_yes(c, "USER_DATA", false);
	size_t n;
	const struct org_person *const *all = org_people(org_current(), &n);

	rest_each(c, "ID", add_dept, &l);
	for (size_t i = 0; i < l.n; i++) {
		json_t *list = json_array();
		for (size_t k = 0; k < n; k++)
			if (all[k]->dept == l.v[i] && (!heads || all[k]->head) && rest_may_see(c, all[k]))
				json_array_append_new(list, data ? rest_user(c, all[k]->account)
								 : rest_id_of_person(c, all[k]->account));
		json_object_set_new(out, arena_printf(c->rq->a, "%u", l.v[i]->id).p, list);
	}
	rest_result(c, out);
}

static void department_employees(struct rest_call *c)
{
	people_of(c, false);
}

static void department_managers(struct rest_call *c)
{
	people_of(c, true);
}

/* Those of one's own department. */
static void department_colleagues(struct rest_call *c)
{
	const struct org_person *me = org_person(org_current(), c->me);
	size_t n, max = rest_limit(c, PAGE, PAGE_MAX);
	uint64_t skip = rest_number(c, "OFFSET", 0);
	const struct org_person *const *all = org_people(org_current(), &n);
	bool data = rest_yes(c, "USER_DATA", false);
	json_t *list = json_array();

	for (size_t i = 0; me && me->dept && i < n && json_array_size(list) < max; i++) {
		if (all[i]->dept != me->dept || all[i] == me || !rest_may_see(c, all[i]))
			continue;
		if (skip)
			skip--;
		else
			json_array_append_new(list, data ? rest_user(c, all[i]->account)
							 : rest_id_of_person(c, all[i]->account));
	}
	rest_result(c, list);
}

#define ID                                                                                                             \
	{                                                                                                              \
		"ID", "ID_EMPTY"                                                                                       \
	}
const struct rest_method rest_user_methods[] = {
	{ "im.user.get", user_get, REST_ANYBODY },
	{ "im.user.list.get", user_list, REST_READER, { { "ID", "INVALID_FORMAT" } } },
	{ "im.user.status.get", status_get, REST_READER },
	{ "im.user.status.set", status_set, REST_ACTOR, { { "STATUS", "STATUS_ERROR" } } },
	{ "im.user.status.idle.start", idle, REST_ACTOR },
	{ "im.user.status.idle.end", idle, REST_ACTOR },
	{ "im.department.get", department_get, REST_READER, { ID } },
	{ "im.department.employees.get", department_employees, REST_READER, { ID } },
	{ "im.department.managers.get", department_managers, REST_READER, { ID } },
	{ "im.department.colleagues.list", department_colleagues, REST_READER },
	{ .name = NULL },
};
