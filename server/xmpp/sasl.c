/*
 * The frame around the mechanisms: the table, what is offered, the phases of one exchange, and answers that leave from
 * the loop's deferred work (never nested, see sasl.h). A struct sasl belongs to the stream that made it and lives on
 * its worker.
 */
#include "server/xmpp/sasl.h"
#include "base/buf.h"
#include "base/mem.h"
#include "server/im/auth_limit.h"
#include "server/xmpp/sasl_mech.h"
#include <assert.h>
#include <stdlib.h>

#define SCRAM(text, kind, is_plus)                                                                                     \
	{                                                                                                              \
		.name = STR(text), .hash = (kind), .plus = (is_plus), .binding = -1,                                   \
		.available = sasl_scram_available, .step = sasl_scram_step                                             \
	}
#define HT(text, kind)                                                                                                 \
	{                                                                                                              \
		.name = STR(text), .fast = true, .hash = HASH_SHA256, .binding = (kind),                               \
		.available = sasl_ht_available, .step = sasl_ht_step                                                   \
	}

/* Best first: the order of the offer. */
const struct sasl_mech sasl_mechs[] = {
	{ .name = STR("EXTERNAL"), .binding = -1, .available = sasl_external_available, .step = sasl_external_step },
	SCRAM("SCRAM-SHA-512-PLUS", HASH_SHA512, true),
	SCRAM("SCRAM-SHA-256-PLUS", HASH_SHA256, true),
	SCRAM("SCRAM-SHA-1-PLUS", HASH_SHA1, true),
	SCRAM("SCRAM-SHA-512", HASH_SHA512, false),
	SCRAM("SCRAM-SHA-256", HASH_SHA256, false),
	SCRAM("SCRAM-SHA-1", HASH_SHA1, false),
	{ .name = STR("PLAIN"), .binding = -1, .available = sasl_plain_available, .step = sasl_plain_step },
	{ .name = STR("OAUTHBEARER"), .binding = -1, .available = sasl_oauth_available, .step = sasl_oauth_step },
	HT("HT-SHA-256-EXPR", TLS_EXPORTER),
	HT("HT-SHA-256-ENDP", TLS_SERVER_END_POINT),
	HT("HT-SHA-256-NONE", -1),
};
const size_t sasl_mechs_n = sizeof(sasl_mechs) / sizeof(sasl_mechs[0]);

static const struct {
	enum tls_binding kind;
	const char *name;
} cb_types[] = {
	{ TLS_EXPORTER, "tls-exporter" },
	{ TLS_SERVER_END_POINT, "tls-server-end-point" },
};

int sasl_binding(const struct sasl_peer *p, enum tls_binding kind, uint8_t out[64])
{
	if (!p->tls)
		return ERR_UNSUPPORTED;
	return p->tls_ops ? p->tls_ops->binding(p->tls, kind, out) : tls_channel_binding(p->tls, kind, out);
}

size_t sasl_offer(const struct sasl_peer *p, bool fast, struct str *out, size_t max)
{
	size_t n = 0;

	/* Nothing without TLS but on loopback (rows A04, A06). */
	if ((!p->secure && !p->loopback) || (fast && !p->sasl2))
		return 0;
	for (size_t i = 0; i < sasl_mechs_n && n < max; i++)
		if (sasl_mechs[i].fast == fast && sasl_mechs[i].available(&sasl_mechs[i], p))
			out[n++] = sasl_mechs[i].name;
	return n;
}

size_t sasl_cb_types(const struct sasl_peer *p, struct str *out, size_t max)
{
	uint8_t data[64];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(cb_types) / sizeof(cb_types[0]) && n < max; i++)
		if (sasl_binding(p, cb_types[i].kind, data) > 0)
			out[n++] = str_c(cb_types[i].name);
	return n;
}

/* --- answers --- */

static void reply_run(struct deferred *d)
{
	struct sasl *s = list_entry(d, struct sasl, deferred);
	struct sasl_outcome out = s->out;

	s->phase = out.kind == SASL_CHALLENGE ? SASL_EXPECTS : SASL_IDLE;
	/* s may be freed in there, or after success belong to another worker already: not touched afterwards. */
	s->reply(s->ctx, &out);
}

static void reply_soon(struct sasl *s)
{
	loop_defer(loop_self(), &s->deferred);
}

