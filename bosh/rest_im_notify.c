/* im.notify.*: adding, listing, reading, deleting, confirming, answering notifications (server/im/notify.h). Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/notify.h"
#include "server/im/opaque.h"

enum { PAGE = 50 };

/* ---- adding ---- */

static bool add_button(void *ctx, json_t *v)
{
	struct notify_new *n = ctx;
	json_t *title = json_object_get(v, "TITLE"), *value = json_object_get(v, "VALUE"),
	       *type = json_object_get(v, "TYPE");

	if (n->n_buttons == NOTIFY_BUTTONS_MAX)
		return false;
	n->buttons[n->n_buttons++] = (struct notify_button){
		.title = str_c(json_string_value(title)),
		.value = str_c(json_string_value(value)),
		.accept = !type || str_ieq(str_c(json_string_value(type)), STR("accept")),
	};
	return true;
}

/* ATTACH and PARAMS travel as they came; #SKIP# in MESSAGE_OUT means no mail, which we send none of. */
static void read_texts(struct rest_call *c, struct notify_new *n)
{
	json_t *attach = rest_value(c, "ATTACH");
	struct str out = rest_text(c, "MESSAGE_OUT");

	n->text = rest_text(c, "MESSAGE");
	n->plain = str_eq_c(out, "#SKIP#") ? STR_NONE : out;
	n->title = rest_text(c, "TITLE");
	n->tag = rest_text(c, "TAG");
	n->sub_tag = rest_text(c, "SUB_TAG");
	n->module = rest_text(c, "MODULE");
	n->event = rest_text(c, "EVENT");
	n->link = rest_text(c, "LINK");
	n->webhook = rest_text(c, "WEBHOOK");
	n->origin_id = http_header_get(c->rq, "idempotency-key");
	n->expires_ms = rest_time(c, "EXPIRES");
	if (attach) {
		char *s = json_dumps(attach, JSON_COMPACT | JSON_ENCODE_ANY);
		n->params = arena_str(c->rq->a, arena_printf(c->rq->a, "{\"ATTACH\":%s}", s ? s : "null"));
		free(s);
	}
	rest_each(c, "BUTTONS", add_button, n);
}

static void read_flags(struct rest_call *c, struct notify_new *n)
{
	static const struct {
		const char *name;
		unsigned flag;
	} flags[] = { { "SILENT", NOTIFY_SILENT },
		      { "FLASH", NOTIFY_FLASH },
		      { "ANSWER", NOTIFY_ANSWER },
		      { "READ", NOTIFY_READ } };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		n->flags |= rest_yes(c, flags[i].name, false) ? flags[i].flag : 0;
}

/* USER_ID is whom it is for; c->me who it is from. */
static void add(struct rest_call *c, enum notify_type type)
{
	struct notify_new n = { .by = c->by, .type = type };

	n.to = rest_account(c, rest_text(c, "USER_ID"));
	if (!n.to) {
		rest_error(c, 400, "USER_NOT_FOUND", "USER_ID names nobody");
		return;
	}
	read_texts(c, &n);
	read_flags(c, &n);
	if (n.n_buttons && type != NOTIFY_CONFIRM)
		n.n_buttons = 0;
	n.from = c->me;
	if (type == NOTIFY_SYSTEM && principal_has(&c->by, SCOPE_SYSTEM) && !rest_text(c, "FROM_USER_ID").n)
		n.from = 0;
	notify_add(&n, rest_message_done, c);
}

static void notify_personal(struct rest_call *c)
{
	add(c, c->me ? NOTIFY_FROM : NOTIFY_SYSTEM);
}

static void notify_system(struct rest_call *c)
{
	add(c, NOTIFY_SYSTEM);
}

static void notify_any(struct rest_call *c)
{
	struct str type = rest_text(c, "TYPE");

	if (rest_value(c, "BUTTONS"))
		add(c, NOTIFY_CONFIRM);
	else if (str_ieq(type, STR("SYSTEM")) || !c->me)
		notify_system(c);
	else
		notify_personal(c);
}

/* ---- listing ---- */

struct listing {
	struct rest_call *c;
	struct txn *t;
	json_t *list;
	size_t max;
	bool confirms, rest; /* LAST_TYPE: 1 the ones that wait for a button come first, 3 the others */
	uint64_t last;
};

static json_t *buttons_of(const struct notify_rec *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_buttons; i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:s}", "TITLE", api_str(r->buttons[i].title), "VALUE",
						      api_str(r->buttons[i].value), "TYPE",
						      r->buttons[i].accept ? "accept" : "cancel"));
	return list;
}

