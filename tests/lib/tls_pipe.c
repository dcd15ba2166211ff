/*
 * The client's side of TLS for the Python tests, whose ssl module knows no exporter (RFC 5705): tls_pipe FD [-v 1.2|1.3] [-c CERT -k KEY].
 * FD is a connected TCP socket. After the handshake one line "VERSION EXPORTER-HEX CERTIFICATE-HEX" goes to standard output (or "failed REASON"),
 * then bytes are carried between standard input and output and the TLS stream until one side ends. One thread.
 */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_hex(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", p[i]);
}

static int failed(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	printf("failed %s\n", reason ? reason : "without a reason");
	return 1;
}

/* RFC 9266 section 2: label, an empty context (which is not the same as none, RFC 5705 section 4), 32 bytes. */
static bool tell(SSL *ssl)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char exporter[32], *der = NULL;
	int n = i2d_X509(SSL_get0_peer_certificate(ssl), &der);
	if (n <= 0 || SSL_export_keying_material(ssl, exporter, sizeof(exporter), label, sizeof(label) - 1,
						 (const unsigned char *)"", 0, 1) != 1)
		return false;
	printf("%s ", SSL_get_version(ssl));
	put_hex(exporter, sizeof(exporter));
	printf(" ");
	put_hex(der, (size_t)n);
	printf("\n");
	OPENSSL_free(der);
	return fflush(stdout) == 0;
}

static bool write_all(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(STDOUT_FILENO, p, n);
		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Everything that is there; false at the end. A ticket or half a record is no data yet (no SSL_MODE_AUTO_RETRY). */
static bool from_wire(SSL *ssl)
{
	char buf[16384];
	do {
		int n = SSL_read(ssl, buf, sizeof(buf));
		if (n <= 0)
			return SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ;
		if (!write_all(buf, (size_t)n))
			return false;
	} while (SSL_pending(ssl) > 0);
	return true;
}

static void carry(SSL *ssl, int fd)
{
	char buf[16384];
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents && !from_wire(ssl))
			return;
		if (!p[1].revents)
			continue;
		ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));
		if (n <= 0 || SSL_write(ssl, buf, (int)n) <= 0)
			return;
	}
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? atoi(argv[1]) : -1;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	bool good = fcntl(fd, F_SETFL, 0) == 0; /* Python's sockets with a time-out do not block */
	for (int i = 2; i + 1 < argc && good; i += 2) {
		int version = strcmp(argv[i + 1], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
		if (strcmp(argv[i], "-v") == 0)
			good = SSL_CTX_set_min_proto_version(ctx, version) &&
			       SSL_CTX_set_max_proto_version(ctx, version);
		else if (strcmp(argv[i], "-c") == 0)
			good = SSL_CTX_use_certificate_file(ctx, argv[i + 1], SSL_FILETYPE_PEM) == 1;
		else
			good = SSL_CTX_use_PrivateKey_file(ctx, argv[i + 1], SSL_FILETYPE_PEM) == 1;
	}
	signal(SIGPIPE, SIG_IGN); /* a server that ends the handshake is an error to tell */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL *ssl = good ? SSL_new(ctx) : NULL;
	if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 || !tell(ssl))
		return failed();
	carry(ssl, fd);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return 0;
}
