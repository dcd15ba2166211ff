/*
 * Lines that a chat says about itself (author 0): who came and went, a new title. The text is in the language of the option chats.language, since one line is stored
 * for all readers; clients that speak ours translate by content.code. Writer thread.
 */
#include "base/clock.h"
#include "server/im/chat_op.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/person.h"
#include "server/net/limits.h"

#define NAMED_MAX 20 /* people named in one line; of more the number is told */

/* %A the one who did it, %T whom, %X a text. Languages: 0 English, 1 Russian (present tense: it needs no gender). */
static const struct row {
	struct str code;
	bool coming_and_going;
	struct str text[2], nobody[2]; /* nobody: when it was no person */
} rows[] = {
#define ROW(code, coming, en, ru, en0, ru0)                                                                            \
	{                                                                                                              \
		{ code, sizeof code - 1 }, coming, { { en, sizeof en - 1 }, { ru, sizeof ru - 1 } },                   \
		{                                                                                                      \
			{ en0, sizeof en0 - 1 },                                                                       \
			{                                                                                              \
				ru0, sizeof ru0 - 1                                                                    \
			}                                                                                              \
		}                                                                                                      \
	}
	ROW("create", false, "%A created the chat", "%A создаёт чат", "The chat was created", "Чат создан"),
	ROW("join", true, "%T joined", "%T теперь в чате", "%T joined", "%T теперь в чате"),
	ROW("add", true, "%A added %T", "%A добавляет в чат: %T", "Added: %T", "Теперь в чате: %T"),
	ROW("leave", true, "%T left", "%T выходит из чата", "%T left", "%T выходит из чата"),
	ROW("remove", true, "%A removed %T", "%A исключает: %T", "Removed: %T", "Исключены: %T"),
	ROW("ban", true, "%A banned %T", "%A запрещает вход: %T", "Banned: %T", "Вход запрещён: %T"),
	ROW("owner", false, "%T is the owner now", "Владелец чата теперь %T", "%T is the owner now",
	    "Владелец чата теперь %T"),
	ROW("manager", false, "%T is a manager now", "Администратор чата теперь и %T", "%T is a manager now",
	    "Администратор чата теперь и %T"),
	ROW("member", false, "%T is a plain member now", "%T теперь участник без особых прав",
	    "%T is a plain member now", "%T теперь участник без особых прав"),
	ROW("title", false, "%A named the chat “%X”", "%A меняет название чата на «%X»", "The chat is called “%X” now",
	    "Чат теперь называется «%X»"),
	ROW("description", false, "%A changed the description", "%A меняет описание чата",
	    "The description was changed", "Описание чата изменено"),
	ROW("avatar", false, "%A changed the picture", "%A меняет картинку чата", "The picture was changed",
	    "Картинка чата изменена"),
	ROW("settings", false, "%A changed the settings", "%A меняет настройки чата", "The settings were changed",
	    "Настройки чата изменены"),
	ROW("subject", false, "", "", "", ""), /* XEP-0045 section 8.1: a subject without a body */
#undef ROW
};

static const struct row *row_of(struct str code)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(rows[i].code, code))
			return &rows[i];
	return NULL;
}

static struct str names(struct txn *t, struct chat_op *o, const uint32_t *targets, size_t n)
{
	struct str s = STR("");

	if (n > NAMED_MAX)
		return arena_printf(o->a, "%zu", n);
	for (size_t i = 0; i < n; i++)
		s = arena_cat(o->a, s, i ? STR(", ") : STR(""), person_name(o->a, t, targets[i]), STR_NONE);
	return s;
}

static struct str fill_in(struct arena *a, struct str form, struct str actor, struct str whom, struct str text)
{
	struct str out = STR("");

	for (size_t i = 0; i < form.n;) {
		size_t k = i;
		while (k < form.n && form.p[k] != '%')
			k++;
		out = arena_cat(a, out, str_of(form.p + i, k - i), STR_NONE);
		if (k + 1 >= form.n)
			break;
		char c = form.p[k + 1];
		out = arena_cat(a, out, c == 'A' ? actor : c == 'T' ? whom : text, STR_NONE);
		i = k + 2;
	}
	return out;
}

int chat_line(struct txn *t, struct chat_op *o, const char *code, const uint32_t *targets, size_t n, struct str text)
{
	const struct row *row = row_of(str_c(code));
	uint32_t actor = o->by.account;

	if (o->skip_line || !row || (row->coming_and_going && (o->chat.flags & CHAT_NO_JOIN_LINES)))
		return 0;
	struct str form = (actor ? row->text : row->nobody)[im.chat_russian];
	struct str room =
		arena_printf(o->a, "chat%llu@chats.%.*s", (unsigned long long)o->number, STR_ARG(o->chat.domain));
	struct content c = {
		.text = fill_in(o->a, form, actor ? person_name(o->a, t, actor) : STR(""), names(t, o, targets, n),
				text),
		.subject = row->text[0].n ? STR_NONE : text,
		.code = row->code,
		.is_system = true,
	};
	struct chunk *payload = content_codec.print(&c, room);
	struct message_rec m = {
		.conv = conv_chat(o->number),
		.type = MESSAGE_GROUPCHAT,
		.flags = MESSAGE_SYSTEM,
		.from = room,
		.to = room,
		.payload = chunk_str(payload),
	};
	int err = message_append(t, &m, clock_wall_us(), limits()->origin_ids);
	struct chat_effect *e = chat_did(o, CHAT_DID_MESSAGE); /* owns the payload, also after an error */
	e->message = (struct room_message){ .number = o->number,
					    .gid = m.gid,
					    .seq = m.seq,
					    .flags = m.flags,
					    .type = MESSAGE_GROUPCHAT,
					    .payload = payload };
	if (!o->gid)
		o->gid = m.gid;
	return err;
}
