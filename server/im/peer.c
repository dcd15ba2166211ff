/* A per-worker cache over the account table, emptied as a whole when any account, block list or archiving preference changes (a generation counter): changes are rare
 * beside messages, and a wrong entry would be worse than a miss. */
#include "server/im/peer.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_block.h"
#include "storage/tab_mam_prefs.h"
#include <stdatomic.h>

#define CACHE_MAX 20000

static atomic_uint generation = 1;
static _Thread_local struct hash *cache;
static _Thread_local unsigned cache_generation;
static _Thread_local uint64_t cache_number = 1; /* raised when the entries go */

static void cache_clear(void)
{
	size_t pos = 0;
	void *v;
	struct str key;

	if (!cache)
		return;
	while (hash_next(cache, &pos, &key, &v))
		mem_free(v);
	hash_free(cache);
	cache = NULL;
	cache_number++;
}

void peer_forget_all(void)
{
	atomic_fetch_add_explicit(&generation, 1, memory_order_release);
}

void peer_thread_end(void)
{
	cache_clear();
}

static struct peer *peer_load(const struct jid *bare)
{
	struct str name = jid_bare(bare);
	struct peer *p = mem_zero(sizeof *p + name.n + 1);
	char *copy = (char *)(p + 1);
	struct account_rec rec;
	struct txn *t = im_read();

	memcpy(copy, name.p, name.n);
	p->bare = str_of(copy, name.n);
	p->home = threads_home(p->bare);
	if (account_get(t, jid_domain(bare), jid_local(bare), &rec) == 0) {
		p->archived = rec.id;
		p->id = rec.disabled ? 0 : rec.id;
		p->disabled = rec.disabled;
		p->has_blocks = p->id && block_any(t, p->id);
		p->has_prefs = mam_prefs_any(t, rec.id);
	}
	if (txn_commit(t))
		cache_generation = 0; /* not read is not the same as absent: asked anew next time (row D06) */
	return p;
}

static void cache_check(void)
{
	unsigned now = atomic_load_explicit(&generation, memory_order_acquire);

	if (now != cache_generation || (cache && hash_count(cache) >= CACHE_MAX)) {
		cache_clear();
		cache_generation = now;
	}
	if (!cache)
		cache = hash_new();
}

const struct peer *peer_get(const struct jid *bare)
{
	cache_check();
	struct peer *p = hash_get(cache, jid_bare(bare));
	if (p)
		return p;
	p = peer_load(bare);
	hash_put(cache, p->bare, p);
	return p;
}

const struct peer *peer_at(struct peer_place *place, const struct jid *bare)
{
	cache_check();
	if (place->cache != cache_number) {
		place->peer = peer_get(bare);
		place->cache = cache_number;
	}
	return place->peer;
}

bool peer_blocks(const struct peer *p, const struct jid *who)
{
	if (!p->id || !p->has_blocks)
		return false;
	struct txn *t = im_read();
	bool hit = block_get(t, p->id, who->full) || block_get(t, p->id, jid_bare(who)) ||
		   block_get(t, p->id, jid_domain(who));
	txn_commit(t);
	return hit;
}