static bool waits(const struct notify_rec *r)
{
	return r->type == NOTIFY_CONFIRM && !(r->flags & NOTIFY_DONE);
}

static json_t *text_or_empty(struct str s)
{
	return api_str(s.p ? s : STR(""));
}

static json_t *print(struct listing *l, const struct notify_rec *r)
{
	bool read = notify_is_read(l->t, r->to, r->gid);
	json_t *params = r->params.n ? json_loadb(r->params.p, r->params.n, 0, NULL) : NULL;
	json_t *o = json_pack("{s:o, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "id",
			      rest_id_of_message(r->gid), "chat_id", (json_int_t)0, "author_id",
			      rest_id_of_person(l->c, r->from), "date", api_time(r->created_ms), "text",
			      text_or_empty(r->text), "notify_type", (json_int_t)r->type, "notify_module",
			      text_or_empty(r->module), "notify_event", text_or_empty(r->event), "notify_tag",
			      text_or_empty(r->tag), "notify_sub_tag", text_or_empty(r->sub_tag), "notify_title",
			      r->title.n ? api_str(r->title) : json_null(), "notify_read", read ? "Y" : "N", "params",
			      params ? params : json_object());

	json_object_set_new(o, "setting_name",
			    api_str(arena_cat(l->c->rq->a, r->module.p ? r->module : STR("im"), STR("|"),
					      r->event.p ? r->event : STR("default"), STR_NONE)));
	json_object_set_new(o, "notify_link", text_or_empty(r->link));
	json_object_set_new(o, "notify_buttons", waits(r) ? buttons_of(r) : json_array());
	json_object_set_new(o, "notify_result", r->result.n ? api_str(r->result) : json_null());
	return o;
}

static bool list_one(void *ctx, const struct notify_rec *r)
{
	struct listing *l = ctx;

	if (waits(r) ? l->confirms : l->rest)
		json_array_append_new(l->list, print(l, r));
	return json_array_size(l->list) < l->max;
}

static void list_answer(struct listing *l)
{
	struct rest_call *c = l->c;
	uint32_t unread = notify_unread(l->t, c->me);
	json_t *users = json_array(), *seen = json_object(), *n;
	size_t i;

	json_array_foreach(l->list, i, n)
	{
		struct str id = arena_str(c->rq->a, rest_text_of(c, json_object_get(n, "author_id")));
		if (!id.n || str_eq_c(id, "0") || json_object_get(seen, id.p))
			continue;
		json_object_set_new(seen, id.p, json_true());
		json_array_append_new(users, rest_user(c, rest_account(c, id)));
	}
	json_decref(seen);
	txn_commit(l->t);
	rest_result(c, json_pack("{s:o, s:o, s:I, s:I}", "notifications", l->list, "users", users, "total_unread_count",
				 (json_int_t)unread, "total_count", (json_int_t)json_array_size(l->list)));
}

/* First those that wait for a button (LAST_TYPE 1), then the rest (3), each newest first. */
static void notify_list(struct rest_call *c)
{
	struct str last = rest_text(c, "LAST_ID"), type = rest_text(c, "LAST_TYPE");
	struct notify_query q = { .account = c->me, .before = opaque_number_parse(rest_number(c, "LAST_ID", 0)) };
	struct listing l = { .c = c, .max = rest_limit(c, PAGE, PAGE) };

	if ((last.n != 0) != (type.n != 0) || (type.n && !str_eq_c(type, "1") && !str_eq_c(type, "3"))) {
		rest_error(c, 400, "LAST_ID_AND_LAST_TYPE", "LAST_ID and LAST_TYPE (1 or 3) come together");
		return;
	}
	l.t = im_read();
	l.list = json_array();
	if (!str_eq_c(type, "3")) {
		l.confirms = true;
		notify_each(l.t, &q, list_one, &l);
		q.before = 0;
	}
	l.confirms = false;
	l.rest = true;
	if (json_array_size(l.list) < l.max)
		notify_each(l.t, &q, list_one, &l);
	list_answer(&l);
}

