/*
 * /rest/METHOD: finds the row, says who acts, checks what is needed, runs it, prints the answer. Also `batch`. The methods are in rest_im_*.c; they call the same
 * functions of server/im as /api/v1. Worker of the connection.
 */
#include "bosh/rest.h"
#include "base/clock.h"
#include "base/err.h"
#include "server/im/org.h"
#include <string.h>

enum { BATCH_MAX = 50 };

static const struct rest_method own_methods[];
static const struct rest_method *const tables[] = {
	own_methods,	     rest_message_methods, rest_chat_methods, rest_dialog_methods, rest_notify_methods,
	rest_recent_methods, rest_search_methods,  rest_user_methods, rest_file_methods,   NULL
};

struct rest_batch {
	struct rest_call *call;
	json_t *commands, *results, *errors, *times; /* commands is borrowed */
	void *next;				     /* iterator over commands */
	const char *name;			     /* of the one that runs */
	bool halt;
};

/* ---- answers ---- */

static json_t *times_of(const struct rest_call *c)
{
	uint64_t now = clock_wall_us();

	return json_pack("{s:f, s:f, s:f, s:o, s:o}", "start", (double)c->began_us / 1e6, "finish", (double)now / 1e6,
			 "duration", (double)(now - c->began_us) / 1e6, "date_start", api_time(c->began_us / 1000),
			 "date_finish", api_time(now / 1000));
}

static void batch_next(struct rest_batch *b);

void rest_result(struct rest_call *c, json_t *v)
{
	struct rest_batch *b = c->batch;

	if (!b) {
		answer_value(c->rq, 200, json_pack("{s:o, s:o}", "result", v ? v : json_null(), "time", times_of(c)));
		return;
	}
	json_object_set_new(b->results, b->name, v ? v : json_null());
	json_object_set_new(b->times, b->name, times_of(c));
	batch_next(b);
}

void rest_error(struct rest_call *c, unsigned status, const char *code, const char *text)
{
	struct rest_batch *b = c->batch;

	if (!b) {
		answer_error(c->rq, status, code, text);
		return;
	}
	json_object_set_new(b->errors, b->name, json_pack("{s:s, s:s}", "error", code, "error_description", text));
	if (b->halt)
		b->next = NULL;
	batch_next(b);
}

static const struct {
	int err;
	unsigned status;
	const char *code, *text;
} errors[] = {
	{ ERR_NOT_FOUND, 403, "ACCESS_ERROR", "There is no such thing, or you may not see it" },
	{ ERR_FORBIDDEN, 403, "ACCESS_ERROR", "You may not do this" },
	{ ERR_SYNTAX, 400, "WRONG_REQUEST", "A parameter is not what this method takes" },
	{ ERR_LIMIT, 400, "LIMIT_EXCEEDED", "That is more than the server takes: see limits in the manual" },
	{ ERR_EXISTS, 400, "ALREADY_EXISTS", "There is one already" },
	{ ERR_CONFLICT, 400, "WRONG_REQUEST", "This cannot be done now: it was done before, or would leave no owner" },
	{ ERR_AGAIN, 503, "QUERY_LIMIT_EXCEEDED", "The server is busy; repeat in a moment" },
	{ ERR_NO_SPACE, 507, "SAVE_ERROR", "The disk of the server is full" },
	{ 0, 500, "INTERNAL_SERVER_ERROR", "The server failed; its log says why" },
};

void rest_err(struct rest_call *c, int err)
{
	size_t i = 0;

	while (errors[i].err && errors[i].err != err)
		i++;
	rest_error(c, errors[i].status, errors[i].code, errors[i].text);
}

void rest_done(void *ctx, int err)
{
	if (err)
		rest_err(ctx, err);
	else
		rest_result(ctx, json_true());
}

void rest_chat_done(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)number;
	(void)gid;
	rest_done(ctx, err);
}

void rest_message_done(void *ctx, int err, uint64_t gid)
{
	if (err)
		rest_err(ctx, err);
	else
		rest_result(ctx, rest_id_of_message(gid));
}

/* ---- who acts ---- */

static bool has_scope(struct rest_call *c, unsigned scope)
{
	if (principal_has(&c->by, scope))
		return true;
	rest_error(c, 403, "insufficient_scope", "The token lacks the scope that this needs");
	return false;
}

/* The person a service names; NONE when it names none. */
static struct str named_person(const struct rest_call *c)
{
	struct str s = rest_text(c, "FROM_USER_ID");

	return s.p ? s : rest_text(c, "USER");
}

static bool is_system(const struct rest_call *c, struct str person)
{
	return c->method->who == REST_SPEAKER && (str_eq_c(person, "0") || rest_yes(c, "SYSTEM", false));
}

/* A person speaks for himself only (row I14); a service says for whom. False after answering. */
static bool find_actor(struct rest_call *c)
{
	static const unsigned scopes[] = { [REST_READER] = SCOPE_READ, [REST_ACTOR] = SCOPE_SEND_AS };
	struct str person = named_person(c);

	c->by = *c->rq->who;
	if (is_system(c, person)) {
		c->me = 0; /* by.account stays: may_speak_as() refuses a person */
		return true;
	}
	if (person.n && !str_eq_c(person, "0")) {
		uint32_t account = rest_account(c, person);
		if (!account) {
			rest_error(c, 400, "USER_NOT_FOUND", "FROM_USER_ID or USER names nobody");
			return false;
		}
		if (c->by.kind == PRINCIPAL_USER && account != c->by.account) {
			rest_error(c, 403, "ACCESS_ERROR", "A person acts for himself only");
			return false;
		}
		c->by.account = account;
	}
	c->me = c->by.account;
	if (c->by.kind == PRINCIPAL_USER || c->method->who == REST_ANYBODY || c->method->who == REST_SPEAKER)
		return true;
	if (!c->me) {
		rest_error(c, 400, "USER_ID_EMPTY", "Say for which person: USER, or a person's own token");
		return false;
	}
	return has_scope(c, scopes[c->method->who]);
}

