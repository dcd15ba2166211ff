/* Four small questions: ping (XEP-0199), entity time (XEP-0202), software version (XEP-0092), and the session iq of RFC 3921 clients. */
#include "base/clock.h"
#include "server/xmpp/request.h"
#include "xml/datetime.h"

static void ping(struct request *rq)
{
	reply_result(rq, NULL);
}

static void entity_time(struct request *rq)
{
	char when[DATETIME_MAX];
	struct node *t = node_new(rq->a, A_time, NS_TIME);

	node_add_text(rq->a, t, A_tzo, NS_TIME, STR("+00:00"));
	node_add_text(rq->a, t, A_utc, NS_TIME, arena_str(rq->a, str_of(when, datetime_print(clock_wall_ms(), when))));
	reply_result(rq, t);
}

static void software_version(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_VERSION);

	node_add_text(rq->a, q, A_name, NS_VERSION, STR("vestnik"));
	node_add_text(rq->a, q, A_version, NS_VERSION, STR(PACKAGE_VERSION));
	reply_result(rq, q);
}

/* RFC 6120 7.7.2.2 allows it, we do not: one resource per stream. */
static void bind_again(struct request *rq)
{
	reply_error(rq, "cancel", A_not_allowed, "This stream has a resource already");
}

static const struct handler rows[] = {
	{ IQ_GET, A_ping, NS_PING, TO_OWN | TO_HOST | TO_ACCOUNT, 0, "urn:xmpp:ping", ping },
	{ IQ_GET, A_time, NS_TIME, TO_HOST, 0, "urn:xmpp:time", entity_time },
	{ IQ_GET, A_query, NS_VERSION, TO_HOST, 0, "jabber:iq:version", software_version },
	{ IQ_SET, A_bind, NS_BIND, TO_OWN | TO_HOST, 0, NULL, bind_again },
	{ IQ_SET, A_session, NS_SESSION, TO_OWN | TO_HOST, 0, NULL, ping },
	{ .fn = NULL },
};
const struct handler_table small_handlers = { "XEP-0199 ping, 0202 time, 0092 version", rows, NULL, NULL };
