/*
 * server/xmpp/sasl with a client written here: whole exchanges of every mechanism, the binding matrix (A06), malformed
 * messages (A07), authzid (A01), mechanisms that were not offered (A02), fakes (A08), delays (A10), epochs (A16).
 */
#include "server/xmpp/sasl.h"
#include "server/im/auth_limit.h"
#include "tests/lib/sasl_client.h"
#include "tests/lib/test.h"

static const struct {
	const char *name;
	enum hash_kind hash;
} scrams[] = {
	{ "SCRAM-SHA-1", HASH_SHA1 },
	{ "SCRAM-SHA-256", HASH_SHA256 },
	{ "SCRAM-SHA-512", HASH_SHA512 },
};

static bool offers(const struct client *l, const char *name)
{
	for (size_t i = 0; i < l->n_offered; i++)
		if (str_eq_c(l->offered[i], name))
			return true;
	return false;
}

TEST(offer_depends_on_the_connection)
{
	struct client l;
	struct str cb[SASL_CB_MAX];

	client_init(&l, 0);
	is_int(l.n_offered, 4);
	is_str(l.offered[0], STR("SCRAM-SHA-512"));
	is_str(l.offered[3], STR("PLAIN"));
	is_int(sasl_cb_types(&l.peer, cb, SASL_CB_MAX), 0);
	l.peer.loopback = false;
	client_offer_again(&l);
	is_int(l.n_offered, 0); /* in clear to the world: nothing (rows A04, A06) */
	arena_free(l.a);
	client_init(&l, WITH_TLS);
	is_int(l.n_offered, 7);
	is_str(l.offered[0], STR("SCRAM-SHA-512-PLUS"));
	ok(!offers(&l, "EXTERNAL") && !offers(&l, "HT-SHA-256-NONE"),
	   "neither EXTERNAL without a certificate nor FAST in SASL1");
	is_int(sasl_cb_types(&l.peer, cb, SASL_CB_MAX), 2);
	is_str(cb[0], STR("tls-exporter"));
	is_str(cb[1], STR("tls-server-end-point"));
	sasl_cert_names[0] = "anna@example.org";
	client_offer_again(&l);
	is_str(l.offered[0], STR("EXTERNAL"));
	sasl_cert_names[0] = "anna@foreign.example";
	client_offer_again(&l);
	ok(!offers(&l, "EXTERNAL"), "a certificate for another domain");
	sasl_cert_names[0] = NULL;
	arena_free(l.a);
	client_init(&l, WITH_TLS | SASL2);
	ok(offers(&l, "HT-SHA-256-EXPR") && offers(&l, "HT-SHA-256-ENDP") && offers(&l, "HT-SHA-256-NONE"),
	   "FAST in SASL2");
	l.peer.tls = NULL; /* TLS ended in front of us: no binding */
	client_offer_again(&l);
	ok(!offers(&l, "SCRAM-SHA-1-PLUS") && !offers(&l, "HT-SHA-256-EXPR") && offers(&l, "HT-SHA-256-NONE"),
	   "no binding through a proxy");
	arena_free(l.a);
}

TEST(every_scram_logs_in)
{
	sasl_rig_up();
	for (size_t i = 0; i < 3; i++) {
		for (int plus = 0; plus < 3; plus++) {
			struct client l;
			char name[32];
			struct scram_client c = {
				.hash = scrams[i].hash, .gs2 = "n,,", .user = "anna", .password = "pencil"
			};

			client_init(&l, plus ? WITH_TLS : 0);
			snprintf(name, sizeof(name), "%s%s", scrams[i].name, plus ? "-PLUS" : "");
			if (plus) {
				c.gs2 = plus == 1 ? "p=tls-exporter,," : "p=tls-server-end-point,,";
				c.binding = str_of((char *)(plus == 1 ? sasl_exporter : sasl_endpoint), 32);
			}
			const struct sasl_outcome *o = scram(&l, name, &c);
			ok(o->kind == SASL_SUCCESS && o->has_data, "%s %s", name, c.gs2);
			ok(scram_verifier_right(&l, &c), "the server proved itself");
			is_str(o->local, STR("anna"));
			is_str(o->domain, STR("example.org"));
			ok(o->account_id && o->credentials_epoch && !o->is_admin && !o->by_token, "identity");
			is_cstr(o->mechanism, name);
			is_int(l.replies, 2);
			c.password = "pencil2";
			ok(failed_as(scram(&l, name, &c), "not-authorized"), "the same struct again, wrong password");
			ok(l.out.counts, "it counts");
			client_end(&l);
		}
	}
	rig_stop();
}

