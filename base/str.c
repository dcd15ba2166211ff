/*
 * String slices: comparing, splitting, numbers, UTF-8 and XML validity, base64 and hex. Any thread; the only state
 * is the hash key, drawn before main() and never changed. The validators read eight bytes at a time while the text
 * is ASCII, since they see every byte that enters a stanza.
 */
#include "base/str.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include <string.h>

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

static uint64_t hash_key[2];

/* Hash tables may be built by any constructor-free code, so the key only needs to be there before main(). */
__attribute__((constructor)) static void draw_hash_key(void)
{
	random_bytes(hash_key, sizeof(hash_key));
}

struct str str_c(const char *z)
{
	return z ? str_of(z, strlen(z)) : STR_NONE;
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_c(struct str a, const char *z)
{
	return str_eq(a, str_c(z));
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_of(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	if (s.n < suffix.n)
		return false;
	return suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0;
}

ptrdiff_t str_find(struct str s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
	return at ? at - s.p : -1;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = str_of(s.p + 1, s.n - 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_split(struct str *rest, char sep, struct str *out_part)
{
	if (!rest->p)
		return false;
	ptrdiff_t at = str_find(*rest, sep);
	if (at < 0) {
		*out_part = *rest;
		*rest = STR_NONE;
	} else {
		*out_part = str_of(rest->p, (size_t)at);
		*rest = str_of(rest->p + at + 1, rest->n - (size_t)at - 1);
	}
	return true;
}

static uint64_t load64(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline uint64_t rotl(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash of Aumasson and Bernstein with 1 compression and 3 finalisation rounds. */
uint64_t siphash13(const uint64_t key[2], struct str s)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
			  key[1] ^ 0x7465646279746573u };
	uint64_t last = (uint64_t)s.n << 56;
	size_t i = 0;
	for (; i + 8 <= s.n; i += 8) {
		uint64_t word = load64(s.p + i);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (unsigned shift = 0; i < s.n; i++, shift += 8)
		last |= (uint64_t)(unsigned char)s.p[i] << shift;
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int r = 0; r < 3; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t str_hash(struct str s)
{
	return siphash13(hash_key, s);
}

uint64_t str_hash_stable(struct str s)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	/* FNV leaves the high bits of short keys poor; this finish (the one of MurmurHash3) spreads them. */
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

int str_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	if (s.n == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
		if (digit > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit, &v))
			return ERR_SYNTAX;
	}
	if (v > max)
		return ERR_SYNTAX;
	*out = v;
	return 0;
}

/* Length of the sequence at s.p (1 to 4) and its code point, 0 when it is not strict UTF-8 (RFC 3629 section 4).
 * s.n > 0. */
static inline size_t decode(struct str s, uint32_t *out_cp)
{
	const unsigned char *p = (const unsigned char *)s.p;
	if (p[0] < 0x80) {
		*out_cp = p[0];
		return 1;
	}
	if (p[0] < 0xc2)
		return 0;
	if (p[0] < 0xe0) {
		if (s.n < 2 || (p[1] & 0xc0) != 0x80)
			return 0;
		*out_cp = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
		return 2;
	}
	if (p[0] < 0xf0) {
		if (s.n < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		uint32_t cp = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		*out_cp = cp;
		return cp < 0x800 || (cp >= 0xd800 && cp <= 0xdfff) ? 0 : 3;
	}
	if (p[0] > 0xf4 || s.n < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
		return 0;
	uint32_t cp = (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
	*out_cp = cp;
	return cp < 0x10000 || cp > 0x10ffff ? 0 : 4;
}

size_t str_utf8_next(struct str s, uint32_t *out_cp)
{
	return s.n > 0 ? decode(s, out_cp) : 0;
}

struct str str_utf8_cut(struct str s, size_t max_bytes)
{
	if (s.n <= max_bytes)
		return s;
	for (s.n = max_bytes; s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80; s.n--)
		;
	return s;
}

bool str_utf8_valid(struct str s)
{
	while (s.n > 0) {
		uint32_t cp;
		size_t len = s.n >= 8 && (load64(s.p) & HIGHS) == 0 ? 8 : decode(s, &cp);
		if (len == 0)
			return false;
		s = str_of(s.p + len, s.n - len);
	}
	return true;
}

/* Eight bytes that are all in 0x20 .. 0x7f. With no high bit set a byte below 0x20 borrows into its own high bit. */
static inline bool plain8(uint64_t w)
{
	return ((w | (w - ONES * 0x20)) & HIGHS) == 0;
}

/* XML 1.0 (fifth edition) section 2.2, production [2]. */
static inline bool xml_char(uint32_t cp)
{
	if (cp < 0x20)
		return cp == '\t' || cp == '\n' || cp == '\r';
	return cp != 0xfffe && cp != 0xffff;
}

bool str_xml_valid(struct str s)
{
	while (s.n > 0) {
		size_t len = 8;
		if (s.n < 8 || !plain8(load64(s.p))) {
			uint32_t cp = 0;
			len = decode(s, &cp);
			if (len == 0 || !xml_char(cp))
				return false;
		}
		s = str_of(s.p + len, s.n - len);
	}
	return true;
}

static uint32_t fold(uint32_t c)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
	    (c >= 0x410 && c <= 0x42f))
		return c + 32;
	if (c == 0x401 || c == 0x451)
		return 0x435; /* yo */
	if (c >= 0x400 && c <= 0x40f)
		return c + 80;
	if (c >= 0x100 && c <= 0x137)
		return c | 1;
	return c;
}

static bool starts_folded(struct str s, struct str words)
{
	uint32_t a, b;
	size_t n, m;

	while ((m = str_utf8_next(words, &b)) != 0) {
		n = str_utf8_next(s, &a);
		if (!n || fold(a) != fold(b))
			return false;
		s = str_of(s.p + n, s.n - n);
		words = str_of(words.p + m, words.n - m);
	}
	return true;
}

bool str_has_folded(struct str s, struct str words)
{
	uint32_t c;
	size_t n;

	if (starts_folded(s, words))
		return true;
	while ((n = str_utf8_next(s, &c)) != 0) {
		s = str_of(s.p + n, s.n - n);
		if (starts_folded(s, words))
			return true;
	}
	return false;
}

char *str_dup(struct str s)
{
	char *z = mem_alloc(s.n + 1);
	if (s.n > 0)
		memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return z;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *in, size_t n, char *out)
{
	const unsigned char *p = in;
	char *o = out;
	for (; n >= 3; n -= 3, p += 3) {
		uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		for (int shift = 18; shift >= 0; shift -= 6)
			*o++ = base64_digits[v >> shift & 63];
	}
	if (n > 0) {
		uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
		*o++ = base64_digits[v >> 18];
		*o++ = base64_digits[v >> 12 & 63];
		*o++ = n == 2 ? base64_digits[v >> 6 & 63] : '=';
		*o++ = '=';
	}
	return (size_t)(o - out);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ptrdiff_t base64_decode(struct str in, void *out, size_t out_max)
{
	unsigned char *o = out;
	size_t pad = 0, made = 0;
	if (in.n % 4 != 0)
		return ERR_SYNTAX;
	while (pad < 2 && in.n > 0 && in.p[in.n - 1] == '=') {
		pad++;
		in.n--;
	}
	if (in.n / 4 * 3 + (in.n % 4 > 0 ? in.n % 4 - 1 : 0) > out_max)
		return ERR_SYNTAX;
	uint32_t acc = 0;
	unsigned have = 0;
	for (size_t i = 0; i < in.n; i++) {
		int v = base64_value(in.p[i]);
		if (v < 0)
			return ERR_SYNTAX;
		acc = (acc << 6 | (uint32_t)v) & 0xfff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			o[made++] = (unsigned char)(acc >> have);
		}
	}
	/* RFC 4648 section 3.5: bits that stand for nothing are zero, or two texts would mean the same. */
	if ((acc & ((1u << have) - 1)) != 0)
		return ERR_SYNTAX;
	return (ptrdiff_t)made;
}

void hex_encode(const void *in, size_t n, char *out)
{
	static const char digits[16] = "0123456789abcdef";
	const unsigned char *p = in;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	unsigned char l = lower(c);
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

ptrdiff_t hex_decode(struct str in, void *out, size_t out_max)
{
	unsigned char *o = out;
	if (in.n % 2 != 0 || in.n / 2 > out_max)
		return ERR_SYNTAX;
	for (size_t i = 0; i < in.n / 2; i++) {
		int high = hex_value(in.p[2 * i]), low = hex_value(in.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return ERR_SYNTAX;
		o[i] = (unsigned char)(high << 4 | low);
	}
	return (ptrdiff_t)(in.n / 2);
}
