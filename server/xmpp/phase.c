/* What may be said in which phase of a stream (RFC 6120 section 4.3 and 5 to 7): one table, one fallback per phase. */
#include "server/xmpp/bind.h"
#include "server/xmpp/router.h"
#include "server/xmpp/session_xmpp.h"
#include "server/xmpp/stream.h"
#include "xml/build.h"

static void starttls(struct stream *st, struct node *n)
{
	(void)n;
	struct tls_context *tls = st->listener->tls ? st->listener->tls() : NULL;

	if (!tls || st->secure) {
		stream_send(st, STR("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")); /* RFC 6120 5.4.2.2 */
		stream_end(st);
		tls_context_unref(tls);
		return;
	}
	stream_send(st, STR("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
	st->starting_tls = true;
	stream_restart(st); /* a new header comes inside TLS; glued bytes are refused by the stream (A05) */
	if (conn_starttls(st->conn, tls))
		stream_error(st, "policy-violation", "Nothing may follow <starttls/> before encryption");
	tls_context_unref(tls);
}

static void stanza(struct stream *st, struct node *n)
{
	struct xsession *xs = st->xs;

	xsession_enter(xs);
	router_stanza(xs, n);
	xsession_leave(xs);
}

static void csi_active(struct stream *st, struct node *n)
{
	(void)n;
	csi_set(st->xs, false);
}

static void csi_inactive(struct stream *st, struct node *n)
{
	(void)n;
	csi_set(st->xs, true);
}

static const struct {
	enum phase phase;
	enum atom name;
	enum ns ns;
	void (*fn)(struct stream *st, struct node *n);
} rows[] = {
	{ PHASE_TLS, A_starttls, NS_TLS, starttls },
	{ PHASE_AUTH, A_starttls, NS_TLS, starttls },
	{ PHASE_AUTH, A_auth, NS_SASL, login_auth },
	{ PHASE_AUTH, A_response, NS_SASL, login_response },
	{ PHASE_AUTH, A_abort, NS_SASL, login_abort },
	{ PHASE_AUTH, A_authenticate, NS_SASL2, login_authenticate },
	{ PHASE_AUTH, A_response, NS_SASL2, login_response },
	{ PHASE_AUTH, A_abort, NS_SASL2, login_abort },
	{ PHASE_BIND, A_iq, NS_CLIENT, bind_iq },
	{ PHASE_BIND, A_resume, NS_SM3, bind_resume },
	{ PHASE_BIND, A_enable, NS_SM3, bind_enable_too_early },
	{ PHASE_SESSION, A_message, NS_CLIENT, stanza },
	{ PHASE_SESSION, A_presence, NS_CLIENT, stanza },
	{ PHASE_SESSION, A_iq, NS_CLIENT, stanza },
	{ PHASE_SESSION, A_NONE, NS_SM3, sm_element },
	{ PHASE_SESSION, A_active, NS_CSI, csi_active },
	{ PHASE_SESSION, A_inactive, NS_CSI, csi_inactive },
};

static const struct {
	const char *condition, *text;
} fallback[PHASES] = {
	[PHASE_TLS] = { "policy-violation", "Encryption is required: send <starttls/> first" }, /* row A04 */
	[PHASE_AUTH] = { "not-authorized", "Log in first" },					/* row X17 */
	[PHASE_BIND] = { "not-authorized", "Bind a resource first" },				/* RFC 6120 7.1 */
	[PHASE_SESSION] = { "unsupported-stanza-type", "Only message, presence and iq in jabber:client" }, /* row X14 */
};

void phase_element(struct stream *st, struct node *n)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].phase != st->phase || rows[i].ns != n->ns)
			continue;
		if (rows[i].name != A_NONE && rows[i].name != n->name)
			continue;
		rows[i].fn(st, n);
		return;
	}
	stream_error(st, fallback[st->phase].condition, fallback[st->phase].text);
}
