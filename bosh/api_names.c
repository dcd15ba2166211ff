/* How the API names people and dialogs, reads JSON and prints it. People are numbers where the structure has them, as portals know them. Worker of the connection. */
#include "bosh/api.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/opaque.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/person.h"
#include "xml/datetime.h"
#include <string.h>

bool api_domain(struct http_request *rq, struct str domain, struct str *out)
{
	*out = domain.n ? domain : str_c(im.domains[0]);
	if (im_is_our_domain(*out))
		return true;
	answer_error(rq, 404, "not_found", "This server does not serve that domain");
	return false;
}

/* ---- people ---- */

static bool all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n < 19;
}

static uint64_t number_of(struct str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

uint32_t api_account(struct http_request *rq, struct str domain, struct str ref)
{
	struct jid j;

	if (all_digits(ref)) {
		const struct org_person *p = org_person_by_number(org_current(), domain, number_of(ref));
		if (p)
			return p->account;
	}
	if (str_find(ref, '/') >= 0)
		return 0;
	if (str_find(ref, '@') < 0)
		ref = arena_printf(rq->a, "%.*s@%.*s", STR_ARG(ref), STR_ARG(domain));
	if (jid_parse(rq->a, ref, &j) || !jid_is_bare(&j) || !j.local_n || !str_eq(jid_domain(&j), domain))
		return 0;
	return peer_get(&j)->id;
}

uint32_t api_person_named(struct http_request *rq, struct str ref)
{
	uint32_t account = api_account(rq, rq->who->domain, ref);

	if (!account)
		answer_error(rq, 404, "person", "There is no such person: give a number or login");
	return account;
}

bool api_people(struct http_request *rq, const json_t *list, const char *name, size_t max, uint32_t **out,
		size_t *out_n)
{
	size_t n = json_array_size(list);
	const char *wrong = list && !json_is_array(list) ? "must be a list of numbers or logins"
			    : n > max			 ? "names too many people at once"
							 : NULL;

	*out = arena_alloc(rq->a, (n + 1) * sizeof **out);
	*out_n = n;
	for (size_t i = 0; i < n && !wrong; i++) {
		json_t *v = json_array_get(list, i);
		struct str ref = json_is_integer(v)  ? arena_printf(rq->a, "%lld", (long long)json_integer_value(v))
				 : json_is_string(v) ? str_of(json_string_value(v), json_string_length(v))
						     : STR_NONE;
		(*out)[i] = ref.n ? api_account(rq, rq->who->domain, ref) : 0;
		if (!(*out)[i])
			wrong = "names somebody whom this server does not know";
	}
	if (wrong)
		answer_error(rq, 400, "people", arena_printf(rq->a, "%s %s", name, wrong).p);
	return !wrong;
}

json_t *api_ref(struct arena *a, uint32_t account)
{
	const struct org_person *p = org_person(org_current(), account);
	struct jid j;

	if (p && p->number)
		return json_integer((json_int_t)p->number);
	j = p ? p->jid : person_jid(a, account);
	return jid_is_none(&j) ? json_null() : api_str(jid_local(&j));
}

json_t *api_person(struct arena *a, uint32_t account)
{
	const struct org_person *p = org_person(org_current(), account);
	struct jid j = p ? p->jid : person_jid(a, account);

	if (!account || jid_is_none(&j))
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "id", api_ref(a, account), "login", api_str(jid_local(&j)), "jid",
			 api_str(jid_bare(&j)), "name", api_str(p && p->full_name.n ? p->full_name : jid_local(&j)));
}

/* ---- dialogs ---- */

int api_dialog(struct http_request *rq, struct str ref, uint32_t me, uint64_t *out_conv)
{
	if (str_starts(ref, STR("chat"))) {
		struct str digits = str_of(ref.p + 4, ref.n - 4);
		if (all_digits(digits)) {
			*out_conv = conv_chat(number_of(digits));
			return 0;
		}
	}
	if (str_eq_c(ref, "notify")) {
		*out_conv = conv_notify(me);
		return 0;
	}
	if (!ref.n)
		return ERR_SYNTAX;
	uint32_t account = api_account(rq, rq->who->domain, ref);
	*out_conv = conv_private(me, account);
	return account ? 0 : ERR_NOT_FOUND;
}

bool api_dialog_param(struct http_request *rq, uint32_t me, uint64_t *out_conv)
{
	int err = api_dialog(rq, rq->param[0], me, out_conv);

	if (err)
		answer_error(rq, 404, "dialog",
			     "There is no such dialog: give a person's number or login, chatN, or notify");
	return err == 0;
}

