/*
 * What the owner does to PEP nodes (XEP-0060 7.1, 7.2, 8.1, 8.2, 8.4, 8.5 as XEP-0163 needs them). Each request
 * becomes one op of the writer; events and the answer leave after its commit. Home thread of the owner; apply_* on
 * the writer thread.
 */
#include "server/xmpp/pep_write.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/random.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/net/limits.h"
#include "server/xmpp/avatar.h"
#include "server/xmpp/bookmarks.h"
#include "server/xmpp/mds.h"
#include "server/xmpp/reply.h"
#include "xml/print.h"
#include <string.h>

enum { NAME_MAX_BYTES = 1000 };

struct pep_op {
	struct write_op op;
	struct arena *a;
	struct pending *pending;
	uint32_t account;
	struct jid owner; /* bare */
	struct str node, id, publisher, payload;
	struct pep_config config; /* defaults with what the request said */
	uint64_t conv, seq;	  /* XEP-0490: the dialog that was read up to there; 0: none */
	bool notify;		  /* retract: asked for it */
	int (*change)(struct txn *t, struct pep_op *p);
	void (*after)(struct pep_op *p);
	struct node *answer;
	/* results */
	bool unfit, tell, payloads, read;
	enum pep_access access;
};

static int apply(struct txn *t, struct write_op *op)
{
	struct pep_op *p = (struct pep_op *)op;

	return p->change(t, p);
}

static void free_op(struct write_op *op)
{
	struct pep_op *p = (struct pep_op *)op;

	arena_free(p->a);
	mem_free(p);
}

static void tell(const struct pep_op *p, enum pep_event_kind kind)
{
	struct pep_event e = { kind,	p->access, p->account,	 p->owner.full,
			       p->node, p->id,	   p->publisher, p->payloads ? p->payload : STR_NONE };

	if (p->tell)
		pep_tell(&e);
	if (str_eq_c(p->node, "urn:xmpp:avatar:metadata"))
		avatar_changed(p->owner.full);
}

static void done(struct write_op *op, int err, unsigned worker)
{
	struct pep_op *p = (struct pep_op *)op;

	(void)worker;
	if (!err && p->after)
		p->after(p);
	if (err == ERR_CONFLICT && p->unfit)
		pending_error_with(p->pending, "cancel", A_conflict, A_precondition_not_met, NS_PUBSUB_ERRORS,
				   "The node has another configuration; change that first");
	else if (err == ERR_LIMIT)
		pending_error(p->pending, "cancel", A_policy_violation,
			      "Your nodes would grow above the limit of the server; delete something");
	else if (err)
		pending_err(p->pending, err, NULL);
	else
		pending_result(p->pending, p->answer);
}

static struct pep_op *op_new(struct request *rq, struct str node, int (*change)(struct txn *t, struct pep_op *p),
			     void (*after)(struct pep_op *p))
{
	struct pep_op *p = NEW(struct pep_op);

	p->op = (struct write_op){ .apply = apply, .done = done, .free = free_op };
	p->a = arena_new(2048);
	p->account = rq->session->user->id;
	p->owner = jid_dup(p->a, rq->session->user->jid);
	p->publisher = arena_str(p->a, rq->session->jid.full);
	p->node = arena_str(p->a, node);
	p->change = change;
	p->after = after;
	pep_config_default(p->node, &p->config);
	return p;
}

static void submit(struct request *rq, struct pep_op *p)
{
	p->pending = reply_later(rq);
	pending_is_fast(p->pending);
	im_write(&p->op);
}

static bool node_name(struct request *rq, const struct node *what, struct str *out)
{
	*out = node_attr(what, "node");
	if (out->n && out->n <= NAME_MAX_BYTES)
		return true;
	reply_error_with(rq, "modify", A_bad_request, A_nodeid_required, NS_PUBSUB_ERRORS,
			 "Name the node, with at most 1000 bytes");
	return false;
}

/* Configuration fields of a form below `parent`; the values are copied. */
static bool read_options(struct request *rq, struct pep_op *p, const struct node *parent)
{
	struct node *form = parent ? node_child(parent, A_x, NS_DATA) : NULL;

	if (!form)
		return true;
	if (pep_config_read_form(p->a, form, &p->config) == 0) {
		for (size_t i = 0; i < PEP_OPTIONS; i++)
			p->config.v[i] = arena_str(p->a, p->config.v[i]);
		return true;
	}
	reply_error(rq, "modify", A_not_acceptable, "The server does not offer a value that the form asks for");
	free_op(&p->op);
	return false;
}

static void remember(struct pep_op *p, const struct pep_config *c)
{
	p->access = pep_config_access(c);
	p->tell = pep_config_is(c, PEP_DELIVER);
	p->payloads = pep_config_is(c, PEP_PAYLOADS);
}

/* ---- publish ---- */

