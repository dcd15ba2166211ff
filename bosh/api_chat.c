/*
 * /api/v1/chats: mine, a search of open ones, make, look, change, end. All rules are server/im/chat.h's. A service with the scope chats sees every chat of its
 * domain; for a person what he may know (row I07: a closed chat is as if missing). Worker of the connection.
 */
#include "bosh/api_json.h"
#include "bosh/api_chat.h"
#include "base/err.h"
#include "server/im/chat.h"
#include "server/im/im.h"
#include "server/net/limits.h"

static const struct err_words in_words[] = {
	{ ERR_NOT_FOUND, "There is no such chat or person, or it is closed to you" },
	{ ERR_FORBIDDEN, "The role in this chat, or the token, does not allow that" },
	{ ERR_SYNTAX, "A title, colour, alias or entity is not allowed: titles are not empty, colours have a name such "
		      "as RED, an alias is not chatN" },
	{ ERR_LIMIT,
	  "That is too much at once: people of one request, members of a chat, or chats of a person have a limit" },
	{ ERR_EXISTS, "There is a chat of that alias or entity already" },
	{ ERR_CONFLICT,
	  "Not possible here: the owner hands the chat over first; chats of the structure keep their people" },
	{ 0, NULL },
};

void api_chat_error(struct http_request *rq, int err)
{
	answer_err_words(rq, err, in_words);
}

int api_chat_look(struct http_request *rq, struct txn *t, uint64_t number, struct chat_rec *out,
		  struct chat_member_rec *out_me)
{
	uint32_t viewer = rq->who->account;
	int err;

	*out_me = (struct chat_member_rec){ .role = CHAT_NONE };
	if (viewer)
		err = chat_look(t, number, viewer, out, out_me);
	else
		err = principal_has(rq->who, SCOPE_CHATS) ? chat_rec_get(t, number, out) : ERR_FORBIDDEN;
	return !err && !rq->is_control && !str_eq(out->domain, rq->who->domain) ? ERR_NOT_FOUND : err;
}

static void answer_chat(struct http_request *rq, unsigned status, uint64_t number)
{
	struct chat_rec c;
	struct chat_member_rec me = { .role = CHAT_NONE };
	struct txn *t = im_read();
	int err = chat_rec_get(t, number, &c);

	if (!err && rq->who->account)
		chat_member_get(t, number, rq->who->account, &me);
	json_t *o = err ? NULL : api_json_chat(rq->a, &c, &me);
	txn_commit(t);
	if (err)
		api_chat_error(rq, err);
	else
		answer_value(rq, status, o);
}

static void chat_show(struct http_request *rq)
{
	struct chat_rec c;
	struct chat_member_rec me;
	uint64_t number;

	if (!api_number(rq, rq->param[0], &number))
		return;
	struct txn *t = im_read();
	int err = api_chat_look(rq, t, number, &c, &me);
	json_t *o = err ? NULL : api_json_chat(rq->a, &c, &me);
	txn_commit(t);
	if (err)
		api_chat_error(rq, err);
	else
		answer_value(rq, 200, o);
}

/* ---- lists ---- */

struct listing {
	struct http_request *rq;
	struct txn *t;
	json_t *list;
	uint64_t last;
	size_t n, max;
	bool more;
};

static bool add_chat(void *ctx, const struct chat_rec *c)
{
	struct listing *l = ctx;
	struct chat_member_rec me = { .role = CHAT_NONE };

	if (l->n == l->max) {
		l->more = true;
		return false;
	}
	if (l->rq->who->account)
		chat_member_get(l->t, c->number, l->rq->who->account, &me);
	json_array_append_new(l->list, api_json_chat(l->rq->a, c, &me));
	l->last = c->number;
	l->n++;
	return true;
}

static void list_mine(struct listing *l, uint32_t me, uint64_t after)
{
	uint64_t *numbers = arena_alloc(l->rq->a, (l->max + 1) * sizeof *numbers);
	size_t n = chat_of_account(l->t, me, after, numbers, l->max + 1);
	struct chat_rec c;

	for (size_t i = 0; i < n; i++)
		if (chat_rec_get(l->t, numbers[i], &c) == 0 && !add_chat(l, &c))
			return;
}

