/* Shared by lmdb.c (transactions), lmdb_open.c (files, locks, checks at open) and lmdb_recover.c (after MDB_PANIC). Inside storage/ only. */
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
	unsigned max_readers;
	struct lmdb_txn *write_handle;     /* reused for each write txn; under write_lock */
	bool no_growth;                    /* the last try to grow failed; under write_lock */
	uint64_t next_soft_try_ms;         /* under write_lock */

	/* After MDB_PANIC (lmdb_recover.c); under write_lock but for the atomic ones. */
	_Atomic bool panicked;             /* the environment refuses everything, or is closed (env NULL) */
	_Atomic bool hopeless;             /* and only a new process helps */
	_Atomic uint64_t down_since_ms;    /* when that was noticed */
	_Atomic uint64_t reopens;
	uint64_t doubtful;                 /* number of the commit that failed at its last step: in the file or not */
	uint64_t next_reopen_ms, next_write_ms, last_panic_ms;
	int write_err;                     /* what that commit failed with */

	pthread_mutex_t gate;              /* protects all below */
	pthread_cond_t changed;            /* readers 0, or gate opened */
	bool closed;                       /* a growth waits for readers == 0: new readers wait, nested ones pass */
	unsigned readers;
	struct lmdb_txn *spare;
	unsigned spares;
	_Atomic uint64_t growths, growths_failed;
	_Atomic bool quiet_wanted;         /* a growth failed for readers: long readers shall give way */
};

extern const struct store_engine lmdb_engine;

/* lmdb.c. Keeps new readers out and waits for those inside; true (closed) when none is left. */
bool lmdb_gate_close(struct lmdb *l, unsigned wait_ms);
void lmdb_gate_open(struct lmdb *l);
/* lmdb.c. Ends the handle's LMDB transaction and frees it. */
void lmdb_free_handle(struct lmdb_txn *x);
/* lmdb_open.c. The environment and its tables once more, in a directory that is ours already; writes nothing. Gate closed. */
int lmdb_open_again(struct lmdb *l);
/* lmdb_recover.c. MDB_PANIC was seen. Any thread, inside the gate. */
void lmdb_note_panic(struct lmdb *l);
/* The commit with this number failed at its last step: opens the environment again at once. True: it is certainly not in the file. Under write_lock. */
bool lmdb_commit_panicked(struct lmdb *l, uint64_t id, int err);
/* Opens again when that is due; 0 or why not. Under write_lock. */
int lmdb_recover(struct lmdb *l);
/* Waits a moment for the environment to be opened again; true when it is. Outside the gate, any thread without a read transaction. */
bool lmdb_await_recovery(struct lmdb *l);

/* LMDB's code or errno -> ours. */
int lmdb_error(struct lmdb *l, int rc);
/* Reads the map size after open and growth. */
void lmdb_note_map(struct lmdb *l);
/* Grows until used + extra bytes fit below 75 %; waits at most so long for readers. 0, ERR_AGAIN, ERR_NO_SPACE. Under write_lock. */
int lmdb_grow(struct lmdb *l, uint64_t used, uint64_t extra, unsigned wait_ms);
/* Highest page ever used, in bytes. */
uint64_t lmdb_used(struct lmdb *l);
