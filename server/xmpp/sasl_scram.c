/*
 * SCRAM-SHA-1/-256/-512 and the -PLUS forms (RFC 5802, 7677, 9266), server side. First message: flags, name, nonce ->
 * salt and iterations (fakes for unknown names, row A08). Final message: binding, nonce, proof. Parsing is strict and
 * happens before anything is looked up.
 */
#include "base/random.h"
#include "server/im/auth_limit.h"
#include "server/xmpp/sasl_mech.h"

#define NONCE_MAX 256
#define NAME_MAX_BYTES 1023

/* What a client-first-message says (RFC 5802 section 7). */
struct first {
	char flag; /* n, y, p */
	struct str cb_name, gs2_header, bare, authzid, username, nonce;
};

bool sasl_scram_available(const struct sasl_mech *m, const struct sasl_peer *p)
{
	struct str types[SASL_CB_MAX];

	return !m->plus || sasl_cb_types(p, types, SASL_CB_MAX) > 0;
}

/* "x=value" cut off *rest up to the comma; false when that attribute does not come next. */
static bool attribute(struct str *rest, char name, struct str *out_value)
{
	struct str part;

	if (rest->n < 2 || rest->p[0] != name || rest->p[1] != '=' || !str_split(rest, ',', &part))
		return false;
	*out_value = str_of(part.p + 2, part.n - 2);
	return true;
}

/* saslname: no comma, "=" only as =2C and =3D, not empty. */
static bool unescape_name(struct arena *a, struct str in, struct str *out)
{
	char *p = arena_alloc(a, in.n + 1);
	size_t n = 0;

	if (in.n == 0 || in.n > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < in.n; i++) {
		p[n] = in.p[i];
		if (in.p[i] == '=') {
			struct str code = str_of(in.p + i, in.n - i < 3 ? in.n - i : 3);

			if (!str_eq(code, STR("=2C")) && !str_eq(code, STR("=3D")))
				return false;
			p[n] = code.p[2] == 'C' ? ',' : '=';
			i += 2;
		}
		n++;
	}
	*out = str_of(p, n);
	return true;
}

/* Printable ASCII without the comma. */
static bool nonce_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == ',')
			return false;
	return s.n > 0 && s.n <= NONCE_MAX;
}

/* Further attributes: ALPHA "=" value, each not empty. We know none, so they are skipped as section 5.1 wants. */
static bool extensions_valid(struct str rest)
{
	struct str part;

	while (str_split(&rest, ',', &part)) {
		char c = part.n > 2 ? (char)(part.p[0] | 0x20) : 0;

		if (c < 'a' || c > 'z' || part.p[1] != '=')
			return false;
	}
	return true;
}

static bool gs2_flag(struct str *rest, struct first *f)
{
	struct str part;

	if (!str_split(rest, ',', &part) || part.n == 0)
		return false;
	f->flag = part.p[0];
	if (f->flag == 'n' || f->flag == 'y')
		return part.n == 1;
	if (f->flag != 'p' || part.n < 3 || part.p[1] != '=')
		return false;
	f->cb_name = str_of(part.p + 2, part.n - 2);
	for (size_t i = 0; i < f->cb_name.n; i++) {
		char c = f->cb_name.p[i], low = (char)(c | 0x20);

		if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-')
			return false;
	}
	return true;
}

/* NULL, or what is wrong. */
static const char *parse_first(struct sasl *s, struct str data, struct first *f)
{
	struct str rest = data, part, name;

	if (str_empty(data) || !str_utf8_valid(data) || memchr(data.p, 0, data.n))
		return "The message is not UTF-8 text";
	if (!gs2_flag(&rest, f) || rest.p == NULL)
		return "The GS2 header is malformed";
	if (rest.n && rest.p[0] == ',') {
		str_split(&rest, ',', &part);
	} else if (!attribute(&rest, 'a', &name) || !unescape_name(s->a, name, &f->authzid)) {
		return "The GS2 header is malformed";
	}
	if (rest.p == NULL)
		return "The message ends after the GS2 header";
	f->gs2_header = str_of(data.p, (size_t)(rest.p - data.p));
	f->bare = rest;
	if (rest.n && rest.p[0] == 'm')
		return "A mandatory extension is not supported";
	if (!attribute(&rest, 'n', &name) || !unescape_name(s->a, name, &f->username))
		return "The user name is malformed";
	if (!attribute(&rest, 'r', &f->nonce) || !nonce_valid(f->nonce))
		return "The nonce is malformed";
	return extensions_valid(rest) ? NULL : "An attribute is malformed";
}

