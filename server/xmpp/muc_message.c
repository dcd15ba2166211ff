/*
 * Messages to a chat (XEP-0045 section 7): read, checked, cleaned of forged elements (rows I01, I02, I04), given to server/im/chat.h, which decides who may
 * speak and tells everybody. Also what a chat answers itself (/getChatId), subjects, private messages, moderation (XEP-0425). Home thread of the sender.
 */
#include "base/clock.h"
#include "base/err.h"
#include "server/im/chat_room.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/opaque.h"
#include "server/im/person.h"
#include "server/net/limits.h"
#include "server/xmpp/message.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/muc_invite.h"
#include "server/xmpp/muc_mention.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/router.h"
#include "xml/datetime.h"
#include <string.h>

/* One message on its way from the stanza to chat_post(). */
struct saying {
	struct request *rq;
	struct muc_room *room;
	struct chat_message cm;
	unsigned meaning; /* sum of enum meaning */
};

/* ---- what refers to an earlier message ---- */

/* A message of this chat by the id that the chat gave it (XEP-0359); 0: none such. out_author: who wrote it. */
static uint64_t by_stanza_id(uint64_t number, struct str id, uint32_t *out_author)
{
	struct message_rec m;
	uint64_t gid;

	if (opaque_parse(id, &gid))
		return 0;
	struct txn *t = im_read();
	bool found = message_get(t, gid, &m) == 0 && m.conv == conv_chat(number);
	*out_author = found ? m.author : 0;
	txn_commit(t);
	return found ? gid : 0;
}

/* XEP-0308: the id that the author gave it. What is not his own stays a message by itself (row I14). */
static bool read_correction(struct saying *s, struct node *n)
{
	struct txn *t = im_read();

	s->cm.edits_gid =
		message_find(t, conv_chat(s->room->number), s->cm.author, node_attr(n, "id"), limits()->look_back);
	txn_commit(t);
	if (!s->cm.edits_gid)
		node_remove(n);
	return true;
}

/* What takes the place of a message. */
static struct chunk *tombstone(struct saying *s, struct node *retracted)
{
	struct arena *a = s->rq->a;
	char when[DATETIME_MAX];
	struct node *m = node_new(a, A_message, NS_CLIENT);

	node_set(a, retracted, "stamp", arena_str(a, str_of(when, datetime_print(clock_wall_ms(), when))));
	node_append(m, retracted);
	return payload_of_children(m);
}

/* XEP-0424 section 5: one's own only. */
static bool read_retraction(struct saying *s, struct node *n)
{
	uint32_t author;
	struct arena *a = s->rq->a;

	s->cm.m.replaces_gid = by_stanza_id(s->room->number, node_attr(n, "id"), &author);
	if (!s->cm.m.replaces_gid) {
		reply_error(s->rq, "cancel", A_item_not_found,
			    "The chat has no message with that id; use the one that the chat gave it");
		return false;
	}
	struct node *forged =
		node_child(n, A_moderated, NS_MODERATE); /* only the chat says that (XEP-0425 section 5) */
	if (forged)
		node_remove(forged);
	if (author != s->cm.author) {
		reply_error(s->rq, "auth", A_forbidden, "Only its author takes a message back; managers moderate it");
		return false;
	}
	struct node *r = node_new(a, A_retracted, NS_RETRACT);
	node_set(a, r, "id", s->rq->id);
	s->cm.m.tombstone = tombstone(s, r);
	return true;
}

/* XEP-0444: the new set, NUL-separated. */
static bool read_reactions(struct saying *s, struct node *n)
{
	uint32_t author;
	struct buf b;

	s->cm.reacts_gid = by_stanza_id(s->room->number, node_attr(n, "id"), &author);
	if (!s->cm.reacts_gid) {
		reply_error(s->rq, "cancel", A_item_not_found,
			    "The chat has no message with that id; use the one that the chat gave it");
		return false;
	}
	buf_init(&b, 4096);
	for (struct node *r = node_child(n, A_reaction, NS_REACTIONS); r; r = node_next_same(r)) {
		if (b.n)
			buf_byte(&b, '\0');
		buf_str_add(&b, str_trim(node_text(s->rq->a, r)));
	}
	s->cm.reactions = arena_str(s->rq->a, buf_str(&b));
	bool ok = buf_ok(&b);
	buf_clear(&b);
	if (!ok)
		reply_error(s->rq, "modify", A_policy_violation, "Too many reactions");
	return ok;
}

