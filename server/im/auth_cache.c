/*
 * The password cache: set-associative tables of keyed digests, so that a morning of PLAIN logins does not cost PBKDF2
 * each. A raised credentials epoch makes old entries unreachable; they fade by age. Any thread; one mutex per shard.
 */
#include "server/im/auth_cache.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/random.h"
#include "server/im/auth.h"
#include "server/net/limits.h"
#include <assert.h>
#include <pthread.h>

#define SHARDS 16u
#define SETS 256u
#define WAYS 4u
#define DIGEST 32u

struct entry {
	uint8_t digest[DIGEST];
	uint64_t expires_ms; /* monotonic; 0: unused */
};
struct shard {
	pthread_mutex_t lock;
	struct entry sets[SETS][WAYS];
};
static struct shard shards[SHARDS] = { [0 ... SHARDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };
static uint8_t process_key[DIGEST];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	random_bytes(process_key, sizeof(process_key));
}

static void entry_digest(uint32_t id, uint32_t epoch, struct str prepared, uint8_t out[HASH_MAX])
{
	char text[8 + AUTH_PREPARED_MAX];

	assert(prepared.n <= AUTH_PREPARED_MAX);
	pthread_once(&key_once, make_key);
	memcpy(text, &id, 4);
	memcpy(text + 4, &epoch, 4);
	memcpy(text + 8, prepared.p, prepared.n);
	hmac(HASH_SHA256, str_of((char *)process_key, DIGEST), str_of(text, 8 + prepared.n), out);
	secret_wipe(text, 8 + prepared.n);
}

/* Entry with the digest, or NULL; *out_worst is the one to give up. Shard locked. */
static struct entry *find(struct shard *sh, const uint8_t *digest_of, uint64_t now, struct entry **out_worst)
{
	struct entry *set = sh->sets[digest_of[1]];
	struct entry *found = NULL;

	_Static_assert(SETS == 256 && SHARDS == 16, "indexed by one byte and one nibble of the digest");
	*out_worst = &set[0];
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].expires_ms < (*out_worst)->expires_ms)
			*out_worst = &set[i];
		if (set[i].expires_ms > now &&
		    secret_eq(str_of((char *)set[i].digest, DIGEST), str_of((const char *)digest_of, DIGEST)))
			found = &set[i];
	}
	return found;
}

bool auth_cache_has(uint32_t account_id, uint32_t epoch, struct str prepared)
{
	uint8_t d[HASH_MAX];
	struct entry *worst;

	entry_digest(account_id, epoch, prepared, d);
	struct shard *sh = &shards[d[0] % SHARDS];
	pthread_mutex_lock(&sh->lock);
	bool has = find(sh, d, clock_mono_ms(), &worst) != NULL;
	pthread_mutex_unlock(&sh->lock);
	return has;
}

void auth_cache_put(uint32_t account_id, uint32_t epoch, struct str prepared)
{
	uint8_t d[HASH_MAX];
	uint64_t now = clock_mono_ms();
	struct entry *worst;

	if (limits()->auth_cache_ms == 0)
		return;
	entry_digest(account_id, epoch, prepared, d);
	struct shard *sh = &shards[d[0] % SHARDS];
	pthread_mutex_lock(&sh->lock);
	struct entry *e = find(sh, d, now, &worst);
	if (!e)
		e = worst;
	memcpy(e->digest, d, DIGEST);
	e->expires_ms = now + limits()->auth_cache_ms;
	pthread_mutex_unlock(&sh->lock);
}

void auth_cache_clear(void)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&shards[i].lock);
		secret_wipe(shards[i].sets, sizeof(shards[i].sets));
		pthread_mutex_unlock(&shards[i].lock);
	}
}
