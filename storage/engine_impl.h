/*
 * Inside storage/ only: what an engine provides (struct store_engine) and what both engines share. engine.c holds everything
 * that does not depend on the engine: sticky errors, scans, the changes hook, fault points, the write lock.
 */
#pragma once
#include "storage/changes.h"
#include "storage/engine.h"
#include "base/arena.h"
#include <pthread.h>
#include <stdatomic.h>

#define STORE_KEY_MAX 511  /* LMDB's compile-time limit; the memory engine keeps it too */
#define CHANGE_HOOKS 4
#define SLOW_READ_MS 100   /* D08 */

enum cursor_move { CURSOR_SEEK /* first key >= */, CURSOR_FIRST, CURSOR_LAST, CURSOR_NEXT, CURSOR_PREV };

struct cursor;
/* All return 0 or an error; ERR_NOT_FOUND is no damage. The caller (engine.c) makes errors sticky. */
struct store_engine {
	const char *name;
	void (*close)(struct store *s);
	void (*info)(struct store *s, struct store_info *out);
	int (*reader_check)(struct store *s);
	/* Makes room for so many bytes more, if readers allow; used before a long reader (backup). */
	void (*reserve)(struct store *s, uint64_t bytes);
	/* True when the writer waits for read transactions to end: a long reader must give way. */
	bool (*wants_quiet)(struct store *s);
	/* Never NULL; err is set when the begin failed. commit and abort free the handle in every case. */
	struct txn *(*begin)(struct store *s, bool write);
	int (*commit)(struct txn *t);
	void (*abort)(struct txn *t);
	int (*get)(struct txn *t, enum table tab, struct str key, struct str *out_value);
	int (*put)(struct txn *t, enum table tab, struct str key, struct str value, unsigned flags);
	int (*del)(struct txn *t, enum table tab, struct str key);
	int (*cursor_open)(struct txn *t, enum table tab, struct cursor **out);
	int (*cursor_move)(struct txn *t, struct cursor *c, enum cursor_move how, struct str key, struct str *out_key, struct str *out_value);
	void (*cursor_close)(struct txn *t, enum table tab, struct cursor *c);
};

struct change_hook { uint64_t tables; changes_fn *fn; void *ctx; };

struct store {
	const struct store_engine *e;
	pthread_mutex_t write_lock;          /* held from txn_write to its end */
	struct change_hook hook[CHANGE_HOOKS];
	unsigned hooks;
	uint64_t hooked;                     /* union of the masks */
	struct arena *change_mem;            /* bytes of the recorded changes; under write_lock */
	struct change *change;
	size_t changes, change_cap;
	bool map_full;                       /* the last write txn ran out of map; under write_lock */
	bool fate_unknown;                   /* the last write txn failed and may be stored all the same: never repeat it; under write_lock */
	bool read_only;
	_Atomic uint64_t schema;             /* set by migrate_check */
	_Atomic uint64_t slow_reads;
};

/* Per scan: the engine's cursor and, in write transactions, the place to go on from. Kept in the txn for reuse. */
struct scan_state {
	struct scan_state *next;
	struct cursor *cursor;
	uint32_t gen;                        /* txn->gen[tab] when the cursor was placed */
	bool inclusive;                      /* start: pos itself is wanted too */
	bool at_end;                         /* start: no bound, from the first or last key */
	size_t pos_n, prefix_n;
	char pos[STORE_KEY_MAX + 1], prefix[STORE_KEY_MAX + 1];
};

struct txn {
	struct store *s;
	int err;                             /* sticky */
	bool write;
	uint64_t id;                         /* of a write txn: number of its commit */
	uint64_t puts, bytes;                /* puts and deletes so far, their bytes */
	uint64_t begin_ms;                   /* of a read */
	unsigned scans;                      /* open */
	struct scan_state *spare;
	uint32_t gen[TAB_COUNT];             /* of a write: raised by each put or delete */
};

void store_init(struct store *s, const struct store_engine *e);
/* Frees what store_init made. */
void store_clear(struct store *s);
/* The engine's txn_init/txn_clear: fields that engine.c uses. Clear frees spare scan states. */
void txn_init(struct txn *t, struct store *s, bool write);
void txn_clear(struct txn *t);
/* Fields to their start values, keeping spare scan states (a pooled handle is used again). */
void txn_reinit(struct txn *t);

/* Engine-independent names of tables, as stored. */
const char *table_name(enum table tab);

/* LMDB only, for backup.c: a fresh file dir/name without lock file, not synced per commit; finish with lmdb_copy_finish. */
int lmdb_copy_begin(const char *file, uint64_t map_bytes, struct store **out, struct err_msg *msg);
/* Syncs, closes (always), checks the length. 0 or error. */
int lmdb_copy_finish(struct store *s, const char *file, struct err_msg *msg);
/* A directory, or the one above it, to disk: new names survive a power cut only then (D02). 0 or error; any thread. */
int store_sync_dir(const char *path);
int store_sync_parent(const char *path);
/* True for the statfs magic of a network or FUSE file system (D10). */
bool fs_is_network(uint64_t magic, const char **out_name);
