/* Delivery at the recipient's home: which sessions get a message (RFC 6121 8.5), carbons for the others (XEP-0280), and what waited (XEP-0160). */
#include "server/im/deliver.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "server/im/inflight.h"
#include "server/net/limits.h"

static struct outgoing outgoing_of(const struct message *m, uint64_t gid, const struct user *owner)
{
	return (struct outgoing){
		.kind = STANZA_MESSAGE,
		.from = m->from.full,
		.to = m->to.full,
		.type = m->type == MESSAGE_NORMAL ? STR_NONE : str_c(message_type_names[m->type]),
		.id = m->id,
		.lang = m->lang,
		.payload = m->payload,
		.gid = gid,
		.by = owner->jid.full,
		.hold_while_inactive = m->transient_drop,
	};
}

static bool takes_chat(const struct session *s)
{
	return s->available && s->priority >= 0;
}

/* Sessions that asked for carbons and did not get the message itself. */
static void received_carbons(struct user *u, struct outgoing *o, const struct session *except, bool bare)
{
	list_each_safe (s, &u->sessions, struct session, of_user) {
		if (s == except || !s->carbons || !s->available || (bare && takes_chat(s)))
			continue;
		o->carbon = CARBON_RECEIVED;
		session_send(s, o);
	}
	o->carbon = CARBON_NONE;
}

/* RFC 6121 8.5.2.1: chat, normal and headline go to every resource with non-negative priority. */
static bool to_all(struct user *u, struct outgoing *o)
{
	bool taken = false;

	list_each_safe (s, &u->sessions, struct session, of_user) {
		if (!takes_chat(s))
			continue;
		session_send(s, o);
		taken = true;
	}
	return taken;
}

bool deliver_message(struct user *u, const struct message *m, uint64_t gid)
{
	struct outgoing o = outgoing_of(m, gid, u);
	struct session *exact = jid_is_bare(&m->to) ? NULL : session_find(u, jid_resource(&m->to));

	if (exact) {
		session_send(exact, &o);
		if (m->copy)
			received_carbons(u, &o, exact, false);
		return true;
	}
	/* RFC 6121 8.5.3.2: no such resource. Chat and normal fall back to the bare JID, the others are dropped. */
	if (!jid_is_bare(&m->to) && m->type != MESSAGE_CHAT && m->type != MESSAGE_NORMAL)
		return false;
	if (m->type == MESSAGE_ERROR || m->type == MESSAGE_GROUPCHAT)
		return false;
	bool taken = to_all(u, &o);
	if (m->copy && m->type != MESSAGE_HEADLINE)
		received_carbons(u, &o, NULL, true);
	return taken;
}

void deliver_sent_carbons(struct user *u, const struct session *sender, const struct message *m, uint64_t gid)
{
	struct outgoing o = outgoing_of(m, gid, u);

	o.carbon = CARBON_SENT;
	list_each_safe (s, &u->sessions, struct session, of_user)
		if (s != sender && s->carbons && s->available)
			session_send(s, &o);
}

static void send_stored(struct session *s, struct txn *t, uint64_t gid)
{
	struct message_rec r;

	if (message_get(t, gid, &r) || (r.flags & MESSAGE_RETRACTED)) { /* damaged or withdrawn: nothing to wait for */
		inflight_confirm(s->user, gid);
		return;
	}
	struct chunk *payload = chunk_of(r.payload);
	struct outgoing o = {
		.kind = STANZA_MESSAGE,
		.from = r.from,
		.to = r.to,
		.type = r.type == MESSAGE_NORMAL ? STR_NONE : str_c(message_type_names[r.type]),
		.id = r.id.n ? r.id : STR_NONE, /* the record knows no difference between empty and absent */
		.lang = r.lang.n ? r.lang : STR_NONE,
		.payload = payload,
		.gid = gid,
		.by = s->user->jid.full,
		.delay_ms = r.wall_us / 1000,
	};
	session_send(s, &o);
	chunk_unref(payload);
}

void deliver_waiting(struct session *s)
{
	size_t max = limits()->offline_flush;
	uint64_t *gids = mem_alloc(max * sizeof *gids);
	size_t n = inflight_waiting(s->user, gids, max);

	if (n) {
		struct txn *t = im_read();
		for (size_t i = 0; i < n; i++)
			send_stored(s, t, gids[i]);
		txn_commit(t);
	}
	mem_free(gids);
}
