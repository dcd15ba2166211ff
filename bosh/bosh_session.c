/*
 * A BOSH session: the window of request ids, key sequences, held requests, answers that can be given again, and the carrier of its stream. Everything
 * that comes in one turn of the loop leaves in one answer. It lives on beside its stream for a while, to tell the client how that ended.
 * Worker of the stream.
 */
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "bosh/bosh_impl.h"
#include "server/net/limits.h"
#include "xml/build.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <string.h>

#define ANSWER_BYTES 262144 /* elements go into an answer until it is so large */
#define VERSION "1.6"	    /* of XEP-0124 as the protocol counts */

static uint64_t now_ms(void)
{
	return loop_now(loop_self());
}

static void turn_soon(struct bosh *b)
{
	loop_defer(loop_self(), &b->turn);
}

static void end_with(struct bosh *b, const char *condition, int err)
{
	if (b->ending)
		return;
	b->ending = true;
	b->condition = condition;
	b->err = err;
	turn_soon(b);
}

/* ---- answers ---- */

static size_t live(const struct bosh *b)
{
	size_t n = 0;

	list_each (s, &b->open, struct bosh_slot, link)
		n += s->rq != NULL;
	return n;
}

static struct bosh_slot *oldest_live(struct bosh *b)
{
	list_each (s, &b->open, struct bosh_slot, link)
		if (s->rq)
			return s;
	return NULL;
}

/* XEP-0124 section 7, XEP-0206 section 2: what the first answer says. */
static void print_creation(struct bosh *b, struct buf *out)
{
	buf_printf(out,
		   " xmlns:stream='http://etherx.jabber.org/streams' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' "
		   "xmpp:restartlogic='true' ver='%s' "
		   "sid='%s' authid='%s' wait='%llu' hold='%u' requests='%u' inactivity='%llu' maxpause='%llu' "
		   "charsets='UTF-8'",
		   VERSION, b->sid, b->authid, (unsigned long long)(b->wait_ms / 1000), b->hold, b->requests,
		   (unsigned long long)(limits()->bosh_inactivity_ms / 1000),
		   (unsigned long long)(limits()->bosh_pause_ms / 1000));
	if (b->st && b->st->domain.p)
		print_attr(out, "from", b->st->domain);
	b->created = true;
}

static void print_body(struct bosh *b, struct buf *out, bool with_data)
{
	size_t bytes = 0;
	struct bosh_item *end = b->first;

	while (with_data && end && (bytes == 0 || bytes + end->n <= ANSWER_BYTES)) {
		bytes += end->n;
		end = end->next;
	}
	buf_lit(out, "<body xmlns='http://jabber.org/protocol/httpbind'");
	if (!b->created)
		print_creation(b, out);
	if (b->ending && !end) {
		buf_lit(out, " type='terminate'");
		if (b->condition)
			print_attr(out, "condition", str_c(b->condition));
	}
	buf_str_add(out, bytes ? STR(">") : STR("/>"));
	while (bytes && b->first != end) {
		struct bosh_item *i = b->first;
		b->first = i->next;
		buf_add(out, i->bytes, i->n);
		b->queued -= i->n;
		b->sent += i->n;
		mem_free(i);
	}
	if (!b->first)
		b->last = NULL;
	if (bytes)
		buf_lit(out, "</body>");
}

static void give(struct http_request *rq, struct chunk *body)
{
	rq->flow = NULL;
	http_answer(rq, 200, "text/xml; charset=utf-8", chunk_str(body), NULL);
}

/* Answers a slot, keeps the answer for a repetition, forgets the oldest one. */
static void answer(struct bosh *b, struct bosh_slot *s, bool with_data)
{
	struct bosh_answer *a = b->answers;
	struct buf out;

	buf_init(&out, SIZE_MAX / 4); /* items are bounded by the output limits of the stream */
	print_body(b, &out, with_data);
	chunk_unref(a[b->requests - 1].body);
	memmove(a + 1, a, (b->requests - 1) * sizeof *a);
	a[0] = (struct bosh_answer){ .rid = s->rid, .end = b->sent, .body = chunk_of(buf_str(&out)) };
	memcpy(a[0].key, s->key, sizeof a[0].key);
	buf_clear(&out);
	if (s->rq)
		give(s->rq, a[0].body);
	list_del(&s->link);
	mem_free(s);
	b->silent_since_ms = now_ms();
}

