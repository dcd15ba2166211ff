/* Route tables, JSON answers and errors in one shape. Worker of the connection. */
#include "bosh/route.h"
#include "base/err.h"
#include "base/mem.h"
#include "bosh/api.h"
#include <jansson.h>
#include <string.h>

static const struct route *const *all_tables;
static bool (*fallback)(struct http_request *rq, struct str path);

void route_init(const struct route *const *tables)
{
	all_tables = tables;
}

void route_fallback(bool (*answer)(struct http_request *rq, struct str path))
{
	fallback = answer;
}

/* Compares segment by segment; what stands for {names} goes to param (NULL: nobody wants it). */
static bool path_matches(const char *pattern, struct str path, struct str param[HTTP_PARAMS])
{
	size_t at = 0, n_params = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '*' && !pattern[1])
			return true;
		if (*pattern != '{') {
			if (at == path.n || path.p[at++] != *pattern)
				return false;
			continue;
		}
		size_t from = at;
		while (at < path.n && path.p[at] != '/')
			at++;
		if (at == from)
			return false;
		if (param)
			param[n_params++] = str_of(path.p + from, at - from);
		pattern = strchr(pattern, '}');
	}
	return at == path.n;
}

static bool method_matches(const char *method, struct str asked)
{
	return str_eq_c(asked, method) || (strcmp(method, "GET") == 0 && str_eq_c(asked, "HEAD"));
}

/* The row for a request; path_known tells 405 from 404. */
static const struct route *find(struct http_request *rq, bool *path_known)
{
	*path_known = false;
	for (size_t t = 0; all_tables[t]; t++)
		for (const struct route *r = all_tables[t]; r->path; r++) {
			if (!path_matches(r->path, rq->path, rq->param))
				continue;
			*path_known = true;
			if (method_matches(r->method, rq->method))
				return r;
		}
	return NULL;
}

static void add_method(struct buf *b, const char *method)
{
	if (b->n && memmem(b->p, b->n, method, strlen(method)))
		return;
	if (b->n)
		buf_lit(b, ", ");
	buf_str_add(b, str_c(method));
}

/* Methods of a path, for Allow and preflights. */
static struct str methods_of(struct http_request *rq)
{
	struct buf b;
	struct str s;

	buf_init(&b, 1024);
	for (size_t t = 0; all_tables[t]; t++)
		for (const struct route *r = all_tables[t]; r->path; r++)
			if (path_matches(r->path, rq->path, NULL))
				add_method(&b, r->method);
	add_method(&b, "OPTIONS");
	s = arena_str(rq->a, buf_str(&b));
	buf_clear(&b);
	return s;
}

/* CORS preflight (Fetch standard 4.8), and OPTIONS as such (RFC 9110 9.3.7). */
static void answer_options(struct http_request *rq)
{
	struct str methods = methods_of(rq), lines = arena_printf(rq->a, "Allow: %s\r\n", methods.p);

	if (rq->origin != ORIGIN_NONE)
		lines = arena_printf(
			rq->a,
			"%sAccess-Control-Allow-Methods: %s\r\nAccess-Control-Allow-Headers: "
			"Authorization, Content-Type, Last-Event-ID, Range, Vestnik-As, Idempotency-Key\r\n"
			"Access-Control-Max-Age: 3600\r\n",
			lines.p, methods.p);
	http_answer(rq, 204, NULL, STR_NONE, lines.p);
}

static bool only_reads(struct str method)
{
	return str_eq_c(method, "GET") || str_eq_c(method, "HEAD");
}

/* True when it was answered: nothing at that place, or not for this client. */
static bool turned_away(struct http_request *rq, const struct route *r, bool path_known)
{
	if (!path_known) {
		answer_error(rq, 404, "not_found", "There is nothing at this address");
	} else if (rq->origin == ORIGIN_FOREIGN && !only_reads(rq->method)) {
		answer_error(rq, 403, "origin",
			     "Pages of that origin may not do this; http.origins lists those that may");
	} else if (!r && str_eq_c(rq->method, "OPTIONS")) {
		answer_options(rq);
	} else if (!r) {
		answer_error(rq, 405, "method", "This address does not take that method");
	} else {
		return !api_authorise(rq, r);
	}
	return true;
}

