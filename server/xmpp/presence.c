/* Presence stanzas (RFC 6121 section 4, subscription types of section 3): validated here, done by server/im/presence.c and roster.c. Home thread. */
#include "server/im/presence.h"
#include "base/err.h"
#include "server/im/roster.h"
#include "server/xmpp/avatar.h"
#include "server/xmpp/caps.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "server/xmpp/router.h"
#include "server/xmpp/session_xmpp.h"

static bool read_priority(struct request *rq, int8_t *out)
{
	struct str text = node_child_text(rq->a, rq->stanza, A_priority, NS_CLIENT);
	uint64_t v;
	bool minus;

	*out = 0;
	text = str_trim(text);
	if (str_empty(text))
		return true;
	minus = text.p[0] == '-';
	if (minus || text.p[0] == '+')
		text = str_of(text.p + 1, text.n - 1);
	if (str_u64(text, minus ? 128 : 127, &v))
		return false; /* RFC 6121 4.7.2.3 */
	*out = (int8_t)(minus ? -(int)v : (int)v);
	return true;
}

/* XEP-0115: which caps this client announced, for +notify (pep.c). */
static void take_caps(struct request *rq)
{
	struct node *c = node_child(rq->stanza, A_c, NS_CAPS);
	struct session *s = rq->session;

	mem_free((void *)s->caps_node_ver.p);
	s->caps_node_ver = STR_NONE;
	if (!c)
		return;
	struct str v = arena_printf(rq->a, "%.*s#%.*s", STR_ARG(node_attr(c, "node")), STR_ARG(node_attr(c, "ver")));
	s->caps_node_ver = str_of(str_dup(v), v.n);
}

static void available(struct request *rq)
{
	int8_t priority;

	if (!read_priority(rq, &priority)) {
		reply_error(rq, "modify", A_bad_request, "Priority is a number from -128 to 127");
		return;
	}
	avatar_into_presence(rq);
	struct chunk *payload = node_first(rq->stanza) ? payload_of_children(rq->stanza) : NULL;
	if (rq->addressee == TO_NONE) {
		bool initial = !rq->session->available;
		take_caps(rq);
		presence_set(rq->session, payload, priority);
		sm_state_changed(rq->xs);
		caps_presence(rq->session, node_child(rq->stanza, A_c, NS_CAPS), initial);
	} else if (presence_direct(rq->session, &rq->to, STR_NONE, rq->id, payload)) {
		reply_error(rq, "modify", A_policy_violation, "You sent presence to too many addresses");
	}
	chunk_unref(payload);
}

static void unavailable(struct request *rq)
{
	struct chunk *payload = node_first(rq->stanza) ? payload_of_children(rq->stanza) : NULL;

	if (rq->addressee == TO_NONE) {
		presence_clear(rq->session, payload);
		sm_state_changed(rq->xs);
	} else {
		presence_direct(rq->session, &rq->to, STR("unavailable"), rq->id, payload);
	}
	chunk_unref(payload);
}

static void probe(struct request *rq)
{
	if (rq->addressee & (TO_ACCOUNT | TO_FULL | TO_SELF))
		presence_probe(rq->session, &rq->to);
}

static void subscription_done(void *ctx, int err)
{
	if (err)
		pending_err(ctx, err, NULL);
	else
		pending_drop(ctx);
}

static void subscription(struct request *rq)
{
	struct jid to = jid_to_bare(rq->to); /* RFC 6121 3.1.2 */
	struct chunk *payload = node_first(rq->stanza) ? payload_of_children(rq->stanza) : NULL;

	if (!(rq->addressee & (TO_ACCOUNT | TO_FULL)) || jid_bare_eq(&to, &rq->session->jid)) {
		chunk_unref(payload);
		return; /* nobody subscribes to a server or to himself */
	}
	struct pending *p = reply_later(rq);
	pending_is_fast(p);
	roster_subscription(rq->session, &to, rq->type, rq->id, payload, subscription_done, p);
	chunk_unref(payload);
}

static void ignore(struct request *rq)
{
	(void)rq;
}

static const struct {
	const char *type;
	void (*fn)(struct request *rq);
} types[] = {
	{ "", available },
	{ "unavailable", unavailable },
	{ "probe", probe },
	{ "subscribe", subscription },
	{ "subscribed", subscription },
	{ "unsubscribe", subscription },
	{ "unsubscribed", subscription },
	{ "error", ignore },
};

void presence_stanza(struct request *rq)
{
	if (rq->addressee == TO_HOST)
		return; /* the server has no presence of its own */
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (str_eq_c(rq->type, types[i].type)) {
			types[i].fn(rq);
			return;
		}
	reply_error(rq, "modify", A_bad_request, "Unknown type of presence");
}
