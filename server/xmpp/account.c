/* Password change (XEP-0077 section 3.3) by the person; registration and cancellation are not offered: accounts belong to the company. Home thread. */
#include "server/im/account.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/xmpp/request.h"

static void form(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_REGISTER);

	node_add(rq->a, q, A_registered, NS_REGISTER);
	node_add_text(rq->a, q, A_username, NS_REGISTER, jid_local(&rq->session->jid));
	node_add(rq->a, q, A_password, NS_REGISTER);
	node_add_text(rq->a, q, A_instructions, NS_REGISTER,
		      STR("Send your name and a new password to change the password."));
	reply_result(rq, q);
}

static void changed(void *ctx, int err, uint32_t id)
{
	(void)id;
	if (!err)
		pending_result(ctx, NULL);
	else if (err == ERR_FORBIDDEN)
		pending_error(ctx, "cancel", A_not_allowed,
			      "The password belongs to the company directory: change it there");
	else if (err == ERR_SYNTAX)
		pending_error(ctx, "modify", A_not_acceptable,
			      "The password has characters that are not allowed, or is empty or too long");
	else
		pending_err(ctx, err, NULL);
}

static void change(struct request *rq)
{
	struct str name = node_child_text(rq->a, rq->child, A_username, NS_REGISTER),
		   password = node_child_text(rq->a, rq->child, A_password, NS_REGISTER);
	struct jid self = rq->session->jid;
	struct str local;

	if (node_child(rq->child, A_remove, NS_REGISTER)) {
		reply_error(rq, "cancel", A_not_allowed, "Accounts are removed by the administrator");
		return;
	}
	if (!name.n || !password.n || jid_prep_local(rq->a, name, &local)) {
		reply_error(rq, "modify", A_bad_request, "Send your name and the new password");
		return;
	}
	if (!str_eq(local, jid_local(&self))) {
		reply_error(rq, "auth", A_forbidden, "You may only change your own password");
		return;
	}
	struct account_op op = { .domain = jid_domain(&self),
				 .local = local,
				 .password = password,
				 .actor = rq->session->user->jid.full,
				 .keep_session = rq->session->number };
	account_change_own_password(&op, changed, reply_later(rq));
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_REGISTER, TO_OWN | TO_HOST, 0, "jabber:iq:register", form },
	{ IQ_SET, A_query, NS_REGISTER, TO_OWN | TO_HOST, 0, NULL, change },
	{ .fn = NULL },
};
const struct handler_table account_handlers = { "XEP-0077 password change", rows, NULL, NULL };
