/*
 * OAUTHBEARER (RFC 7628): the bearer token is the short one that the portal signed (im/portal.h), or an API token of the person. A refusal is told in two
 * steps as section 3.2.2 wants: a challenge with the reason in JSON, the client's empty answer, then the failure. Rows A01, A15.
 */
#include "server/im/portal.h"
#include "server/im/token.h"
#include "server/xmpp/sasl_mech.h"

bool sasl_oauth_available(const struct sasl_mech *m, const struct sasl_peer *p)
{
	(void)m;
	return (p->secure || p->loopback) && portal_is_configured(p->domain);
}

/* Value of one key of the message, which is "n,a=AUTHZID,^A key=value ^A key=value ^A ^A" (section 3.1). */
static struct str pair(struct str data, struct str key)
{
	struct str part;

	while (data.p && str_split(&data, 1, &part))
		if (str_starts(part, key))
			return str_of(part.p + key.n, part.n - key.n);
	return STR_NONE;
}

/* The gs2 header (RFC 5801 section 4): no channel binding; a= is the identity asked for. False: malformed. */
static bool read_header(struct str data, struct str *out_authzid)
{
	ptrdiff_t end = str_find(data, 1);
	struct str head = end < 0 ? STR_NONE : str_of(data.p, (size_t)end);

	*out_authzid = STR_NONE;
	if (head.n < 3 || (head.p[0] != 'n' && head.p[0] != 'y') || head.p[1] != ',' || head.p[head.n - 1] != ',')
		return false;
	struct str id = str_of(head.p + 2, head.n - 3);
	if (!id.n)
		return true;
	if (!str_starts(id, STR("a=")) || str_find(id, ',') >= 0)
		return false;
	*out_authzid = str_of(id.p + 2, id.n - 2);
	return true;
}

static int verify(struct sasl *s, struct str token, struct auth_account *acc)
{
	struct portal_login l;
	int err = portal_verify(s->a, token, s->peer.domain, &l);

	if (err)
		return err;
	sasl_set_name(s, l.local);
	acc->id = l.account_id;
	acc->credentials_epoch = l.credentials_epoch;
	acc->is_admin = l.is_admin;
	return 0;
}

static void first_message(struct sasl *s, struct str data)
{
	struct str authzid, value = pair(data, STR("auth="));
	struct auth_account acc = { .exists = true };

	if (!read_header(data, &authzid) || value.n < 8 || !str_ieq(str_of(value.p, 7), STR("Bearer "))) {
		sasl_refuse(s, "malformed-request", "The message of OAUTHBEARER is malformed (RFC 7628 section 3.1)");
		return;
	}
	int err = verify(s, str_of(value.p + 7, value.n - 7), &acc);
	if (err == ERR_AUTH) {
		sasl_challenge(s, STR("{\"status\":\"invalid_token\"}"));
	} else if (err) {
		sasl_refuse_err(s, err);
	} else if (!sasl_authzid_ok(s, authzid)) {
		sasl_refuse(s, "invalid-authzid", NULL);
	} else {
		sasl_succeed(s, &acc, false, STR_NONE);
	}
}

void sasl_oauth_step(struct sasl *s, unsigned n, bool has_data, struct str data)
{
	if (n > 0) {
		sasl_refuse_late(s, "not-authorized", "The token is not valid: ask the portal for a fresh one");
		return;
	}
	if (!has_data) {
		s->step = 0;
		sasl_challenge(s, STR(""));
		return;
	}
	first_message(s, data);
}
