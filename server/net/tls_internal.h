/* Inside of TLS, for tls*.c, conn_tls.c and their tests only. */
#pragma once
#include "server/net/tls.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

struct tls_context {
	atomic_uint refs;
	SSL_CTX *ssl_ctx;
	uint8_t end_point[64]; /* hash of our certificate for tls-server-end-point */
	int end_point_n;       /* or ERR_UNSUPPORTED */
};
struct tls_session {
	SSL *ssl;
	struct tls_context *context; /* one reference */
	int failed;                  /* the error after which OpenSSL goes no further */
	bool has_exporter;           /* asked several times per login, and each answer costs microseconds */
	uint8_t exporter[32];
};

/* Text of the first error in this thread's OpenSSL queue; empties the queue. */
const char *tls_error_text(char *buf, size_t n);
/* The rules of tls_client_names on any certificate. */
size_t tls_certificate_names(X509 *cert, void (*fn)(void *ctx, struct str name), void *ctx);
/* Makes what is missing of data_dir/cert.pem and key.pem (ECDSA P-256, ten years, names of o->domains). */
int tls_self_signed(const struct tls_options *o, const char *cert_path, const char *key_path, struct err_msg *msg);
