/*
 * server/xmpp/sasl with a client written here: whole exchanges of every mechanism, the binding matrix (A06), malformed messages (A07),
 * authzid (A01), mechanisms that were not offered (A02), fakes (A08), delays (A10), epochs (A16), FAST (XEP-0484).
 */
#include "server/xmpp/sasl.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/arena.h"
#include "server/im/account.h"
#include "server/im/auth.h"
#include "server/im/auth_limit.h"
#include "server/im/fast.h"
#include "tests/lib/im_rig.h"
#include "tests/lib/test.h"

/* --- the transport: a TLS layer that answers what the test wants --- */

static const char *cert_names[4];
static uint8_t wire_exporter[32] = "exporter of this very connection", wire_endpoint[32] = "hash of our server certificate..";

static int fake_binding(struct tls_session *t, enum tls_binding kind, uint8_t out[64])
{
	(void)t;
	memcpy(out, kind == TLS_EXPORTER ? wire_exporter : wire_endpoint, 32);
	return 32;
}

static size_t fake_names(struct tls_session *t, void (*fn)(void *ctx, struct str name), void *ctx)
{
	size_t n = 0;

	(void)t;
	for (; n < 4 && cert_names[n]; n++)
		fn(ctx, str_c(cert_names[n]));
	return n;
}

static const struct sasl_tls_ops fake_tls = { fake_binding, fake_names };

/* --- one login, driven from the main thread --- */

struct login {
	struct sasl_peer peer;
	struct str offered[SASL_MAX];
	size_t n_offered;
	struct sasl *s;
	struct gate gate;
	struct arena *a;
	/* the next call */
	struct str mechanism, data;
	bool has_data, aborts, frees, again;
	/* the last answer */
	struct sasl_outcome out;
	char data_copy[1024], local[64], domain[64];
	unsigned replies;
};

enum { WITH_TLS = 1, SASL2 = 2 };

static void offer(struct login *l)
{
	l->n_offered = sasl_offer(&l->peer, false, l->offered, SASL_MAX);
	l->n_offered += sasl_offer(&l->peer, true, l->offered + l->n_offered, SASL_MAX - l->n_offered);
}

static void login_init(struct login *l, unsigned how)
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
	offer(l);
}

static void on_reply(void *ctx, const struct sasl_outcome *o)
{
	struct login *l = ctx;

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
	struct login *l = arg;

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
	struct login *l = arg;

	sasl_step(l->s, l->data);
}

static void free_here(void *arg)
{
	struct login *l = arg;

	sasl_free(l->s);
	l->s = NULL;
}

static const struct sasl_outcome *begin(struct login *l, const char *mechanism, bool has_data, struct str data)
{
	l->mechanism = str_c(mechanism);
	l->has_data = has_data;
	l->data = data;
	rig_run(0, begin_here, l);
	if (!gate_wait(&l->gate))
		l->out = (struct sasl_outcome){ .kind = SASL_FAILURE, .condition = "no answer" };
	return &l->out;
}

static const struct sasl_outcome *step(struct login *l, struct str data)
{
	l->data = data;
	rig_run(0, step_here, l);
	if (!gate_wait(&l->gate))
		l->out = (struct sasl_outcome){ .kind = SASL_FAILURE, .condition = "no answer" };
	return &l->out;
}

static void login_end(struct login *l)
{
	rig_run(0, free_here, l);
	arena_free(l->a);
}

static bool failed_as(const struct sasl_outcome *o, const char *condition)
{
	return o->kind == SASL_FAILURE && strcmp(o->condition, condition) == 0;
}

/* --- the client's side of SCRAM --- */

struct scram_client {
	enum hash_kind hash;
	const char *gs2;             /* "n,," */
	const char *user, *password;
	struct str binding;
	const char *c_override;      /* raw c= value instead of the honest one */
	/* filled */
	struct str first_bare, server_first, h;
	uint8_t server_key[HASH_MAX];
	struct str message;
};

static struct str b64(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, 4 * ((s.n + 2) / 3) + 1);

	return str_of(p, base64_encode(s.p, s.n, p));
}

static struct str field(struct str message, char name)
{
	struct str part;

	while (str_split(&message, ',', &part))
		if (part.n >= 2 && part.p[0] == name && part.p[1] == '=')
			return str_of(part.p + 2, part.n - 2);
	return STR_NONE;
}

static struct str scram_first(struct login *l, struct scram_client *c)
{
	char nonce[RANDOM_TOKEN];

	random_token(nonce);
	c->first_bare = arena_printf(l->a, "n=%s,r=%s", c->user, nonce);
	return arena_cat(l->a, str_c(c->gs2), c->first_bare, STR_NONE);
}

/* What an honest client with that password answers. */
static struct str scram_final(struct login *l, struct scram_client *c)
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
	struct str cb = c->c_override ? str_c(c->c_override) : b64(l->a, arena_cat(l->a, str_c(c->gs2), c->binding, STR_NONE));
	struct str r = field(c->server_first, 'r');
	struct str bare = arena_cat(l->a, STR("c="), cb, STR(",r="), r, STR_NONE);
	c->message = arena_cat(l->a, c->first_bare, STR(","), c->server_first, STR(","), bare, STR_NONE);
	hmac(c->hash, str_of((char *)stored, n), c->message, sig);
	for (size_t i = 0; i < n; i++)
		key[i] ^= sig[i];
	return arena_cat(l->a, bare, STR(",p="), b64(l->a, str_of((char *)key, n)), STR_NONE);
}

static bool verifier_right(struct login *l, struct scram_client *c)
{
	uint8_t sig[HASH_MAX];
	size_t n = digest_size(c->hash);

	hmac(c->hash, str_of((char *)c->server_key, n), c->message, sig);
	return str_eq(l->out.data, arena_cat(l->a, STR("v="), b64(l->a, str_of((char *)sig, n)), STR_NONE));
}

