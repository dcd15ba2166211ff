/*
 * BOSH, the HTTP side: checks a request, reads the tag of its <body/>, finds the session and brings the request to the session's worker, connection and
 * all; so a client's connections end up where its session lives. The table of sessions is the only thing that workers share here: one look-up a
 * request, under a mutex that is held for nothing else.
 */
#include "bosh/bosh.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bosh/bosh_impl.h"
#include "server/net/limits.h"
#include "xml/parser.h"
#include <pthread.h>
#include <string.h>

#define NS_BODY "http://jabber.org/protocol/httpbind"
#define RID_MAX ((UINT64_C(1) << 53) - 1) /* XEP-0124 section 14 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hash *table; /* sid -> struct bosh, which only its worker looks into */

/* ---- the table ---- */

void bosh_list(struct bosh *b, unsigned worker, bool moving)
{
	pthread_mutex_lock(&lock);
	if (!table)
		table = hash_new();
	b->worker = worker;
	b->moving = moving;
	hash_put(table, str_c(b->sid), b);
	pthread_mutex_unlock(&lock);
}

void bosh_unlist(struct bosh *b)
{
	pthread_mutex_lock(&lock);
	hash_del(table, str_c(b->sid));
	if (hash_count(table) == 0) {
		hash_free(table);
		table = NULL;
	}
	pthread_mutex_unlock(&lock);
}

struct bosh *bosh_find(struct str sid, unsigned *out_worker, bool *out_moving)
{
	pthread_mutex_lock(&lock);
	struct bosh *b = table ? hash_get(table, sid) : NULL;
	*out_worker = b ? b->worker : 0;
	*out_moving = b && b->moving;
	pthread_mutex_unlock(&lock);
	return b;
}

static struct bosh *one_of(unsigned worker)
{
	struct bosh *found = NULL;
	struct str key;
	void *value;

	pthread_mutex_lock(&lock);
	for (size_t pos = 0; table && !found && hash_next(table, &pos, &key, &value);)
		if (((struct bosh *)value)->worker == worker)
			found = value;
	pthread_mutex_unlock(&lock);
	return found;
}

void bosh_thread_fini(void)
{
	struct bosh *b;

	while ((b = one_of((unsigned)threads_self())) != NULL)
		bosh_free(b);
}

/* ---- the tag ---- */

/* Bytes of <body ...> up to and with its '>'; 0 when there is no end. */
static size_t tag_end(struct str s)
{
	char quote = '\0';

	for (size_t i = 0; i < s.n; i++) {
		if (quote) {
			if (s.p[i] == quote)
				quote = '\0';
		} else if (s.p[i] == '"' || s.p[i] == '\'') {
			quote = s.p[i];
		} else if (s.p[i] == '>') {
			return i + 1;
		}
	}
	return 0;
}

/* An XML declaration in front is allowed (XEP-0124 section 5). */
static struct str without_declaration(struct str s)
{
	const char *end = str_starts(s, STR("<?xml")) ? memmem(s.p, s.n, "?>", 2) : NULL;

	return str_trim(end ? str_of(end + 2, (size_t)(s.p + s.n - end) - 2) : s);
}

static struct str attr_in(const struct node *n, const char *ns, const char *name)
{
	for (const struct attr *a = n->attrs; a; a = a->next)
		if (str_eq_c(a->ns, ns) && str_eq_c(a->name, name))
			return a->value;
	return STR_NONE;
}

static uint64_t number(const struct node *n, const char *name, uint64_t def, uint64_t max)
{
	struct str v = node_attr(n, name);
	uint64_t out;

	if (!v.p || str_u64(v, UINT64_MAX, &out))
		return def;
	return out < max ? out : max;
}

static bool read_attrs(struct bosh_request *r, const struct node *n)
{
	struct str version = attr_in(n, "urn:xmpp:xbosh", "version"), key = node_attr(n, "key"),
		   newkey = node_attr(n, "newkey");

	if (str_u64(node_attr(n, "rid"), RID_MAX, &r->rid) || !r->rid || key.n > BOSH_KEY || newkey.n > BOSH_KEY)
		return false;
	r->sid = node_attr(n, "sid");
	r->key = key;
	r->newkey = newkey;
	r->to = node_attr(n, "to");
	r->from = node_attr(n, "from");
	r->version = version.p ? version : STR("1.0");
	r->wait_s = number(n, "wait", 0, UINT32_MAX);
	r->hold = number(n, "hold", 0, UINT32_MAX);
	r->pause_s = number(n, "pause", 0, UINT32_MAX);
	r->terminate = str_eq_c(node_attr(n, "type"), "terminate");
	r->restart = str_eq_c(attr_in(n, "urn:xmpp:xbosh", "restart"), "true");
	return true;
}

