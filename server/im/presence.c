/*
 * The mirrored presence map. One fan-out mail per worker and change; memory grows with people, not with pairs. The mirror of a worker and its sessions are
 * touched on that worker only.
 */
#include "server/im/presence.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/deliver.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/roster.h"
#include "server/net/limits.h"
#include "storage/tab_account.h"
#include <string.h>

struct resource {
	struct list link;
	struct chunk *payload;
	uint64_t wall_ms;
	int8_t priority;
	struct str full; /* whole JID; behind the struct */
	uint16_t bare_n;
	char bytes[];
};
struct person {
	uint32_t id;
	const struct org_person *place; /* in this worker's structure; NULL: not in it */
	struct peer_place peer;
	struct list resources;
	struct jid bare;
	char bytes[];
};
/* One change on its way to all workers. */
struct change {
	uint32_t id;
	bool available;
	int8_t priority;
	bool quiet_to_self; /* restored: the session itself is not told */
	uint64_t wall_ms;
	struct chunk *payload;
	struct jid full;
	char bytes[];
};

static _Thread_local struct hash *mirror; /* bare JID -> struct person */

static void on_session_close(struct session *s);
static const struct session_hooks presence_hooks = { .session_close = on_session_close };

static void on_structure(const struct org *before, const struct org *after)
{
	size_t pos = 0;
	struct str key;
	void *v;

	(void)before;
	while (hash_next(mirror, &pos, &key, &v)) {
		struct person *p = v;
		p->place = org_person(after, p->id);
	}
}

void presence_init(void)
{
	session_add_hooks(&presence_hooks);
	org_observe(on_structure);
}

void presence_thread_init(void)
{
	mirror = hash_new();
}

static void resource_free(struct resource *r)
{
	list_del(&r->link);
	chunk_unref(r->payload);
	mem_free(r);
}

void presence_thread_fini(void)
{
	size_t pos = 0;
	void *v;
	struct str key;

	while (hash_next(mirror, &pos, &key, &v)) {
		struct person *p = v;
		list_each_safe (r, &p->resources, struct resource, link)
			resource_free(r);
		mem_free(p);
	}
	hash_free(mirror);
	mirror = NULL;
}

/* ---- the mirror ---- */

static struct resource *resource_find(struct person *p, struct str full)
{
	list_each (r, &p->resources, struct resource, link)
		if (str_eq(r->full, full))
			return r;
	return NULL;
}

static struct person *person_get(const struct change *c)
{
	struct str bare = jid_bare(&c->full);
	struct person *p = hash_get(mirror, bare);

	if (p)
		return p;
	p = mem_zero(sizeof *p + bare.n);
	memcpy(p->bytes, bare.p, bare.n);
	p->bare = jid_to_bare(c->full);
	p->bare.full.p = p->bytes;
	p->id = c->id;
	p->place = org_person(org_current(), c->id);
	list_init(&p->resources);
	hash_put(mirror, p->bare.full, p);
	return p;
}

/* False when nothing changed for others: unavailable of a resource that was not there. */
static bool mirror_apply(struct person *p, const struct change *c)
{
	struct resource *r = resource_find(p, c->full.full);
	bool was_there = r != NULL;

	if (!r && c->available) {
		r = mem_zero(sizeof *r + c->full.full.n);
		memcpy(r->bytes, c->full.full.p, c->full.full.n);
		r->full = str_of(r->bytes, c->full.full.n);
		r->bare_n = (uint16_t)jid_bare_n(&c->full);
		list_add(&p->resources, &r->link);
	}
	if (c->available) {
		chunk_unref(r->payload);
		r->payload = c->payload ? chunk_ref(c->payload) : NULL;
		r->priority = c->priority;
		r->wall_ms = c->wall_ms;
		return true;
	}
	if (r)
		resource_free(r);
	return was_there;
}