static const struct sasl_outcome *scram(struct login *l, const char *mechanism, struct scram_client *c)
{
	if (begin(l, mechanism, true, scram_first(l, c))->kind != SASL_CHALLENGE)
		return &l->out;
	return step(l, scram_final(l, c));
}

static const struct sasl_outcome *plain(struct login *l, const char *authzid, const char *authcid, const char *password)
{
	return begin(l, "PLAIN", true,
		     arena_cat(l->a, str_c(authzid), str_of("\0", 1), str_c(authcid), str_of("\0", 1), str_c(password), STR_NONE));
}

static void up(void)
{
	struct limits l = *limits();

	l.auth_delay_ms = 0;
	l.fast_token_ms = 1000000;
	l.fast_rotate_ms = 1000000;
	limits_set(&l);
	auth_limit_clear();
	auth_cache_clear();
	memset(cert_names, 0, sizeof(cert_names));
	rig_start(2, NULL);
	is_int(rig_add("example.org", "anna", "pencil"), 0);
	is_int(rig_add("example.org", "boris", "bread"), 0);
	is_int(rig_add("other.example", "anna", "elsewhere"), 0);
}

static const struct { const char *name; enum hash_kind hash; } scrams[] = {
	{ "SCRAM-SHA-1", HASH_SHA1 }, { "SCRAM-SHA-256", HASH_SHA256 }, { "SCRAM-SHA-512", HASH_SHA512 },
};

/* --- tests --- */

static bool offers(const struct login *l, const char *name)
{
	for (size_t i = 0; i < l->n_offered; i++)
		if (str_eq_c(l->offered[i], name))
			return true;
	return false;
}

TEST(offer_depends_on_the_connection)
{
	struct login l;
	struct str cb[SASL_CB_MAX];

	login_init(&l, 0);
	is_int(l.n_offered, 4);
	is_str(l.offered[0], STR("SCRAM-SHA-512"));
	is_str(l.offered[3], STR("PLAIN"));
	is_int(sasl_cb_types(&l.peer, cb, SASL_CB_MAX), 0);
	l.peer.loopback = false;
	offer(&l);
	is_int(l.n_offered, 0); /* in clear to the world: nothing (rows A04, A06) */
	arena_free(l.a);
	login_init(&l, WITH_TLS);
	is_int(l.n_offered, 7);
	is_str(l.offered[0], STR("SCRAM-SHA-512-PLUS"));
	ok(!offers(&l, "EXTERNAL") && !offers(&l, "HT-SHA-256-NONE"), "neither EXTERNAL without a certificate nor FAST in SASL1");
	is_int(sasl_cb_types(&l.peer, cb, SASL_CB_MAX), 2);
	is_str(cb[0], STR("tls-exporter"));
	is_str(cb[1], STR("tls-server-end-point"));
	cert_names[0] = "anna@example.org";
	offer(&l);
	is_str(l.offered[0], STR("EXTERNAL"));
	cert_names[0] = "anna@foreign.example";
	offer(&l);
	ok(!offers(&l, "EXTERNAL"), "a certificate for another domain");
	cert_names[0] = NULL;
	arena_free(l.a);
	login_init(&l, WITH_TLS | SASL2);
	ok(offers(&l, "HT-SHA-256-EXPR") && offers(&l, "HT-SHA-256-ENDP") && offers(&l, "HT-SHA-256-NONE"), "FAST in SASL2");
	l.peer.tls = NULL; /* TLS ended in front of us: no binding */
	offer(&l);
	ok(!offers(&l, "SCRAM-SHA-1-PLUS") && !offers(&l, "HT-SHA-256-EXPR") && offers(&l, "HT-SHA-256-NONE"), "no binding through a proxy");
	arena_free(l.a);
}

TEST(every_scram_logs_in)
{
	up();
	for (size_t i = 0; i < 3; i++) {
		for (int plus = 0; plus < 3; plus++) {
			struct login l;
			char name[32];
			struct scram_client c = { .hash = scrams[i].hash, .gs2 = "n,,", .user = "anna", .password = "pencil" };

			login_init(&l, plus ? WITH_TLS : 0);
			snprintf(name, sizeof(name), "%s%s", scrams[i].name, plus ? "-PLUS" : "");
			if (plus) {
				c.gs2 = plus == 1 ? "p=tls-exporter,," : "p=tls-server-end-point,,";
				c.binding = str_of((char *)(plus == 1 ? wire_exporter : wire_endpoint), 32);
			}
			const struct sasl_outcome *o = scram(&l, name, &c);
			ok(o->kind == SASL_SUCCESS && o->has_data, "%s %s", name, c.gs2);
			ok(verifier_right(&l, &c), "the server proved itself");
			is_str(o->local, STR("anna"));
			is_str(o->domain, STR("example.org"));
			ok(o->account_id && o->credentials_epoch && !o->is_admin && !o->by_token, "identity");
			is_cstr(o->mechanism, name);
			is_int(l.replies, 2);
			c.password = "pencil2";
			ok(failed_as(scram(&l, name, &c), "not-authorized"), "the same struct again, wrong password");
			ok(l.out.counts, "it counts");
			login_end(&l);
		}
	}
	rig_stop();
}