static const struct {
	enum atom name;
	enum ns ns;
	bool (*read)(struct saying *s, struct node *n); /* false: the error was sent */
} references[] = {
	{ A_replace, NS_CORRECT, read_correction },
	{ A_retract, NS_RETRACT, read_retraction },
	{ A_reactions, NS_REACTIONS, read_reactions },
};

static bool read_references(struct saying *s)
{
	for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
		struct node *n = node_child(s->rq->stanza, references[i].name, references[i].ns);
		if (n && !references[i].read(s, n))
			return false;
	}
	return true;
}

/* XEP-0333: moves the read cursor; a thousand members do not tell each other what they have read. True when nothing else is said. */
static bool take_marker(struct saying *s)
{
	struct node *d = node_child(s->rq->stanza, A_displayed, NS_MARKERS);
	uint32_t author;
	uint64_t gid;

	if (d) {
		gid = by_stanza_id(s->room->number, node_attr(d, "id"), &author);
		if (gid)
			conv_mark_read(s->cm.author, conv_chat(s->room->number), gid);
	}
	return d && !node_child(s->rq->stanza, A_body, NS_CLIENT);
}

/* ---- sending ---- */

static void posted(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct pending *p = ctx;

	(void)number;
	(void)gid;
	if (p->xs && p->saves_counter) {
		if (err)
			sm_not_saved(p->xs, p->number);
		else
			sm_saved(p->xs, p->number);
	}
	if (err)
		muc_refuse_later(p, err);
	else
		pending_drop(p);
}

static void set_flags(struct saying *s)
{
	if ((s->meaning & M_STORE) && !(s->meaning & M_NO_STORE))
		s->cm.m.flags |= MESSAGE_STORE;
	if ((s->cm.m.flags & MESSAGE_STORE) && (s->meaning & M_COUNTS) && !(s->meaning & M_NO_COUNT))
		s->cm.m.flags |= MESSAGE_COUNTS;
	s->cm.m.transient_drop = (s->meaning & M_STATE) && !(s->cm.m.flags & MESSAGE_STORE);
}

static void post(struct saying *s)
{
	struct request *rq = s->rq;
	struct sm_checkpoint sm = { .id = "" };
	struct node *origin = node_child(rq->stanza, A_origin_id, NS_SID);

	if (origin)
		s->cm.m.origin_id = node_attr(origin, "id");
	set_flags(s);
	muc_mentions(rq, s->room, &s->cm);
	s->cm.m.payload = payload_of_children(rq->stanza);
	struct pending *p = muc_later(rq);
	if (rq->xs->sm && (s->cm.m.flags & MESSAGE_STORE))
		sm_checkpoint_for(rq->xs, rq->sm_number, &sm);
	p->saves_counter = sm.id[0] != '\0';
	chat_post(&s->cm, &sm, posted, p);
	chunk_unref(s->cm.m.payload);
	chunk_unref(s->cm.m.tombstone);
}

/* ---- what the chat answers itself ---- */

static struct str answer_id(struct request *rq, const struct muc_room *room)
{
	return arena_printf(rq->a, "The ID of this chat is %llu (dialog chat%llu)", (unsigned long long)room->number,
			    (unsigned long long)room->number);
}

static struct str answer_help(struct request *rq, const struct muc_room *room)
{
	(void)rq;
	(void)room;
	return STR("/getChatId - the number of this chat, for the portal\n/help - this list\n@Full Name or @login - "
		   "mentions somebody, @all - everybody");
}

static const struct {
	const char *word;
	struct str (*answer)(struct request *rq, const struct muc_room *room);
} commands[] = { { "/getChatId", answer_id }, { "/help", answer_help } };

