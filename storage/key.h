/* Ordered keys: big-endian numbers and NUL-terminated strings in a small fixed buffer. Any thread. */
#pragma once
#include "base/str.h"

#define KEY_MAX 500 /* LMDB's limit is 511 */
struct key { size_t n; bool overflow; char p[KEY_MAX]; };

static inline void key_init(struct key *k) { k->n = 0; k->overflow = false; }
void key_u8(struct key *k, uint8_t v);
void key_u32(struct key *k, uint32_t v);
void key_u64(struct key *k, uint64_t v);
/* Bytes followed by NUL (for a part in the middle); the bytes must not hold NUL. */
void key_strz(struct key *k, struct str s);
/* Bytes to the end (last part). Parts too long for a key are cut and get 0xff and a 128-bit hash behind them. */
void key_tail(struct key *k, struct str s);
/* The bytes; empty when a part did not fit (a put of it is then refused, a get finds nothing). */
static inline struct str key_str(const struct key *k) { return str_of(k->p, k->overflow ? 0 : k->n); }
/* Reading back; advance *in. Too short a rest gives 0 / NONE and empties it. */
uint8_t key_get_u8(struct str *in);
uint32_t key_get_u32(struct str *in);
uint64_t key_get_u64(struct str *in);
struct str key_get_strz(struct str *in);
