/* im.search.*: people, chats and departments by a few letters. Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/org.h"

enum { PAGE = 10, PAGE_MAX = 50, LEAST = 2 };

struct hits {
	struct rest_call *c;
	json_t *items;
	uint64_t skip;
	size_t max, total;
	struct str find;
};

static bool begin(struct rest_call *c, struct hits *h)
{
	*h = (struct hits){ .c = c, .find = str_trim(rest_text(c, "FIND")) };
	struct str rest = h->find;
	uint32_t cp;
	size_t points = 0, n;

	while (points < LEAST && (n = str_utf8_next(rest, &cp)) != 0) {
		rest = str_of(rest.p + n, rest.n - n);
		points++;
	}
	if (points < LEAST) {
		rest_error(c, 400, "FIND_SHORT", "FIND has at least two characters");
		return false;
	}
	h->skip = rest_number(c, "OFFSET", 0);
	h->max = rest_limit(c, PAGE, PAGE_MAX);
	h->items = json_object();
	return true;
}

/* True when the hit is on the page. */
static bool counts(struct hits *h)
{
	h->total++;
	return h->total > h->skip && json_object_size(h->items) < h->max;
}

static void put(struct hits *h, json_t *o)
{
	struct str id = rest_text_of(h->c, json_object_get(o, "id"));

	json_object_set_new(h->items, arena_str(h->c->rq->a, id).p, o);
}

static void end(struct hits *h)
{
	rest_result(h->c, h->items);
}

static bool person_matches(const struct org_person *p, struct str find)
{
	return str_has_folded(p->full_name, find) || str_has_folded(p->position, find) ||
	       str_has_folded(p->email, find) || str_has_folded(p->phone, find) ||
	       str_has_folded(jid_local(&p->jid), find);
}

static void search_user(struct rest_call *c)
{
	size_t n;
	const struct org_person *const *all = org_people(org_current(), &n);
	struct hits h;

	if (!begin(c, &h))
		return;
	for (size_t i = 0; i < n; i++)
		if (person_matches(all[i], h.find) && rest_may_see(c, all[i]) && counts(&h))
			put(&h, rest_user(c, all[i]->account));
	end(&h);
}

static bool chat_hit(void *ctx, const struct chat_rec *r)
{
	struct hits *h = ctx;

	if (counts(h))
		put(h, rest_chat_object(h->c, r, NULL));
	return true;
}

static void search_chat(struct rest_call *c)
{
	struct hits h;

	if (!begin(c, &h))
		return;
	struct txn *t = im_read();
	chat_search(t, c->by.domain, c->me, h.find, 0, chat_hit, &h);
	txn_commit(t);
	end(&h);
}

static void search_department(struct rest_call *c)
{
	size_t n;
	const struct org_dept *const *all = org_depts(org_current(), &n);
	struct hits h;

	if (!begin(c, &h))
		return;
	for (size_t i = 0; i < n; i++)
		if (str_has_folded(all[i]->name, h.find) && rest_may_see_department(c, all[i]) && counts(&h))
			put(&h, rest_department(c, all[i]));
	end(&h);
}

#define FIND                                                                                                           \
	{                                                                                                              \
		"FIND", "FIND_SHORT"                                                                                   \
	}
const struct rest_method rest_search_methods[] = {
	{ "im.search.user.list", search_user, REST_READER, { FIND } },
	{ "im.search.chat.list", search_chat, REST_READER, { FIND } },
	{ "im.search.department.list", search_department, REST_READER, { FIND } },
	{ .name = NULL },
};
