/*
 * Growing byte buffer with a hard maximum. One thread per buffer; the caller owns the struct, the buffer its bytes.
 * Once a piece did not fit nothing more is taken: a text with a hole in it would be worse than a short one.
 */
#include "base/buf.h"
#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAP = 128 };

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max = max_bytes };
}

void buf_clear(struct buf *b)
{
	mem_free(b->p);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->overflow || n > b->max - b->n) {
		b->overflow = true;
		return NULL;
	}
	if (b->n + n > b->cap || !b->p) {
		size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;
		while (cap < b->n + n)
			cap = cap > b->max / 2 ? b->max : cap * 2;
		b->cap = cap < b->max ? cap : b->max;
		b->p = mem_realloc(b->p, b->cap);
	}
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->n);
	b->n += n;
}

void buf_add_growing(struct buf *b, const void *p, size_t n)
{
	char *to = buf_reserve(b, n);
	if (to) {
		memcpy(to, p, n);
		b->n += n;
	}
}

void buf_u64(struct buf *b, uint64_t v)
{
	char text[20], *at = text + sizeof(text);
	do
		*--at = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	buf_add(b, at, (size_t)(text + sizeof(text) - at));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	assert(n >= 0);
	if ((size_t)n < sizeof(small)) {
		buf_add(b, small, (size_t)n);
	} else {
		/* vsnprintf wants a place for its NUL, which does not count against the maximum. */
		char *text = mem_alloc((size_t)n + 1);
		(void)vsnprintf(text, (size_t)n + 1, fmt, again);
		buf_add(b, text, (size_t)n);
		mem_free(text);
	}
	va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n -= n;
	if (b->n > 0 && n > 0)
		memmove(b->p, b->p + n, b->n);
}

char *buf_take(struct buf *b, size_t *out_n)
{
	char *p = mem_realloc(b->p, b->n + 1);
	p[b->n] = '\0';
	if (out_n)
		*out_n = b->n;
	buf_init(b, b->max);
	return p;
}
