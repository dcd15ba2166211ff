/*
 * stringprep (RFC 3454) with the profiles nodeprep, nameprep and resourceprep (RFC 6122 appendices), as XMPP servers
 * and clients built on libidn do, so that addresses compare alike on both sides. Code points newer than Unicode 3.2
 * pass unchanged (emoji in resources). A result that changes when prepared again is prepared until it rests, or
 * refused (row I06). Each thread keeps a direct-mapped cache of recent results: bounded by SLOTS entries of at most
 * CACHE_BYTES each.
 */
#include "xml/jid_prep.h"
#include "base/err.h"
#include "base/mem.h"
#include "xml/jid.h"
#include <pthread.h>
#include <string.h>
#include <stringprep.h>

#define SLOTS 512
#define CACHE_BYTES 512 /* input and output of one entry together */
#define ROUNDS_MAX 4

struct entry {
	uint16_t part, in_n, out_n;
	char bytes[]; /* input, then output */
};
struct cache {
	struct entry *slots[SLOTS];
};

static _Thread_local struct cache *cache;
static pthread_key_t cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void free_cache(void *p)
{
	struct cache *c = p;

	for (size_t i = 0; i < SLOTS; i++)
		mem_free(c->slots[i]);
	mem_free(c);
	cache = NULL;
}

static void make_key(void)
{
	pthread_key_create(&cache_key, free_cache);
}

static struct entry **slot_of(enum jid_part part, struct str in)
{
	if (!cache) {
		pthread_once(&cache_once, make_key);
		cache = NEW(struct cache);
		pthread_setspecific(cache_key, cache);
	}
	return &cache->slots[(str_hash(in) + part) % SLOTS];
}

static void remember(struct entry **slot, enum jid_part part, struct str in, struct str out)
{
	if (in.n + out.n > CACHE_BYTES)
		return;
	struct entry *e = mem_alloc(sizeof *e + in.n + out.n);
	e->part = (uint16_t)part;
	e->in_n = (uint16_t)in.n;
	e->out_n = (uint16_t)out.n;
	memcpy(e->bytes, in.p, in.n);
	memcpy(e->bytes + in.n, out.p, out.n);
	mem_free(*slot);
	*slot = e;
}

/* One pass over buf in place; 0 or ERR_SYNTAX, also when the result does not fit (NFKC can grow eighteen-fold). */
static int apply(enum jid_part part, char *buf, size_t size)
{
	static const Stringprep_profile *const profiles[] = {
		[PART_LOCAL] = stringprep_xmpp_nodeprep,
		[PART_DOMAIN] = stringprep_nameprep,
		[PART_RESOURCE] = stringprep_xmpp_resourceprep,
	};
	return stringprep(buf, size, 0, profiles[part]) == STRINGPREP_OK ? 0 : ERR_SYNTAX;
}

static int run(enum jid_part part, struct str in, char *buf, size_t size)
{
	char before[JID_PART_MAX + 1];

	memcpy(buf, in.p, in.n);
	buf[in.n] = 0;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		memcpy(before, buf, strlen(buf) + 1);
		if (apply(part, buf, size) != 0 || buf[0] == 0)
			return ERR_SYNTAX;
		if (strcmp(before, buf) == 0)
			return 0;
	}
	return ERR_SYNTAX;
}

int jid_prep(struct arena *a, enum jid_part part, struct str in, struct str *out)
{
	char buf[JID_PART_MAX + 1];

	/* libidn must never see broken UTF-8 (CVE-2015-2059), and a NUL would cut the string short. */
	if (in.n == 0 || in.n > JID_PART_MAX || !str_utf8_valid(in) || memchr(in.p, 0, in.n))
		return ERR_SYNTAX;
	struct entry **slot = slot_of(part, in), *e = *slot;
	if (e && e->part == part && e->in_n == in.n && memcmp(e->bytes, in.p, in.n) == 0) {
		*out = arena_str(a, str_of(e->bytes + e->in_n, e->out_n));
		return 0;
	}
	int err = run(part, in, buf, sizeof buf);
	if (err)
		return err;
	*out = arena_str(a, str_c(buf));
	remember(slot, part, in, *out);
	return 0;
}
