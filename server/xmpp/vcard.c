/* vCards (XEP-0054): what the company structure knows about a person (name, department, position, e-mail, phone)
 * joined with what the person stored; the structure's fields win. One writes only one's own. Home thread of the
 * asker. */
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/net/limits.h"
#include "server/xmpp/avatar.h"
#include "server/xmpp/request.h"
#include "storage/tab_vcard.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <string.h>

/* With the picture that PEP holds. */
static struct node *stored(struct arena *a, uint32_t account)
{
	static const struct parser_limits limits = { 16777216, 16777216, 512, 100000, 1000, 100 };
	struct txn *t = im_read();
	struct node *root = NULL;
	struct str xml;

	if (vcard_get(t, account, &xml) || parse_document(a, xml, &limits, &root))
		root = NULL;
	if (!root)
		root = node_new(a, A_vCard, NS_VCARD);
	avatar_into_vcard(t, a, account, root);
	txn_commit(t);
	return root;
}

/* Takes the person's own fields of that name out, then adds one for the structure's value. */
static struct node *overrule(struct arena *a, struct node *card, enum atom name)
{
	for (struct node *n = node_child(card, name, NS_VCARD); n; n = node_child(card, name, NS_VCARD))
		node_remove(n);
	return node_add(a, card, name, NS_VCARD);
}

static void add_name(struct arena *a, struct node *card, const struct org_person *p)
{
	struct str family = p->full_name, given = STR_NONE;
	const char *space = memchr(p->full_name.p, ' ', p->full_name.n);

	node_append_text(a, overrule(a, card, A_FN), p->full_name);
	if (space) { /* "Family Given Middle", as personnel lists write it */
		family = str_of(p->full_name.p, (size_t)(space - p->full_name.p));
		given = str_of(space + 1, p->full_name.n - family.n - 1);
	}
	struct node *n = overrule(a, card, A_N);
	node_add_text(a, n, A_FAMILY, NS_VCARD, family);
	if (given.n)
		node_add_text(a, n, A_GIVEN, NS_VCARD, given);
}

/* The company's name is not part of the structure: its domain stands for it. Each department of the path is a unit. */
static void add_dept(struct arena *a, struct node *card, const struct org_person *p)
{
	struct node *org = overrule(a, card, A_ORG);
	const struct org_dept *chain[64];
	size_t n = 0;

	node_add_text(a, org, A_ORGNAME, NS_VCARD, jid_domain(&p->jid));
	for (const struct org_dept *d = p->dept; d && n < 64; d = d->parent)
		chain[n++] = d;
	while (n)
		node_add_text(a, org, A_ORGUNIT, NS_VCARD, chain[--n]->name);
}

static void add_structure(struct arena *a, struct node *card, const struct org_person *p)
{
	struct node *n;

	if (p->full_name.n)
		add_name(a, card, p);
	if (p->dept)
		add_dept(a, card, p);
	if (p->position.n)
		node_append_text(a, overrule(a, card, A_TITLE), p->position);
	if (p->email.n) {
		n = overrule(a, card, A_EMAIL);
		node_add(a, n, A_INTERNET, NS_VCARD);
		node_add(a, n, A_WORK, NS_VCARD);
		node_add_text(a, n, A_USERID, NS_VCARD, p->email);
	}
	if (p->phone.n) {
		n = overrule(a, card, A_TEL);
		node_add(a, n, A_WORK, NS_VCARD);
		node_add(a, n, A_VOICE, NS_VCARD);
		node_add_text(a, n, A_NUMBER, NS_VCARD, p->phone);
	}
	node_append_text(a, overrule(a, card, A_JABBERID), jid_bare(&p->jid));
}

static void get(struct request *rq)
{
	uint32_t me = rq->session->user->id, id = me;
	const struct org_person *p;

	if (rq->addressee == TO_ACCOUNT) {
		const struct peer *peer = peer_get(&rq->to);
		id = peer->id;
		if (!id || !presence_may_see(me, id) ||
		    peer_blocks(peer, &rq->session->jid)) { /* row I11: alike for nobody and for hidden people */
			reply_error(rq, "cancel", A_service_unavailable, "Nobody is there");
			return;
		}
	}
	struct node *card = stored(rq->a, id);
	p = org_person(org_current(), id);
	if (p)
		add_structure(rq->a, card, p);
	reply_result(rq, card);
}

struct vcard_op {
	struct write_op op;
	struct arena *a;
	uint32_t account;
	struct jid bare;
	struct str publisher, xml;
	struct avatar_change avatar;
};

static int apply_set(struct txn *t, struct write_op *op)
{
	struct vcard_op *v = (struct vcard_op *)op;
	int err = avatar_apply(t, v->account, v->publisher, &v->avatar);

	if (err)
		return err;
	vcard_put(t, v->account, v->xml);
	return txn_error(t);
}

static void after_set(struct write_op *op, struct session *s)
{
	struct vcard_op *v = (struct vcard_op *)op;

	(void)s;
	avatar_tell(v->account, v->bare.full, v->publisher, &v->avatar);
}

static void free_set(struct write_op *op)
{
	arena_free(((struct vcard_op *)op)->a);
	mem_free(op);
}

static void refuse(struct request *rq, struct vcard_op *v, int err)
{
	free_set(&v->op);
	if (err == ERR_LIMIT) /* row W09: the stream lives */
		reply_error(rq, "modify", A_policy_violation, "The vCard is too large; use a smaller picture");
	else
		reply_error(rq, "modify", A_bad_request, "The picture is not Base64");
}

static void set(struct request *rq)
{
	struct vcard_op *v = NEW(struct vcard_op);
	struct buf b;
	int err;

	v->op.apply = apply_set;
	v->a = arena_new(4096);
	v->account = rq->session->user->id;
	v->bare = jid_dup(v->a, rq->session->user->jid);
	v->publisher = arena_str(v->a, rq->session->jid.full);
	err = avatar_from_vcard(v->a, rq->child, &v->avatar);
	buf_init(&b, limits()->vcard_bytes);
	print_node(&b, rq->child, STR(""));
	if (!err && !buf_ok(&b))
		err = ERR_LIMIT;
	v->xml = arena_str(v->a, buf_str(&b));
	buf_clear(&b);
	if (err)
		refuse(rq, v, err);
	else
		reply_after_write(rq, &v->op, after_set, free_set);
}

static void set_foreign(struct request *rq)
{
	reply_error(rq, "auth", A_forbidden, "You may only change your own vCard");
}

static const struct handler rows[] = {
	{ IQ_GET, A_vCard, NS_VCARD, TO_OWN | TO_ACCOUNT, 0, "vcard-temp", get },
	{ IQ_SET, A_vCard, NS_VCARD, TO_OWN, 0, NULL, set },
	{ IQ_SET, A_vCard, NS_VCARD, TO_ACCOUNT, 0, NULL, set_foreign },
	{ .fn = NULL },
};
static const char *const host_features[] = { "vcard-temp", NULL };
const struct handler_table vcard_handlers = { "XEP-0054 vCard", rows, host_features, NULL };