static bool binding_kind(struct str name, enum tls_binding *out)
{
	if (str_eq(name, STR("tls-exporter")))
		*out = TLS_EXPORTER;
	else if (str_eq(name, STR("tls-server-end-point")))
		*out = TLS_SERVER_END_POINT;
	else if (str_eq(name, STR("tls-unique"))) /* not advertised: Python clients (slixmpp) know no other, and take it
						     on TLS 1.3 too */
		*out = TLS_UNIQUE;
	else
		return false;
	return true;
}

/* The flag against the mechanism and the offer (RFC 5802 section 6, row A06). False: refused. */
static bool check_flag(struct sasl *s, const struct first *f)
{
	enum tls_binding kind;

	if (f->flag == 'p' && !s->mech->plus) {
		sasl_refuse(s, "malformed-request", "Channel binding needs a -PLUS mechanism");
	} else if (f->flag != 'p' && s->mech->plus) {
		sasl_refuse(s, "malformed-request", "A -PLUS mechanism needs channel binding");
	} else if (f->flag == 'y' && sasl_plus_offered(s)) {
		/* The client saw no -PLUS although we offered it: somebody in between removed it. */
		sasl_refuse(s, "not-authorized",
			    "This server does support channel binding: the connection may be tampered with");
	} else if (f->flag == 'p') {
		int n = binding_kind(f->cb_name, &kind) ? sasl_binding(&s->peer, kind, s->scram.binding)
							: ERR_UNSUPPORTED;

		if (n > 0) {
			s->scram.binding_n = (size_t)n;
			return true;
		}
		sasl_refuse(s, "malformed-request", "This channel binding type is not supported here");
	} else {
		return true;
	}
	return false;
}

static void first_message(struct sasl *s, struct str data)
{
	struct scram *sc = &s->scram;
	struct first f = { 0 };
	const char *wrong = parse_first(s, data, &f);
	struct auth_account acc;
	char nonce[RANDOM_TOKEN];

	if (wrong) {
		sasl_refuse(s, "malformed-request", wrong);
		return;
	}
	if (!check_flag(s, &f))
		return;
	sasl_set_name(s, f.username);
	if (!sasl_authzid_ok(s, f.authzid)) {
		sasl_refuse(s, "invalid-authzid", NULL);
		return;
	}
	if (auth_lookup(s->peer.domain, s->name.local, &acc)) {
		sasl_refuse_err(s, ERR_IO);
		return;
	}
	sc->keys = acc.scram[s->mech->hash];
	sc->exists = acc.exists;
	sc->epoch = acc.credentials_epoch;
	secret_wipe(&acc, sizeof(acc));
	random_token(nonce);
	sc->gs2_header = arena_str(s->a, f.gs2_header);
	sc->first_bare = arena_str(s->a, f.bare);
	sc->nonce = arena_cat(s->a, f.nonce, str_c(nonce), STR_NONE);
	struct str salt = sasl_base64(s->a, sc->keys.salt, sc->keys.salt_n);
	struct str h = sasl_ssdp(s, s->mech->hash);
	sc->server_first = arena_printf(s->a, "r=%.*s,s=%.*s,i=%u,h=%.*s", STR_ARG(sc->nonce), STR_ARG(salt),
					(unsigned)sc->keys.iterations, STR_ARG(h));
	sasl_challenge(s, sc->server_first);
}

/* c=,r=[,extensions],p= : the proof is last (RFC 5802 section 7). */
static bool parse_final(struct sasl *s, struct str data, struct str *out_binding, struct str *out_nonce)
{
	struct scram *sc = &s->scram;
	struct str rest = data, proof = STR_NONE;

	if (str_empty(data) || !str_utf8_valid(data) || memchr(data.p, 0, data.n))
		return false;
	for (size_t i = data.n; i-- > 0;)
		if (data.p[i] == ',') {
			proof = str_of(data.p + i + 1, data.n - i - 1);
			rest = str_of(data.p, i);
			break;
		}
	if (proof.n < 3 || proof.p[0] != 'p' || proof.p[1] != '=')
		return false;
	sc->final_without_proof = arena_str(s->a, rest);
	sc->proof = arena_str(s->a, str_of(proof.p + 2, proof.n - 2));
	rest = sc->final_without_proof;
	return attribute(&rest, 'c', out_binding) && attribute(&rest, 'r', out_nonce) && extensions_valid(rest);
}

