/* The mirrors of rooms. See chat_room.h. Each worker has its own; what an occupant does reaches the others as one mail per worker from his home. */
#include "server/im/chat_room.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/conv.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/person.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static room_observer_fn *observer;
static _Thread_local struct idmap *rooms; /* number -> struct room */

void room_observe(room_observer_fn *fn)
{
	observer = fn;
}

/* ---- rooms, seats, occupants of this worker ---- */

struct room *room_find(uint64_t number)
{
	return idmap_get(rooms, number);
}

static struct room *room_get(uint64_t number, struct str domain)
{
	struct room *r = idmap_get(rooms, number);
	char text[1200];

	if (r)
		return r;
	r = NEW(struct room);
	r->number = number;
	int n = snprintf(text, sizeof text, "chat%llu@chats.%.*s", (unsigned long long)number, STR_ARG(domain));
	r->jid.full = str_of(str_dup(str_of(text, (size_t)n)), (size_t)n);
	r->jid.local_n = (uint16_t)str_find(r->jid.full, '@');
	r->jid.domain_n = (uint16_t)(n - r->jid.local_n - 1);
	list_init(&r->seats);
	r->occupants = idmap_new();
	idmap_put(rooms, number, r);
	return r;
}

static void room_release(struct room *r)
{
	if (!list_empty(&r->seats) || idmap_count(r->occupants))
		return;
	idmap_del(rooms, r->number);
	idmap_free(r->occupants);
	mem_free((void *)r->jid.full.p);
	mem_free(r);
}

struct seat *room_seat(const struct session *s, uint64_t number)
{
	list_each (seat, &s->seats, struct seat, of_session)
		if (seat->room->number == number)
			return seat;
	return NULL;
}

static struct seat *seat_new(struct room *r, struct session *s, uint64_t seen)
{
	struct seat *seat = NEW(struct seat);

	seat->s = s;
	seat->room = r;
	seat->seen = seen;
	seat->as = jid_dup_heap(r->jid);
	list_add(&r->seats, &seat->of_room);
	list_add(&s->seats, &seat->of_session);
	return seat;
}

static void seat_free(struct seat *seat)
{
	struct room *r = seat->room;

	list_del(&seat->of_room);
	list_del(&seat->of_session);
	mem_free((void *)seat->as.full.p);
	mem_free(seat);
	room_release(r);
}

void room_each_occupant(const struct room *r, void (*fn)(void *ctx, const struct occupant *o), void *ctx)
{
	size_t pos = 0;
	uint64_t account;
	void *o;

	while (idmap_next(r->occupants, &pos, &account, &o))
		fn(ctx, o);
}

static void session_entry_free(struct occupant_session *e)
{
	chunk_unref(e->presence);
	mem_free((void *)e->jid.full.p);
	mem_free(e);
}

static struct occupant_session **entry_of(struct occupant *o, uint64_t session)
{
	struct occupant_session **e = &o->sessions;

	while (*e && (*e)->session != session)
		e = &(*e)->next;
	return e;
}

static void occupant_free(struct room *r, struct occupant *o)
{
	idmap_del(r->occupants, o->account);
	while (o->sessions) {
		struct occupant_session *e = o->sessions;
		o->sessions = e->next;
		session_entry_free(e);
	}
	mem_free((void *)o->jid.full.p);
	mem_free(o);
}

static struct occupant *occupant_new(struct room *r, uint32_t account, struct str nick, struct jid full)
{
	struct occupant *o = mem_zero(sizeof *o + nick.n + 1);

	memcpy(o->bytes, nick.p, nick.n);
	o->nick = str_of(o->bytes, nick.n);
	o->account = account;
	o->jid = jid_dup_heap(jid_to_bare(full));
	idmap_put(r->occupants, account, o);
	return o;
}

/* ---- what an occupant did, applied by every worker ---- */

struct news {
	atomic_uint refs;
	enum room_why why;
	uint64_t number, session;
	uint32_t account, actor;
	uint8_t role;
	struct chunk *presence;
	struct jid jid; /* full */
	struct str domain, nick, reason;
	struct arena *a;
};

