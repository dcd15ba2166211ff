/*
 * SASL on the wire: RFC 6120 section 6 elements around server/xmpp/sasl.h, which knows the mechanisms. The answers of sasl.h come later, never nested;
 * while one is on its way every further input of the client is out of order and ends the stream (row X17). After success the stream moves to the
 * home of its account.
 */
#include "server/xmpp/login.h"
#include "base/crypto.h"
#include "base/log.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include "xml/jid.h"
#include "xml/build.h"

void login_peer(const struct stream *st, struct sasl_peer *out)
{
	*out = (struct sasl_peer){
		.domain = st->domain,
		.secure = st->secure,
		.loopback = st->loopback,
		.tls = stream_tls(st),
		.ip = st->ip,
		.conn_id = st->id,
		.stream_from = st->from,
	};
}

void login_offer(const struct stream *st, bool sasl2, struct arena *a, struct node *parent)
{
	struct sasl_peer peer;
	struct str names[SASL_MAX];

	login_peer(st, &peer);
	peer.sasl2 = sasl2;
	size_t n = sasl_offer(&peer, false, names, SASL_MAX);
	for (size_t i = 0; i < n; i++)
		node_add_text(a, parent, A_mechanism, parent->ns, names[i]);
}

static void login_success(struct stream *st);

/* Base64 as RFC 6120 6.4.2: "=" is the empty string. NONE when there is nothing. */
static struct str encode(struct arena *a, struct str data)
{
	if (data.n == 0)
		return STR("=");
	char *out = arena_alloc(a, 4 * ((data.n + 2) / 3));
	return str_of(out, base64_encode(data.p, data.n, out));
}

static int decode(struct arena *a, struct str text, struct str *out)
{
	if (str_eq_c(text, "=")) {
		*out = STR("");
		return 0;
	}
	char *bytes = arena_alloc(a, text.n + 1);
	ptrdiff_t n = base64_decode(text, bytes, text.n + 1);
	if (n < 0)
		return ERR_SYNTAX;
	*out = str_of(bytes, (size_t)n);
	return 0;
}

static enum ns login_ns(const struct login *l)
{
	return l->sasl2 ? NS_SASL2 : NS_SASL;
}

static void send_failure(struct stream *st, const char *condition, const char *text)
{
	struct arena *a = stream_arena();
	struct node *f = node_new(a, A_failure, login_ns(st->login));

	/* XEP-0388 2.6: the condition keeps the namespace of RFC 6120. */
	node_append(f, node_new_named(a, str_c(condition), ns_str(NS_SASL)));
	if (text)
		node_add_text(a, f, A_text, login_ns(st->login), str_c(text));
	stream_send_node(st, f);
}

static void on_failure(struct stream *st, const struct sasl_outcome *o)
{
	send_failure(st, o->condition, o->text);
	log_info("auth.failed", LU("conn", st->id), LC("ip", st->ip), LC("condition", o->condition));
	if (!o->counts || ++st->auth_failures < limits()->auth_failures)
		return;
	limit_hit_log("auth_failures", st->ip);
	stream_error(st, "policy-violation", "Too many failed logins; check name and password and connect again");
}

static void on_success(struct stream *st, const struct sasl_outcome *o)
{
	struct login *l = st->login;
	struct arena *a = stream_arena();

	l->done = true;
	l->account_id = o->account_id;
	l->credentials_epoch = o->credentials_epoch;
	l->is_admin = o->is_admin;
	l->bare = jid_dup_heap(jid_make(a, o->local, o->domain, STR_NONE)).full;
	if (o->has_data) {
		char *copy = mem_dup(o->data.p ? o->data.p : "", o->data.n + (o->data.n == 0));
		l->success = str_of(copy, o->data.n);
	}
	l->rotate = o->rotate_token;
	l->mechanism = str_c(o->mechanism);
	log_info("auth.ok", LU("conn", st->id), LC("ip", st->ip), LS("jid", l->bare), LC("mechanism", o->mechanism));
	stream_move(st, threads_home(l->bare), login_success);
}

static void on_reply(void *ctx, const struct sasl_outcome *o)
{
	struct stream *st = ctx;
	struct login *l = st->login;
	struct arena *a = stream_arena();

	l->pending = false;
	if (st->phase != PHASE_AUTH)
		return; /* closed meanwhile */
	if (o->kind == SASL_CHALLENGE) {
		struct node *c = node_new(a, A_challenge, login_ns(l));
		if (o->data.n)
			node_append_text(a, c, encode(a, o->data));
		stream_send_node(st, c);
	} else if (o->kind == SASL_FAILURE) {
		on_failure(st, o);
	} else {
		on_success(st, o);
	}
	arena_reset(a);
}

