/*
 * SASL2 (XEP-0388) with inline resumption (XEP-0198 section 9), Bind 2 (XEP-0386) and FAST (XEP-0484): login, binding, stream management, carbons
 * and a token in one round trip. Runs on the home worker after success.
 */
#include "server/im/fast.h"
#include "base/crypto.h"
#include "base/random.h"
#include "server/xmpp/login.h"
#include "server/xmpp/inbox.h"
#include "server/xmpp/session_xmpp.h"
#include "xml/build.h"
#include "xml/datetime.h"

/* What <authenticate/> says about the client; ids only when usable. */
static struct str agent_id(const struct node *request)
{
	struct node *ua = node_child(request, A_user_agent, NS_SASL2);
	struct str id = ua ? node_attr(ua, "id") : STR_NONE;

	return id.p && user_agent_id_valid(id) ? id : STR_NONE;
}

void sasl2_features(struct stream *st, struct arena *a, struct node *features)
{
	struct node *au = node_add(a, features, A_authentication, NS_SASL2);
	struct sasl_peer peer;
	struct str names[SASL_MAX];

	login_offer(st, true, a, au);
	struct node *in = node_add(a, au, A_inline, NS_SASL2);
	node_add(a, in, A_sm, NS_SM3);
	struct node *bind = node_add(a, node_add(a, in, A_bind, NS_BIND2), A_inline, NS_BIND2);
	static const enum ns inlines[] = { NS_CARBONS, NS_CSI, NS_SM3 };
	for (size_t i = 0; i < sizeof inlines / sizeof *inlines; i++)
		node_set(a, node_add(a, bind, A_feature, NS_BIND2), "var", ns_str(inlines[i]));
	login_peer(st, &peer);
	peer.sasl2 = true;
	size_t n = sasl_offer(&peer, true, names, SASL_MAX);
	struct node *fast = n ? node_add(a, in, A_fast, NS_FAST) : NULL;
	for (size_t i = 0; i < n; i++)
		node_add_text(a, fast, A_mechanism, NS_FAST, names[i]);
}

void sasl2_read_request(struct stream *st, struct node *authenticate, struct sasl_peer *peer)
{
	struct node *fast = node_child(authenticate, A_fast, NS_FAST);

	(void)st;
	peer->user_agent_id = agent_id(authenticate);
	if (!fast)
		return;
	struct str count = node_attr(fast, "count"), invalidate = node_attr(fast, "invalidate");
	peer->fast = true;
	peer->has_fast_count = count.p && str_u64(count, UINT64_MAX, &peer->fast_count) == 0;
	peer->fast_invalidate = str_eq_c(invalidate, "true") || str_eq_c(invalidate, "1");
}

/* XEP-0386: the resource is the client's tag and something the server makes; stable per user agent so that a new login replaces the old one. */
static struct str make_resource(struct arena *a, const struct node *bind, struct str agent)
{
	struct str tag = node_child_text(a, bind, A_tag, NS_BIND2);
	char token[RANDOM_TOKEN];

	if (agent.p) {
		uint8_t d[HASH_MAX];
		char hex[16];
		digest(HASH_SHA256, agent, d);
		hex_encode(d, 8, hex);
		return arena_printf(a, "%.*s%s%.16s", STR_ARG(tag.p ? tag : STR("")), tag.n ? "~" : "", hex);
	}
	random_token(token);
	return arena_printf(a, "%.*s%s%s", STR_ARG(tag.p ? tag : STR("")), tag.n ? "~" : "", token);
}

/* <bind xmlns='urn:xmpp:bind:0'/> inline; adds <bound/>. */
static int bind_inline(struct stream *st, struct arena *a, const struct node *bind, struct node *success)
{
	struct str resource = make_resource(a, bind, agent_id(st->login->request));
	int err = xsession_bind(st, resource);

	if (err)
		return err;
	struct node *bound = node_add(a, success, A_bound, NS_BIND2);
	struct node *enable = node_child(bind, A_enable, NS_SM3);
	if (node_child(bind, A_enable, NS_CARBONS))
		st->xs->s.carbons = true;
	if (node_child(bind, A_inactive, NS_CSI))
		csi_set(st->xs, true);
	struct node *inbox = node_child(bind, A_subscribe, NS_V_INBOX);
	if (inbox) {
		struct str follow = node_attr(inbox, "follow");
		inbox_subscribe(&st->xs->s, str_eq_c(follow, "true") || str_eq_c(follow, "1"));
	}
	if (enable) {
		struct str want = node_attr(enable, "resume");
		node_append(bound, sm_enable(st->xs, str_eq_c(want, "true") || str_eq_c(want, "1"), a));
	}
	return 0;
}