static void notify_search(struct rest_call *c)
{
	struct str type = rest_text(c, "SEARCH_TYPE");
	uint64_t day = rest_time(c, "SEARCH_DATE");
	struct notify_query q = { .account = c->me,
				  .before = opaque_number_parse(rest_number(c, "LAST_ID", 0)),
				  .words = rest_text(c, "SEARCH_TEXT"),
				  .tag = rest_text(c, "GROUP_TAG"),
				  .from_ms = day ? day : rest_time(c, "SEARCH_DATE_FROM"),
				  .to_ms = day ? day + 86400000 - 1 : rest_time(c, "SEARCH_DATE_TO") };
	struct listing l = { .c = c, .max = rest_limit(c, PAGE, PAGE), .confirms = true, .rest = true };

	q.author = rest_account(c, rest_text(c, "SEARCH_AUTHORS"));
	if (type.n && str_split(&type, '|', &q.module) && type.p)
		q.event = type;
	if (q.words.p && q.words.n < 3 && !q.module.n && !q.from_ms && !q.to_ms) {
		rest_error(c, 400, "SEARCH_TEXT_ERROR", "SEARCH_TEXT has at least three characters");
		return;
	}
	l.t = im_read();
	l.list = json_array();
	notify_each(l.t, &q, list_one, &l);
	list_answer(&l);
}

/* ---- changing ---- */

static void marked(void *ctx, int err, uint64_t gid)
{
	(void)gid;
	rest_done(ctx, err);
}

static void notify_read_one(struct rest_call *c)
{
	uint64_t gid = opaque_number_parse(rest_number(c, "ID", 0));
	bool only = rest_yes(c, "ONLY_CURRENT", false);

	if (gid || rest_number(c, "ID", 1) == 0)
		notify_mark(c->me, gid, rest_yes(c, "ACTION", true), !only, marked, c);
	else
		rest_error(c, 400, "ID_ERROR", "ID is the number of a notification");
}

static void notify_read_all(struct rest_call *c)
{
	notify_mark(c->me, 0, true, true, marked, c);
}

/* A list goes one after the other: a notification has one commit. */
struct id_list {
	struct rest_call *c;
	uint64_t *v;
	size_t n, max, at;
	bool read;
};

static bool add_id(void *ctx, json_t *v)
{
	struct id_list *l = ctx;
	uint64_t number = 0;

	(void)str_u64(rest_text_of(l->c, v), INT64_MAX, &number); /* no number is no id */
	if (l->n < l->max && opaque_number_parse(number))
		l->v[l->n++] = opaque_number_parse(number);
	return l->n < l->max;
}

static void mark_next(void *ctx, int err, uint64_t gid)
{
	struct id_list *l = ctx;

	(void)gid;
	if (err && err != ERR_NOT_FOUND)
		rest_err(l->c, err);
	else if (l->at == l->n)
		rest_result(l->c, json_true());
	else
		notify_mark(l->c->me, l->v[l->at++], l->read, false, mark_next, l);
}

static void notify_read_list(struct rest_call *c)
{
	struct id_list *l = ARENA_NEW(c->rq->a, struct id_list);

	l->c = c;
	l->max = PAGE;
	l->v = arena_alloc(c->rq->a, PAGE * sizeof *l->v);
	l->read = rest_yes(c, "ACTION", true);
	rest_each(c, "IDS", add_id, l);
	mark_next(l, 0, 0);
}

/* ID, or TAG, SUB_TAG, MODULE (with EVENT): of one person when one is named, else (services) of everybody. */
static void deleted(void *ctx, int err, uint64_t n)
{
	(void)n;
	if (err == ERR_NOT_FOUND)
		rest_result(ctx, json_false());
	else
		rest_done(ctx, err);
}

static void notify_remove(struct rest_call *c)
{
	static const struct {
		const char *name;
		enum notify_key key;
	} keys[] = { { "TAG", NOTIFY_BY_TAG }, { "SUB_TAG", NOTIFY_BY_SUB_TAG }, { "MODULE", NOTIFY_BY_MODULE } };
	uint32_t author = rest_account(c, rest_text(c, "AUTHOR_ID"));
	uint64_t gid = opaque_number_parse(rest_number(c, "ID", 0));
	struct message_rec m;

	if (gid) {
		struct txn *t = im_read();
		uint32_t owner = c->me ? c->me : message_get(t, gid, &m) == 0 ? m.recipient : 0;
		txn_commit(t);
		notify_delete(&c->by, owner, gid, deleted, c);
		return;
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct str value = rest_text(c, keys[i].name);
		if (!value.n)
			continue;
		notify_delete_by(&c->by, c->me, author, keys[i].key, value, rest_text(c, "EVENT"), deleted, c);
		return;
	}
	rest_error(c, 400, "PARAMS_ERROR", "Give ID, TAG, SUB_TAG or MODULE");
}

