/*
 * After MDB_PANIC (M18: writing the meta page failed) LMDB refuses every begin, reads too, for the life of the environment. It is closed and
 * opened again in the same process, in the locked directory, with no reader inside the gate, so that reads and login go on while the disk is
 * full (D06). The writer thread does it, at once and then every 100 ms while it fails; readers wait for it a moment.
 *
 * The commit that failed at its last step may be in the file all the same. When it is, its operations were told a failure and nobody
 * was sent their messages: the process must start anew, which delivers from the log (store_panicked). When it is not, nothing happened.
 */
#include "storage/lmdb_impl.h"
#include "base/clock.h"
#include <errno.h>
#include <time.h>

enum {
	QUIET_WAIT_MS = 200, /* for read transactions to end: they last a loop step (D08) */
	AGAIN_MS = 100,	     /* between two tries, and writes are held off that long when panics follow each other */
	CLOSE_PANICS_MS = 1000,
	READERS_WAIT_MS = 500, /* after that reads fail: loops must not stand still */
	HOPELESS_MS = 30 * 1000,
};

void lmdb_note_panic(struct lmdb *l)
{
	if (!l->panicked)
		l->down_since_ms = clock_mono_ms();
	l->panicked = true;
}

static void drop_spares(struct lmdb *l)
{
	pthread_mutex_lock(&l->gate);
	struct lmdb_txn *x = l->spare;

	l->spare = NULL;
	l->spares = 0;
	pthread_mutex_unlock(&l->gate);
	while (x) {
		struct lmdb_txn *next = x->next_spare;

		lmdb_free_handle(x);
		x = next;
	}
}

static void close_env(struct lmdb *l)
{
	if (l->env)
		mdb_env_close(l->env);
	l->env = NULL;
}

/* Gate closed, nobody inside: the environment is ours alone. */
static int reopen(struct lmdb *l)
{
	MDB_envinfo i;

	drop_spares(l);
	close_env(l);
	int err = lmdb_open_again(l);

	if (err) {
		close_env(l);
		return err;
	}
	mdb_env_info(l->env, &i);
	if (l->doubtful && i.me_last_txnid >= l->doubtful) {
		close_env(l);
		l->hopeless = true;
		return ERR_IO;
	}
	l->doubtful = 0;
	l->reopens++;
	l->panicked = false;
	return 0;
}

int lmdb_recover(struct lmdb *l)
{
	uint64_t now = clock_mono_ms();

	if (!l->panicked)
		return 0;
	if (!l->write_err)
		l->write_err = ERR_IO;
	if (l->hopeless || now < l->next_reopen_ms)
		return ERR_IO;
	l->quiet_wanted = true; /* a backup gives way */
	int err = ERR_AGAIN;

	if (lmdb_gate_close(l, QUIET_WAIT_MS)) {
		err = reopen(l);
		lmdb_gate_open(l);
	}
	l->quiet_wanted = false;
	if (!err)
		return 0;
	l->next_reopen_ms = clock_mono_ms() + AGAIN_MS;
	if (err != ERR_NO_SPACE && now - l->down_since_ms > HOPELESS_MS)
		l->hopeless = true;
	return err;
}

bool lmdb_commit_panicked(struct lmdb *l, uint64_t id, int err)
{
	uint64_t now = clock_mono_ms();

	l->doubtful = id;
	l->write_err = err;
	l->next_reopen_ms = 0;
	if (l->last_panic_ms && now - l->last_panic_ms < CLOSE_PANICS_MS)
		l->next_write_ms = now + AGAIN_MS;
	l->last_panic_ms = now;
	return lmdb_recover(l) == 0;
}

bool lmdb_await_recovery(struct lmdb *l)
{
	uint64_t end_ms = l->down_since_ms + READERS_WAIT_MS;
	struct timespec until = { (time_t)(end_ms / 1000), (long)(end_ms % 1000) * 1000000 };

	pthread_mutex_lock(&l->gate);
	while (l->panicked && !l->hopeless)
		if (pthread_cond_timedwait(&l->changed, &l->gate, &until) == ETIMEDOUT)
			break;
	bool well = !l->panicked;

	pthread_mutex_unlock(&l->gate);
	return well;
}

static struct lmdb *down(struct store *s)
{
	struct lmdb *l = (struct lmdb *)(void *)s;

	return s->e == &lmdb_engine && l->panicked ? l : NULL;
}

bool store_down(struct store *s)
{
	return down(s) != NULL;
}

bool store_panicked(struct store *s)
{
	struct lmdb *l = down(s);

	return l && l->hopeless;
}

void store_recover(struct store *s)
{
	struct lmdb *l = down(s);

	if (!l)
		return;
	pthread_mutex_lock(&s->write_lock);
	lmdb_recover(l);
	pthread_mutex_unlock(&s->write_lock);
}
