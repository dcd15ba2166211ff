/*
 * TLS contexts and what can be asked of a session. A context is made by the main thread, then immutable and shared by reference count;
 * a reload makes a new one while old connections keep theirs. Sessions belong to their connection's thread.
 * No session cache in memory: resumption is by ticket only, whose keys live as long as the context.
 */
#include "server/net/tls.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/net/tls_internal.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAN_MAX = 100, CHAIN_MAX = 5, REFUSE_DAYS = 1, WARN_DAYS = 14 };
static const char ciphers_tls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20"; /* forward secrecy and AEAD only */
static const unsigned char alpn_name[] = "\x0bxmpp-client";

const char *tls_error_text(char *buf, size_t n)
{
	unsigned long e = ERR_get_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	snprintf(buf, n, "%s", reason ? reason : "unknown reason");
	ERR_clear_error();
	return buf;
}

/* --- context ------------------------------------------------------------------------------------------------------------ */
/* A key with a pass phrase must not make the server ask on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)ctx;
	return 0;
}

/* XEP-0368: a client that offers protocols but not ours wanted another service (ALPACA attacks). */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
		       unsigned in_n, void *arg)
{
	(void)ssl;
	(void)arg;
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, out_n, alpn_name, sizeof(alpn_name) - 1, in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* A certificate that does not verify is no reason to refuse the client, who may log in by password: tls_client_names() looks at the
 * result. */
static int accept_any(int verified, X509_STORE_CTX *store)
{
	(void)verified;
	(void)store;
	return 1;
}

static SSL_CTX *new_ssl_ctx(const struct tls_options *o)
{
	SSL_CTX *x = SSL_CTX_new(TLS_server_method());
	if (!x)
		return NULL;
	SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION); /* row A13 */
	SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_cipher_list(x, ciphers_tls12);
	SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(x, 1); /* one recv per record instead of two */
	SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(x, (const unsigned char *)"vestnik", 7);
	SSL_CTX_set_num_tickets(x, 1);
	SSL_CTX_set_max_early_data(x, 0);
	SSL_CTX_set_default_passwd_cb(x, no_passphrase);
	if (o->alpn_xmpp)
		SSL_CTX_set_alpn_select_cb(x, select_alpn, NULL);
	return x;
}

static int load_client_ca(SSL_CTX *x, const char *file, struct err_msg *msg)
{
	char text[160];
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
	if (!names || SSL_CTX_load_verify_locations(x, file, NULL) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return err_set(msg, ERR_CRYPTO,
			       "%s: no CA certificates for clients could be read (%s): give a readable PEM file in "
			       "tls.client_ca",
			       file, tls_error_text(text, sizeof(text)));
	}
	SSL_CTX_set_client_CA_list(x, names);
	SSL_CTX_set_verify(x, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_verify_depth(x, CHAIN_MAX);
	return 0;
}

/* Days until the certificate ends; negative when it has. */
static int days_left(const X509 *cert, int *out_seconds)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	ASN1_TIME *t = ASN1_TIME_set(NULL, now);
	int days = 0;
	*out_seconds = 0;
	if (!t || ASN1_TIME_diff(&days, out_seconds, t, X509_get0_notAfter(cert)) != 1)
		days = INT_MIN;
	ASN1_TIME_free(t);
	return days;
}

static int check_dates(const X509 *cert, const char *file, struct err_msg *msg)
{
	int seconds, days = days_left(cert, &seconds);
	time_t now = (time_t)(clock_wall_ms() / 1000);
	if (days < 0 || seconds < 0)
		return err_set(msg, ERR_CRYPTO, "%s: the certificate has expired: renew it", file);
	if (days < REFUSE_DAYS)
		return err_set(msg, ERR_CRYPTO, "%s: the certificate ends within a day: renew it", file);
	if (X509_cmp_time(X509_get0_notBefore(cert), &now) > 0)
		return err_set(msg, ERR_CRYPTO,
			       "%s: the certificate is not valid yet: check it and the clock of this machine", file);
	if (days < WARN_DAYS)
		log_warn("tls.certificate_ends_soon", LC("file", file), LI("days", days));
	return 0;
}