/* c= is the base64 of the GS2 header as it came and the binding data. */
static bool binding_right(struct sasl *s, struct str sent)
{
	struct scram *sc = &s->scram;
	struct str want = arena_cat(s->a, sc->gs2_header, str_of((char *)sc->binding, sc->binding_n), STR_NONE);
	uint8_t *got = arena_alloc(s->a, sent.n + 1);
	ptrdiff_t n = base64_decode(sent, got, sent.n);

	return n >= 0 && secret_eq(str_of((char *)got, (size_t)n), want);
}

/* RFC 5802 section 3: H(ClientProof XOR HMAC(StoredKey, AuthMessage)) is the StoredKey. */
static bool proof_right(struct sasl *s, struct str auth_message)
{
	struct scram *sc = &s->scram;
	enum hash_kind kind = s->mech->hash;
	size_t n = digest_size(kind);
	uint8_t key[HASH_MAX], sent[HASH_MAX + 3], got[HASH_MAX];

	if (base64_decode(sc->proof, sent, sizeof(sent)) != (ptrdiff_t)n)
		return false;
	hmac(kind, str_of((char *)sc->keys.stored_key, n), auth_message, key);
	for (size_t i = 0; i < n; i++)
		key[i] ^= sent[i];
	digest(kind, str_of((char *)key, n), got);
	secret_wipe(key, sizeof(key));
	return secret_eq(str_of((char *)got, n), str_of((char *)sc->keys.stored_key, n));
}

/* After the brake: the one place where a SCRAM proof is judged. */
static void verify(struct sasl *s)
{
	struct scram *sc = &s->scram;
	struct str message = arena_cat(s->a, sc->first_bare, STR(","), sc->server_first, STR(","),
				       sc->final_without_proof, STR_NONE);
	size_t n = digest_size(s->mech->hash);
	struct auth_account acc;
	uint8_t signature[HASH_MAX];
	bool right = proof_right(s, message);

	/* Once more: the password may have changed since the first message (row A16). */
	if (auth_lookup(s->peer.domain, s->name.local, &acc)) {
		sasl_refuse_err(s, ERR_IO);
		return;
	}
	if (!right || !sc->exists || !sc->keys.present || !acc.exists || acc.credentials_epoch != sc->epoch) {
		auth_failed(s->peer.ip, s->name.bare);
		sasl_refuse_err(s, ERR_AUTH);
	} else if (acc.disabled) {
		sasl_refuse_err(s, ERR_FORBIDDEN);
	} else {
		auth_succeeded(s->peer.ip, s->name.bare);
		hmac(s->mech->hash, str_of((char *)sc->keys.server_key, n), message, signature);
		sasl_succeed(s, &acc, true, arena_cat(s->a, STR("v="), sasl_base64(s->a, signature, n), STR_NONE));
	}
	secret_wipe(&acc, sizeof(acc));
}

static void final_message(struct sasl *s, struct str data)
{
	struct str binding, nonce;

	if (!parse_final(s, data, &binding, &nonce)) {
		sasl_refuse(s, "malformed-request", "The final message is malformed");
		return;
	}
	if (!secret_eq(nonce, s->scram.nonce)) {
		sasl_refuse(s, "not-authorized", "The nonce is not the one of this login");
		return;
	}
	if (!binding_right(s, binding)) {
		sasl_refuse(s, "not-authorized",
			    "The channel binding does not fit: the connection may be tampered with");
		return;
	}
	int64_t wait = auth_wait_ms(s->peer.ip, s->name.bare);
	s->resume = verify;
	if (wait < 0)
		sasl_refuse_err(s, ERR_AGAIN);
	else if (wait > 0)
		loop_timer(loop_self(), &s->timer, (uint64_t)wait);
	else
		verify(s);
}

void sasl_scram_step(struct sasl *s, unsigned n, bool has_data, struct str data)
{
	if (!has_data) {
		s->step = 0; /* RFC 6120 section 6.4.2: the client speaks first, so ask it to */
		sasl_challenge(s, STR(""));
	} else if (n == 0) {
		first_message(s, data);
	} else {
		final_message(s, data);
	}
}
