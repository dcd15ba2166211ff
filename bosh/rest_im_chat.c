/* im.chat.*: making and changing chats, members, leaving, muting. Rules are server/im/chat.h's. Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/chat_colour.h"
#include "server/im/conv.h"
#include "server/im/say.h"
#include <string.h>

enum { CHATS_FOUND = 200 };

/* ---- making, finding ---- */

static void made(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct rest_call *c = ctx;

	(void)gid;
	if (err == ERR_EXISTS)
		rest_error(c, 400, "WRONG_REQUEST",
			   "There is a chat of that ENTITY_TYPE and ENTITY_ID: im.chat.get finds it");
	else if (err)
		rest_err(c, err);
	else
		rest_result(c, json_integer((json_int_t)number));
}

static bool is_open(struct str type)
{
	return str_ieq(type, STR("OPEN")) || str_ieq(type, STR("O"));
}

/* AUTHOR_ID and OWNER_ID as portals name them; the person who asks when neither is there. */
static bool read_founder(struct rest_call *c, struct chat_new *n)
{
	struct str author = rest_text(c, "AUTHOR_ID"), owner = rest_text(c, "OWNER_ID");

	n->author = author.n && !str_eq_c(author, "0") ? rest_account(c, author) : c->me;
	n->owner = owner.n && !str_eq_c(owner, "0") ? rest_account(c, owner) : n->author;
	bool wrong =
		(author.n && !str_eq_c(author, "0") && !n->author) || (owner.n && !str_eq_c(owner, "0") && !n->owner);
	if (wrong)
		rest_error(c, 400, "USER_NOT_FOUND", "AUTHOR_ID or OWNER_ID names nobody");
	return !wrong;
}

/* False after answering. */
static bool read_avatar(struct rest_call *c, struct chat_new *n)
{
	uint64_t number = rest_number(c, "AVATAR_ID", 0);
	struct txn *t;

	if (!number)
		return true;
	t = im_read();
	int err = rest_picture(c, t, number, &n->avatar, &n->avatar_type);
	txn_commit(t);
	if (err)
		rest_error(c, 400, "AVATAR_ERROR", "AVATAR_ID is the number of a saved picture");
	return !err;
}

static void make(struct rest_call *c)
{
	struct chat_new n = {
		.by = c->by,
		.domain = c->by.domain,
		.title = rest_text(c, "TITLE"),
		.description = rest_text(c, "DESCRIPTION"),
		.colour = rest_text(c, "COLOR"),
		.open = is_open(rest_text(c, "TYPE")),
		.entity_type = rest_text(c, "ENTITY_TYPE"),
		.entity_id = rest_text(c, "ENTITY_ID"),
		.entity_data = { rest_text(c, "ENTITY_DATA_1"), rest_text(c, "ENTITY_DATA_2"),
				 rest_text(c, "ENTITY_DATA_3") },
		.message = rest_text(c, "MESSAGE"),
		.skip_join_lines = rest_yes(c, "SKIP_ADD_MESSAGE", false),
	};
	uint32_t *members, *managers;

	if (!read_founder(c, &n) || (rest_value(c, "USERS") && !json_is_boolean(rest_value(c, "USERS")) &&
				     !rest_people(c, "USERS", &members, &n.n_members)))
		return;
	if (!rest_value(c, "USERS") || json_is_boolean(rest_value(c, "USERS")))
		members = NULL;
	if (!rest_people(c, "MANAGERS", &managers, &n.n_managers))
		return;
	n.members = members;
	n.managers = managers;
	if (!read_avatar(c, &n))
		return;
	n.hide_history = rest_yes(c, "HIDE_HISTORY", false);
	if (n.colour.n && chat_colour_index(n.colour) < 0)
		n.colour = STR_NONE; /* as the portal: a wrong colour is no reason to refuse */
	chat_create(&n, made, c);
}

static void avatar_saved(struct rest_call *c, int err, uint64_t number)
{
	if (err) {
		rest_error(c, 400, "AVATAR_ERROR", "AVATAR is a picture as base64");
		return;
	}
	json_object_set_new(c->in, "AVATAR_ID", json_integer((json_int_t)number));
	make(c);
}

/* AVATAR as base64 is saved first. */
static void chat_make(struct rest_call *c)
{
	struct str avatar = rest_text(c, "AVATAR");

	if (avatar.n && !rest_number(c, "AVATAR_ID", 0))
		rest_save(c, avatar, STR("avatar"), STR(""), avatar_saved);
	else
		make(c);
}

