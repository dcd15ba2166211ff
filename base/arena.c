/*
 * Bump allocator for what lives as long as one stanza or request. One thread per arena; the arena owns all its
 * blocks. Blocks form a stack: the top one is filled, the bottom one lies in the same piece of memory as the arena
 * itself and is what arena_reset() keeps. A request larger than a block gets a block of its own on top. Under
 * AddressSanitizer bytes that are not handed out are poisoned, so that a pointer kept past a reset is found by the
 * first test that follows it.
 */
#include "base/arena.h"
#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define FORBID(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define ALLOW(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define FORBID(p, n) ((void)(p), (void)(n))
#define ALLOW(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 16 };

struct block {
	struct block *below;
	size_t cap, used;
	size_t before; /* bytes used in all blocks below */
	char data[];
};
struct arena {
	struct block *top;
	size_t block_bytes;
	struct block bottom; /* its data follow */
};
/* malloc gives 16-byte alignment; data keep it only when the headers are multiples of it. */
static_assert(sizeof(struct block) % ALIGN == 0, "block data must be aligned");
static_assert(offsetof(struct arena, bottom) % ALIGN == 0, "bottom block data must be aligned");

static size_t round_up(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

struct arena *arena_new(size_t block_bytes)
{
	block_bytes = round_up(block_bytes > 0 ? block_bytes : 1);
	struct arena *a = mem_alloc(sizeof(*a) + block_bytes);
	a->block_bytes = block_bytes;
	a->bottom.below = NULL;
	a->bottom.cap = block_bytes;
	a->bottom.used = a->bottom.before = 0;
	a->top = &a->bottom;
	FORBID(a->bottom.data, block_bytes);
	return a;
}

/* Frees the blocks above keep, which becomes the top with used bytes. */
static void unwind(struct arena *a, struct block *keep, size_t used)
{
	while (a->top != keep) {
		struct block *gone = a->top;
		a->top = gone->below;
		assert(a->top);
		ALLOW(gone->data, gone->cap);
		mem_free(gone);
	}
	assert(used <= keep->used);
	FORBID(keep->data + used, keep->cap - used);
	keep->used = used;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	unwind(a, &a->bottom, 0);
	ALLOW(a->bottom.data, a->bottom.cap);
	mem_free(a);
}

void arena_reset(struct arena *a)
{
	unwind(a, &a->bottom, 0);
}

static struct block *grow(struct arena *a, size_t n)
{
	size_t cap = n > a->block_bytes ? n : a->block_bytes;
	struct block *b = mem_alloc(sizeof(*b) + cap);
	b->below = a->top;
	b->cap = cap;
	b->used = 0;
	b->before = a->top->before + a->top->used;
	FORBID(b->data, cap);
	a->top = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	assert(n <= SIZE_MAX / 2);
	struct block *b = a->top;
	size_t need = round_up(n > 0 ? n : 1);
	if (__builtin_expect(need > b->cap - b->used, 0))
		b = grow(a, need);
	char *p = b->data + b->used;
	b->used += need;
	ALLOW(p, n);
	return p;
}

void *arena_zero(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return str_of(p, s.n);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	assert(n >= 0);
	struct str s;
	if ((size_t)n < sizeof(small)) {
		s = arena_str(a, str_of(small, (size_t)n));
	} else {
		char *p = arena_alloc(a, (size_t)n + 1);
		(void)vsnprintf(p, (size_t)n + 1, fmt, again);
		s = str_of(p, (size_t)n);
	}
	va_end(again);
	return s;
}

struct str arena_cat(struct arena *a, struct str first, ...)
{
	va_list ap, again;
	size_t n = 0;
	va_start(ap, first);
	va_copy(again, ap);
	for (struct str s = first; s.p; s = va_arg(ap, struct str))
		n += s.n;
	va_end(ap);
	char *p = arena_alloc(a, n + 1), *at = p;
	for (struct str s = first; s.p; s = va_arg(again, struct str)) {
		memcpy(at, s.p, s.n);
		at += s.n;
	}
	va_end(again);
	*at = '\0';
	return str_of(p, n);
}

size_t arena_used(const struct arena *a)
{
	return a->top->before + a->top->used;
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->top, a->top->used };
}

void arena_release(struct arena *a, struct arena_mark m)
{
	unwind(a, m.block, m.used);
}
