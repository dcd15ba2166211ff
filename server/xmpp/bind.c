/* Resource binding (RFC 6120 section 7): the stream becomes a session on this, its home worker. */
#include "server/xmpp/bind.h"
#include "base/err.h"
#include "server/xmpp/login.h"
#include "server/xmpp/session_xmpp.h"
#include "xml/build.h"

static void bind_error(struct stream *st, struct node *iq, const char *type, enum atom condition, const char *text)
{
	struct arena *a = stream_arena();
	struct node *r = node_new(a, A_iq, NS_CLIENT);

	node_set(a, r, "type", STR("error"));
	node_set(a, r, "id", node_attr(iq, "id"));
	struct node *e = node_add(a, r, A_error, NS_CLIENT);
	node_set(a, e, "type", str_c(type));
	node_add(a, e, condition, NS_STANZA_ERRORS);
	node_add_text(a, e, A_text, NS_STANZA_ERRORS, str_c(text));
	stream_send_node(st, r);
}

void bind_iq(struct stream *st, struct node *iq)
{
	struct arena *a = stream_arena();
	struct node *bind = node_child(iq, A_bind, NS_BIND);

	if (st->resume_wait) {
		stream_error(st, "not-authorized", "Wait for the answer to <resume/>");
		return;
	}
	if (!bind || !str_eq_c(node_attr(iq, "type"), "set") || str_empty(node_attr(iq, "id"))) {
		bind_error(st, iq, "auth", A_not_authorized, "Bind a resource first");
		return;
	}
	int err = xsession_bind(st, node_child_text(a, bind, A_resource, NS_BIND));
	if (err == ERR_AUTH) {
		stream_error(st, "not-authorized", "The password or the account was changed; log in again");
		return;
	}
	if (err == ERR_LIMIT) {
		bind_error(st, iq, "wait", A_resource_constraint,
			   "Too many sessions of this account are open; end one of them");
		return;
	}
	if (err && err != ERR_SYNTAX) { /* row D06 */
		bind_error(st, iq, "wait", A_resource_constraint,
			   "The server cannot read its store now; try again a little later");
		return;
	}
	if (err) {
		bind_error(st, iq, "modify", A_bad_request,
			   "The resource has characters that are not allowed or is too long");
		return;
	}
	struct node *r = node_new(a, A_iq, NS_CLIENT);
	node_set(a, r, "type", STR("result"));
	node_set(a, r, "id", node_attr(iq, "id"));
	struct node *b = node_add(a, r, A_bind, NS_BIND);
	node_add_text(a, b, A_jid, NS_BIND, st->xs->s.jid.full);
	stream_send_node(st, r);
	stream_enter(st, PHASE_SESSION);
}

static void resumed(struct stream *st, struct node *reply, bool ok)
{
	stream_send_node(st, reply);
	if (!ok)
		return;
	stream_enter(st, PHASE_SESSION);
	sm_after_resume(st);
}

void bind_resume(struct stream *st, struct node *resume)
{
	sm_resume(st, resume, resumed);
}

void bind_enable_too_early(struct stream *st, struct node *enable)
{
	struct arena *a = stream_arena();
	struct node *f = node_new(a, A_failed, NS_SM3);

	(void)enable;
	node_add(a, f, A_unexpected_request, NS_STANZA_ERRORS); /* XEP-0198 section 3: enable only after binding */
	stream_send_node(st, f);
}