/* Ends whatever is under way for this exchange. */
static void drop_pending(struct sasl *s)
{
	auth_check_cancel(s->check);
	fast_cancel(s->fast);
	s->check = NULL;
	s->fast = NULL;
	loop_timer_cancel(loop_self(), &s->timer);
	loop_undefer(&s->deferred);
}

static struct str copy(struct sasl *s, struct str data)
{
	return arena_str(s->a, data);
}

void sasl_challenge(struct sasl *s, struct str data)
{
	s->out = (struct sasl_outcome){ .kind = SASL_CHALLENGE, .data = copy(s, data), .has_data = true };
	reply_soon(s);
}

void sasl_succeed(struct sasl *s, const struct auth_account *acc, bool has_data, struct str data)
{
	s->out = (struct sasl_outcome){
		.kind = SASL_SUCCESS,
		.data = copy(s, data),
		.has_data = has_data,
		.account_id = acc->id,
		.credentials_epoch = acc->credentials_epoch,
		.is_admin = acc->is_admin,
		.local = s->name.local,
		.domain = s->peer.domain,
		.by_token = s->mech->fast,
		.mechanism = s->mech->name.p,
	};
	reply_soon(s);
}

static void set_failure(struct sasl *s, const char *condition, const char *text)
{
	s->out = (struct sasl_outcome){
		.kind = SASL_FAILURE,
		.condition = condition,
		.text = text,
		.counts = strcmp(condition, "temporary-auth-failure") != 0,
	};
}

void sasl_refuse(struct sasl *s, const char *condition, const char *text)
{
	set_failure(s, condition, text);
	reply_soon(s);
}

void sasl_refuse_late(struct sasl *s, const char *condition, const char *text)
{
	uint64_t delay = auth_delay_ms(s->peer.ip, s->name.bare);

	set_failure(s, condition, text);
	s->resume = reply_soon;
	if (delay)
		loop_timer(loop_self(), &s->timer, delay);
	else
		reply_soon(s);
}

void sasl_refuse_err(struct sasl *s, int err)
{
	switch (err) {
	case ERR_AUTH: sasl_refuse_late(s, "not-authorized", NULL); break;
	case ERR_FORBIDDEN:
		sasl_refuse(s, "account-disabled", "This account is switched off; ask your administrator");
		break;
	case ERR_TIMEOUT: sasl_refuse(s, "credentials-expired", NULL); break;
	default:
		sasl_refuse(s, "temporary-auth-failure",
			    "The server cannot check this login now; try again a little later");
	}
}

static void timer_fired(struct timer *t)
{
	struct sasl *s = list_entry(t, struct sasl, timer);

	s->resume(s);
}

/* --- names --- */

void sasl_set_name(struct sasl *s, struct str authcid)
{
	struct jid j;

	if (jid_prep_local(s->a, authcid, &s->name.local)) {
		/* The example of XEP-0388 logs in with the full address. */
		if (str_find(authcid, '@') > 0 && jid_parse(s->a, authcid, &j) == 0 && jid_is_bare(&j) && j.local_n &&
		    str_eq(jid_domain(&j), s->peer.domain))
			s->name.local = jid_local(&j);
		else
			s->name.local = authcid;
	}
	s->name.local = copy(s, s->name.local);
	s->name.bare = arena_cat(s->a, s->name.local, STR("@"), s->peer.domain, STR_NONE);
}

bool sasl_authzid_ok(struct sasl *s, struct str authzid)
{
	struct jid j;

	if (str_empty(authzid))
		return true;
	if (jid_parse(s->a, authzid, &j) || !str_eq(j.full, s->name.bare))
		return false;
	return str_empty(s->peer.stream_from) || str_eq(s->peer.stream_from, s->name.bare);
}

/* --- what was offered --- */

static bool was_offered(const struct sasl *s, struct str name)
{
	for (size_t i = 0; i < s->n_offered; i++)
		if (str_eq(s->offered[i], name))
			return true;
	return false;
}

static const struct sasl_mech *mech_find(struct str name)
{
	for (size_t i = 0; i < sasl_mechs_n; i++)
		if (str_eq(sasl_mechs[i].name, name))
			return &sasl_mechs[i];
	return NULL;
}

