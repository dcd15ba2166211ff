/*
 * Own roster items in memory: loaded with the user's first session, kept equal to the store by the completions of roster_change.c. Most people have none:
 * their roster is the company structure. Home thread of the user.
 */
#include "server/im/roster.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "storage/tab_account.h"
#include <string.h>

struct roster {
	struct hash *items; /* bare JID -> struct roster_item in one piece */
	uint64_t version;
};
static roster_push_fn *push;

void roster_set_push(roster_push_fn *fn)
{
	push = fn;
}

void roster_push(struct user *u, const struct roster_item *item, uint64_t own_version)
{
	if (push)
		push(u, item, own_version);
}

/* ---- memory ---- */

static struct str append(char **p, struct str s)
{
	char *at = *p;

	if (s.n)
		memcpy(at, s.p, s.n);
	*p += s.n;
	return str_of(at, s.n);
}

struct roster_item *roster_item_copy(const struct roster_item *item)
{
	size_t n = item->jid.n + item->name.n;

	for (unsigned i = 0; i < item->groups; i++)
		n += item->group[i].n;
	struct roster_item *c = mem_alloc(sizeof *c + n + 1);
	char *p = (char *)(c + 1);
	*c = *item;
	c->request = STR_NONE;
	c->jid = append(&p, item->jid);
	c->name = append(&p, item->name);
	for (unsigned i = 0; i < item->groups; i++)
		c->group[i] = append(&p, item->group[i]);
	return c;
}

static bool says_nothing(const struct roster_item *i)
{
	return !i->listed && !i->to && !i->from && !i->ask && !i->pending_in && !i->approved;
}

static void forget(struct roster *r, struct str bare)
{
	mem_free(hash_del(r->items, bare));
}

void roster_remember(struct user *u, const struct roster_item *item, uint64_t own_version)
{
	struct roster *r = u->roster;

	if (!r)
		return;
	r->version = own_version;
	forget(r, item->jid);
	if (says_nothing(item))
		return;
	struct roster_item *c = roster_item_copy(item);
	hash_put(r->items, c->jid, c);
}

static bool load_item(void *ctx, const struct roster_item *item)
{
	struct roster *r = ctx;
	struct roster_item *c = roster_item_copy(item);

	hash_put(r->items, c->jid, c);
	return true;
}

static void on_user_load(struct user *u)
{
	struct roster *r = NEW(struct roster);
	struct txn *t = im_read();

	r->items = hash_new();
	r->version = roster_version(t, u->id);
	roster_item_each(t, u->id, load_item, r);
	txn_commit(t);
	u->roster = r;
}

static void on_user_unload(struct user *u)
{
	struct roster *r = u->roster;
	size_t pos = 0;
	struct str key;
	void *v;

	if (!r)
		return;
	while (hash_next(r->items, &pos, &key, &v))
		mem_free(v);
	hash_free(r->items);
	mem_free(r);
	u->roster = NULL;
}

static const struct session_hooks hooks = { .user_load = on_user_load, .user_unload = on_user_unload };

void roster_init(void)
{
	session_add_hooks(&hooks);
}

/* ---- questions ---- */

const struct roster_item *roster_item(const struct user *u, struct str bare)
{
	struct roster *r = u->roster;

	return r ? hash_get(r->items, bare) : NULL;
}

size_t roster_count(const struct user *u)
{
	return u->roster ? hash_count(((struct roster *)u->roster)->items) : 0;
}

uint64_t roster_own_version(const struct user *u)
{
	return u->roster ? ((struct roster *)u->roster)->version : 0;
}

void roster_each(const struct user *u, void (*fn)(void *ctx, const struct roster_item *item), void *ctx)
{
	struct roster *r = u->roster;
	size_t pos = 0;
	struct str key;
	void *v;

	while (r && hash_next(r->items, &pos, &key, &v))
		fn(ctx, v);
}

bool roster_sees(const struct user *viewer, struct str subject_bare)
{
	if (!roster_count(viewer))
		return false;
	const struct roster_item *i = roster_item(viewer, subject_bare);
	return i && i->to;
}

bool roster_sees_id(uint32_t viewer, uint32_t subject)
{
	struct txn *t = im_read();
	struct account_rec s;
	struct roster_item item;
	char bare[2 * JID_PART_MAX + 2];
	bool sees = false;

	if (account_get_by_id(t, subject, &s) == 0 && s.local.n + s.domain.n + 1 <= sizeof bare) {
		char *p = bare;
		append(&p, s.local);
		*p++ = '@';
		append(&p, s.domain);
		sees = roster_item_get(t, viewer, str_of(bare, (size_t)(p - bare)), &item) == 0 && item.to;
	}
	txn_commit(t);
	return sees;
}

/* ---- presence ---- */

struct represent {
	struct session *s;
	struct arena *a;
};

static bool present_again(void *ctx, const struct roster_item *item)
{
	struct represent *r = ctx;
	struct user *u = r->s->user;
	struct outgoing o = { .kind = STANZA_PRESENCE, .from = item->jid, .to = u->jid.full, .type = STR("subscribe") };
	struct jid from;

	if (!item->pending_in || jid_parse(r->a, item->jid, &from))
		return true;
	if (org_visible(org_current(), u->id, peer_get(&from)->id) || peer_blocks(peer_get(&u->jid), &from))
		return true;
	if (item->request.n)
		o.payload = chunk_of(item->request);
	session_send(r->s, &o);
	chunk_unref(o.payload);
	return true;
}

static void is_pending(void *ctx, const struct roster_item *item)
{
	if (item->pending_in)
		*(bool *)ctx = true;
}

/* RFC 6121 3.1.3: until it is answered, at each login. */
void roster_initial_presence(struct session *s)
{
	bool any = false;

	roster_each(s->user, is_pending, &any);
	if (!any)
		return;
	struct represent r = { .s = s, .a = arena_new(4096) };
	struct txn *t = im_read();
	roster_item_each(t, s->user->id, present_again, &r);
	txn_commit(t);
	arena_free(r.a);
}

struct hiding {
	struct user *u;
	struct str about;
};

static void hide_resource(void *ctx, struct str resource, int8_t priority, struct chunk *payload)
{
	struct hiding *h = ctx;
	char *full = mem_alloc(h->about.n + resource.n + 1), *p = full;
	struct outgoing o = { .kind = STANZA_PRESENCE, .type = STR("unavailable") };

	(void)priority;
	(void)payload;
	append(&p, h->about);
	*p++ = '/';
	append(&p, resource);
	o.from = str_of(full, (size_t)(p - full));
	list_each_safe (s, &h->u->sessions, struct session, of_user)
		if (s->available)
			session_send(s, &o);
	mem_free(full);
}

void roster_hide(struct user *u, struct str about_bare)
{
	presence_each(about_bare, hide_resource, &(struct hiding){ .u = u, .about = about_bare });
}