static void chat_by_pair(struct rest_call *c)
{
	struct chat_rec r;
	struct txn *t = im_read();
	uint64_t number = chat_by_entity(t, c->by.domain, rest_text(c, "ENTITY_TYPE"), rest_text(c, "ENTITY_ID"));
	bool seen = number && rest_look(c, t, number, &r, NULL) == 0;

	txn_commit(t);
	rest_result(c, seen ? json_pack("{s:I}", "ID", (json_int_t)number) : json_null());
}

/* The row of b_im_chat that portal code reads from ChatTable. */
static json_t *table_row(struct rest_call *c, const struct chat_rec *r)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "ID", (json_int_t)r->number,
			 "TITLE", api_str(r->title), "DESCRIPTION",
			 api_str(r->description.p ? r->description : STR("")), "COLOR",
			 api_str(chat_colour_name(r->colour)), "TYPE", r->flags & CHAT_IS_OPEN ? "O" : "C", "AUTHOR_ID",
			 rest_id_of_person(c, r->author), "OWNER_ID", rest_id_of_person(c, r->owner), "AVATAR",
			 api_str(r->avatar.p ? r->avatar : STR("")), "USER_COUNT", (json_int_t)r->n_members,
			 "ENTITY_TYPE", api_str(r->entity_type.p ? r->entity_type : STR("")), "ENTITY_ID",
			 api_str(r->entity_id.p ? r->entity_id : STR("")), "DATE_CREATE", api_time(r->created_ms));
}

struct finding {
	struct rest_call *c;
	struct txn *t;
	struct str pattern;
	json_t *list;
	size_t max;
};

/* SQL's LIKE with % only, any case of letters of both alphabets. */
static uint32_t fold(uint32_t cp)
{
	if ((cp >= 'A' && cp <= 'Z') || (cp >= 0x410 && cp <= 0x42f))
		return cp + 32;
	return cp >= 0x400 && cp <= 0x40f ? cp + 80 : cp;
}

static bool like(struct str text, struct str pattern)
{
	uint32_t a, b;
	size_t n, k;

	if (!pattern.n)
		return !text.n;
	if (pattern.p[0] == '%') {
		struct str rest = str_of(pattern.p + 1, pattern.n - 1);
		if (!rest.n)
			return true;
		for (; text.n; text = str_of(text.p + n, text.n - n)) {
			if (like(text, rest))
				return true;
			n = str_utf8_next(text, &a);
			n = n ? n : 1;
		}
		return like(text, rest);
	}
	n = str_utf8_next(text, &a);
	k = str_utf8_next(pattern, &b);
	return n && k && fold(a) == fold(b) &&
	       like(str_of(text.p + n, text.n - n), str_of(pattern.p + k, pattern.n - k));
}

static bool find_one(void *ctx, const struct chat_rec *r)
{
	struct finding *f = ctx;
	struct chat_rec seen;

	if ((f->pattern.n && !like(r->title, f->pattern)) || rest_look(f->c, f->t, r->number, &seen, NULL))
		return true;
	json_array_append_new(f->list, table_row(f->c, &seen));
	return json_array_size(f->list) < f->max;
}

/* vestnik.chat.find: what ChatTable::getList() asks; TITLE with % as in SQL, or ID, ENTITY_TYPE with ENTITY_ID. */
static void chat_find(struct rest_call *c)
{
	struct finding f = { c, im_read(), rest_text(c, "TITLE"), json_array(),
			     rest_limit(c, CHATS_FOUND, CHATS_FOUND) };
	uint64_t number = rest_number(c, "ID", 0);
	struct chat_rec r;

	if (f.pattern.n > 255)
		f.pattern.n = 255;
	size_t stars = 0;
	for (size_t i = 0; i < f.pattern.n; i++)
		stars += f.pattern.p[i] == '%';
	if (!number && rest_text(c, "ENTITY_TYPE").n)
		number = chat_by_entity(f.t, c->by.domain, rest_text(c, "ENTITY_TYPE"), rest_text(c, "ENTITY_ID"));
	if (stars > 4) {
		; /* each % more would cost a factor: nothing is found */
	} else if (number || rest_value(c, "ID")) {
		if (number && rest_look(c, f.t, number, &r, NULL) == 0)
			find_one(&f, &r);
	} else {
		chat_each(f.t, c->by.domain, 0, find_one, &f);
	}
	txn_commit(f.t);
	rest_result(c, f.list);
}