/* Answers keep the order of the ids: one whose connection broke gets an empty one, which waits for its repetition. */
static void answer_up_to(struct bosh *b, struct bosh_slot *s, bool with_data)
{
	while (list_entry(b->open.next, struct bosh_slot, link) != s)
		answer(b, list_entry(b->open.next, struct bosh_slot, link), false);
	answer(b, s, with_data);
}

/* ---- time ---- */

/* Neither holds a request of the client nor owes it the reading of one. */
static bool is_silent(struct bosh *b)
{
	bool next =
		!list_empty(&b->waiting) && list_entry(b->waiting.next, struct bosh_request, link)->rid == b->taken + 1;

	return !oldest_live(b) && !next;
}

static void set_timer(struct bosh *b)
{
	struct bosh_slot *s = oldest_live(b);
	uint64_t due = s ? s->due_ms : UINT64_MAX, now = now_ms();

	if (is_silent(b))
		due = b->silent_since_ms + b->inactivity_ms;
	if (b->debt_until_ms && b->debt_until_ms < due)
		due = b->debt_until_ms;
	if (due == UINT64_MAX)
		loop_timer_cancel(loop_self(), &b->timer);
	else
		loop_timer(loop_self(), &b->timer, due > now ? due - now : 0);
}

static void stream_over(struct bosh *b)
{
	struct stream *st = b->st;

	if (!st)
		return;
	b->st = NULL;
	stream_gone(st, b->err);
}

static void refuse_waiting(struct bosh *b)
{
	list_each_safe (r, &b->waiting, struct bosh_request, link) {
		list_del(&r->link);
		bosh_refuse(r->rq, "item-not-found");
	}
}

/* Before the loop sleeps: what has gathered leaves. */
static void turn(struct deferred *d)
{
	struct bosh *b = list_entry(d, struct bosh, turn);
	struct bosh_slot *s;

	while ((b->first || b->ending) && (s = oldest_live(b)) != NULL)
		answer_up_to(b, s, true);
	while (live(b) > b->hold || (b->pausing && live(b)))
		answer_up_to(b, oldest_live(b), false);
	b->pausing = false;
	if (b->st && !b->queued && !b->ending)
		stream_drained(b->st);
	if (b->ending)
		stream_over(b);
	if (b->ending)
		refuse_waiting(b);
	set_timer(b);
}

static void process(struct bosh *b);

static void on_timer(struct timer *t)
{
	struct bosh *b = list_entry(t, struct bosh, timer);
	uint64_t now = now_ms();

	if (b->debt_until_ms && now >= b->debt_until_ms) {
		b->debt_until_ms = 0;
		process(b);
	}
	struct bosh_slot *s = oldest_live(b);
	if (s && now >= s->due_ms)
		answer_up_to(b, s, false); /* "wait" is over: the client asks anew */
	if (is_silent(b) && now >= b->silent_since_ms + b->inactivity_ms) {
		b->err = b->ending ? b->err : ERR_TIMEOUT;
		bosh_free(b);
		return;
	}
	turn_soon(b);
}

/* ---- input ---- */

/* XEP-0124 section 15: each key is the hash of the next one. */
static bool key_fits(struct bosh *b, const struct bosh_request *r)
{
	uint8_t d[HASH_MAX];
	char hex[2 * 20 + 1] = "";
	bool good = !b->key[0];

	if (b->key[0] && r->key.p) {
		digest(HASH_SHA1, r->key, d);
		hex_encode(d, 20, hex);
		good = secret_eq(str_c(hex), str_c(b->key));
	}
	struct str next = r->newkey.p ? r->newkey : r->key;
	if (good && next.p && (b->key[0] || r->newkey.p)) {
		memcpy(b->key, next.p, next.n);
		b->key[next.n] = '\0';
	}
	return good;
}

static void request_gone(struct http_request *rq)
{
	struct bosh *b = rq->user;

	list_each_safe (r, &b->waiting, struct bosh_request, link)
		if (r->rq == rq)
			list_del(&r->link);
	list_each (s, &b->open, struct bosh_slot, link)
		if (s->rq == rq)
			s->rq = NULL;
	b->silent_since_ms = now_ms();
	turn_soon(b);
}

static const struct http_flow held = { .gone = request_gone };