static void pressed(void *ctx, int err, uint64_t gid)
{
	(void)gid;
	if (err == ERR_SYNTAX)
		rest_error(ctx, 400, "NOTIFY_VALUE_ERROR", "There is no such button");
	else if (err == ERR_NOT_FOUND || err == ERR_CONFLICT)
		rest_error(ctx, 400, "ID_ERROR", "There is no such notification, or it was answered before");
	else
		rest_done(ctx, err);
}

static void notify_press(struct rest_call *c)
{
	notify_confirm(c->me, opaque_number_parse(rest_number(c, "NOTIFY_ID", rest_number(c, "ID", 0))),
		       rest_text(c, "NOTIFY_VALUE"), pressed, c);
}

static void notify_reply(struct rest_call *c)
{
	notify_answer(c->me, opaque_number_parse(rest_number(c, "NOTIFY_ID", rest_number(c, "ID", 0))),
		      rest_text(c, "ANSWER_TEXT"), pressed, c);
}

/* ---- settings: what the person may switch is what he has got ---- */

struct schema {
	struct rest_call *c;
	struct txn *t;
	json_t *modules;
};

static bool add_schema(void *ctx, const struct notify_rec *r)
{
	struct schema *s = ctx;
	struct str module = arena_str(s->c->rq->a, r->module.n ? r->module : STR("im")),
		   event = arena_str(s->c->rq->a, r->event.n ? r->event : STR("default"));
	json_t *m = json_object_get(s->modules, module.p);

	if (!m) {
		m = json_pack("{s:s, s:s, s:{}}", "NAME", module.p, "MODULE_ID", module.p, "LIST");
		json_object_set_new(s->modules, module.p, m);
	}
	json_object_set_new(json_object_get(m, "LIST"), event.p,
			    json_pack("{s:s, s:s, s:b, s:b, s:b}", "ID", event.p, "NAME", event.p, "SITE",
				      notify_wants(s->t, s->c->me, r->module, r->event, NOTIFY_SITE), "XMPP",
				      notify_wants(s->t, s->c->me, r->module, r->event, NOTIFY_JABBER), "PUSH",
				      notify_wants(s->t, s->c->me, r->module, r->event, NOTIFY_PUSH)));
	return true;
}

static void notify_schema(struct rest_call *c)
{
	struct notify_query q = { .account = c->me };
	struct schema s = { c, im_read(), json_object() };

	notify_each(s.t, &q, add_schema, &s);
	txn_commit(s.t);
	rest_result(c, s.modules);
}

#define WHOM                                                                                                           \
	{                                                                                                              \
		"USER_ID", "USER_ID_EMPTY"                                                                             \
	}
#define TEXT                                                                                                           \
	{                                                                                                              \
		"MESSAGE", "MESSAGE_EMPTY"                                                                             \
	}
#define WHICH                                                                                                          \
	{                                                                                                              \
		"NOTIFY_ID|ID", "ID_ERROR"                                                                             \
	}
const struct rest_method rest_notify_methods[] = {
	{ "im.notify", notify_any, REST_SPEAKER, { WHOM, TEXT } },
	{ "im.notify.personal.add", notify_personal, REST_SPEAKER, { WHOM, TEXT } },
	{ "im.notify.system.add", notify_system, REST_SPEAKER, { WHOM, TEXT } },
	{ "im.notify.get", notify_list, REST_READER },
	{ "im.notify.history.search", notify_search, REST_READER },
	{ "im.notify.read", notify_read_one, REST_ACTOR, { { "ID", "ID_ERROR" } } },
	{ "im.notify.read.list", notify_read_list, REST_ACTOR, { { "IDS", "PARAMS_ERROR" } } },
	{ "im.notify.read.all", notify_read_all, REST_ACTOR },
	{ "im.notify.delete", notify_remove, REST_ANYBODY, { { "ID|TAG|SUB_TAG|MODULE", "PARAMS_ERROR" } } },
	{ "im.notify.confirm", notify_press, REST_ACTOR, { WHICH, { "NOTIFY_VALUE", "NOTIFY_VALUE_ERROR" } } },
	{ "im.notify.answer", notify_reply, REST_ACTOR, { WHICH, { "ANSWER_TEXT", "ANSWER_TEXT_ERROR" } } },
	{ "im.notify.schema.get", notify_schema, REST_READER },
	{ .name = NULL },
};