static struct news *news_new(enum room_why why, const struct room *r, const struct occupant *o, const struct session *s,
			     struct chunk *presence)
{
	struct news *n = NEW(struct news);
	struct str chats = jid_domain(&r->jid);

	atomic_init(&n->refs, 1);
	n->a = arena_new(512);
	n->why = why;
	n->number = r->number;
	n->domain = arena_str(n->a, str_of(chats.p + 6, chats.n - 6)); /* behind "chats." */
	n->presence = presence ? chunk_ref(presence) : NULL;
	if (s) {
		n->session = s->number;
		n->account = s->user->id;
		n->jid = jid_dup(n->a, s->jid);
	}
	if (o) {
		n->account = o->account;
		n->role = o->role;
		n->nick = arena_str(n->a, o->nick);
	}
	return n;
}

static void news_unref(void *data)
{
	struct news *n = data;

	if (atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) > 1)
		return;
	chunk_unref(n->presence);
	arena_free(n->a);
	mem_free(n);
}

static void observe(const struct room_change *c)
{
	if (observer)
		observer(c);
}

static void came(struct room *r, const struct news *n)
{
	struct occupant *o = idmap_get(r->occupants, n->account);

	if (!o)
		o = occupant_new(r, n->account, n->nick, n->jid);
	struct occupant_session **e = entry_of(o, n->session);
	if (!*e) {
		*e = NEW(struct occupant_session);
		(*e)->session = n->session;
		(*e)->jid = jid_dup_heap(n->jid);
	}
	chunk_unref((*e)->presence);
	(*e)->presence = n->presence ? chunk_ref(n->presence) : NULL;
	o->role = n->role;
	observe(&(struct room_change){ .why = n->why, .room = r, .who = o, .session = *e, .presence = n->presence });
}

static void went(struct room *r, const struct news *n)
{
	struct occupant *o = idmap_get(r->occupants, n->account);
	struct occupant_session **e = o ? entry_of(o, n->session) : NULL;

	if (!e || !*e)
		return;
	struct occupant_session *gone = *e;
	bool last = o->sessions == gone && !gone->next;
	observe(&(struct room_change){ .why = n->why,
				       .room = r,
				       .who = o,
				       .session = gone,
				       .last = last,
				       .actor = n->actor,
				       .reason = n->reason,
				       .presence = n->presence });
	*e = gone->next;
	session_entry_free(gone);
	if (last)
		occupant_free(r, o);
}

static void role_changed(struct room *r, const struct news *n)
{
	struct occupant *o = idmap_get(r->occupants, n->account);

	if (!o || o->role == n->role)
		return;
	o->role = n->role;
	observe(&(struct room_change){ .why = ROOM_ROLE, .room = r, .who = o, .actor = n->actor, .reason = n->reason });
}

static void apply_news(void *data)
{
	const struct news *n = data;
	bool comes = n->why == ROOM_JOINED || n->why == ROOM_PRESENCE;
	struct room *r = comes ? room_get(n->number, n->domain) : room_find(n->number);

	if (!r)
		return;
	if (comes)
		came(r, n);
	else if (n->why == ROOM_ROLE)
		role_changed(r, n);
	else
		went(r, n);
	room_release(r);
}

/* Here at once, on the others by mail. Takes the reference. */
static void tell_all(struct news *n)
{
	unsigned self = (unsigned)threads_self(), count = threads_count();

	for (unsigned w = 0; w < count; w++) {
		if (w == self)
			continue;
		atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
		post_to(w, apply_news, n, news_unref);
	}
	apply_news(n);
	news_unref(n);
}

/* ---- coming and going of this worker's sessions ---- */

struct seat *room_join(struct session *s, struct txn *t, const struct chat_rec *chat, enum chat_role role,
		       const struct jid *as, struct chunk *presence)
{
	struct room *r = room_get(chat->number, chat->domain);
	struct seat *seat = room_seat(s, chat->number);
	struct arena *a = arena_new(512);
	struct occupant *known = idmap_get(r->occupants, s->user->id);

	if (!seat)
		seat = seat_new(r, s, 0);
	uint64_t last = conv_last_seq(t, conv_chat(chat->number));
	if (last > seat->seen)
		seat->seen = last;
	seat->joined = true;
	mem_free((void *)seat->as.full.p);
	seat->as = jid_dup_heap(jid_to_bare(*as));
	struct news *n = news_new(ROOM_JOINED, r, NULL, s, presence);
	n->role = (uint8_t)role;
	n->nick = arena_str(n->a, known ? known->nick : chat_nick(a, s->user->id));
	arena_free(a);
	tell_all(n);
	return seat;
}

