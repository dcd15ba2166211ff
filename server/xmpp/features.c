/* <stream:features/> of each phase (RFC 6120 4.3.2): what is legal now, printed once per header. */
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/handlers.h"
#include "server/xmpp/login.h"
#include "server/xmpp/stream.h"
#include "xml/build.h"

static void tls_features(struct stream *st, struct arena *a, struct node *f)
{
	struct node *tls = node_add(a, f, A_starttls, NS_TLS);

	if (st->phase == PHASE_TLS)
		node_add(a, tls, A_required, NS_TLS);
}

/* XEP-0440: which channel bindings work here; covered by the hash of XEP-0474. */
static void channel_bindings(struct stream *st, struct arena *a, struct node *f)
{
	struct sasl_peer peer;
	struct str types[SASL_CB_MAX];

	login_peer(st, &peer);
	size_t n = sasl_cb_types(&peer, types, SASL_CB_MAX);
	if (!n)
		return;
	struct node *list = node_add(a, f, A_sasl_channel_binding, NS_SASL_CB);
	for (size_t i = 0; i < n; i++)
		node_set(a, node_add(a, list, A_channel_binding, NS_SASL_CB), "type", types[i]);
}

static void auth_features(struct stream *st, struct arena *a, struct node *f)
{
	if (!st->secure && st->listener->tls)
		tls_features(st, a, f);
	login_offer(st, false, a, node_add(a, f, A_mechanisms, NS_SASL));
	sasl2_features(st, a, f);
	channel_bindings(st, a, f);
}

static void bind_features(struct stream *st, struct arena *a, struct node *f)
{
	if (!st->xs) { /* SASL2 may have bound or resumed already */
		node_add(a, node_add(a, f, A_bind, NS_BIND), A_required, NS_BIND);
		node_add(a, node_add(a, f, A_session, NS_SESSION), A_optional, NS_SESSION); /* RFC 3921 clients */
	}
	node_add(a, f, A_sm, NS_SM3);
	node_add(a, f, A_csi, NS_CSI);
	node_add(a, f, A_ver, NS_ROSTERVER);
	node_add(a, f, A_sub, NS_PREAPPROVAL);
	features_caps(a, f);
}

/* XEP-0478: what we accept, so that clients need not guess. */
static void limit_features(struct stream *st, struct arena *a, struct node *f)
{
	bool in = st->phase == PHASE_BIND || st->phase == PHASE_SESSION;
	struct node *l = node_add(a, f, A_limits, NS_STREAM_LIMITS);
	struct str bytes =
		arena_printf(a, "%llu",
			     (unsigned long long)(in ? limits()->stanza_bytes : limits()->preauth_stanza_bytes));

	node_add_text(a, l, A_max_bytes, NS_STREAM_LIMITS, bytes);
	if (in)
		node_add_text(a, l, A_idle_seconds, NS_STREAM_LIMITS,
			      arena_printf(a, "%llu",
					   (unsigned long long)((limits()->ping_ms + limits()->ping_timeout_ms) /
								1000)));
}

void features_send(struct stream *st)
{
	struct arena *a = stream_arena();
	struct node *f = node_new(a, A_features, NS_STREAMS);

	switch (st->phase) {
	case PHASE_TLS: tls_features(st, a, f); break;
	case PHASE_AUTH: auth_features(st, a, f); break;
	default: bind_features(st, a, f); break;
	}
	if (st->phase != PHASE_TLS)
		limit_features(st, a, f); /* before TLS nothing but STARTTLS (row A04) */
	stream_send_node(st, f);
}
