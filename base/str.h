/* Strings are slices: a pointer and a length, not NUL-terminated, never owning. Any thread; no state. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
#define STR_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

/* Slice over a NUL-terminated string; NULL gives the empty slice. */
struct str str_c(const char *z);
/* Slice over a byte range. */
static inline struct str str_of(const char *p, size_t n) { return (struct str){ p, n }; }
static inline bool str_empty(struct str s) { return s.n == 0; }
/* Byte equality. Not constant time: secrets go through secret_eq() in crypto.h. */
bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *z);
/* ASCII case-insensitive equality (mechanism names, HTTP headers). */
bool str_ieq(struct str a, struct str b);
/* memcmp order, then length: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Position of byte c, or -1. */
ptrdiff_t str_find(struct str s, char c);
/* Without leading and trailing ASCII white space. */
struct str str_trim(struct str s);
/* Cuts the part before the next sep off *rest; false when *rest was NONE (nothing left). "a,,b" gives a, "", b. */
bool str_split(struct str *rest, char sep, struct str *out_part);
/* Keyed 64-bit hash (SipHash-1-3, key drawn at start): safe against chosen input. Not stable over restarts. */
uint64_t str_hash(struct str s);
/* The function behind it with a key of the caller's (tests; tokens that need no secrecy). */
uint64_t siphash13(const uint64_t key[2], struct str s);
/* Unkeyed, stable 64-bit hash (FNV-1a finished with a mixer): home threads, on-disk buckets. */
uint64_t str_hash_stable(struct str s);
/* Decimal without sign or spaces, at most max; 0 or ERR_SYNTAX. */
int str_u64(struct str s, uint64_t max, uint64_t *out);
/* Length in bytes (1 to 4) of the code point at the front of s; 0 when s is empty or not strict UTF-8 there. */
size_t str_utf8_next(struct str s, uint32_t *out_cp);
/* Strict UTF-8 (no overlongs, surrogates, > U+10FFFF; RFC 3629). */
bool str_utf8_valid(struct str s);
/* The front of s, at most max bytes and never half a character; of valid UTF-8 it is valid. */
struct str str_utf8_cut(struct str s, size_t max_bytes);
/* Strict UTF-8 and every code point an XML 1.0 Char: the one validator for all text entering stanzas (row X10). */
bool str_xml_valid(struct str s);
/* True when words stand in s one after the other as they are, in any case; yo is e. Latin, Greek, Cyrillic (one to one only). */
bool str_has_folded(struct str s, struct str words);
/* malloc'ed NUL-terminated copy; free with mem_free. Never NULL. */
char *str_dup(struct str s);
/* Base64 (RFC 4648 section 4, padded, strict). Encoded size is 4*((n+2)/3); decode returns bytes or ERR_SYNTAX. */
size_t base64_encode(const void *in, size_t n, char *out);
ptrdiff_t base64_decode(struct str in, void *out, size_t out_max);
/* Lower-case hex; out has 2*n bytes. Decode returns bytes or ERR_SYNTAX. */
void hex_encode(const void *in, size_t n, char *out);
ptrdiff_t hex_decode(struct str in, void *out, size_t out_max);
