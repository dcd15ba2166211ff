/* /api/v1/tokens: of services (scope admin): list, add (the text is shown once), revoke; of oneself: list and revoke ("signed on at"). Worker of the connection. */
#include "bosh/api.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/token.h"

struct listing {
	struct http_request *rq;
	json_t *list;
};

static bool add_one(void *ctx, const struct token_info *i)
{
	struct listing *l = ctx;
	char scopes[64];
	size_t n = token_scopes_print(i->scopes, scopes, sizeof scopes);

	if (!i->account && !str_eq(i->domain, l->rq->who->domain) && !l->rq->is_control)
		return true;
	json_array_append_new(l->list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "id", api_str(i->id), "name",
						 api_str(i->name), "domain", api_str(i->domain), "scopes",
						 api_str(str_of(scopes, n)), "created", api_time(i->created_ms),
						 "expires", api_time(i->expires_ms)));
	return true;
}

static void list(struct http_request *rq, uint32_t account)
{
	struct listing l = { rq, json_array() };
	struct txn *t = im_read();

	token_list(t, account, add_one, &l);
	int err = txn_commit(t);
	if (err) {
		json_decref(l.list);
		answer_err(rq, err, NULL);
	} else {
		answer_value(rq, 200, json_pack("{s:o}", "tokens", l.list));
	}
}

static void token_list_all(struct http_request *rq)
{
	list(rq, 0);
}

static void token_list_mine(struct http_request *rq)
{
	uint32_t me = api_me(rq);

	if (me)
		list(rq, me);
}

static void issued(void *ctx, int err, struct str text, struct str id, uint64_t expires_ms)
{
	struct http_request *rq = ctx;

	if (err)
		answer_err(rq, err,
			   err == ERR_EXISTS ? "There is a token of that name: revoke it first, or take another name"
					     : NULL);
	else
		answer_value(rq, 201,
			     json_pack("{s:o, s:o, s:o}", "token", api_str(text), "id", api_str(id), "expires",
				       api_time(expires_ms)));
}

static void token_add(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct token_new n = { .life_ms = 0 };

	if (!in)
		return; /* answered, and rq is gone */
	n.by = *rq->who;
	if (!api_domain(rq, api_text(rq, in, "domain"), &n.domain))
		return;
	n.name = api_text(rq, in, "name");
	n.life_ms = (uint64_t)(api_int(in, "days", 0) > 0 ? api_int(in, "days", 0) : 0) * 86400000u;
	if (!rq->is_control && !str_eq(n.domain, rq->who->domain))
		answer_error(rq, 403, "forbidden", "Tokens are made for the own domain");
	else if (token_scopes_parse(api_text(rq, in, "scopes"), &n.scopes))
		answer_error(rq, 400, "scopes", "Give scopes of read, send-as, system, org, admin, chats");
	else if (!principal_has(
			 rq->who,
			 n.scopes)) /* an administrator cannot make himself one that speaks as others (I09, I14) */
		answer_error(rq, 403, "scopes",
			     "Nobody gives more than he has: tokens with read, send-as or system are made on the "
			     "server, by vestnikctl token add");
	else
		token_issue(&n, issued, rq);
}

static void revoked(void *ctx, int err)
{
	struct http_request *rq = ctx;

	if (err)
		answer_err(rq, err, err == ERR_NOT_FOUND ? "There is no such token" : NULL);
	else
		http_answer(rq, 204, NULL, STR_NONE, NULL);
}

static void token_del(struct http_request *rq)
{
	token_revoke(rq->who, 0, rq->param[0], revoked, rq);
}

static void token_del_mine(struct http_request *rq)
{
	uint32_t me = api_me(rq);

	if (me)
		token_revoke(rq->who, me, rq->param[0], revoked, rq);
}

const struct route token_routes[] = {
	{ "GET", "/api/v1/tokens", ROUTE_TOKEN, token_list_all, .scope = SCOPE_ADMIN },
	{ "POST", "/api/v1/tokens", ROUTE_TOKEN, token_add, .scope = SCOPE_ADMIN },
	{ "DELETE", "/api/v1/tokens/{id}", ROUTE_TOKEN, token_del, .scope = SCOPE_ADMIN },
	{ "GET", "/api/v1/me/tokens", ROUTE_TOKEN, token_list_mine },
	{ "DELETE", "/api/v1/me/tokens/{id}", ROUTE_TOKEN, token_del_mine },
	{ .path = NULL },
};
