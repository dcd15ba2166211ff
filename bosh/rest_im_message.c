/* im.message.*: saying, correcting, withdrawing, liking, passing on. What is said goes by server/im/say.h. Worker of the connection. */
#include "base/clock.h"
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/conv.h"
#include "server/im/opaque.h"
#include "server/im/say.h"

enum { TEXT_POINTS = 20000, ATTACH_BYTES = 60000, KEYBOARD_BYTES = 30000, MENTIONS_MAX = 200 };
#define EDIT_WINDOW_US (259200ull * 1000000)
#define LIKE STR("\U0001F44D")

/* ---- what is said ---- */

/* The portal cuts a text that is too long, with "(...)" behind it. */
static struct str cut(struct arena *a, struct str s)
{
	size_t at = 0, n = 0, len;
	uint32_t cp;

	while (n < TEXT_POINTS && (len = str_utf8_next(str_of(s.p + at, s.n - at), &cp)) != 0) {
		at += len;
		n++;
	}
	return at == s.n ? s : arena_cat(a, str_of(s.p, at), STR("(...)"), STR_NONE);
}

/* [USER=47]Anna[/USER] mentions 47, [USER=all] everybody; the text stays as it is. */
static void find_mentions(struct rest_call *c, struct content *out)
{
	struct str rest = out->text;
	uint32_t *v = arena_alloc(c->rq->a, MENTIONS_MAX * sizeof *v);

	out->mentions = v;
	for (ptrdiff_t at; (at = str_find(rest, '[')) >= 0; rest = str_of(rest.p + at + 1, rest.n - (size_t)at - 1)) {
		struct str tag = str_of(rest.p + at, rest.n - (size_t)at);
		ptrdiff_t end = str_find(tag, ']');
		if (end < 7 || !str_ieq(str_of(tag.p, 6), STR("[USER=")))
			continue;
		struct str ref = str_of(tag.p + 6, (size_t)end - 6);
		uint32_t account = rest_account(c, ref);
		if (str_ieq(ref, STR("all")))
			out->mentions_all = true;
		else if (account && out->n_mentions < MENTIONS_MAX)
			v[out->n_mentions++] = account;
	}
}

static const struct {
	const char *name;
	size_t max;
	const char *wrong, *large;
} attached[] = {
	{ "ATTACH", ATTACH_BYTES, "ATTACH_ERROR", "ATTACH_OVERSIZE" },
	{ "KEYBOARD", KEYBOARD_BYTES, "KEYBOARD_ERROR", "KEYBOARD_OVERSIZE" },
	{ "MENU", KEYBOARD_BYTES, "MENU_ERROR", "MENU_OVERSIZE" },
};

/* ATTACH, KEYBOARD and MENU as one JSON text; false after answering. */
static bool read_params(struct rest_call *c, struct content *out)
{
	json_t *all = json_object();
	const char *wrong = NULL;

	for (size_t i = 0; i < sizeof attached / sizeof *attached && !wrong; i++) {
		json_t *v = rest_value(c, attached[i].name);
		struct str s = rest_text_of(c, v);
		json_t *parsed = s.n ? json_loadb(s.p, s.n, 0, NULL) : v ? json_incref(v) : NULL;
		if (!v || (s.p && (!s.n || str_ieq(s, STR("N")))))
			continue; /* none, or taken away */
		char *printed = parsed ? json_dumps(parsed, JSON_COMPACT) : NULL;
		size_t n = printed ? str_c(printed).n : 0;
		free(printed);
		wrong = !n ? attached[i].wrong : n > attached[i].max ? attached[i].large : NULL;
		json_object_set_new(all, attached[i].name, parsed ? parsed : json_null());
	}
	if (!wrong && json_object_size(all)) {
		char *printed = json_dumps(all, JSON_COMPACT);
		out->params = arena_str(c->rq->a, str_c(printed));
		free(printed);
	}
	json_decref(all);
	if (wrong)
		rest_error(c, 400, wrong, "What is attached is a JSON object or list, and not too large");
	return !wrong;
}

static bool read_content(struct rest_call *c, struct content *out)
{
	struct str text = rest_text(c, "MESSAGE");

	if (!text.p)
		text = rest_text(c, "message");
	if (text.p && !str_xml_valid(text)) {
		rest_error(c, 400, "MESSAGE_EMPTY",
			   "MESSAGE has characters that no message may hold (control characters)");
		return false;
	}
	out->text = cut(c->rq->a, text);
	find_mentions(c, out);
	return read_params(c, out);
}

