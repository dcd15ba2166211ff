/*
 * The inbox over XMPP: XEP-0430's question and answer, with a <dialog xmlns='urn:vestnik:inbox:0'/> beside each entry for what it lacks, and pushes of changed
 * dialogs to sessions that subscribed. Home thread of the asker.
 */
#include "server/im/inbox.h"
#include "base/err.h"
#include "base/hash.h"
#include "server/im/chat_room.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/im/opaque.h"
#include "server/im/peer.h"
#include "server/im/person.h"
#include "server/net/limits.h"
#include "server/net/loop.h"
#include "server/xmpp/inbox.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "server/xmpp/session_xmpp.h"
#include "storage/tab_chat.h"
#include "xml/datetime.h"
#include "xml/print.h"
#include "xml/rsm.h"

/* ---- addresses of conversations ---- */

static struct str address(struct arena *a, struct txn *t, struct str domain, const struct dialog *d)
{
	switch (conv_kind(d->conv)) {
	case CONV_CHAT: return arena_printf(a, "chat%llu@chats.%.*s", (unsigned long long)d->chat, STR_ARG(domain));
	case CONV_NOTIFY: return arena_cat(a, STR("notify."), domain, STR_NONE);
	case CONV_PRIVATE: break;
	}
	return person_address(a, t, d->peer);
}

uint64_t inbox_conv(struct arena *a, struct txn *t, uint32_t me, struct str domain, struct str text)
{
	struct jid j;

	if (!text.n || jid_parse(a, text, &j))
		return 0;
	struct str host = jid_domain(&j);
	if (im_is_our_domain(host)) {
		struct jid bare = jid_to_bare(j);
		uint32_t peer = j.local_n ? peer_get(&bare)->archived : 0;
		return peer ? conv_private(me, peer) : 0;
	}
	if (!j.local_n && str_eq(host, arena_cat(a, STR("notify."), domain, STR_NONE)))
		return conv_notify(me);
	uint64_t number = j.local_n && str_ends(host, domain) ? chat_resolve(t, domain, jid_local(&j)) : 0;
	return number ? conv_chat(number) : 0;
}

static uint64_t conv_of(struct request *rq, struct txn *t, struct str text)
{
	return inbox_conv(rq->a, t, rq->session->user->id, jid_domain(&rq->session->jid), text);
}

/* ---- printing ---- */

struct answer {
	struct session *s;
	struct arena *a;
	struct txn *t;
	struct str queryid; /* of the iq; p == NULL: a push */
	bool messages;	    /* with the last message of each */
	struct chunk **out;
	size_t n;
	struct dialog first, last;
};

static struct str opaque_str(struct arena *a, uint64_t gid)
{
	char id[OPAQUE_LEN];

	if (!gid)
		return STR_NONE;
	opaque_print(gid, id);
	return arena_str(a, str_of(id, OPAQUE_LEN));
}

static void set_flag(struct arena *a, struct node *n, const char *name, bool on)
{
	if (on)
		node_set(a, n, name, STR("true"));
}

static void add_title(struct answer *an, struct node *n, const struct dialog *d)
{
	struct chat_rec r;

	if (d->peer)
		node_add_text(an->a, n, A_title, NS_V_INBOX, person_name(an->a, an->t, d->peer));
	if (!d->chat || chat_rec_get(an->t, d->chat, &r))
		return;
	node_add_text(an->a, n, A_title, NS_V_INBOX, arena_str(an->a, r.title));
	node_set_u64(an->a, n, "colour", r.colour);
	set_flag(an->a, n, "open", r.flags & CHAT_IS_OPEN);
}

/* What XEP-0430 lacks. */
static struct node *dialog_node(struct answer *an, const struct dialog *d)
{
	static const char *const kinds[] = {
		[CONV_PRIVATE] = "private", [CONV_NOTIFY] = "notify", [CONV_CHAT] = "chat"
	};
	struct node *n = node_new(an->a, A_dialog, NS_V_INBOX);
	char when[DATETIME_MAX];

	node_set(an->a, n, "kind", str_c(kinds[conv_kind(d->conv)]));
	if (d->chat || d->peer)
		node_set_u64(an->a, n, "number", d->chat ? d->chat : d->peer);
	node_set_u64(an->a, n, "mentions", d->mentions);
	node_set(an->a, n, "read", opaque_str(an->a, d->read_gid));
	node_set(an->a, n, "first-unread", opaque_str(an->a, d->first_unread_gid));
	if (d->last_ms)
		node_set(an->a, n, "stamp", arena_str(an->a, str_of(when, datetime_print(d->last_ms, when))));
	set_flag(an->a, n, "pinned", d->flags & DIALOG_PINNED);
	set_flag(an->a, n, "muted", d->flags & DIALOG_MUTED);
	set_flag(an->a, n, "marked", d->flags & DIALOG_MARKED);
	set_flag(an->a, n, "hidden", d->flags & DIALOG_HIDDEN);
	set_flag(an->a, n, "gone", d->gone);
	add_title(an, n, d);
	return n;
}

