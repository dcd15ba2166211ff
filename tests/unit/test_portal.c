/* Sign-on tokens of portals (server/im/portal.h): row A15, every way a token can be wrong, and OAUTHBEARER over it (RFC 7628). */
#include "server/im/portal.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "tests/lib/sasl_client.h"
#include "tests/lib/test.h"
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER "another secret of thirty-two bytes"

static char secret_file[256], public_file[256], rsa_file[256], private_pem[4096], public_pem[4096];

static void write_file(char *path, const char *name, const char *text)
{
	snprintf(path, 256, "%s/%s", test_tmpdir(), name);
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static void pem_of(EVP_PKEY *key, bool private_part, char out[4096])
{
	BIO *b = BIO_new(BIO_s_mem());

	if (private_part)
		PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	else
		PEM_write_bio_PUBKEY(b, key);
	int n = BIO_read(b, out, 4095);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(b);
}

static int use_keys(void)
{
	struct err_msg msg;
	EVP_PKEY *ec = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048);
	struct portal_key keys[] = {
		{ "portal", "vestnik", secret_file, PORTAL_HS256, "example.org" },
		{ "ec-portal", "vestnik", public_file, PORTAL_ES256, "example.org" },
		{ "rsa-portal", "vestnik", rsa_file, PORTAL_RS256, "other.example" },
	};
	char rsa_pem[4096];

	pem_of(ec, true, private_pem);
	pem_of(ec, false, public_pem);
	pem_of(rsa, false, rsa_pem);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	write_file(secret_file, "secret", SECRET "\n");
	write_file(public_file, "public.pem", public_pem);
	write_file(rsa_file, "rsa.pem", rsa_pem);
	return portal_set_keys(keys, 3, &msg);
}

/* Claims of a token; what is NULL or 0 is left out. */
struct claims {
	const char *iss, *aud, *sub, *jti;
	long exp, nbf, iat; /* seconds from now */
	jwt_alg_t alg;
	const char *key;
};
static struct claims good(void)
{
	return (struct claims){ "portal", "vestnik", "anna", NULL, 300, 0, 0, JWT_ALG_HS256, SECRET };
}

static char *token_of(struct claims c)
{
	jwt_t *j;
	long now = (long)(clock_wall_ms() / 1000);

	jwt_new(&j);
	if (c.iss)
		jwt_add_grant(j, "iss", c.iss);
	if (c.aud)
		jwt_add_grant(j, "aud", c.aud);
	if (c.sub)
		jwt_add_grant(j, "sub", c.sub);
	if (c.jti)
		jwt_add_grant(j, "jti", c.jti);
	if (c.exp)
		jwt_add_grant_int(j, "exp", now + c.exp);
	if (c.nbf)
		jwt_add_grant_int(j, "nbf", now + c.nbf);
	if (c.iat)
		jwt_add_grant_int(j, "iat", now + c.iat);
	jwt_set_alg(j, c.alg, c.alg == JWT_ALG_NONE ? NULL : (const unsigned char *)c.key,
		    c.alg == JWT_ALG_NONE ? 0 : (int)strlen(c.key));
	char *text = jwt_encode_str(j);
	jwt_free(j);
	return text;
}

struct check {
	struct str token, domain;
	struct portal_login login;
	char local[64];
	int err;
};
static void check_here(void *arg)
{
	struct check *c = arg;
	struct arena *a = arena_new(1024);

	c->err = portal_verify(a, c->token, c->domain, &c->login);
	snprintf(c->local, sizeof c->local, "%.*s", STR_ARG(c->login.local));
	arena_free(a);
}

static int verify_text(const char *text, struct check *c)
{
	*c = (struct check){ .token = str_c(text) };
	rig_run(0, check_here, c);
	return c->err;
}

static int verify(struct claims claims)
{
	struct check c;
	char *text = token_of(claims);
	int err = verify_text(text, &c);

	free(text);
	return err;
}

TEST(a15_a_good_token_says_who)
{
	struct check c;

	rig_start(1, NULL);
	is_int(rig_add("example.org", "anna", "secret"), 0);
	is_int(use_keys(), 0);
	char *text = token_of(good());
	is_int(verify_text(text, &c), 0);
	is_cstr(c.local, "anna");
	ok(c.login.account_id > 0, "the account is found");
	is_int(verify_text(text, &c), 0);
	free(text);
	struct claims ec = good();
	ec.iss = "ec-portal";
	ec.alg = JWT_ALG_ES256;
	ec.key = private_pem;
	is_int(verify(ec), 0);
	struct claims upper = good();
	upper.sub = "ANNA";
	is_int(verify(upper), 0);
	struct claims late = good();
	late.exp = -30; /* within the leeway */
	is_int(verify(late), 0);
	portal_fini();
	rig_stop();
}

