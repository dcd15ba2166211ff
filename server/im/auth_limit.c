/*
 * The brakes on guessing: two set-associative tables of fixed size, keyed by the process-wide SipHash of the address
 * and of address and account. A full set forgets its stalest entry, so memory is bounded whatever an attacker sends.
 * IPv6 addresses count by their /64, because one host commands all of it. Any thread; one mutex per shard.
 */
#include "server/im/auth_limit.h"
#include "base/clock.h"
#include "server/net/limits.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#define SHARDS 16u
#define SETS 128u
#define WAYS 8u
#define WINDOW_MS (15u * 60 * 1000)

/* One address, or one address and account. */
struct brake {
	uint64_t key;
	uint64_t since_ms; /* address: start of the window; pair: last failure */
	uint64_t until_ms; /* address: next free slot of the slow lane; pair: not before */
	uint32_t failures; /* 0: unused entry */
};
struct shard {
	pthread_mutex_t lock;
	struct brake sets[SETS][WAYS];
};
static struct shard pairs[SHARDS] = { [0 ... SHARDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };
static struct shard addresses[SHARDS] = { [0 ... SHARDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };

/* What stands for an address: the /64 of IPv6, the v4 address inside a mapped one, else the text ("unix"). */
static struct str address_id(const char *ip, uint8_t out[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (inet_pton(AF_INET, ip, out) == 1)
		return str_of((char *)out, 4);
	if (inet_pton(AF_INET6, ip, out) != 1)
		return str_c(ip);
	if (memcmp(out, mapped, sizeof(mapped)) == 0)
		return str_of((char *)out + 12, 4);
	return str_of((char *)out, 8);
}

static uint64_t address_key(const char *ip)
{
	uint8_t id[16];

	return str_hash(address_id(ip, id));
}

static uint64_t pair_key(const char *ip, struct str account)
{
	uint64_t two[2] = { address_key(ip), str_hash(account) };

	return str_hash(str_of((const char *)two, sizeof(two)));
}

static struct shard *shard_of(struct shard *table, uint64_t key)
{
	return &table[key % SHARDS];
}

/* The live entry or NULL; with make the stalest of the set is given up for it. Shard locked. */
static struct brake *find(struct shard *sh, uint64_t key, uint64_t now, bool make)
{
	struct brake *set = sh->sets[key / SHARDS % SETS];
	struct brake *worst = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		struct brake *b = &set[i];

		if (b->failures && now - b->since_ms >= WINDOW_MS)
			*b = (struct brake){ 0 };
		if (b->failures && b->key == key)
			return b;
		if (worst->failures && (!b->failures || b->since_ms < worst->since_ms))
			worst = b;
	}
	if (!make)
		return NULL;
	*worst = (struct brake){ .key = key, .since_ms = now };
	return worst;
}

/* Delay after the n-th failure (n >= 1): doubles up to the maximum. */
static uint64_t delay_after(uint32_t failures)
{
	const struct limits *l = limits();
	uint64_t ms = l->auth_delay_ms;

	for (uint32_t i = 1; i < failures && ms < l->auth_delay_max_ms; i++)
		ms *= 2;
	return ms < l->auth_delay_max_ms ? ms : l->auth_delay_max_ms;
}

uint64_t auth_delay_ms(const char *ip, struct str account)
{
	uint64_t key = pair_key(ip, account), now = clock_mono_ms(), wait = 0;
	struct shard *sh = shard_of(pairs, key);

	pthread_mutex_lock(&sh->lock);
	const struct brake *b = find(sh, key, now, false);
	if (b && b->until_ms > now)
		wait = b->until_ms - now;
	pthread_mutex_unlock(&sh->lock);
	return wait;
}

int64_t auth_wait_ms(const char *ip, struct str account)
{
	const struct limits *l = limits();
	uint64_t key = address_key(ip), now = clock_mono_ms(), lane = 0;
	struct shard *sh = shard_of(addresses, key);

	pthread_mutex_lock(&sh->lock);
	struct brake *b = find(sh, key, now, false);
	if (b && b->failures >= l->auth_failures_ip) {
		uint64_t slot = b->until_ms > now ? b->until_ms : now;

		lane = slot - now;
		if (lane <= l->auth_delay_max_ms)
			b->until_ms = slot + (l->auth_delay_ms ? l->auth_delay_ms : 1);
	}
	pthread_mutex_unlock(&sh->lock);
	if (lane > l->auth_delay_max_ms) {
		limit_hit_log("auth_failures_ip", ip);
		return -1;
	}
	uint64_t pair = auth_delay_ms(ip, account);
	return (int64_t)(pair > lane ? pair : lane);
}

void auth_failed(const char *ip, struct str account)
{
	uint64_t key = pair_key(ip, account), now = clock_mono_ms();
	struct shard *sh = shard_of(pairs, key);

	pthread_mutex_lock(&sh->lock);
	struct brake *b = find(sh, key, now, true);
	if (b->failures < UINT32_MAX)
		b->failures++;
	b->since_ms = now;
	b->until_ms = now + delay_after(b->failures);
	pthread_mutex_unlock(&sh->lock);

	key = address_key(ip);
	sh = shard_of(addresses, key);
	pthread_mutex_lock(&sh->lock);
	b = find(sh, key, now, true);
	if (b->failures < UINT32_MAX)
		b->failures++;
	pthread_mutex_unlock(&sh->lock);
}

void auth_succeeded(const char *ip, struct str account)
{
	uint64_t key = pair_key(ip, account);
	struct shard *sh = shard_of(pairs, key);

	pthread_mutex_lock(&sh->lock);
	struct brake *b = find(sh, key, clock_mono_ms(), false);
	if (b)
		*b = (struct brake){ 0 };
	pthread_mutex_unlock(&sh->lock);
}

void auth_limit_clear(void)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&pairs[i].lock);
		memset(pairs[i].sets, 0, sizeof(pairs[i].sets));
		pthread_mutex_unlock(&pairs[i].lock);
		pthread_mutex_lock(&addresses[i].lock);
		memset(addresses[i].sets, 0, sizeof(addresses[i].sets));
		pthread_mutex_unlock(&addresses[i].lock);
	}
}
