/* im.recent.*, im.counters.get: the list of a person's dialogs and what is unread (server/im/inbox.h). Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/content.h"
#include "server/im/conv.h"

enum { RECENT_MAX = 200 };

struct recent {
	struct rest_call *c;
	struct txn *t;
	json_t *items;
	uint64_t skip, before_ms, since_ms;
	size_t max;
	bool more;
};

static json_t *last_message(struct recent *l, const struct dialog *d)
{
	struct message_rec m;
	struct content now;

	if (!d->last_gid || message_get(l->t, d->last_gid, &m))
		return json_null();
	rest_content(l->c, l->t, &m, &now);
	return json_pack("{s:o, s:o, s:b, s:o, s:b, s:o, s:o}", "id", rest_id_of_message(m.gid), "text",
			 api_str(now.text.p ? now.text : STR("")), "file", now.n_files > 0, "author_id",
			 rest_id_of_person(l->c, m.author), "attach", now.params.p != NULL, "date",
			 api_time(m.wall_us / 1000), "uuid", m.origin_id.n ? api_str(m.origin_id) : json_null());
}

/* The chat or the person; false when it is gone. */
static bool set_partner(struct recent *l, json_t *o, const struct dialog *d)
{
	struct chat_rec r;
	struct chat_member_rec me;
	json_t *who;

	if (!d->chat) {
		who = rest_user(l->c, d->peer);
		json_object_set(o, "title", json_object_get(who, "name"));
		json_object_set_new(o, "user", who);
		json_object_set_new(o, "type", json_string("user"));
		json_object_set_new(o, "chat_id", json_integer(0));
		return true;
	}
	if (chat_look(l->t, d->chat, l->c->me, &r, &me))
		return false;
	who = rest_chat_object(l->c, &r, &me);
	json_object_set(o, "title", json_object_get(who, "name"));
	json_object_set_new(o, "chat", who);
	json_object_set_new(o, "type", json_string("chat"));
	json_object_set_new(o, "chat_id", json_integer((json_int_t)d->chat));
	return true;
}

static bool is_in_time(const struct recent *l, const struct dialog *d)
{
	return (!l->before_ms || d->last_ms < l->before_ms) && (!l->since_ms || d->last_ms >= l->since_ms);
}

static void add_dialog(void *ctx, const struct dialog *d)
{
	struct recent *l = ctx;

	if (conv_kind(d->conv) == CONV_NOTIFY || !is_in_time(l, d))
		return;
	if (l->skip) {
		l->skip--;
		return;
	}
	if (json_array_size(l->items) == l->max) {
		l->more = true;
		return;
	}
	json_t *o = json_pack("{s:o, s:o, s:I, s:I, s:b, s:b, s:b, s:o, s:o, s:o}", "id",
			      rest_id_of_dialog(l->c, d->conv), "message", last_message(l, d), "counter",
			      (json_int_t)d->unread, "mentions", (json_int_t)d->mentions, "pinned",
			      (d->flags & DIALOG_PINNED) != 0, "unread", (d->flags & DIALOG_MARKED) != 0, "muted",
			      (d->flags & DIALOG_MUTED) != 0, "last_id", rest_id_of_message(d->read_gid), "date_update",
			      api_time(d->last_ms), "date_last_activity", api_time(d->last_ms));
	if (set_partner(l, o, d))
		json_array_append(l->items, o);
	json_decref(o);
}

/* All at once is cheap (under 5 ms for 500 dialogs); pages skip in what was read. */
static int read_recent(struct rest_call *c, struct recent *l)
{
	struct inbox_query q = { .account = c->me,
				 .unread_only = rest_yes(c, "UNREAD_ONLY", false),
				 .skip_chats = rest_yes(c, "SKIP_CHAT", false),
				 .skip_private = rest_yes(c, "SKIP_DIALOG", false) };

	*l = (struct recent){ .c = c, .t = im_read(), .items = json_array() };
	l->max = rest_limit(c, 50, RECENT_MAX);
	l->skip = rest_number(c, "OFFSET", 0);
	l->before_ms = rest_time(c, "LAST_MESSAGE_DATE");
	l->since_ms = rest_time(c, "LAST_SYNC_DATE");
	q.max = SIZE_MAX;
	int err = inbox_read(l->t, &q, add_dialog, l);
	txn_commit(l->t);
	if (err)
		json_decref(l->items);
	return err;
}