/* ---- running ---- */

static bool is_given(const struct rest_call *c, struct str names)
{
	struct str name;

	while (names.p && str_split(&names, '|', &name)) {
		json_t *v = rest_value(c, arena_str(c->rq->a, name).p);
		if (json_is_object(v) || json_is_array(v) ? json_object_size(v) + json_array_size(v)
							  : rest_text_of(c, v).n)
			return true;
	}
	return false;
}

static bool has_needed(struct rest_call *c)
{
	for (size_t i = 0; i < REST_NEEDS && c->method->needs[i].name; i++)
		if (!is_given(c, str_c(c->method->needs[i].name))) {
			struct str text = arena_printf(c->rq->a, "%s is needed", c->method->needs[i].name);
			rest_error(c, 400, c->method->needs[i].code, text.p);
			return false;
		}
	return true;
}

static const struct rest_method *find(struct str name)
{
	for (size_t t = 0; tables[t]; t++)
		for (const struct rest_method *m = tables[t]; m->name; m++)
			if (str_ieq(name, str_c(m->name)))
				return m;
	return NULL;
}

void rest_run(struct rest_call *c, struct str name)
{
	c->began_us = clock_wall_us();
	c->method = find(name);
	if (!c->method)
		rest_error(c, 404, "ERROR_METHOD_NOT_FOUND", "There is no method of that name");
	else if (find_actor(c) && has_needed(c))
		c->method->fn(c);
}

static void release_json(void *data)
{
	json_decref(data);
}

static void handle(struct http_request *rq)
{
	struct rest_call *c = ARENA_NEW(rq->a, struct rest_call);
	struct str name = rq->param[0];

	c->rq = rq;
	c->in = rest_params(rq);
	if (!c->in) {
		answer_error(
			rq, 400, "WRONG_REQUEST",
			"Parameters come as a JSON object or as a form (application/x-www-form-urlencoded), in UTF-8");
		return;
	}
	http_keep(rq, c->in, release_json);
	if (str_ends(name, STR(".json")))
		name.n -= 5;
	rest_run(c, name);
}

/* ---- batch: cmd[NAME] = "method?query", one after the other ---- */

static void batch_end(struct rest_batch *b)
{
	rest_result(b->call, json_pack("{s:o, s:o, s:{}, s:{}, s:o}", "result", b->results, "result_error", b->errors,
				       "result_total", "result_next", "result_time", b->times));
}

static void batch_next(struct rest_batch *b)
{
	struct rest_call *c = ARENA_NEW(b->call->rq->a, struct rest_call);
	struct str command, method;

	if (!b->next) {
		batch_end(b);
		return;
	}
	b->name = json_object_iter_key(b->next);
	command = rest_text_of(b->call, json_object_iter_value(b->next));
	b->next = json_object_iter_next(b->commands, b->next);
	c->rq = b->call->rq;
	c->batch = b;
	c->began_us = clock_wall_us();
	ptrdiff_t q = str_find(command, '?');
	method = q < 0 ? command : str_of(command.p, (size_t)q);
	c->in = rest_params_of_query(c->rq->a, q < 0 ? STR_NONE : str_of(command.p + q + 1, command.n - (size_t)q - 1));
	if (c->in)
		http_keep(c->rq, c->in, release_json);
	if (!c->in || str_ieq(method, STR("batch")))
		rest_error(c, 400, "WRONG_REQUEST", "A command is method?name=value&..., and not a batch");
	else
		rest_run(c, method);
}

/* A list has no names: its commands are called by their place. */
static json_t *named(struct rest_call *c, json_t *list)
{
	json_t *o, *v;
	size_t i;

	if (!json_is_array(list))
		return list;
	o = json_object();
	json_array_foreach(list, i, v) json_object_set(o, arena_printf(c->rq->a, "%zu", i).p, v);
	http_keep(c->rq, o, release_json);
	return o;
}

static void batch(struct rest_call *c)
{
	struct rest_batch *b = ARENA_NEW(c->rq->a, struct rest_batch);

	b->call = c;
	b->commands = named(c, rest_value(c, "CMD"));
	if (!json_is_object(b->commands) || json_object_size(b->commands) > BATCH_MAX) {
		rest_error(c, 400, "ERROR_BATCH_LENGTH_EXCEEDED", "cmd is a list of at most 50 commands");
		return;
	}
	b->halt = rest_yes(c, "HALT", false);
	b->results = json_object();
	b->errors = json_object();
	b->times = json_object();
	b->next = json_object_iter(b->commands);
	batch_next(b);
}

static void methods(struct rest_call *c)
{
	json_t *list = json_array();

	for (size_t t = 0; tables[t]; t++)
		for (const struct rest_method *m = tables[t]; m->name; m++)
			json_array_append_new(list, json_string(m->name));
	rest_result(c, list);
}

static const struct rest_method own_methods[] = {
	{ "batch", batch, REST_ANYBODY, { { "CMD", "WRONG_REQUEST" } } },
	{ "methods", methods, REST_ANYBODY },
	{ .name = NULL },
};

const struct route rest_routes[] = {
	{ "POST", "/rest/{method}", ROUTE_TOKEN, handle },
	{ "GET", "/rest/{method}", ROUTE_TOKEN, handle },
	{ .path = NULL },
};