/* The newest message as an archive result (XEP-0313): its printed payload is copied as it is. */
static void print_last(struct answer *an, struct buf *b, const struct dialog *d)
{
	struct message_rec m;
	char when[DATETIME_MAX];

	if (!an->messages || !d->last_gid || message_get(an->t, d->last_gid, &m))
		return;
	buf_lit(b, "<result xmlns='urn:xmpp:mam:2'");
	print_attr(b, "queryid", an->queryid);
	print_attr(b, "id", opaque_str(an->a, d->last_gid));
	buf_lit(b, "><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'");
	print_attr(b, "stamp", str_of(when, datetime_print(m.wall_us / 1000, when)));
	buf_lit(b, "/><message xmlns='jabber:client'");
	print_attr(b, "from", m.from);
	if (m.to.n)
		print_attr(b, "to", m.to);
	if (m.type != MESSAGE_NORMAL)
		print_attr(b, "type", str_c(message_type_names[m.type]));
	if (m.id.n)
		print_attr(b, "id", m.id);
	if (m.lang.n)
		print_attr(b, "xml:lang", m.lang);
	buf_byte(b, '>');
	buf_str_add(b, m.payload);
	buf_lit(b, "</message></forwarded></result>");
}

static struct chunk *print_dialog(struct answer *an, const struct dialog *d)
{
	struct node *entry = node_new(an->a, A_entry, NS_INBOX);
	struct buf b;

	node_set(an->a, entry, "jid", address(an->a, an->t, jid_domain(&an->s->jid), d));
	node_set_u64(an->a, entry, "unread", d->unread);
	node_set(an->a, entry, "id", opaque_str(an->a, d->last_gid));
	buf_init(&b, 64u << 20);
	print_node(&b, entry, STR("jabber:client"));
	print_node(&b, dialog_node(an, d), STR("jabber:client"));
	print_last(an, &b, d);
	struct chunk *c = chunk_of(buf_str(&b));
	buf_clear(&b);
	return c;
}

static void add_dialog(void *ctx, const struct dialog *d)
{
	struct answer *an = ctx;

	if (!an->n)
		an->first = *d;
	an->last = *d;
	an->out[an->n++] = print_dialog(an, d);
}

/* ---- the question (XEP-0430 section 3.1) ---- */

/* A position in the list as an RSM id: newest message and conversation, opaque, with a letter for pinned ones. */
static struct str position(struct arena *a, const struct dialog *d)
{
	char gid[OPAQUE_LEN], conv[OPAQUE_LEN];

	opaque_print(d->last_gid, gid);
	opaque_print(d->conv, conv);
	return arena_printf(a, "%s%.*s%.*s", d->flags & DIALOG_PINNED ? "p" : "d", OPAQUE_LEN, gid, OPAQUE_LEN, conv);
}

static int read_position(struct str s, struct inbox_query *q)
{
	if (s.n != 1 + 2 * OPAQUE_LEN || (s.p[0] != 'p' && s.p[0] != 'd'))
		return ERR_NOT_FOUND;
	q->after = true;
	q->after_pinned = s.p[0] == 'p';
	if (opaque_parse(str_of(s.p + 1, OPAQUE_LEN), &q->after_gid) ||
	    opaque_parse(str_of(s.p + 1 + OPAQUE_LEN, OPAQUE_LEN), &q->after_conv))
		return ERR_NOT_FOUND;
	return 0;
}

static bool is_true(struct str v)
{
	return str_eq_c(v, "true") || str_eq_c(v, "1");
}

static int read_query(struct request *rq, struct inbox_query *q)
{
	struct rsm_query r;
	int err = rsm_parse(rq->a, rq->child, &r);

	*q = (struct inbox_query){ .account = rq->session->user->id,
				   .unread_only = is_true(node_attr(rq->child, "unread-only")) };
	if (err)
		return err;
	if (r.has_before || r.has_index)
		return ERR_UNSUPPORTED;
	q->max = r.has_max ? r.max : limits()->inbox_page;
	if (q->max > limits()->inbox_page_max)
		q->max = limits()->inbox_page_max; /* row E08 */
	return r.has_after ? read_position(r.after, q) : 0;
}

static void count_dialog(void *ctx, const struct dialog *d)
{
	(void)d;
	++*(uint64_t *)ctx;
}

static struct node *fin_node(struct answer *an)
{
	struct inbox_query all = { .account = an->s->user->id, .max = SIZE_MAX };
	struct node *fin = node_new(an->a, A_fin, NS_INBOX);
	struct inbox_totals s;
	uint64_t total = 0;

