/*
 * The mechanisms of one message: PLAIN (RFC 4616, verified off the loop), EXTERNAL (XEP-0178, the verified client
 * certificate says who), and HT-SHA-256-* (FAST, XEP-0484). Rows A01, A14, A16.
 */
#include "server/xmpp/sasl_mech.h"

/* Asks for the message when it did not come with the start. True: asked. */
static bool ask(struct sasl *s, bool has_data)
{
	if (!has_data) {
		s->step = 0;
		sasl_challenge(s, STR(""));
	}
	return !has_data;
}

/* --- PLAIN --- */

bool sasl_plain_available(const struct sasl_mech *m, const struct sasl_peer *p)
{
	(void)m;
	return p->secure || p->loopback;
}

static void plain_checked(void *ctx, const struct auth_result *r)
{
	struct sasl *s = ctx;
	struct auth_account acc = { .id = r->id, .credentials_epoch = r->credentials_epoch, .is_admin = r->is_admin };

	s->check = NULL;
	if (r->err)
		sasl_refuse_err(s, r->err);
	else
		sasl_succeed(s, &acc, false, STR_NONE);
}

void sasl_plain_step(struct sasl *s, unsigned n, bool has_data, struct str data)
{
	struct str authzid, authcid;
	ptrdiff_t first, second;

	(void)n;
	if (ask(s, has_data))
		return;
	first = str_find(data, 0);
	second = first < 0 ? -1 : str_find(str_of(data.p + first + 1, data.n - (size_t)first - 1), 0);
	if (second < 0) {
		sasl_refuse(s, "malformed-request", "PLAIN needs two NUL bytes");
		return;
	}
	authzid = str_of(data.p, (size_t)first);
	authcid = str_of(data.p + first + 1, (size_t)second);
	struct str password = str_of(authcid.p + authcid.n + 1, data.n - authzid.n - authcid.n - 2);
	if (str_empty(authcid) || str_empty(password) || !str_utf8_valid(data) || str_find(password, 0) >= 0 ||
	    authcid.n > JID_PART_MAX * 2 + 1) {
		sasl_refuse(s, "malformed-request", "PLAIN is malformed");
		return;
	}
	sasl_set_name(s, authcid);
	if (!sasl_authzid_ok(s, authzid)) {
		sasl_refuse(s, "invalid-authzid", NULL);
		return;
	}
	s->check = auth_check_start(s->peer.ip, s->peer.domain, s->name.local, password, plain_checked, s);
}

/* --- EXTERNAL --- */

#define CERT_NAMES_MAX 16

/* Addresses of our domain in the certificate. */
struct cert_names {
	const struct sasl_peer *peer;
	struct arena *a;
	struct str v[CERT_NAMES_MAX]; /* local parts, prepared */
	size_t n;
};

static void cert_name(void *ctx, struct str name)
{
	struct cert_names *c = ctx;
	struct jid j;

	if (c->n == CERT_NAMES_MAX || jid_parse(c->a, name, &j) || !jid_is_bare(&j) || j.local_n == 0)
		return;
	if (str_eq(jid_domain(&j), c->peer->domain))
		c->v[c->n++] = arena_str(c->a, jid_local(&j));
}

static void cert_names_read(const struct sasl_peer *p, struct arena *a, struct cert_names *out)
{
	*out = (struct cert_names){ .peer = p, .a = a };
	if (!p->tls)
		return;
	if (p->tls_ops)
		p->tls_ops->names(p->tls, cert_name, out);
	else
		tls_client_names(p->tls, cert_name, out);
}

bool sasl_external_available(const struct sasl_mech *m, const struct sasl_peer *p)
{
	struct cert_names names;

	(void)m;
	if (!p->tls)
		return false;
	struct arena *a = arena_new(512);
	cert_names_read(p, a, &names);
	arena_free(a);
	return names.n > 0;
}