/* Where it goes; false after answering. */
static bool address(struct rest_call *c, struct say *s)
{
	uint64_t conv;

	s->by = c->by;
	s->author = c->me;
	if (!rest_dialog(c, &conv))
		return false;
	if (conv_kind(conv) == CONV_CHAT)
		s->chat = conv_chat_number(conv);
	else
		s->to = conv_peer(conv, c->me);
	if (conv_kind(conv) != CONV_NOTIFY)
		return true;
	rest_error(c, 400, "DIALOG_ID_EMPTY", "Notifications are added by im.notify");
	return false;
}

/* The message that is answered, which must be in the same dialog. */
static bool read_reply(struct rest_call *c, struct say *s)
{
	uint64_t number = rest_number(c, "REPLY_ID", 0);
	uint64_t conv = s->chat ? conv_chat(s->chat) : conv_private(s->author, s->to);
	struct message_rec m;
	struct txn *t;

	if (!number)
		return true;
	t = im_read();
	int err = rest_message_get(c, t, number, &m);
	uint64_t gid = m.gid, its_conv = m.conv;
	txn_commit(t);
	if (err)
		rest_error(c, 403, "REPLY_ACCESS_ERROR", "REPLY_ID names nothing that you may read");
	else if (its_conv != conv)
		rest_error(c, 400, "REPLY_FROM_OTHER_CHAT_ERROR", "REPLY_ID is a message of another dialog");
	else
		s->content.reply_gid = gid;
	return !err && its_conv == conv;
}

static void message_add(struct rest_call *c)
{
	struct say s = { .origin_id = rest_text(c, "TEMPLATE_ID") };

	if (!s.origin_id.n)
		s.origin_id = http_header_get(c->rq, "idempotency-key");
	if (!read_content(c, &s.content) || !address(c, &s) || !read_reply(c, &s))
		return;
	s.content.is_system = c->me == 0;
	say(&s, rest_message_done, c);
}

/* ---- about another message ---- */

/* The message and the dialog; a service that names nobody acts for `its` author. False after answering. */
static bool named(struct rest_call *c, struct say *s, struct message_rec *m)
{
	uint64_t gid = opaque_number_parse(rest_number(c, "MESSAGE_ID", rest_number(c, "ID", 0)));
	struct txn *t = im_read();
	int err = gid ? message_get(t, gid, m) : ERR_NOT_FOUND;

	if (!err && !c->me && principal_has(&c->by, SCOPE_SEND_AS))
		c->me = m->author;
	if (!err && !c->me)
		err = principal_has(&c->by, SCOPE_SYSTEM) && conv_kind(m->conv) == CONV_CHAT ? 0 : ERR_FORBIDDEN;
	else if (!err)
		err = rest_may_read(c, t, m->conv, m->seq);
	s->by = c->by;
	s->by.account = s->author = c->me;
	if (!err && conv_kind(m->conv) == CONV_CHAT)
		s->chat = conv_chat_number(m->conv);
	else if (!err)
		s->to = conv_peer(m->conv, c->me);
	m->payload = m->from = m->to = m->id = m->origin_id = m->lang = STR_NONE; /* not beyond the transaction */
	txn_commit(t);
	if (err)
		rest_error(c, 400, "MESSAGE_ID_ERROR", "MESSAGE_ID names nothing that you may read");
	return !err;
}

static void changed(void *ctx, int err, uint64_t gid)
{
	struct rest_call *c = ctx;

	(void)gid;
	if (err == ERR_FORBIDDEN || err == ERR_NOT_FOUND)
		rest_error(c, 403, "CANT_EDIT_MESSAGE", "This message is not yours to change");
	else
		rest_done(c, err);
}

static void withdraw(struct rest_call *c, struct say *s, const struct message_rec *m)
{
	s->content = (struct content){ .retracts_gid = m->gid };
	say(s, changed, c);
}

static void message_update(struct rest_call *c)
{
	struct say s = { .to = 0 };
	struct message_rec m;

	if (!named(c, &s, &m) || !read_content(c, &s.content))
		return;
	if (m.wall_us + EDIT_WINDOW_US < clock_wall_us()) {
		rest_error(c, 400, "CANT_EDIT_MESSAGE", "A message is corrected within three days");
		return;
	}
	if (!s.content.text.n && !s.content.params.p) { /* the portal takes an empty text for a deletion */
		withdraw(c, &s, &m);
		return;
	}
	s.content.edits_gid = m.gid;
	say(&s, changed, c);
}

