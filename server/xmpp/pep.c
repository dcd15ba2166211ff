/*
 * Personal eventing (XEP-0163 over the part of XEP-0060 that it needs): dispatch, reading, disco. Writing is in
 * pep_write.c, events in pep_event.c, options in pep_config.c. To strangers every node that is not open looks like
 * one that does not exist, of an account that may not exist (row I11). Home thread of the asker.
 */
#include "server/xmpp/pep.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/net/limits.h"
#include "server/xmpp/avatar.h"
#include "server/xmpp/bookmarks.h"
#include "server/xmpp/caps.h"
#include "server/xmpp/pep_write.h"
#include "server/xmpp/reply.h"
#include "xml/print.h"

void pep_init(void)
{
	caps_init();
	avatar_init();
}

/* ---- reading ---- */

struct access {
	uint32_t owner;
	bool own, sees;
};

static struct access access_of(struct request *rq)
{
	struct access x = { .owner = rq->session->user->id, .own = rq->addressee != TO_ACCOUNT, .sees = true };

	if (x.own)
		return x;
	x.owner = peer_get(&rq->to)->id;
	x.sees = x.owner && pep_may_see(rq->session->user->id, &rq->session->jid, x.owner, &rq->to);
	return x;
}

static bool may_read(const struct access *x, const struct pep_config *c)
{
	enum pep_access model = pep_config_access(c);

	return x->own || model == ACCESS_OPEN || (model == ACCESS_PRESENCE && x->sees);
}

/* The node if the asker may read it; else the error was sent. */
static bool readable_node(struct request *rq, struct txn *t, struct str name, struct pep_node *out)
{
	struct access x = access_of(rq);
	struct pep_config c;
	int err = x.owner && name.n ? pep_node_get(t, x.owner, name, out) : ERR_NOT_FOUND;

	if (err && err != ERR_NOT_FOUND) {
		reply_err(rq, err, NULL);
		return false;
	}
	if (!err) {
		pep_config_parse(out->config, name, &c);
		if (may_read(&x, &c))
			return true;
	}
	if (!err && x.sees)
		reply_error_with(rq, "cancel", A_not_allowed, A_closed_node, NS_PUBSUB_ERRORS,
				 "The owner keeps this to himself");
	else
		reply_error(rq, "cancel", A_item_not_found, "There is no such node");
	return false;
}

static void print_item(struct buf *b, const struct pep_item *item)
{
	buf_lit(b, "<item");
	print_attr(b, "id", item->id);
	print_attr(b, "publisher", item->publisher);
	buf_lit(b, ">");
	buf_str_add(b, item->payload);
	buf_lit(b, "</item>");
}

struct listing {
	struct buf *b;
	uint64_t skip;
};

static bool print_next(void *ctx, const struct pep_item *item)
{
	struct listing *l = ctx;

	if (l->skip)
		l->skip--;
	else
		print_item(l->b, item);
	return true;
}

/* The asked items, or the newest max_items (all without it), oldest first. */
static void print_items(struct buf *b, struct txn *t, const struct node *items, const struct pep_node *node)
{
	struct listing l = { b, 0 };
	struct pep_item item;
	uint64_t max;

	if (node_child(items, A_item, NS_PUBSUB)) {
		for (struct node *i = node_child(items, A_item, NS_PUBSUB); i; i = node_next_same(i))
			if (pep_item_get(t, node, node_attr(i, "id"), &item) == 0)
				print_item(b, &item);
		return;
	}
	if (str_u64(node_attr(items, "max_items"), UINT64_MAX, &max) == 0 && node->items > max)
		l.skip = node->items - max;
	pep_item_each(t, node, false, print_next, &l);
}

static void get_items(struct request *rq, struct node *items)
{
	struct txn *t = im_read();
	struct pep_node node;
	struct buf b;

	if (bookmarks_get(rq, items)) {
		txn_commit(t);
		return;
	}
	if (readable_node(rq, t, node_attr(items, "node"), &node)) {
		buf_init(&b, 64u << 20);
		buf_lit(&b, "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items");
		print_attr(&b, "node", node.name);
		buf_lit(&b, ">");
		print_items(&b, t, items, &node);
		buf_lit(&b, "</items></pubsub>");
		reply_printed(rq, buf_str(&b));
		buf_clear(&b);
	}
	txn_commit(t);
}

static void get_configuration(struct request *rq, struct node *what)
{
	struct txn *t = im_read();
	struct pep_node node;
	struct pep_config c;
	struct node *answer = node_new(rq->a, A_pubsub, NS_PUBSUB_OWNER), *configure;

	if (readable_node(rq, t, node_attr(what, "node"), &node)) {
		pep_config_parse(node.config, node.name, &c);
		configure = node_add(rq->a, answer, A_configure, NS_PUBSUB_OWNER);
		node_set(rq->a, configure, "node", node.name);
		pep_config_form(rq->a, configure, &c);
		reply_result(rq, answer);
	}
	txn_commit(t);
}

static void get_default(struct request *rq, struct node *what)
{
	struct node *answer = node_new(rq->a, A_pubsub, rq->child->ns),
		    *d = node_add(rq->a, answer, A_default, rq->child->ns);
	struct pep_config c;

	(void)what;
	pep_config_default(STR_NONE, &c);
	pep_config_form(rq->a, d, &c);
	reply_result(rq, answer);
}

/* ---- dispatch ---- */

