/*
 * TLS (OpenSSL 3): server contexts with certificate reload, 1.2 and newer, no renegotiation, compression or early data (row A13).
 * A context is shared by threads and immutable; a reload publishes a new one, old connections keep theirs.
 */
#pragma once
#include "base/err.h"

struct tls_context;
struct tls_session;
struct conn;
struct tls_options {
	const char *certificate, *key;  /* PEM files; NULL: self-signed pair DATA/cert.pem, key.pem is made at first start */
	const char *client_ca;          /* PEM for SASL EXTERNAL; NULL: client certificates are not asked for */
	const char *data_dir;
	const char *const *domains;     /* names for the self-signed pair */
	size_t n_domains;
	bool alpn_xmpp;                 /* offer "xmpp-client" (XEP-0368) and refuse a client that offers only others */
};

/* Loads (main thread); refuses key/certificate mismatch and a certificate that ends within a day, warns below 14 days. msg names the cure. */
int tls_context_new(const struct tls_options *o, struct tls_context **out, struct err_msg *msg);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);

enum tls_binding { TLS_EXPORTER, TLS_SERVER_END_POINT, TLS_UNIQUE };
/* Channel binding data (RFC 9266: TLS 1.3, or 1.2 with extended master secret; RFC 5929 section 4); returns length or ERR_UNSUPPORTED. */
int tls_channel_binding(struct tls_session *s, enum tls_binding kind, uint8_t out[64]);
/* "TLSv1.3" and cipher name for logs and vestnikctl sessions. */
const char *tls_version(struct tls_session *s);
const char *tls_cipher(struct tls_session *s);
/* Addresses in the verified client certificate: its SAN entries id-on-xmppAddr (RFC 6120 13.7.1.4) and nothing else (never the CN,
 * RFC 9525). A certificate with more than 100 SAN entries or a NUL or broken UTF-8 in an address is refused whole (row A14). Calls fn
 * for each; returns the number. 0 when there is no verified certificate. */
size_t tls_client_names(struct tls_session *s, void (*fn)(void *ctx, struct str name), void *ctx);