bool sasl_plus_offered(const struct sasl *s)
{
	for (size_t i = 0; i < s->n_offered; i++)
		if (str_ends(s->offered[i], STR("-PLUS")))
			return true;
	return false;
}

struct str sasl_base64(struct arena *a, const void *p, size_t n)
{
	char *out = arena_alloc(a, 4 * ((n + 2) / 3) + 1);

	return str_of(out, base64_encode(p, n, out));
}

static int by_octets(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void add_sorted(struct buf *b, struct str *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_octets);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_byte(b, '\x1e');
		buf_str_add(b, v[i]);
	}
}

/* XEP-0474 section 4.1. The <fast/> list is no part of <mechanisms/>, so of the hash neither. */
struct str sasl_ssdp(struct sasl *s, enum hash_kind hash)
{
	struct str names[SASL_MAX], types[SASL_CB_MAX];
	size_t n = 0, n_types = sasl_cb_types(&s->peer, types, SASL_CB_MAX);
	uint8_t d[HASH_MAX];
	struct buf b;

	for (size_t i = 0; i < s->n_offered; i++) {
		const struct sasl_mech *m = mech_find(s->offered[i]);

		if (!m || !m->fast)
			names[n++] = s->offered[i];
	}
	buf_init(&b, 2048);
	add_sorted(&b, names, n);
	if (n_types) {
		buf_byte(&b, '\x1f');
		add_sorted(&b, types, n_types);
	}
	digest(hash, buf_str(&b), d);
	buf_clear(&b);
	return sasl_base64(s->a, d, digest_size(hash));
}

/* --- the exchange --- */

struct sasl *sasl_new(const struct sasl_peer *p, const struct str *offered, size_t n_offered, sasl_reply_fn *reply,
		      void *ctx)
{
	struct sasl *s = NEW(struct sasl);

	assert(n_offered <= SASL_MAX);
	s->keep = arena_new(512);
	s->a = arena_new(2048);
	s->peer = *p;
	s->peer.domain = arena_str(s->keep, p->domain);
	s->peer.user_agent_id = arena_str(s->keep, p->user_agent_id);
	s->peer.stream_from = arena_str(s->keep, p->stream_from);
	s->peer.ip = arena_str(s->keep, str_c(p->ip)).p;
	for (size_t i = 0; i < n_offered; i++)
		s->offered[i] = offered[i];
	s->n_offered = n_offered;
	s->reply = reply;
	s->ctx = ctx;
	s->deferred.run = reply_run;
	list_init(&s->deferred.link);
	s->timer.fire = timer_fired;
	return s;
}

static void take(struct sasl *s, bool has_data, struct str data)
{
	s->phase = SASL_BUSY;
	if (data.n > SASL_MESSAGE_MAX)
		sasl_refuse(s, "malformed-request", "The message is too long");
	else
		s->mech->step(s, s->step++, has_data, data);
}

void sasl_begin(struct sasl *s, struct str mechanism, bool has_initial, struct str initial)
{
	if (s->phase != SASL_IDLE) {
		drop_pending(s);
		sasl_refuse(s, "malformed-request", "Another login is under way on this stream");
		return;
	}
	arena_reset(s->a);
	s->name = (struct sasl_name){ 0 };
	secret_wipe(&s->scram, sizeof(s->scram));
	s->step = 0;
	s->mech = was_offered(s, mechanism) ? mech_find(mechanism) : NULL;
	if (s->mech) {
		take(s, has_initial, initial);
		return;
	}
	s->phase = SASL_BUSY;
	sasl_refuse(s, "invalid-mechanism", "This mechanism was not offered");
}

void sasl_step(struct sasl *s, struct str data)
{
	if (s->phase == SASL_EXPECTS) {
		take(s, true, data);
		return;
	}
	drop_pending(s);
	s->phase = SASL_BUSY;
	sasl_refuse(s, "malformed-request", "No response was expected now");
}

void sasl_fail(struct sasl *s, const char *condition)
{
	drop_pending(s);
	s->phase = SASL_BUSY;
	sasl_refuse(s, condition, NULL);
}

void sasl_abort(struct sasl *s)
{
	sasl_fail(s, "aborted");
}

void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	drop_pending(s);
	arena_free(s->a);
	arena_free(s->keep);
	secret_wipe(s, sizeof(*s));
	mem_free(s);
}
