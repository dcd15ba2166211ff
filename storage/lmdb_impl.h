/* Shared by lmdb.c (transactions) and lmdb_open.c (files, locks, checks at open). Inside storage/ only. */
#pragma once
#include "storage/engine_impl.h"
#include <lmdb.h>

#define MAP_DEFAULT ((size_t)64 << 20)
#define MAP_STEP_MAX ((size_t)1 << 30)
#define READERS_DEFAULT 1024 /* D09 */
#define SPARE_READERS 64

struct lmdb_txn {
	struct txn t;
	MDB_txn *mdb;
	struct lmdb_txn *next_spare;
	bool scarce;                       /* write: the map is nearly full and cannot grow: no new keys (D07) */
	MDB_cursor *put_cursor[TAB_COUNT]; /* write: one per table used, LMDB frees them with the txn */
	MDB_cursor *scan_cursor[TAB_COUNT];/* read: one kept per table and renewed */
};

struct lmdb {
	struct store s;
	MDB_env *env;
	MDB_dbi dbi[TAB_COUNT];
	bool has[TAB_COUNT];               /* false: a read-only file of an older version has no such table */
	int lock_fd;
	char *dir;
	size_t map, max_map, page;
	struct lmdb_txn *write_handle;     /* reused for each write txn; under write_lock */
	bool no_growth;                    /* the last try to grow failed; under write_lock */
	uint64_t next_soft_try_ms;         /* under write_lock */

	pthread_mutex_t gate;              /* protects all below */
	pthread_cond_t changed;            /* readers 0, or gate opened */
	bool closed;                       /* a growth waits for readers == 0: new readers wait, nested ones pass */
	unsigned readers;
	struct lmdb_txn *spare;
	unsigned spares;
	_Atomic uint64_t growths, growths_failed;
	_Atomic bool quiet_wanted;         /* a growth failed for readers: long readers shall give way */
	_Atomic bool panicked;
};

extern const struct store_engine lmdb_engine;

/* LMDB's code or errno -> ours. */
int lmdb_error(struct lmdb *l, int rc);
/* Reads the map size after open and growth. */
void lmdb_note_map(struct lmdb *l);
/* Grows until used + extra bytes fit below 75 %; waits at most so long for readers. 0, ERR_AGAIN, ERR_NO_SPACE. Under write_lock. */
int lmdb_grow(struct lmdb *l, uint64_t used, uint64_t extra, unsigned wait_ms);
/* Highest page ever used, in bytes. */
uint64_t lmdb_used(struct lmdb *l);
