/* im.dialog.*: one dialog, its people, its messages, read cursors. Pages go by message numbers, never by offsets of a moving list. Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/content.h"
#include "server/im/conv.h"
#include "server/im/opaque.h"
#include "server/net/limits.h"

enum { PAGE = 20, PAGE_MAX = 50, SEARCH_MAX = 200, PEOPLE_MAX = 200 };

/* ---- the dialog itself ---- */

static json_t *private_object(struct rest_call *c, uint32_t peer)
{
	json_t *o = json_pack("{s:I, s:o, s:o, s:s, s:s, s:s, s:I, s:I}", "id", (json_int_t)0, "dialog_id",
			      rest_id_of_person(c, peer), "user", rest_user(c, peer), "type", "private", "message_type",
			      "P", "role", "member", "user_counter", (json_int_t)2, "owner", (json_int_t)0);

	json_object_set(o, "name", json_object_get(json_object_get(o, "user"), "name"));
	return o;
}

/* What the inbox knows of it. */
static void set_counts(json_t *o, struct txn *t, uint32_t me, uint64_t conv)
{
	struct dialog d = { .conv = conv };

	if (me)
		(void)inbox_get(t, me, conv, &d); /* a dialog without a row has nothing to count */
	json_object_set_new(o, "counter", json_integer(d.unread));
	json_object_set_new(o, "unread_id", rest_id_of_message(d.first_unread_gid));
	json_object_set_new(o, "last_id", rest_id_of_message(d.read_gid));
	json_object_set_new(o, "last_message_id", rest_id_of_message(d.last_gid));
	json_object_set_new(o, "marked_id", rest_id_of_message(d.flags & DIALOG_MARKED ? d.first_unread_gid : 0));
	json_object_set_new(o, "mute", json_boolean(d.flags & DIALOG_MUTED));
	json_object_set_new(o, "pinned", json_boolean(d.flags & DIALOG_PINNED));
	json_object_set_new(o, "message_count",
			    json_integer((json_int_t)(d.last_seq - (d.floor < d.last_seq ? d.floor : 0))));
}

struct managers {
	struct rest_call *c;
	json_t *list;
};

static bool add_manager(void *ctx, const struct chat_member_rec *m)
{
	struct managers *l = ctx;

	if (m->role >= CHAT_MANAGER)
		json_array_append_new(l->list, rest_id_of_person(l->c, m->account));
	return true;
}

static json_t *chat_object(struct rest_call *c, struct txn *t, uint64_t number, int *err)
{
	struct chat_rec r;
	struct chat_member_rec me;
	struct managers l = { c, NULL };
	json_t *o;

	*err = rest_look(c, t, number, &r, &me);
	if (*err)
		return NULL;
	l.list = json_array();
	o = rest_chat_object(c, &r, &me);
	if (!c->me || me.role >= CHAT_MEMBER)
		chat_member_each(t, number, add_manager, &l);
	json_object_set_new(o, "manager_list", l.list);
	return o;
}

static void dialog_get(struct rest_call *c)
{
	uint64_t conv;
	int err = 0;

	if (!rest_dialog(c, &conv))
		return;
	struct txn *t = im_read();
	json_t *o = conv_kind(conv) == CONV_CHAT ? chat_object(c, t, conv_chat_number(conv), &err)
						 : private_object(c, conv_peer(conv, c->me));
	if (o)
		set_counts(o, t, c->me, conv);
	txn_commit(t);
	if (err)
		rest_err(c, err);
	else
		rest_result(c, o);
}

/* ---- its people ---- */

struct people_page {
	struct rest_call *c;
	json_t *list;
	uint64_t skip;
	size_t max;
};

static bool add_member(void *ctx, const struct chat_member_rec *m)
{
	struct people_page *p = ctx;

	if (m->role < CHAT_MEMBER)
		return true;
	if (p->skip) {
		p->skip--;
		return true;
	}
	json_array_append_new(p->list, rest_user(p->c, m->account));
	return json_array_size(p->list) < p->max;
}

