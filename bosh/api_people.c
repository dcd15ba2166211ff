/*
 * /api/v1/me, people, departments, presence: the company structure as the asker may see it (im.visibility, own contacts). A service with the scope read that acts
 * for nobody sees its domain. Worker of the connection.
 */
#include "bosh/api_json.h"
#include "bosh/api.h"
#include "server/im/fanout.h"
#include "server/im/org.h"
#include "server/im/person.h"
#include "server/im/presence.h"
#include "server/im/session.h"
#include "server/net/threads.h"

/* Who looks: a person, or 0 for a service that sees all of the domain. */
static bool may_see(uint32_t viewer, uint32_t subject)
{
	return !viewer || viewer == subject || presence_may_see(viewer, subject);
}

static bool in_sight(const struct http_request *rq, uint32_t viewer, const struct org_person *p)
{
	if (!str_eq(jid_domain(&p->jid), rq->who->domain))
		return false;
	return !viewer || viewer == p->account || org_visible(org_current(), viewer, p->account);
}

/* ---- one person ---- */

static json_t *card(struct http_request *rq, uint32_t account)
{
	struct jid j = person_jid(rq->a, account);
	json_t *o = api_json_card(rq->a, account);

	json_object_set_new(o, "online", json_boolean(presence_is_available(jid_bare(&j))));
	return o;
}

static void me_show(struct http_request *rq)
{
	uint32_t me = api_me(rq);

	if (me)
		answer_value(rq, 200, card(rq, me));
}

/* The person of the path, if the asker may know him; 0 after answering. */
static uint32_t subject(struct http_request *rq)
{
	uint32_t viewer, account;

	if (!api_viewer(rq, SCOPE_READ, &viewer))
		return 0;
	account = api_account(rq, rq->who->domain, rq->param[0]);
	if (account && may_see(viewer, account))
		return account;
	answer_error(rq, 404, "person", "There is no such person, or you may not see him");
	return 0;
}

static void person_show(struct http_request *rq)
{
	uint32_t account = subject(rq);

	if (account)
		answer_value(rq, 200, card(rq, account));
}

/* ---- search ---- */

static bool has_words(const struct org_person *p, struct str words)
{
	const struct str fields[] = { p->full_name, jid_local(&p->jid), p->phone, p->position, p->email };

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (str_has_folded(fields[i], words))
			return true;
	return false;
}

static bool within(const struct org_dept *d, uint64_t id, bool below)
{
	for (; d; d = below ? d->parent : NULL)
		if (d->id == id)
			return true;
	return false;
}

/* What is asked for in the query. */
struct search {
	uint32_t viewer;
	struct str words;
	uint64_t dept;
	bool below;
	size_t first, max;
};

static bool search_read(struct http_request *rq, struct search *s)
{
	struct str dept = http_query(rq, "department"), after = http_query(rq, "after");
	uint64_t place = 0;

	*s = (struct search){ .words = http_query(rq, "q"),
			      .below = api_query_flag(rq, "below"),
			      .max = api_limit(rq, 50, 200) };
	if (!api_viewer(rq, SCOPE_READ, &s->viewer))
		return false;
	if ((dept.p && str_u64(dept, UINT32_MAX, &s->dept)) || (after.p && str_u64(after, SIZE_MAX, &place))) {
		answer_error(rq, 400, "bad_request", "department and after are numbers that this API gave");
		return false;
	}
	s->first = (size_t)place;
	return true;
}

static void people_list(struct http_request *rq)
{
	struct search s;
	size_t n, i, found = 0;
	const struct org_person *const *v = org_people(org_current(), &n);

	if (!search_read(rq, &s))
		return;
	json_t *list = json_array();
	for (i = s.first; i < n && found < s.max; i++) {
		if (!in_sight(rq, s.viewer, v[i]) || (s.dept && !within(v[i]->dept, s.dept, s.below)) ||
		    (s.words.n && !has_words(v[i], s.words)))
			continue;
		json_array_append_new(list, card(rq, v[i]->account));
		found++;
	}
	json_t *next = i < n ? api_str(arena_printf(rq->a, "%zu", i)) : json_null();
	answer_value(rq, 200, json_pack("{s:o, s:o}", "people", list, "next", next));
}

/* ---- departments: those in which the asker sees somebody ---- */

struct dept_view {
	const struct org_dept *const *v;
	json_t **heads; /* NULL: not to be seen */
	size_t n;
};

static size_t place_of(const struct dept_view *d, const struct org_dept *dept)
{
	size_t i = 0;

	while (i < d->n && d->v[i] != dept)
		i++;
	return i;
}

static void see(struct dept_view *d, const struct org_dept *dept)
{
	for (; dept; dept = dept->parent) {
		size_t i = place_of(d, dept);
		if (i == d->n || d->heads[i])
			return; /* those above it were seen then */
		d->heads[i] = json_array();
	}
}

