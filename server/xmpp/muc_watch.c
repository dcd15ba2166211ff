/*
 * Changes of a chat's settings (XEP-0045 10.2.1): status 104 for everybody, and presences when a change of permissions gives people another role (voice, moderator).
 * What was there before is remembered per worker for the chats that its sessions are in. Observer of events, on every worker.
 */
#include "server/xmpp/muc_watch.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/xmpp/muc.h"
#include <string.h>

struct known {
	uint8_t permission[CHAT_PERMISSIONS];
	uint64_t look; /* hash of what clients show */
};
static _Thread_local struct idmap *watched; /* number -> struct known */

static uint64_t look_of(const struct chat_rec *r)
{
	struct str parts[] = { r->title, r->description, r->avatar };
	uint64_t h = r->flags + ((uint64_t)r->colour << 32);

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		h = h * 31 + str_hash(parts[i]);
	return h;
}

static void remember(struct known *k, const struct chat_rec *r)
{
	memcpy(k->permission, r->permission, sizeof k->permission);
	k->look = look_of(r);
}

void muc_watch(const struct chat_rec *r)
{
	if (!watched)
		watched = idmap_new();
	if (idmap_get(watched, r->number))
		return;
	struct known *k = NEW(struct known);
	remember(k, r);
	idmap_put(watched, r->number, k);
}

void muc_watch_forget(uint64_t number)
{
	if (watched)
		mem_free(idmap_del(watched, number));
}

void muc_watch_thread_fini(void)
{
	size_t pos = 0;
	uint64_t number;
	void *k;

	while (watched && idmap_next(watched, &pos, &number, &k))
		mem_free(k);
	idmap_free(watched);
	watched = NULL;
}

static void tell_changed(const struct room *r)
{
	struct chunk *payload =
		chunk_of(STR("<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>"));

	list_each_safe (seat, &r->seats, struct seat, of_room) {
		struct outgoing o = {
			.kind = STANZA_MESSAGE, .from = seat->as.full, .type = STR("groupchat"), .payload = payload
		};
		if (seat->joined)
			session_send(seat->s, &o);
	}
	chunk_unref(payload);
}

struct roles {
	struct room *room;
	struct chat_rec before, after;
};

static void tell_if_other(void *ctx, const struct occupant *o)
{
	struct roles *x = ctx;

	if (strcmp(muc_role(&x->before, o->role), muc_role(&x->after, o->role)) != 0)
		muc_tell_role(x->room, o);
}

static void compare(struct room *r, struct known *k, const struct chat_rec *now)
{
	struct roles x = { .room = r, .after = *now };
	bool permissions = memcmp(k->permission, now->permission, sizeof k->permission) != 0;
	bool look = k->look != look_of(now);

	memcpy(x.before.permission, k->permission, sizeof k->permission);
	remember(k, now);
	if (permissions || look)
		tell_changed(r);
	if (permissions)
		room_each_occupant(r, tell_if_other, &x);
}

static void on_event(const struct event *e)
{
	uint64_t number = conv_chat_number(e->conv);
	struct known *k = watched && conv_kind(e->conv) == CONV_CHAT ? idmap_get(watched, number) : NULL;
	struct room *r = k ? room_find(number) : NULL;
	struct chat_rec rec;

	if (k && (!r || e->gone))
		muc_watch_forget(number);
	else if (k) {
		struct txn *t = im_read();
		if (chat_rec_get(t, number, &rec) == 0)
			compare(r, k, &rec);
		txn_commit(t);
	}
}

void muc_watch_init(void)
{
	event_observe(1u << EVENT_CHAT, on_event);
}
