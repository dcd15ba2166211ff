/* Certificates made on the spot for the tests of TLS, and a TLS client in a thread. Static inline: include it in the one file that is the
 * test. */
#pragma once
#include "base/str.h"
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <unistd.h>

/* A certificate of key for cn, signed by ca_key as ca (both NULL: by itself), valid from `from` to `to` seconds from now. */
static inline X509 *make_cert(EVP_PKEY *key, const char *cn, long from, long to, GENERAL_NAMES *san, X509 *ca, EVP_PKEY *ca_key)
{
	X509 *c = X509_new();
	X509_set_version(c, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c), 1 + (long)getpid());
	X509_gmtime_adj(X509_getm_notBefore(c), from);
	X509_gmtime_adj(X509_getm_notAfter(c), to);
	X509_NAME *name = X509_get_subject_name(c);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c, ca ? X509_get_subject_name(ca) : name);
	X509_set_pubkey(c, key);
	if (!ca) {
		X509V3_CTX ctx;
		X509V3_set_ctx_nodb(&ctx);
		X509V3_set_ctx(&ctx, c, c, NULL, NULL, 0);
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints, "critical,CA:TRUE");
		X509_add_ext(c, e, -1);
		X509_EXTENSION_free(e);
	}
	if (san)
		X509_add1_ext_i2d(c, NID_subject_alt_name, san, 0, X509V3_ADD_DEFAULT);
	X509_sign(c, ca ? ca_key : key, EVP_sha256());
	return c;
}

/* Adds id-on-xmppAddr with these bytes, NULs and all. */
static inline void add_xmpp_addr(GENERAL_NAMES *san, struct str jid)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_TYPE *t = ASN1_TYPE_new();
	ASN1_UTF8STRING *u = ASN1_UTF8STRING_new();
	ASN1_STRING_set(u, jid.p, (int)jid.n);
	ASN1_TYPE_set(t, V_ASN1_UTF8STRING, u);
	GENERAL_NAME_set0_othername(g, OBJ_nid2obj(NID_XmppAddr), t);
	sk_GENERAL_NAME_push(san, g);
}

static inline void add_dns(GENERAL_NAMES *san, const char *domain)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	ASN1_STRING_set(s, domain, -1);
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	sk_GENERAL_NAME_push(san, g);
}

static inline void save_cert(const char *path, X509 *c)
{
	FILE *f = fopen(path, "we");
	PEM_write_X509(f, c);
	fclose(f);
}
static inline void save_key(const char *path, EVP_PKEY *k)
{
	FILE *f = fopen(path, "we");
	PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

/* A client that does its handshake on a blocking socket in a thread of its own, then what script says, then closes. */
struct tls_client {
	int fd;
	int version;            /* 0: any; TLS1_2_VERSION: just this */
	const char *alpn;       /* in wire form, or NULL */
	X509 *cert;             /* client certificate, or NULL */
	EVP_PKEY *key;
	const char *preface;    /* said in the clear, then `proceed` bytes are awaited */
	size_t proceed;
	const char *behind;     /* said in the clear in front of the handshake, or NULL */
	void (*script)(struct tls_client *c);
	void *arg;
	/* results, read after join_client */
	SSL *ssl;
	bool secure;
	int alpn_n;
	char peer_cn[64];
	pthread_t thread;
};

static inline SSL_CTX *client_ctx(const struct tls_client *c)
{
	SSL_CTX *x = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(x, 0); /* so that old versions can be tried */
	SSL_CTX_set_min_proto_version(x, c->version ? c->version : 0);
	SSL_CTX_set_max_proto_version(x, c->version);
	SSL_CTX_set_max_cert_list(x, 64 << 20);
	if (c->cert) {
		SSL_CTX_use_certificate(x, c->cert);
		SSL_CTX_use_PrivateKey(x, c->key);
	}
	return x;
}

static inline void *run_client(void *arg)
{
	struct tls_client *c = arg;
	SSL_CTX *x = client_ctx(c);
	char buf[256];
	if (c->preface && write(c->fd, c->preface, strlen(c->preface)) > 0) {
		for (size_t n = 0; n < c->proceed;) {
			ssize_t r = read(c->fd, buf, c->proceed - n);
			if (r <= 0)
				break;
			n += (size_t)r;
		}
	}
	if (c->behind && write(c->fd, c->behind, strlen(c->behind)) < 0)
		fprintf(stderr, "# the server has closed already\n");
	c->ssl = SSL_new(x);
	SSL_set_fd(c->ssl, c->fd);
	if (c->alpn)
		SSL_set_alpn_protos(c->ssl, (const unsigned char *)c->alpn, (unsigned)strlen(c->alpn));
	c->secure = SSL_connect(c->ssl) == 1;
	if (c->secure) {
		const unsigned char *p;
		unsigned n;
		SSL_get0_alpn_selected(c->ssl, &p, &n);
		c->alpn_n = (int)n;
		X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(c->ssl)), NID_commonName, c->peer_cn, sizeof(c->peer_cn));
		if (c->script)
			c->script(c);
	}
	SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	SSL_CTX_free(x);
	close(c->fd);
	return NULL;
}

static inline void start_client(struct tls_client *c)
{
	pthread_create(&c->thread, NULL, run_client, c);
}
static inline void join_client(struct tls_client *c)
{
	pthread_join(c->thread, NULL);
}

/* Reads exactly n bytes; false at the end or on error. */
static inline bool ssl_read_all(SSL *ssl, char *p, size_t n)
{
	while (n > 0) {
		int r = SSL_read(ssl, p, n < 65536 ? (int)n : 65536);
		if (r <= 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}