TEST(xep0474_hash_covers_mechanisms_and_types)
{
	struct client l;
	uint8_t d[HASH_MAX];

	sasl_rig_up();
	/* The example of XEP-0474 section 4.3. */
	struct scram_client c = { .hash = HASH_SHA1, .gs2 = "n,,", .user = "anna", .password = "pencil" };
	client_init(&l, WITH_TLS);
	l.offered[0] = STR("SCRAM-SHA-1");
	l.offered[1] = STR("SCRAM-SHA-1-PLUS");
	l.n_offered = 2;
	client_begin(&l, "SCRAM-SHA-1", true, scram_first(&l, &c));
	is_str(field(l.out.data, 'h'), STR("G6k/rBLDqgOhRRaCuuatSDFkJ08="));
	client_end(&l);
	/* No channel binding, and FAST stays out of the hash. */
	client_init(&l, SASL2);
	ok(offers(&l, "HT-SHA-256-NONE"), "FAST is offered");
	client_begin(&l, "SCRAM-SHA-1", true, scram_first(&l, &c));
	digest(HASH_SHA1, STR("PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256\x1eSCRAM-SHA-512"), d);
	is_str(field(l.out.data, 'h'), b64(l.a, str_of((char *)d, 20)));
	client_end(&l);
	rig_stop();
}

