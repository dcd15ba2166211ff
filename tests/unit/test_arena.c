/*
 * base/arena: alignment, marks, strings. Use after a reset is found by AddressSanitizer because the arena poisons
 * what it took back; that it does is tested where the sanitizer is on.
 */
#include "base/arena.h"
#include "tests/lib/test.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

TEST(allocations_are_aligned_and_apart)
{
	struct arena *a = arena_new(256);
	char *p[200];
	bool aligned = true;
	for (size_t i = 0; i < 200; i++) {
		size_t n = i * 7 % 500; /* some larger than a block */
		p[i] = arena_alloc(a, n);
		aligned = aligned && (uintptr_t)p[i] % 16 == 0;
		memset(p[i], (int)i, n);
	}
	ok(aligned, "16-byte alignment");
	bool kept = true;
	for (size_t i = 0; i < 200; i++) {
		for (size_t k = 0; k < i * 7 % 500; k++)
			kept = kept && (unsigned char)p[i][k] == (unsigned char)i;
	}
	ok(kept, "no allocation overlaps another");
	arena_free(a);
	arena_free(NULL);
}

TEST(reset_keeps_one_block)
{
	struct arena *a = arena_new(1000);
	char *first = arena_alloc(a, 10);
	for (int i = 0; i < 50; i++)
		arena_alloc(a, 900);
	ok(arena_used(a) >= 50 * 900, "counts what was handed out: %zu", arena_used(a));
	arena_reset(a);
	is_int(arena_used(a), 0);
	is_ptr(arena_alloc(a, 10), first);
	arena_free(a);
}

TEST(release_drops_what_came_after_the_mark)
{
	struct arena *a = arena_new(128);
	struct str kept = arena_str(a, STR("kept"));
	struct arena_mark m = arena_mark(a);
	size_t used = arena_used(a);
	char *next = arena_alloc(a, 1);
	for (int i = 0; i < 20; i++)
		arena_alloc(a, 100);
	struct arena_mark inner = arena_mark(a);
	arena_alloc(a, 5000);
	arena_release(a, inner);
	arena_release(a, m);
	is_int(arena_used(a), used);
	is_str(kept, STR("kept"));
	is_ptr(arena_alloc(a, 1), next);
	arena_release(a, m);
	arena_release(a, m);
	is_int(arena_used(a), used);
	arena_free(a);
}

TEST(zeroed_memory_after_use)
{
	struct arena *a = arena_new(64);
	memset(arena_alloc(a, 64), 0xff, 64);
	arena_reset(a);
	static const char zeros[64];
	is_mem(arena_zero(a, 64), zeros, 64);
	arena_free(a);
}

TEST(strings)
{
	struct arena *a = arena_new(64);
	struct str s = arena_str(a, str_of("abcdef", 3));
	is_str(s, STR("abc"));
	is_int(s.p[3], 0);
	struct str none = arena_str(a, STR_NONE);
	ok(none.p && none.n == 0 && none.p[0] == '\0', "a copy of nothing is an empty text");
	is_str(arena_printf(a, "%d-%s", 42, "x"), STR("42-x"));
	struct str wide = arena_printf(a, "%1000d", 7);
	is_int(wide.n, 1000);
	is_int(wide.p[999], '7');
	is_int(wide.p[1000], 0);
	/* the border between the two ways of printing */
	is_int(arena_printf(a, "%255d", 1).n, 255);
	is_int(arena_printf(a, "%256d", 1).n, 256);
	struct str cat = arena_cat(a, STR("a"), STR(""), STR("bc"), STR_NONE);
	is_str(cat, STR("abc"));
	is_int(cat.p[3], 0);
	is_int(arena_cat(a, STR_NONE).n, 0);
	arena_free(a);
}

TEST(memory_taken_back_is_poisoned)
{
#if defined(__SANITIZE_ADDRESS__)
	struct arena *a = arena_new(256);
	char *p = arena_alloc(a, 20);
	ok(!__asan_address_is_poisoned(p + 19), "handed out");
	ok(__asan_address_is_poisoned(p + 20), "the byte behind an allocation is not ours");
	arena_reset(a);
	ok(__asan_address_is_poisoned(p), "not ours after a reset");
	arena_free(a);
#else
	skip("built without AddressSanitizer");
#endif
}
