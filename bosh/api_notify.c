/*
 * /api/v1/notifications: add (services, or people from themselves), history with filters, delete by id, tag, sub-tag, module, confirm, answer, read, counter, settings per
 * module, event and channel. Rules: im/notify.h. Worker of the connection.
 */
#include "bosh/api_notify.h"
#include "base/clock.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/net/limits.h"

static const struct err_words in_words[] = {
	{ ERR_NOT_FOUND, "There is no such notification or person" },
	{ ERR_FORBIDDEN, "The token may not do this: others are notified by services with the scope system, people "
			 "only from themselves" },
	{ ERR_SYNTAX, "Something is missing or too long: a notification has a text, keys are short, a button is one "
		      "that it shows" },
	{ ERR_CONFLICT, "It was confirmed or answered already" },
	{ 0, NULL },
};

static void answer_failure(struct http_request *rq, int err)
{
	answer_err_words(rq, err, in_words);
}

static const struct {
	enum notify_type type;
	const char *name;
} types[] = {
	{ NOTIFY_CONFIRM, "confirm" },
	{ NOTIFY_FROM, "from" },
	{ NOTIFY_SYSTEM, "system" },
};

static bool read_type(struct http_request *rq, struct str word, enum notify_type *out)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (str_eq_c(word, types[i].name)) {
			*out = types[i].type;
			return true;
		}
	answer_error(rq, 400, "type", "type is confirm, from or system");
	return false;
}

/* ---- printing ---- */

static json_t *buttons_of(const struct notify_rec *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_buttons && !(r->flags & NOTIFY_DONE); i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:b}", "title", api_str(r->buttons[i].title), "value",
						      api_str(r->buttons[i].value), "accept", r->buttons[i].accept));
	return list;
}

static json_t *text_or_null(struct str s)
{
	return s.n ? api_str(s) : json_null();
}

json_t *api_json_notify(struct arena *a, struct txn *t, const struct notify_rec *r)
{
	json_t *params = r->params.n ? json_loadb(r->params.p, r->params.n, JSON_DECODE_ANY, NULL) : NULL;
	json_t *o = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id", api_gid(r->gid), "type",
			      r->type == NOTIFY_CONFIRM ? "confirm"
			      : r->type == NOTIFY_FROM	? "from"
							: "system",
			      "from", api_person(a, r->from), "time", api_time(r->created_ms), "expires",
			      api_time(r->expires_ms), "text", api_str(r->text), "buttons", buttons_of(r), "params",
			      params ? params : text_or_null(r->params));
	const struct {
		const char *name;
		struct str value;
	} more[] = { { "module", r->module }, { "event", r->event }, { "tag", r->tag },	     { "sub_tag", r->sub_tag },
		     { "title", r->title },   { "link", r->link },   { "result", r->result } };

	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		json_object_set_new(o, more[i].name, text_or_null(more[i].value));
	json_object_set_new(o, "read", json_boolean(notify_is_read(t, r->to, r->gid)));
	json_object_set_new(o, "done", json_boolean(r->flags & NOTIFY_DONE));
	json_object_set_new(o, "answer", json_boolean(r->flags & NOTIFY_ANSWER));
	json_object_set_new(o, "silent", json_boolean(r->flags & NOTIFY_SILENT));
	return o;
}

/* ---- adding ---- */

static const struct {
	const char *name;
	size_t offset;
	bool needed;
} texts_in[] = {
	{ "module", offsetof(struct notify_new, module), false },
	{ "event", offsetof(struct notify_new, event), false },
	{ "tag", offsetof(struct notify_new, tag), false },
	{ "sub_tag", offsetof(struct notify_new, sub_tag), false },
	{ "title", offsetof(struct notify_new, title), false },
	{ "text", offsetof(struct notify_new, text), true },
	{ "plain", offsetof(struct notify_new, plain), false },
	{ "link", offsetof(struct notify_new, link), false },
	{ "webhook", offsetof(struct notify_new, webhook), false },
	{ "uuid", offsetof(struct notify_new, origin_id), false },
};

static const struct {
	const char *name;
	unsigned flag;
} flags_in[] = {
	{ "silent", NOTIFY_SILENT },
	{ "flash", NOTIFY_FLASH },
	{ "answer", NOTIFY_ANSWER },
	{ "read", NOTIFY_READ },
};