/* Which of the certificate's names is meant: the authzid, or the only one (XEP-0178 section 2). NULL: none. */
static const struct str *choose(struct sasl *s, const struct cert_names *names, struct str authzid)
{
	struct jid j;

	if (str_empty(authzid))
		return names->n == 1 ? &names->v[0] : NULL;
	if (jid_parse(s->a, authzid, &j) || !jid_is_bare(&j) || !str_eq(jid_domain(&j), s->peer.domain))
		return NULL;
	for (size_t i = 0; i < names->n; i++)
		if (str_eq(names->v[i], jid_local(&j)))
			return &names->v[i];
	return NULL;
}

void sasl_external_step(struct sasl *s, unsigned n, bool has_data, struct str data)
{
	struct cert_names names;
	struct auth_account acc;

	(void)n;
	if (ask(s, has_data))
		return;
	cert_names_read(&s->peer, s->a, &names);
	const struct str *local = choose(s, &names, data);
	if (local)
		sasl_set_name(s, *local);
	if (!local || !sasl_authzid_ok(s, data)) {
		sasl_refuse(s, "invalid-authzid", NULL);
		return;
	}
	int err = auth_lookup(s->peer.domain, s->name.local, &acc);
	if (!err && !acc.exists)
		err = ERR_AUTH;
	else if (!err && acc.disabled)
		err = ERR_FORBIDDEN;
	if (err)
		sasl_refuse_err(s, err);
	else
		sasl_succeed(s, &acc, false, STR_NONE);
	secret_wipe(&acc, sizeof(acc));
}

/* --- HT-SHA-256-* --- */

bool sasl_ht_available(const struct sasl_mech *m, const struct sasl_peer *p)
{
	uint8_t data[64];

	return m->binding < 0 || sasl_binding(p, (enum tls_binding)m->binding, data) > 0;
}

static void ht_checked(void *ctx, int err, const struct fast_login *l)
{
	struct sasl *s = ctx;

	s->fast = NULL;
	if (err) {
		sasl_refuse_err(s, err);
		return;
	}
	struct auth_account acc = { .id = l->account_id,
				    .credentials_epoch = l->credentials_epoch,
				    .is_admin = l->is_admin };
	sasl_succeed(s, &acc, true, str_of((const char *)l->responder, sizeof(l->responder)));
	s->out.rotate_token = l->rotate;
}

void sasl_ht_step(struct sasl *s, unsigned n, bool has_data, struct str data)
{
	ptrdiff_t nul;
	uint8_t binding[64];
	int binding_n = 0;

	(void)n;
	if (ask(s, has_data))
		return;
	nul = str_find(data, 0);
	if (nul <= 0 || nul > JID_PART_MAX * 2 + 1 || !str_utf8_valid(str_of(data.p, (size_t)nul))) {
		sasl_refuse(s, "malformed-request", "The message is malformed");
		return;
	}
	if (!s->peer.fast || !user_agent_id_valid(s->peer.user_agent_id)) {
		sasl_refuse(s, "malformed-request", "A token needs <fast/> and a user agent with an id");
		return;
	}
	if (s->mech->binding >= 0)
		binding_n = sasl_binding(&s->peer, (enum tls_binding)s->mech->binding, binding);
	if (binding_n < 0) {
		sasl_refuse_err(s, binding_n);
		return;
	}
	sasl_set_name(s, str_of(data.p, (size_t)nul));
	struct fast_attempt at = {
		.ip = s->peer.ip,
		.domain = s->peer.domain,
		.local = s->name.local,
		.agent_id = s->peer.user_agent_id,
		.mechanism = s->mech->name,
		.proof = str_of(data.p + nul + 1, data.n - (size_t)nul - 1),
		.binding = str_of((char *)binding, (size_t)binding_n),
		.has_count = s->peer.has_fast_count,
		.count = s->peer.fast_count,
		.invalidate = s->peer.fast_invalidate,
	};
	s->fast = fast_verify(&at, ht_checked, s);
}
