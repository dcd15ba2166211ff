/* A keyed permutation of 64-bit numbers: eight Feistel rounds with a keyed mixer. Enough that nobody without the secret can tell the order
 * of two ids or how many messages the server holds (row I10, XEP-0359 section 5); it is not an encryption of secrets. */
#include "server/im/opaque.h"
#include "base/crypto.h"
#include "base/err.h"
#include <string.h>

#define ROUNDS 8
static uint64_t round_key[ROUNDS];

void opaque_init(const uint8_t secret[32])
{
	uint8_t out[HASH_MAX];

	hmac(HASH_SHA512, str_of((const char *)secret, 32), STR("opaque archive ids"), out);
	memcpy(round_key, out, sizeof round_key);
}

static uint32_t mix(uint32_t half, uint64_t key)
{
	uint64_t x = (half ^ key) * 0xff51afd7ed558ccdull;

	x ^= x >> 32;
	x = (x + key) * 0xc4ceb9fe1a85ec53ull;
	x ^= x >> 29;
	return (uint32_t)(x >> 16);
}

void opaque_print(uint64_t gid, char out[OPAQUE_LEN])
{
	uint32_t l = (uint32_t)(gid >> 32), r = (uint32_t)gid;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t next = l ^ mix(r, round_key[i]);
		l = r;
		r = next;
	}
	uint8_t b[8];
	for (int i = 0; i < 4; i++) {
		b[i] = (uint8_t)(l >> (24 - 8 * i));
		b[4 + i] = (uint8_t)(r >> (24 - 8 * i));
	}
	hex_encode(b, sizeof b, out);
}

int opaque_parse(struct str s, uint64_t *out_gid)
{
	uint8_t b[8];
	uint32_t l = 0, r = 0;

	if (s.n != OPAQUE_LEN || hex_decode(s, b, sizeof b) != sizeof b)
		return ERR_SYNTAX;
	for (int i = 0; i < 4; i++) {
		l = l << 8 | b[i];
		r = r << 8 | b[4 + i];
	}
	for (int i = ROUNDS; i-- > 0;) {
		uint32_t before = r ^ mix(l, round_key[i]);
		r = l;
		l = before;
	}
	*out_gid = (uint64_t)l << 32 | r;
	return 0;
}

/* ---- numbers: two halves of 26 bits ---- */

#define HALF_BITS 26
#define HALF_MASK ((1u << HALF_BITS) - 1)
#define NUMBER_MAX ((1ull << (2 * HALF_BITS)) - 1)

static uint64_t number_of(uint64_t gid)
{
	uint32_t l = (uint32_t)(gid >> HALF_BITS), r = (uint32_t)gid & HALF_MASK;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t next = l ^ (mix(r, ~round_key[i]) & HALF_MASK);
		l = r;
		r = next;
	}
	return (uint64_t)l << HALF_BITS | r;
}

static uint64_t gid_of(uint64_t number)
{
	uint32_t l = (uint32_t)(number >> HALF_BITS), r = (uint32_t)number & HALF_MASK;

	for (int i = ROUNDS; i-- > 0;) {
		uint32_t before = r ^ (mix(l, ~round_key[i]) & HALF_MASK);
		r = l;
		l = before;
	}
	return (uint64_t)l << HALF_BITS | r;
}

/* 0 means "none" on both sides: what would be it takes the place of what 0 goes to (cycle walking, one step). */
uint64_t opaque_number(uint64_t gid)
{
	if (!gid || gid > NUMBER_MAX)
		return 0;
	uint64_t n = number_of(gid);
	return n ? n : number_of(0);
}

uint64_t opaque_number_parse(uint64_t number)
{
	if (!number || number > NUMBER_MAX)
		return 0;
	uint64_t gid = gid_of(number);
	return gid ? gid : gid_of(0);
}
