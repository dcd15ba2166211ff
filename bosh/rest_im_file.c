/* Pictures of chats and files as base64 text: vestnik.file.save, im.chat.updateAvatar, AVATAR_ID of im.chat.add (server/im/files.h). Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/files.h"

struct saving {
	struct rest_call *c;
	struct str bytes;
	struct file_upload *file;
	rest_saved_fn *done;
};

static void stored(void *ctx, int err, const struct file_rec *r)
{
	struct saving *s = ctx;

	s->done(s->c, err, err ? 0 : r->number);
}

static void promised(void *ctx, int err, struct str token, uint64_t number)
{
	struct saving *s = ctx;

	(void)number;
	if (!err)
		err = file_begin(token, &s->file);
	if (!err && (err = file_write(s->file, s->bytes)) != 0)
		file_drop(s->file);
	if (err)
		s->done(s->c, err, 0);
	else
		file_end(s->file, false, stored, s);
}

static bool decode(struct rest_call *c, struct str text, struct str *out)
{
	char *bytes = arena_alloc(c->rq->a, text.n + 1);
	ptrdiff_t n = base64_decode(text, bytes, text.n);

	*out = str_of(bytes, n > 0 ? (size_t)n : 0);
	return n > 0;
}

void rest_save(struct rest_call *c, struct str base64, struct str name, struct str type, rest_saved_fn *done)
{
	struct saving *s = ARENA_NEW(c->rq->a, struct saving);

	s->c = c;
	s->done = done;
	if (decode(c, base64, &s->bytes))
		file_slot(c->me, name.n ? name : STR("file"), type, s->bytes.n, promised, s);
	else
		done(c, ERR_SYNTAX, 0);
}

int rest_picture(const struct rest_call *c, struct txn *t, uint64_t number, struct str *out_hash, struct str *out_type)
{
	struct file_rec r;
	char hex[64];
	int err = number ? file_get(t, number, &r) : ERR_NOT_FOUND;

	if (err)
		return err;
	if (r.owner != c->me && !(r.owner == 0 && c->by.kind == PRINCIPAL_SERVICE))
		return ERR_FORBIDDEN;
	if (r.state != FILE_STORED || !str_starts(r.type, STR("image/")))
		return ERR_SYNTAX;
	hex_encode(r.hash, sizeof r.hash, hex);
	*out_hash = arena_str(c->rq->a, str_of(hex, sizeof hex));
	*out_type = arena_str(c->rq->a, r.type);
	return 0;
}

/* ---- methods ---- */

static void saved(struct rest_call *c, int err, uint64_t number)
{
	if (err == ERR_SYNTAX)
		rest_error(c, 400, "FILES_ERROR", "CONTENT is base64, NAME a file's name");
	else if (err == ERR_LIMIT)
		rest_error(c, 400, "FILE_TOO_LARGE", "The file is larger than the server takes");
	else if (err)
		rest_error(c, 500, "SAVE_ERROR", "The file could not be saved");
	else
		rest_result(c, json_integer((json_int_t)number));
}

static void file_save(struct rest_call *c)
{
	rest_save(c, rest_text(c, "CONTENT"), rest_text(c, "NAME"), rest_text(c, "TYPE"), saved);
}

static void set_avatar(struct rest_call *c, int err, uint64_t number)
{
	struct chat_change ch = chat_change_none;
	struct txn *t = err ? NULL : im_read();

	if (t) {
		err = rest_picture(c, t, number, &ch.avatar, &ch.avatar_type);
		txn_commit(t);
	}
	if (err) {
		rest_error(c, 400, "AVATAR_ERROR",
			   "AVATAR is a picture as base64, AVATAR_ID the number of a saved one");
		return;
	}
	ch.by = c->by;
	ch.author = c->me;
	if (rest_chat(c, &ch.number))
		chat_change(&ch, rest_chat_done, c);
}

static void chat_avatar(struct rest_call *c)
{
	uint64_t number = rest_number(c, "AVATAR_ID", 0);

	if (number)
		set_avatar(c, 0, number);
	else
		rest_save(c, rest_text(c, "AVATAR"), STR("avatar"), STR(""), set_avatar);
}

const struct rest_method rest_file_methods[] = {
	{ "im.chat.updateAvatar",
	  chat_avatar,
	  REST_ANYBODY,
	  { { "CHAT_ID|DIALOG_ID", "CHAT_ID_EMPTY" }, { "AVATAR|AVATAR_ID", "AVATAR_ERROR" } } },
	{ "vestnik.file.save", file_save, REST_ANYBODY, { { "NAME", "FILES_ERROR" }, { "CONTENT", "FILES_ERROR" } } },
	{ .name = NULL },
};