static void feed_header(struct bosh *b, const struct bosh_request *r)
{
	struct arena *a = stream_arena();
	struct node *n = node_new_named(a, STR("body"), STR("http://jabber.org/protocol/httpbind"));

	b->header_wanted = false;
	node_set(a, n, "to", r->to);
	node_set(a, n, "from", r->from);
	node_set(a, n, "version", r->version);
	stream_header(b->st, n);
	arena_reset(a);
}

/* The elements of a body, each as if it had come alone. They outlive the stream's arena, which each of them resets. */
static void feed_elements(struct bosh *b, const struct bosh_request *r)
{
	struct parser_limits l = stream_limits(b->st);
	struct node *body;
	int err = PARSER_POLICY;
	size_t end_tag = sizeof "</body>" - 1;

	if (r->inner.n <= l.stanza_bytes + end_tag) {
		l.stanza_bytes = r->rq->body.n;
		l.depth++;
		l.elements++;
		err = parse_document(r->rq->a, r->rq->body, &l, &body);
	}
	if (err) {
		stream_bad_input(b->st, err, err == PARSER_POLICY ? "A body is larger than the largest stanza" : NULL);
		return;
	}
	for (struct node *n = body->first, *next; n && b->st->phase != PHASE_CLOSED; n = next) {
		next = n->next;
		if (node_is_text(n))
			continue;
		n->next = n->parent = NULL;
		if (b->header_wanted) {
			stream_error(b->st, "bad-format", "After a login send xmpp:restart='true' first (XEP-0206)");
			return;
		}
		stream_element(b->st, n);
	}
}

static void charge(struct bosh *b, uint64_t wait_ms, const char *limit)
{
	if (!wait_ms)
		return;
	if (!b->debt_until_ms)
		limit_hit(limit);
	if (now_ms() + wait_ms > b->debt_until_ms)
		b->debt_until_ms = now_ms() + wait_ms;
}

/* A client keeps at most `requests` open, so it has the answers to all that are further back than that. */
static void confirm(struct bosh *b, uint64_t rid)
{
	for (size_t i = 0; i < b->requests; i++)
		if (b->answers[i].rid && b->answers[i].rid + b->requests <= rid && b->answers[i].end > b->confirmed)
			b->confirmed = b->answers[i].end;
}

static void take(struct bosh *b, struct bosh_request *r)
{
	struct bosh_slot *s = NEW(struct bosh_slot);

	list_del(&r->link);
	b->taken = r->rid;
	*s = (struct bosh_slot){ .rid = r->rid, .due_ms = now_ms() + b->wait_ms, .rq = r->rq };
	memcpy(s->key, r->key.p ? r->key.p : "", r->key.n);
	list_add(&b->open, &s->link);
	confirm(b, r->rid);
	charge(b, bucket_take(&b->bytes, r->rq->body.n, now_ms()), "rate_bytes");
	b->inactivity_ms = limits()->bosh_inactivity_ms;
	if (r->pause_s) { /* XEP-0124 section 11 */
		uint64_t ms = r->pause_s * 1000;
		b->inactivity_ms = ms < limits()->bosh_pause_ms ? ms : limits()->bosh_pause_ms;
		b->pausing = true;
	}
	if (!key_fits(b, r)) {
		end_with(b, "item-not-found", ERR_FORBIDDEN);
		return;
	}
	if (b->header_wanted && (r->restart || !b->created))
		feed_header(b, r);
	if (r->inner.n && b->st->phase != PHASE_CLOSED)
		feed_elements(b, r);
	if (r->terminate && b->st->phase != PHASE_CLOSED)
		stream_peer_ended(b->st);
}

static void process(struct bosh *b)
{
	while (b->st && !b->ending && !b->holds && !b->debt_until_ms && !list_empty(&b->waiting)) {
		struct bosh_request *r = list_entry(b->waiting.next, struct bosh_request, link);
		if (r->rid != b->taken + 1)
			break;
		take(b, r);
	}
	turn_soon(b);
}

/* The same id again: its answer was lost on the way, or its connection broke while it was held. True when that was it. */
static bool repeated(struct bosh *b, struct bosh_request *r)
{
	for (size_t i = 0; i < b->requests; i++) {
		struct bosh_answer *a = &b->answers[i];
		if (a->rid != r->rid)
			continue;
		if (!secret_eq(str_c(a->key), r->key))
			bosh_refuse(r->rq, "item-not-found");
		else
			give(r->rq, a->body);
		return true;
	}
	list_each (s, &b->open, struct bosh_slot, link) {
		if (s->rid != r->rid)
			continue;
		if (!secret_eq(str_c(s->key), r->key)) {
			bosh_refuse(r->rq, "item-not-found");
			return true;
		}
		struct http_request *old = s->rq;
		s->rq = r->rq;
		if (old)
			bosh_refuse(old, "recoverable");
		turn_soon(b);
		return true;
	}
	return false;
}

