/*
 * What the muc_*.c files share: which addresses are chats, looking one up for a session, names of roles, errors. Home thread of the asker.
 */
#include "server/xmpp/muc.h"
#include "base/err.h"
#include "server/im/chat_room.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/xmpp/reply.h"

#define SERVICE_LABEL "chats"

static bool is_label_of_service(struct str label)
{
	if (str_eq_c(label, SERVICE_LABEL))
		return true;
	for (size_t i = 0; i < im.n_chat_aliases; i++)
		if (str_eq_c(label, im.chat_aliases[i]))
			return true;
	return false;
}

bool muc_service(struct str host, struct str *out_people)
{
	ptrdiff_t dot = str_find(host, '.');

	if (dot <= 0 || !is_label_of_service(str_of(host.p, (size_t)dot)))
		return false;
	*out_people = str_of(host.p + dot + 1, host.n - (size_t)dot - 1);
	return im_is_our_domain(*out_people);
}

unsigned muc_classify(const struct jid *to)
{
	struct str people;

	if (!muc_service(jid_domain(to), &people))
		return TO_REMOTE;
	if (!to->local_n)
		return TO_CHATS;
	return jid_is_bare(to) ? TO_CHAT : TO_OCCUPANT;
}

struct str muc_address(struct arena *a, const struct chat_rec *r)
{
	if (r->alias.n)
		return arena_printf(a, "%.*s@" SERVICE_LABEL ".%.*s", STR_ARG(r->alias), STR_ARG(r->domain));
	return arena_printf(a, "chat%llu@" SERVICE_LABEL ".%.*s", (unsigned long long)r->number, STR_ARG(r->domain));
}

int muc_find(struct request *rq, struct muc_room *out)
{
	struct jid bare = jid_to_bare(rq->to);
	struct str people;
	int err = ERR_NOT_FOUND;

	*out = (struct muc_room){ .address = bare.full };
	if (!muc_service(jid_domain(&bare), &people) || !str_eq(people, jid_domain(&rq->session->jid)))
		return ERR_NOT_FOUND;
	struct txn *t = im_read();
	out->number = chat_resolve(t, people, jid_local(&bare));
	if (out->number)
		err = chat_look(t, out->number, rq->session->user->id, &out->rec, &out->me);
	if (!err)
		chat_rec_copy(rq->a, &out->rec);
	int end = txn_commit(t);
	return err ? err : end;
}

bool muc_look(struct request *rq, struct muc_room *out)
{
	int err = muc_find(rq, out);

	if (err)
		muc_refuse(rq, err);
	return !err;
}

bool muc_look_member(struct request *rq, struct muc_room *out)
{
	if (!muc_look(rq, out))
		return false;
	if (out->me.role >= CHAT_MEMBER)
		return true;
	reply_error(rq, "auth", A_forbidden, "Only members of the chat may ask that: join it first");
	return false;
}

struct principal muc_principal(const struct session *s)
{
	return (struct principal){ .kind = PRINCIPAL_USER,
				   .account = s->user->id,
				   .is_admin = s->user->is_admin,
				   .domain = jid_domain(&s->user->jid),
				   .name = s->user->jid.full };
}

bool muc_may(const struct chat_rec *rec, uint8_t role, enum chat_permission p)
{
	return role >= CHAT_MEMBER && role >= rec->permission[p];
}

const char *muc_affiliation(uint8_t role)
{
	static const char *const names[] = { [CHAT_OUTCAST] = "outcast",
					     [CHAT_NONE] = "none",
					     [CHAT_MEMBER] = "member",
					     [CHAT_MANAGER] = "admin",
					     [CHAT_OWNER] = "owner" };

	return role <= CHAT_OWNER ? names[role] : "none";
}

const char *muc_role(const struct chat_rec *rec, uint8_t role)
{
	if (role < CHAT_MEMBER)
		return "none";
	if (muc_may(rec, role, CHAT_MAY_MODERATE))
		return "moderator";
	return muc_may(rec, role, CHAT_MAY_POST) ? "participant" : "visitor";
}

uint32_t muc_account(struct request *rq, struct str text)
{
	struct jid j;

	if (!text.n || jid_parse(rq->a, text, &j) || !j.local_n ||
	    !str_eq(jid_domain(&j), jid_domain(&rq->session->jid)))
		return 0;
	j = jid_to_bare(j);
	return peer_get(&j)->id;
}

struct nick_search {
	struct str nick;
	uint32_t account;
};

static void match_nick(void *ctx, const struct occupant *o)
{
	struct nick_search *n = ctx;

	if (str_eq(o->nick, n->nick))
		n->account = o->account;
}

uint32_t muc_occupant(uint64_t number, struct str nick)
{
	struct nick_search n = { .nick = nick };
	struct room *r = room_find(number);

	if (r && nick.n)
		room_each_occupant(r, match_nick, &n);
	return n.account;
}

void muc_add_occupant_id(struct arena *a, struct node *parent, uint64_t number, uint32_t account)
{
	char id[OCCUPANT_ID_LEN];

	chat_occupant_id(number, account, id);
	node_set(a, node_add(a, parent, A_occupant_id, NS_OCCUPANT_ID), "id", arena_str(a, str_of(id, sizeof id)));
}

/* ---- errors ---- */

static const struct {
	int err;
	const char *type;
	enum atom condition;
	const char *text;
} refusals[] = {
	{ ERR_NOT_FOUND, "cancel", A_item_not_found, "There is no such chat, or it is not open to you" }, /* row I07 */
	{ ERR_FORBIDDEN, "auth", A_forbidden, "Your role in the chat does not allow that" },
	{ ERR_LIMIT, "wait", A_resource_constraint,
	  "A limit of the server was reached: fewer people, fewer chats, or later" }, /* row E03 */
	{ ERR_CONFLICT, "cancel", A_not_allowed,
	  "That does not go: an owner hands the chat over before he leaves, and nobody leaves the general chat" },
	{ 0, NULL, 0, NULL },
};

static size_t refusal(int err)
{
	size_t i = 0;

	while (refusals[i].err && refusals[i].err != err)
		i++;
	return i;
}

void muc_refuse(struct request *rq, int err)
{
	size_t i = refusal(err);

	if (refusals[i].err)
		reply_error(rq, refusals[i].type, refusals[i].condition, refusals[i].text);
	else
		reply_err(rq, err, NULL);
}

void muc_refuse_later(struct pending *p, int err)
{
	size_t i = refusal(err);

	if (refusals[i].err)
		pending_error(p, refusals[i].type, refusals[i].condition, refusals[i].text);
	else
		pending_err(p, err, NULL);
}

void muc_answered(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)number;
	(void)gid;
	if (err)
		muc_refuse_later(ctx, err);
	else
		pending_result(ctx, NULL);
}

struct pending *muc_later(struct request *rq)
{
	struct pending *p = reply_later(rq);

	pending_is_fast(p);
	return p;
}
