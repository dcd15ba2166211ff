/* Bump allocator: everything of one stanza or request lives here and goes at once. One thread per arena. */
#pragma once
#include "base/str.h"

struct arena;
struct arena_mark { void *block; size_t used; };

/* block_bytes: size of a regular block; larger requests get a block of their own. */
struct arena *arena_new(size_t block_bytes);
void arena_free(struct arena *a);
/* Forgets everything, keeps one block. */
void arena_reset(struct arena *a);
/* Uninitialised, 16-byte aligned, never NULL. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
void *arena_zero(struct arena *a, size_t n) __attribute__((returns_nonnull));
/* Copy of a slice; the copy is NUL-terminated behind its length. */
struct str arena_str(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Concatenates slices up to one with p == NULL: arena_cat(a, STR("a"), s, STR_NONE). */
struct str arena_cat(struct arena *a, struct str first, ...);
/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *a);
/* Stack discipline inside one stanza: release drops what was allocated after the mark. */
struct arena_mark arena_mark(const struct arena *a);
void arena_release(struct arena *a, struct arena_mark m);

#define ARENA_NEW(a, T) ((T *)arena_zero((a), sizeof(T)))