static void queue_request(struct bosh *b, struct bosh_request *r)
{
	struct list *before = &b->waiting;

	list_each_safe (other, &b->waiting, struct bosh_request, link) {
		if (other->rid == r->rid) { /* sent again before its turn came */
			list_del(&other->link);
			bosh_refuse(other->rq, "recoverable");
		} else if (other->rid > r->rid && before == &b->waiting) {
			before = &other->link;
		}
	}
	list_link(before, &r->link);
}

void bosh_arrived(struct bosh *b, struct bosh_request *r)
{
	b->last_rx_ms = b->silent_since_ms = now_ms();
	r->rq->user = b;
	r->rq->flow = &held;
	if (repeated(b, r))
		return;
	if (!b->st || b->ending) { /* over: what is left of it, then nothing more */
		struct bosh_slot *s = NEW(struct bosh_slot);
		*s = (struct bosh_slot){ .rid = r->rid, .rq = r->rq };
		memcpy(s->key, r->key.p ? r->key.p : "", r->key.n);
		list_add(&b->open, &s->link);
		turn_soon(b);
		return;
	}
	if (r->rid <= b->taken || r->rid > b->taken + b->requests) { /* row W02 */
		log_info("bosh.rid", LU("conn", b->st->id), LC("ip", r->rq->ip));
		bosh_refuse(r->rq, "item-not-found");
		end_with(b, "item-not-found", ERR_CONFLICT);
		return;
	}
	queue_request(b, r);
	process(b);
}

/* ---- the carrier ---- */

static int bosh_send(struct stream *st, struct str head, struct chunk *payload, struct str tail, bool may_wait)
{
	struct bosh *b = st->link;
	struct str body = chunk_str(payload), first = head.n ? head : body;
	size_t at, n = head.n + body.n + tail.n;
	struct str ns = stream_frame(first, &at);

	if (b->queued + n > limits()->output_bytes + limits()->output_grace_bytes)
		return ERR_LIMIT;
	struct bosh_item *i = mem_alloc(sizeof *i + n + ns.n);
	char *to = i->bytes;
	const struct str parts[] = { str_of(first.p, at), ns, str_of(first.p + at, first.n - at),
				     head.n ? body : STR_NONE, tail };
	*i = (struct bosh_item){ .n = n + ns.n };
	for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
		if (!parts[k].n)
			continue;
		memcpy(to, parts[k].p, parts[k].n);
		to += parts[k].n;
	}
	if (b->last)
		b->last->next = i;
	else
		b->first = i;
	b->last = i;
	b->queued += i->n;
	if (may_wait)
		loop_later(loop_self(), &b->turn);
	else
		turn_soon(b);
	return 0;
}

static void bosh_open(struct stream *st, const char *id)
{
	struct bosh *b = st->link;

	snprintf(b->authid, sizeof b->authid, "%s", id);
}

static void bosh_end(struct stream *st)
{
	static const char *const same[] = { "host-unknown", "improper-addressing",
					    "policy-violation" }; /* XEP-0124 17.2 */
	const char *condition = st->error ? "remote-stream-error" : NULL;

	for (size_t i = 0; i < sizeof same / sizeof *same && st->error; i++)
		if (strcmp(st->error, same[i]) == 0)
			condition = same[i];
	if (st->error && strcmp(st->error, "system-shutdown") == 0)
		condition = "system-shutdown";
	end_with(st->link, condition, 0);
}

static void bosh_abort(struct stream *st, int err)
{
	end_with(st->link, "remote-connection-failed", err);
}

static void bosh_restart(struct stream *st)
{
	((struct bosh *)st->link)->header_wanted = true;
}

static void bosh_limits(struct stream *st)
{
	struct bosh *b = st->link;
	const struct limits *l = limits();

	bucket_init(&b->bytes, l->rate_bytes, l->rate_bytes_burst, now_ms());
	bucket_init(&b->stanzas, l->rate_stanzas, l->rate_stanzas_burst, now_ms());
}

static void bosh_hold(struct stream *st, bool on)
{
	struct bosh *b = st->link;

	if (on)
		b->holds++;
	else if (--b->holds == 0)
		process(b);
}

