/*
 * Atoms and namespaces: two fixed tables made from atoms.def and an open-addressing index over each. Keys are never
 * added after atom_init(), the load is below 1/3 and unknown names end at the first empty slot, so no input can make
 * a look-up long. The hash reads the length and at most sixteen bytes: names differ at their ends, URIs at their last
 * bytes. Thread: atom_init() on the first thread before others start; look-ups from any thread.
 */
#include "xml/atom.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>

#define SLOTS 1024 /* power of two; the assertion below keeps the load low as atoms.def grows */

static const struct str atom_texts[A_COUNT] = {
	[A_NONE] = { "", 0 },
#define ATOM(id, text) [A_##id] = { text, sizeof(text) - 1 },
#define NS(id, text)
#include "xml/atoms.def"
#undef ATOM
#undef NS
};
static const struct str ns_texts[NS_COUNT] = {
	[NS_NONE] = { "", 0 },
#define ATOM(id, text)
#define NS(id, text) [NS_##id] = { text, sizeof(text) - 1 },
#include "xml/atoms.def"
#undef ATOM
#undef NS
};
static_assert(A_COUNT * 3 < SLOTS && NS_COUNT * 3 < SLOTS, "raise SLOTS");

static uint16_t atom_slots[SLOTS], ns_slots[SLOTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t slot_of(struct str s)
{
	uint64_t head = 0, tail = 0;

	if (s.n >= 8) {
		memcpy(&head, s.p, 8);
		memcpy(&tail, s.p + s.n - 8, 8);
	} else if (s.n >= 4) {
		memcpy(&head, s.p, 4);
		memcpy(&tail, s.p + s.n - 4, 4);
	} else if (s.n > 0) {
		head = (uint8_t)s.p[0];
		tail = (uint64_t)(uint8_t)s.p[s.n / 2] << 8 | (uint8_t)s.p[s.n - 1];
	}
	uint64_t h = (head ^ s.n) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 29 ^ tail) * 0xbf58476d1ce4e5b9u;
	return (uint32_t)(h >> 40) & (SLOTS - 1);
}

static unsigned find(const uint16_t *slots, const struct str *texts, struct str s)
{
	for (uint32_t i = slot_of(s); slots[i]; i = (i + 1) & (SLOTS - 1))
		if (str_eq(texts[slots[i]], s))
			return slots[i];
	return 0;
}

static void fill(uint16_t *slots, const struct str *texts, unsigned count)
{
	for (unsigned k = 1; k < count; k++) {
		uint32_t i = slot_of(texts[k]);
		while (slots[i])
			i = (i + 1) & (SLOTS - 1);
		slots[i] = (uint16_t)k;
	}
}

static void build(void)
{
	fill(atom_slots, atom_texts, A_COUNT);
	fill(ns_slots, ns_texts, NS_COUNT);
}

void atom_init(void)
{
	pthread_once(&once, build);
}

enum atom atom_of(struct str name)
{
	return (enum atom)find(atom_slots, atom_texts, name);
}

enum ns ns_of(struct str uri)
{
	return (enum ns)find(ns_slots, ns_texts, uri);
}

struct str atom_str(enum atom a)
{
	assert((unsigned)a < A_COUNT);
	return atom_texts[a];
}

struct str ns_str(enum ns n)
{
	assert((unsigned)n < NS_COUNT);
	return ns_texts[n];
}