/* One cell of the matrix: what the client says, whether -PLUS was on the server's list, what it binds to. */
static const struct {
	const char *mechanism, *gs2;
	bool plus_offered, right_binding;
	const char *want;
} matrix[] = {
	{ "SCRAM-SHA-256", "n,,", true, true, NULL },
	{ "SCRAM-SHA-256", "n,,", false, true, NULL },
	{ "SCRAM-SHA-256", "y,,", false, true, NULL },
	{ "SCRAM-SHA-256", "y,,", true, true, "not-authorized" }, /* the list was tampered with */
	{ "SCRAM-SHA-256", "p=tls-exporter,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "n,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "y,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true, true, NULL },
	{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true, false, "not-authorized" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", true, true, NULL },
	{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", true, false, "not-authorized" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-unique,,", true, true, NULL }, /* not advertised, but what older clients know */
	{ "SCRAM-SHA-256-PLUS", "p=tls-unique,,", true, false, "not-authorized" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-foo,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=tls_exporter,,", true, true, "malformed-request" },
	{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", false, true, "invalid-mechanism" },
};

TEST(a06_binding_matrix)
{
	sasl_rig_up();
	for (size_t i = 0; i < sizeof(matrix) / sizeof(matrix[0]); i++) {
		struct client l;
		struct scram_client c = {
			.hash = HASH_SHA256, .gs2 = matrix[i].gs2, .user = "anna", .password = "pencil"
		};

		client_init(&l, WITH_TLS);
		if (!matrix[i].plus_offered) {
			size_t n = 0;
			for (size_t k = 0; k < l.n_offered; k++)
				if (!str_ends(l.offered[k], STR("-PLUS")))
					l.offered[n++] = l.offered[k];
			l.n_offered = n;
		}
		uint8_t other[32] = "binding of somebody in between..";
		uint8_t *wire = strstr(matrix[i].gs2, "exporter") ? sasl_exporter
				: strstr(matrix[i].gs2, "unique") ? sasl_unique
								  : sasl_endpoint;
		c.binding = matrix[i].gs2[0] != 'p' ? STR_NONE
						    : str_of((char *)(matrix[i].right_binding ? wire : other), 32);
		const struct sasl_outcome *o = scram(&l, matrix[i].mechanism, &c);
		if (matrix[i].want)
			ok(failed_as(o, matrix[i].want), "%s %s -> %s", matrix[i].mechanism, matrix[i].gs2,
			   matrix[i].want);
		else
			ok(o->kind == SASL_SUCCESS, "%s %s succeeds", matrix[i].mechanism, matrix[i].gs2);
		client_end(&l);
	}
	/* The header is changed on the way: what was signed is not what arrived. */
	struct client l;
	struct scram_client c = {
		.hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "pencil", .c_override = "eSws"
	};
	client_init(&l, 0);
	ok(failed_as(scram(&l, "SCRAM-SHA-256", &c), "not-authorized"), "y,, in c= but n,, before");
	client_end(&l);
	rig_stop();
}

/* Client-first messages that are wrong in themselves. */
static const struct str bad_first[] = {
#define S(lit)                                                                                                         \
	{                                                                                                              \
		lit, sizeof(lit) - 1                                                                                   \
	}
	S(""),
	S("n"),
	S("n,"),
	S("n,,"),
	S(","),
	S(",,"),
	S(",,n=a,r=b"),
	S("n,n=anna,r=x"),
	S("x,,n=anna,r=abc"),
	S("N,,n=anna,r=abc"),
	S("nn,,n=anna,r=abc"),
	S("y=,,n=anna,r=abc"),
	S("p,,n=anna,r=abc"),
	S("n,,n=anna"),
	S("n,,n=anna,"),
	S("n,,n=anna,r="),
	S("n,,n=anna,r=,x=1"),
	S("n,,n=,r=abc"),
	S("n,,r=abc"),
	S("n,,r=abc,n=anna"),
	S("n,,n=anna,x=1,r=abc"),
	S("n,,n=an=na,r=abc"),
	S("n,,n=anna=,r=abc"),
	S("n,,n=anna=2,r=abc"),
	S("n,,n=anna=2c,r=abc"),
	S("n,,n=anna=3d,r=abc"),
	S("n,,n=anna=00,r=abc"),
	S("n,,m=ext,n=anna,r=abc"),
	S("n,,m=,n=anna,r=abc"),
	S("n,a,n=anna,r=abc"),
	S("n,a=,n=anna,r=abc"),
	S("n,a==,n=anna,r=abc"),
	S("n,b=x,n=anna,r=abc"),
	S("n,,n=anna,r=a b"),
	S("n,,n=anna,r=a\tb"),
	S("n,,n=anna,r=a\x7f"),
	S("n,,n=anna,r=\xc3\xa4"),
	S("n,,n=anna,r=ab\0c"),
	S("n,,n=an\0na,r=abc"),
	S("\0"),
	S("n,,n=\xff\xfe,r=abc"),
	S("n,,n=\xc0\x80,r=abc"),
	S("n,,n=\xed\xa0\x80,r=abc"),
	S("n,,n=anna,r=abc,"),
	S("n,,n=anna,r=abc,,"),
	S("n,,n=anna,r=abc,x"),
	S("n,,n=anna,r=abc,x="),
	S("n,,n=anna,r=abc,1=x"),
	S("n,,n=anna,r=abc,=x"),
	S("n,,n=anna,r=abc,xy=z"),
	S("n,,n =anna,r=abc"),
	S("n,, n=anna,r=abc"),
	S(" n,,n=anna,r=abc"),
	S("p=tls-exporter,,n=anna,r=abc"),
	S("biws"),
	S("n,,anna,abc"),
	S("<xml/>"),
	S("n;;n=anna;r=abc"),
	S("\n\n"),
	S("n,,,n=anna,r=abc"),
};

/* Wrong endings: %r is the full nonce, %p an honest proof. */
static const struct {
	const char *text;
	const char *want;
} bad_final[] = {
	{ "", "malformed-request" },
	{ ",", "malformed-request" },
	{ "c=biws", "malformed-request" },
	{ "c=biws,r=%r", "malformed-request" },
	{ "c=biws,r=%r,", "malformed-request" },
	{ "c=biws,r=%r,p", "malformed-request" },
	{ "c=biws,r=%r,p=", "malformed-request" },
	{ "c=biws,p=%p", "malformed-request" },
	{ "r=%r,p=%p", "malformed-request" },
	{ "r=%r,c=biws,p=%p", "malformed-request" },
	{ "p=%p", "malformed-request" },
	{ "p=%p,c=biws,r=%r", "malformed-request" },
	{ "c=biws,r=%r,p=%p,x=1", "malformed-request" },
	{ "c=biws,,r=%r,p=%p", "malformed-request" },
	{ "c=biws,r=%r,,p=%p", "malformed-request" },
	{ "c=biws,r=%r,x,p=%p", "malformed-request" },
	{ "c=biws,r=%r,x=,p=%p", "malformed-request" },
	{ "c=biws,r=%r,1=2,p=%p", "malformed-request" },
	{ "C=biws,r=%r,p=%p", "malformed-request" },
	{ "d=biws,r=%r,p=%p", "malformed-request" },
	{ "c=biws,s=%r,p=%p", "malformed-request" },
	{ "c=biws,r=%r,P=%p", "malformed-request" },
	{ "c=biws,r=,p=%p", "not-authorized" },
	{ "c=biws,r=x,p=%p", "not-authorized" },
	{ "c=biws,r=%rx,p=%p", "not-authorized" },
	{ "c=biws,r=x%r,p=%p", "not-authorized" },
	{ "c=,r=%r,p=%p", "not-authorized" },
	{ "c=b,r=%r,p=%p", "not-authorized" },
	{ "c=biws=,r=%r,p=%p", "not-authorized" },
	{ "c=biwsAAAA,r=%r,p=%p", "not-authorized" },
	{ "c=eSws,r=%r,p=%p", "not-authorized" },
	{ "c=!!!!,r=%r,p=%p", "not-authorized" },
	{ "c= biws,r=%r,p=%p", "not-authorized" },
	{ "c=biws,r=%r,p=A", "not-authorized" },
	{ "c=biws,r=%r,p=AAAA", "not-authorized" },
	{ "c=biws,r=%r,p=%pAAAA", "not-authorized" },
	{ "c=biws,r=%r,p=%p=", "not-authorized" },
	{ "c=biws,r=%r,p=!%p", "not-authorized" },
	{ "c=biws,r=%r,p=====", "not-authorized" },
	{ "c=biws,r=%r,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "not-authorized" },
	{ "c=biws,r=%r,x=1,p=%p", "not-authorized" }, /* honest proof, but of another message */
	{ "\xff", "malformed-request" },
	{ "c=biws,r=%r,p=\xc3", "malformed-request" },
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
	struct client l;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "pencil" };
	size_t n_first = sizeof(bad_first) / sizeof(bad_first[0]), n_final = sizeof(bad_final) / sizeof(bad_final[0]);

	sasl_rig_up();
	ok(n_first + n_final >= 100, "%zu + %zu messages", n_first, n_final);
	client_init(&l, 0);
	for (size_t i = 0; i < n_first; i++)
		ok(failed_as(client_begin(&l, "SCRAM-SHA-256", true, bad_first[i]), "malformed-request"), "first %zu",
		   i);
	for (size_t i = 0; i < n_final; i++) {
		client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
		struct str honest = scram_final(&l, &c);
		struct str bad = expand(l.a, bad_final[i].text, field(c.server_first, 'r'), field(honest, 'p'));
		ok(failed_as(client_step(&l, bad), bad_final[i].want), "final %zu: %s", i, bad_final[i].want);
	}
	/* Too long in every place. */
	char big[SASL_MESSAGE_MAX + 1];
	memset(big, 'x', sizeof(big));
	ok(failed_as(client_begin(&l, "SCRAM-SHA-256", true, str_of(big, sizeof(big))), "malformed-request"),
	   "longer than any message");
	struct str nonce = arena_cat(l.a, STR("n,,n=anna,r="), str_of(big, 257), STR_NONE);
	ok(failed_as(client_begin(&l, "SCRAM-SHA-256", true, nonce), "malformed-request"), "nonce of 257 bytes");
	struct str name = arena_cat(l.a, STR("n,,n="), str_of(big, 1024), STR(",r=x"), STR_NONE);
	ok(failed_as(client_begin(&l, "SCRAM-SHA-256", true, name), "malformed-request"), "name of 1024 bytes");
	c.r_suffix = "x";
	ok(failed_as(scram(&l, "SCRAM-SHA-256", &c), "not-authorized"), "another nonce, honestly signed");
	c.r_suffix = NULL;
	/* A replayed proof: the server's half of the nonce is new each time. */
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	struct str honest = scram_final(&l, &c);
	ok(client_step(&l, honest)->kind == SASL_SUCCESS, "honest");
	client_begin(&l, "SCRAM-SHA-256", true, arena_cat(l.a, STR("n,,"), c.first_bare, STR_NONE));
	ok(failed_as(client_step(&l, honest), "not-authorized"), "replayed");
	client_end(&l);
	rig_stop();
}

TEST(scram_extensions_and_escapes_pass)
{
	struct client l;
	struct scram_client c = {
		.hash = HASH_SHA1, .gs2 = "n,a=anna@example.org,", .user = "ANNA", .password = "pencil"
	};

	sasl_rig_up();
	client_init(&l, 0);
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
	client_begin(&l, "SCRAM-SHA-1", false, STR_NONE);
	ok(l.out.kind == SASL_CHALLENGE && l.out.has_data && l.out.data.n == 0, "empty challenge");
	client_step(&l, scram_first(&l, &c));
	ok(client_step(&l, scram_final(&l, &c))->kind == SASL_SUCCESS, "goes on as usual");
	client_end(&l);
	rig_stop();
}

/* --- A01 --- */

static const char *const identities[] = { "anna@example.org",
					  "boris@example.org",
					  "anna@other.example",
					  "nobody@example.org",
					  "anna@example.org/home",
					  "example.org",
					  "anna",
					  "@",
					  "anna@example.org\x01" };

TEST(a01_authzid_by_authcid_by_mechanism)
{
	static const struct {
		const char *user, *password;
	} people[] = { { "anna", "pencil" }, { "boris", "bread" } };

	sasl_rig_up();
	for (size_t z = 0; z < sizeof(identities) / sizeof(identities[0]); z++) {
		for (size_t p = 0; p < 2; p++) {
			struct client l;
			bool equal = z == p;
			char gs2[80];
			struct scram_client c = { .user = people[p].user, .password = people[p].password, .gs2 = gs2 };

			snprintf(gs2, sizeof(gs2), "n,a=%s,", identities[z]);
			client_init(&l, WITH_TLS);
			const struct sasl_outcome *o =
				client_plain(&l, identities[z], people[p].user, people[p].password);
			ok(equal ? o->kind == SASL_SUCCESS : failed_as(o, "invalid-authzid"), "PLAIN %s as %s",
			   people[p].user, identities[z]);
			for (size_t i = 0; i < 3; i++) {
				c.hash = scrams[i].hash;
				o = scram(&l, scrams[i].name, &c);
				ok(equal ? o->kind == SASL_SUCCESS : failed_as(o, "invalid-authzid"), "%s %s as %s",
				   scrams[i].name, people[p].user, identities[z]);
			}
			sasl_cert_names[0] = identities[p];
			client_offer_again(&l);
			client_end(&l);
			client_init(&l, WITH_TLS);
			o = client_begin(&l, "EXTERNAL", true, str_c(identities[z]));
			ok(equal ? o->kind == SASL_SUCCESS : failed_as(o, "invalid-authzid"), "EXTERNAL %s as %s",
			   people[p].user, identities[z]);
			sasl_cert_names[0] = NULL;
			client_end(&l);
		}
	}
	rig_stop();
}

TEST(stream_from_binds_the_authzid)
{
	struct client l;

	sasl_rig_up();
	client_init(&l, SASL2);
	l.peer.stream_from = STR("boris@example.org");
	ok(failed_as(client_plain(&l, "anna@example.org", "anna", "pencil"), "invalid-authzid"),
	   "another 'from' (XEP-0388 section 2.3)");
	ok(client_plain(&l, "", "anna", "pencil")->kind == SASL_SUCCESS, "without an authzid it is only a hint");
	client_end(&l);
	rig_stop();
}

/* --- A02 --- */

static const char *const iana[] = {
	"9798-M-DSA-SHA1",
	"9798-M-ECDSA-SHA1",
	"9798-M-RSA-SHA1-ENC",
	"9798-U-DSA-SHA1",
	"9798-U-ECDSA-SHA1",
	"9798-U-RSA-SHA1-ENC",
	"ANONYMOUS",
	"CRAM-MD5",
	"DIGEST-MD5",
	"EAP-AES128",
	"EAP-AES128-PLUS",
	"ECDH-X25519-CHALLENGE",
	"ECDSA-NIST256P-CHALLENGE",
	"EXTERNAL",
	"GS2-KRB5",
	"GS2-KRB5-PLUS",
	"GSSAPI",
	"GSS-SPNEGO",
	"KERBEROS_V4",
	"KERBEROS_V5",
	"LOGIN",
	"NMAS-SAMBA-AUTH",
	"NMAS_AUTHEN",
	"NMAS_LOGIN",
	"NTLM",
	"OAUTH10A",
	"OAUTHBEARER",
	"OPENID20",
	"OTP",
	"SAML20",
	"SCRAM-SHA-1-PLUS",
	"SCRAM-SHA-256-PLUS",
	"SCRAM-SHA-512-PLUS",
	"SCRAM-SHA3-512",
	"SECURID",
	"SKEY",
	"SPNEGO",
	"SPNEGO-PLUS",
	"SXOVER-PLUS",
	"XOAUTH",
	"XOAUTH2",
	"HT-SHA-256-NONE",
	"HT-SHA-256-ENDP",
	"HT-SHA-256-EXPR",
	"HT-SHA-256-UNIQ",
	"X-OAUTH2",
	"plain",
	"PLAIN ",
	"PLAIN\n",
	"",
	"SCRAM-SHA-",
	"SCRAM-SHA-256-",
	"scram-sha-256",
};

TEST(a02_what_was_not_offered_is_refused)
{
	struct client l;

	sasl_rig_up();
	sasl_cert_names[0] = "anna@example.org"; /* even though it would be possible */
	client_init(&l, 0);
	for (size_t i = 0; i < sizeof(iana) / sizeof(iana[0]); i++)
		ok(failed_as(client_begin(&l, iana[i], true, STR("")), "invalid-mechanism"), "%s", iana[i]);
	l.n_offered = 3; /* without PLAIN */
	client_end(&l);
	client_init(&l, 0);
	l.n_offered = 3;
	ok(failed_as(client_plain(&l, "", "anna", "pencil"), "invalid-mechanism"),
	   "PLAIN when only SCRAM was on the list");
	client_end(&l);
	rig_stop();
}

/* --- PLAIN --- */

TEST(plain_forms)
{
	static const struct str malformed[] = {
		S(""),
		S("\0"),
		S("\0\0"),
		S("anna"),
		S("\0anna"),
		S("\0anna\0"),
		S("\0\0pencil"),
		S("a\0b\0c\0d"),
		S("\0anna\0pencil\0"),
		S("\0anna\0\xff"),
		S("\0\xc0\x80\0x"),
		S("\xff\0anna\0pencil"),
	};
	struct client l;

	sasl_rig_up();
	client_init(&l, 0);
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		ok(failed_as(client_begin(&l, "PLAIN", true, malformed[i]), "malformed-request"), "malformed %zu", i);
	ok(client_plain(&l, "", "anna", "pencil")->kind == SASL_SUCCESS && !l.out.has_data, "right");
	is_str(l.out.local, STR("anna"));
	ok(client_plain(&l, "", "Anna@Example.ORG", "pencil")->kind == SASL_SUCCESS, "the full address, prepared");
	ok(failed_as(client_plain(&l, "", "anna@other.example", "elsewhere"), "not-authorized"),
	   "an account of another host (row A03)");
	ok(failed_as(client_plain(&l, "", "anna", "elsewhere"), "not-authorized"), "its password here");
	ok(failed_as(client_plain(&l, "", "nobody", "x"), "not-authorized"), "unknown: the same error (row A08)");
	ok(failed_as(client_plain(&l, "", "no body", "x"), "not-authorized"), "impossible name: the same error");
	ok(failed_as(client_plain(&l, "", "anna", "Pencil"), "not-authorized"), "case matters");
	client_begin(&l, "PLAIN", false, STR_NONE);
	ok(l.out.kind == SASL_CHALLENGE && l.out.data.n == 0, "asked for the message");
	ok(client_step(&l, str_of("\0anna\0pencil", 12))->kind == SASL_SUCCESS, "and it came");
	client_end(&l);
	rig_stop();
}

TEST(order_and_end_of_an_exchange)
{
	struct client l;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "pencil" };

	sasl_rig_up();
	client_init(&l, 0);
	l.aborts = true;
	ok(failed_as(client_plain(&l, "", "anna", "pencil"), "aborted"), "abort while a helper works: one answer");
	l.aborts = false;
	rig_settle();
	is_int(l.replies, 1);
	l.again = true;
	ok(failed_as(client_plain(&l, "", "anna", "pencil"), "malformed-request"), "input while an answer is pending");
	l.again = false;
	rig_settle();
	is_int(l.replies, 2);
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	struct str final = scram_final(&l, &c);
	ok(failed_as(client_begin(&l, "PLAIN", true, STR("")), "malformed-request"), "a second login within the first");
	ok(failed_as(client_step(&l, final), "malformed-request"), "the first one is over by that");
	l.frees = true;
	ok(scram(&l, "SCRAM-SHA-256", &c)->kind == SASL_SUCCESS && l.s == NULL, "freed inside the reply");
	unsigned before = l.replies;
	client_begin_only(&l, "PLAIN", str_of("\0anna\0wrong", 11));
	client_free(&l); /* a helper job is running or just back */
	rig_settle();
	ok(l.replies <= before + 1, "no answer after sasl_free");
	ok(auth_delay_ms("192.0.2.1", STR("anna@example.org")) == 0, "delays are off in this test");
	client_end(&l);
	rig_stop();
}

/* --- EXTERNAL --- */

TEST(external)
{
	struct client l;

	sasl_rig_up();
	sasl_cert_names[0] = "anna@example.org";
	client_init(&l, WITH_TLS);
	ok(client_begin(&l, "EXTERNAL", true, STR(""))->kind == SASL_SUCCESS, "the only name");
	is_str(l.out.local, STR("anna"));
	client_begin(&l, "EXTERNAL", false, STR_NONE);
	is_int(l.out.kind, SASL_CHALLENGE);
	ok(client_step(&l, STR("anna@example.org"))->kind == SASL_SUCCESS, "asked for the authzid");
	sasl_cert_names[1] = "boris@example.org";
	ok(failed_as(client_begin(&l, "EXTERNAL", true, STR("")), "invalid-authzid"), "two names: which one?");
	ok(client_begin(&l, "EXTERNAL", true, STR("boris@example.org"))->kind == SASL_SUCCESS, "this one");
	is_str(l.out.local, STR("boris"));
	sasl_cert_names[0] = "ghost@example.org";
	sasl_cert_names[1] = NULL;
	ok(failed_as(client_begin(&l, "EXTERNAL", true, STR("")), "not-authorized"),
	   "a certificate without an account");
	client_end(&l);
	rig_stop();
}

/* --- A08, A10, A16 --- */

TEST(a08_unknown_names_get_a_stable_salt)
{
	struct client l;
	char salt[64];
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "nobody", .password = "x" };

	sasl_rig_up();
	client_init(&l, 0);
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	snprintf(salt, sizeof(salt), "%.*s", STR_ARG(field(l.out.data, 's')));
	is_str(field(l.out.data, 'i'), STR("4096"));
	ok(failed_as(client_step(&l, scram_final(&l, &c)), "not-authorized"), "the same error as a wrong password");
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	is_str(field(l.out.data, 's'), str_c(salt));
	c.user = "NoBody";
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c)); /* a second one within the first: refused */
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	is_str(field(l.out.data, 's'), str_c(salt)); /* prepared like a real name */
	client_end(&l);
	rig_stop();
}