static void dialog_users(struct rest_call *c)
{
	struct people_page p = { c, json_array(), rest_number(c, "OFFSET", 0), rest_limit(c, PAGE_MAX, PEOPLE_MAX) };
	uint64_t conv;

	if (!rest_dialog(c, &conv)) {
		json_decref(p.list);
		return;
	}
	struct txn *t = im_read();
	int err = rest_may_read(c, t, conv, 0);
	if (!err && conv_kind(conv) == CONV_CHAT) {
		chat_member_each(t, conv_chat_number(conv), add_member, &p);
	} else if (!err) {
		json_array_append_new(p.list, rest_user(c, c->me));
		if (conv_peer(conv, c->me) != c->me)
			json_array_append_new(p.list, rest_user(c, conv_peer(conv, c->me)));
	}
	txn_commit(t);
	if (!err) {
		rest_result(c, p.list);
		return;
	}
	json_decref(p.list);
	rest_err(c, err);
}

/* ---- its messages ---- */

struct page {
	struct rest_call *c;
	struct txn *t;
	uint64_t conv, floor, read;
	json_t *list;
	size_t max;
	struct str words; /* search: in the text, any case */
	uint64_t from_ms, to_ms;
};

static bool shows(const struct message_rec *m)
{
	if (m->flags & (MESSAGE_EDIT | MESSAGE_REACTION))
		return false;
	return (m->flags & (MESSAGE_COUNTS | MESSAGE_RETRACTED | MESSAGE_SYSTEM)) != 0;
}

static bool is_wanted(struct page *p, const struct message_rec *m)
{
	struct content now;
	uint64_t ms = m->wall_us / 1000;

	if ((p->from_ms && ms < p->from_ms) || (p->to_ms && ms > p->to_ms))
		return false;
	if (!p->words.n)
		return true;
	rest_content(p->c, p->t, m, &now);
	return now.text.n && !(m->flags & MESSAGE_RETRACTED) && str_has_folded(now.text, p->words);
}

/* Walks the log from a message, newest first or (older == false) oldest first; looks at most at look_back entries. */
static void read_page(struct page *p, uint64_t from_gid, bool older)
{
	struct log_scan ls;
	struct log_entry e;
	struct message_rec m;
	uint64_t left = limits()->look_back;
	uint64_t start = older ? (from_gid ? from_gid - 1 : UINT64_MAX) : from_gid + 1;

	log_scan_open(&ls, p->t, 0, p->conv, start, older);
	while (left-- && json_array_size(p->list) < p->max && log_scan_next(&ls, &e)) {
		if (e.seq <= p->floor && older)
			break;
		if (e.seq <= p->floor || message_get(p->t, e.gid, &m) || !shows(&m) || !is_wanted(p, &m))
			continue;
		json_array_append_new(p->list, rest_message(p->c, p->t, &m, p->read));
	}
	log_scan_close(&ls);
}

/* The people who wrote them, each once. */
static json_t *authors_of(struct rest_call *c, json_t *messages)
{
	json_t *users = json_array(), *seen = json_object(), *m;
	size_t i;

	json_array_foreach(messages, i, m)
	{
		struct str id = rest_text_of(c, json_object_get(m, "author_id"));
		if (!id.n || json_object_get(seen, arena_str(c->rq->a, id).p))
			continue;
		json_object_set_new(seen, arena_str(c->rq->a, id).p, json_true());
		if (!str_eq_c(id, "0"))
			json_array_append_new(users, rest_user(c, rest_account(c, id)));
	}
	json_decref(seen);
	return users;
}

/* 0 with an open page (end it by page_answer), or answered already. */
static bool page_open(struct rest_call *c, struct page *p)
{
	*p = (struct page){ .c = c };
	if (!rest_dialog(c, &p->conv))
		return false;
	p->t = im_read();
	int err = rest_may_read(c, p->t, p->conv, 0);
	if (err) {
		txn_commit(p->t);
		rest_err(c, err);
		return false;
	}
	p->floor = conv_floor(p->t, p->conv, c->me);
	p->read = cursor_get(p->t, c->me, p->conv);
	p->list = json_array();
	return true;
}

static void page_answer(struct page *p)
{
	bool chat = conv_kind(p->conv) == CONV_CHAT;
	json_t *users = authors_of(p->c, p->list);

	txn_commit(p->t);
	rest_result(p->c, json_pack("{s:I, s:o, s:o, s:[]}", "chat_id",
				    chat ? (json_int_t)conv_chat_number(p->conv) : (json_int_t)0, "messages", p->list,
				    "users", users, "files"));
}

static void messages_get(struct rest_call *c)
{
	uint64_t last = opaque_number_parse(rest_number(c, "LAST_ID", 0));
	uint64_t first = opaque_number_parse(rest_number(c, "FIRST_ID", 0));
	bool newer = rest_text(c, "FIRST_ID").n > 0;
	struct page p;

	if (!page_open(c, &p))
		return;
	p.max = rest_limit(c, PAGE, PAGE_MAX);
	read_page(&p, newer ? first : last, !newer);
	page_answer(&p);
}

