/*
 * SASL PLAIN (RFC 4616), SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, 7677) of the load client, without channel binding. The keys
 * derived from the password are kept per client, and the last ones are shared (peers' accounts share one salt), so that
 * PBKDF2 costs the load program at most once per account.
 */
#include "bench/load.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scram_keys shared_keys;

static const EVP_MD *hash(void)
{
	return strcmp(bench.opt.mechanism, "SCRAM-SHA-256") == 0 ? EVP_sha256() : EVP_sha1();
}

static size_t base64(const void *p, size_t n, char *out)
{
	return (size_t)EVP_EncodeBlock((unsigned char *)out, p, (int)n);
}

/* Decoded length, a NUL behind it; 0 when the text is no base64 or too long. */
static size_t unbase64(const char *p, size_t n, char *out, size_t max)
{
	if (n % 4 != 0 || n / 4 * 3 >= max || n == 0)
		return 0;
	int k = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)p, (int)n);
	if (k < 0)
		return 0;
	size_t len = (size_t)k;
	for (size_t i = n; i > 0 && p[i - 1] == '=' && n - i < 2; i--)
		len--;
	out[len] = 0;
	return len;
}

size_t sasl_start(struct client *c, char *out, size_t max)
{
	char raw[512];
	int n;
	if (strcmp(bench.opt.mechanism, "PLAIN") == 0) {
		n = snprintf(raw, sizeof raw, "%c%s%u%c%s", 0, bench.opt.prefix, c->user, 0, bench.opt.password);
	} else {
		unsigned char nonce[18];
		char text[32];
		RAND_bytes(nonce, sizeof nonce);
		base64(nonce, sizeof nonce, text);
		snprintf(c->client_first, sizeof c->client_first, "n=%s%u,r=%s", bench.opt.prefix, c->user, text);
		n = snprintf(raw, sizeof raw, "n,,%s", c->client_first);
	}
	if ((size_t)n >= sizeof raw || ((size_t)n + 2) / 3 * 4 >= max)
		return 0;
	return base64(raw, (size_t)n, out);
}

static void derive(struct scram_keys *k, const char *salt, size_t salt_n, unsigned iterations)
{
	if (k->iterations == iterations && strlen(k->salt) == salt_n && memcmp(k->salt, salt, salt_n) == 0)
		return;
	if (shared_keys.iterations == iterations && strlen(shared_keys.salt) == salt_n &&
	    memcmp(shared_keys.salt, salt, salt_n) == 0) {
		*k = shared_keys;
		return;
	}
	char raw[96];
	unsigned char salted[EVP_MAX_MD_SIZE];
	int size = EVP_MD_get_size(hash());
	unsigned n;
	size_t raw_n = unbase64(salt, salt_n, raw, sizeof raw);
	PKCS5_PBKDF2_HMAC(bench.opt.password, (int)strlen(bench.opt.password), (unsigned char *)raw, (int)raw_n,
			  (int)iterations, hash(), size, salted);
	HMAC(hash(), salted, size, (const unsigned char *)"Client Key", 10, k->client, &n);
	HMAC(hash(), salted, size, (const unsigned char *)"Server Key", 10, k->server, &n);
	EVP_Digest(k->client, n, k->stored, &n, hash(), NULL);
	snprintf(k->salt, sizeof k->salt, "%.*s", (int)salt_n, salt);
	k->iterations = iterations;
	shared_keys = *k;
}

/* Value of "x=" in a SCRAM message, up to the comma. */
static const char *field(const char *p, size_t n, char name, size_t *out_n)
{
	for (const char *q = p, *end = p + n; q < end;) {
		const char *comma = memchr(q, ',', (size_t)(end - q));
		const char *stop = comma ? comma : end;
		if (stop - q >= 2 && q[0] == name && q[1] == '=') {
			*out_n = (size_t)(stop - q) - 2;
			return q + 2;
		}
		q = stop + 1;
	}
	return NULL;
}

size_t sasl_challenge(struct client *c, const char *p, size_t n, char *out, size_t max)
{
	char first[512], final[512], auth[1280], proof64[64];
	unsigned char sig[EVP_MAX_MD_SIZE];
	unsigned k;
	size_t first_n = unbase64(p, n, first, sizeof first), r_n, s_n, i_n;
	const char *r = field(first, first_n, 'r', &r_n), *s = field(first, first_n, 's', &s_n),
		   *i = field(first, first_n, 'i', &i_n);
	if (!r || !s || !i || s_n >= sizeof c->keys.salt || first_n >= sizeof first)
		return 0;
	derive(&c->keys, s, s_n, (unsigned)strtoul(i, NULL, 10));
	int final_n = snprintf(final, sizeof final, "c=biws,r=%.*s", (int)r_n, r);
	int auth_n = snprintf(auth, sizeof auth, "%s,%.*s,%s", c->client_first, (int)first_n, first, final);
	if ((size_t)final_n + 48 >= sizeof final || (size_t)auth_n >= sizeof auth)
		return 0;
	int size = EVP_MD_get_size(hash());
	HMAC(hash(), c->keys.server, size, (unsigned char *)auth, (size_t)auth_n, sig, &k);
	base64(sig, k, c->server_signature);
	HMAC(hash(), c->keys.stored, size, (unsigned char *)auth, (size_t)auth_n, sig, &k);
	for (unsigned j = 0; j < k; j++)
		sig[j] ^= c->keys.client[j];
	base64(sig, k, proof64);
	final_n += snprintf(final + final_n, sizeof final - (size_t)final_n, ",p=%s", proof64);
	if (((size_t)final_n + 2) / 3 * 4 >= max)
		return 0;
	return base64(final, (size_t)final_n, out);
}

bool sasl_success(struct client *c, const char *p, size_t n)
{
	char raw[256];
	if (strcmp(bench.opt.mechanism, "PLAIN") == 0)
		return true;
	size_t raw_n = unbase64(p, n, raw, sizeof raw), v_n;
	const char *v = field(raw, raw_n, 'v', &v_n);
	return v && v_n == strlen(c->server_signature) && memcmp(v, c->server_signature, v_n) == 0;
}