static void mirror_tidy(struct person *p)
{
	if (!list_empty(&p->resources))
		return;
	hash_del(mirror, p->bare.full);
	mem_free(p);
}

bool presence_is_available(struct str bare)
{
	return hash_get(mirror, bare) != NULL;
}

void presence_each(struct str bare, void (*fn)(void *ctx, struct str resource, int8_t priority, struct chunk *payload),
		   void *ctx)
{
	struct person *p = hash_get(mirror, bare);

	if (!p)
		return;
	list_each_safe (r, &p->resources, struct resource, link)
		fn(ctx, str_of(r->full.p + r->bare_n + 1, r->full.n - r->bare_n - 1), r->priority, r->payload);
}

void presence_each_person(void (*fn)(void *ctx, struct str bare), void *ctx)
{
	size_t pos = 0;
	struct str key;
	void *v;

	while (hash_next(mirror, &pos, &key, &v))
		fn(ctx, key);
}

/* ---- who may see ---- */

bool presence_may_see(uint32_t viewer, uint32_t subject)
{
	return viewer == subject || org_visible(org_current(), viewer, subject) || roster_sees_id(viewer, subject);
}

/* XEP-0191 section 3: neither side of a block sees the other. */
static bool is_blocked(struct user *viewer, struct person *subject)
{
	return peer_blocks(user_peer(viewer), &subject->bare) ||
	       peer_blocks(peer_at(&subject->peer, &subject->bare), &viewer->jid);
}

/* Asked once per pair in a company morning: the usual case, neither has roster items or blocks of his own, is a few comparisons. */
static bool user_sees(struct user *viewer, struct person *subject)
{
	if (viewer->id == subject->id)
		return true;
	if (!org_person_visible(org_current(), viewer->person, subject->place) &&
	    !roster_sees(viewer, subject->bare.full))
		return false;
	return !is_blocked(viewer, subject);
}

/* ---- sending ---- */

static struct outgoing outgoing_of(const struct resource *r)
{
	return (struct outgoing){
		.kind = STANZA_PRESENCE, .from = r->full, .payload = r->payload, .hold_while_inactive = true
	};
}

/* One change to this worker's sessions. */
static void tell_sessions(struct person *subject, const struct change *c)
{
	struct outgoing o = {
		.kind = STANZA_PRESENCE,
		.from = c->full.full,
		.type = c->available ? STR_NONE : STR("unavailable"),
		.payload = c->payload,
		.hold_while_inactive = true,
	};
	struct user *last = NULL;
	bool sees = false;

	list_each_safe (s, &home()->sessions, struct session, of_home) {
		if (!s->available)
			continue;
		/* Nobody hears of his own end: a new session of the same name follows an old one (conflict). */
		if ((c->quiet_to_self || !c->available) && str_eq(s->jid.full, c->full.full))
			continue;
		if (s->user != last) {
			last = s->user;
			sees = user_sees(last, subject);
			o.may_wait = last->id != c->id;
		}
		if (sees)
			session_send(s, &o);
	}
}

static void change_arrived(void *data)
{
	struct change *c = data;

	struct person *p = person_get(c);

	if (mirror_apply(p, c))
		tell_sessions(p, c);
	mirror_tidy(p);
}

static void change_free(void *data)
{
	struct change *c = data;

	chunk_unref(c->payload);
	mem_free(c);
}

static void post_change(struct session *s, bool available, struct chunk *payload, bool quiet)
{
	struct change *c = mem_zero(sizeof *c + s->jid.full.n);

	memcpy(c->bytes, s->jid.full.p, s->jid.full.n);
	c->full = s->jid;
	c->full.full.p = c->bytes;
	c->id = s->user->id;
	c->available = available;
	c->priority = s->priority;
	c->quiet_to_self = quiet;
	c->wall_ms = s->presence_ms;
	c->payload = payload ? chunk_ref(payload) : NULL;
	fanout(change_arrived, c, change_free);
}

