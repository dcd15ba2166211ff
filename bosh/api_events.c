/*
 * GET /api/v1/events: what happens, as an event stream (HTML standard 9.2, text/event-stream). A person gets what concerns him, a service with the scope read all of its
 * domain. Messages carry their id: Last-Event-ID brings what was missed, read off the log in order; who missed more than limits.event_replay gets "reset" and asks the
 * inbox. A chat's event is told on every worker, a person's on his home, which forwards it to all. Who reads too slowly is cut and comes again with its last id. A token
 * is looked at before each event, so a revoked one gets nothing more (A16). Streams belong to the worker of their connection.
 */
#include "bosh/api_events.h"
#include "base/err.h"
#include "base/mem.h"
#include "bosh/api.h"
#include "bosh/api_json.h"
#include "bosh/api_notify.h"
#include "server/im/archive.h"
#include "server/im/chat.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/im/opaque.h"
#include "server/im/person.h"
#include "server/im/token.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include <stdatomic.h>

enum { KEEP_ALIVE_MS = 15000 };

struct stream {
	struct list of_worker;
	struct http_request *rq;
	struct timer timer;
	uint32_t me;	/* 0: a service */
	uint64_t last;	/* newest message that was told or lies behind the beginning */
	bool replaying; /* from the log, up to its end; then live */
};
static _Thread_local struct list streams;
static atomic_uint n_streams;

static const char *const names[] = {
	[EVENT_MESSAGE] = "message",
	[EVENT_MESSAGE_CHANGED] = "message_changed",
	[EVENT_READ] = "read",
	[EVENT_DIALOG] = "dialog",
	[EVENT_CHAT] = "chat",
	[EVENT_MEMBER] = "member",
	[EVENT_NOTIFY] = "notification_changed",
};

static void stream_free(struct stream *s)
{
	list_del(&s->of_worker);
	loop_timer_cancel(loop_self(), &s->timer);
	atomic_fetch_sub(&n_streams, 1);
	mem_free(s);
}

static void stream_end(struct stream *s)
{
	struct http_request *rq = s->rq;

	stream_free(s);
	rq->keep_alive = false;
	http_end(rq);
}

/* False when the stream has ended: a slow reader, or a token that was revoked. */
static bool send(struct stream *s, struct str piece)
{
	struct arena *a = arena_new(512);
	struct principal p;
	bool revoked = s->rq->token.p && token_check(a, s->rq->token, &p) != 0;

	arena_free(a);
	if (!revoked && http_write(s->rq, piece) != ERR_LIMIT)
		return true;
	stream_end(s);
	return false;
}

static bool send_event(struct stream *s, const char *name, uint64_t gid, json_t *data)
{
	char *text = json_dumps(data, JSON_COMPACT), id[OPAQUE_LEN];
	struct buf b;

	json_decref(data);
	buf_init(&b, 16u << 20);
	if (gid) {
		opaque_print(gid, id);
		buf_printf(&b, "id: %.*s\n", (int)OPAQUE_LEN, id);
	}
	buf_printf(&b, "event: %s\ndata: %s\n\n", name, text ? text : "{}");
	free(text);
	bool alive = send(s, buf_str(&b));
	buf_clear(&b);
	return alive;
}

/* ---- who may know it ---- */

static bool chat_concerns(const struct stream *s, struct txn *t, uint64_t conv)
{
	struct chat_rec c;
	struct chat_member_rec m;
	uint64_t number = conv_chat_number(conv);

	if (s->me)
		return chat_member_get(t, number, s->me, &m) == 0 && m.role >= CHAT_MEMBER;
	return chat_rec_get(t, number, &c) == 0 && str_eq(c.domain, s->rq->who->domain);
}

static bool of_domain(const struct stream *s, struct arena *a, uint32_t account)
{
	struct jid j = person_jid(a, account);

	return !jid_is_none(&j) && str_eq(jid_domain(&j), s->rq->who->domain);
}

static bool message_concerns(const struct stream *s, struct arena *a, struct txn *t, const struct message_rec *m)
{
	if (s->me)
		return archive_may_see(t, s->me, m) == 0;
	if (conv_kind(m->conv) == CONV_CHAT)
		return chat_concerns(s, t, m->conv);
	return of_domain(s, a, m->recipient);
}

/* ---- printing ---- */

static json_t *message_data(const struct stream *s, struct arena *a, struct txn *t, const struct message_rec *m)
{
	struct notify_rec r;

	if (conv_kind(m->conv) == CONV_NOTIFY && notify_get(t, m->recipient, m->gid, &r) == 0)
		return json_pack("{s:o, s:o}", "to", api_ref(a, m->recipient), "notification",
				 api_json_notify(a, t, &r));
	/* For a service the dialog is named as the author's. */
	return json_pack("{s:o, s:o}", "to", m->recipient ? api_ref(a, m->recipient) : json_null(), "message",
			 api_json_message(a, t,
					  s->me	      ? s->me
					  : m->author ? m->author
						      : m->recipient,
					  m));
}

static json_t *other_data(struct arena *a, struct txn *t, const struct event *e)
{
	struct dialog d;
	uint32_t me = e->account;
	json_t *o = json_pack("{s:o, s:b, s:o}", "dialog", api_str(api_dialog_id(a, e->conv, me)), "gone", e->gone,
			      "person", me ? api_ref(a, me) : json_null());

	if (e->kind == EVENT_NOTIFY)
		json_object_set_new(o, "id", api_gid(e->gid));
	if ((e->kind == EVENT_READ || e->kind == EVENT_DIALOG) && inbox_get(t, me, e->conv, &d) == 0)
		json_object_set_new(o, "state", api_json_dialog(a, t, me, &d));
	return o;
}