static void add_token(struct stream *st, struct arena *a, struct node *success)
{
	struct login *l = st->login;
	char when[DATETIME_MAX];

	if (!l->new_token.p)
		return;
	struct node *t = node_add(a, success, A_token, NS_FAST);
	size_t n = datetime_print(l->new_token_expires_ms, when);
	node_set(a, t, "expiry", arena_str(a, str_of(when, n)));
	node_set(a, t, "token", l->new_token);
}

static void finish(struct stream *st, struct node *s, bool resumed)
{
	struct arena *a = stream_arena();
	struct login *l = st->login;
	struct node *bind = node_child(l->request, A_bind, NS_BIND2);
	int err = !resumed && bind ? bind_inline(st, a, bind, s) : 0;

	node_append_text(a, node_child(s, A_authorization_identifier, NS_SASL2), st->xs ? st->xs->s.jid.full : l->bare);
	add_token(st, a, s);
	stream_send_node(st, s);
	l->pending = false;
	if (err == ERR_AUTH) {
		stream_error(st, "not-authorized", "The password or the account was changed; log in again");
		return;
	}
	if (err) {
		stream_error(st, "resource-constraint", "Too many sessions of this account are open; end one of them");
		return;
	}
	if (st->xs)
		stream_enter(st, PHASE_SESSION);
	features_send(st); /* XEP-0388 section 2.6.1: right after success, bound or not */
	if (resumed)
		sm_after_resume(st);
}

static struct node *success_node(struct stream *st)
{
	struct arena *a = stream_arena();
	struct login *l = st->login;
	struct node *s = node_new(a, A_success, NS_SASL2);

	if (l->success.p && l->success.n) {
		char *out = arena_alloc(a, 4 * ((l->success.n + 2) / 3));
		node_add_text(a, s, A_additional_data, NS_SASL2,
			      str_of(out, base64_encode(l->success.p, l->success.n, out)));
	}
	node_add(a, s, A_authorization_identifier, NS_SASL2);
	return s;
}

static void resume_answered(struct stream *st, struct node *reply, bool ok)
{
	struct node *s = success_node(st);

	node_append(s, reply);
	finish(st, s, ok);
}

static void send_success(struct stream *st)
{
	struct node *resume = node_child(st->login->request, A_resume, NS_SM3);

	stream_enter(st, PHASE_BIND);
	if (resume)
		sm_resume(st, resume, resume_answered);
	else
		finish(st, success_node(st), false);
}

/* The stream may be gone when the token comes: its login is remembered by the number of the connection. */
struct token_wait {
	struct stream *st;
};

static void on_token(void *ctx, int err, struct str token, uint64_t expires_ms)
{
	struct token_wait *w = ctx;
	struct stream *st = w->st;

	if (st) {
		struct login *l = st->login;
		l->token_wait = NULL;
		if (!err) {
			l->new_token = str_of(str_dup(token), token.n);
			l->new_token_expires_ms = expires_ms;
		}
		if (st->phase == PHASE_AUTH)
			send_success(st);
		arena_reset(stream_arena());
	}
	mem_free(w);
}

void sasl2_success(struct stream *st)
{
	struct login *l = st->login;
	struct node *request = node_child(l->request, A_request_token, NS_FAST);
	struct str agent = agent_id(l->request), mechanism = request ? node_attr(request, "mechanism") : l->mechanism;

	if (!agent.p || (!request && !l->rotate)) {
		send_success(st);
		return;
	}
	struct token_wait *w = NEW(struct token_wait);
	w->st = st;
	l->token_wait = w;
	l->pending = true;
	fast_issue(l->account_id, l->credentials_epoch, agent, mechanism, on_token, w);
}

void sasl2_forget(struct login *l)
{
	if (l->token_wait)
		l->token_wait->st = NULL;
}