void room_presence(struct seat *seat, struct chunk *presence)
{
	const struct occupant *o = idmap_get(seat->room->occupants, seat->s->user->id);

	if (seat->joined && o)
		tell_all(news_new(ROOM_PRESENCE, seat->room, o, seat->s, presence));
}

static bool has_other_seat(const struct user *u, uint64_t number, const struct session *except)
{
	list_each (s, &u->sessions, struct session, of_user) {
		if (s != except && room_seat(s, number))
			return true;
	}
	return false;
}

/* Ends a joined seat for a reason; the seat is freed unless it goes on following. */
static void end_seat(struct seat *seat, enum room_why why, uint32_t actor, struct str reason, struct chunk *presence,
		     bool keep)
{
	struct session *s = seat->s;
	uint64_t number = seat->room->number;

	if (seat->joined) {
		struct news *n = news_new(why, seat->room, NULL, s, presence);
		n->actor = actor;
		n->reason = reason.p ? arena_str(n->a, reason) : STR_NONE;
		tell_all(n);
	}
	seat->joined = false;
	if (keep) {
		mem_free((void *)seat->as.full.p);
		seat->as = jid_dup_heap(seat->room->jid);
		return;
	}
	seat_free(seat);
	if (!has_other_seat(s->user, number, s))
		room_delivered_write(s->user, number);
}

/* What was written to a stream that lives arrives, so a session that comes back gets none of it again. */
static void remember_left(struct session *s, uint64_t number, uint64_t seen)
{
	if (!s->left)
		s->left = idmap_new();
	idmap_put(s->left, number, (void *)(uintptr_t)seen);
}

uint64_t room_missed_after(const struct session *s, struct txn *t, uint64_t number)
{
	uint64_t left = s->left ? (uintptr_t)idmap_get(s->left, number) : 0,
		 delivered = room_delivered(s->user, t, number);

	return left > delivered ? left : delivered;
}

void room_leave(struct seat *seat, struct chunk *presence)
{
	remember_left(seat->s, seat->room->number, seat->seen);
	end_seat(seat, ROOM_LEFT, 0, STR_NONE, presence, seat->s->follows);
}

static void session_ends(struct session *s)
{
	while (!list_empty(&s->seats))
		end_seat(list_entry(s->seats.next, struct seat, of_session), ROOM_LEFT, 0, STR_NONE, NULL, false);
	idmap_free(s->left);
	s->left = NULL;
}

/* The process ends: the other workers are not told. */
static void session_freed(struct session *s)
{
	while (!list_empty(&s->seats))
		seat_free(list_entry(s->seats.next, struct seat, of_session));
	idmap_free(s->left);
	s->left = NULL;
}

/* ---- following ---- */

#define FOLLOW_PAGE 256

static void follow_chats(struct session *s, struct txn *t)
{
	struct str domain = jid_domain(&s->jid);
	uint64_t v[FOLLOW_PAGE], after = 0;

	for (size_t n = FOLLOW_PAGE; n == FOLLOW_PAGE; after = n ? v[n - 1] : 0) {
		n = chat_of_account(t, s->user->id, after, v, FOLLOW_PAGE);
		for (size_t i = 0; i < n; i++)
			if (!room_seat(s, v[i]))
				seat_new(room_get(v[i], domain), s, conv_last_seq(t, conv_chat(v[i])));
	}
}

void room_follow(struct session *s, bool on)
{
	if (s->follows == on)
		return;
	s->follows = on;
	if (on) {
		struct txn *t = im_read();
		follow_chats(s, t);
		txn_commit(t);
		return;
	}
	list_each_safe (seat, &s->seats, struct seat, of_session)
		if (!seat->joined)
			end_seat(seat, ROOM_LEFT, 0, STR_NONE, NULL, false);
}