static int load_pair(SSL_CTX *x, const char *cert, const char *key, struct err_msg *msg)
{
	char text[160];
	ERR_clear_error();
	if (access(cert, R_OK) != 0)
		return err_set(msg, ERR_NOT_FOUND,
			       "%s: %s: check tls.certificate and that the server's user may read it", cert,
			       strerror(errno));
	if (access(key, R_OK) != 0)
		return err_set(msg, ERR_NOT_FOUND, "%s: %s: check tls.key and that the server's user may read it", key,
			       strerror(errno));
	if (SSL_CTX_use_certificate_chain_file(x, cert) != 1)
		return err_set(msg, ERR_CRYPTO,
			       "%s: no usable PEM certificate (%s): give the certificate with its chain", cert,
			       tls_error_text(text, sizeof(text)));
	/* Loading checks the match too, but says so only in its error code. */
	if (SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) != 1) {
		unsigned long e = ERR_peek_error();
		bool mismatch = ERR_GET_REASON(e) == X509_R_KEY_VALUES_MISMATCH ||
				ERR_GET_REASON(e) == X509_R_KEY_TYPE_MISMATCH;
		if (ERR_GET_LIB(e) == ERR_LIB_X509 && mismatch)
			return err_set(msg, ERR_CONFLICT,
				       "%s: this key does not belong to the certificate %s: give the pair", key, cert);
		return err_set(msg, ERR_CRYPTO, "%s: no usable PEM key (%s): give it without a pass phrase", key,
			       tls_error_text(text, sizeof(text)));
	}
	if (SSL_CTX_check_private_key(x) != 1)
		return err_set(msg, ERR_CONFLICT, "%s: this key does not belong to the certificate %s: give the pair",
			       key, cert);
	return check_dates(SSL_CTX_get0_certificate(x), cert, msg);
}

/* RFC 5929 section 4.1: the hash of the certificate's signature, SHA-256 in place of MD5 and SHA-1; undefined where the signature has no
 * single hash (Ed25519). */
static int hash_end_point(const X509 *cert, uint8_t out[64])
{
	int md_nid, pk_nid;
	unsigned n = 0;
	if (X509_get_signature_info((X509 *)(uintptr_t)cert, &md_nid, &pk_nid, NULL, NULL) != 1)
		return ERR_UNSUPPORTED;
	const EVP_MD *md = md_nid == NID_md5 || md_nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(md_nid);
	if (!md || EVP_MD_get_size(md) > 64 || X509_digest(cert, md, out, &n) != 1)
		return ERR_UNSUPPORTED;
	return (int)n;
}

int tls_context_new(const struct tls_options *o, struct tls_context **out, struct err_msg *msg)
{
	char cert[PATH_MAX], key[PATH_MAX];
	if (!o->certificate != !o->key)
		return err_set(msg, ERR_SYNTAX, "tls.certificate and tls.key go together: give both or none");
	if (o->certificate) {
		snprintf(cert, sizeof(cert), "%s", o->certificate);
		snprintf(key, sizeof(key), "%s", o->key);
	} else {
		assert(o->data_dir);
		snprintf(cert, sizeof(cert), "%s/cert.pem", o->data_dir);
		snprintf(key, sizeof(key), "%s/key.pem", o->data_dir);
		int rc = tls_self_signed(o, cert, key, msg);
		if (rc < 0)
			return rc;
	}
	SSL_CTX *x = new_ssl_ctx(o);
	int rc = x ? load_pair(x, cert, key, msg)
		   : err_set(msg, ERR_CRYPTO, "OpenSSL gave no TLS context: check its installation");
	if (rc == 0 && o->client_ca)
		rc = load_client_ca(x, o->client_ca, msg);
	if (rc < 0) {
		SSL_CTX_free(x);
		ERR_clear_error();
		return rc;
	}
	struct tls_context *c = NEW(struct tls_context);
	atomic_init(&c->refs, 1);
	c->ssl_ctx = x;
	c->end_point_n = hash_end_point(SSL_CTX_get0_certificate(x), c->end_point);
	*out = c;
	return 0;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(c->ssl_ctx);
	mem_free(c);
}

/* --- session ------------------------------------------------------------------------------------------------------------ */
/* RFC 9266 section 4.2, RFC 7627 section 1: with TLS 1.2 only when the extended master secret binds the keys to this very handshake. */
static bool bound_to_handshake(SSL *ssl)
{
	return SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1;
}

