/*
 * /api/v1/dialogs: the inbox of a person, one dialog, its settings (pin, mute, mark, hide), read and unread, totals. Counters are im/inbox.h's, read off the log.
 * Worker of the connection.
 */
#include "bosh/api.h"
#include "bosh/api_json.h"
#include "base/err.h"
#include "server/im/chat.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/im/opaque.h"

static const struct {
	const char *name;
	unsigned flag;
} flags[] = {
	{ "pinned", DIALOG_PINNED },
	{ "muted", DIALOG_MUTED },
	{ "marked", DIALOG_MARKED },
	{ "hidden", DIALOG_HIDDEN },
};

static void set_subject(json_t *o, struct arena *a, struct txn *t, uint32_t me, const struct dialog *d)
{
	struct chat_rec c;
	struct chat_member_rec m;

	json_object_set_new(o, "type", json_string(d->chat ? "chat" : d->peer ? "private" : "notify"));
	json_object_set_new(o, "person", api_person(a, d->peer));
	bool known = d->chat && chat_look(t, d->chat, me, &c, &m) == 0;
	json_object_set_new(o, "chat", known ? api_json_chat(a, &c, &m) : json_null());
}

json_t *api_json_dialog(struct arena *a, struct txn *t, uint32_t me, const struct dialog *d)
{
	json_t *o = json_pack("{s:o, s:i, s:i, s:o, s:o, s:o, s:o}", "id", api_str(api_dialog_id(a, d->conv, me)),
			      "unread", (int)d->unread, "mentions", (int)d->mentions, "time", api_time(d->last_ms),
			      "read_to", api_gid(d->read_gid), "first_unread", api_gid(d->first_unread_gid),
			      "last_message", api_json_message_of(a, t, me, d->last_gid));

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		json_object_set_new(o, flags[i].name, json_boolean(d->flags & flags[i].flag));
	set_subject(o, a, t, me, d);
	return o;
}

/* ---- list ---- */

struct listing {
	struct http_request *rq;
	struct txn *t;
	uint32_t me;
	json_t *list;
	size_t n, max;
	struct dialog last;
	bool more;
};

static void add_dialog(void *ctx, const struct dialog *d)
{
	struct listing *l = ctx;

	if (l->n == l->max) {
		l->more = true;
		return;
	}
	json_array_append_new(l->list, api_json_dialog(l->rq->a, l->t, l->me, d));
	l->last = *d;
	l->n++;
}

/* A position in the list: "1.ID.DIALOG" (pinned, newest message, dialog). */
static struct str print_cursor(struct listing *l)
{
	char id[OPAQUE_LEN];

	opaque_print(l->last.last_gid, id);
	return arena_printf(l->rq->a, "%d.%.*s.%.*s", (l->last.flags & DIALOG_PINNED) != 0, OPAQUE_LEN, id,
			    STR_ARG(api_dialog_id(l->rq->a, l->last.conv, l->me)));
}

static bool parse_cursor(struct http_request *rq, struct inbox_query *q)
{
	struct str rest = http_query(rq, "after"), pinned, id;

	if (!rest.p)
		return true;
	q->after = str_split(&rest, '.', &pinned) && str_split(&rest, '.', &id) &&
		   opaque_parse(id, &q->after_gid) == 0 && rest.p &&
		   api_dialog(rq, rest, q->account, &q->after_conv) == 0;
	q->after_pinned = q->after && str_eq_c(pinned, "1");
	if (!q->after)
		answer_error(rq, 400, "cursor", "after is what next said");
	return q->after;
}

static void dialog_list(struct http_request *rq)
{
	struct listing l = { .rq = rq, .me = api_me(rq) };
	struct inbox_query q = { .account = l.me };

	if (!l.me || !parse_cursor(rq, &q))
		return;
	struct str type = http_query(rq, "type");
	l.max = api_limit(rq, 50, 500);
	q.max = l.max + 1;
	q.unread_only = api_query_flag(rq, "unread");
	q.include_hidden = api_query_flag(rq, "hidden");
	q.since_gid = api_gid_parse(http_query(rq, "since"));
	q.skip_chats = str_eq_c(type, "private");
	q.skip_private = str_eq_c(type, "chat");
	l.list = json_array();
	l.t = im_read();
	int err = inbox_read(l.t, &q, add_dialog, &l);
	txn_commit(l.t);
	json_t *next = l.more ? api_str(print_cursor(&l)) : json_null();
	answer_read(rq, err, json_pack("{s:o, s:o}", "dialogs", l.list, "next", next));
}