TEST(a15_an_id_counts_once)
{
	struct claims c = good();

	rig_start(1, NULL);
	is_int(rig_add("example.org", "anna", "secret"), 0);
	is_int(use_keys(), 0);
	c.jti = "one";
	is_int(verify(c), 0);
	is_int(verify(c), ERR_AUTH);
	c.jti = "two";
	is_int(verify(c), 0);
	portal_fini();
	rig_stop();
}

#define BUT(member, val)                                                                                               \
	({                                                                                                             \
		struct claims but_ = good();                                                                           \
		but_.member = (val);                                                                                   \
		but_;                                                                                                  \
	})

TEST(a15_every_wrong_token_is_refused_alike)
{
	struct claims confused = good(), foreign_rsa = good(), ec_as_hs = good(), other_domain = good();

	rig_start(1, NULL);
	is_int(rig_add("example.org", "anna", "secret"), 0);
	is_int(rig_add("example.org", "off", "secret"), 0);
	is_int(rig_change(account_disable, "off", NULL), 0);
	is_int(use_keys(), 0);
	confused.iss = "ec-portal"; /* HS256 with the public key as the secret */
	confused.key = public_pem;
	ec_as_hs.alg = JWT_ALG_ES256;
	ec_as_hs.key = private_pem;
	foreign_rsa.iss = "rsa-portal";
	other_domain.iss = "rsa-portal";
	other_domain.alg = JWT_ALG_NONE;
	const struct {
		const char *what;
		struct claims c;
	} bad[] = {
		{ "no algorithm", BUT(alg, JWT_ALG_NONE) },
		{ "another algorithm of the family", BUT(alg, JWT_ALG_HS512) },
		{ "HS384", BUT(alg, JWT_ALG_HS384) },
		{ "public key as secret", confused },
		{ "ES256 for an HS256 issuer", ec_as_hs },
		{ "HS256 for an RS256 issuer", foreign_rsa },
		{ "none for an RS256 issuer", other_domain },
		{ "another key", BUT(key, OTHER) },
		{ "no issuer", BUT(iss, NULL) },
		{ "another issuer", BUT(iss, "portal2") },
		{ "issuer in other case", BUT(iss, "Portal") },
		{ "no audience", BUT(aud, NULL) },
		{ "another service", BUT(aud, "mail") },
		{ "audience with a tail", BUT(aud, "vestnik2") },
		{ "no expiry", BUT(exp, 0) },
		{ "expired beyond the leeway", BUT(exp, -90) },
		{ "valid for a year", BUT(exp, 365l * 86400) },
		{ "not yet valid", BUT(nbf, 300) },
		{ "issued in the future", BUT(iat, 300) },
		{ "no subject", BUT(sub, NULL) },
		{ "empty subject", BUT(sub, "") },
		{ "unknown subject", BUT(sub, "nobody") },
		{ "subject with a domain", BUT(sub, "anna@example.org") },
		{ "subject with a resource", BUT(sub, "anna/x") },
		{ "subject with a blank", BUT(sub, "an na") },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ok(verify(bad[i].c) == ERR_AUTH, "refused: %s", bad[i].what);
	is_int(verify(BUT(sub, "off")), ERR_FORBIDDEN);
	portal_fini();
	rig_stop();
}

TEST(a15_text_that_is_no_token)
{
	struct check c;
	char *text, big[10000];

	rig_start(1, NULL);
	is_int(rig_add("example.org", "anna", "secret"), 0);
	is_int(use_keys(), 0);
	text = token_of(good());
	for (size_t n = strlen(text), i = 0; i < n; i += 7) { /* each byte of header, claims and signature matters */
		char was = text[i];
		text[i] = was == 'A' ? 'B' : 'A';
		if (verify_text(text, &c) != ERR_AUTH)
			ok(false, "byte %zu changed: refused", i);
		text[i] = was;
	}
	is_int(verify_text(text, &c), 0);
	*strrchr(text, '.') = '\0';
	is_int(verify_text(text, &c), ERR_AUTH);
	free(text);
	const char *junk[] = { "", ".", "..", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "vst-0000" };
	for (size_t i = 0; i < sizeof junk / sizeof *junk; i++)
		is_int(verify_text(junk[i], &c), ERR_AUTH);
	memset(big, 'A', sizeof big);
	big[sizeof big - 1] = '\0';
	is_int(verify_text(big, &c), ERR_AUTH);
	portal_fini();
	rig_stop();
}

TEST(keys_that_cannot_be_used_are_refused)
{
	struct err_msg msg;
	char short_file[256];
	struct portal_key k = { "p", "v", "/nowhere/key", PORTAL_HS256, "example.org" };

	is_int(portal_set_keys(&k, 1, &msg), ERR_IO);
	write_file(short_file, "short", "too short\n");
	k.key_file = short_file;
	is_int(portal_set_keys(&k, 1, &msg), ERR_SYNTAX);
	k.algorithm = PORTAL_ES256;
	is_int(portal_set_keys(&k, 1, &msg), ERR_SYNTAX);
	ok(!portal_is_configured(STR_NONE), "nothing was taken over");
	portal_fini();
}