static int export_binding(SSL *ssl, uint8_t out[64])
{
	enum { EXPORT_BYTES = 32 };
	static const char label[] = "EXPORTER-Channel-Binding";
	if (!bound_to_handshake(ssl))
		return ERR_UNSUPPORTED;
	int ok = SSL_export_keying_material(ssl, out, EXPORT_BYTES, label, sizeof(label) - 1, (const unsigned char *)"",
					    0, 1);
	return ok == 1 ? EXPORT_BYTES : ERR_UNSUPPORTED;
}

/* The same for the life of the session: there is no renegotiation (row A13). */
static int exporter_of(struct tls_session *s, uint8_t out[64])
{
	if (!s->has_exporter) {
		uint8_t data[64];
		int n = export_binding(s->ssl, data);
		if (n != (int)sizeof(s->exporter))
			return n < 0 ? n : ERR_UNSUPPORTED;
		memcpy(s->exporter, data, sizeof(s->exporter));
		s->has_exporter = true;
	}
	memcpy(out, s->exporter, sizeof(s->exporter));
	return (int)sizeof(s->exporter);
}

int tls_channel_binding(struct tls_session *s, enum tls_binding kind, uint8_t out[64])
{
	if (!s || !SSL_is_init_finished(s->ssl))
		return ERR_UNSUPPORTED;
	if (kind == TLS_EXPORTER)
		return exporter_of(s, out);
	if (kind == TLS_UNIQUE) { /* RFC 5929 section 3: the first Finished message, ours when a session was resumed */
		if (!bound_to_handshake(s->ssl))
			return ERR_UNSUPPORTED;
		size_t n = SSL_session_reused(s->ssl) ? SSL_get_finished(s->ssl, out, 64)
						      : SSL_get_peer_finished(s->ssl, out, 64);
		return n > 0 && n <= 64 ? (int)n : ERR_UNSUPPORTED;
	}
	if (s->context->end_point_n > 0)
		memcpy(out, s->context->end_point, (size_t)s->context->end_point_n);
	return s->context->end_point_n;
}

const char *tls_version(struct tls_session *s)
{
	return SSL_get_version(s->ssl);
}

const char *tls_cipher(struct tls_session *s)
{
	return SSL_get_cipher_name(s->ssl);
}

/* The address in a SAN entry; STR_NONE when the entry is of another kind. */
static struct str xmpp_addr(const GENERAL_NAME *g)
{
	ASN1_OBJECT *oid;
	ASN1_TYPE *value;
	if (g->type != GEN_OTHERNAME || GENERAL_NAME_get0_otherName(g, &oid, &value) != 1)
		return STR_NONE;
	if (OBJ_obj2nid(oid) != NID_XmppAddr || !value || value->type != V_ASN1_UTF8STRING)
		return STR_NONE;
	const ASN1_UTF8STRING *u = value->value.utf8string;
	return str_of((const char *)ASN1_STRING_get0_data(u), (size_t)ASN1_STRING_length(u));
}

size_t tls_certificate_names(X509 *cert, void (*fn)(void *ctx, struct str name), void *ctx)
{
	struct str found[SAN_MAX];
	size_t n = 0;
	bool refused = false;
	GENERAL_NAMES *san = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int entries = sk_GENERAL_NAME_num(san);
	refused = entries > SAN_MAX;
	for (int i = 0; i < entries && !refused; i++) {
		struct str name = xmpp_addr(sk_GENERAL_NAME_value(san, i));
		if (!name.p)
			continue;
		refused = name.n == 0 || memchr(name.p, '\0', name.n) || !str_utf8_valid(name);
		found[n++] = name;
	}
	if (refused)
		n = 0;
	for (size_t i = 0; i < n; i++)
		fn(ctx, found[i]);
	GENERAL_NAMES_free(san);
	ERR_clear_error();
	return n;
}

size_t tls_client_names(struct tls_session *s, void (*fn)(void *ctx, struct str name), void *ctx)
{
	X509 *cert = s ? SSL_get1_peer_certificate(s->ssl) : NULL;
	if (!cert)
		return 0;
	size_t n = SSL_get_verify_result(s->ssl) == X509_V_OK ? tls_certificate_names(cert, fn, ctx) : 0;
	X509_free(cert);
	return n;
}
