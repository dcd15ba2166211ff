/*
 * POST /api/v1/broadcast: one notification, or one message of a person, to everybody of the domain or of a department with all below it. A few are under way at a
 * time (row E03): the next one starts when one is done. The answer comes at the end and counts. Worker of the connection.
 */
#include "bosh/api_notify.h"
#include "base/err.h"
#include "server/im/org.h"
#include "server/im/say.h"
#include "server/net/limits.h"

#define UNDER_WAY 8

struct broadcast {
	struct http_request *rq;
	uint32_t *accounts;
	size_t n, next, under_way, sent, failed;
	bool starting; /* an outcome may come before the call returns */
	bool says;     /* a message, not a notification */
	struct notify_new notice;
	struct say say;
	struct str uuid;
};

static void go_on(struct broadcast *b);

static void one_done(void *ctx, int err, uint64_t gid)
{
	struct broadcast *b = ctx;

	(void)gid;
	b->under_way--;
	if (err)
		b->failed++;
	else
		b->sent++;
	if (!b->starting)
		go_on(b);
}

/* An id of its own for each person, so that a repeated broadcast reaches only those who did not get it. */
static struct str id_for(struct broadcast *b, uint32_t account)
{
	return b->uuid.n ? arena_printf(b->rq->a, "%.*s-%u", STR_ARG(b->uuid), account) : STR_NONE;
}

static void start_one(struct broadcast *b, uint32_t account)
{
	b->under_way++;
	if (b->says) {
		b->say.to = account;
		b->say.origin_id = id_for(b, account);
		say(&b->say, one_done, b);
	} else {
		b->notice.to = account;
		b->notice.origin_id = id_for(b, account);
		notify_add(&b->notice, one_done, b);
	}
}

static void go_on(struct broadcast *b)
{
	b->starting = true;
	while (b->next < b->n && b->under_way < UNDER_WAY)
		start_one(b, b->accounts[b->next++]);
	b->starting = false;
	if (b->next == b->n && !b->under_way)
		answer_value(b->rq, 200,
			     json_pack("{s:I, s:I}", "sent", (json_int_t)b->sent, "failed", (json_int_t)b->failed));
}

static bool within(const struct org_dept *d, uint64_t id)
{
	for (; d; d = d->parent)
		if (d->id == id)
			return true;
	return false;
}

static void collect(struct broadcast *b, uint64_t dept)
{
	size_t n;
	const struct org_person *const *v = org_people(org_current(), &n);

	b->accounts = arena_alloc(b->rq->a, (n + 1) * sizeof *b->accounts);
	for (size_t i = 0; i < n; i++)
		if (str_eq(jid_domain(&v[i]->jid), b->rq->who->domain) && (!dept || within(v[i]->dept, dept)))
			b->accounts[b->n++] = v[i]->account;
}

/* "message": {"text": ...} with "from", or "notification": {...}. False after answering. */
static bool read_what(struct http_request *rq, const json_t *in, struct broadcast *b)
{
	json_t *message = json_object_get(in, "message"), *notice = json_object_get(in, "notification");

	if (!json_is_object(message) == !json_is_object(notice)) {
		answer_error(rq, 400, "bad_request", "Give either message with from, or notification");
		return false;
	}
	b->says = json_is_object(message);
	if (!b->says)
		return api_notify_read(rq, notice, &b->notice);
	b->say.by = *rq->who;
	b->say.author = api_account(rq, rq->who->domain, api_text(rq, in, "from"));
	b->say.content.text = api_text(rq, message, "text");
	if (b->say.author)
		return api_check_text(rq, "text", b->say.content.text, limits()->message_text_bytes, true);
	answer_error(rq, 400, "people", "from is the number or login of who speaks");
	return false;
}

static void broadcast(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct broadcast *b;

	if (!in)
		return;
	b = ARENA_NEW(rq->a, struct broadcast);
	b->rq = rq;
	int64_t dept = api_int(in, "department", 0);
	if (dept <= 0 && !api_flag(in, "all", false)) {
		answer_error(rq, 400, "bad_request", "Say to whom: department with its number, or \"all\": true");
		return;
	}
	if (!read_what(rq, in, b))
		return;
	b->uuid = api_text(rq, in, "uuid");
	if (!api_check_text(rq, "uuid", b->uuid, 100, false))
		return;
	collect(b, dept > 0 ? (uint64_t)dept : 0);
	go_on(b);
}

const struct route broadcast_routes[] = {
	{ "POST", "/api/v1/broadcast", ROUTE_TOKEN, broadcast, .scope = SCOPE_SYSTEM },
	{ .path = NULL },
};
