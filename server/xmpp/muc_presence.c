/*
 * Coming into a chat, being there, leaving (XEP-0045 sections 7.2, 7.6, 7.7, 7.14): what clients send becomes calls of server/im/chat_room.h, and the observer of
 * it prints what everybody sees: once for all, once more for the person's own sessions (status 110). Coming into an open chat makes one a
 * member, leaving it with one's client does not end that. Home thread of the session; the observer on every worker.
 */
#include "base/clock.h"
#include "base/err.h"
#include "server/im/chat_room.h"
#include "server/im/im.h"
#include "server/im/person.h"
#include "server/net/limits.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/muc_print.h"
#include "server/xmpp/muc_watch.h"
#include "server/xmpp/reply.h"
#include "xml/datetime.h"
#include "xml/print.h"

/* ---- what people see ---- */

/* Statuses of the self-presence of the join that is under way on this worker. */
static _Thread_local struct {
	uint64_t session;
	bool created, renamed;
} coming;

static void add_status(struct muc_words *w, unsigned code)
{
	if (w->n_status < MUC_STATUSES)
		w->status[w->n_status++] = code;
}

static struct str occupant_address(struct arena *a, const struct seat *seat, struct str nick)
{
	return jid_make(a, jid_local(&seat->as), jid_domain(&seat->as), nick).full;
}

static void send_presence(struct arena *a, struct seat *seat, struct str nick, bool gone, struct chunk *payload)
{
	struct outgoing o = { .kind = STANZA_PRESENCE,
			      .from = occupant_address(a, seat, nick),
			      .payload = payload,
			      .type = gone ? STR("unavailable") : STR_NONE,
			      .hold_while_inactive = !gone };

	session_send(seat->s, &o);
}

static const struct {
	bool leaves, ends_membership;
	unsigned status[2];
} ways[] = {
	[ROOM_JOINED] = { false, false, { 0 } },
	[ROOM_PRESENCE] = { false, false, { 0 } },
	[ROOM_ROLE] = { false, false, { 0 } },
	[ROOM_LEFT] = { true, false, { 0 } },
	[ROOM_REMOVED] = { true, true, { MUC_STATUS_AFFILIATION, MUC_STATUS_KICKED } },
	[ROOM_BANNED] = { true, true, { MUC_STATUS_BANNED } },
	[ROOM_DESTROYED] = { true, true, { 0 } },
};

/* Permissions of the chat as the store has them now: a role's name depends on them. */
static void name_role(struct muc_words *w, uint64_t number, uint8_t role)
{
	struct txn *t = im_read();
	struct chat_rec rec;

	w->affiliation = muc_affiliation(role);
	w->role = chat_rec_get(t, number, &rec) ? "participant" : muc_role(&rec, role);
	txn_commit(t);
}

static void add_ways(struct muc_words *w, const struct room_change *c)
{
	for (size_t i = 0; i < 2; i++)
		if (ways[c->why].status[i] && (ways[c->why].status[i] != MUC_STATUS_KICKED || c->actor))
			add_status(w, ways[c->why].status[i]);
}

static const struct occupant_session *other_session(const struct room_change *c)
{
	for (const struct occupant_session *s = c->who->sessions; s; s = s->next)
		if (s != c->session)
			return s;
	return NULL;
}

/* What the others see: gone, or how the person is there. Somebody who leaves with one of several sessions is still there. */
static struct muc_words words_for_others(struct arena *a, const struct room_change *c)
{
	const struct occupant_session *shown = c->session ? c->session : c->who->sessions;
	struct muc_words w = { .number = c->room->number, .account = c->who->account, .reason = c->reason };
	bool stays = ways[c->why].leaves && !c->last;

	if (stays)
		shown = other_session(c);
	if (shown) {
		w.jid = shown->jid.full;
		w.client = chunk_str(ways[c->why].leaves && !stays ? c->presence : shown->presence);
	}
	name_role(&w, c->room->number, c->who->role);
	if (c->actor && c->actor != c->who->account)
		w.actor = chat_nick(a, c->actor);
	if (ways[c->why].leaves && !stays) {
		w.role = "none";
		if (ways[c->why].ends_membership)
			w.affiliation = c->why == ROOM_BANNED ? "outcast" : "none";
		add_ways(&w, c);
	}
	return w;
}