/* People of a department stand together in org_people(): each is looked for about once. */
static struct dept_view see_departments(struct http_request *rq, uint32_t viewer)
{
	struct dept_view d = { 0 };
	const struct org_dept *last = NULL;
	size_t n, at = 0;
	const struct org_person *const *people = org_people(org_current(), &n);

	d.v = org_depts(org_current(), &d.n);
	d.heads = arena_zero(rq->a, (d.n + 1) * sizeof *d.heads);
	for (size_t i = 0; i < n; i++) {
		if (!people[i]->dept || !in_sight(rq, viewer, people[i]))
			continue;
		if (people[i]->dept != last) {
			last = people[i]->dept;
			see(&d, last);
			at = place_of(&d, last);
		}
		if (people[i]->head && at < d.n)
			json_array_append_new(d.heads[at], api_ref(rq->a, people[i]->account));
	}
	return d;
}

static void departments(struct http_request *rq)
{
	uint32_t viewer;

	if (!api_viewer(rq, SCOPE_READ, &viewer))
		return;
	struct dept_view d = see_departments(rq, viewer);
	json_t *list = json_array();
	for (size_t i = 0; i < d.n; i++)
		if (d.heads[i])
			json_array_append_new(list,
					      json_pack("{s:I, s:o, s:o, s:o, s:o}", "id", (json_int_t)d.v[i]->id,
							"parent",
							d.v[i]->parent ? json_integer(d.v[i]->parent->id) : json_null(),
							"name", api_str(d.v[i]->name), "path", api_str(d.v[i]->path),
							"heads", d.heads[i]));
	answer_value(rq, 200, json_pack("{s:o}", "departments", list));
}

/* ---- presence ---- */

static void count_device(void *ctx, struct str resource, int8_t priority, struct chunk *payload)
{
	(void)resource;
	(void)priority;
	(void)payload;
	++*(json_int_t *)ctx;
}

static void person_presence(struct http_request *rq)
{
	uint32_t account = subject(rq);
	json_int_t n = 0;

	if (!account)
		return;
	struct jid j = person_jid(rq->a, account);
	presence_each(jid_bare(&j), count_device, &n);
	answer_value(rq, 200,
		     json_pack("{s:o, s:b, s:I}", "id", api_ref(rq->a, account), "online", n > 0, "devices", n));
}

static void presence_list(struct http_request *rq)
{
	uint32_t viewer;
	size_t n;
	const struct org_person *const *v = org_people(org_current(), &n);

	if (!api_viewer(rq, SCOPE_READ, &viewer))
		return;
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		if (in_sight(rq, viewer, v[i]) && presence_is_available(v[i]->jid.full))
			json_array_append_new(list, api_ref(rq->a, v[i]->account));
	answer_value(rq, 200, json_pack("{s:o}", "online", list));
}

/* ---- sessions of oneself: they live on the home worker ---- */

struct devices {
	struct http_request *rq;
	struct jid jid;
	json_t *list;
	unsigned home;
};

static void devices_answer(void *data)
{
	struct devices *d = data;

	answer_value(d->rq, 200, json_pack("{s:o}", "sessions", d->list));
}

static void devices_read(void *data)
{
	struct devices *d = data;
	struct user *u = user_find(jid_bare(&d->jid));

	if (u)
		list_each (s, &u->sessions, struct session, of_user)
			json_array_append_new(d->list, json_pack("{s:o, s:o, s:b, s:b, s:b}", "resource",
								 api_str(jid_resource(&s->jid)), "since",
								 api_time(s->bound_ms), "available", s->available,
								 "inactive", s->inactive, "detached", s->detached));
	post_to(d->home, devices_answer, d, NULL);
}

static void my_sessions(struct http_request *rq)
{
	uint32_t me = api_me(rq);
	struct devices *d;

	if (!me)
		return;
	d = ARENA_NEW(rq->a, struct devices);
	*d = (struct devices){
		.rq = rq, .jid = person_jid(rq->a, me), .list = json_array(), .home = (unsigned)threads_self()
	};
	post_to(person_home(me), devices_read, d, NULL);
}

const struct route people_routes[] = {
	{ "GET", "/api/v1/me", ROUTE_TOKEN, me_show },
	{ "GET", "/api/v1/me/sessions", ROUTE_TOKEN, my_sessions },
	{ "GET", "/api/v1/people", ROUTE_TOKEN, people_list },
	{ "GET", "/api/v1/people/{person}", ROUTE_TOKEN, person_show },
	{ "GET", "/api/v1/people/{person}/presence", ROUTE_TOKEN, person_presence },
	{ "GET", "/api/v1/departments", ROUTE_TOKEN, departments },
	{ "GET", "/api/v1/presence", ROUTE_TOKEN, presence_list },
	{ .path = NULL },
};