/* Only the tag: what is inside waits until the limits of its stream are known. */
static struct bosh_request *read_tag(struct http_request *rq)
{
	const struct limits *l = limits();
	const struct parser_limits pl = { l->preauth_token_bytes,  l->preauth_token_bytes, 1, 1,
					  (unsigned)l->attributes, (unsigned)l->namespaces };
	struct str body = without_declaration(rq->body);
	size_t end = tag_end(body), closed = end >= 2 && body.p[end - 2] == '/' ? 2 : 1;
	struct bosh_request *r = ARENA_NEW(rq->a, struct bosh_request);
	struct node *n;

	if (!end)
		return NULL;
	struct str tag = arena_cat(rq->a, str_of(body.p, end - closed), STR("/>"), STR_NONE);
	if (parse_document(rq->a, tag, &pl, &n) || !str_eq_c(n->name_str, "body") || !str_eq_c(n->ns_str, NS_BODY))
		return NULL;
	if (!read_attrs(r, n))
		return NULL;
	r->rq = rq;
	list_init(&r->link);
	rq->body = body;
	if (closed == 1)
		r->inner = str_of(body.p + end, body.n - end);
	else if (body.n > end)
		return NULL;
	return r;
}

/* ---- bringing it to its session ---- */

void bosh_refuse(struct http_request *rq, const char *condition)
{
	struct str body = arena_printf(rq->a, "<body xmlns='" NS_BODY "' type='terminate' condition='%s'/>", condition);

	rq->flow = NULL;
	http_answer(rq, 200, "text/xml; charset=utf-8", body, NULL);
}

static void dispatch(struct bosh_request *r);

static void delivered(struct mail *m)
{
	struct bosh_request *r = (struct bosh_request *)m;

	http_attach(r->rq);
	dispatch(r);
}

static void bring(struct bosh_request *r, unsigned worker)
{
	if (!http_detach(r->rq)) { /* the client is leaving: the answer goes nowhere */
		bosh_refuse(r->rq, "item-not-found");
		return;
	}
	r->mail.deliver = delivered;
	threads_post(worker, &r->mail);
}

static void dispatch(struct bosh_request *r)
{
	unsigned worker;
	bool moving;
	struct bosh *b = bosh_find(r->sid, &worker, &moving);

	if (!b)
		bosh_refuse(r->rq, "item-not-found"); /* XEP-0124 17.2; row W02 */
	else if ((int)worker != threads_self() || moving)
		bring(r, worker); /* one that moves here is behind us in the mailbox */
	else
		bosh_arrived(b, r);
}

static bool is_xml(struct str type)
{
	struct str kind;

	return type.p && str_split(&type, ';', &kind) && str_ieq(str_trim(kind), STR("text/xml"));
}

static void post(struct http_request *rq)
{
	rq->quiet = true;
	if (!is_xml(http_header_get(rq, "content-type"))) { /* what no form of another page can send (row W02) */
		http_answer(rq, 415, "text/plain; charset=utf-8", STR("BOSH takes text/xml (XEP-0124)\n"), NULL);
		return;
	}
	if (!rq->secure) { /* row A04 */
		http_answer(rq, 403, "text/plain; charset=utf-8",
			    STR("Without encryption nobody logs in: use https, or name the proxy in "
				"http.trusted_proxies\n"),
			    NULL);
		return;
	}
	struct bosh_request *r = read_tag(rq);
	if (!r) {
		bosh_refuse(rq, "bad-request");
		return;
	}
	if (r->sid.p)
		dispatch(r);
	else
		bosh_arrived(bosh_new(r), r);
}

const struct route bosh_routes[] = {
	{ "POST", "/bosh", ROUTE_OPEN, post },
	{ "POST", "/http-bind", ROUTE_OPEN, post },
	{ .path = NULL },
};
