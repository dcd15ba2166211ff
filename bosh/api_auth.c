/*
 * Who asks: a bearer token (im/token.h), or the control socket. A service may act for a person by "Vestnik-As: 47" (number) or a login, which needs
 * SCOPE_READ; what it may do as that person is decided where it is done (principal.h). Tokens come in the Authorization header only: addresses
 * end up in logs and histories (row W13). Worker of the connection.
 */
#include "bosh/api.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/token.h"

static struct str bearer(const struct http_request *rq)
{
	struct str v = http_header_get(rq, "authorization");

	if (v.n < 8 || !str_ieq(str_of(v.p, 7), STR("Bearer ")))
		return STR_NONE;
	return str_trim(str_of(v.p + 7, v.n - 7));
}

static void unauthorized(struct http_request *rq, const char *text)
{
	answer_error_with(rq, 401, "unauthorized", text, "WWW-Authenticate: Bearer\r\n");
}

/* The person a service acts for. False after answering. */
static bool act_for(struct http_request *rq, struct principal *p)
{
	struct str as = http_header_get(rq, "vestnik-as");

	if (!as.p || p->kind == PRINCIPAL_USER)
		return true;
	if (!principal_has(p, SCOPE_READ)) {
		answer_error(rq, 403, "scope", "Acting for a person needs a token with the scope read");
		return false;
	}
	p->account = api_account(rq, p->domain, as);
	if (!p->account)
		answer_error(rq, 404, "person", "Vestnik-As names nobody: give a person's number or login");
	return p->account != 0;
}

bool api_authorise(struct http_request *rq, const struct route *r)
{
	struct principal *p = ARENA_NEW(rq->a, struct principal);
	struct str token = bearer(rq);

	rq->who = p;
	rq->token = token;
	if (rq->is_control)
		*p = (struct principal){ .kind = PRINCIPAL_CONTROL,
					 .domain = str_c(im.domains[0]),
					 .name = STR("ctl") };
	if (r->auth == ROUTE_OPEN || (rq->is_control && !token.p))
		return r->auth == ROUTE_OPEN || act_for(rq, p);
	if (r->auth == ROUTE_CONTROL && !rq->is_control) {
		answer_error(rq, 403, "forbidden", "This is only offered on the control socket");
		return false;
	}
	if (!token.p || token_check(rq->a, token, p)) {
		unauthorized(rq, token.p ? "The token is not valid: it was revoked, has expired, or never was one"
					 : "Send a token: Authorization: Bearer ...");
		return false;
	}
	if (!api_rate_allows(rq))
		return false;
	if (r->scope && !principal_has(p, r->scope)) {
		answer_error(rq, 403, "scope", "The token lacks the scope that this needs");
		return false;
	}
	return act_for(rq, p);
}

uint32_t api_me(struct http_request *rq)
{
	uint32_t account = rq->who->account;

	if (!account)
		answer_error(rq, 400, "as",
			     "Say for which person: a person's own token, or Vestnik-As with a number or login");
	return account;
}

uint32_t api_actor(struct http_request *rq)
{
	uint32_t me = api_me(rq);

	if (!me || may_speak_as(rq->who, me) == 0)
		return me;
	answer_error(rq, 403, "scope", "Changing something for a person needs a token with the scope send-as");
	return 0;
}

bool api_viewer(struct http_request *rq, unsigned scope, uint32_t *out)
{
	*out = rq->who->account;
	if (*out || principal_has(rq->who, scope))
		return true;
	answer_error(rq, 403, "scope",
		     "This needs a person (his own token, or Vestnik-As), or a token with a wider scope");
	return false;
}
