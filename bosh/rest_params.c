/* Parameters of the portal's methods: JSON, forms with PHP's nested keys, queries. Lists of forms are objects with the keys as they came. Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "xml/datetime.h"
#include <string.h>

enum { DEPTH_MAX = 6, PARAMS_MAX = 2000 };

/* ---- forms ---- */

static bool put(json_t *root, struct arena *a, struct str key, json_t *value)
{
	ptrdiff_t open = str_find(key, '[');
	struct str name = open < 0 ? key : str_of(key.p, (size_t)open),
		   rest = open < 0 ? STR("") : str_of(key.p + open, key.n - (size_t)open);
	json_t *at = root;

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct str z = name.n || at == root ? arena_str(a, name) : arena_printf(a, "%zu", json_object_size(at));
		ptrdiff_t close = rest.n && rest.p[0] == '[' ? str_find(rest, ']') : -1;
		if (close < 0)
			return json_object_set_new(at, z.p, value) == 0;
		json_t *next = json_object_get(at, z.p);
		if (!json_is_object(next)) {
			next = json_object();
			json_object_set_new(at, z.p, next);
		}
		at = next;
		name = str_of(rest.p + 1, (size_t)close - 1);
		rest = str_of(rest.p + close + 1, rest.n - (size_t)close - 1);
	}
	json_decref(value);
	return false;
}

/* False: not UTF-8, too deep, too many. */
static bool read_form(json_t *root, struct arena *a, struct str form)
{
	struct str part;
	size_t n = 0;

	while (form.p && str_split(&form, '&', &part)) {
		ptrdiff_t eq = str_find(part, '=');
		if (!part.n)
			continue;
		struct str key = http_form_text(a, eq < 0 ? part : str_of(part.p, (size_t)eq)),
			   value = eq < 0 ? STR("")
					  : http_form_text(a, str_of(part.p + eq + 1, part.n - (size_t)eq - 1));
		json_t *v = json_stringn(value.p, value.n);
		if (!v || ++n > PARAMS_MAX || !str_utf8_valid(key) || !put(root, a, key, v))
			return false;
	}
	return true;
}

/* ---- all of them ---- */

static struct str upper(struct arena *a, const char *name)
{
	struct str s = arena_str(a, str_c(name));

	for (char *p = (char *)s.p; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	return s;
}

/* Moves the members of from into *root under upper-case names; frees from. */
static void take(json_t *root, struct arena *a, json_t *from)
{
	const char *name;
	json_t *v;

	json_object_foreach(from, name, v) json_object_set(root, upper(a, name).p, v);
	json_decref(from);
}

json_t *rest_params_of_query(struct arena *a, struct str query)
{
	json_t *form = json_object(), *root = json_object();
	bool good = read_form(form, a, query);

	take(root, a, form);
	if (good)
		return root;
	json_decref(root);
	return NULL;
}

static bool read_body(json_t *root, struct http_request *rq)
{
	struct str type = http_header_get(rq, "content-type"), body = str_trim(rq->body);
	bool multipart = str_starts(type, STR("multipart/"));
	json_t *in;

	if (!body.n)
		return true;
	if (multipart)
		return false;
	if (body.p[0] == '{' || str_starts(type, STR("application/json"))) {
		in = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(in)) {
			json_decref(in);
			return false;
		}
	} else {
		in = json_object();
		if (!read_form(in, rq->a, body)) {
			json_decref(in);
			return false;
		}
	}
	take(root, rq->a, in);
	return true;
}

json_t *rest_params(struct http_request *rq)
{
	json_t *root = rest_params_of_query(rq->a, rq->query);

	if (root && read_body(root, rq))
		return root;
	json_decref(root);
	return NULL;
}

/* ---- reading ---- */

json_t *rest_value(const struct rest_call *c, const char *name)
{
	json_t *v = json_object_get(c->in, name);

	return json_is_null(v) ? NULL : v;
}

struct str rest_text_of(const struct rest_call *c, const json_t *v)
{
	if (json_is_string(v))
		return str_of(json_string_value(v), json_string_length(v));
	if (json_is_integer(v))
		return arena_printf(c->rq->a, "%lld", (long long)json_integer_value(v));
	if (json_is_boolean(v))
		return json_is_true(v) ? STR("Y") : STR("N");
	if (json_is_real(v))
		return arena_printf(c->rq->a, "%.0f", json_real_value(v));
	return STR_NONE;
}

struct str rest_text(const struct rest_call *c, const char *name)
{
	return rest_text_of(c, rest_value(c, name));
}

bool rest_yes(const struct rest_call *c, const char *name, bool def)
{
	struct str s = rest_text(c, name);

	if (str_ieq(s, STR("Y")) || str_ieq(s, STR("true")) || str_eq_c(s, "1"))
		return true;
	return str_ieq(s, STR("N")) || str_ieq(s, STR("false")) || str_eq_c(s, "0") ? false : def;
}

uint64_t rest_number(const struct rest_call *c, const char *name, uint64_t def)
{
	uint64_t n;

	return str_u64(rest_text(c, name), INT64_MAX, &n) ? def : n;
}

size_t rest_limit(const struct rest_call *c, size_t def, size_t max)
{
	uint64_t n = rest_number(c, "LIMIT", 0);

	return !n ? def : n > max ? max : (size_t)n;
}

void rest_each(const struct rest_call *c, const char *name, bool (*fn)(void *ctx, json_t *v), void *ctx)
{
	json_t *list = rest_value(c, name), *v;
	const char *key;
	size_t i;

	if (json_is_array(list)) {
		json_array_foreach(list, i, v) if (!fn(ctx, v)) return;
	} else if (json_is_object(list)) {
		json_object_foreach(list, key, v) if (!fn(ctx, v)) return;
	} else if (list && rest_text_of(c, list).n) {
		fn(ctx, list);
	}
}

uint64_t rest_time(const struct rest_call *c, const char *name)
{
	struct str s = rest_text(c, name);
	uint64_t n;

	if (str_u64(s, UINT32_MAX, &n) == 0)
		return n * 1000;
	return s.n && datetime_parse(s, &n) == 0 ? n : 0;
}