TEST(xep0474_hash_covers_mechanisms_and_types)
{
	struct login l;
	uint8_t d[HASH_MAX];

	up();
	/* The example of XEP-0474 section 4.3. */
	struct scram_client c = { .hash = HASH_SHA1, .gs2 = "n,,", .user = "anna", .password = "pencil" };
	login_init(&l, WITH_TLS);
	l.offered[0] = STR("SCRAM-SHA-1");
	l.offered[1] = STR("SCRAM-SHA-1-PLUS");
	l.n_offered = 2;
	begin(&l, "SCRAM-SHA-1", true, scram_first(&l, &c));
	is_str(field(l.out.data, 'h'), STR("G6k/rBLDqgOhRRaCuuatSDFkJ08="));
	login_end(&l);
	/* No channel binding, and FAST stays out of the hash. */
	login_init(&l, SASL2);
	ok(offers(&l, "HT-SHA-256-NONE"), "FAST is offered");
	begin(&l, "SCRAM-SHA-1", true, scram_first(&l, &c));
	digest(HASH_SHA1, STR("PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256\x1eSCRAM-SHA-512"), d);
	is_str(field(l.out.data, 'h'), b64(l.a, str_of((char *)d, 20)));
	login_end(&l);
	rig_stop();
}

/* One cell of the matrix: what the client says, whether -PLUS was on the server's list, what it binds to. */
static const struct { const char *mechanism, *gs2; bool plus_offered, right_binding; const char *want; } matrix[] = {
	{ "SCRAM-SHA-256", "n,,", true, true, NULL },
	{ "SCRAM-SHA-256", "n,,", false, true, NULL },
	{ "SCRAM-SHA-256", "y,,", false, true, NULL },
	{ "SCRAM-SHA-256", "y,,", true, true, "not-authorized" },      /* the list was tampered with */
	{ "SCRAM-SHA-256", "p=tls-exporter,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "n,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "y,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true, true, NULL },
	{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true, false, "not-authorized" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", true, true, NULL },
	{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", true, false, "not-authorized" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-unique,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=tls_exporter,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", false, true, "invalid-mechanism" },
};

TEST(a06_binding_matrix)
{
	up();
	for (size_t i = 0; i < sizeof(matrix) / sizeof(matrix[0]); i++) {
		struct login l;
		struct scram_client c = { .hash = HASH_SHA256, .gs2 = matrix[i].gs2, .user = "anna", .password = "pencil" };

		login_init(&l, WITH_TLS);
		if (!matrix[i].plus_offered) {
			size_t n = 0;
			for (size_t k = 0; k < l.n_offered; k++)
				if (!str_ends(l.offered[k], STR("-PLUS")))
					l.offered[n++] = l.offered[k];
			l.n_offered = n;
		}
		uint8_t other[32] = "binding of somebody in between..";
		bool exporter = strstr(matrix[i].gs2, "exporter") != NULL;
		c.binding = matrix[i].gs2[0] != 'p' ? STR_NONE :
			    str_of((char *)(!matrix[i].right_binding ? other : exporter ? wire_exporter : wire_endpoint), 32);
		const struct sasl_outcome *o = scram(&l, matrix[i].mechanism, &c);
		if (matrix[i].want)
			ok(failed_as(o, matrix[i].want), "%s %s -> %s", matrix[i].mechanism, matrix[i].gs2, matrix[i].want);
		else
			ok(o->kind == SASL_SUCCESS, "%s %s succeeds", matrix[i].mechanism, matrix[i].gs2);
		login_end(&l);
	}
	/* The header is changed on the way: what was signed is not what arrived. */
	struct login l;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "pencil", .c_override = "eSws" };
	login_init(&l, 0);
	ok(failed_as(scram(&l, "SCRAM-SHA-256", &c), "not-authorized"), "y,, in c= but n,, before");
	login_end(&l);
	rig_stop();
}

/* Client-first messages that are wrong in themselves. */
static const struct str bad_first[] = {
#define S(lit) { lit, sizeof(lit) - 1 }
	S(""), S("n"), S("n,"), S("n,,"), S(","), S(",,"), S(",,n=a,r=b"), S("n,n=anna,r=x"), S("x,,n=anna,r=abc"), S("N,,n=anna,r=abc"),
	S("nn,,n=anna,r=abc"), S("y=,,n=anna,r=abc"), S("p,,n=anna,r=abc"), S("n,,n=anna"), S("n,,n=anna,"), S("n,,n=anna,r="),
	S("n,,n=anna,r=,x=1"), S("n,,n=,r=abc"), S("n,,r=abc"), S("n,,r=abc,n=anna"), S("n,,n=anna,x=1,r=abc"), S("n,,n=an=na,r=abc"),
	S("n,,n=anna=,r=abc"), S("n,,n=anna=2,r=abc"), S("n,,n=anna=2c,r=abc"), S("n,,n=anna=3d,r=abc"), S("n,,n=anna=00,r=abc"),
	S("n,,m=ext,n=anna,r=abc"), S("n,,m=,n=anna,r=abc"), S("n,a,n=anna,r=abc"), S("n,a=,n=anna,r=abc"), S("n,a==,n=anna,r=abc"),
	S("n,b=x,n=anna,r=abc"), S("n,,n=anna,r=a b"), S("n,,n=anna,r=a\tb"), S("n,,n=anna,r=a\x7f"), S("n,,n=anna,r=\xc3\xa4"),
	S("n,,n=anna,r=ab\0c"), S("n,,n=an\0na,r=abc"), S("\0"), S("n,,n=\xff\xfe,r=abc"), S("n,,n=\xc0\x80,r=abc"),
	S("n,,n=\xed\xa0\x80,r=abc"), S("n,,n=anna,r=abc,"), S("n,,n=anna,r=abc,,"), S("n,,n=anna,r=abc,x"), S("n,,n=anna,r=abc,x="),
	S("n,,n=anna,r=abc,1=x"), S("n,,n=anna,r=abc,=x"), S("n,,n=anna,r=abc,xy=z"), S("n,,n =anna,r=abc"), S("n,, n=anna,r=abc"),
	S(" n,,n=anna,r=abc"), S("p=tls-exporter,,n=anna,r=abc"), S("biws"), S("n,,anna,abc"), S("<xml/>"), S("n;;n=anna;r=abc"),
	S("\n\n"), S("n,,,n=anna,r=abc"),
};

/* Wrong endings: %r is the full nonce, %p an honest proof. */
static const struct { const char *text; const char *want; } bad_final[] = {
	{ "", "malformed-request" }, { ",", "malformed-request" }, { "c=biws", "malformed-request" }, { "c=biws,r=%r", "malformed-request" },
	{ "c=biws,r=%r,", "malformed-request" }, { "c=biws,r=%r,p", "malformed-request" }, { "c=biws,r=%r,p=", "malformed-request" },
	{ "c=biws,p=%p", "malformed-request" }, { "r=%r,p=%p", "malformed-request" }, { "r=%r,c=biws,p=%p", "malformed-request" },
	{ "p=%p", "malformed-request" }, { "p=%p,c=biws,r=%r", "malformed-request" }, { "c=biws,r=%r,p=%p,x=1", "malformed-request" },
	{ "c=biws,,r=%r,p=%p", "malformed-request" }, { "c=biws,r=%r,,p=%p", "malformed-request" }, { "c=biws,r=%r,x,p=%p", "malformed-request" },
	{ "c=biws,r=%r,x=,p=%p", "malformed-request" }, { "c=biws,r=%r,1=2,p=%p", "malformed-request" }, { "C=biws,r=%r,p=%p", "malformed-request" },
	{ "d=biws,r=%r,p=%p", "malformed-request" }, { "c=biws,s=%r,p=%p", "malformed-request" }, { "c=biws,r=%r,P=%p", "malformed-request" },
	{ "c=biws,r=,p=%p", "not-authorized" }, { "c=biws,r=x,p=%p", "not-authorized" }, { "c=biws,r=%rx,p=%p", "not-authorized" },
	{ "c=biws,r=x%r,p=%p", "not-authorized" }, { "c=,r=%r,p=%p", "not-authorized" }, { "c=b,r=%r,p=%p", "not-authorized" },
	{ "c=biws=,r=%r,p=%p", "not-authorized" }, { "c=biwsAAAA,r=%r,p=%p", "not-authorized" }, { "c=eSws,r=%r,p=%p", "not-authorized" },
	{ "c=!!!!,r=%r,p=%p", "not-authorized" }, { "c= biws,r=%r,p=%p", "not-authorized" }, { "c=biws,r=%r,p=A", "not-authorized" },
	{ "c=biws,r=%r,p=AAAA", "not-authorized" }, { "c=biws,r=%r,p=%pAAAA", "not-authorized" }, { "c=biws,r=%r,p=%p=", "not-authorized" },
	{ "c=biws,r=%r,p=!%p", "not-authorized" }, { "c=biws,r=%r,p=====", "not-authorized" },
	{ "c=biws,r=%r,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "not-authorized" },
	{ "c=biws,r=%r,x=1,p=%p", "not-authorized" }, /* honest proof, but of another message */
	{ "\xff", "malformed-request" }, { "c=biws,r=%r,p=\xc3", "malformed-request" },
};

static struct str expand(struct arena *a, const char *text, struct str nonce, struct str proof)
{
	struct str out = STR("");

	for (const char *p = text; *p; p++) {
		bool is_var = p[0] == '%' && (p[1] == 'r' || p[1] == 'p');
		struct str piece = !is_var ? str_of(p, 1) : p[1] == 'r' ? nonce : proof;

		out = arena_cat(a, out, piece, STR_NONE);
		p += is_var;
	}
	return out;
}

TEST(a07_hundred_malformed_messages)
{
	struct login l;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "pencil" };
	size_t n_first = sizeof(bad_first) / sizeof(bad_first[0]), n_final = sizeof(bad_final) / sizeof(bad_final[0]);

	up();
	ok(n_first + n_final >= 100, "%zu + %zu messages", n_first, n_final);
	login_init(&l, 0);
	for (size_t i = 0; i < n_first; i++)
		ok(failed_as(begin(&l, "SCRAM-SHA-256", true, bad_first[i]), "malformed-request"), "first %zu", i);
	for (size_t i = 0; i < n_final; i++) {
		begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
		struct str honest = scram_final(&l, &c);
		struct str bad = expand(l.a, bad_final[i].text, field(c.server_first, 'r'), field(honest, 'p'));
		ok(failed_as(step(&l, bad), bad_final[i].want), "final %zu: %s", i, bad_final[i].want);
	}
	/* Too long in every place. */
	char big[SASL_MESSAGE_MAX + 1];
	memset(big, 'x', sizeof(big));
	ok(failed_as(begin(&l, "SCRAM-SHA-256", true, str_of(big, sizeof(big))), "malformed-request"), "longer than any message");
	struct str nonce = arena_cat(l.a, STR("n,,n=anna,r="), str_of(big, 257), STR_NONE);
	ok(failed_as(begin(&l, "SCRAM-SHA-256", true, nonce), "malformed-request"), "nonce of 257 bytes");
	struct str name = arena_cat(l.a, STR("n,,n="), str_of(big, 1024), STR(",r=x"), STR_NONE);
	ok(failed_as(begin(&l, "SCRAM-SHA-256", true, name), "malformed-request"), "name of 1024 bytes");
	/* A replayed proof: the server's half of the nonce is new each time. */
	begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	struct str honest = scram_final(&l, &c);
	ok(step(&l, honest)->kind == SASL_SUCCESS, "honest");
	begin(&l, "SCRAM-SHA-256", true, arena_cat(l.a, STR("n,,"), c.first_bare, STR_NONE));
	ok(failed_as(step(&l, honest), "not-authorized"), "replayed");
	login_end(&l);
	rig_stop();
}

TEST(scram_extensions_and_escapes_pass)
{
	struct login l;
	struct scram_client c = { .hash = HASH_SHA1, .gs2 = "n,a=anna@example.org,", .user = "ANNA", .password = "pencil" };

	up();
	login_init(&l, 0);
	ok(scram(&l, "SCRAM-SHA-1", &c)->kind == SASL_SUCCESS, "upper case is prepared, a= names the same account");
	is_str(l.out.local, STR("anna"));
	c.user = "anna@example.org";
	ok(scram(&l, "SCRAM-SHA-1", &c)->kind == SASL_SUCCESS, "the full address as name");
	c.gs2 = "n,,";
	c.user = "a=3Db=2Cc";
	ok(failed_as(scram(&l, "SCRAM-SHA-1", &c), "not-authorized"), "escaped name: well-formed, unknown");
	is_int(rig_add("example.org", "a=b,c", "pencil"), 0);
	ok(scram(&l, "SCRAM-SHA-1", &c)->kind == SASL_SUCCESS, "and known");
	is_str(l.out.local, STR("a=b,c"));
	/* No initial response: an empty challenge asks for it (RFC 6120 section 6.4.2). */
	begin(&l, "SCRAM-SHA-1", false, STR_NONE);
	ok(l.out.kind == SASL_CHALLENGE && l.out.has_data && l.out.data.n == 0, "empty challenge");
	step(&l, scram_first(&l, &c));
	ok(step(&l, scram_final(&l, &c))->kind == SASL_SUCCESS, "goes on as usual");
	login_end(&l);
	rig_stop();
}

/* --- A01 --- */

static const char *const identities[] = { "anna@example.org", "boris@example.org", "anna@other.example", "nobody@example.org",
					  "anna@example.org/home", "example.org", "anna", "@", "anna@example.org\x01" };

TEST(a01_authzid_by_authcid_by_mechanism)
{
	static const struct { const char *user, *password; } people[] = { { "anna", "pencil" }, { "boris", "bread" } };

	up();
	for (size_t z = 0; z < sizeof(identities) / sizeof(identities[0]); z++) {
		for (size_t p = 0; p < 2; p++) {
			struct login l;
			bool equal = z == p;
			char gs2[80];
			struct scram_client c = { .user = people[p].user, .password = people[p].password, .gs2 = gs2 };

			snprintf(gs2, sizeof(gs2), "n,a=%s,", identities[z]);
			login_init(&l, WITH_TLS);
			const struct sasl_outcome *o = plain(&l, identities[z], people[p].user, people[p].password);
			ok(equal ? o->kind == SASL_SUCCESS : failed_as(o, "invalid-authzid"), "PLAIN %s as %s", people[p].user, identities[z]);
			for (size_t i = 0; i < 3; i++) {
				c.hash = scrams[i].hash;
				o = scram(&l, scrams[i].name, &c);
				ok(equal ? o->kind == SASL_SUCCESS : failed_as(o, "invalid-authzid"), "%s %s as %s", scrams[i].name,
				   people[p].user, identities[z]);
			}
			cert_names[0] = identities[p];
			offer(&l);
			login_end(&l);
			login_init(&l, WITH_TLS);
			o = begin(&l, "EXTERNAL", true, str_c(identities[z]));
			ok(equal ? o->kind == SASL_SUCCESS : failed_as(o, "invalid-authzid"), "EXTERNAL %s as %s", people[p].user, identities[z]);
			cert_names[0] = NULL;
			login_end(&l);
		}
	}
	rig_stop();
}

TEST(stream_from_binds_the_authzid)
{
	struct login l;

	up();
	login_init(&l, SASL2);
	l.peer.stream_from = STR("boris@example.org");
	ok(failed_as(plain(&l, "anna@example.org", "anna", "pencil"), "invalid-authzid"), "another 'from' (XEP-0388 section 2.3)");
	ok(plain(&l, "", "anna", "pencil")->kind == SASL_SUCCESS, "without an authzid it is only a hint");
	login_end(&l);
	rig_stop();
}

/* --- A02 --- */

static const char *const iana[] = {
	"9798-M-DSA-SHA1", "9798-M-ECDSA-SHA1", "9798-M-RSA-SHA1-ENC", "9798-U-DSA-SHA1", "9798-U-ECDSA-SHA1", "9798-U-RSA-SHA1-ENC",
	"ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "EAP-AES128", "EAP-AES128-PLUS", "ECDH-X25519-CHALLENGE", "ECDSA-NIST256P-CHALLENGE", "EXTERNAL",
	"GS2-KRB5", "GS2-KRB5-PLUS", "GSSAPI", "GSS-SPNEGO", "KERBEROS_V4", "KERBEROS_V5", "LOGIN", "NMAS-SAMBA-AUTH", "NMAS_AUTHEN",
	"NMAS_LOGIN", "NTLM", "OAUTH10A", "OAUTHBEARER", "OPENID20", "OTP", "SAML20", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS",
	"SCRAM-SHA-512-PLUS", "SCRAM-SHA3-512", "SECURID", "SKEY", "SPNEGO", "SPNEGO-PLUS", "SXOVER-PLUS", "XOAUTH", "XOAUTH2",
	"HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR", "HT-SHA-256-UNIQ", "X-OAUTH2", "plain", "PLAIN ", "PLAIN\n", "", "SCRAM-SHA-",
	"SCRAM-SHA-256-", "scram-sha-256",
};

TEST(a02_what_was_not_offered_is_refused)
{
	struct login l;

	up();
	cert_names[0] = "anna@example.org"; /* even though it would be possible */
	login_init(&l, 0);
	for (size_t i = 0; i < sizeof(iana) / sizeof(iana[0]); i++)
		ok(failed_as(begin(&l, iana[i], true, STR("")), "invalid-mechanism"), "%s", iana[i]);
	l.n_offered = 3; /* without PLAIN */
	login_end(&l);
	login_init(&l, 0);
	l.n_offered = 3;
	ok(failed_as(plain(&l, "", "anna", "pencil"), "invalid-mechanism"), "PLAIN when only SCRAM was on the list");
	login_end(&l);
	rig_stop();
}

/* --- PLAIN --- */

TEST(plain_forms)
{
	static const struct str malformed[] = {
		S(""), S("\0"), S("\0\0"), S("anna"), S("\0anna"), S("\0anna\0"), S("\0\0pencil"), S("a\0b\0c\0d"), S("\0anna\0pencil\0"),
		S("\0anna\0\xff"), S("\0\xc0\x80\0x"), S("\xff\0anna\0pencil"),
	};
	struct login l;

	up();
	login_init(&l, 0);
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		ok(failed_as(begin(&l, "PLAIN", true, malformed[i]), "malformed-request"), "malformed %zu", i);
	ok(plain(&l, "", "anna", "pencil")->kind == SASL_SUCCESS && !l.out.has_data, "right");
	is_str(l.out.local, STR("anna"));
	ok(plain(&l, "", "Anna@Example.ORG", "pencil")->kind == SASL_SUCCESS, "the full address, prepared");
	ok(failed_as(plain(&l, "", "anna@other.example", "elsewhere"), "not-authorized"), "an account of another host (row A03)");
	ok(failed_as(plain(&l, "", "anna", "elsewhere"), "not-authorized"), "its password here");
	ok(failed_as(plain(&l, "", "nobody", "x"), "not-authorized"), "unknown: the same error (row A08)");
	ok(failed_as(plain(&l, "", "no body", "x"), "not-authorized"), "impossible name: the same error");
	ok(failed_as(plain(&l, "", "anna", "Pencil"), "not-authorized"), "case matters");
	begin(&l, "PLAIN", false, STR_NONE);
	ok(l.out.kind == SASL_CHALLENGE && l.out.data.n == 0, "asked for the message");
	ok(step(&l, str_of("\0anna\0pencil", 12))->kind == SASL_SUCCESS, "and it came");
	login_end(&l);
	rig_stop();
}

TEST(order_and_end_of_an_exchange)
{
	struct login l;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "pencil" };

	up();
	login_init(&l, 0);
	l.aborts = true;
	ok(failed_as(plain(&l, "", "anna", "pencil"), "aborted"), "abort while a helper works: one answer");
	l.aborts = false;
	rig_settle();
	is_int(l.replies, 1);
	l.again = true;
	ok(failed_as(plain(&l, "", "anna", "pencil"), "malformed-request"), "input while an answer is pending");
	l.again = false;
	rig_settle();
	is_int(l.replies, 2);
	begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	struct str final = scram_final(&l, &c);
	ok(failed_as(begin(&l, "PLAIN", true, STR("")), "malformed-request"), "a second login within the first");
	ok(failed_as(step(&l, final), "malformed-request"), "the first one is over by that");
	l.frees = true;
	ok(scram(&l, "SCRAM-SHA-256", &c)->kind == SASL_SUCCESS && l.s == NULL, "freed inside the reply");
	unsigned before = l.replies;
	l.mechanism = STR("PLAIN");
	l.data = str_of("\0anna\0wrong", 11);
	rig_run(0, begin_here, &l);
	rig_run(0, free_here, &l); /* a helper job is running or just back */
	rig_settle();
	ok(l.replies <= before + 1, "no answer after sasl_free");
	ok(auth_delay_ms("192.0.2.1", STR("anna@example.org")) == 0, "delays are off in this test");
	login_end(&l);
	rig_stop();
}

