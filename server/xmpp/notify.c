/*
 * notify.DOMAIN as Jabber clients see it: discovery, and answering a notification by a message: the number of a button or a text goes to the notification that the
 * message replies to (XEP-0461), else to the newest one that waits. Rules are server/im/notify.h's. Home thread of the asker.
 */
#include "server/xmpp/notify.h"
#include "base/err.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/im/notify.h"
#include "server/xmpp/adhoc.h"
#include "server/xmpp/content.h"
#include "server/xmpp/reply.h"

bool notify_is_service(const struct session *s, const struct jid *to)
{
	struct str host = jid_domain(to), own = jid_domain(&s->jid);

	return !to->local_n && str_starts(host, STR("notify.")) && str_eq(str_of(host.p + 7, host.n - 7), own);
}

const char *notify_refusal(int err)
{
	switch (err) {
	case ERR_NOT_FOUND: return "There is no such notification";
	case ERR_CONFLICT: return "It was confirmed or answered already";
	case ERR_SYNTAX: return "That notification does not take this answer";
	default: return "That could not be stored now, try again later";
	}
}

/* ---- messages ---- */

static void tell(struct session *s, struct str from, struct str text)
{
	struct arena *a = arena_new(512);
	struct outgoing o = { .kind = STANZA_MESSAGE, .from = from, .type = STR("chat") };
	struct node *m = node_new(a, A_message, NS_CLIENT);

	node_add_text(a, m, A_body, NS_CLIENT, text);
	o.payload = payload_of_children(m);
	session_send(s, &o);
	chunk_unref(o.payload);
	arena_free(a);
}

static void answered(void *ctx, int err, uint64_t gid)
{
	struct pending *p = ctx;
	struct session *s = pending_session(p);

	(void)gid;
	if (s) {
		struct arena *a = arena_new(256);
		tell(s, arena_cat(a, STR("notify."), jid_domain(&s->jid), STR_NONE),
		     str_c(err ? notify_refusal(err) : "Done"));
		arena_free(a);
	}
	pending_drop(p);
}

/* Which button a text means: its number; NULL: none. */
static const struct notify_button *button_of(const struct notify_rec *r, struct str text)
{
	uint64_t number;

	if (str_u64(text, r->n_buttons, &number) || !number)
		return NULL;
	return &r->buttons[number - 1];
}

static struct str help(struct arena *a, const struct notify_rec *r)
{
	struct str text =
		arena_cat(a, STR("Not understood. Waiting for an answer: "), r->title.n ? r->title : r->text, STR_NONE);

	for (size_t i = 0; i < r->n_buttons; i++)
		text = arena_cat(a, text, i ? STR(", ") : STR("\nAnswer with the number: "),
				 arena_printf(a, "%zu ", i + 1), r->buttons[i].title, STR_NONE);
	return text;
}

/* The notification that the message is about. */
static int find(struct txn *t, uint32_t me, const struct content *c, struct notify_rec *out)
{
	uint64_t gid = content_find(t, conv_notify(me), 0, c->reply_id, 0);

	return gid ? notify_get(t, me, gid, out) : notify_newest_open(t, me, out);
}

static void answer(struct request *rq, const struct content *c)
{
	struct txn *t = im_read();
	struct notify_rec r;
	uint32_t me = rq->session->user->id;
	struct str text = str_trim(c->text), said = STR("There is no notification that waits for an answer");
	int err = find(t, me, c, &r);
	const struct notify_button *b = err ? NULL : button_of(&r, text);
	struct str value = b ? arena_str(rq->a, b->value) : text;
	bool takes_text = !err && (r.flags & NOTIFY_ANSWER);
	uint64_t gid = err ? 0 : r.gid;

	if (!err)
		said = help(rq->a, &r);
	txn_commit(t);
	if (!b && !takes_text) {
		tell(rq->session, rq->to.full, said);
		return;
	}
	struct pending *p = reply_later(rq);
	pending_is_fast(p);
	if (b)
		notify_confirm(me, gid, value, answered, p);
	else
		notify_answer(me, gid, value, answered, p);
}

static void marked(void *ctx, int err)
{
	(void)err;
	pending_drop(ctx);
}

static void read_up_to(struct request *rq, struct str id)
{
	uint64_t conv = conv_notify(rq->session->user->id);
	struct txn *t = im_read();
	struct message_rec m;
	bool found = message_get(t, content_find(t, conv, 0, id, 0), &m) == 0;

	txn_commit(t);
	if (!found)
		return;
	struct pending *p = reply_later(rq);
	pending_is_fast(p);
	inbox_read_to(rq->session->user->id, conv, m.seq, false, marked, p);
}

void notify_message(struct request *rq)
{
	struct node *displayed = node_child(rq->stanza, A_displayed, NS_MARKERS);
	struct content c = { .text = STR_NONE };

	if (str_eq_c(rq->type, "error"))
		return;
	content_read_node(rq->a, rq->stanza, &c);
	if (str_trim(c.text).n)
		answer(rq, &c);
	else if (displayed)
		read_up_to(rq, node_attr(displayed, "id"));
}

/* ---- discovery ---- */

static void info(struct request *rq)
{
	static const char *const features[] = { "http://jabber.org/protocol/disco#info",
						"http://jabber.org/protocol/disco#items",
						"http://jabber.org/protocol/commands", "urn:vestnik:notify:0",
						"urn:xmpp:ping" };
	struct str node = node_attr(rq->child, "node");

	if (node.p) {
		if (!adhoc_disco_info(rq, node))
			reply_error(rq, "cancel", A_item_not_found, "There is no such node");
		return;
	}
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO), *i = node_add(rq->a, q, A_identity, NS_DISCO_INFO);
	node_set(rq->a, i, "category", STR("headline"));
	node_set(rq->a, i, "type", STR("notification"));
	node_set(rq->a, i, "name", STR("Notifications"));
	for (size_t f = 0; f < sizeof features / sizeof *features; f++)
		node_set(rq->a, node_add(rq->a, q, A_feature, NS_DISCO_INFO), "var", str_c(features[f]));
	reply_result(rq, q);
}

static void items(struct request *rq)
{
	struct str node = node_attr(rq->child, "node");

	if (!node.p)
		reply_result(rq, node_new(rq->a, A_query, NS_DISCO_ITEMS));
	else if (!adhoc_disco_items(rq, node))
		reply_error(rq, "cancel", A_item_not_found, "There is no such node");
}

static void ping(struct request *rq)
{
	reply_result(rq, NULL);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_DISCO_INFO, TO_NOTIFY, 0, NULL, info },
	{ IQ_GET, A_query, NS_DISCO_ITEMS, TO_NOTIFY, 0, NULL, items },
	{ IQ_GET, A_ping, NS_PING, TO_NOTIFY, 0, NULL, ping },
	{ .fn = NULL },
};
const struct handler_table notify_handlers = { "notifications", rows, NULL, NULL };
