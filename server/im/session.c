/*
 * Live sessions and the users they belong to, per home worker. Everything here runs on the home thread; the only shared thing is the counter that
 * numbers sessions. A user is loaded with its first session and unloaded with its last; other modules hang on by hooks.
 */
#include "server/im/session.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/im/inflight.h"
#include "server/net/limits.h"
#include <assert.h>
#include <stdatomic.h>

#define HOOKS_MAX 16
static const struct session_hooks *hooks[HOOKS_MAX];
static unsigned n_hooks;
static atomic_uint_fast64_t last_number;
static _Thread_local struct home *this_home;
static _Thread_local struct idmap *by_number;

struct home *home(void)
{
	return this_home;
}

void home_init(unsigned worker)
{
	struct home *h = NEW(struct home);

	h->worker = worker;
	h->users = hash_new();
	list_init(&h->sessions);
	list_init(&h->dirty);
	this_home = h;
	by_number = idmap_new();
}

void home_fini(void)
{
	hash_free(this_home->users);
	idmap_free(by_number);
	mem_free(this_home);
	this_home = NULL;
}

void session_add_hooks(const struct session_hooks *h)
{
	assert(n_hooks < HOOKS_MAX);
	hooks[n_hooks++] = h;
}

struct user *user_find(struct str bare)
{
	return hash_get(this_home->users, bare);
}

struct session *session_by_number(uint64_t number)
{
	return idmap_get(by_number, number);
}

struct session *session_find(struct user *u, struct str resource)
{
	list_each (s, &u->sessions, struct session, of_user)
		if (str_eq(jid_resource(&s->jid), resource))
			return s;
	return NULL;
}

static struct user *user_load(const struct jid *jid, uint32_t id, uint32_t epoch, bool is_admin)
{
	struct user *u = NEW(struct user);

	u->id = id;
	u->credentials_epoch = epoch;
	u->is_admin = is_admin;
	u->jid = jid_dup_heap(jid_to_bare(*jid));
	list_init(&u->sessions);
	list_init(&u->link_dirty);
	hash_put(this_home->users, u->jid.full, u);
	inflight_load(u);
	for (unsigned i = 0; i < n_hooks; i++)
		if (hooks[i]->user_load)
			hooks[i]->user_load(u);
	return u;
}

static void user_unload(struct user *u)
{
	for (unsigned i = 0; i < n_hooks; i++)
		if (hooks[i]->user_unload)
			hooks[i]->user_unload(u);
	inflight_unload(u);
	list_del(&u->link_dirty);
	hash_del(this_home->users, u->jid.full);
	mem_free((void *)u->jid.full.p);
	mem_free(u);
}

/* The oldest session that waits to be resumed, or NULL. */
static struct session *oldest_detached(struct user *u)
{
	struct session *oldest = NULL;

	list_each (s, &u->sessions, struct session, of_user)
		if (s->detached && (!oldest || s->bound_ms < oldest->bound_ms))
			oldest = s;
	return oldest;
}

int session_open(struct session *s, const struct jid *jid, uint32_t account_id, uint32_t credentials_epoch,
		 bool is_admin, const struct transport *t)
{
	struct user *u = user_find(jid_bare(jid));

	if (u && u->n_sessions >= limits()->sessions) { /* row E04 */
		struct session *old = oldest_detached(u);
		limit_hit_log("sessions", u->jid.full.p);
		if (!old)
			return ERR_LIMIT;
		old->transport->kick(old, "resource-constraint", "Too many sessions: the oldest lost one gave way");
	}
	u = user_find(jid_bare(jid));
	if (!u)
		u = user_load(jid, account_id, credentials_epoch, is_admin);
	s->user = u;
	s->jid = jid_dup_heap(*jid);
	s->number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
	s->transport = t;
	s->bound_ms = clock_wall_ms();
	list_init(&s->directed);
	list_init(&s->seats);
	list_add(&u->sessions, &s->of_user);
	list_add(&this_home->sessions, &s->of_home);
	u->n_sessions++;
	this_home->n_sessions++;
	idmap_put(by_number, s->number, s);
	return 0;
}

void session_close(struct session *s)
{
	struct user *u = s->user;

	for (unsigned i = 0; i < n_hooks; i++)
		if (hooks[i]->session_close)
			hooks[i]->session_close(s);
	idmap_del(by_number, s->number);
	list_del(&s->of_user);
	list_del(&s->of_home);
	u->n_sessions--;
	this_home->n_sessions--;
	chunk_unref(s->presence);
	mem_free((void *)s->jid.full.p);
	mem_free((void *)s->caps_node_ver.p);
	for (unsigned i = 0; i < n_hooks; i++)
		if (hooks[i]->session_free)
			hooks[i]->session_free(s);
	if (u->n_sessions == 0)
		user_unload(u);
}

void session_drop(struct session *s)
{
	struct user *u = s->user;

	idmap_del(by_number, s->number);
	list_del(&s->of_user);
	list_del(&s->of_home);
	chunk_unref(s->presence);
	list_each_safe (d, &s->directed, struct directed, link)
		mem_free(d);
	mem_free((void *)s->jid.full.p);
	mem_free((void *)s->caps_node_ver.p);
	for (unsigned i = 0; i < n_hooks; i++)
		if (hooks[i]->session_free)
			hooks[i]->session_free(s);
	if (--u->n_sessions == 0)
		user_unload(u);
}

void session_each(void (*fn)(struct session *s, void *ctx), void *ctx)
{
	list_each_safe (s, &this_home->sessions, struct session, of_home)
		fn(s, ctx);
}

void session_send(struct session *s, const struct outgoing *o)
{
	s->transport->send(s, o);
}
