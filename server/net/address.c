/*
 * Table of peer addresses under one mutex: it is asked once per accepted connection and twice per login, never per stanza, and the limits
 * of an address must hold across workers. Bounded: the address seen longest ago that has no connection in login makes room. Also holds
 * preauth_enter and preauth_leave of listener.h.
 */
#include "server/net/address.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "server/net/bucket.h"
#include "server/net/limits.h"
#include "server/net/listener.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

enum { ADDRESSES_MAX = 65536 };
#define UNIX_KEY UINT64_C(1) /* 0:0:0:1::/64 is not routed */

struct address {
	struct list link; /* order of last use, newest first */
	uint64_t key;
	struct bucket rate;
	uint64_t preauth;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct idmap *table;
static struct list recent = { &recent, &recent };

static uint64_t key_of_v4(struct in_addr a)
{
	return UINT64_C(0xffff) << 32 | a.s_addr;
}

static uint64_t key_of_v6(const struct in6_addr *a)
{
	uint64_t key;
	if (IN6_IS_ADDR_V4MAPPED(a)) {
		struct in_addr v4;
		memcpy(&v4, &a->s6_addr[12], sizeof(v4));
		return key_of_v4(v4);
	}
	if (IN6_IS_ADDR_LOOPBACK(a))
		return key_of_v4((struct in_addr){ htonl(INADDR_LOOPBACK) });
	memcpy(&key, a->s6_addr, sizeof(key));
	return key;
}

static uint64_t key_of(const struct sockaddr *a)
{
	switch (a->sa_family) {
	case AF_INET: return key_of_v4(((const struct sockaddr_in *)(const void *)a)->sin_addr);
	case AF_INET6: return key_of_v6(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
	default: return UNIX_KEY;
	}
}

static uint64_t key_of_text(const char *ip)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, ip, &v4) == 1)
		return key_of_v4(v4);
	return inet_pton(AF_INET6, ip, &v6) == 1 ? key_of_v6(&v6) : UNIX_KEY;
}

static void forget(struct address *a)
{
	idmap_del(table, a->key);
	list_del(&a->link);
	mem_free(a);
}

static void make_room(void)
{
	if (idmap_count(table) < ADDRESSES_MAX)
		return;
	for (struct list *l = recent.prev; l != &recent; l = l->prev) {
		struct address *a = list_entry(l, struct address, link);
		if (a->preauth == 0) {
			forget(a);
			return;
		}
	}
}

static struct address *find(uint64_t key)
{
	if (!table)
		table = idmap_new();
	struct address *a = idmap_get(table, key);
	if (a) {
		list_del(&a->link);
	} else {
		make_room();
		a = NEW(struct address);
		a->key = key;
		idmap_put(table, key, a);
	}
	list_push(&recent, &a->link);
	return a;
}

bool address_accept(const struct sockaddr *addr, uint64_t now_ms)
{
	const struct limits *l = limits();
	pthread_mutex_lock(&lock);
	struct address *a = find(key_of(addr));
	if (a->rate.rate != l->accept_rate_ip || a->rate.burst != l->accept_burst_ip) /* new, or after a reload */
		bucket_init(&a->rate, l->accept_rate_ip, l->accept_burst_ip, now_ms);
	bool good = bucket_level(&a->rate, now_ms) > 0;
	if (good)
		bucket_take(&a->rate, 1, now_ms);
	pthread_mutex_unlock(&lock);
	return good;
}

bool preauth_enter(const char *ip)
{
	uint64_t key = key_of_text(ip);
	if (key == UNIX_KEY)
		return true;
	pthread_mutex_lock(&lock);
	struct address *a = find(key);
	bool good = a->preauth < limits()->preauth_connections_ip;
	a->preauth += good;
	pthread_mutex_unlock(&lock);
	if (!good)
		limit_hit_log("preauth_connections_ip", ip);
	return good;
}

void preauth_leave(const char *ip)
{
	uint64_t key = key_of_text(ip);
	if (key == UNIX_KEY)
		return;
	pthread_mutex_lock(&lock);
	struct address *a = table ? idmap_get(table, key) : NULL;
	if (a && a->preauth > 0)
		a->preauth--;
	pthread_mutex_unlock(&lock);
}

void address_clear(void)
{
	pthread_mutex_lock(&lock);
	while (!list_empty(&recent))
		forget(list_entry(recent.next, struct address, link));
	idmap_free(table);
	table = NULL;
	pthread_mutex_unlock(&lock);
}