/* Everything the new session may see, from the local mirror (RFC 6121 4.2.2: the server probes, we look it up). */
static void send_mirror(struct session *s)
{
	size_t pos = 0;
	void *v;
	struct str key;

	while (hash_next(mirror, &pos, &key, &v)) {
		struct person *p = v;
		if (!user_sees(s->user, p))
			continue;
		list_each_safe (r, &p->resources, struct resource, link) {
			if (str_eq(r->full, s->jid.full))
				continue;
			struct outgoing o = outgoing_of(r);
			session_send(s, &o);
		}
	}
}

static void remember(struct session *s, struct chunk *payload, int8_t priority)
{
	struct chunk *old = s->presence;

	s->presence = payload ? chunk_ref(payload) : NULL;
	chunk_unref(old);
	s->priority = priority;
	s->presence_ms = clock_wall_ms();
}

void presence_set(struct session *s, struct chunk *payload, int8_t priority)
{
	bool initial = !s->available, took_messages = s->available && s->priority >= 0;

	remember(s, payload, priority);
	s->available = true;
	post_change(s, true, payload, false);
	if (initial) {
		send_mirror(s);
		roster_initial_presence(s);
	}
	if (!took_messages && priority >= 0)
		deliver_waiting(s);
}

void presence_restore(struct session *s, struct chunk *payload, int8_t priority)
{
	remember(s, payload, priority);
	s->available = true;
	post_change(s, true, payload, true);
}

/* ---- directed presence ---- */

struct direct_mail {
	struct chunk *payload;
	struct str from, type, id;
	struct jid to;
	char bytes[];
};

/* XEP-0191 3.3: nothing of a blocked contact arrives. */
static bool sender_is_blocked(struct user *u, struct str from)
{
	const struct peer *me = user_peer(u);
	ptrdiff_t slash = str_find(from, '/'), at = str_find(from, '@');
	struct jid j = { .full = from };

	if (!me->has_blocks || at <= 0)
		return false;
	j.local_n = (uint16_t)at;
	j.domain_n = (uint16_t)((slash < 0 ? (ptrdiff_t)from.n : slash) - at - 1);
	return !jid_bare_eq(&j, &u->jid) && peer_blocks(me, &j);
}

static void direct_arrived(void *data)
{
	struct direct_mail *d = data;
	struct user *u = user_find(jid_bare(&d->to));
	struct outgoing o = { .kind = STANZA_PRESENCE,
			      .from = d->from,
			      .to = d->to.full,
			      .type = d->type,
			      .id = d->id,
			      .payload = d->payload,
			      .hold_while_inactive = true };

	if (!u || sender_is_blocked(u, d->from))
		return;
	list_each_safe (s, &u->sessions, struct session, of_user)
		if (jid_is_bare(&d->to) ? s->available : str_eq(s->jid.full, d->to.full))
			session_send(s, &o);
}

static void direct_free(void *data)
{
	struct direct_mail *d = data;

	chunk_unref(d->payload);
	mem_free(d);
}

static struct str append(char **p, struct str s)
{
	if (!s.p)
		return s;
	memcpy(*p, s.p, s.n);
	*p += s.n;
	return str_of(*p - s.n, s.n);
}

/* A presence stanza from `from` to one address, on its home. */
void presence_post(struct str from, const struct jid *to, struct str type, struct str id, struct chunk *payload)
{
	struct direct_mail *d = mem_zero(sizeof *d + from.n + to->full.n + type.n + id.n);
	char *p = d->bytes;

	d->from = append(&p, from);
	d->to = *to;
	d->to.full = append(&p, to->full);
	d->type = append(&p, type);
	d->id = append(&p, id);
	d->payload = payload ? chunk_ref(payload) : NULL;
	post_to(threads_home(jid_bare(to)), direct_arrived, d, direct_free);
}

static struct directed *directed_find(struct session *s, const struct jid *to)
{
	list_each (d, &s->directed, struct directed, link)
		if (jid_eq(&d->to, to))
			return d;
	return NULL;
}