static void recent_get(struct rest_call *c)
{
	struct recent l;
	int err = read_recent(c, &l);

	if (err)
		rest_err(c, err);
	else
		rest_result(c, l.items);
}

static void recent_list(struct rest_call *c)
{
	struct recent l;
	int err = read_recent(c, &l);

	if (err)
		rest_err(c, err);
	else
		rest_result(c,
			    json_pack("{s:o, s:b, s:b}", "items", l.items, "hasMore", l.more, "hasMorePages", l.more));
}

/* ---- settings ---- */

static void set_flag(struct rest_call *c, unsigned flag, bool on)
{
	uint64_t conv;

	if (rest_dialog(c, &conv))
		inbox_set(c->me, conv, on ? flag : 0, on ? 0 : flag, rest_done, c);
}

static void recent_pin(struct rest_call *c)
{
	set_flag(c, DIALOG_PINNED, rest_yes(c, "PIN", rest_yes(c, "ACTION", true)));
}

static void recent_hide(struct rest_call *c)
{
	set_flag(c, DIALOG_HIDDEN, true);
}

static void recent_unread(struct rest_call *c)
{
	set_flag(c, DIALOG_MARKED, rest_yes(c, "ACTION", true));
}

/* ---- counters ---- */

struct counters {
	struct rest_call *c;
	json_t *chat, *chat_muted, *chat_unread, *dialog, *dialog_unread;
	json_int_t chats, dialogs, notify;
};

static void count(void *ctx, const struct dialog *d)
{
	struct counters *n = ctx;
	struct arena *a = n->c->rq->a;
	bool muted = d->flags & DIALOG_MUTED;
	struct str key = d->chat ? arena_printf(a, "%llu", (unsigned long long)d->chat)
				 : arena_str(a, api_dialog_id(a, d->conv, n->c->me));

	if (conv_kind(d->conv) == CONV_NOTIFY) {
		n->notify = d->unread;
		return;
	}
	if (d->flags & DIALOG_MARKED)
		json_array_append_new(d->chat ? n->chat_unread : n->dialog_unread, api_str(key));
	if (!d->unread)
		return;
	if (muted) {
		if (d->chat)
			json_object_set_new(n->chat_muted, key.p, json_integer(d->unread));
		return;
	}
	*(d->chat ? &n->chats : &n->dialogs) += d->unread;
	json_object_set_new(d->chat ? n->chat : n->dialog, key.p, json_integer(d->unread));
}

static void counters_get(struct rest_call *c)
{
	struct counters n = { .c = c,
			      .chat = json_object(),
			      .chat_muted = json_object(),
			      .chat_unread = json_array(),
			      .dialog = json_object(),
			      .dialog_unread = json_array() };
	struct inbox_query q = { .account = c->me, .include_hidden = true, .max = SIZE_MAX };
	struct txn *t = im_read();
	int err = inbox_read(t, &q, count, &n);

	txn_commit(t);
	json_t *o = json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:o, s:o, s:{}}", "TYPE", "ALL",
			      n.chats + n.dialogs + n.notify, "NOTIFY", n.notify, "CHAT", n.chats, "DIALOG", n.dialogs,
			      "MESSENGER", n.chats + n.dialogs, "LINES", (json_int_t)0, "CHAT", n.chat, "CHAT_MUTED",
			      n.chat_muted, "CHAT_UNREAD", n.chat_unread, "DIALOG", n.dialog, "DIALOG_UNREAD",
			      n.dialog_unread, "LINES");
	if (!err) {
		rest_result(c, o);
		return;
	}
	json_decref(o);
	rest_err(c, err);
}

#define DIALOG                                                                                                         \
	{                                                                                                              \
		"DIALOG_ID|CHAT_ID", "DIALOG_ID_EMPTY"                                                                 \
	}
const struct rest_method rest_recent_methods[] = {
	{ "im.recent.get", recent_get, REST_READER },
	{ "im.recent.list", recent_list, REST_READER },
	{ "im.recent.pin", recent_pin, REST_ACTOR, { DIALOG } },
	{ "im.recent.hide", recent_hide, REST_ACTOR, { DIALOG } },
	{ "im.recent.unread", recent_unread, REST_ACTOR, { DIALOG } },
	{ "im.counters.get", counters_get, REST_READER },
	{ .name = NULL },
};
