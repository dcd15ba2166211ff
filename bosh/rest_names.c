/* People, dialogs, chats and messages by the numbers that portals use, and who may read them (rows I07, I08, I10). Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat.h"
#include "server/im/conv.h"
#include "server/im/opaque.h"

/* ---- people ---- */

uint32_t rest_account(const struct rest_call *c, struct str ref)
{
	return ref.n ? api_account(c->rq, c->rq->who->domain, ref) : 0;
}

struct people {
	struct rest_call *c;
	uint32_t *v;
	size_t n, max;
	bool bad;
};

static bool add_person(void *ctx, json_t *v)
{
	struct people *p = ctx;
	uint32_t account = rest_account(p->c, rest_text_of(p->c, v));

	p->bad = !account || p->n == p->max;
	if (!p->bad)
		p->v[p->n++] = account;
	return !p->bad;
}

bool rest_people(struct rest_call *c, const char *name, uint32_t **out, size_t *out_n)
{
	json_t *list = rest_value(c, name);
	struct people p = { .c = c, .max = json_is_object(list) ? json_object_size(list) : json_array_size(list) + 1 };

	p.v = arena_alloc(c->rq->a, (p.max + 1) * sizeof *p.v);
	rest_each(c, name, add_person, &p);
	*out = p.v;
	*out_n = p.n;
	if (p.bad)
		rest_error(c, 400, "USER_NOT_FOUND",
			   arena_printf(c->rq->a, "%s names somebody who is not there", name).p);
	return !p.bad;
}

json_t *rest_id_of_person(const struct rest_call *c, uint32_t account)
{
	return account ? api_ref(c->rq->a, account) : json_integer(0);
}

/* ---- dialogs ---- */

static struct str dialog_text(const struct rest_call *c)
{
	static const char *const names[] = { "DIALOG_ID", "TO_USER_ID" };
	struct str s = STR_NONE, chat = rest_text(c, "CHAT_ID");

	if (!chat.n)
		chat = rest_text(c, "TO_CHAT_ID");
	for (size_t i = 0; i < 2 && !s.n; i++)
		s = rest_text(c, names[i]);
	if (s.n || !chat.n)
		return s;
	return str_starts(chat, STR("chat")) ? chat : arena_cat(c->rq->a, STR("chat"), chat, STR_NONE);
}

bool rest_dialog(struct rest_call *c, uint64_t *out_conv)
{
	struct str ref = dialog_text(c);
	int err = api_dialog(c->rq, ref, c->me, out_conv);

	if (!err && conv_kind(*out_conv) != CONV_CHAT && !c->me)
		err = ERR_SYNTAX;
	if (err == ERR_NOT_FOUND)
		rest_error(c, 400, "USER_NOT_FOUND", "DIALOG_ID names nobody");
	else if (err)
		rest_error(c, 400, "DIALOG_ID_EMPTY",
			   "DIALOG_ID is 47 (a person) or chat12; a person's dialog needs who asks");
	return !err;
}

bool rest_chat(struct rest_call *c, uint64_t *out_number)
{
	static const char *const names[] = { "CHAT_ID", "TO_CHAT_ID", "DIALOG_ID", "ID" };
	struct str s = STR_NONE;

	for (size_t i = 0; i < sizeof names / sizeof *names && !s.n; i++)
		s = rest_text(c, names[i]);
	if (str_starts(s, STR("chat")))
		s = str_of(s.p + 4, s.n - 4);
	if (str_u64(s, INT64_MAX, out_number) == 0 && *out_number)
		return true;
	rest_error(c, 400, "CHAT_ID_EMPTY", "CHAT_ID is the number of a chat");
	return false;
}

json_t *rest_id_of_dialog(const struct rest_call *c, uint64_t conv)
{
	uint32_t peer;

	if (conv_kind(conv) != CONV_PRIVATE)
		return api_str(api_dialog_id(c->rq->a, conv, c->me));
	peer = conv_peer(conv, c->me);
	return rest_id_of_person(c, peer);
}

int rest_look(const struct rest_call *c, struct txn *t, uint64_t number, struct chat_rec *out,
	      struct chat_member_rec *out_me)
{
	struct chat_member_rec me = { .role = CHAT_NONE };
	int err;

	if (out_me)
		*out_me = me;
	if (c->me)
		err = chat_look(t, number, c->me, out, out_me);
	else if (principal_has(&c->by, SCOPE_CHATS))
		err = chat_rec_get(t, number, out);
	else
		return ERR_FORBIDDEN;
	if (!err && !str_eq(out->domain, c->by.domain))
		err = ERR_NOT_FOUND;
	return err;
}

/* ---- messages ---- */

int rest_may_read(const struct rest_call *c, struct txn *t, uint64_t conv, uint64_t seq)
{
	struct chat_member_rec m;

	if (!c->me)
		return ERR_FORBIDDEN;
	if (conv_kind(conv) == CONV_NOTIFY)
		return conv == conv_notify(c->me) ? 0 : ERR_FORBIDDEN;
	if (conv_kind(conv) == CONV_PRIVATE)
		return conv_private(c->me, conv_peer(conv, c->me)) == conv ? 0 : ERR_FORBIDDEN;
	if (chat_member_get(t, conv_chat_number(conv), c->me, &m) || m.role < CHAT_MEMBER)
		return ERR_FORBIDDEN;
	return seq && seq <= m.floor ? ERR_FORBIDDEN : 0;
}

int rest_message_get(const struct rest_call *c, struct txn *t, uint64_t number, struct message_rec *out)
{
	uint64_t gid = opaque_number_parse(number);
	int err = gid ? message_get(t, gid, out) : ERR_NOT_FOUND;

	return err ? err : rest_may_read(c, t, out->conv, out->seq);
}

json_t *rest_id_of_message(uint64_t gid)
{
	return json_integer((json_int_t)opaque_number(gid));
}