int presence_direct(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload)
{
	struct directed *d = directed_find(s, to);

	if (str_empty(type) && !d) {
		if (s->n_directed >= limits()->directed_presence)
			return ERR_LIMIT;
		d = mem_zero(sizeof *d + to->full.n);
		memcpy(d->bytes, to->full.p, to->full.n);
		d->to = *to;
		d->to.full.p = d->bytes;
		list_add(&s->directed, &d->link);
		s->n_directed++;
	} else if (!str_empty(type) && d) {
		list_del(&d->link);
		s->n_directed--;
		mem_free(d);
	}
	presence_post(s->jid.full, to, type, id, payload);
	return 0;
}

static void end_directed(struct session *s, struct chunk *payload)
{
	list_each_safe (d, &s->directed, struct directed, link) {
		presence_post(s->jid.full, &d->to, STR("unavailable"), STR_NONE, payload);
		list_del(&d->link);
		mem_free(d);
	}
	s->n_directed = 0;
}

/* ---- leaving ---- */

struct seen_op {
	struct write_op op;
	uint32_t account;
	uint64_t wall_ms;
	struct chunk *payload;
};

static int apply_seen(struct txn *t, struct write_op *op)
{
	struct seen_op *s = (struct seen_op *)op;

	account_set_last_seen(t, s->account, s->wall_ms, chunk_str(s->payload));
	return txn_error(t);
}

static void seen_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
}

static void seen_free(struct write_op *op)
{
	chunk_unref(((struct seen_op *)op)->payload);
	mem_free(op);
}

static void note_last_seen(struct session *s, struct chunk *payload)
{
	struct seen_op *o = NEW(struct seen_op);

	o->op = (struct write_op){ .apply = apply_seen, .done = seen_done, .free = seen_free };
	o->account = s->user->id;
	o->wall_ms = clock_wall_ms();
	o->payload = payload ? chunk_ref(payload) : NULL;
	im_write(&o->op);
}

void presence_clear(struct session *s, struct chunk *payload)
{
	if (!s->available) {
		end_directed(s, payload);
		return;
	}
	s->available = false;
	s->presence_ms = clock_wall_ms();
	post_change(s, false, payload, false);
	end_directed(s, payload);
	note_last_seen(s, payload);
	chunk_unref(s->presence);
	s->presence = NULL;
}

static void on_session_close(struct session *s)
{
	presence_clear(s, NULL);
}

/* ---- probes and changes of who sees whom ---- */

void presence_probe(struct session *asker, const struct jid *to)
{
	struct person *p = hash_get(mirror, jid_bare(to));

	if (!p || !user_sees(asker->user, p))
		return; /* row I11 */
	list_each_safe (r, &p->resources, struct resource, link) {
		struct outgoing o = outgoing_of(r);
		session_send(asker, &o);
	}
}

struct reveal {
	bool visible;
	struct str about, to;
	char bytes[];
};

static void reveal_arrived(void *data)
{
	struct reveal *v = data;
	struct user *u = user_find(v->to);
	struct person *p = hash_get(mirror, v->about);

	if (!u || !p || (v->visible && is_blocked(u, p)))
		return;
	list_each_safe (s, &u->sessions, struct session, of_user) {
		if (!s->available)
			continue;
		list_each_safe (r, &p->resources, struct resource, link) {
			struct outgoing o = outgoing_of(r);
			if (!v->visible) {
				o.type = STR("unavailable");
				o.payload = NULL;
			}
			session_send(s, &o);
		}
	}
}

void presence_reveal(struct str about, struct str to, bool visible)
{
	struct reveal *v = mem_zero(sizeof *v + about.n + to.n);
	char *p = v->bytes;

	v->visible = visible;
	v->about = append(&p, about);
	v->to = append(&p, to);
	post_to(threads_home(to), reveal_arrived, v, mem_free);
}