/* GET /chats: mine (of a service: all of the domain); with q: those that hold the words and may be found. */
static void chat_list(struct http_request *rq)
{
	struct listing l = { .rq = rq, .max = api_limit(rq, 50, 200) };
	struct str words = http_query(rq, "q"), cursor = http_query(rq, "after");
	uint32_t viewer;
	uint64_t after = 0;

	if (!api_viewer(rq, SCOPE_CHATS, &viewer))
		return;
	if (cursor.p && str_u64(cursor, UINT64_MAX >> 1, &after)) {
		answer_error(rq, 400, "bad_request", "after is what next said");
		return;
	}
	l.t = im_read();
	l.list = json_array();
	if (words.n && viewer)
		chat_search(l.t, rq->who->domain, viewer, words, after, add_chat, &l);
	else if (viewer)
		list_mine(&l, viewer, after);
	else
		chat_each(l.t, rq->who->domain, after, add_chat, &l);
	int err = txn_commit(l.t);
	json_t *next = l.more ? api_str(arena_printf(rq->a, "%llu", (unsigned long long)l.last)) : json_null();
	answer_read(rq, err, json_pack("{s:o, s:o}", "chats", l.list, "next", next));
}

/* ---- make ---- */

static void created(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)gid;
	if (err)
		api_chat_error(ctx, err);
	else
		answer_chat(ctx, 201, number);
}

static void changed(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct http_request *rq = ctx;

	(void)gid;
	(void)number;
	uint64_t asked;
	if (err)
		api_chat_error(rq, err);
	else if (api_number(rq, rq->param[0], &asked))
		answer_chat(rq, 200, asked);
}

void api_chat_done(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)number;
	(void)gid;
	if (err)
		api_chat_error(ctx, err);
	else
		http_answer(ctx, 204, NULL, STR_NONE, NULL);
}

static const struct {
	const char *name;
	size_t offset;
} new_texts[] = {
	{ "title", offsetof(struct chat_new, title) },	 { "description", offsetof(struct chat_new, description) },
	{ "alias", offsetof(struct chat_new, alias) },	 { "colour", offsetof(struct chat_new, colour) },
	{ "message", offsetof(struct chat_new, message) },
}, change_texts[] = {
	{ "title", offsetof(struct chat_change, title) },	{ "description", offsetof(struct chat_change, description) },
	{ "colour", offsetof(struct chat_change, colour) },	{ "subject", offsetof(struct chat_change, subject) },
};

/* "type": open or closed. -1: not said; false after answering. */
static bool read_type(struct http_request *rq, const json_t *in, int *out)
{
	struct str type = api_text(rq, in, "type");

	*out = !type.p ? -1 : str_eq_c(type, "open") ? 1 : 0;
	if (!type.p || *out == 1 || str_eq_c(type, "closed"))
		return true;
	answer_error(rq, 400, "type", "type is open or closed");
	return false;
}

static bool read_entity(struct http_request *rq, const json_t *in, struct str *type, struct str *id, struct str data[3])
{
	json_t *e = json_object_get(in, "entity"), *list = json_object_get(e, "data");

	*type = api_text(rq, e, "type");
	*id = api_text(rq, e, "id");
	for (size_t i = 0; i < CHAT_ENTITY_DATA && i < json_array_size(list); i++) {
		json_t *v = json_array_get(list, i);
		data[i] = json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
		if (!api_check_text(rq, "entity.data", data[i], limits()->chat_text_bytes, false))
			return false;
	}
	return api_check_text(rq, "entity.type", *type, limits()->chat_title_bytes, false) &&
	       api_check_text(rq, "entity.id", *id, limits()->chat_title_bytes, false);
}

/* The person a member names, or def. 0 and false after answering 400. */
static bool read_person(struct http_request *rq, const json_t *in, const char *name, uint32_t def, uint32_t *out)
{
	struct str ref = api_text(rq, in, name);

	*out = ref.n ? api_account(rq, rq->who->domain, ref) : def;
	if (!ref.n || *out)
		return true;
	answer_error(rq, 400, "people", arena_printf(rq->a, "%s names nobody: give a number or login", name).p);
	return false;
}

