/* Service discovery (XEP-0030) printed from the handler tables, and the server's entity caps (XEP-0115 section 6.3). Clients' own disco goes to them
 * by the router; nodes of PEP and commands are added by their files. */
#include "base/crypto.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/net/limits.h"
#include "server/xmpp/adhoc.h"
#include "server/xmpp/handlers.h"
#include "server/xmpp/pep.h"
#include "server/xmpp/upload.h"
#include "xml/build.h"
#include <stdlib.h>
#include <string.h>

struct feature_list {
	struct arena *a;
	struct node *query;
	const char *v[256];
	size_t n;
};

static void add_feature(void *ctx, const char *feature)
{
	struct feature_list *l = ctx;

	if (l->query)
		node_set(l->a, node_add(l->a, l->query, A_feature, NS_DISCO_INFO), "var", str_c(feature));
	if (l->n < 256)
		l->v[l->n++] = feature;
}

static void add_identity(struct arena *a, struct node *q, const char *category, const char *type, const char *name)
{
	struct node *i = node_add(a, q, A_identity, NS_DISCO_INFO);

	node_set(a, i, "category", str_c(category));
	node_set(a, i, "type", str_c(type));
	if (name)
		node_set(a, i, "name", str_c(name));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* XEP-0115 5.1: identities and features sorted and joined, then SHA-1 in base64. */
static struct str caps_ver(struct arena *a)
{
	struct feature_list l = { .a = a };
	struct buf b;
	uint8_t d[HASH_MAX];
	char *out = arena_alloc(a, 32);

	handlers_features(false, add_feature, &l);
	qsort(l.v, l.n, sizeof *l.v, by_text);
	buf_init(&b, 65536);
	buf_lit(&b, "server/im//vestnik<");
	for (size_t i = 0; i < l.n; i++)
		buf_printf(&b, "%s<", l.v[i]);
	buf_printf(&b, "urn:xmpp:http:upload:0<max-file-size<%llu<",
		   (unsigned long long)limits()->upload_bytes); /* its form */
	digest(HASH_SHA1, buf_str(&b), d);
	buf_clear(&b);
	return str_of(out, base64_encode(d, 20, out));
}

static const char caps_node[] = "https://vestnik.example/server";

void features_caps(struct arena *a, struct node *features)
{
	struct node *c = node_add(a, features, A_c, NS_CAPS);

	node_set(a, c, "hash", STR("sha-1"));
	node_set(a, c, "node", str_c(caps_node));
	node_set(a, c, "ver", caps_ver(a));
}

static void info_host(struct request *rq)
{
	struct str node = node_attr(rq->child, "node");
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO);
	struct feature_list l = { .a = rq->a, .query = q };

	if (node.p && adhoc_disco_info(rq, node))
		return;
	if (node.p && !str_starts(node, str_c(caps_node))) {
		reply_error(rq, "cancel", A_item_not_found, "There is no such node");
		return;
	}
	node_set(rq->a, q, "node", node);
	add_identity(rq->a, q, "server", "im", "vestnik");
	handlers_features(false, add_feature, &l);
	upload_disco_form(rq->a, q);
	reply_result(rq, q);
}

/* Another person's account looks the same whether it exists or not, unless one may see it (row I11; RFC 6121 8.5.1). */
static bool may_see(struct request *rq)
{
	if (rq->addressee != TO_ACCOUNT)
		return true;
	const struct peer *p = peer_get(&rq->to);
	if (p->id && presence_may_see(rq->session->user->id, p->id))
		return true;
	reply_error(rq, "cancel", A_service_unavailable, "Nobody is there");
	return false;
}

static void info_account(struct request *rq)
{
	struct str node = node_attr(rq->child, "node");
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO);
	struct feature_list l = { .a = rq->a, .query = q };

	if (!may_see(rq))
		return;
	if (node.p && pep_disco_info(rq, node))
		return;
	if (node.p) {
		reply_error(rq, "cancel", A_item_not_found, "There is no such node");
		return;
	}
	add_identity(rq->a, q, "account",
		     rq->session->user->is_admin && rq->addressee != TO_ACCOUNT ? "admin" : "registered", NULL);
	add_identity(rq->a, q, "pubsub", "pep", NULL);
	handlers_features(true, add_feature, &l);
	reply_result(rq, q);
}

static void items_host(struct request *rq)
{
	struct str node = node_attr(rq->child, "node");
	struct node *q = node_new(rq->a, A_query, NS_DISCO_ITEMS);

	if (node.p && adhoc_disco_items(rq, node))
		return;
	if (!node.p) {
		struct node *chats = node_add(rq->a, q, A_item, NS_DISCO_ITEMS);
		node_set(rq->a, chats, "jid", arena_cat(rq->a, STR("chats."), jid_domain(&rq->to), STR_NONE));
		node_set(rq->a, chats, "name", STR("Chats"));
		struct node *notify = node_add(rq->a, q, A_item, NS_DISCO_ITEMS);
		node_set(rq->a, notify, "jid", arena_cat(rq->a, STR("notify."), jid_domain(&rq->to), STR_NONE));
		node_set(rq->a, notify, "name", STR("Notifications"));
		/* Some clients look for services (XEP-0363) among the items only. */
		node_set(rq->a, node_add(rq->a, q, A_item, NS_DISCO_ITEMS), "jid", jid_domain(&rq->to));
	}
	reply_result(rq, q);
}

static void items_account(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_DISCO_ITEMS);

	if (!may_see(rq))
		return;
	if (!node_attr(rq->child, "node").p)
		pep_disco_items(rq, q);
	reply_result(rq, q);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_DISCO_INFO, TO_HOST, 0, "http://jabber.org/protocol/disco#info", info_host },
	{ IQ_GET, A_query, NS_DISCO_INFO, TO_OWN | TO_ACCOUNT, 0, "http://jabber.org/protocol/disco#info",
	  info_account },
	{ IQ_GET, A_query, NS_DISCO_ITEMS, TO_HOST, 0, "http://jabber.org/protocol/disco#items", items_host },
	{ IQ_GET, A_query, NS_DISCO_ITEMS, TO_OWN | TO_ACCOUNT, 0, "http://jabber.org/protocol/disco#items",
	  items_account },
	{ .fn = NULL },
};
static const char *const host_features[] = { "http://jabber.org/protocol/caps", NULL };
const struct handler_table disco_handlers = { "XEP-0030 service discovery", rows, host_features, NULL };
