/*
 * Saying something in a chat: one record and one log entry, whatever the number of members. Also what is not stored (chat states) goes through the writer, so that the
 * order of a sender holds. What a message names (a correction, a reaction, a retraction) must be in the same chat; I14: only the author corrects and retracts his own,
 * a moderator may retract others'.
 */
#include "base/clock.h"
#include "server/im/chat_op.h"
#include "server/im/conv.h"
#include "server/im/person.h"
#include "server/net/limits.h"

static int may_post(struct txn *t, struct chat_op *o)
{
	const struct chat_message *p = o->post;
	struct chat_member_rec m;
	int err = may_speak_as(&o->by, p->author);

	if (err || !p->author)
		return err; /* the system, or refused */
	err = chat_member_get(t, o->number, p->author, &m);
	if (err == ERR_NOT_FOUND)
		m.role = CHAT_NONE;
	else if (err)
		return err;
	if (m.role < CHAT_MEMBER)
		return ERR_FORBIDDEN;
	if (m.role > o->rank)
		o->rank = m.role;
	return m.role >= o->chat.permission[CHAT_MAY_POST] ? 0 : ERR_FORBIDDEN;
}

/* The message of this chat behind a number, else false. */
static bool named(struct txn *t, const struct chat_op *o, uint64_t gid, struct message_rec *out)
{
	return gid && message_get(t, gid, out) == 0 && out->conv == conv_chat(o->number);
}

static void did_change(struct chat_op *o, uint64_t gid, const struct message_rec *m)
{
	struct chat_effect *e = chat_did(o, CHAT_DID_CHANGE_MESSAGE);

	e->author = o->post->author;
	e->message.gid = gid;
	e->message.seq = m->seq;
	e->message.flags = m->flags;
}

/* Flags that follow from what the message names; also whether the actor may retract what is somebody else's. */
static int judge(struct txn *t, struct chat_op *o, struct message_rec *r)
{
	const struct chat_message *p = o->post;
	struct message_rec target;

	if (named(t, o, p->edits_gid, &target) && target.author == p->author &&
	    !(target.flags & (MESSAGE_RETRACTED | MESSAGE_EDIT | MESSAGE_REACTION))) {
		r->edits = p->edits_gid;
		r->newest_edit = target.newest_edit;
		r->flags = (r->flags & ~MESSAGE_COUNTS) | MESSAGE_EDIT;
	} else if (named(t, o, p->reacts_gid, &target)) {
		r->flags = (r->flags & ~MESSAGE_COUNTS) | MESSAGE_REACTION;
	}
	if (!p->moderates)
		return 0;
	if (chat_allows(o, CHAT_MAY_MODERATE))
		return ERR_FORBIDDEN;
	return named(t, o, p->m.replaces_gid, &target) ? 0 : ERR_NOT_FOUND;
}

static void apply_named(struct txn *t, struct chat_op *o, const struct message_rec *r)
{
	const struct chat_message *p = o->post;
	struct message_rec target;

	if (r->edits && named(t, o, r->edits, &target)) {
		message_set_edit(t, r->edits, r);
		did_change(o, r->edits, &target);
	}
	if ((r->flags & MESSAGE_REACTION) && p->author && named(t, o, p->reacts_gid, &target) &&
	    !(target.flags & MESSAGE_RETRACTED)) {
		reaction_put(t, p->reacts_gid, p->author, p->reactions);
		did_change(o, p->reacts_gid, &target);
	}
	if (named(t, o, p->m.replaces_gid, &target) && (p->moderates || (p->author && target.author == p->author))) {
		message_tombstone(t, p->m.replaces_gid, chunk_str(p->m.tombstone));
		did_change(o, p->m.replaces_gid, &target);
	}
	if (p->author && named(t, o, p->m.displayed_gid, &target) &&
	    cursor_set(t, p->author, conv_chat(o->number), target.seq)) {
		struct chat_effect *e = chat_did(o, CHAT_DID_READ);
		e->account = e->author = p->author;
		e->message.gid = p->m.displayed_gid;
		e->message.seq = target.seq;
	}
}