static struct muc_words words_for_self(const struct muc_words *others, const struct room_change *c,
				       const struct session *s)
{
	struct muc_words w = *others;

	if (c->why == ROOM_JOINED && c->session && c->session->session == s->number) {
		add_status(&w, MUC_STATUS_NONANONYMOUS);
		add_status(&w, MUC_STATUS_LOGGED);
		if (coming.session == s->number && coming.created)
			add_status(&w, MUC_STATUS_CREATED);
		if (coming.session == s->number && coming.renamed)
			add_status(&w, MUC_STATUS_NICK_SET);
	}
	add_status(&w, MUC_STATUS_SELF);
	return w;
}

/* The session that goes while others of the person stay hears that it went. */
static void tell_leaver(struct arena *a, const struct room_change *c, struct seat *seat)
{
	struct room_change alone = *c;
	struct muc_words w;

	alone.last = true;
	w = words_for_others(a, &alone);
	add_status(&w, MUC_STATUS_SELF);
	struct chunk *payload = muc_print_presence(&w);
	send_presence(a, seat, c->who->nick, true, payload);
	chunk_unref(payload);
}

static void tell_self(struct arena *a, const struct room_change *c, const struct muc_words *others, struct seat *seat)
{
	bool gone = ways[c->why].leaves && c->last;
	struct muc_words w = words_for_self(others, c, seat->s);
	struct chunk *payload = muc_print_presence(&w);

	send_presence(a, seat, c->who->nick, gone, payload);
	chunk_unref(payload);
}

static void tell_destroyed(struct arena *a, const struct room_change *c)
{
	list_each_safe (seat, &c->room->seats, struct seat, of_room) {
		struct muc_words w = { .number = c->room->number,
				       .account = seat->s->user->id,
				       .affiliation = "none",
				       .role = "none",
				       .reason = c->reason,
				       .destroyed = true,
				       .status = { MUC_STATUS_SELF },
				       .n_status = 1 };
		if (!seat->joined)
			continue;
		struct chunk *payload = muc_print_presence(&w);
		send_presence(a, seat, chat_nick(a, seat->s->user->id), true, payload);
		chunk_unref(payload);
	}
}

static void tell_everybody(struct arena *a, const struct room_change *c)
{
	struct muc_words w = words_for_others(a, c);
	struct chunk *payload = muc_print_presence(&w);
	bool gone = ways[c->why].leaves && c->last;

	list_each_safe (seat, &c->room->seats, struct seat, of_room) {
		bool leaver = ways[c->why].leaves && c->session && seat->s->number == c->session->session;
		if (!seat->joined)
			continue;
		if (leaver && !c->last)
			tell_leaver(a, c, seat);
		else if (seat->s->user->id == c->who->account)
			tell_self(a, c, &w, seat);
		else
			send_presence(a, seat, c->who->nick, gone, payload);
	}
	chunk_unref(payload);
}

/* The session that leaves is the last one of this worker in the room. */
static bool is_last_here(const struct room_change *c)
{
	const struct list *seats = &c->room->seats;

	if (!c->session || list_empty(seats) || seats->next != seats->prev)
		return false;
	return list_entry(seats->next, struct seat, of_room)->s->number == c->session->session;
}

/* When a chat is gone everybody was told at once; single farewells would only repeat it. */
static void on_room(const struct room_change *c)
{
	struct arena *a = arena_new(2048);

	if (!c->who)
		tell_destroyed(a, c);
	else if (c->why != ROOM_DESTROYED)
		tell_everybody(a, c);
	if (!c->who || (ways[c->why].leaves && is_last_here(c)))
		muc_watch_forget(c->room->number);
	arena_free(a);
}

void muc_tell_role(struct room *r, const struct occupant *o)
{
	on_room(&(struct room_change){ .why = ROOM_ROLE, .room = r, .who = o });
}

void muc_init(void)
{
	room_observe(on_room);
	muc_watch_init();
}

/* ---- coming in ---- */

/* A join on its way: the chat may have to be made, or the person be added to it, before he comes in. */
struct entry {
	struct arena *a;
	struct pending *pending;
	struct jid to; /* as addressed, with the wanted nick */
	struct principal by;
	uint64_t number;
	struct chunk *presence;
	bool created, looked_again;
	bool asks_history; /* <history/> says something; else what the person has not got yet */
	uint64_t since_us, max;
};

static void entry_free(struct entry *e)
{
	chunk_unref(e->presence);
	arena_free(e->a);
}