static void bosh_charge(struct stream *st)
{
	struct bosh *b = st->link;

	charge(b, bucket_take(&b->stanzas, 1, now_ms()), "rate_stanzas");
}

static bool bosh_is_closing(const struct stream *st)
{
	return ((const struct bosh *)st->link)->ending;
}

static size_t bosh_queued(const struct stream *st)
{
	return ((const struct bosh *)st->link)->queued;
}

static uint64_t bosh_last_rx(const struct stream *st)
{
	return ((const struct bosh *)st->link)->last_rx_ms;
}

static uint64_t bosh_sent(const struct stream *st)
{
	return ((const struct bosh *)st->link)->sent;
}

static uint64_t bosh_confirmed(struct stream *st)
{
	return ((const struct bosh *)st->link)->confirmed;
}

/* A connection that is closing stays behind; its request counts as lost. */
static bool detach_request(struct http_request *rq)
{
	if (http_detach(rq))
		return true;
	bosh_refuse(rq, "recoverable");
	return false;
}

static void bosh_detach(struct stream *st, unsigned worker)
{
	struct bosh *b = st->link;

	loop_timer_cancel(loop_self(), &b->timer);
	loop_undefer(&b->turn);
	list_each (s, &b->open, struct bosh_slot, link)
		if (s->rq && !detach_request(s->rq))
			s->rq = NULL;
	list_each_safe (r, &b->waiting, struct bosh_request, link)
		if (!detach_request(r->rq))
			list_del(&r->link);
	bosh_list(b, worker, true);
}

static void bosh_attach(struct stream *st)
{
	struct bosh *b = st->link;

	list_each (s, &b->open, struct bosh_slot, link)
		if (s->rq)
			http_attach(s->rq);
	list_each (r, &b->waiting, struct bosh_request, link)
		http_attach(r->rq);
	bosh_list(b, (unsigned)threads_self(), false);
	process(b);
}

static const struct stream_carrier carrier = {
	.name = "bosh",
	.send = bosh_send,
	.open = bosh_open,
	.end = bosh_end,
	.abort = bosh_abort,
	.restart = bosh_restart,
	.limits = bosh_limits,
	.hold = bosh_hold,
	.charge = bosh_charge,
	.is_closing = bosh_is_closing,
	.queued = bosh_queued,
	.last_rx = bosh_last_rx,
	.sent = bosh_sent,
	.confirmed = bosh_confirmed,
	.detach = bosh_detach,
	.attach = bosh_attach,
};

/* ---- life ---- */

struct bosh *bosh_new(const struct bosh_request *r)
{
	static const struct stream_listener listener = { .security = STREAM_PROXIED };
	const struct limits *l = limits();
	struct bosh *b = NEW(struct bosh);

	random_token(b->sid);
	b->taken = r->rid - 1;
	b->hold = r->hold && r->wait_s ? 1 : 0;
	b->requests = b->hold + 1;
	b->wait_ms = 1000 * r->wait_s < l->bosh_wait_ms ? 1000 * r->wait_s : l->bosh_wait_ms;
	b->inactivity_ms = l->bosh_inactivity_ms;
	b->last_rx_ms = b->silent_since_ms = now_ms();
	b->header_wanted = true;
	b->timer.fire = on_timer;
	b->turn.run = turn;
	list_init(&b->turn.link);
	list_init(&b->waiting);
	list_init(&b->open);
	b->st = stream_new(&listener, &carrier, b, NULL, r->rq->ip, conn_id(http_raw(r->rq)));
	b->st->secure = r->rq->secure;
	b->st->proxied = r->rq->proxied;
	bosh_list(b, (unsigned)threads_self(), false);
	stream_start(b->st);
	return b;
}

void bosh_free(struct bosh *b)
{
	loop_timer_cancel(loop_self(), &b->timer);
	loop_undefer(&b->turn);
	stream_over(b);
	loop_undefer(&b->turn);
	bosh_unlist(b);
	list_each_safe (s, &b->open, struct bosh_slot, link) {
		if (s->rq)
			bosh_refuse(s->rq, "item-not-found");
		mem_free(s);
	}
	refuse_waiting(b);
	for (size_t i = 0; i < BOSH_REQUESTS_MAX; i++)
		chunk_unref(b->answers[i].body);
	while (b->first) {
		struct bosh_item *i = b->first;
		b->first = i->next;
		mem_free(i);
	}
	mem_free(b);
}
