/*
 * Ordered keys: numbers big-endian, so that byte order is number order; strings end with NUL, so that a short one sorts
 * before a longer one with the same start. Any thread; no state.
 */
#include "storage/key.h"
#include "base/crypto.h"
#include <endian.h>
#include <string.h>

enum { TAIL_HASH = 16 };

static void add(struct key *k, const void *p, size_t n)
{
	if (n > sizeof(k->p) - k->n) {
		k->overflow = true;
		return;
	}
	if (n)
		memcpy(k->p + k->n, p, n);
	k->n += n;
}

void key_u8(struct key *k, uint8_t v)
{
	add(k, &v, 1);
}

void key_u32(struct key *k, uint32_t v)
{
	v = htobe32(v);
	add(k, &v, sizeof(v));
}

void key_u64(struct key *k, uint64_t v)
{
	v = htobe64(v);
	add(k, &v, sizeof(v));
}

void key_strz(struct key *k, struct str s)
{
	/* A NUL inside would make two different parts read the same: refused like a part that is too long. */
	if (str_find(s, '\0') >= 0) {
		k->overflow = true;
		return;
	}
	add(k, s.p, s.n);
	add(k, "", 1);
}

void key_tail(struct key *k, struct str s)
{
	size_t room = sizeof(k->p) - k->n;
	uint8_t hash[HASH_MAX];

	if (s.n <= room) {
		add(k, s.p, s.n);
		return;
	}
	if (room < TAIL_HASH + 1) {
		k->overflow = true;
		return;
	}
	/* 0xff never occurs in UTF-8, so no short text can be made to look like a cut one; SHA-256 so that nobody finds two long
	 * texts with the same key. */
	digest(HASH_SHA256, s, hash);
	add(k, s.p, room - TAIL_HASH - 1);
	add(k, "\xff", 1);
	add(k, hash, TAIL_HASH);
}

static bool take(struct str *in, void *out, size_t n)
{
	if (in->n < n) {
		*in = STR_NONE;
		return false;
	}
	memcpy(out, in->p, n);
	*in = str_of(in->p + n, in->n - n);
	return true;
}

uint8_t key_get_u8(struct str *in)
{
	uint8_t v;

	return take(in, &v, sizeof(v)) ? v : 0;
}

uint32_t key_get_u32(struct str *in)
{
	uint32_t v;

	return take(in, &v, sizeof(v)) ? be32toh(v) : 0;
}

uint64_t key_get_u64(struct str *in)
{
	uint64_t v;

	return take(in, &v, sizeof(v)) ? be64toh(v) : 0;
}

struct str key_get_strz(struct str *in)
{
	const char *end = in->n ? memchr(in->p, 0, in->n) : NULL;

	if (!end) {
		*in = STR_NONE;
		return STR_NONE;
	}
	struct str part = str_of(in->p, (size_t)(end - in->p));

	*in = str_of(end + 1, in->n - part.n - 1);
	return part;
}