static void dialog_show(struct http_request *rq)
{
	uint32_t me = api_me(rq);
	struct dialog d;
	uint64_t conv;

	if (!me || !api_dialog_param(rq, me, &conv))
		return;
	struct txn *t = im_read();
	int err = inbox_get(t, me, conv, &d);
	json_t *o = err ? NULL : api_json_dialog(rq->a, t, me, &d);
	txn_commit(t);
	if (err)
		answer_err(rq, err, err == ERR_NOT_FOUND ? "You have no such dialog" : NULL);
	else
		answer_value(rq, 200, o);
}

static void totals(struct http_request *rq)
{
	uint32_t me = api_me(rq);
	struct inbox_totals n;

	if (!me)
		return;
	struct txn *t = im_read();
	int err = inbox_totals(t, me, &n);
	txn_commit(t);
	if (err)
		answer_err(rq, err, NULL);
	else
		answer_value(rq, 200,
			     json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "unread", (int)n.unread, "mentions",
				       (int)n.mentions, "dialogs_unread", (int)n.dialogs_unread, "chats", (int)n.chats,
				       "privates", (int)n.privates, "notifications", (int)n.notify));
}

/* ---- settings and cursors ---- */

static void dialog_set(struct http_request *rq)
{
	json_t *in = api_body(rq);
	uint32_t me = in ? api_actor(rq) : 0;
	unsigned set = 0, clear = 0;
	uint64_t conv;

	if (!me || !api_dialog_param(rq, me, &conv))
		return;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		json_t *v = json_object_get(in, flags[i].name);
		if (json_is_boolean(v))
			*(json_is_true(v) ? &set : &clear) |= flags[i].flag;
	}
	if (set | clear)
		inbox_set(me, conv, set, clear, api_done, rq);
	else
		answer_error(rq, 400, "bad_request", "Give pinned, muted, marked or hidden as true or false");
}

/* The entry that {"id"} names, or the newest of the dialog. False after answering. */
static bool read_place(struct http_request *rq, const json_t *in, uint64_t conv, bool needed, uint64_t *out_seq)
{
	struct str id = api_text(rq, in, "id");
	struct message_rec m;
	struct txn *t = im_read();
	uint64_t gid = api_gid_parse(id);
	bool found = gid && message_get(t, gid, &m) == 0 && m.conv == conv;

	*out_seq = found ? m.seq : conv_last_seq(t, conv);
	txn_commit(t);
	if (found || (!id.n && !needed))
		return true;
	answer_error(rq, 400, "id", "id is the id of a message of this dialog");
	return false;
}

static void move_cursor(struct http_request *rq, bool backwards)
{
	json_t *in = api_body(rq);
	uint32_t me = in ? api_actor(rq) : 0;
	uint64_t conv, seq;

	if (me && api_dialog_param(rq, me, &conv) && read_place(rq, in, conv, backwards, &seq))
		inbox_read_to(me, conv, seq, backwards, api_done, rq);
}

static void dialog_read(struct http_request *rq)
{
	move_cursor(rq, false);
}

static void dialog_unread(struct http_request *rq)
{
	move_cursor(rq, true);
}

static void read_all(struct http_request *rq)
{
	uint32_t me = api_actor(rq);

	if (me)
		inbox_read_all(me, api_done, rq);
}

const struct route inbox_routes[] = {
	{ "GET", "/api/v1/dialogs", ROUTE_TOKEN, dialog_list },
	{ "GET", "/api/v1/me/totals", ROUTE_TOKEN, totals },
	{ "POST", "/api/v1/me/read", ROUTE_TOKEN, read_all },
	{ "GET", "/api/v1/dialogs/{dialog}", ROUTE_TOKEN, dialog_show },
	{ "PATCH", "/api/v1/dialogs/{dialog}", ROUTE_TOKEN, dialog_set },
	{ "PUT", "/api/v1/dialogs/{dialog}/read", ROUTE_TOKEN, dialog_read },
	{ "PUT", "/api/v1/dialogs/{dialog}/unread", ROUTE_TOKEN, dialog_unread },
	{ .path = NULL },
};
