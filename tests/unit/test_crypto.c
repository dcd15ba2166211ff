/*
 * base/crypto against published vectors: FIPS 180 (digests), RFC 2202 and 4231 (HMAC), RFC 6070 and 7914 (PBKDF2),
 * RFC 3720 (CRC32C).
 */
#include "base/crypto.h"
#include "tests/lib/test.h"
#include <pthread.h>

static const char *hexed(const uint8_t *bytes, size_t n)
{
	static char text[2 * HASH_MAX + 1];
	hex_encode(bytes, n, text);
	text[2 * n] = '\0';
	return text;
}

static const char *digest_hex(enum hash_kind k, struct str s)
{
	uint8_t out[HASH_MAX];
	digest(k, s, out);
	return hexed(out, digest_size(k));
}

static const char *hmac_hex(enum hash_kind k, struct str key, struct str s)
{
	uint8_t out[HASH_MAX];
	hmac(k, key, s, out);
	return hexed(out, digest_size(k));
}

TEST(digests)
{
	is_cstr(digest_hex(HASH_SHA1, STR("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
	is_cstr(digest_hex(HASH_SHA256, STR("abc")),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	is_cstr(digest_hex(HASH_SHA512, STR("abc")),
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	is_cstr(digest_hex(HASH_SHA1, STR_NONE), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	is_cstr(digest_hex(HASH_SHA256, STR_NONE), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(hmac_vectors)
{
	static char key20[20], key131[131];
	memset(key20, 0x0b, sizeof(key20));
	memset(key131, 0xaa, sizeof(key131));
	/* RFC 2202 section 3, cases 1 and 2 */
	is_cstr(hmac_hex(HASH_SHA1, str_of(key20, 20), STR("Hi There")), "b617318655057264e28bc0b6fb378c8ef146be00");
	is_cstr(hmac_hex(HASH_SHA1, STR("Jefe"), STR("what do ya want for nothing?")),
		"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	/* RFC 4231 section 4, cases 1, 2 and 6 */
	is_cstr(hmac_hex(HASH_SHA256, str_of(key20, 20), STR("Hi There")),
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	is_cstr(hmac_hex(HASH_SHA256, STR("Jefe"), STR("what do ya want for nothing?")),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	is_cstr(hmac_hex(HASH_SHA512, STR("Jefe"), STR("what do ya want for nothing?")),
		"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
		"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
	is_cstr(hmac_hex(HASH_SHA256, str_of(key131, 131),
			 STR("Test Using Larger Than Block-Size Key - Hash Key First")),
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	is_cstr(hmac_hex(HASH_SHA256, STR_NONE, STR_NONE),
		"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static const char *pbkdf2_hex(enum hash_kind k, struct str password, struct str salt, uint32_t rounds, size_t n)
{
	uint8_t out[HASH_MAX];
	pbkdf2(k, password, salt, rounds, out);
	return hexed(out, n);
}

TEST(pbkdf2_vectors)
{
	/* RFC 6070 section 2; the last one has NULs inside and shows 16 of our 20 bytes */
	is_cstr(pbkdf2_hex(HASH_SHA1, STR("password"), STR("salt"), 1, 20), "0c60c80f961f0e71f3a9b524af6012062fe037a6");
	is_cstr(pbkdf2_hex(HASH_SHA1, STR("password"), STR("salt"), 2, 20), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
	is_cstr(pbkdf2_hex(HASH_SHA1, STR("password"), STR("salt"), 4096, 20),
		"4b007901b765489abead49d926f721d065a429c1");
	is_cstr(pbkdf2_hex(HASH_SHA1, STR("pass\0word"), STR("sa\0lt"), 4096, 16), "56fa6aa75548099dcc37d7f03425e0c3");
	/* RFC 7914 section 11, first 32 bytes of each */
	is_cstr(pbkdf2_hex(HASH_SHA256, STR("passwd"), STR("salt"), 1, 32),
		"55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
	is_cstr(pbkdf2_hex(HASH_SHA256, STR("Password"), STR("NaCl"), 80000, 32),
		"4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

TEST(secrets)
{
	ok(secret_eq(STR("abc"), STR("abc")) && !secret_eq(STR("abc"), STR("abd")) && !secret_eq(STR("abc"), STR("ab")),
	   "row A09");
	ok(secret_eq(STR_NONE, STR("")) && !secret_eq(STR_NONE, STR("a")), "empty");
	char secret[] = "password";
	secret_wipe(secret, sizeof(secret));
	static const char zeros[sizeof(secret)];
	is_mem(secret, zeros, sizeof(secret));
	secret_wipe(NULL, 0);
}

TEST(crc32c_vectors)
{
	char bytes[32];
	ok(crc32c(0, "123456789", 9) == 0xe3069283u, "the check value");
	ok(crc32c_portable(0, "123456789", 9) == 0xe3069283u, "by tables");
	/* RFC 3720 appendix B.4 */
	memset(bytes, 0, 32);
	ok(crc32c(0, bytes, 32) == 0x8a9136aau, "zeros");
	memset(bytes, 0xff, 32);
	ok(crc32c(0, bytes, 32) == 0x62a8ab43u, "ones");
	for (int i = 0; i < 32; i++)
		bytes[i] = (char)i;
	ok(crc32c(0, bytes, 32) == 0x46dd794eu, "rising");
	ok(crc32c(0, NULL, 0) == 0 && crc32c(5, NULL, 0) == 5, "nothing");
}

TEST(crc32c_both_ways_agree_at_any_cut)
{
	unsigned char bytes[200];
	unsigned wrong = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	uint32_t all = crc32c(0, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		wrong += crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut) != all;
		wrong += crc32c_portable(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut) != all;
	}
	is_int(wrong, 0);
}

enum { THREADS = 4 };

static void *hash_many(void *arg)
{
	bool *right = arg;
	for (int i = 0; i < 300; i++) {
		uint8_t d[HASH_MAX], m[HASH_MAX];
		digest(HASH_SHA1, STR("abc"), d);
		hmac(HASH_SHA1, STR("Jefe"), STR("what do ya want for nothing?"), m);
		*right = *right && d[0] == 0xa9 && d[19] == 0x9d && m[0] == 0xef && m[19] == 0x79;
	}
	return NULL;
}

TEST(threads_share_the_algorithms)
{
	pthread_t t[THREADS];
	bool right[THREADS] = { true, true, true, true };
	for (int i = 0; i < THREADS; i++)
		require(pthread_create(&t[i], NULL, hash_many, &right[i]) == 0, "thread");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		ok(right[i], "thread %d", i);
	}
}
