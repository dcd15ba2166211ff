/*
 * Digests, HMAC, PBKDF2, constant-time compare over OpenSSL 3; CRC32C. Any thread. The algorithm objects are
 * fetched once, since a fetch by name takes longer than hashing a short text. OpenSSL failing here means that it is
 * broken or out of memory; no caller could go on without the result, so the process ends with a line that says so.
 */
#include "base/crypto.h"
#include "base/log.h"
#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static const struct {
	const char *name;
	size_t size;
} kinds[HASH_KINDS] = {
	[HASH_SHA1] = { "SHA1", 20 },
	[HASH_SHA256] = { "SHA256", 32 },
	[HASH_SHA512] = { "SHA512", 64 },
};

static EVP_MD *mds[HASH_KINDS];
static EVP_MAC_CTX *hmac_templates[HASH_KINDS]; /* digest set, no key; only copied from */
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	log_error("crypto.failed", LC("operation", what),
		  LC("cure", "check the OpenSSL installation and its configuration"));
	_exit(1);
}

static void fetch(void)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	check(mac, "fetch HMAC");
	for (int k = 0; k < HASH_KINDS; k++) {
		mds[k] = EVP_MD_fetch(NULL, kinds[k].name, NULL);
		check(mds[k], kinds[k].name);
		char name[16];
		(void)snprintf(name, sizeof(name), "%s", kinds[k].name);
		OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
					OSSL_PARAM_construct_end() };
		hmac_templates[k] = EVP_MAC_CTX_new(mac);
		check(hmac_templates[k] && EVP_MAC_CTX_set_params(hmac_templates[k], params), "prepare HMAC");
	}
	EVP_MAC_free(mac); /* the templates hold it */
}

size_t digest_size(enum hash_kind k)
{
	assert(k < HASH_KINDS);
	return kinds[k].size;
}

void digest(enum hash_kind k, struct str data, uint8_t out[HASH_MAX])
{
	assert(k < HASH_KINDS);
	pthread_once(&fetched, fetch);
	check(EVP_Digest(data.n > 0 ? data.p : "", data.n, out, NULL, mds[k], NULL) == 1, "digest");
}

void hmac(enum hash_kind k, struct str key, struct str data, uint8_t out[HASH_MAX])
{
	assert(k < HASH_KINDS);
	pthread_once(&fetched, fetch);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(hmac_templates[k]);
	/* A NULL key would mean "the one from before", hence the address for an empty one. */
	const unsigned char *key_bytes = (const unsigned char *)(key.n > 0 ? key.p : "");
	const unsigned char *bytes = (const unsigned char *)(data.n > 0 ? data.p : "");
	size_t n = 0;
	check(ctx && EVP_MAC_init(ctx, key_bytes, key.n, NULL) && EVP_MAC_update(ctx, bytes, data.n) &&
		      EVP_MAC_final(ctx, out, &n, HASH_MAX),
	      "HMAC");
	EVP_MAC_CTX_free(ctx);
	assert(n == kinds[k].size);
}

void pbkdf2(enum hash_kind k, struct str password, struct str salt, uint32_t iterations, uint8_t out[HASH_MAX])
{
	assert(k < HASH_KINDS && iterations > 0 && iterations <= INT_MAX && password.n <= INT_MAX && salt.n <= INT_MAX);
	pthread_once(&fetched, fetch);
	check(PKCS5_PBKDF2_HMAC(password.n > 0 ? password.p : "", (int)password.n,
				(const unsigned char *)(salt.n > 0 ? salt.p : ""), (int)salt.n, (int)iterations, mds[k],
				(int)kinds[k].size, out) == 1,
	      "PBKDF2");
}

bool secret_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

void secret_wipe(void *p, size_t n)
{
	if (n > 0)
		OPENSSL_cleanse(p, n);
}

/* ---- CRC32C: reflected polynomial 0x1EDC6F41 (RFC 3720 appendix B.4) ---- */

static uint32_t tables[8][256]; /* tables[k][b]: byte b followed by k zero bytes */
static bool have_crc_instruction;

__attribute__((constructor)) static void make_tables(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;
		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
		tables[0][b] = c;
	}
	for (int k = 1; k < 8; k++) {
		for (int b = 0; b < 256; b++)
			tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
	}
#if defined(__x86_64__)
	__builtin_cpu_init();
	have_crc_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *at = p;
	uint32_t c = ~crc;
	for (; n >= 8; n -= 8, at += 8) {
		c ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		c = tables[7][c & 0xff] ^ tables[6][c >> 8 & 0xff] ^ tables[5][c >> 16 & 0xff] ^ tables[4][c >> 24] ^
		    tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
	}
	for (; n > 0; n--, at++)
		c = c >> 8 ^ tables[0][(c ^ *at) & 0xff];
	return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *p, size_t n)
{
	const char *at = p;
	uint64_t c = ~crc;
	for (; n >= 8; n -= 8, at += 8) {
		uint64_t word;
		memcpy(&word, at, sizeof(word));
		c = _mm_crc32_u64(c, word);
	}
	for (; n > 0; n--, at++)
		c = _mm_crc32_u8((uint32_t)c, (unsigned char)*at);
	return ~(uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
#if defined(__x86_64__)
	if (have_crc_instruction)
		return crc32c_sse42(crc, p, n);
#endif
	return crc32c_portable(crc, p, n);
}
