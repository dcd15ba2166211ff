/*
 * Names around chats: the nick of a person (row I05: never chosen), his pseudonym in a chat (XEP-0421), and the search of chats by title. Any worker.
 */
#include "base/crypto.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/chat.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/person.h"
#include <stdio.h>
#include <string.h>

/* ---- nicks ---- */

/* How many people have a prepared name, per domain: key "domain NUL name" -> count. Of the snapshot that it was made from. */
static _Thread_local struct hash *namesakes;
static _Thread_local struct arena *namesakes_text;
static _Thread_local const struct org *namesakes_of;

void chat_names_thread_end(void)
{
	hash_free(namesakes);
	if (namesakes_text)
		arena_free(namesakes_text);
	org_unref(namesakes_of);
	namesakes = NULL;
	namesakes_text = NULL;
	namesakes_of = NULL;
}

static bool prepared(struct arena *a, struct str name, struct str *out)
{
	struct str n = str_trim(name);

	return n.n && str_xml_valid(n) && jid_prep_resource(a, n, out) == 0 && out->n;
}

static void count_namesakes(const struct org *o)
{
	size_t n;
	const struct org_person *const *people = org_people(o, &n);
	struct str name;

	chat_names_thread_end();
	namesakes_of = org_ref(o);
	namesakes = hash_new();
	namesakes_text = arena_new(16384);
	for (size_t i = 0; i < n; i++) {
		if (!prepared(namesakes_text, people[i]->full_name, &name))
			continue;
		struct str key = arena_cat(namesakes_text, jid_domain(&people[i]->jid), STR("/"), name, STR_NONE);
		uintptr_t count = (uintptr_t)hash_get(namesakes, key);
		hash_put(namesakes, key, (void *)(count + 1));
	}
}

struct str chat_nick(struct arena *a, uint32_t account)
{
	const struct org *o = org_current();
	const struct org_person *p = org_person(o, account);
	struct jid jid = person_jid(a, account);
	struct str name;

	if (jid_is_none(&jid))
		return STR("?");
	struct str login = jid_local(&jid);
	if (!p || !prepared(a, p->full_name, &name))
		return login;
	if (o != namesakes_of)
		count_namesakes(o);
	struct str key = arena_cat(a, jid_domain(&jid), STR("/"), name, STR_NONE);
	if ((uintptr_t)hash_get(namesakes, key) == 1)
		return arena_str(a, name);
	struct str both = arena_cat(a, name, STR(" ("), login, STR(")"), STR_NONE), out;
	return jid_prep_resource(a, both, &out) == 0 ? arena_str(a, out) : login;
}

void chat_occupant_id(uint64_t number, uint32_t account, char out[OCCUPANT_ID_LEN])
{
	char text[64];
	uint8_t mac[HASH_MAX];
	int n = snprintf(text, sizeof text, "occupant %llu %u", (unsigned long long)number, account);

	hmac(HASH_SHA256, str_of((const char *)im.secret, sizeof im.secret), str_of(text, (size_t)n), mac);
	hex_encode(mac, OCCUPANT_ID_LEN / 2, out);
}

/* ---- search ---- */

/* Lower case of Latin, Greek and Cyrillic letters; yo is ye. */
static uint32_t fold(uint32_t c)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
	    (c >= 0x410 && c <= 0x42f))
		c += 32;
	else if (c >= 0x400 && c <= 0x40f)
		c += 80;
	return c == 0x451 ? 0x435 : c;
}

static size_t folded(struct str s, uint32_t *out, size_t max)
{
	size_t n = 0;
	uint32_t c;

	for (size_t step; n < max && (step = str_utf8_next(s, &c)) > 0; s = str_of(s.p + step, s.n - step))
		out[n++] = fold(c);
	return n;
}

static bool holds(const uint32_t *text, size_t n, const uint32_t *word, size_t m)
{
	for (size_t i = 0; i + m <= n; i++)
		if (memcmp(text + i, word, m * sizeof *word) == 0)
			return true;
	return false;
}

#define SEARCH_MAX 256 /* characters that are looked at */

static bool title_fits(struct str title, struct str words)
{
	uint32_t text[SEARCH_MAX], word[SEARCH_MAX];
	size_t n = folded(title, text, SEARCH_MAX);
	struct str part;

	while (str_split(&words, ' ', &part))
		if (part.n && !holds(text, n, word, folded(part, word, SEARCH_MAX)))
			return false;
	return true;
}

struct search {
	struct txn *t;
	uint32_t viewer;
	struct str words;
	bool (*fn)(void *ctx, const struct chat_rec *r);
	void *ctx;
};

static bool look_at(void *ctx, const struct chat_rec *r)
{
	struct search *s = ctx;
	struct chat_member_rec me;
	bool member = chat_member_get(s->t, r->number, s->viewer, &me) == 0 && me.role >= CHAT_MEMBER;

	if (me.role == CHAT_OUTCAST || (!member && !(r->flags & CHAT_IS_OPEN)) || !title_fits(r->title, s->words))
		return true;
	return s->fn(s->ctx, r);
}

void chat_search(struct txn *t, struct str domain, uint32_t viewer, struct str words, uint64_t after,
		 bool (*fn)(void *ctx, const struct chat_rec *r), void *ctx)
{
	struct search s = { t, viewer, words, fn, ctx };

	chat_each(t, domain, after, look_at, &s);
}