/* --- EXTERNAL --- */

TEST(external)
{
	struct login l;

	up();
	cert_names[0] = "anna@example.org";
	login_init(&l, WITH_TLS);
	ok(begin(&l, "EXTERNAL", true, STR(""))->kind == SASL_SUCCESS, "the only name");
	is_str(l.out.local, STR("anna"));
	begin(&l, "EXTERNAL", false, STR_NONE);
	is_int(l.out.kind, SASL_CHALLENGE);
	ok(step(&l, STR("anna@example.org"))->kind == SASL_SUCCESS, "asked for the authzid");
	cert_names[1] = "boris@example.org";
	ok(failed_as(begin(&l, "EXTERNAL", true, STR("")), "invalid-authzid"), "two names: which one?");
	ok(begin(&l, "EXTERNAL", true, STR("boris@example.org"))->kind == SASL_SUCCESS, "this one");
	is_str(l.out.local, STR("boris"));
	cert_names[0] = "ghost@example.org";
	cert_names[1] = NULL;
	ok(failed_as(begin(&l, "EXTERNAL", true, STR("")), "not-authorized"), "a certificate without an account");
	login_end(&l);
	rig_stop();
}

/* --- A08, A10, A16 --- */

TEST(a08_unknown_names_get_a_stable_salt)
{
	struct login l;
	char salt[64];
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "nobody", .password = "x" };

	up();
	login_init(&l, 0);
	begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	snprintf(salt, sizeof(salt), "%.*s", STR_ARG(field(l.out.data, 's')));
	is_str(field(l.out.data, 'i'), STR("4096"));
	ok(failed_as(step(&l, scram_final(&l, &c)), "not-authorized"), "the same error as a wrong password");
	begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	is_str(field(l.out.data, 's'), str_c(salt));
	c.user = "NoBody";
	begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c)); /* a second one within the first: refused */
	begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	is_str(field(l.out.data, 's'), str_c(salt)); /* prepared like a real name */
	login_end(&l);
	rig_stop();
}

