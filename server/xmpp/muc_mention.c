/*
 * Mentions in a chat: references (XEP-0372) to a person's or an occupant's address, and the text "@Full Name", "@login", "@all". Names are looked up in a
 * table per worker that is made anew when the structure changes. Home thread of the sender.
 */
#include "server/xmpp/muc_mention.h"
#include "base/hash.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/net/limits.h"

#define WORDS_MAX 5 /* of a full name behind the sign */

/* Full names of this worker's structure; the value is the person. Namesakes: the nick with the login tells them apart, the bare name is nobody's. */
static _Thread_local const struct org *table_of;
static _Thread_local struct hash *by_name;
static const struct org_person namesakes;

void muc_mentions_thread_fini(void)
{
	if (by_name)
		hash_free(by_name);
	if (table_of)
		org_unref(table_of);
	by_name = NULL;
	table_of = NULL;
}

static void table_make(const struct org *o)
{
	size_t n;
	const struct org_person *const *people = org_people(o, &n);

	muc_mentions_thread_fini();
	table_of = org_ref(o);
	by_name = hash_new();
	for (size_t i = 0; i < n; i++) {
		struct str name = people[i]->full_name;
		const struct org_person *other = name.n ? hash_get(by_name, name) : NULL;
		if (name.n)
			hash_put(by_name, name,
				 other && str_eq(jid_domain(&other->jid), jid_domain(&people[i]->jid))
					 ? (void *)&namesakes
					 : (void *)people[i]);
	}
}

static uint32_t account_of_name(struct request *rq, struct str name)
{
	const struct org *o = org_current();
	const struct org_person *p;

	if (o != table_of)
		table_make(o);
	p = hash_get(by_name, name);
	return p && p->account && str_eq(jid_domain(&p->jid), jid_domain(&rq->session->jid)) ? p->account : 0;
}

static uint32_t account_of_login(struct request *rq, struct str login)
{
	return muc_account(rq,
			   arena_printf(rq->a, "%.*s@%.*s", STR_ARG(login), STR_ARG(jid_domain(&rq->session->jid))));
}

struct mentioned {
	struct request *rq;
	const struct muc_room *room;
	struct txn *t;
	uint32_t *v;
	size_t n, max;
	bool all;
};

static void add(struct mentioned *m, uint32_t account)
{
	struct chat_member_rec rec;

	for (size_t i = 0; i < m->n; i++)
		if (m->v[i] == account)
			return;
	if (!account || m->n == m->max || chat_member_get(m->t, m->room->number, account, &rec) ||
	    rec.role < CHAT_MEMBER)
		return;
	m->v[m->n++] = account;
}

/* ---- XEP-0372 ---- */

static void add_reference(struct mentioned *m, const struct node *ref)
{
	struct str uri = node_attr(ref, "uri"), people;
	struct jid j;

	if (!str_eq_c(node_attr(ref, "type"), "mention") || !str_starts(uri, STR("xmpp:")))
		return;
	uri = str_of(uri.p + 5, uri.n - 5);
	ptrdiff_t end = str_find(uri, '?');
	if (end >= 0)
		uri.n = (size_t)end;
	if (jid_parse(m->rq->a, uri, &j))
		return;
	if (!muc_service(jid_domain(&j), &people))
		add(m, muc_account(m->rq, jid_bare(&j)));
	else if (!jid_is_bare(&j))
		add(m, muc_occupant(m->room->number, jid_resource(&j)));
	else
		m->all = true; /* the chat itself */
}

/* ---- text ---- */

static bool ends_word(struct str s, size_t at)
{
	return at >= s.n || str_find(STR(" \t\n\r,.:;!?)\"'"), s.p[at]) >= 0;
}

/* The longest of the first words behind "@" that is somebody's name; else the first as a login. */
static void add_name(struct mentioned *m, struct str rest)
{
	size_t ends[WORDS_MAX], n = 0;

	for (size_t i = 1; i <= rest.n && n < WORDS_MAX; i++)
		if (ends_word(rest, i))
			ends[n++] = i;
	if (!n)
		return;
	struct str first = str_of(rest.p, ends[0]);
	if (str_ieq(first, STR("all")) || str_eq(first, STR("все"))) {
		m->all = true;
		return;
	}
	for (size_t i = n; i-- > 0;) {
		uint32_t account = account_of_name(m->rq, str_of(rest.p, ends[i]));
		if (!account)
			continue;
		add(m, account);
		return;
	}
	add(m, account_of_login(m->rq, first));
}

static void add_text(struct mentioned *m, struct str body)
{
	for (size_t i = 0; i < body.n; i++)
		if (body.p[i] == '@' && (i == 0 || ends_word(body, i - 1) || body.p[i - 1] == '('))
			add_name(m, str_of(body.p + i + 1, body.n - i - 1));
}

void muc_mentions(struct request *rq, const struct muc_room *room, struct chat_message *cm)
{
	struct node *body = node_child(rq->stanza, A_body, NS_CLIENT),
		    *ref = node_child(rq->stanza, A_reference, NS_REFERENCE);
	struct str text = body ? node_text(rq->a, body) : STR_NONE;
	struct mentioned m = { .rq = rq, .room = room, .max = limits()->mentions };

	if (!ref && str_find(text, '@') < 0)
		return;
	m.v = arena_zero(rq->a, (m.max + 1) * sizeof *m.v);
	m.t = im_read();
	for (; ref; ref = node_next_same(ref))
		add_reference(&m, ref);
	add_text(&m, text);
	txn_commit(m.t);
	cm->mentions = m.v;
	cm->n_mentions = m.n;
	cm->mentions_all =
		m.all && muc_may(&room->rec, room->me.role, CHAT_MAY_MODERATE); /* row E03: not for everybody */
}