/* ---- changing ---- */

static bool start_change(struct rest_call *c, struct chat_change *out)
{
	*out = chat_change_none;
	out->by = c->by;
	out->author = c->me;
	out->skip_line = rest_yes(c, "SKIP_MESSAGE", false);
	return rest_chat(c, &out->number);
}

static void chat_title(struct rest_call *c)
{
	struct chat_change ch;

	if (!start_change(c, &ch))
		return;
	ch.title = rest_text(c, "TITLE");
	chat_change(&ch, rest_chat_done, c);
}

static void chat_describe(struct rest_call *c)
{
	struct chat_change ch;

	if (!start_change(c, &ch))
		return;
	ch.description = rest_text(c, "DESCRIPTION");
	if (!ch.description.p)
		ch.description = STR("");
	chat_change(&ch, rest_chat_done, c);
}

static void chat_set_colour(struct rest_call *c)
{
	struct chat_change ch;

	if (!start_change(c, &ch))
		return;
	ch.colour = rest_text(c, "COLOR");
	if (chat_colour_index(ch.colour) < 0)
		rest_error(c, 400, "WRONG_COLOR", "COLOR is a name such as RED or DARK_BLUE");
	else
		chat_change(&ch, rest_chat_done, c);
}

static void set_role(struct rest_call *c, enum chat_role role)
{
	uint64_t number;
	uint32_t account = rest_account(c, rest_text(c, "USER_ID"));

	if (!rest_chat(c, &number))
		return;
	if (!account)
		rest_error(c, 400, "USER_NOT_FOUND", "USER_ID names nobody");
	else
		chat_set_role(&c->by, number, account, role, STR_NONE, rest_chat_done, c);
}

static void chat_owner(struct rest_call *c)
{
	set_role(c, CHAT_OWNER);
}

static void chat_manager(struct rest_call *c)
{
	set_role(c, rest_yes(c, "MANAGER", true) ? CHAT_MANAGER : CHAT_MEMBER);
}

static void chat_end(struct rest_call *c)
{
	uint64_t number;

	if (rest_chat(c, &number))
		chat_destroy(&c->by, number, STR_NONE, rest_chat_done, c);
}

/* ---- members ---- */

static void added(void *ctx, int err, uint64_t number, uint64_t gid)
{
	if (err == ERR_FORBIDDEN)
		rest_error(ctx, 403, "ACCESS_DENIED_EXTEND", "You may not add people to this chat");
	else
		rest_chat_done(ctx, err, number, gid);
}

static void chat_user_add(struct rest_call *c)
{
	uint32_t *v;
	size_t n;
	uint64_t number;
	int hide = !rest_text(c, "HIDE_HISTORY").n ? CHAT_DEFAULT : rest_yes(c, "HIDE_HISTORY", false);

	if (rest_chat(c, &number) && rest_people(c, rest_value(c, "USERS") ? "USERS" : "USER_ID", &v, &n))
		chat_add(&c->by, number, v, n, hide, rest_yes(c, "SKIP_MESSAGE", false), added, c);
}

static void removed(void *ctx, int err, uint64_t number, uint64_t gid)
{
	if (err == ERR_FORBIDDEN || err == ERR_CONFLICT)
		rest_error(ctx, 403, "ACCESS_DENIED_KICK", "This person is not yours to take out, or owns the chat");
	else
		rest_chat_done(ctx, err, number, gid);
}

static void chat_user_del(struct rest_call *c)
{
	uint64_t number;
	uint32_t account = rest_account(c, rest_text(c, "USER_ID"));

	if (!rest_chat(c, &number))
		return;
	if (!account)
		rest_error(c, 400, "USER_NOT_FOUND", "USER_ID names nobody");
	else
		chat_remove(&c->by, number, account, rest_yes(c, "SKIP_MESSAGE", false), STR_NONE, removed, c);
}

static void chat_leave(struct rest_call *c)
{
	uint64_t number;

	if (rest_chat(c, &number))
		chat_remove(&c->by, number, c->me, false, STR_NONE, removed, c);
}

struct members {
	struct rest_call *c;
	json_t *list;
};

