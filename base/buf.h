/* Growing byte buffer with a hard maximum. Passing the maximum sets a sticky overflow flag and drops the bytes:
 * append freely, check once with buf_ok(). One thread per buffer. */
#pragma once
#include "base/str.h"
#include <string.h>

struct buf {
	char *p;
	size_t n, cap, max;
	bool overflow;
};

/* Empty buffer in the caller's memory; nothing is allocated until the first byte. */
void buf_init(struct buf *b, size_t max_bytes);
/* Frees the memory; the buffer may be used again. */
void buf_clear(struct buf *b);
/* Length to 0, keeps the memory, clears overflow. */
void buf_reset(struct buf *b);
static inline bool buf_ok(const struct buf *b) { return !b->overflow; }
static inline struct str buf_str(const struct buf *b) { return str_of(b->p, b->n); }
void buf_add_growing(struct buf *b, const void *p, size_t n);
/* Inline because everything that is printed consists of small pieces. */
static inline void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0) return;
	if (n > b->cap - b->n || b->overflow) {
		buf_add_growing(b, p, n);
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}
static inline void buf_str_add(struct buf *b, struct str s) { buf_add(b, s.p, s.n); }
#define buf_lit(b, lit) buf_add((b), "" lit, sizeof(lit) - 1)
static inline void buf_byte(struct buf *b, char c) { buf_add(b, &c, 1); }
void buf_u64(struct buf *b, uint64_t v); /* decimal */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes to be written at the returned address, then buf_commit(); NULL (and overflow) above max. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
/* Drops n bytes at the front (memmove). */
void buf_consume(struct buf *b, size_t n);
/* Takes the bytes out as a malloc'ed block (mem_free), NUL-terminated behind its length; the buffer is empty
 * afterwards. out_n may be NULL. */
char *buf_take(struct buf *b, size_t *out_n);