static const struct pep_row rows_of_pep[] = {
	{ IQ_GET, A_items, NS_PUBSUB, get_items },
	{ IQ_SET, A_publish, NS_PUBSUB, pep_publish },
	{ IQ_SET, A_retract, NS_PUBSUB, pep_retract },
	{ IQ_SET, A_create, NS_PUBSUB, pep_create },
	{ IQ_GET, A_default, NS_PUBSUB, get_default },
	{ IQ_GET, A_default, NS_PUBSUB_OWNER, get_default },
	{ IQ_GET, A_configure, NS_PUBSUB_OWNER, get_configuration },
	{ IQ_SET, A_configure, NS_PUBSUB_OWNER, pep_configure },
	{ IQ_SET, A_delete, NS_PUBSUB_OWNER, pep_delete },
	{ IQ_SET, A_purge, NS_PUBSUB_OWNER, pep_purge },
};

static void pubsub(struct request *rq)
{
	struct node *what = node_first(rq->child);

	for (size_t i = 0; what && i < sizeof rows_of_pep / sizeof *rows_of_pep; i++) {
		const struct pep_row *r = &rows_of_pep[i];
		if (r->iq_type != rq->iq_type || !node_is(what, r->child, r->ns))
			continue;
		if (rq->addressee == TO_ACCOUNT && (rq->iq_type == IQ_SET || r->ns == NS_PUBSUB_OWNER))
			reply_error(rq, "auth", A_forbidden, "Only its owner may do that to a node");
		else
			r->fn(rq, what);
		return;
	}
	if (what)
		reply_error_with(rq, "cancel", A_feature_not_implemented, A_unsupported, NS_PUBSUB_ERRORS,
				 "The server does not offer that");
	else
		reply_error(rq, "modify", A_bad_request, "Say what to do with the node");
}

/* ---- disco ---- */

bool pep_disco_info(struct request *rq, struct str name)
{
	struct access x = access_of(rq);
	struct txn *t = im_read();
	struct pep_node node;
	struct pep_config c;
	bool found = x.owner && name.n && pep_node_get(t, x.owner, name, &node) == 0;

	if (found) {
		pep_config_parse(node.config, name, &c);
		found = may_read(&x, &c);
	}
	if (found) {
		struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO),
			    *i = node_add(rq->a, q, A_identity, NS_DISCO_INFO);
		node_set(rq->a, q, "node", name);
		node_set(rq->a, i, "category", STR("pubsub"));
		node_set(rq->a, i, "type", STR("leaf"));
		node_set(rq->a, node_add(rq->a, q, A_feature, NS_DISCO_INFO), "var",
			 STR("http://jabber.org/protocol/pubsub"));
		reply_result(rq, q);
	}
	txn_commit(t);
	return found;
}

struct disco_list {
	struct request *rq;
	struct node *query;
	struct access x;
	struct str bare;
};

static bool add_disco_item(void *ctx, const struct pep_node *node)
{
	struct disco_list *l = ctx;
	struct pep_config c;

	pep_config_parse(node->config, node->name, &c);
	if (!may_read(&l->x, &c))
		return true;
	struct node *item = node_add(l->rq->a, l->query, A_item, NS_DISCO_ITEMS);
	node_set(l->rq->a, item, "jid", l->bare);
	node_set(l->rq->a, item, "node", arena_str(l->rq->a, node->name));
	if (c.v[PEP_TITLE].n)
		node_set(l->rq->a, item, "name", arena_str(l->rq->a, c.v[PEP_TITLE]));
	return true;
}

void pep_disco_items(struct request *rq, struct node *query)
{
	struct disco_list l = { rq, query, access_of(rq),
				rq->addressee == TO_ACCOUNT ? rq->to.full : rq->session->user->jid.full };
	struct txn *t = im_read();

	if (l.x.owner)
		pep_node_each(t, l.x.owner, add_disco_item, &l);
	txn_commit(t);
}

#define PUBSUB "http://jabber.org/protocol/pubsub"
static const struct handler rows[] = {
	{ IQ_GET | IQ_SET, A_pubsub, NS_PUBSUB, TO_OWN | TO_ACCOUNT, 0, NULL, pubsub },
	{ IQ_GET | IQ_SET, A_pubsub, NS_PUBSUB_OWNER, TO_OWN | TO_ACCOUNT, 0, NULL, pubsub },
	{ .fn = NULL },
};
static const char *const account_features[] = {
	PUBSUB "#publish",
	PUBSUB "#auto-create",
	PUBSUB "#persistent-items",
	PUBSUB "#publish-options",
	PUBSUB "#access-presence",
	PUBSUB "#access-open",
	PUBSUB "#access-whitelist",
	PUBSUB "#create-nodes",
	PUBSUB "#create-and-configure",
	PUBSUB "#config-node",
	PUBSUB "#config-node-max",
	PUBSUB "#delete-items",
	PUBSUB "#delete-nodes",
	PUBSUB "#purge-nodes",
	PUBSUB "#retrieve-items",
	PUBSUB "#retrieve-default",
	PUBSUB "#retract-items",
	PUBSUB "#item-ids",
	PUBSUB "#multi-items",
	PUBSUB "#filtered-notifications",
	PUBSUB "#last-published",
	PUBSUB "#auto-subscribe",
	PUBSUB "#presence-notifications",
	"urn:xmpp:pep-vcard-conversion:0",
	NULL,
};
const struct handler_table pep_handlers = { "XEP-0163 personal eventing", rows, NULL, account_features };