TEST(a10_failures_are_answered_later_elsewhere_nothing)
{
	struct login l, other;
	struct limits lim;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "wrong" };

	up();
	lim = *limits();
	lim.auth_delay_ms = 10;
	lim.auth_delay_max_ms = 60000;
	limits_set(&lim);
	login_init(&l, 0);
	login_init(&other, 0);
	other.peer.ip = "192.0.2.77";
	for (int i = 0; i < 4; i++)
		ok(failed_as(i % 2 ? plain(&l, "", "anna", "wrong") : scram(&l, "SCRAM-SHA-256", &c), "not-authorized"), "guess %d", i);
	auth_failed("192.0.2.1", STR("anna@example.org"));
	c.password = "pencil";
	ok(scram(&l, "SCRAM-SHA-256", &c)->kind == SASL_SUCCESS, "the owner at the same address, after the wait");
	is_int(auth_delay_ms("192.0.2.1", STR("anna@example.org")), 0);
	for (int i = 0; i < 12; i++)
		auth_failed("192.0.2.1", STR("anna@example.org"));
	ok(plain(&other, "", "anna", "pencil")->kind == SASL_SUCCESS, "the owner elsewhere");
	ok(auth_delay_ms("192.0.2.1", STR("anna@example.org")) > 0, "did not wait for the guesser, who still has to");
	login_end(&l);
	login_end(&other);
	auth_limit_clear();
	rig_stop();
}