/* On the home worker. */
static void login_success(struct stream *st)
{
	struct login *l = st->login;
	struct arena *a = stream_arena();

	sasl_free(l->sasl);
	l->sasl = NULL;
	stream_raise_limits(st);
	if (l->sasl2) {
		sasl2_success(st);
		return;
	}
	struct node *s = node_new(a, A_success, NS_SASL);
	if (l->success.p)
		node_append_text(a, s, encode(a, l->success));
	stream_send_node(st, s);
	stream_enter(st, PHASE_BIND);
	stream_restart(st);
}

static struct login *login_new(struct stream *st, bool is_sasl2)
{
	login_free(st);
	struct login *l = NEW(struct login);
	l->sasl2 = is_sasl2;
	l->pending = true;
	st->login = l;
	return l;
}

void login_free(struct stream *st)
{
	struct login *l = st->login;

	if (!l)
		return;
	sasl_free(l->sasl);
	sasl2_forget(l);
	if (l->arena)
		arena_free(l->arena);
	mem_free((void *)l->bare.p);
	mem_free((void *)l->success.p);
	mem_free((void *)l->new_token.p);
	mem_free(l);
	st->login = NULL;
}

/* True after a stream error: an answer was still on its way. */
static bool out_of_order(struct stream *st)
{
	if (!st->login || !st->login->pending)
		return false;
	stream_error(st, "not-authorized", "Wait for the answer to your login before sending more");
	return true;
}

static void begin(struct stream *st, struct node *n, const struct sasl_peer *peer, struct str mechanism,
		  bool has_initial, struct str initial)
{
	struct login *l = st->login;
	struct str offered[2 * SASL_MAX], raw = STR_NONE;
	size_t n_offered = sasl_offer(peer, false, offered, SASL_MAX);

	(void)n;
	if (peer->sasl2)
		n_offered += sasl_offer(peer, true, offered + n_offered, SASL_MAX);
	l->sasl = sasl_new(peer, offered, n_offered, on_reply, st);
	if (has_initial && decode(stream_arena(), initial, &raw))
		sasl_fail(l->sasl, "incorrect-encoding");
	else
		sasl_begin(l->sasl, mechanism, has_initial, raw);
}

void login_auth(struct stream *st, struct node *n)
{
	struct sasl_peer peer;

	if (out_of_order(st))
		return;
	struct str text = node_text(stream_arena(), n);
	login_new(st, false);
	login_peer(st, &peer);
	begin(st, n, &peer, node_attr(n, "mechanism"), text.n > 0, text);
}

void login_authenticate(struct stream *st, struct node *n)
{
	struct sasl_peer peer;

	if (out_of_order(st))
		return;
	struct login *l = login_new(st, true);
	l->arena = arena_new(2048);
	l->request = node_copy(l->arena, n);
	login_peer(st, &peer);
	peer.sasl2 = true;
	sasl2_read_request(st, l->request, &peer);
	struct node *initial = node_child(n, A_initial_response, NS_SASL2);
	struct str text = initial ? node_text(stream_arena(), initial) : STR_NONE;
	if (initial && text.n == 0)
		text = STR("=");
	begin(st, n, &peer, node_attr(n, "mechanism"), initial != NULL, text);
}

void login_response(struct stream *st, struct node *n)
{
	struct str raw = STR_NONE;

	if (out_of_order(st))
		return;
	if (!st->login || !st->login->sasl || st->login->sasl2 != (n->ns == NS_SASL2)) {
		stream_error(st, "not-authorized", "Start a login before answering a challenge");
		return;
	}
	st->login->pending = true;
	struct str text = node_text(stream_arena(), n);
	if (text.n && decode(stream_arena(), text, &raw))
		sasl_fail(st->login->sasl, "incorrect-encoding");
	else
		sasl_step(st->login->sasl, raw);
}

void login_abort(struct stream *st, struct node *n)
{
	(void)n;
	if (!st->login || !st->login->sasl) {
		stream_error(st, "not-authorized", "There is no login to abort");
		return;
	}
	st->login->pending = true;
	sasl_abort(st->login->sasl);
}
