/* See sasl_client.h. */
#include "tests/lib/sasl_client.h"
#include "base/random.h"
#include "server/im/auth.h"
#include "server/im/auth_limit.h"
#include <assert.h>

/* --- the transport: a TLS layer that answers what the test wants --- */

const char *sasl_cert_names[4];
uint8_t sasl_exporter[32] = "exporter of this very connection", sasl_endpoint[32] = "hash of our server certificate..";
uint8_t sasl_unique[32] = "first finished of this handshake";

static int fake_binding(struct tls_session *t, enum tls_binding kind, uint8_t out[64])
{
	(void)t;
	memcpy(out, kind == TLS_EXPORTER ? sasl_exporter : kind == TLS_UNIQUE ? sasl_unique : sasl_endpoint, 32);
	return 32;
}

static size_t fake_names(struct tls_session *t, void (*fn)(void *ctx, struct str name), void *ctx)
{
	size_t n = 0;

	(void)t;
	for (; n < 4 && sasl_cert_names[n]; n++)
		fn(ctx, str_c(sasl_cert_names[n]));
	return n;
}

static const struct sasl_tls_ops fake_tls = { fake_binding, fake_names };

void client_offer_again(struct client *l)
{
	l->n_offered = sasl_offer(&l->peer, false, l->offered, SASL_MAX);
	l->n_offered += sasl_offer(&l->peer, true, l->offered + l->n_offered, SASL_MAX - l->n_offered);
}

void client_init(struct client *l, unsigned how)
{
	memset(l, 0, sizeof(*l));
	l->a = arena_new(4096);
	l->peer.domain = STR("example.org");
	l->peer.ip = "192.0.2.1";
	l->peer.loopback = !(how & WITH_TLS);
	l->peer.secure = how & WITH_TLS;
	l->peer.sasl2 = how & SASL2;
	if (how & WITH_TLS) {
		l->peer.tls = (struct tls_session *)(void *)l;
		l->peer.tls_ops = &fake_tls;
	}
	gate_init(&l->gate);
	client_offer_again(l);
}

static void on_reply(void *ctx, const struct sasl_outcome *o)
{
	struct client *l = ctx;

	l->out = *o;
	l->replies++;
	snprintf(l->local, sizeof(l->local), "%.*s", STR_ARG(o->local));
	snprintf(l->domain, sizeof(l->domain), "%.*s", STR_ARG(o->domain));
	l->out.local = str_c(l->local);
	l->out.domain = str_c(l->domain);
	size_t n = o->data.n < sizeof(l->data_copy) ? o->data.n : sizeof(l->data_copy);
	memcpy(l->data_copy, o->data.p ? o->data.p : "", n);
	l->out.data = str_of(l->data_copy, n);
	if (o->kind != SASL_CHALLENGE && l->frees) {
		sasl_free(l->s);
		l->s = NULL;
	}
	gate_open(&l->gate);
}

static void begin_here(void *arg)
{
	struct client *l = arg;

	if (!l->s)
		l->s = sasl_new(&l->peer, l->offered, l->n_offered, on_reply, l);
	unsigned before = l->replies;
	sasl_begin(l->s, l->mechanism, l->has_data, l->data);
	if (l->again)
		sasl_step(l->s, STR("out of turn"));
	if (l->aborts)
		sasl_abort(l->s);
	if (l->replies != before)
		l->replies += 1000; /* nested: the contract is broken */
}

static void step_here(void *arg)
{
	struct client *l = arg;

	sasl_step(l->s, l->data);
}

static void free_here(void *arg)
{
	struct client *l = arg;

	sasl_free(l->s);
	l->s = NULL;
}

const struct sasl_outcome *client_begin(struct client *l, const char *mechanism, bool has_data, struct str data)
{
	l->mechanism = str_c(mechanism);
	l->has_data = has_data;
	l->data = data;
	rig_run(0, begin_here, l);
	if (!gate_wait(&l->gate))
		l->out = (struct sasl_outcome){ .kind = SASL_FAILURE, .condition = "no answer" };
	return &l->out;
}

const struct sasl_outcome *client_step(struct client *l, struct str data)
{
	l->data = data;
	rig_run(0, step_here, l);
	if (!gate_wait(&l->gate))
		l->out = (struct sasl_outcome){ .kind = SASL_FAILURE, .condition = "no answer" };
	return &l->out;
}

void client_begin_only(struct client *l, const char *mechanism, struct str data)
{
	l->mechanism = str_c(mechanism);
	l->has_data = true;
	l->data = data;
	rig_run(0, begin_here, l);
}

void client_step_only(struct client *l, struct str data)
{
	l->data = data;
	rig_run(0, step_here, l);
}