static void message_delete(struct rest_call *c)
{
	struct say s = { .to = 0 };
	struct message_rec m;

	if (named(c, &s, &m))
		withdraw(c, &s, &m);
}

struct my_likes {
	uint32_t me;
	bool liked;
	struct arena *a;
	struct str all[32];
	size_t n;
};

/* One's other reactions stay. */
static bool add_mine(void *ctx, uint32_t account, struct str set)
{
	struct my_likes *l = ctx;
	struct str one;

	if (account != l->me)
		return true;
	while (str_split(&set, '\0', &one)) {
		if (str_eq(one, LIKE))
			l->liked = true;
		else if (one.n && l->n < 31)
			l->all[l->n++] = arena_str(l->a, one);
	}
	return false;
}

static void message_like(struct rest_call *c)
{
	struct say s = { .to = 0 };
	struct message_rec m;
	struct str action = rest_text(c, "ACTION");
	struct my_likes l = { .a = c->rq->a };

	if (!named(c, &s, &m))
		return;
	l.me = c->me;
	struct txn *t = im_read();
	reaction_each(t, m.gid, add_mine, &l);
	txn_commit(t);
	bool wants = str_ieq(action, STR("plus")) || (!str_ieq(action, STR("minus")) && !l.liked);
	if (wants == l.liked) {
		rest_error(c, 400, "WITHOUT_CHANGES", wants ? "You like it already" : "You did not like it");
		return;
	}
	if (wants)
		l.all[l.n++] = LIKE;
	s.content.reacts_gid = m.gid;
	s.content.reactions = l.all;
	s.content.n_reactions = l.n;
	say(&s, changed, c);
}

/* TYPE CHAT: the message is passed on to another dialog. Tasks, posts and calendars are the portal's own. */
static void message_share(struct rest_call *c)
{
	struct str type = rest_text(c, "TYPE");
	struct say s = { .to = 0 };
	struct message_rec m;

	if (type.n && !str_ieq(type, STR("CHAT"))) {
		rest_error(c, 400, "PARAMS_ERROR", "TYPE is CHAT; tasks and posts are made by the portal");
		return;
	}
	struct txn *t = im_read();
	int err = rest_message_get(c, t, rest_number(c, "MESSAGE_ID", 0), &m);
	if (!err)
		rest_content(c, t, &m, &s.content);
	uint64_t gid = m.gid;
	txn_commit(t);
	if (err) {
		rest_error(c, 400, "MESSAGE_ID_ERROR", "MESSAGE_ID names nothing that you may read");
		return;
	}
	struct content passed = { .text = s.content.text,
				  .files = s.content.files,
				  .n_files = s.content.n_files,
				  .params = s.content.params,
				  .forward_gid = gid };
	s.content = passed;
	if (address(c, &s))
		say(&s, rest_message_done, c);
}

/* vestnik.message.get: one message by its number. */
static void message_show(struct rest_call *c)
{
	struct message_rec m;
	struct txn *t = im_read();
	int err = rest_message_get(c, t, rest_number(c, "MESSAGE_ID", 0), &m);
	json_t *o = err ? NULL : rest_message(c, t, &m, cursor_get(t, c->me, m.conv));

	txn_commit(t);
	if (err)
		rest_err(c, err);
	else
		rest_result(c, o);
}

const struct rest_method rest_message_methods[] = {
	{ "im.message.add",
	  message_add,
	  REST_SPEAKER,
	  { { "DIALOG_ID|CHAT_ID|TO_CHAT_ID|TO_USER_ID", "DIALOG_ID_EMPTY" }, { "MESSAGE|ATTACH", "MESSAGE_EMPTY" } } },
	{ "im.message.update", message_update, REST_ANYBODY, { { "MESSAGE_ID", "MESSAGE_ID_ERROR" } } },
	{ "im.message.delete", message_delete, REST_ANYBODY, { { "MESSAGE_ID", "MESSAGE_ID_ERROR" } } },
	{ "im.message.like", message_like, REST_ACTOR, { { "MESSAGE_ID", "MESSAGE_ID_ERROR" } } },
	{ "im.message.share",
	  message_share,
	  REST_ACTOR,
	  { { "MESSAGE_ID", "MESSAGE_ID_ERROR" }, { "DIALOG_ID", "DIALOG_ID_EMPTY" } } },
	{ "vestnik.message.get", message_show, REST_READER, { { "MESSAGE_ID", "MESSAGE_ID_ERROR" } } },
	{ .name = NULL },
};