/* ---- for done() of chat operations ---- */

static void member_stays(struct user *u, uint64_t number, enum chat_role role, uint32_t actor, struct str reason)
{
	struct room *r = room_find(number);
	struct occupant *o = r ? idmap_get(r->occupants, u->id) : NULL;

	list_each (s, &u->sessions, struct session, of_user) {
		if (s->follows && !room_seat(s, number))
			seat_new(room_get(number, jid_domain(&s->jid)), s, 0);
	}
	if (!o || o->role == role)
		return;
	struct news *n = news_new(ROOM_ROLE, r, o, NULL, NULL);
	n->role = (uint8_t)role;
	n->actor = actor;
	n->reason = reason.p ? arena_str(n->a, reason) : STR_NONE;
	tell_all(n);
}

void room_member_changed(uint64_t number, uint32_t account, enum chat_role role, uint32_t actor, struct str reason)
{
	struct arena *a = arena_new(512);
	struct jid jid = person_jid(a, account);
	bool here = !jid_is_none(&jid) && threads_home(jid_bare(&jid)) == (unsigned)threads_self();
	struct user *u = here ? user_find(jid_bare(&jid)) : NULL;

	arena_free(a);
	if (!u)
		return;
	if (role >= CHAT_MEMBER)
		return member_stays(u, number, role, actor, reason);
	enum room_why why = role == CHAT_OUTCAST ? ROOM_BANNED : actor == account ? ROOM_LEFT : ROOM_REMOVED;
	list_each_safe (s, &u->sessions, struct session, of_user) {
		struct seat *seat = room_seat(s, number);
		if (seat)
			end_seat(seat, why, actor, reason, NULL, false);
	}
}

void room_destroyed(uint64_t number, struct str reason)
{
	struct room *r = room_find(number);

	if (!r)
		return;
	struct room_change c = { .why = ROOM_DESTROYED, .room = r, .reason = reason };
	observe(&c);
	struct list *seats = &r->seats;
	while (!list_empty(seats)) { /* a join on its way to another worker is followed there by this */
		struct seat *seat = list_entry(seats->next, struct seat, of_room);
		bool last = seats->next == seats->prev && idmap_count(r->occupants) == 0;
		end_seat(seat, ROOM_DESTROYED, 0, reason, NULL, false);
		if (last || room_find(number) != r)
			return;
	}
}

/* ---- saying ---- */

static struct jid seat_from(struct arena *a, const struct seat *seat, struct str nick)
{
	return nick.n ? jid_make(a, jid_local(&seat->as), jid_domain(&seat->as), nick) : seat->as;
}

static struct str nick_in(struct arena *a, const struct room *r, uint32_t author)
{
	const struct occupant *o = author ? idmap_get(r->occupants, author) : NULL;

	return o ? arena_str(a, o->nick) : author ? chat_nick(a, author) : STR_NONE;
}

static struct outgoing outgoing_of(const struct room_message *m, struct str occupant)
{
	return (struct outgoing){
		.kind = STANZA_MESSAGE,
		.type = str_c(message_type_names[MESSAGE_GROUPCHAT]),
		.id = m->id.n ? m->id : STR_NONE,
		.lang = m->lang.n ? m->lang : STR_NONE,
		.payload = m->payload,
		.gid = m->gid,
		.chat = m->gid ? m->number : 0,
		.seq = m->seq,
		.occupant = occupant,
		.delay_ms = m->delay_ms,
		.hold_while_inactive = m->hold,
	};
}

static void give(struct seat *seat, struct outgoing *o, struct str from)
{
	o->from = from;
	o->by = seat->as.full;
	session_send(seat->s, o);
}