void client_free(struct client *l)
{
	rig_run(0, free_here, l);
}

void client_end(struct client *l)
{
	client_free(l);
	arena_free(l->a);
}

bool failed_as(const struct sasl_outcome *o, const char *condition)
{
	return o->kind == SASL_FAILURE && strcmp(o->condition, condition) == 0;
}

/* --- the client's side of SCRAM --- */

struct str b64(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, 4 * ((s.n + 2) / 3) + 1);

	return str_of(p, base64_encode(s.p, s.n, p));
}

struct str field(struct str message, char name)
{
	struct str part;

	while (str_split(&message, ',', &part))
		if (part.n >= 2 && part.p[0] == name && part.p[1] == '=')
			return str_of(part.p + 2, part.n - 2);
	return STR_NONE;
}

struct str scram_first(struct client *l, struct scram_client *c)
{
	char nonce[RANDOM_TOKEN];

	random_token(nonce);
	c->first_bare = arena_printf(l->a, "n=%s,r=%s", c->user, nonce);
	return arena_cat(l->a, str_c(c->gs2), c->first_bare, STR_NONE);
}

/* What an honest client with that password answers. */
struct str scram_final(struct client *l, struct scram_client *c)
{
	uint8_t salt[64], salted[HASH_MAX], key[HASH_MAX], stored[HASH_MAX], sig[HASH_MAX];
	size_t n = digest_size(c->hash);
	uint64_t iterations = 0;

	c->server_first = arena_str(l->a, l->out.data);
	c->h = field(c->server_first, 'h');
	ptrdiff_t salt_n = base64_decode(field(c->server_first, 's'), salt, sizeof(salt));
	str_u64(field(c->server_first, 'i'), 1000000, &iterations);
	pbkdf2(c->hash, str_c(c->password), str_of((char *)salt, (size_t)salt_n), (uint32_t)iterations, salted);
	hmac(c->hash, str_of((char *)salted, n), STR("Client Key"), key);
	hmac(c->hash, str_of((char *)salted, n), STR("Server Key"), c->server_key);
	digest(c->hash, str_of((char *)key, n), stored);
	struct str cb =
		c->c_override ? str_c(c->c_override) : b64(l->a, arena_cat(l->a, str_c(c->gs2), c->binding, STR_NONE));
	struct str r = arena_cat(l->a, field(c->server_first, 'r'), str_c(c->r_suffix ? c->r_suffix : ""), STR_NONE);
	struct str bare = arena_cat(l->a, STR("c="), cb, STR(",r="), r, STR_NONE);
	c->message = arena_cat(l->a, c->first_bare, STR(","), c->server_first, STR(","), bare, STR_NONE);
	hmac(c->hash, str_of((char *)stored, n), c->message, sig);
	for (size_t i = 0; i < n; i++)
		key[i] ^= sig[i];
	return arena_cat(l->a, bare, STR(",p="), b64(l->a, str_of((char *)key, n)), STR_NONE);
}

bool scram_verifier_right(struct client *l, struct scram_client *c)
{
	uint8_t sig[HASH_MAX];
	size_t n = digest_size(c->hash);

	hmac(c->hash, str_of((char *)c->server_key, n), c->message, sig);
	return str_eq(l->out.data, arena_cat(l->a, STR("v="), b64(l->a, str_of((char *)sig, n)), STR_NONE));
}

const struct sasl_outcome *scram(struct client *l, const char *mechanism, struct scram_client *c)
{
	if (client_begin(l, mechanism, true, scram_first(l, c))->kind != SASL_CHALLENGE)
		return &l->out;
	return client_step(l, scram_final(l, c));
}

const struct sasl_outcome *client_plain(struct client *l, const char *authzid, const char *authcid,
					const char *password)
{
	return client_begin(l, "PLAIN", true,
			    arena_cat(l->a, str_c(authzid), str_of("\0", 1), str_c(authcid), str_of("\0", 1),
				      str_c(password), STR_NONE));
}

static void must_add(const char *domain, const char *local, const char *password)
{
	int err = rig_add(domain, local, password);

	assert(!err);
}

void sasl_rig_up(void)
{
	struct limits l = *limits();

	l.auth_delay_ms = 0;
	l.fast_token_ms = 1000000;
	l.fast_rotate_ms = 1000000;
	limits_set(&l);
	auth_limit_clear();
	auth_cache_clear();
	memset(sasl_cert_names, 0, sizeof(sasl_cert_names));
	rig_start(2, NULL);
	must_add("example.org", "anna", "pencil");
	must_add("example.org", "boris", "bread");
	must_add("other.example", "anna", "elsewhere");
}
