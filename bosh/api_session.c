/*
 * Signing on and off: POST /api/v1/session with {"token": JWT of the portal} or {"login", "password"} gives a bearer token of the person; DELETE ends it;
 * POST /api/v1/session/logout (a service with the scope admin: the portal's logout hook) ends everything a person has. Worker of the connection.
 */
#include "bosh/api.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/im/auth.h"
#include "server/im/im.h"
#include "server/im/person.h"
#include "server/im/portal.h"
#include "server/im/token.h"
#include "server/net/limits.h"
#include "xml/jid.h"

static void issued(void *ctx, int err, struct str text, struct str id, uint64_t expires_ms)
{
	struct http_request *rq = ctx;

	if (err) {
		answer_err(rq, err,
			   err == ERR_LIMIT ? "There are too many tokens of this person: sign off elsewhere first"
					    : NULL);
		return;
	}
	answer_value(rq, 201,
		     json_pack("{s:o, s:o, s:o, s:o}", "token", api_str(text), "id", api_str(id), "expires",
			       api_time(expires_ms), "me", api_person(rq->a, rq->who->account)));
}

static void issue(struct http_request *rq, uint32_t account, uint32_t epoch, struct str domain)
{
	struct str agent = http_header_get(rq, "user-agent");
	struct token_new n = {
		.domain = domain, .account = account, .credentials_epoch = epoch, .life_ms = limits()->api_token_ms
	};

	rq->who->account = account;
	n.name = agent.n && str_xml_valid(agent) ? str_of(agent.p, agent.n > TOKEN_NAME_MAX ? TOKEN_NAME_MAX : agent.n)
						 : STR("API");
	if (!str_utf8_valid(n.name))
		n.name = STR("API"); /* was cut within a character */
	token_issue(&n, issued, rq);
}

struct login {
	struct http_request *rq;
	struct str domain;
};

static void checked(void *ctx, const struct auth_result *r)
{
	struct login *l = ctx;

	if (r->err == ERR_AUTH)
		answer_error(l->rq, 401, "unauthorized", "Login or password is wrong");
	else if (r->err == ERR_FORBIDDEN)
		answer_error(l->rq, 403, "disabled", "This account is disabled: ask your administrator");
	else if (r->err)
		answer_err(l->rq, r->err, NULL);
	else
		issue(l->rq, r->id, r->credentials_epoch, l->domain);
}

static void by_password(struct http_request *rq, struct str login, struct str password)
{
	ptrdiff_t at = str_find(login, '@');
	struct str local = at < 0 ? login : str_of(login.p, (size_t)at), prepared;
	struct login *l = ARENA_NEW(rq->a, struct login);

	l->rq = rq;
	if (!api_domain(rq, at < 0 ? STR_NONE : str_of(login.p + at + 1, login.n - (size_t)at - 1), &l->domain))
		return;
	if (!rq->secure) { /* as PLAIN: never over an open network */
		answer_error(rq, 403, "insecure", "Passwords are taken over TLS only");
		return;
	}
	/* A name that cannot be prepared is nobody's, but costs the same (row A08). */
	auth_check_start(rq->ip, l->domain, jid_prep_local(rq->a, local, &prepared) ? local : prepared, password,
			 checked, l);
}

static void session_start(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct portal_login p;

	if (!in)
		return;
	struct str token = api_text(rq, in, "token"), login = api_text(rq, in, "login"),
		   password = api_text(rq, in, "password");
	if (token.n) {
		int err = portal_verify(rq->a, token, STR_NONE, &p);
		if (err == ERR_AUTH)
			answer_error(rq, 401, "unauthorized",
				     "The portal's token is not valid: ask it for a fresh one");
		else if (err)
			answer_err(rq, err, NULL);
		else
			issue(rq, p.account_id, p.credentials_epoch, p.domain);
	} else if (login.n && password.n) {
		by_password(rq, login, password);
	} else {
		answer_error(rq, 400, "bad_request", "Give token (of the portal), or login and password");
	}
}

static void session_show(struct http_request *rq)
{
	char scopes[64];
	size_t n = token_scopes_print(rq->who->scopes, scopes, sizeof scopes);
	static const char *const kinds[] = { "none", "user", "service", "control" };

	answer_value(rq, 200,
		     json_pack("{s:s, s:o, s:o, s:b, s:o, s:o}", "kind", kinds[rq->who->kind], "name",
			       api_str(rq->who->name), "domain", api_str(rq->who->domain), "admin",
			       rq->who->is_admin || rq->is_control, "scopes", api_str(str_of(scopes, n)), "me",
			       api_person(rq->a, rq->who->account)));
}

static void ended(void *ctx, int err)
{
	struct http_request *rq = ctx;

	if (err)
		answer_err(rq, err, NULL);
	else
		http_answer(rq, 204, NULL, STR_NONE, NULL);
}

static void session_end(struct http_request *rq)
{
	char id[TOKEN_ID_LEN + 1];

	if (rq->who->kind != PRINCIPAL_USER) {
		answer_error(
			rq, 400, "bad_request",
			"Only a person's token ends so; tokens of services are revoked by DELETE /api/v1/tokens/ID");
		return;
	}
	token_id(rq->token, id);
	token_revoke(rq->who, rq->who->account, arena_str(rq->a, str_of(id, TOKEN_ID_LEN)), ended, rq);
}

static void logged_out(void *ctx, int err, uint32_t id)
{
	(void)id;
	ended(ctx, err);
}

static void session_logout(struct http_request *rq)
{
	json_t *in = api_body(rq);

	if (!in)
		return;
	uint32_t account = api_account(rq, rq->who->domain, api_text(rq, in, "person"));
	struct jid j = account ? person_jid(rq->a, account) : (struct jid){ 0 };
	if (!account) {
		answer_error(rq, 404, "person", "person names nobody: give a number or login");
		return;
	}
	struct account_op op = { .domain = jid_domain(&j), .local = jid_local(&j), .actor = rq->who->name };
	account_revoke(&op, logged_out, rq);
}

const struct route session_routes[] = {
	{ "POST", "/api/v1/session", ROUTE_OPEN, session_start },
	{ "GET", "/api/v1/session", ROUTE_TOKEN, session_show },
	{ "DELETE", "/api/v1/session", ROUTE_TOKEN, session_end },
	{ "POST", "/api/v1/session/logout", ROUTE_TOKEN, session_logout, .scope = SCOPE_ADMIN },
	{ .path = NULL },
};
