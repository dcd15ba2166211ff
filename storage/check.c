/*
 * Reads everything (row D13): counts records and damaged ones per table and hashes all of it. In pages with a read transaction
 * each, so that a running daemon is not held up (D08); the hash of a store that changes meanwhile means nothing.
 */
#include "storage/check.h"
#include "storage/engine_impl.h"
#include "storage/record.h"
#include "base/buf.h"
#include "base/crypto.h"
#include <string.h>

enum { PAGE_RECORDS = 1000, PAGE_BYTES = 1 << 20, HASHED_AT_ONCE = 64 << 10, HASH_BYTES = 32 };

struct walk {
	struct check_report *out;
	struct buf pending; /* begins with the hash so far */
};

/* The hash is a chain: each link is SHA-256 over the former one and about 64 KiB of records. */
static void hash_pending(struct walk *w)
{
	uint8_t link[HASH_MAX];

	digest(HASH_SHA256, buf_str(&w->pending), link);
	buf_reset(&w->pending);
	buf_add(&w->pending, link, HASH_BYTES);
}

static void hash_part(struct walk *w, struct str s)
{
	uint64_t n = s.n;

	buf_add(&w->pending, &n, sizeof(n));
	if (s.n)
		buf_add(&w->pending, s.p, s.n);
}

static void see(struct walk *w, enum table tab, struct str key, struct str value)
{
	struct recr r;

	w->out->records[tab]++;
	if (recr_open(&r, value))
		w->out->damaged[tab]++;
	hash_part(w, str_c(table_name(tab)));
	hash_part(w, key);
	hash_part(w, value);
	if (w->pending.n > HASHED_AT_ONCE)
		hash_pending(w);
}

/* One page from *from on; *from becomes the last key seen, *more tells whether there may be more. */
static int read_page(struct store *s, struct walk *w, enum table tab, struct buf *from, bool *more)
{
	struct txn *t = txn_read(s);
	struct scan sc;
	size_t n = 0, bytes = 0;

	scan_open(&sc, t, tab, STR_NONE, buf_str(from));
	while (n < PAGE_RECORDS && bytes < PAGE_BYTES && scan_next(&sc)) {
		if (n == 0 && str_eq(sc.key, buf_str(from)))
			continue;
		n++;
		bytes += sc.key.n + sc.value.n;
		see(w, tab, sc.key, sc.value);
		if (n == PAGE_RECORDS || bytes >= PAGE_BYTES) {
			buf_reset(from);
			buf_str_add(from, sc.key);
		}
	}
	*more = n == PAGE_RECORDS || bytes >= PAGE_BYTES;
	scan_close(&sc);
	return txn_commit(t);
}

int store_check(struct store *s, struct check_report *out)
{
	struct walk w = { .out = out };
	struct buf from;
	uint64_t damaged = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	buf_init(&w.pending, SIZE_MAX / 2);
	buf_init(&from, STORE_KEY_MAX);
	for (unsigned tab = 0; tab < TAB_COUNT && !err; tab++) {
		bool more = true;

		buf_reset(&from);
		while (more && !err)
			err = read_page(s, &w, (enum table)tab, &from, &more);
		damaged += out->damaged[tab];
	}
	hash_pending(&w);
	memcpy(out->hash, w.pending.p, HASH_BYTES);
	buf_clear(&w.pending);
	buf_clear(&from);
	return err ? err : damaged ? ERR_CORRUPT : 0;
}