TEST(a10_failures_are_answered_later_elsewhere_nothing)
{
	struct client l, other;
	struct limits lim;
	struct scram_client c = { .hash = HASH_SHA256, .gs2 = "n,,", .user = "anna", .password = "wrong" };

	sasl_rig_up();
	lim = *limits();
	lim.auth_delay_ms = 10;
	lim.auth_delay_max_ms = 60000;
	limits_set(&lim);
	client_init(&l, 0);
	client_init(&other, 0);
	other.peer.ip = "192.0.2.77";
	for (int i = 0; i < 4; i++)
		ok(failed_as(i % 2 ? client_plain(&l, "", "anna", "wrong") : scram(&l, "SCRAM-SHA-256", &c),
			     "not-authorized"),
		   "guess %d", i);
	auth_failed("192.0.2.1", STR("anna@example.org"));
	c.password = "pencil";
	ok(scram(&l, "SCRAM-SHA-256", &c)->kind == SASL_SUCCESS, "the owner at the same address, after the wait");
	is_int(auth_delay_ms("192.0.2.1", STR("anna@example.org")), 0);
	for (int i = 0; i < 12; i++)
		auth_failed("192.0.2.1", STR("anna@example.org"));
	ok(client_plain(&other, "", "anna", "pencil")->kind == SASL_SUCCESS, "the owner elsewhere");
	ok(auth_delay_ms("192.0.2.1", STR("anna@example.org")) > 0, "did not wait for the guesser, who still has to");
	auth_limit_clear();
	lim.auth_delay_ms = 60000;
	limits_set(&lim);
	c.password = "wrong";
	client_begin(&l, "SCRAM-SHA-256", true, scram_first(&l, &c));
	client_step_only(&l, scram_final(&l, &c));
	ok(auth_delay_ms("192.0.2.1", STR("anna@example.org")) > 0,
	   "a wrong SCRAM proof counts as soon as it is judged");
	client_end(&l);
	client_end(&other);
	auth_limit_clear();
	rig_stop();
}

