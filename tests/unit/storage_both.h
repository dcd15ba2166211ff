/* For storage tests: BOTH(name) is a TEST run twice, s being an empty store of the memory engine and then of LMDB. */
#pragma once
#include "storage/engine.h"
#include "tests/lib/test.h"
#include <stdio.h>

static inline struct store *both_open_lmdb(const char *name)
{
	struct store_options o = { .map_bytes = 64 << 20 };
	struct err_msg msg = { "" };
	struct store *s = NULL;
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/%s", test_tmpdir(), name);
	int err = store_open_lmdb(dir, &o, &s, &msg);

	if (err)
		diag("%s: %s", err_text(err), msg.text);
	return s;
}

#define BOTH(name)                                                                                             \
	static void both_##name(struct store *s);                                                              \
	TEST(name##_mem)                                                                                       \
	{                                                                                                      \
		struct store *s = store_open_mem();                                                            \
		both_##name(s);                                                                                \
		store_close(s);                                                                                \
	}                                                                                                      \
	TEST(name##_lmdb)                                                                                      \
	{                                                                                                      \
		struct store *s = both_open_lmdb(#name);                                                       \
		require(s, "opens");                                                                           \
		both_##name(s);                                                                                \
		store_close(s);                                                                                \
	}                                                                                                      \
	static void both_##name(struct store *s)