static bool has_room(struct txn *t, uint32_t account, size_t bytes)
{
	struct pep_totals x;

	pep_account_totals(t, account, &x);
	return x.bytes + bytes + 1024 <= limits()->pep_bytes;
}

/* Node of that name with its configuration (slices into the store: dead after the first put); made when it is not
 * there. */
static int get_or_create(struct txn *t, uint32_t account, struct str node, const struct pep_config *initial,
			 size_t bytes, struct pep_node *out, struct pep_config *config)
{
	int err = pep_node_get(t, account, node, out);

	if (!err)
		pep_config_parse(out->config, node, config);
	if (err != ERR_NOT_FOUND)
		return err;
	if (!has_room(t, account, bytes))
		return ERR_LIMIT;
	struct arena *a = arena_new(1024);
	*config = *initial;
	err = pep_node_create(t, account, node, pep_config_print(a, initial), limits()->pep_nodes, out);
	arena_free(a);
	return err;
}

int pep_put_item(struct txn *t, uint32_t account, struct str node, struct pep_item *item,
		 const struct pep_config *initial, struct pep_node *out)
{
	struct pep_config c;
	int err = get_or_create(t, account, node, initial, item->payload.n, out, &c);

	if (err)
		return err;
	return pep_item_put(t, out, item, pep_config_max_items(&c), limits()->pep_bytes);
}

static int change_publish(struct txn *t, struct pep_op *p)
{
	struct pep_item item = {
		.id = p->id, .publisher = p->publisher, .payload = p->payload, .published_ms = clock_wall_ms()
	};
	struct pep_config c;
	struct pep_node node;
	int err = get_or_create(t, p->account, p->node, &p->config, p->payload.n, &node, &c);

	if (err)
		return err;
	p->unfit = !pep_config_fits(&c, &p->config);
	if (p->unfit)
		return ERR_CONFLICT;
	remember(p, &c);
	p->read = p->conv && inbox_apply_read(t, p->account, p->conv, p->seq);
	if (!pep_config_is(&c, PEP_PERSIST))
		return txn_error(t);
	return pep_item_put(t, &node, &item, pep_config_max_items(&c), limits()->pep_bytes);
}

static void after_publish(struct pep_op *p)
{
	tell(p, PEP_EVENT_ITEM);
	if (p->read)
		event_tell(&(struct event){ .kind = EVENT_READ,
					    .conv = p->conv,
					    .seq = p->seq,
					    .account = p->account,
					    .author = p->account });
}

static struct str print_payload(struct arena *a, const struct node *n)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	print_node(&b, n, STR(""));
	struct str s = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return s;
}

static struct node *publish_answer(struct arena *a, struct str node, struct str id)
{
	struct node *answer = node_new(a, A_pubsub, NS_PUBSUB), *publish = node_add(a, answer, A_publish, NS_PUBSUB);

	node_set(a, publish, "node", node);
	node_set(a, node_add(a, publish, A_item, NS_PUBSUB), "id", id);
	return answer;
}

static bool item_fits(struct request *rq, struct str node, const struct node *item)
{
	struct node *payload = item ? node_first(item) : NULL;
	int err;

	if (!item || node_next_same(item)) {
		reply_error_with(rq, "modify", A_bad_request, A_item_required, NS_PUBSUB_ERRORS,
				 "Publish exactly one item");
		return false;
	}
	if (!payload || node_next(payload) || node_attr(item, "id").n > NAME_MAX_BYTES) {
		reply_error_with(rq, "modify", A_bad_request, payload ? A_invalid_payload : A_payload_required,
				 NS_PUBSUB_ERRORS, "An item holds exactly one element and has a short id");
		return false;
	}
	err = str_eq_c(node, "urn:xmpp:avatar:data") && node_is(payload, A_data, NS_AVATAR_DATA)
		      ? avatar_check_data(rq->a, payload)
		      : 0;
	if (!err)
		return true;
	if (err == ERR_LIMIT)
		reply_error(rq, "modify", A_policy_violation, "The picture is larger than 256 KiB or 4096 x 4096");
	else
		reply_error(rq, "modify", A_bad_request, "The picture is not Base64");
	return false;
}

void pep_publish(struct request *rq, struct node *publish)
{
	struct node *item = node_child(publish, A_item, NS_PUBSUB);
	char token[RANDOM_TOKEN];
	struct str node;

	if (!node_name(rq, publish, &node) || !item_fits(rq, node, item))
		return;
	if (str_eq_c(node, BOOKMARKS_OLD_NODE) && node_is(node_first(item), A_storage, NS_BOOKMARKS)) {
		bookmarks_set_old(rq, node_first(item));
		return;
	}
	struct pep_op *p = op_new(rq, node, change_publish, after_publish);
	random_token(token);
	p->id = arena_str(p->a, node_attr(item, "id").n ? node_attr(item, "id") : str_c(token));
	p->payload = print_payload(p->a, node_first(item));
	if (str_eq_c(p->node, MDS_NODE))
		p->conv = mds_target(p->a, p->account, &p->owner, p->id, node_first(item), &p->seq);
	p->answer = publish_answer(p->a, p->node, p->id);
	if (read_options(rq, p, node_child(rq->child, A_publish_options, NS_PUBSUB)))
		submit(rq, p);
}