TEST(a16_a_change_between_the_messages_wins)
{
	struct client l;
	struct scram_client c = { .hash = HASH_SHA512, .gs2 = "n,,", .user = "anna", .password = "pencil" };

	sasl_rig_up();
	client_init(&l, 0);
	client_begin(&l, "SCRAM-SHA-512", true, scram_first(&l, &c));
	is_int(rig_change(account_set_password, "anna", "eraser"), 0);
	ok(failed_as(client_step(&l, scram_final(&l, &c)), "not-authorized"), "the old password with the old salt");
	c.password = "eraser";
	ok(scram(&l, "SCRAM-SHA-512", &c)->kind == SASL_SUCCESS, "the new one");
	is_int(rig_change(account_disable, "anna", ""), 0);
	ok(failed_as(scram(&l, "SCRAM-SHA-512", &c), "account-disabled"), "the right password learns that");
	ok(failed_as(client_plain(&l, "", "anna", "eraser"), "account-disabled"), "by PLAIN, too");
	c.password = "wrong";
	ok(failed_as(scram(&l, "SCRAM-SHA-512", &c), "not-authorized"), "a wrong one does not");
	is_int(rig_change(account_remove, "anna", ""), 0);
	c.password = "eraser";
	ok(failed_as(scram(&l, "SCRAM-SHA-512", &c), "not-authorized"), "deleted");
	client_end(&l);
	rig_stop();
}