void room_deliver(const struct room_message *m)
{
	struct room *r = room_find(m->number);
	char id[OCCUPANT_ID_LEN];

	if (!r || list_empty(&r->seats))
		return;
	struct arena *a = arena_new(1024);
	struct str nick = nick_in(a, r, m->author);
	if (m->author)
		chat_occupant_id(m->number, m->author, id);
	struct outgoing o = outgoing_of(m, m->author ? str_of(id, sizeof id) : STR_NONE);
	struct str canonical = nick.n ? jid_make(a, jid_local(&r->jid), jid_domain(&r->jid), nick).full : r->jid.full;
	list_each_safe (seat, &r->seats, struct seat, of_room) {
		if (m->seq && m->seq <= seat->seen)
			continue; /* history gave it */
		if (m->seq)
			seat->seen = m->seq;
		bool plain = str_eq(seat->as.full, r->jid.full);
		give(seat, &o, plain ? canonical : seat_from(a, seat, nick).full);
	}
	arena_free(a);
}

void room_send(struct seat *seat, const struct room_message *m)
{
	char id[OCCUPANT_ID_LEN];
	struct arena *a = arena_new(1024);

	if (m->author)
		chat_occupant_id(m->number, m->author, id);
	struct outgoing o = outgoing_of(m, m->author ? str_of(id, sizeof id) : STR_NONE);
	give(seat, &o, seat_from(a, seat, nick_in(a, seat->room, m->author)).full);
	arena_free(a);
}

static void send_entry(struct seat *seat, struct txn *t, uint64_t gid)
{
	struct message_rec r;

	if (message_get(t, gid, &r))
		return;
	struct chunk *payload = chunk_of(r.payload);
	struct room_message m = { .number = seat->room->number,
				  .gid = r.gid,
				  .seq = r.seq,
				  .author = r.author,
				  .flags = r.flags,
				  .id = r.id,
				  .lang = r.lang,
				  .payload = payload,
				  .delay_ms = r.wall_us / 1000 };
	room_send(seat, &m);
	chunk_unref(payload);
}

/* Numbers of the newest entries of the interval, newest first. */
static size_t collect(struct seat *seat, struct txn *t, uint64_t after, uint64_t since_us, uint64_t *gids, size_t max)
{
	uint64_t oldest = since_us ? message_gid_at(t, since_us) : 0;
	struct log_scan ls;
	struct log_entry e;
	size_t n = 0;

	log_scan_open(&ls, t, 0, conv_chat(seat->room->number), UINT64_MAX, true);
	while (n < max && log_scan_next(&ls, &e)) {
		if (e.seq <= after || e.gid < oldest)
			break;
		if (e.seq <= seat->seen && !(e.flags & MESSAGE_RETRACTED))
			gids[n++] = e.gid;
	}
	log_scan_close(&ls);
	return n;
}

size_t room_history(struct seat *seat, struct txn *t, uint64_t after, uint64_t since_us, size_t max)
{
	struct chat_member_rec me;

	if (max > limits()->chat_history)
		max = limits()->chat_history;
	if (!max || chat_member_get(t, seat->room->number, seat->s->user->id, &me) || me.role < CHAT_MEMBER)
		return 0;
	if (me.floor > after)
		after = me.floor; /* I08 */
	uint64_t *gids = mem_alloc(max * sizeof *gids);
	size_t n = collect(seat, t, after, since_us, gids, max);
	for (size_t i = n; i-- > 0;)
		send_entry(seat, t, gids[i]);
	mem_free(gids);
	return n;
}

/* ---- start and end ---- */

void room_init(void)
{
	static const struct session_hooks hooks = { .user_unload = room_delivered_forget,
						    .session_close = session_ends,
						    .session_free = session_freed };

	session_add_hooks(&hooks);
}

void room_thread_init(void)
{
	rooms = idmap_new();
}

void room_thread_fini(void)
{
	size_t pos = 0;
	uint64_t number;
	void *v;

	while (idmap_next(rooms, &pos, &number, &v)) {
		struct room *r = v;
		size_t at = 0;
		uint64_t account;
		void *o;
		while (idmap_next(r->occupants, &at, &account, &o))
			occupant_free(r, o);
		idmap_del(rooms, number);
		idmap_free(r->occupants);
		mem_free((void *)r->jid.full.p);
		mem_free(r);
	}
	idmap_free(rooms);
	rooms = NULL;
	chat_names_thread_end();
	room_delivered_thread_end();
}