static void messages_search(struct rest_call *c)
{
	struct str order = rest_text_of(c, json_object_get(rest_value(c, "ORDER"), "ID"));
	uint64_t last = opaque_number_parse(rest_number(c, "LAST_ID", 0)), day = rest_time(c, "DATE");
	struct page p;

	if (!page_open(c, &p))
		return;
	p.max = rest_limit(c, PAGE_MAX, SEARCH_MAX);
	p.words = rest_text(c, "SEARCH_MESSAGE");
	p.from_ms = day ? day : rest_time(c, "DATE_FROM");
	p.to_ms = day ? day + 86400000 - 1 : rest_time(c, "DATE_TO");
	read_page(&p, last, !str_ieq(order, STR("ASC")));
	page_answer(&p);
}

/* ---- reading ---- */

struct reading {
	struct rest_call *c;
	uint64_t conv;
};

static void was_read(void *ctx, int err)
{
	struct reading *r = ctx;
	struct rest_call *c = r->c;
	struct dialog d = { .conv = r->conv };

	if (err) {
		rest_err(c, err);
		return;
	}
	struct txn *t = im_read();
	(void)inbox_get(t, c->me, r->conv, &d);
	txn_commit(t);
	bool chat = conv_kind(r->conv) == CONV_CHAT;
	rest_result(c, json_pack("{s:o, s:I, s:o, s:I}", "dialogId", rest_id_of_dialog(c, r->conv), "chatId",
				 chat ? (json_int_t)conv_chat_number(r->conv) : (json_int_t)0, "lastId",
				 rest_id_of_message(d.read_gid), "counter", (json_int_t)d.unread));
}

/* Where the cursor goes: to MESSAGE_ID, else to the end. 0 when that names no message of the dialog. */
static uint64_t target_seq(struct rest_call *c, struct txn *t, uint64_t conv)
{
	struct message_rec m;
	uint64_t number = rest_number(c, "MESSAGE_ID", 0);

	if (!number)
		return conv_last_seq(t, conv);
	return rest_message_get(c, t, number, &m) == 0 && m.conv == conv ? m.seq : 0;
}

static void move_cursor(struct rest_call *c, bool backwards)
{
	struct reading *r = ARENA_NEW(c->rq->a, struct reading);

	r->c = c;
	if (!rest_dialog(c, &r->conv))
		return;
	struct txn *t = im_read();
	int err = rest_may_read(c, t, r->conv, 0);
	uint64_t seq = err ? 0 : target_seq(c, t, r->conv);
	txn_commit(t);
	if (err)
		rest_err(c, err);
	else if (!seq && rest_number(c, "MESSAGE_ID", 0))
		rest_error(c, 400, "MESSAGE_ID_ERROR", "MESSAGE_ID names no message of this dialog");
	else if (!seq)
		was_read(r, 0); /* an empty dialog is read */
	else
		inbox_read_to(c->me, r->conv, seq, backwards, was_read, r);
}

static void dialog_read(struct rest_call *c)
{
	move_cursor(c, false);
}

static void dialog_unread(struct rest_call *c)
{
	move_cursor(c, true);
}

static void dialog_read_all(struct rest_call *c)
{
	inbox_read_all(c->me, rest_done, c);
}

#define DIALOG                                                                                                         \
	{                                                                                                              \
		"DIALOG_ID|CHAT_ID", "DIALOG_ID_EMPTY"                                                                 \
	}
const struct rest_method rest_dialog_methods[] = {
	{ "im.dialog.get", dialog_get, REST_ANYBODY, { DIALOG } },
	{ "im.dialog.users.list", dialog_users, REST_READER, { DIALOG } },
	{ "im.dialog.messages.get", messages_get, REST_READER, { DIALOG } },
	{ "im.dialog.messages.search", messages_search, REST_READER, { DIALOG } },
	{ "im.dialog.read", dialog_read, REST_ACTOR, { DIALOG } },
	{ "im.dialog.unread", dialog_unread, REST_ACTOR, { DIALOG, { "MESSAGE_ID", "MESSAGE_ID_ERROR" } } },
	{ "im.dialog.read.all", dialog_read_all, REST_ACTOR },
	{ .name = NULL },
};