static void tell_asker(struct request *rq, struct str from, struct str id, struct chunk *payload)
{
	struct outgoing o = {
		.kind = STANZA_MESSAGE, .from = from, .type = STR("groupchat"), .id = id, .payload = payload
	};

	session_send(rq->session, &o);
	chunk_unref(payload);
}

/* The asker gets his words back, as his client waits for that, and the answer; nobody else sees either. */
static bool take_command(struct request *rq, const struct muc_room *room)
{
	struct str body = str_trim(node_child_text(rq->a, rq->stanza, A_body, NS_CLIENT)), nick;

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (!str_ieq(body, str_c(commands[i].word)))
			continue;
		nick = chat_nick(rq->a, rq->session->user->id);
		tell_asker(rq, arena_printf(rq->a, "%.*s/%.*s", STR_ARG(room->address), STR_ARG(nick)), rq->id,
			   payload_of_children(rq->stanza));
		struct node *m = node_new(rq->a, A_message, NS_CLIENT);
		node_add_text(rq->a, m, A_body, NS_CLIENT, commands[i].answer(rq, room));
		tell_asker(rq, room->address, STR_NONE, payload_of_children(m));
		return true;
	}
	return false;
}

/* 8.1: a subject and no body. The record first, then everybody is told by a message of the person. */
struct subject_change {
	struct arena *a;
	struct pending *pending;
	struct chat_message cm;
};

static void subject_set(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct subject_change *c = ctx;

	(void)number;
	(void)gid;
	if (err)
		muc_refuse_later(c->pending, err);
	else
		chat_post(&c->cm, NULL, posted, c->pending);
	chunk_unref(c->cm.m.payload);
	arena_free(c->a);
}

static bool take_subject(struct saying *s)
{
	struct request *rq = s->rq;
	struct node *subject = node_child(rq->stanza, A_subject, NS_CLIENT);
	struct chat_change change = chat_change_none;

	if (!subject || node_child(rq->stanza, A_body, NS_CLIENT) || node_child(rq->stanza, A_thread, NS_CLIENT))
		return false;
	struct arena *a = arena_new(1024);
	struct subject_change *c = ARENA_NEW(a, struct subject_change);
	c->a = a;
	c->cm = s->cm;
	c->cm.by.domain = arena_str(a, c->cm.by.domain);
	c->cm.by.name = arena_str(a, c->cm.by.name);
	c->cm.m.from = jid_dup(a, c->cm.m.from);
	c->cm.m.id = c->cm.m.id.p ? arena_str(a, c->cm.m.id) : STR_NONE;
	c->cm.m.lang = STR_NONE;
	c->cm.m.flags = MESSAGE_STORE;
	c->cm.m.payload = payload_of_children(rq->stanza);
	c->pending = muc_later(rq);
	change.by = c->cm.by;
	change.number = s->room->number;
	change.author = rq->session->user->id;
	change.subject = node_text(rq->a, subject);
	if (!change.subject.p)
		change.subject = STR("");
	change.skip_line = true;
	chat_change(&change, subject_set, c);
	return true;
}

static void to_room(struct request *rq)
{
	struct muc_room room;
	struct saying s = { .rq = rq, .room = &room };

	if (!muc_look(rq, &room))
		return;
	if (room.me.role < CHAT_MEMBER) { /* 7.4 */
		reply_error(rq, "modify", A_not_acceptable, "Join the chat before you write to it");
		return;
	}
	s.cm = (struct chat_message){ .by = muc_principal(rq->session),
				      .number = room.number,
				      .author = rq->session->user->id,
				      .session = rq->session->number };
	s.cm.m = (struct message){
		.type = MESSAGE_GROUPCHAT, .from = rq->session->jid, .id = rq->id, .lang = node_lang(rq->stanza)
	};
	s.meaning = message_clean(rq->stanza);
	if (take_command(rq, &room) || take_subject(&s) || take_marker(&s) || !node_first(rq->stanza))
		return;
	if (read_references(&s))
		post(&s);
	else
		chunk_unref(s.cm.m.tombstone);
}

/* ---- private messages ---- */