static bool read_new(struct http_request *rq, const json_t *in, struct chat_new *n)
{
	const struct limits *l = limits();
	uint32_t *v;
	int open;

	for (size_t i = 0; i < sizeof new_texts / sizeof *new_texts; i++) {
		struct str *field = (struct str *)((char *)n + new_texts[i].offset);
		*field = api_text(rq, in, new_texts[i].name);
		if (!api_check_text(rq, new_texts[i].name, *field, l->message_text_bytes, false))
			return false;
	}
	if (!read_type(rq, in, &open) || !read_entity(rq, in, &n->entity_type, &n->entity_id, n->entity_data) ||
	    !read_person(rq, in, "author", rq->who->account, &n->author) || !read_person(rq, in, "owner", 0, &n->owner))
		return false;
	if (!api_people(rq, json_object_get(in, "members"), "members", l->chat_adds, &v, &n->n_members))
		return false;
	n->members = v;
	if (!api_people(rq, json_object_get(in, "managers"), "managers", l->chat_adds, &v, &n->n_managers))
		return false;
	n->managers = v;
	n->open = open == 1;
	n->skip_join_lines = api_flag(in, "skip_lines", false);
	n->hide_history = api_flag(in, "hide_history", false);
	return true;
}

static void chat_make(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct chat_new n = { .open = false };

	if (!in)
		return; /* answered, and rq is gone */
	n.by = *rq->who;
	n.domain = rq->who->domain;
	if (read_new(rq, in, &n))
		chat_create(&n, created, rq);
}

/* ---- change and end ---- */

static int tristate(const json_t *in, const char *name)
{
	json_t *v = json_object_get(in, name);

	return json_is_boolean(v) ? json_is_true(v) : -1;
}

static bool read_permissions(struct http_request *rq, const json_t *in, struct chat_change *c)
{
	json_t *p = json_object_get(in, "permissions");

	for (size_t i = 0; i < CHAT_PERMISSIONS; i++) {
		struct str word = api_text(rq, p, api_permissions[i]);
		enum chat_role role;
		if (!word.p)
			continue;
		if (api_role(word, &role) || role == CHAT_OUTCAST) {
			answer_error(rq, 400, "permissions",
				     "A permission is the least role that has it: none, member, manager or owner");
			return false;
		}
		c->permission[i] = (int)role;
	}
	return true;
}

static bool read_change(struct http_request *rq, const json_t *in, struct chat_change *c)
{
	struct str type, id;

	for (size_t i = 0; i < sizeof change_texts / sizeof *change_texts; i++) {
		struct str *field = (struct str *)((char *)c + change_texts[i].offset);
		*field = api_text(rq, in, change_texts[i].name);
		if (!api_check_text(rq, change_texts[i].name, *field, limits()->chat_text_bytes, false))
			return false;
	}
	c->hide_history = tristate(in, "hide_history");
	c->no_join_lines = tristate(in, "no_join_lines");
	c->skip_line = api_flag(in, "skip_lines", false);
	return read_type(rq, in, &c->open) && read_entity(rq, in, &type, &id, c->entity_data) &&
	       read_permissions(rq, in, c);
}

static void chat_patch(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct chat_change c = chat_change_none;

	if (!in || !api_number(rq, rq->param[0], &c.number) || !read_change(rq, in, &c))
		return;
	c.by = *rq->who;
	c.author = rq->who->account;
	chat_change(&c, changed, rq);
}

static void chat_end(struct http_request *rq)
{
	uint64_t number;

	if (api_number(rq, rq->param[0], &number))
		chat_destroy(rq->who, number, STR_NONE, api_chat_done, rq);
}

const struct route chat_routes[] = {
	{ "GET", "/api/v1/chats", ROUTE_TOKEN, chat_list },
	{ "POST", "/api/v1/chats", ROUTE_TOKEN, chat_make },
	{ "GET", "/api/v1/chats/{chat}", ROUTE_TOKEN, chat_show },
	{ "PATCH", "/api/v1/chats/{chat}", ROUTE_TOKEN, chat_patch },
	{ "DELETE", "/api/v1/chats/{chat}", ROUTE_TOKEN, chat_end },
	{ .path = NULL },
};
