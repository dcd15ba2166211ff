/*
 * The store: ordered byte keys in named tables, read transactions on any thread, one write transaction at a time (the writer
 * thread, see writer.h). A transaction has a sticky error: calls after a failure do nothing, check once at commit.
 * Two engines with the same tests: LMDB (lmdb.c: default sync, NOTLS, no WRITEMAP, no DUPSORT, rows D01-D14) and memory (mem.c).
 * Values put with txn_put are records (record.h: version and CRC32C); engines do not look into them.
 */
#pragma once
#include "base/err.h"

enum table {
#define TABLE(id, name, doc) TAB_##id,
#include "storage/tables.def"
#undef TABLE
	TAB_COUNT
};

struct store;
struct txn;
struct store_options {
	size_t map_bytes;        /* initial LMDB map, 0 = 64 MiB; grows by itself at 75 % (D07) */
	size_t max_map_bytes;    /* the map never grows beyond; 0 = no limit but the address space */
	unsigned max_readers;    /* 0 = 1024 (D09) */
	bool allow_network_fs;   /* D10: otherwise nfs, cifs, fuse are refused */
	bool read_only;          /* vestnikctl check on a backup */
};
struct store_info {
	uint64_t map_bytes, used_bytes, last_txn, schema;
	uint64_t readers;        /* read transactions open now */
	uint64_t slow_reads;     /* read transactions that were open longer than 100 ms (D08) */
	uint64_t growths, growths_failed;
	uint64_t reopens;        /* the environment was closed and opened again after MDB_PANIC (M18) */
};

/* Opens or creates. dir is the data directory; takes its lock file (second instance: ERR_BUSY). msg names the cure.
 * ERR_VERSION: data.mdb is foreign; ERR_CORRUPT: truncated; ERR_UNSUPPORTED: network file system (D10, D12). */
int store_open_lmdb(const char *dir, const struct store_options *o, struct store **out, struct err_msg *msg);
struct store *store_open_mem(void);
/* All transactions must have ended. NULL is fine. */
void store_close(struct store *s);
void store_get_info(struct store *s, struct store_info *out);
/* Clears slots of dead readers (D09); returns how many. Call each minute. */
int store_reader_check(struct store *s);
/* True while the store refuses everything after MDB_PANIC (M18) and waits to be opened again. */
bool store_down(struct store *s);
/* Tries to open it again, when that is due. The writer thread calls it; a txn_write does too. */
void store_recover(struct store *s);
/* True when only a restart of the process helps: opening again failed for 30 s (not for lack of space), or the commit that was told
 * as failed is in the file. End in a controlled way (D06). */
bool store_panicked(struct store *s);
/* Compacting copy into an empty directory while serving (D13); 0 or error with msg. Any thread but a loop.
 * Gives up after 30 minutes or when the store grows too much meanwhile (ERR_TIMEOUT, ERR_LIMIT); leaves nothing then. */
int store_backup(struct store *s, const char *dir, struct err_msg *msg);

/* Snapshot for reading; short-lived (one loop step, D08). Never NULL; a failed begin is a sticky error.
 * Ends on the thread where it began. */
struct txn *txn_read(struct store *s);
/* The one write transaction; writer thread and offline tools only. Waits for the former one to end. */
struct txn *txn_write(struct store *s);
/* For offline tools: runs fn in one write transaction, repeated after map growth, so fn must have no other effects. */
int store_apply(struct store *s, int (*fn)(struct txn *t, void *ctx), void *ctx);
/* Commits (or ends a read) and frees the handle. Returns the sticky error or the commit's. */
int txn_commit(struct txn *t);
void txn_abort(struct txn *t);
int txn_error(const struct txn *t);
/* Sets the sticky error (from a table module that found damage). */
void txn_fail(struct txn *t, int error);

/* Value valid until the next write in this txn or its end. 0, ERR_NOT_FOUND (not sticky) or a sticky error. */
int txn_get(struct txn *t, enum table tab, struct str key, struct str *out_value);
#define TXN_APPEND 1 /* the key is greater than every key in the table (checked by the engine: sticky ERR_CONFLICT) */
/* The value must not point into the store itself. Key empty or > 511 bytes, value NONE: sticky ERR_LIMIT. */
void txn_put(struct txn *t, enum table tab, struct str key, struct str value, unsigned flags);
/* True when something was deleted. */
bool txn_del(struct txn *t, enum table tab, struct str key);

/* Ordered scan. Key and value are valid until the next step; in a write txn the value only until the next put or delete.
 * Puts and deletes while scanning are allowed (also of the current key): the scan goes on behind the current key.
 * Close it before the transaction ends. */
struct scan_state;
struct scan { struct txn *t; enum table tab; struct scan_state *state; struct str prefix; struct str key, value; bool reverse, started; };
/* All keys with the prefix, ascending; from (may be empty) is the first key wanted (>=). */
void scan_open(struct scan *s, struct txn *t, enum table tab, struct str prefix, struct str from);
/* The same descending; from (empty: the end) is the last key wanted (<=). */
void scan_open_reverse(struct scan *s, struct txn *t, enum table tab, struct str prefix, struct str from);
bool scan_next(struct scan *s);
void scan_close(struct scan *s);