static bool read_buttons(struct http_request *rq, const json_t *in, struct notify_new *n)
{
	json_t *list = json_object_get(in, "buttons");

	n->n_buttons = json_array_size(list);
	if ((list && !json_is_array(list)) || n->n_buttons > NOTIFY_BUTTONS_MAX) {
		answer_error(rq, 400, "buttons", "buttons is a list of at most 8, each with title and value");
		return false;
	}
	for (size_t i = 0; i < n->n_buttons; i++) {
		json_t *b = json_array_get(list, i);
		n->buttons[i] = (struct notify_button){ .title = api_text(rq, b, "title"),
							.value = api_text(rq, b, "value"),
							.accept = api_flag(b, "accept", false) };
		if (!api_check_text(rq, "title of a button", n->buttons[i].title, 200, true) ||
		    !api_check_text(rq, "value of a button", n->buttons[i].value, 200, true))
			return false;
	}
	return true;
}

static struct str params_text(struct http_request *rq, const json_t *in)
{
	json_t *p = json_object_get(in, "params");
	char *text = p && !json_is_null(p) ? json_dumps(p, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	struct str s = text ? arena_str(rq->a, str_c(text)) : STR_NONE;

	free(text);
	return s;
}

static bool read_from(struct http_request *rq, const json_t *in, struct notify_new *n)
{
	struct str from = api_text(rq, in, "from");

	n->from = from.n ? api_account(rq, rq->who->domain, from) : n->type == NOTIFY_SYSTEM ? 0 : rq->who->account;
	if (!from.n || n->from)
		return true;
	answer_error(rq, 400, "people", "from names nobody: give a number or login");
	return false;
}

bool api_notify_read(struct http_request *rq, const json_t *in, struct notify_new *n)
{
	struct str type = api_text(rq, in, "type");
	int64_t life_s = api_int(in, "expires_in_s", 0);

	n->by = *rq->who;
	n->type = api_text(rq, in, "from").n || rq->who->account ? NOTIFY_FROM : NOTIFY_SYSTEM;
	if ((type.p && !read_type(rq, type, &n->type)) || !read_from(rq, in, n) || !read_buttons(rq, in, n))
		return false;
	for (size_t i = 0; i < sizeof texts_in / sizeof *texts_in; i++) {
		struct str *field = (struct str *)((char *)n + texts_in[i].offset);
		*field = api_text(rq, in, texts_in[i].name);
		if (!api_check_text(rq, texts_in[i].name, *field, limits()->message_text_bytes, texts_in[i].needed))
			return false;
	}
	for (size_t i = 0; i < sizeof flags_in / sizeof *flags_in; i++)
		if (api_flag(in, flags_in[i].name, false))
			n->flags |= flags_in[i].flag;
	n->params = params_text(rq, in);
	n->expires_ms = life_s > 0 && life_s < 100LL * 366 * 86400 ? clock_wall_ms() + (uint64_t)life_s * 1000 : 0;
	return true;
}

static void added(void *ctx, int err, uint64_t gid)
{
	struct http_request *rq = ctx;

	if (err)
		answer_failure(rq, err);
	else
		answer_value(rq, 201, json_pack("{s:o}", "id", api_gid(gid)));
}

static void notify_post(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct notify_new n = { .flags = 0 };

	if (!in)
		return;
	n.to = api_account(rq, rq->who->domain, api_text(rq, in, "to"));
	if (!n.to)
		answer_error(rq, 404, "person", "to names nobody: give a number or login");
	else if (api_notify_read(rq, in, &n))
		notify_add(&n, added, rq);
}

/* ---- reading ---- */

struct listing {
	struct http_request *rq;
	struct txn *t;
	json_t *list;
	size_t n, max;
	uint64_t last;
	bool more;
};

static bool add_one(void *ctx, const struct notify_rec *r)
{
	struct listing *l = ctx;

	l->more = l->n == l->max;
	if (l->more)
		return false;
	json_array_append_new(l->list, api_json_notify(l->rq->a, l->t, r));
	l->last = r->gid;
	l->n++;
	return true;
}

static void notify_list(struct http_request *rq)
{
	struct listing l = { .rq = rq };
	struct notify_query q = { .account = api_me(rq) };

	if (!q.account)
		return;
	struct str before = http_query(rq, "before"), type = http_query(rq, "type");
	q.before = api_gid_parse(before);
	if (before.p && !q.before) {
		answer_error(rq, 400, "cursor", "before is what next said, or the id of a notification");
		return;
	}
	if (type.p && !read_type(rq, type, &q.type))
		return;
	l.max = api_limit(rq, 50, 200);
	q.module = http_query(rq, "module");
	q.event = http_query(rq, "event");
	q.tag = http_query(rq, "tag");
	q.words = http_query(rq, "q");
	q.unread_only = api_query_flag(rq, "unread");
	l.list = json_array();
	l.t = im_read();
	notify_each(l.t, &q, add_one, &l);
	uint32_t unread = notify_unread(l.t, q.account);
	int err = txn_commit(l.t);
	answer_read(rq, err,
		    json_pack("{s:o, s:i, s:o}", "notifications", l.list, "unread", (int)unread, "next",
			      api_gid(l.more ? l.last : 0)));
}

static void notify_show(struct http_request *rq)
{
	uint32_t me = api_me(rq);
	struct notify_rec r;

	if (!me)
		return;
	struct txn *t = im_read();
	uint64_t gid = api_gid_parse(rq->param[0]);
	int err = gid ? notify_get(t, me, gid, &r) : ERR_NOT_FOUND;
	json_t *o = err ? NULL : api_json_notify(rq->a, t, &r);
	txn_commit(t);
	if (err)
		answer_failure(rq, err);
	else
		answer_value(rq, 200, o);
}

static void notify_counter(struct http_request *rq)
{
	uint32_t me = api_me(rq);

	if (!me)
		return;
	struct txn *t = im_read();
	uint32_t n = notify_unread(t, me);
	txn_commit(t);
	answer_value(rq, 200, json_pack("{s:i}", "unread", (int)n));
}

/* ---- changing ---- */

static void gone(void *ctx, int err, uint64_t n)
{
	struct http_request *rq = ctx;

	if (err)
		answer_failure(rq, err);
	else
		answer_value(rq, 200, json_pack("{s:I}", "deleted", (json_int_t)n));
}

static void done(void *ctx, int err, uint64_t gid)
{
	(void)gid;
	if (err)
		answer_failure(ctx, err);
	else
		http_answer(ctx, 204, NULL, STR_NONE, NULL);
}

/* Whose: oneself, or of a service ?person=; 0 and all: everybody. False after answering. */
static bool read_whose(struct http_request *rq, bool may_all, uint32_t *out)
{
	struct str person = http_query(rq, "person");

	*out = rq->who->account;
	if (!person.p && (*out || may_all))
		return true;
	if (!person.p)
		return api_me(rq) != 0;
	*out = api_person_named(rq, person);
	return *out != 0;
}

static void notify_del(struct http_request *rq)
{
	uint64_t gid = api_gid_parse(rq->param[0]);
	uint32_t account;

	if (!read_whose(rq, false, &account))
		return;
	if (gid)
		notify_delete(rq->who, account, gid, done, rq);
	else
		answer_failure(rq, ERR_NOT_FOUND);
}

static void notify_del_by(struct http_request *rq)
{
	static const char *const names[] = {
		[NOTIFY_BY_TAG] = "tag", [NOTIFY_BY_SUB_TAG] = "sub_tag", [NOTIFY_BY_MODULE] = "module"
	};
	uint32_t account, author = 0;

	if (!read_whose(rq, true, &account))
		return;
	struct str from = http_query(rq, "from");
	if (from.p && !(author = api_person_named(rq, from)))
		return;
	for (enum notify_key k = NOTIFY_BY_TAG; k <= NOTIFY_BY_MODULE; k++) {
		struct str value = http_query(rq, names[k]);
		if (!value.n)
			continue;
		notify_delete_by(rq->who, account, author, k, value, http_query(rq, "event"), gone, rq);
		return;
	}
	answer_error(rq, 400, "bad_request", "Say which: tag, sub_tag or module");
}

typedef void react_fn(uint32_t account, uint64_t gid, struct str value, notify_done_fn *done, void *ctx);

static void react(struct http_request *rq, const char *name, react_fn *fn)
{
	json_t *in = api_body(rq);
	uint32_t me = in ? api_actor(rq) : 0;

	if (!me)
		return;
	struct str value = api_text(rq, in, name);
	uint64_t gid = api_gid_parse(rq->param[0]);
	if (!api_check_text(rq, name, value, limits()->message_text_bytes, true))
		return;
	if (gid)
		fn(me, gid, value, done, rq);
	else
		answer_failure(rq, ERR_NOT_FOUND);
}

static void notify_press(struct http_request *rq)
{
	react(rq, "value", notify_confirm);
}

static void notify_reply(struct http_request *rq)
{
	react(rq, "text", notify_answer);
}

static void notify_read_put(struct http_request *rq)
{
	json_t *in = api_body(rq);
	uint32_t me = in ? api_actor(rq) : 0;

	if (!me)
		return;
	struct str id = api_text(rq, in, "id");
	uint64_t gid = api_gid_parse(id);
	if (id.n && !gid)
		answer_failure(rq, ERR_NOT_FOUND);
	else
		notify_mark(me, gid, api_flag(in, "read", true), api_flag(in, "and_older", false), done, rq);
}

/* ---- settings ---- */

static const char *const channels[] = { [NOTIFY_SITE] = "site", [NOTIFY_JABBER] = "jabber", [NOTIFY_PUSH] = "push" };

static bool add_setting(void *ctx, struct str module, struct str event, unsigned known, unsigned on)
{
	for (unsigned c = 0; c < NOTIFY_CHANNELS; c++)
		if (known & 1u << c)
			json_array_append_new(ctx, json_pack("{s:o, s:o, s:s, s:b}", "module", text_or_null(module),
							     "event", text_or_null(event), "channel", channels[c], "on",
							     (on & 1u << c) != 0));
	return true;
}

static void settings_show(struct http_request *rq)
{
	uint32_t me = api_me(rq);

	if (!me)
		return;
	json_t *list = json_array();
	struct txn *t = im_read();
	notify_channels_each(t, me, add_setting, list);
	int err = txn_commit(t);
	answer_read(rq, err, json_pack("{s:o}", "settings", list));
}

static void settings_put(struct http_request *rq)
{
	json_t *in = api_body(rq);
	uint32_t me = in ? api_actor(rq) : 0;

	if (!me)
		return;
	struct str module = api_text(rq, in, "module"), event = api_text(rq, in, "event"),
		   channel = api_text(rq, in, "channel");
	if (!api_check_text(rq, "module", module, NOTIFY_KEY_BYTES, false) ||
	    !api_check_text(rq, "event", event, NOTIFY_KEY_BYTES, false))
		return;
	for (enum notify_channel c = NOTIFY_SITE; c < NOTIFY_CHANNELS; c++)
		if (str_eq_c(channel, channels[c])) {
			notify_set_wants(me, module, event, c, api_flag(in, "on", true), done, rq);
			return;
		}
	answer_error(rq, 400, "channel", "channel is site, jabber or push");
}

const struct route notify_routes[] = {
	{ "GET", "/api/v1/notifications", ROUTE_TOKEN, notify_list },
	{ "POST", "/api/v1/notifications", ROUTE_TOKEN, notify_post },
	{ "DELETE", "/api/v1/notifications", ROUTE_TOKEN, notify_del_by },
	{ "GET", "/api/v1/me/notifications/unread", ROUTE_TOKEN, notify_counter },
	{ "PUT", "/api/v1/me/notifications/read", ROUTE_TOKEN, notify_read_put },
	{ "GET", "/api/v1/me/notifications/settings", ROUTE_TOKEN, settings_show },
	{ "PUT", "/api/v1/me/notifications/settings", ROUTE_TOKEN, settings_put },
	{ "GET", "/api/v1/notifications/{id}", ROUTE_TOKEN, notify_show },
	{ "DELETE", "/api/v1/notifications/{id}", ROUTE_TOKEN, notify_del },
	{ "POST", "/api/v1/notifications/{id}/confirm", ROUTE_TOKEN, notify_press },
	{ "POST", "/api/v1/notifications/{id}/answer", ROUTE_TOKEN, notify_reply },
	{ .path = NULL },
};