	inbox_read(an->t, &all, count_dialog, &total);
	inbox_totals(an->t, an->s->user->id, &s);
	node_set_u64(an->a, fin, "total", total);
	node_set_u64(an->a, fin, "unread", s.dialogs_unread);
	node_set_u64(an->a, fin, "all-unread", s.unread);
	rsm_add(an->a, fin, an->n ? position(an->a, &an->first) : STR_NONE,
		an->n ? position(an->a, &an->last) : STR_NONE, UINT64_MAX, total);
	return fin;
}

static void inbox_query(struct request *rq)
{
	struct inbox_query q;
	struct str messages = node_attr(rq->child, "messages");
	int err = read_query(rq, &q);

	if (err) {
		reply_err(rq, err, err == ERR_UNSUPPORTED ? "The inbox is read forwards: use <after/>" : NULL);
		return;
	}
	struct answer an = { .s = rq->session,
			     .a = rq->a,
			     .queryid = rq->id,
			     .messages = !messages.p || is_true(messages),
			     .t = im_read() };
	an.out = arena_alloc(rq->a, (q.max + 1) * sizeof *an.out);
	err = inbox_read(an.t, &q, add_dialog, &an);
	struct node *fin = err ? NULL : fin_node(&an);
	txn_commit(an.t);
	for (size_t i = 0; i < an.n; i++) {
		if (!err)
			session_send(rq->session, &(struct outgoing){ .kind = STANZA_MESSAGE,
								      .from = rq->session->user->jid.full,
								      .payload = an.out[i] });
		chunk_unref(an.out[i]);
	}
	if (err)
		reply_err(rq, err, NULL);
	else
		reply_result(rq, fin);
}

/* ---- changes ---- */

static void answered(void *ctx, int err)
{
	struct pending *p = ctx;

	if (err)
		pending_err(p, err, err == ERR_NOT_FOUND ? "There is no such dialog" : NULL);
	else
		pending_result(p, NULL);
}

static struct pending *later(struct request *rq)
{
	struct pending *p = reply_later(rq);

	pending_is_fast(p);
	return p;
}

/* <set jid='' pinned='true' muted='false' hidden='true' marked='true'/>: what is named changes. */
static void inbox_change(struct request *rq)
{
	static const struct {
		const char *name;
		unsigned flag;
	} names[] = {
		{ "pinned", DIALOG_PINNED },
		{ "muted", DIALOG_MUTED },
		{ "hidden", DIALOG_HIDDEN },
		{ "marked", DIALOG_MARKED },
	};
	unsigned set = 0, clear = 0;
	struct txn *t = im_read();
	uint64_t conv = conv_of(rq, t, node_attr(rq->child, "jid"));

	txn_commit(t);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct str v = node_attr(rq->child, names[i].name);
		if (v.p)
			*(is_true(v) ? &set : &clear) |= names[i].flag;
	}
	if (!conv)
		reply_err(rq, ERR_NOT_FOUND, "There is no such dialog");
	else if (!set && !clear)
		reply_err(rq, ERR_SYNTAX, "Say what changes: pinned, muted, hidden or marked");
	else
		inbox_set(rq->session->user->id, conv, set, clear, answered, later(rq));
}

/* <read jid='' id='stanza-id' unread='true'/>: up to that message, without id all; unread: from there everything is unread. <read/> alone: every dialog. */
static void inbox_mark(struct request *rq)
{
	struct str jid = node_attr(rq->child, "jid"), id = node_attr(rq->child, "id");
	uint32_t me = rq->session->user->id;
	bool unread = is_true(node_attr(rq->child, "unread"));
	uint64_t gid = 0, seq = unread ? 0 : UINT64_MAX;
	struct message_rec m;

	if (!jid.p) {
		inbox_read_all(me, answered, later(rq));
		return;
	}
	struct txn *t = im_read();
	uint64_t conv = conv_of(rq, t, jid);
	bool there = conv && (!id.p || (opaque_parse(id, &gid) == 0 && message_get(t, gid, &m) == 0 && m.conv == conv));
	if (there && id.p)
		seq = m.seq;
	txn_commit(t);
	if (there)
		inbox_read_to(me, conv, seq, unread, answered, later(rq));
	else
		reply_err(rq, ERR_NOT_FOUND, "There is no such message in that dialog");
}

/* ---- pushes ---- */

void inbox_subscribe(struct session *s, bool follow)
{
	s->inbox = true;
	if (s->follows != follow)
		room_follow(s, follow);
}

static void subscribe(struct request *rq)
{
	inbox_subscribe(rq->session, is_true(node_attr(rq->child, "follow")));
	sm_state_changed(rq->xs);
	reply_result(rq, NULL);
}

static void unsubscribe(struct request *rq)
{
	rq->session->inbox = false;
	if (rq->session->follows)
		room_follow(rq->session, false);
	sm_state_changed(rq->xs);
	reply_result(rq, NULL);
}

