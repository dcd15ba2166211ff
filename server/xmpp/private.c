/* Private XML storage (XEP-0049), and the roster delimiter kept in it (XEP-0083: always "::" here). Home thread. */
#include "base/err.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/bookmarks.h"
#include "server/xmpp/request.h"
#include "storage/tab_private.h"
#include "xml/parser.h"
#include "xml/print.h"

static struct node *only_child(struct request *rq)
{
	struct node *n = node_first(rq->child);

	if (n && !node_next(n) && n->ns_str.n && n->ns != NS_PRIVATE)
		return n;
	reply_error(rq, "modify", A_bad_request, "Ask for exactly one element with a namespace of its own");
	return NULL;
}

static struct node *stored(struct request *rq, const struct node *asked)
{
	static const struct parser_limits limits = { 16777216, 16777216, 512, 100000, 1000, 100 };
	struct txn *t = im_read();
	struct str xml;
	struct node *root = NULL;

	if (private_get(t, rq->session->user->id, asked->name_str, asked->ns_str, &xml) ||
	    parse_document(rq->a, xml, &limits, &root))
		root = NULL;
	txn_commit(t);
	return root;
}

static void private_query(struct request *rq)
{
	struct node *asked = only_child(rq), *q, *have;

	if (!asked)
		return;
	q = node_new(rq->a, A_query, NS_PRIVATE);
	if (asked->ns == NS_DELIMITER)
		have = NULL;
	else
		have = node_is(asked, A_storage, NS_BOOKMARKS) ? bookmarks_old(rq) : stored(rq, asked);
	if (!have)
		have = node_new_named(rq->a, asked->name_str, asked->ns_str);
	if (asked->ns == NS_DELIMITER)
		node_append_text(rq->a, have, STR("::"));
	node_append(q, have);
	reply_result(rq, q);
}

struct private_op {
	struct write_op op;
	uint32_t account;
	struct chunk *xml;
	struct str ns, name;
	char bytes[];
};

static int apply_private(struct txn *t, struct write_op *op)
{
	struct private_op *p = (struct private_op *)op;

	return private_put(t, p->account, p->name, p->ns, chunk_str(p->xml), limits()->private_bytes);
}

static void free_private(struct write_op *op)
{
	chunk_unref(((struct private_op *)op)->xml);
	mem_free(op);
}

static void private_store(struct request *rq)
{
	struct node *n = only_child(rq);
	struct private_op *p;

	if (!n)
		return;
	if (node_is(n, A_storage, NS_BOOKMARKS)) {
		bookmarks_set_old(rq, n);
		return;
	}
	p = mem_zero(sizeof *p + n->ns_str.n + n->name_str.n + 1);
	memcpy(p->bytes, n->ns_str.p, n->ns_str.n);
	memcpy(p->bytes + n->ns_str.n, n->name_str.p, n->name_str.n);
	p->ns = str_of(p->bytes, n->ns_str.n);
	p->name = str_of(p->bytes + n->ns_str.n, n->name_str.n);
	p->op.apply = apply_private;
	p->account = rq->session->user->id;
	p->xml = payload_of_node(n);
	reply_after_write(rq, &p->op, NULL, free_private);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_PRIVATE, TO_OWN, 0, "jabber:iq:private", private_query },
	{ IQ_SET, A_query, NS_PRIVATE, TO_OWN, 0, NULL, private_store },
	{ .fn = NULL },
};
static const char *const host_features[] = { "jabber:iq:private", NULL };
const struct handler_table private_handlers = { "XEP-0049 private XML", rows, host_features, NULL };
