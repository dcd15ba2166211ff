/* /api/v1/users: list, add, password, disable, enable, delete, admin right, log out everywhere. Worker of the connection. */
#include "bosh/api.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/im/im.h"
#include "storage/tab_account.h"

struct user_list {
	struct buf b;
	size_t n;
};

static bool list_one(void *ctx, const struct account_rec *r)
{
	struct user_list *l = ctx;

	char jid[2 * 1024 + 2];
	int n = snprintf(jid, sizeof jid, "%.*s@%.*s", STR_ARG(r->local), STR_ARG(r->domain));

	buf_str_add(&l->b, str_c(l->n++ ? ",{\"jid\":" : "{\"jid\":"));
	json_str(&l->b, str_of(jid, (size_t)n)); /* a name may hold a backslash */
	buf_printf(&l->b, ",\"id\":%u,\"admin\":%s,\"disabled\":%s,\"password\":%s}", r->id,
		   r->is_admin ? "true" : "false", r->disabled ? "true" : "false",
		   r->scram[0].present || r->scram[1].present || r->scram[2].present ? "true" : "false");
	return true;
}

static void user_list(struct http_request *rq)
{
	struct user_list l = { .n = 0 };
	struct txn *t = im_read();

	buf_init(&l.b, 256u << 20);
	buf_lit(&l.b, "{\"users\":[");
	for (size_t i = 0; i < im.n_domains; i++)
		account_each(t, str_c(im.domains[i]), list_one, &l);
	buf_lit(&l.b, "]}\n");
	int err = txn_commit(t);
	if (err)
		answer_err(rq, err, NULL);
	else
		answer_json(rq, 200, buf_str(&l.b));
	buf_clear(&l.b);
}

static const struct err_words in_words[] = {
	{ ERR_EXISTS, "An account of that name exists already" },
	{ ERR_CONFLICT, "The name looks like that of another account; use --force if that is meant" },
	{ ERR_NOT_FOUND, "There is no such account" },
	{ ERR_SYNTAX, "The name or the password has characters that are not allowed, or a bad length" },
	{ 0, NULL },
};

static void user_done(void *ctx, int err, uint32_t id)
{
	struct http_request *rq = ctx;
	char json[64];

	if (!err) {
		int n = snprintf(json, sizeof json, "{\"id\":%u}\n", id);
		answer_json(rq, 200, str_of(json, (size_t)n));
		return;
	}
	answer_err_words(rq, err, in_words);
}

typedef void change_fn(const struct account_op *op, account_done_fn *done, void *ctx);
static const struct {
	const char *verb;
	change_fn *fn;
} verbs[] = {
	{ "add", account_add },	      { "passwd", account_set_password }, { "disable", account_disable },
	{ "enable", account_enable }, { "delete", account_remove },	  { "admin", account_set_admin },
	{ "logout", account_revoke },
};

static change_fn *verb_of(struct str path)
{
	struct str verb = str_of(path.p + sizeof "/api/v1/users/" - 1, path.n - (sizeof "/api/v1/users/" - 1));

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_eq_c(verb, verbs[i].verb))
			return verbs[i].fn;
	return NULL;
}

/* POST /api/v1/users/VERB {"login": "anna" or "anna@domain", "password": ..., "admin": bool, "force": bool} */
static void user_change(struct http_request *rq)
{
	struct account_op op = { .actor = STR("ctl") };
	change_fn *fn = verb_of(rq->path);
	struct json_body *j;

	if (!fn) {
		answer_error(rq, 404, "not_found", "Known are add, passwd, disable, enable, delete, admin and logout");
		return;
	}
	if (!(j = json_parse(rq)))
		return;
	struct str login = json_get(j, "login");
	ptrdiff_t at = login.p ? str_find(login, '@') : -1;
	op.local = at < 0 ? login : str_of(login.p, (size_t)at);
	op.password = json_get(j, "password");
	op.is_admin = json_get_bool(j, "admin", false);
	op.force = json_get_bool(j, "force", false);
	if (!op.local.n)
		answer_error(rq, 400, "bad_request", "Name the login");
	else if (api_domain(rq, at < 0 ? STR_NONE : str_of(login.p + at + 1, login.n - (size_t)at - 1), &op.domain))
		fn(&op, user_done, rq);
	json_free(j);
}

const struct route user_routes[] = {
	{ "GET", "/api/v1/users", ROUTE_CONTROL, user_list },
	{ "POST", "/api/v1/users/*", ROUTE_CONTROL, user_change },
	{ .path = NULL },
};