/* Changes wait for the end of the loop's turn, so that many of one dialog cost one question and one push. */
struct due {
	uint32_t account; /* 0: everybody here */
	uint64_t conv;
	bool gone; /* the person left or was removed */
};
static _Thread_local struct {
	struct deferred turn;
	struct due *v;
	size_t n, room;
} dues;

static struct session *first_subscriber(const struct user *u)
{
	list_each (s, &u->sessions, struct session, of_user)
		if (s->inbox)
			return s;
	return NULL;
}

/* What the person's devices are told; NULL: nothing, e.g. a chat that is not his. */
static struct chunk *print_change(struct answer *an, const struct due *due)
{
	struct dialog d;

	if (inbox_get(an->t, an->s->user->id, due->conv, &d) == 0)
		return print_dialog(an, &d);
	if (!due->gone)
		return NULL;
	d = (struct dialog){ .conv = due->conv, .chat = conv_chat_number(due->conv), .gone = true };
	return print_dialog(an, &d);
}

static void push(struct user *u, struct txn *t, const struct due *due)
{
	struct answer an = { .s = first_subscriber(u), .a = arena_new(2048), .t = t };
	struct chunk *payload = an.s ? print_change(&an, due) : NULL;

	list_each_safe (s, &u->sessions, struct session, of_user)
		if (payload && s->inbox)
			session_send(s, &(struct outgoing){ .kind = STANZA_MESSAGE,
							    .from = u->jid.full,
							    .type = STR("headline"),
							    .payload = payload });
	chunk_unref(payload);
	arena_free(an.a);
}

static bool concerns(const struct due *d, const struct user *u, uint64_t conv)
{
	return d->conv == conv && (!d->account || d->account == u->id);
}

/* The first of a dialog's changes stands for all of them. */
static bool join_dues(const struct user *u, size_t first, struct due *out)
{
	*out = dues.v[first];
	for (size_t i = 0; i < dues.n; i++) {
		if (!concerns(&dues.v[i], u, out->conv))
			continue;
		if (i < first)
			return false;
		out->gone |= dues.v[i].gone;
	}
	return concerns(&dues.v[first], u, out->conv);
}

static void push_due(struct session *s, void *ctx)
{
	struct user *u = s->user;
	struct due due;

	if (!s->inbox || first_subscriber(u) != s)
		return;
	for (size_t i = 0; i < dues.n; i++)
		if (join_dues(u, i, &due))
			push(u, ctx, &due);
}

static void turn_ends(struct deferred *d)
{
	struct txn *t = im_read();

	(void)d;
	session_each(push_due, t);
	txn_commit(t);
	mem_free(dues.v);
	dues.v = NULL;
	dues.n = dues.room = 0;
}

/* Events of one person come on his home; those of a chat on every worker, which looks at its own people. */
static void on_event(const struct event *e)
{
	bool about_person = e->kind == EVENT_MEMBER || e->account;
	struct due due = { about_person ? e->account : 0, e->conv, e->gone && e->kind == EVENT_MEMBER };

	for (size_t i = dues.n; i-- > 0;)
		if (dues.v[i].conv == due.conv && dues.v[i].account == due.account) {
			dues.v[i].gone = due.gone;
			return;
		}
	if (dues.n == dues.room) {
		dues.room = dues.room ? 2 * dues.room : 16;
		dues.v = mem_realloc(dues.v, dues.room * sizeof *dues.v);
	}
	dues.v[dues.n++] = due;
	dues.turn.run = turn_ends;
	loop_defer(loop_self(), &dues.turn);
}

void inbox_init(void)
{
	event_observe(1u << EVENT_MESSAGE | 1u << EVENT_MESSAGE_CHANGED | 1u << EVENT_READ | 1u << EVENT_DIALOG |
			      1u << EVENT_CHAT | 1u << EVENT_MEMBER | 1u << EVENT_NOTIFY,
		      on_event);
}

static const struct handler rows[] = {
	{ IQ_GET, A_inbox, NS_INBOX, TO_OWN, 0, "urn:xmpp:inbox:1", inbox_query },
	{ IQ_SET, A_set, NS_V_INBOX, TO_OWN, 0, "urn:vestnik:inbox:0", inbox_change },
	{ IQ_SET, A_read, NS_V_INBOX, TO_OWN, 0, NULL, inbox_mark },
	{ IQ_SET, A_subscribe, NS_V_INBOX, TO_OWN, 0, NULL, subscribe },
	{ IQ_SET, A_unsubscribe, NS_V_INBOX, TO_OWN, 0, NULL, unsubscribe },
	{ .fn = NULL },
};
const struct handler_table inbox_handlers = { "XEP-0430 inbox", rows, NULL, NULL };