struct str api_dialog_id(struct arena *a, uint64_t conv, uint32_t me)
{
	if (conv_kind(conv) == CONV_CHAT)
		return arena_printf(a, "chat%llu", (unsigned long long)conv_chat_number(conv));
	if (conv_kind(conv) == CONV_NOTIFY)
		return STR("notify");
	uint32_t peer = conv_peer(conv, me);
	const struct org_person *p = org_person(org_current(), peer);
	if (p && p->number)
		return arena_printf(a, "%llu", (unsigned long long)p->number);
	struct jid j = p ? p->jid : person_jid(a, peer);
	return jid_is_none(&j) ? STR("0") : jid_local(&j);
}

/* ---- reading ---- */

static void release_json(void *data)
{
	json_decref(data);
}

json_t *api_body(struct http_request *rq)
{
	json_error_t e;
	json_t *root =
		json_loadb(rq->body.n ? rq->body.p : "{}", rq->body.n ? rq->body.n : 2, JSON_REJECT_DUPLICATES, &e);

	if (root && json_is_object(root)) {
		http_keep(rq, root, release_json);
		return root;
	}
	json_decref(root);
	answer_error(rq, 400, "json", "The body must be one JSON object in UTF-8");
	return NULL;
}

struct str api_text(struct http_request *rq, const json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	if (json_is_integer(v))
		return arena_printf(rq->a, "%lld", (long long)json_integer_value(v));
	return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
}

bool api_flag(const json_t *o, const char *name, bool def)
{
	json_t *v = json_object_get(o, name);

	return json_is_boolean(v) ? json_is_true(v) : def;
}

int64_t api_int(const json_t *o, const char *name, int64_t def)
{
	json_t *v = json_object_get(o, name);

	return json_is_integer(v) ? json_integer_value(v) : def;
}

bool api_check_text(struct http_request *rq, const char *name, struct str s, size_t max, bool needed)
{
	const char *wrong = !s.n && needed ? "is needed"
			    : s.n > max	   ? "is too long"
			    : !str_xml_valid(s)
				    ? "has characters that no message may hold (row X10: control characters, U+FFFE)"
				    : NULL;

	if (!wrong)
		return true;
	struct str text = arena_printf(rq->a, "%s %s", name, wrong);
	answer_error(rq, s.n > max ? 413 : 400, "text", arena_printf(rq->a, "%.*s%c", STR_ARG(text), 0).p);
	return false;
}

bool api_number(struct http_request *rq, struct str s, uint64_t *out)
{
	bool good = all_digits(s);

	*out = good ? number_of(s) : 0;
	if (!good)
		answer_error(rq, 404, "not_found", "The address needs a number there");
	return good;
}

bool api_query_flag(struct http_request *rq, const char *name)
{
	struct str v = http_query(rq, name);

	return str_eq_c(v, "1") || str_eq_c(v, "true");
}

size_t api_limit(struct http_request *rq, size_t def, size_t max)
{
	struct str v = http_query(rq, "limit");
	uint64_t n = all_digits(v) ? number_of(v) : 0;

	return !n ? def : n > max ? max : (size_t)n;
}

/* ---- printing ---- */

void answer_value(struct http_request *rq, unsigned status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(value);
	if (!text) {
		answer_error(rq, 500, "internal", "The answer could not be printed");
		return;
	}
	answer_json(rq, status, str_c(text));
	free(text);
}

void answer_read(struct http_request *rq, int err, json_t *value)
{
	if (!err) {
		answer_value(rq, 200, value);
		return;
	}
	json_decref(value);
	answer_err(rq, err, NULL);
}

void api_done(void *ctx, int err)
{
	struct http_request *rq = ctx;

	if (err)
		answer_err(rq, err, NULL);
	else
		http_answer(rq, 204, NULL, STR_NONE, NULL);
}

json_t *api_str(struct str s)
{
	json_t *j = s.p ? json_stringn(s.p, s.n) : NULL;

	return j ? j : json_null(); /* what is stored is UTF-8; damage shows as null */
}

json_t *api_gid(uint64_t gid)
{
	char id[OPAQUE_LEN];

	if (!gid)
		return json_null();
	opaque_print(gid, id);
	return json_stringn(id, OPAQUE_LEN);
}

uint64_t api_gid_parse(struct str s)
{
	uint64_t gid;

	return s.p && opaque_parse(s, &gid) == 0 ? gid : 0;
}

json_t *api_time(uint64_t ms)
{
	char when[DATETIME_MAX];

	return ms ? json_stringn(when, datetime_print(ms, when)) : json_null();
}