static void did_say(struct chat_op *o, const struct message_rec *r)
{
	const struct message *m = &o->post->m;
	struct chat_effect *e = chat_did(o, CHAT_DID_MESSAGE);

	e->author = o->post->author;
	e->message = (struct room_message){ .number = o->number,
					    .gid = r->gid,
					    .seq = r->seq,
					    .author = r->author,
					    .flags = r->flags,
					    .type = MESSAGE_GROUPCHAT,
					    .id = m->id,
					    .lang = m->lang,
					    .hold = m->transient_drop };
	e->message.payload = m->payload ? chunk_ref(m->payload) : NULL;
}

static int store_message(struct txn *t, struct chat_op *o, struct message_rec *r)
{
	const struct message *m = &o->post->m;

	r->from = m->from.full.p ? m->from.full : person_address(o->a, t, r->author);
	r->to = arena_printf(o->a, "chat%llu@chats.%.*s", (unsigned long long)o->number, STR_ARG(o->chat.domain));
	return message_append(t, r, clock_wall_us(), limits()->origin_ids);
}

static int run_post(struct txn *t, struct chat_op *o)
{
	const struct chat_message *p = o->post;
	struct message_rec r = {
		.conv = conv_chat(o->number),
		.author = p->moderates ? 0 : p->author, /* XEP-0425: the chat itself says it */
		.type = MESSAGE_GROUPCHAT,
		.flags = (p->m.flags & ~MESSAGE_STORE) | (p->mentions_all ? MESSAGE_ALL : 0) |
			 (p->author && !p->moderates ? 0 : MESSAGE_SYSTEM),
		.id = p->m.id,
		.origin_id = p->m.origin_id,
		.lang = p->m.lang,
		.payload = chunk_str(p->m.payload),
		.mentions = p->mentions,
		.n_mentions = p->n_mentions,
	};
	int err = chat_enter(t, o);

	if (!err)
		err = may_post(t, o);
	if (!err)
		err = judge(t, o, &r);
	if (err)
		return err;
	if (p->m.flags & MESSAGE_STORE) {
		err = store_message(t, o, &r);
		o->gid = r.gid;
		if (err == ERR_EXISTS)
			return 0; /* D05: acknowledged again, not said again */
		if (err)
			return err;
	}
	if (p->m.payload)
		did_say(o, &r);
	apply_named(t, o, &r);
	return txn_error(t);
}

static struct chat_message *copy(struct chat_op *o, const struct chat_message *cm)
{
	struct chat_message *c = arena_alloc(o->a, sizeof *c);
	uint64_t max = limits()->mentions;

	*c = *cm;
	c->by = o->by;
	c->m.from = cm->m.from.full.p ? jid_dup(o->a, cm->m.from) : cm->m.from;
	c->m.to = (struct jid){ .full = STR_NONE };
	c->m.id = cm->m.id.p ? arena_str(o->a, cm->m.id) : STR_NONE;
	c->m.origin_id = arena_str(o->a, cm->m.origin_id);
	c->m.lang = cm->m.lang.p ? arena_str(o->a, cm->m.lang) : STR_NONE;
	c->m.payload = cm->m.payload ? chunk_ref(cm->m.payload) : NULL;
	c->m.tombstone = cm->m.tombstone ? chunk_ref(cm->m.tombstone) : NULL;
	c->reactions = arena_str(o->a, cm->reactions);
	c->n_mentions = cm->n_mentions > max ? max : cm->n_mentions;
	uint32_t *v = arena_alloc(o->a, (c->n_mentions + 1) * sizeof *v);
	for (size_t i = 0; i < c->n_mentions; i++)
		v[i] = cm->mentions[i];
	c->mentions = v;
	return c;
}

void chat_post(const struct chat_message *cm, const struct sm_checkpoint *sm, chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(&cm->by, cm->number, run_post, done, ctx);

	o->post = copy(o, cm);
	if (sm)
		o->sm = *sm;
	if (cm->n_mentions > limits()->mentions)
		limit_hit("mentions");
	chat_op_submit(o);
}