static bool list_member(void *ctx, const struct chat_member_rec *m)
{
	struct members *l = ctx;

	if (m->role >= CHAT_MEMBER)
		json_array_append_new(l->list, rest_id_of_person(l->c, m->account));
	return true;
}

/* Who is in it is for members, and for services that may change any chat (row I07). */
static int may_list(struct rest_call *c, struct txn *t, uint64_t number)
{
	struct chat_rec r;
	struct chat_member_rec me;
	int err = rest_look(c, t, number, &r, &me);

	return err || !c->me || me.role >= CHAT_MEMBER ? err : ERR_FORBIDDEN;
}

static void chat_user_list(struct rest_call *c)
{
	struct members l = { c, json_array() };
	uint64_t number;

	if (!rest_chat(c, &number)) {
		json_decref(l.list);
		return;
	}
	struct txn *t = im_read();
	int err = may_list(c, t, number);
	if (!err)
		chat_member_each(t, number, list_member, &l);
	txn_commit(t);
	if (!err) {
		rest_result(c, l.list);
		return;
	}
	json_decref(l.list);
	rest_err(c, err);
}

/* ---- one's own ---- */

static void chat_mute(struct rest_call *c)
{
	bool mute = rest_yes(c, "MUTE", rest_yes(c, "ACTION", true));
	uint64_t number;

	if (rest_chat(c, &number))
		inbox_set(c->me, conv_chat(number), mute ? DIALOG_MUTED : 0, mute ? 0 : DIALOG_MUTED, rest_done, c);
}

static void typed(void *ctx, int err, uint64_t gid)
{
	(void)gid;
	rest_done(ctx, err);
}

static void chat_typing(struct rest_call *c)
{
	struct say s = { .by = c->by, .author = c->me, .state = SAY_COMPOSING };
	uint64_t conv;

	if (!rest_dialog(c, &conv))
		return;
	if (conv_kind(conv) == CONV_CHAT)
		s.chat = conv_chat_number(conv);
	else
		s.to = conv_peer(conv, c->me);
	say(&s, typed, c);
}

#define CHAT                                                                                                           \
	{                                                                                                              \
		"CHAT_ID|DIALOG_ID", "CHAT_ID_EMPTY"                                                                   \
	}
const struct rest_method rest_chat_methods[] = {
	{ "im.chat.add", chat_make, REST_ANYBODY },
	{ "im.chat.get",
	  chat_by_pair,
	  REST_ANYBODY,
	  { { "ENTITY_TYPE", "PARAMS_ERROR" }, { "ENTITY_ID", "PARAMS_ERROR" } } },
	{ "im.chat.updateTitle", chat_title, REST_ANYBODY, { CHAT, { "TITLE", "TITLE_EMPTY" } } },
	{ "im.chat.updateColor", chat_set_colour, REST_ANYBODY, { CHAT, { "COLOR", "WRONG_COLOR" } } },
	{ "im.chat.setOwner", chat_owner, REST_ANYBODY, { CHAT, { "USER_ID", "USER_ID_EMPTY" } } },
	{ "im.chat.user.add", chat_user_add, REST_ANYBODY, { CHAT, { "USERS|USER_ID", "USER_ID_EMPTY" } } },
	{ "im.chat.user.delete", chat_user_del, REST_ANYBODY, { CHAT, { "USER_ID", "USER_ID_EMPTY" } } },
	{ "im.chat.user.list", chat_user_list, REST_ANYBODY, { CHAT } },
	{ "im.chat.leave", chat_leave, REST_ACTOR, { CHAT } },
	{ "im.chat.mute", chat_mute, REST_ACTOR, { CHAT } },
	{ "im.chat.sendTyping", chat_typing, REST_ACTOR, { { "CHAT_ID|DIALOG_ID", "DIALOG_ID_EMPTY" } } },
	{ "im.dialog.writing", chat_typing, REST_ACTOR, { { "CHAT_ID|DIALOG_ID", "DIALOG_ID_EMPTY" } } },
	{ "vestnik.chat.find", chat_find, REST_ANYBODY },
	{ "vestnik.chat.setDescription", chat_describe, REST_ANYBODY, { CHAT } },
	{ "vestnik.chat.setManager", chat_manager, REST_ANYBODY, { CHAT, { "USER_ID", "USER_ID_EMPTY" } } },
	{ "vestnik.chat.delete", chat_end, REST_ANYBODY, { CHAT } },
	{ .name = NULL },
};