static void entry_refuse(struct entry *e, int err)
{
	muc_refuse_later(e->pending, err);
	entry_free(e);
}

struct greeting {
	struct arena *a;
	struct seat *seat;
	struct session *s;
	struct jid as;
	const struct chat_rec *rec;
};

static void greet_with(void *ctx, const struct occupant *o)
{
	struct greeting *g = ctx;
	struct seat seat = { .s = g->s, .as = g->as };
	struct muc_words w = { .number = g->rec->number,
			       .account = o->account,
			       .affiliation = muc_affiliation(o->role),
			       .role = muc_role(g->rec, o->role) };

	if (o->account == g->s->user->id || !o->sessions)
		return;
	w.jid = o->sessions->jid.full;
	w.client = chunk_str(o->sessions->presence);
	struct chunk *payload = muc_print_presence(&w);
	send_presence(g->a, &seat, o->nick, false, payload);
	chunk_unref(payload);
}

/* 7.2.15: always the last of what is sent at a join, also when there is none. */
static void send_subject(struct arena *a, struct seat *seat, const struct chat_rec *rec)
{
	struct node *m = node_new(a, A_message, NS_CLIENT);

	node_add_text(a, m, A_subject, NS_CLIENT, rec->subject);
	struct str nick = rec->subject_author ? chat_nick(a, rec->subject_author) : STR_NONE;
	struct outgoing o = { .kind = STANZA_MESSAGE,
			      .type = STR("groupchat"),
			      .payload = payload_of_children(m),
			      .from = nick.n ? occupant_address(a, seat, nick) : seat->as.full,
			      .delay_ms = rec->subject_ms };
	session_send(seat->s, &o);
	chunk_unref(o.payload);
}

static void send_history(struct entry *e, struct seat *seat, struct txn *t)
{
	uint64_t after = e->asks_history ? 0 : room_missed_after(seat->s, t, e->number);

	if (e->max)
		room_history(seat, t, after, e->since_us, e->max);
}

/* 7.2: the others, oneself, what was said, the subject; all in one step, so that nothing comes between. */
static void enter(struct entry *e, struct session *s, struct txn *t, const struct chat_rec *rec, uint8_t role)
{
	struct room *r = room_find(e->number);
	struct greeting g = { .a = e->a, .s = s, .as = jid_to_bare(e->to), .rec = rec };

	if (r)
		room_each_occupant(r, greet_with, &g);
	coming.session = s->number;
	coming.created = e->created;
	coming.renamed = !str_eq(jid_resource(&e->to), chat_nick(e->a, s->user->id));
	struct seat *seat = room_join(s, t, rec, role, &g.as, e->presence);
	coming.session = 0;
	muc_watch(rec);
	send_history(e, seat, t);
	send_subject(e->a, seat, rec);
	pending_drop(e->pending);
	entry_free(e);
}

static void entry_go(struct entry *e);

static void added(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct entry *e = ctx;

	(void)number;
	(void)gid;
	if (err)
		entry_refuse(e, err);
	else
		entry_go(e);
}

static void created(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct entry *e = ctx;

	(void)gid;
	if (err == ERR_EXISTS) { /* somebody else's of that moment, or a closed one (row I07) */
		entry_go(e);
		return;
	}
	if (err) {
		entry_refuse(e, err);
		return;
	}
	e->number = number;
	e->created = true;
	entry_go(e);
}

/* 10.1: a chat under a new name. Names like chat21 belong to the numbers. */
static bool may_be_made(const struct entry *e, struct str local)
{
	uint64_t n;
	bool is_number =
		str_starts(local, STR("chat")) && str_u64(str_of(local.p + 4, local.n - 4), UINT64_MAX, &n) == 0;

	return !is_number && !e->looked_again && (im.people_make_chats || e->by.is_admin);
}

static void make(struct entry *e)
{
	struct str people;

	e->looked_again = true;
	muc_service(jid_domain(&e->to), &people);
	struct chat_new n = { .by = e->by,
			      .domain = people,
			      .alias = jid_local(&e->to),
			      .title = jid_local(&e->to),
			      .open = true,
			      .author = e->by.account };
	chat_create(&n, created, e);
}