const struct http_sink *route_head(struct http_request *rq)
{
	bool path_known;
	const struct route *r = find(rq, &path_known);

	rq->route = r;
	/* Without a sink nothing is lost by answering when the request is whole, and the connection can stay. */
	return r && r->sink && !turned_away(rq, r, path_known) ? r->sink : NULL;
}

void route_request(struct http_request *rq)
{
	bool path_known = rq->route != NULL;
	const struct route *r = path_known ? rq->route : find(rq, &path_known);

	if (r && r->sink)
		r->handle(rq);
	else if (!path_known && fallback && only_reads(rq->method) && fallback(rq, rq->path))
		return;
	else if (!turned_away(rq, r, path_known))
		r->handle(rq);
}

void json_str(struct buf *b, struct str s)
{
	buf_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else
			buf_byte(b, (char)c);
	}
	buf_byte(b, '"');
}

void answer_json(struct http_request *rq, unsigned status, struct str json)
{
	http_answer(rq, status, "application/json", json, NULL);
}

void answer_error_with(struct http_request *rq, unsigned status, const char *code, const char *text, const char *extra)
{
	bool rest = str_starts(rq->path, STR("/rest/")); /* portals know another shape */
	struct buf b;

	buf_init(&b, 65536);
	buf_str_add(&b, rest ? STR("{\"error\":") : STR("{\"error\":{\"code\":"));
	json_str(&b, str_c(code));
	buf_str_add(&b, rest ? STR(",\"error_description\":") : STR(",\"text\":"));
	json_str(&b, str_c(text));
	buf_str_add(&b, rest ? STR("}\n") : STR("}}\n"));
	http_answer(rq, status, "application/json", buf_str(&b), extra);
	buf_clear(&b);
}

void answer_error(struct http_request *rq, unsigned status, const char *code, const char *text)
{
	answer_error_with(rq, status, code, text, NULL);
}

static const struct {
	int err;
	unsigned status;
	const char *code;
} errors[] = {
	{ ERR_SYNTAX, 400, "bad_request" },  { ERR_LIMIT, 413, "limit" },
	{ ERR_NOT_FOUND, 404, "not_found" }, { ERR_EXISTS, 409, "exists" },
	{ ERR_CONFLICT, 409, "conflict" },   { ERR_FORBIDDEN, 403, "forbidden" },
	{ ERR_AUTH, 401, "unauthorized" },   { ERR_AGAIN, 503, "busy" },
	{ ERR_NO_SPACE, 507, "no_space" },   { 0, 500, "internal" },
};

void answer_err(struct http_request *rq, int err, const char *text)
{
	size_t i = 0;

	while (errors[i].err && errors[i].err != err)
		i++;
	answer_error(rq, errors[i].status, errors[i].code, text ? text : err_text(err));
}

void answer_err_words(struct http_request *rq, int err, const struct err_words *words)
{
	while (words->err && words->err != err)
		words++;
	answer_err(rq, err, words->text);
}

struct json_body {
	json_t *root;
};

struct json_body *json_parse(struct http_request *rq)
{
	json_error_t e;
	json_t *root =
		json_loadb(rq->body.n ? rq->body.p : "{}", rq->body.n ? rq->body.n : 2, JSON_REJECT_DUPLICATES, &e);

	if (root && json_is_object(root)) {
		struct json_body *j = NEW(struct json_body);
		j->root = root;
		return j;
	}
	json_decref(root);
	answer_error(rq, 400, "bad_request", "The body must be one JSON object in UTF-8");
	return NULL;
}

struct str json_get(const struct json_body *j, const char *name)
{
	json_t *v = json_object_get(j->root, name);

	return v && json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
}

bool json_get_bool(const struct json_body *j, const char *name, bool def)
{
	json_t *v = json_object_get(j->root, name);

	return v && json_is_boolean(v) ? json_is_true(v) : def;
}

void json_free(struct json_body *j)
{
	if (!j)
		return;
	json_decref(j->root);
	mem_free(j);
}