/* 7.5: nobody hides behind a nick here, so it is an ordinary message between the two people and lies in their dialog. */
static void to_occupant(struct request *rq)
{
	struct muc_room room;
	uint32_t account;

	if (str_eq_c(rq->type, "groupchat")) {
		reply_error(rq, "modify", A_bad_request, "Messages of type groupchat go to the chat itself");
		return;
	}
	if (!muc_look_member(rq, &room))
		return;
	account = muc_occupant(room.number, jid_resource(&rq->to));
	if (!account) {
		reply_error(rq, "cancel", A_item_not_found, "Nobody of that name is in the chat now");
		return;
	}
	rq->as = rq->to.full;
	rq->to = person_jid(rq->a, account);
	rq->addressee = TO_ACCOUNT;
	message_stanza(rq);
}

void muc_message(struct request *rq)
{
	if (str_eq_c(rq->type, "error"))
		return; /* our own words came back: the session is there, nothing to tell */
	if (rq->addressee == TO_CHATS)
		reply_error(rq, "cancel", A_service_unavailable, "The chat service itself reads no messages");
	else if (rq->addressee == TO_OCCUPANT)
		to_occupant(rq);
	else if (str_eq_c(rq->type, "groupchat"))
		to_room(rq);
	else if (!muc_take_invitation(rq))
		reply_error(rq, "modify", A_bad_request, "Messages to a chat are of type groupchat");
}

/* ---- moderation (XEP-0425) ---- */

static struct node *moderated_node(struct request *rq, const struct muc_room *room)
{
	struct arena *a = rq->a;
	struct node *m = node_new(a, A_moderated, NS_MODERATE);
	struct str nick = chat_nick(a, rq->session->user->id);

	node_set(a, m, "by", arena_printf(a, "%.*s/%.*s", STR_ARG(muc_address(a, &room->rec)), STR_ARG(nick)));
	muc_add_occupant_id(a, m, room->number, rq->session->user->id);
	return m;
}

/* <retract/> or <retracted/> with who did it and why. */
static struct node *moderation(struct request *rq, const struct muc_room *room, enum atom name)
{
	struct node *r = node_new(rq->a, name, NS_RETRACT), *reason = node_child(rq->child, A_reason, NS_MODERATE);

	node_append(r, moderated_node(rq, room));
	if (reason)
		node_add_text(rq->a, r, A_reason, NS_RETRACT, node_text(rq->a, reason));
	return r;
}

static void moderate(struct request *rq)
{
	struct muc_room room;
	struct saying s = { .rq = rq, .room = &room };
	uint32_t author;
	uint64_t gid;

	if (!muc_look_member(rq, &room))
		return;
	if (!node_child(rq->child, A_retract, NS_RETRACT)) {
		reply_error(rq, "cancel", A_feature_not_implemented, "Messages can only be retracted");
		return;
	}
	gid = by_stanza_id(room.number, node_attr(rq->child, "id"), &author);
	if (!gid) {
		reply_error(rq, "cancel", A_item_not_found,
			    "The chat has no message with that id; use the one that the chat gave it");
		return;
	}
	s.cm = (struct chat_message){ .by = muc_principal(rq->session),
				      .number = room.number,
				      .author = rq->session->user->id,
				      .moderates = true,
				      .session = rq->session->number };
	s.cm.m = (struct message){
		.type = MESSAGE_GROUPCHAT, .from = rq->session->jid, .flags = MESSAGE_STORE, .replaces_gid = gid
	};
	struct node *stanza = node_new(rq->a, A_message, NS_CLIENT), *retract = moderation(rq, &room, A_retract);
	node_set(rq->a, retract, "id", node_attr(rq->child, "id"));
	node_append(stanza, retract);
	s.cm.m.payload = payload_of_children(stanza);
	s.cm.m.tombstone = tombstone(&s, moderation(rq, &room, A_retracted));
	chat_post(&s.cm, NULL, muc_answered, muc_later(rq));
	chunk_unref(s.cm.m.payload);
	chunk_unref(s.cm.m.tombstone);
}

static const struct handler rows[] = {
	{ IQ_SET, A_moderate, NS_MODERATE, TO_CHAT, 0, NULL, moderate },
	{ .fn = NULL },
};
const struct handler_table muc_message_handlers = { "XEP-0425 moderation", rows, NULL, NULL };