/* ---- retract, purge, delete ---- */

static int change_retract(struct txn *t, struct pep_op *p)
{
	struct pep_node node;
	struct pep_config c;
	int err = pep_node_get(t, p->account, p->node, &node);

	if (err)
		return err;
	pep_config_parse(node.config, p->node, &c);
	remember(p, &c);
	p->tell = p->notify || (p->tell && pep_config_is(&c, PEP_RETRACT));
	return pep_item_delete(t, &node, p->id);
}

static void after_retract(struct pep_op *p)
{
	tell(p, PEP_EVENT_RETRACT);
}

void pep_retract(struct request *rq, struct node *retract)
{
	struct node *item = node_child(retract, A_item, NS_PUBSUB);
	struct str node, notify = node_attr(retract, "notify");

	if (!node_name(rq, retract, &node))
		return;
	if (!item || !node_attr(item, "id").n || node_next_same(item)) {
		reply_error_with(rq, "modify", A_bad_request, A_item_required, NS_PUBSUB_ERRORS,
				 "Name the one item to retract");
		return;
	}
	if (bookmarks_retract(rq, node, node_attr(item, "id")))
		return;
	struct pep_op *p = op_new(rq, node, change_retract, after_retract);
	p->id = arena_str(p->a, node_attr(item, "id"));
	p->notify = str_eq_c(notify, "1") || str_eq_c(notify, "true");
	submit(rq, p);
}

static int change_purge(struct txn *t, struct pep_op *p)
{
	struct pep_node node;
	struct pep_config c;
	int err = pep_node_get(t, p->account, p->node, &node);

	if (err)
		return err;
	pep_config_parse(node.config, p->node, &c);
	remember(p, &c);
	p->tell = p->tell && pep_config_is(&c, PEP_RETRACT);
	pep_node_purge(t, &node);
	return txn_error(t);
}

static void after_purge(struct pep_op *p)
{
	tell(p, PEP_EVENT_PURGE);
}

void pep_purge(struct request *rq, struct node *purge)
{
	struct str node;

	if (node_name(rq, purge, &node))
		submit(rq, op_new(rq, node, change_purge, after_purge));
}

static int change_delete(struct txn *t, struct pep_op *p)
{
	struct pep_node node;
	struct pep_config c;
	int err = pep_node_get(t, p->account, p->node, &node);

	if (err)
		return err;
	pep_config_parse(node.config, p->node, &c);
	remember(p, &c);
	p->tell = p->tell && pep_config_is(&c, PEP_DELETE);
	return pep_node_delete(t, p->account, p->node);
}

static void after_delete(struct pep_op *p)
{
	tell(p, PEP_EVENT_DELETE);
}

void pep_delete(struct request *rq, struct node *delete)
{
	struct str node;

	if (node_name(rq, delete, &node))
		submit(rq, op_new(rq, node, change_delete, after_delete));
}

/* ---- create, configure ---- */

static int change_create(struct txn *t, struct pep_op *p)
{
	struct pep_node node;

	if (!has_room(t, p->account, 0))
		return ERR_LIMIT;
	return pep_node_create(t, p->account, p->node, pep_config_print(p->a, &p->config), limits()->pep_nodes, &node);
}

void pep_create(struct request *rq, struct node *create)
{
	struct str node;

	if (!node_name(rq, create, &node))
		return;
	struct pep_op *p = op_new(rq, node, change_create, NULL);
	if (read_options(rq, p, node_child(rq->child, A_configure, NS_PUBSUB)))
		submit(rq, p);
}

static int change_configure(struct txn *t, struct pep_op *p)
{
	struct pep_node node;
	struct pep_config c;
	int err = pep_node_get(t, p->account, p->node, &node);

	if (err)
		return err;
	pep_config_parse(node.config, p->node, &c);
	for (size_t i = 0; i < PEP_OPTIONS; i++)
		if (p->config.given & 1u << i)
			c.v[i] = p->config.v[i];
	return pep_node_configure(t, p->account, p->node, pep_config_print(p->a, &c));
}

void pep_configure(struct request *rq, struct node *configure)
{
	struct node *form = node_child(configure, A_x, NS_DATA);
	struct str node;

	if (!node_name(rq, configure, &node))
		return;
	if (!form || str_eq_c(node_attr(form, "type"), "cancel")) { /* XEP-0060 8.2.4 */
		reply_result(rq, NULL);
		return;
	}
	struct pep_op *p = op_new(rq, node, change_configure, NULL);
	if (read_options(rq, p, configure))
		submit(rq, p);
}