/* ---- live ---- */

static void give_message(struct stream *s, struct arena *a, struct txn *t, const struct event *e)
{
	struct message_rec m;
	bool fresh = e->kind == EVENT_MESSAGE;

	if ((fresh && (s->replaying || e->gid <= s->last)) || message_get(t, e->gid, &m) ||
	    !message_concerns(s, a, t, &m) || (!api_json_shows(&m) && conv_kind(m.conv) != CONV_NOTIFY))
		return;
	if (fresh)
		s->last = e->gid;
	send_event(s, names[e->kind], fresh ? e->gid : 0, message_data(s, a, t, &m));
}

static void give_other(struct stream *s, struct arena *a, struct txn *t, const struct event *e)
{
	bool in_chat = conv_kind(e->conv) == CONV_CHAT && (e->kind == EVENT_CHAT || e->kind == EVENT_MEMBER);
	bool mine = s->me ? e->account == s->me : e->account && of_domain(s, a, e->account);

	if (mine || (in_chat && chat_concerns(s, t, e->conv)))
		send_event(s, names[e->kind], 0, other_data(a, t, e));
}

/* On each worker: its own streams. */
static void give(const struct event *e)
{
	struct arena *a = arena_new(4096);
	struct txn *t = im_read();

	list_each_safe (s, &streams, struct stream, of_worker)
		if (e->kind == EVENT_MESSAGE || e->kind == EVENT_MESSAGE_CHANGED)
			give_message(s, a, t, e);
		else
			give_other(s, a, t, e);
	txn_commit(t);
	arena_free(a);
}

static void arrived(void *data)
{
	if (streams.next && !list_empty(&streams))
		give(data);
}

static void on_event(const struct event *e)
{
	bool everywhere = conv_kind(e->conv) == CONV_CHAT && e->kind != EVENT_READ && e->kind != EVENT_DIALOG;

	if (!atomic_load(&n_streams))
		return;
	if (everywhere)
		arrived((void *)(uintptr_t)e);
	else if ((unsigned)threads_self() == person_home(e->account) &&
		 !(e->peer && e->account == e->author && e->peer != e->author))
		fanout(arrived, mem_dup(e, sizeof *e),
		       mem_free); /* a private message is told at both ends: the recipient's counts */
}

/* ---- the log, from the last id on ---- */

/* One message of it; false when the stream has ended. */
static bool replay_one(struct stream *s, struct arena *a, struct txn *t, uint64_t gid)
{
	struct message_rec m;

	if (message_get(t, gid, &m) || (!api_json_shows(&m) && conv_kind(m.conv) != CONV_NOTIFY) ||
	    !message_concerns(s, a, t, &m))
		return true;
	return send_event(s, names[EVENT_MESSAGE], gid, message_data(s, a, t, &m));
}

static void replay(struct stream *s)
{
	enum { STEP = 64 };
	struct arena *a = arena_new(4096);
	struct txn *t = im_read();
	uint64_t end = message_last_gid(t), start = s->last, next = start + 1;
	bool alive = true;

	while (alive && next <= end && next <= start + STEP)
		alive = replay_one(s, a, t, next++);
	txn_commit(t);
	arena_free(a);
	if (!alive)
		return;
	s->last = next - 1;
	s->replaying = s->last < end;
	if (s->replaying)
		send(s, STR(":\n\n")); /* more() comes again when this has left */
}

static void more(struct http_request *rq)
{
	struct stream *s = rq->user;

	if (s->replaying)
		replay(s);
}

static void gone(struct http_request *rq)
{
	stream_free(rq->user);
}

static const struct http_flow flow = { .more = more, .gone = gone };

static void keep_alive(struct timer *timer)
{
	struct stream *s = list_entry(timer, struct stream, timer);

	loop_timer(loop_self(), timer, KEEP_ALIVE_MS);
	send(s, STR(":\n\n"));
}

static void events(struct http_request *rq)
{
	struct str last = http_header_get(rq, "last-event-id");
	uint64_t from = api_gid_parse(last);
	uint32_t me;

	if (!api_viewer(rq, SCOPE_READ, &me) || !rq->conn)
		return;
	struct stream *s = NEW(struct stream);
	struct txn *t = im_read();
	uint64_t end = message_last_gid(t);
	txn_commit(t);
	bool reset = last.p && (!from || from > end || end - from > limits()->event_replay);
	*s = (struct stream){
		.rq = rq, .me = me, .last = last.p && !reset ? from : end, .replaying = last.p && !reset && from < end
	};
	s->timer.fire = keep_alive;
	if (!streams.next)
		list_init(&streams);
	list_add(&streams, &s->of_worker);
	atomic_fetch_add(&n_streams, 1);
	rq->user = s;
	http_begin(rq, 200, "text/event-stream", HTTP_UNKNOWN, "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n",
		   &flow);
	loop_timer(loop_self(), &s->timer, KEEP_ALIVE_MS);
	if (reset)
		send_event(s, "reset", end, json_object());
	else
		send(s, STR(": vestnik\n\n"));
}

void api_events_init(void)
{
	event_observe((1u << EVENT_KINDS) - 1, on_event);
}

void api_events_stop(void)
{
	if (streams.next)
		list_each_safe (s, &streams, struct stream, of_worker)
			stream_end(s);
}

const struct route event_routes[] = {
	{ "GET", "/api/v1/events", ROUTE_TOKEN, events },
	{ .path = NULL },
};