/* Looks at the chat as it is now and does the next thing. */
static void entry_go(struct entry *e)
{
	struct session *s = pending_session(e->pending);
	struct chat_rec rec;
	struct chat_member_rec me = { .role = CHAT_NONE };
	struct str people;

	if (!s) {
		pending_drop(e->pending);
		entry_free(e);
		return;
	}
	struct txn *t = im_read();
	if (!muc_service(jid_domain(&e->to), &people) || !str_eq(people, e->by.domain))
		people = STR_NONE;
	if (!e->number && people.p)
		e->number = chat_resolve(t, people, jid_local(&e->to));
	int err = e->number ? chat_look(t, e->number, e->by.account, &rec, &me) : ERR_NOT_FOUND;
	if (!err && me.role >= CHAT_MEMBER) {
		chat_rec_copy(e->a, &rec);
		enter(e, s, t, &rec, me.role);
	} else if (!err) {
		chat_add(&e->by, e->number, &e->by.account, 1, CHAT_DEFAULT, false, added, e);
	} else if (err == ERR_NOT_FOUND && !e->number && people.p && may_be_made(e, jid_local(&e->to))) {
		make(e);
	} else {
		entry_refuse(e, err);
	}
	txn_commit(t);
}

/* 7.2.14: how much of what was said. maxchars is only understood as 0. */
static void read_history(struct entry *e, const struct node *x)
{
	struct node *h = x ? node_child(x, A_history, NS_MUC) : NULL;
	uint64_t v, ms;

	e->max = limits()->chat_history;
	if (!h)
		return;
	if (str_u64(node_attr(h, "maxchars"), UINT64_MAX, &v) == 0 && v == 0)
		e->max = 0;
	if (str_u64(node_attr(h, "maxstanzas"), UINT64_MAX, &v) == 0) {
		e->asks_history = true;
		if (v < e->max)
			e->max = v;
	}
	if (str_u64(node_attr(h, "seconds"), UINT32_MAX, &v) == 0) {
		e->asks_history = true;
		e->since_us = clock_wall_us() - v * 1000000;
	}
	if (node_attr(h, "since").p && datetime_parse(node_attr(h, "since"), &ms) == 0) {
		e->asks_history = true;
		if (ms * 1000 > e->since_us)
			e->since_us = ms * 1000;
	}
}

static void join(struct request *rq)
{
	struct arena *a = arena_new(1024);
	struct entry *e = ARENA_NEW(a, struct entry);

	e->a = a;
	e->to = jid_dup(a, rq->to);
	e->by = muc_principal(rq->session);
	e->by.domain = arena_str(a, e->by.domain);
	e->by.name = arena_str(a, e->by.name);
	read_history(e, node_child(rq->stanza, A_x, NS_MUC));
	e->presence = muc_client_presence(rq->stanza);
	e->pending = muc_later(rq);
	entry_go(e);
}

/* ---- being there and leaving ---- */

static struct seat *own_seat(struct request *rq)
{
	struct muc_room room;
	struct seat *seat = muc_find(rq, &room) ? NULL : room_seat(rq->session, room.number);

	return seat && seat->joined ? seat : NULL;
}

static void available(struct request *rq)
{
	bool asks = node_child(rq->stanza, A_x, NS_MUC) != NULL;
	struct seat *seat = own_seat(rq);

	if (rq->addressee == TO_CHAT) {
		if (asks)
			reply_error(rq, "modify", A_jid_malformed, "Join as chat@service/name");
		return;
	}
	if (asks || !seat) { /* without <x/> it is the join of 7.2.17 */
		join(rq);
		return;
	}
	if (!str_eq(jid_resource(&rq->to), chat_nick(rq->a, rq->session->user->id))) { /* 7.6 */
		reply_error(rq, "cancel", A_not_acceptable,
			    "Names in chats are those of the company; yours cannot be changed here");
		return;
	}
	struct chunk *presence = muc_client_presence(rq->stanza);
	room_presence(seat, presence);
	chunk_unref(presence);
}

static void unavailable(struct request *rq)
{
	struct seat *seat = own_seat(rq);

	if (!seat)
		return;
	struct chunk *presence = muc_client_presence(rq->stanza);
	room_leave(seat, presence);
	chunk_unref(presence);
}

void muc_presence(struct request *rq)
{
	if (rq->addressee == TO_CHATS || str_eq_c(rq->type, "error"))
		return; /* the service has no presence of its own */
	if (str_empty(rq->type))
		available(rq);
	else if (str_eq_c(rq->type, "unavailable"))
		unavailable(rq);
	else
		reply_error(rq, "modify", A_bad_request, "A chat knows no subscriptions: join it");
}