struct change {
	void (*fn)(const struct account_op *op, account_done_fn *done, void *ctx);
	struct account_op op;
	struct gate gate;
	int err;
};

static void change_done(void *ctx, int err, uint32_t id)
{
	struct change *c = ctx;

	(void)id;
	c->err = err;
	gate_open(&c->gate);
}

static void change_start(void *arg)
{
	struct change *c = arg;

	c->fn(&c->op, change_done, c);
}

static int change(void (*fn)(const struct account_op *, account_done_fn *, void *), const char *local, const char *password)
{
	struct change c = { .fn = fn, .op = { .local = str_c(local), .password = str_c(password), .actor = STR("test") } };

	gate_init(&c.gate);
	rig_run(0, change_start, &c);
	return gate_wait(&c.gate) ? c.err : 1;
}

TEST(a16_a_change_between_the_messages_wins)
{
	struct login l;
	struct scram_client c = { .hash = HASH_SHA512, .gs2 = "n,,", .user = "anna", .password = "pencil" };

	up();
	login_init(&l, 0);
	begin(&l, "SCRAM-SHA-512", true, scram_first(&l, &c));
	is_int(change(account_set_password, "anna", "eraser"), 0);
	ok(failed_as(step(&l, scram_final(&l, &c)), "not-authorized"), "the old password with the old salt");
	c.password = "eraser";
	ok(scram(&l, "SCRAM-SHA-512", &c)->kind == SASL_SUCCESS, "the new one");
	is_int(change(account_disable, "anna", ""), 0);
	ok(failed_as(scram(&l, "SCRAM-SHA-512", &c), "account-disabled"), "the right password learns that");
	ok(failed_as(plain(&l, "", "anna", "eraser"), "account-disabled"), "by PLAIN, too");
	c.password = "wrong";
	ok(failed_as(scram(&l, "SCRAM-SHA-512", &c), "not-authorized"), "a wrong one does not");
	is_int(change(account_remove, "anna", ""), 0);
	c.password = "eraser";
	ok(failed_as(scram(&l, "SCRAM-SHA-512", &c), "not-authorized"), "deleted");
	login_end(&l);
	rig_stop();
}

/* --- FAST --- */

#define AGENT "d4565fa7-4d72-4749-b3d3-740edbf87770"

struct token {
	uint32_t id, epoch;
	const char *agent, *mechanism;
	char text[FAST_TOKEN_LEN + 1];
	uint64_t expires_ms;
	int err;
	struct gate gate;
};

static void issued(void *ctx, int err, struct str token, uint64_t expires_ms)
{
	struct token *t = ctx;

	t->err = err;
	snprintf(t->text, sizeof(t->text), "%.*s", STR_ARG(token));
	t->expires_ms = expires_ms;
	gate_open(&t->gate);
}

static void issue_here(void *arg)
{
	struct token *t = arg;

	fast_issue(t->id, t->epoch, str_c(t->agent), str_c(t->mechanism), issued, t);
}

static int issue(struct token *t, const char *agent, const char *mechanism)
{
	struct auth_account a;

	auth_lookup(STR("example.org"), STR("anna"), &a);
	t->id = a.id;
	t->epoch = a.credentials_epoch;
	t->agent = agent;
	t->mechanism = mechanism;
	gate_init(&t->gate);
	rig_run(0, issue_here, t);
	return gate_wait(&t->gate) ? t->err : 1;
}

static struct str ht_message(struct login *l, const char *user, const char *token, struct str binding)
{
	uint8_t mac[HASH_MAX];

	hmac(HASH_SHA256, str_c(token), arena_cat(l->a, STR("Initiator"), binding, STR_NONE), mac);
	return arena_cat(l->a, str_c(user), str_of("\0", 1), str_of((char *)mac, 32), STR_NONE);
}

static void ht_init(struct login *l, const char *agent)
{
	login_init(l, WITH_TLS | SASL2);
	l->peer.fast = true;
	l->peer.user_agent_id = str_c(agent);
}

/* A whole FAST login with its own struct sasl. */
static const char *ht(const char *agent, const char *user, const char *mechanism, const char *token, int64_t count, bool invalidate,
		      bool *out_rotate)
{
	struct login l;
	static char condition[64];
	uint8_t mac[HASH_MAX];
	struct str binding = strstr(mechanism, "NONE") ? STR_NONE : str_of((char *)(strstr(mechanism, "EXPR") ? wire_exporter : wire_endpoint), 32);

	ht_init(&l, agent);
	l.peer.has_fast_count = count >= 0;
	l.peer.fast_count = (uint64_t)count;
	l.peer.fast_invalidate = invalidate;
	const struct sasl_outcome *o = begin(&l, mechanism, true, ht_message(&l, user, token, binding));
	if (o->kind == SASL_SUCCESS) {
		hmac(HASH_SHA256, str_c(token), arena_cat(l.a, STR("Responder"), binding, STR_NONE), mac);
		bool proved = o->has_data && str_eq(o->data, str_of((char *)mac, 32)) && o->by_token && str_eq_c(o->local, user);
		snprintf(condition, sizeof(condition), "%s", proved ? "success" : "bad success");
		if (out_rotate)
			*out_rotate = o->rotate_token;
	} else {
		snprintf(condition, sizeof(condition), "%s", o->condition);
	}
	login_end(&l);
	return condition;
}

TEST(fast_logs_in_with_each_mechanism)
{
	static const char *const mechanisms[] = { "HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE" };
	bool rotate = true;

	up();
	for (size_t i = 0; i < 3; i++) {
		struct token t;

		is_int(issue(&t, AGENT, mechanisms[i]), 0);
		is_int(strlen(t.text), FAST_TOKEN_LEN);
		is_cstr(ht(AGENT, "anna", mechanisms[i], t.text, -1, false, &rotate), "success");
		ok(!rotate, "a young token stays");
		is_cstr(ht(AGENT, "anna", mechanisms[i], t.text, -1, false, NULL), "success");
		is_cstr(ht(AGENT, "anna", mechanisms[(i + 1) % 3], t.text, -1, false, NULL), "not-authorized");
		is_cstr(ht(AGENT, "boris", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
		is_cstr(ht(AGENT, "nobody", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
		is_cstr(ht("another-agent", "anna", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
		t.text[20] ^= 1;
		is_cstr(ht(AGENT, "anna", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
	}
	struct token t;
	is_int(issue(&t, AGENT, "PLAIN"), ERR_SYNTAX);
	is_int(issue(&t, "", "HT-SHA-256-NONE"), ERR_SYNTAX);
	is_int(issue(&t, "line\nbreak", "HT-SHA-256-NONE"), ERR_SYNTAX);
	rig_stop();
}

TEST(fast_rotation_keeps_the_old_until_the_new_is_used)
{
	struct token one, two, three;
	struct limits lim;
	bool rotate = false;

	up();
	is_int(issue(&one, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, NULL), "success");
	lim = *limits();
	lim.fast_rotate_ms = 0;
	limits_set(&lim);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, &rotate), "success");
	ok(rotate, "due for a new one");
	is_int(issue(&two, AGENT, "HT-SHA-256-NONE"), 0);
	ok(strcmp(one.text, two.text) != 0, "another token");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, NULL), "success"); /* the new one may have got lost */
	is_int(issue(&three, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", two.text, -1, false, NULL), "not-authorized"); /* never used, replaced */
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", three.text, -1, false, NULL), "success");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, NULL), "not-authorized"); /* void by the use of the newer */
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", three.text, -1, false, NULL), "success");
	rig_stop();
}

TEST(fast_count_stops_replays)
{
	struct token t;

	up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 5, false, NULL), "success");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 5, false, NULL), "not-authorized");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 4, false, NULL), "not-authorized");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 0, false, NULL), "not-authorized");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 6, false, NULL), "success");
	rig_stop();
}

TEST(fast_invalidate_expiry_and_limits)
{
	struct token t, u;
	struct limits lim;
	char agent[32];

	up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, true, NULL), "success");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
	lim = *limits();
	lim.fast_token_ms = 0;
	limits_set(&lim);
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "credentials-expired");
	lim.fast_token_ms = 1000000;
	lim.fast_tokens = 2;
	limits_set(&lim);
	is_int(issue(&t, "device-0", "HT-SHA-256-NONE"), 0);
	is_cstr(ht("device-0", "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "success");
	for (int i = 1; i < 8; i++) {
		snprintf(agent, sizeof(agent), "device-%d", i);
		is_int(issue(&u, agent, "HT-SHA-256-NONE"), 0);
	}
	is_cstr(ht("device-0", "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized"); /* gave way */
	is_cstr(ht("device-7", "anna", "HT-SHA-256-NONE", u.text, -1, false, NULL), "success");
	rig_stop();
}

TEST(a16_tokens_die_with_the_epoch)
{
	static void (*const changes[])(const struct account_op *, account_done_fn *, void *) = {
		account_set_password, account_revoke, account_disable, account_remove,
	};
	struct token t;

	up();
	for (size_t i = 0; i < 4; i++) {
		is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
		is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "success");
		is_int(change(changes[i], "anna", "pencil"), 0);
		is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
		rig_run(0, issue_here, &t); /* with the old epoch: a login that was under way */
		ok(gate_wait(&t.gate) && t.err != 0, "no token for the old epoch (%d)", t.err);
		if (changes[i] == account_disable) {
			is_int(change(account_enable, "anna", ""), 0);
			is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
		}
	}
	rig_stop();
}

TEST(fast_needs_its_element_and_an_agent)
{
	struct login l;
	struct token t;

	up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	ht_init(&l, AGENT);
	l.peer.fast = false;
	ok(failed_as(begin(&l, "HT-SHA-256-NONE", true, ht_message(&l, "anna", t.text, STR_NONE)), "malformed-request"), "without <fast/>");
	login_end(&l);
	ht_init(&l, "");
	ok(failed_as(begin(&l, "HT-SHA-256-NONE", true, ht_message(&l, "anna", t.text, STR_NONE)), "malformed-request"), "without an agent");
	login_end(&l);
	ht_init(&l, AGENT);
	static const struct str malformed[] = { S(""), S("\0"), S("anna"), S("\0abc"), S("\xff\0abc") };
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		ok(failed_as(begin(&l, "HT-SHA-256-NONE", true, malformed[i]), "malformed-request"), "malformed %zu", i);
	ok(failed_as(begin(&l, "HT-SHA-256-NONE", true, str_of("anna\0short", 10)), "not-authorized"), "a proof of another length");
	ok(failed_as(begin(&l, "HT-SHA-256-NONE", true, str_of("anna\0", 5)), "not-authorized"), "an empty proof");
	login_end(&l);
	rig_stop();
}
