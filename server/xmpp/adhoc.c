/*
 * Ad-hoc commands (XEP-0050): listing, forms, single-stage execution. Those of the domain are for administrators
 * (XEP-0133); others get forbidden and do not see them. Those of notify.DOMAIN are for everybody. The session id is not kept: it is a stamp and a MAC over
 * who, what and when, so nothing is left behind by a form that nobody fills in. Home thread of the asker.
 */
#include "server/xmpp/adhoc.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "server/im/im.h"
#include "server/xmpp/adhoc_commands.h"
#include <string.h>

#define COMMANDS "http://jabber.org/protocol/commands"
enum { FORM_LIFE_MS = 3600000, MAC_LEN = 32 };

/* The commands that the asker finds at the address. */
static const struct command *table_of(const struct request *rq)
{
	static const struct command none[] = { { .node = NULL } };

	if (rq->addressee == TO_NOTIFY)
		return notify_commands;
	return rq->session->user->is_admin ? admin_commands : none;
}

static const char *form_type_of(const struct request *rq)
{
	return rq->addressee == TO_NOTIFY ? "urn:vestnik:notify:0" : "http://jabber.org/protocol/admin";
}

static const struct command *command_find(const struct request *rq, struct str node)
{
	for (const struct command *c = table_of(rq); c->node; c++)
		if (str_eq_c(node, c->node))
			return c;
	return NULL;
}

/* ---- session ids ---- */

static struct str session_id_for(struct request *rq, const struct command *c, uint64_t when_ms)
{
	struct str text = arena_printf(rq->a, "adhoc %s %llu %llu", c->node, (unsigned long long)rq->session->number,
				       (unsigned long long)when_ms);
	uint8_t mac[HASH_MAX];
	char hex[MAC_LEN];

	hmac(HASH_SHA256, str_of((const char *)im.secret, sizeof im.secret), text, mac);
	hex_encode(mac, MAC_LEN / 2, hex);
	return arena_printf(rq->a, "%llu.%.*s", (unsigned long long)when_ms, MAC_LEN, hex);
}

static bool session_id_is_ours(struct request *rq, const struct command *c, struct str id)
{
	uint64_t when_ms, now = clock_wall_ms();
	ptrdiff_t dot = str_find(id, '.');

	if (dot <= 0 || str_u64(str_of(id.p, (size_t)dot), UINT64_MAX, &when_ms))
		return false;
	if (when_ms > now || now - when_ms > FORM_LIFE_MS)
		return false;
	return secret_eq(session_id_for(rq, c, when_ms), id);
}

/* ---- answers ---- */

static struct node *command_node(struct arena *a, const struct command *c, struct str session_id, const char *status)
{
	struct node *n = node_new(a, A_command, NS_COMMANDS);

	node_set(a, n, "node", str_c(c->node));
	node_set(a, n, "sessionid", session_id);
	node_set(a, n, "status", str_c(status));
	return n;
}

static void run_free(struct command_run *r)
{
	struct arena *a = r->a;

	buf_clear(&r->failures);
	arena_free(a);
}

static void complete(struct command_run *r, const char *note_type, const char *note, struct node *result)
{
	struct node *n = command_node(r->a, r->command, r->session_id, "completed");

	if (note)
		node_set(r->a, node_add_text(r->a, n, A_note, NS_COMMANDS, str_c(note)), "type", str_c(note_type));
	if (result)
		node_append(n, result);
	pending_result(r->pending, n);
	run_free(r);
}

void command_done(struct command_run *r, const char *note, struct node *result)
{
	complete(r, "info", note, result);
}

void command_warn(struct command_run *r, const char *note)
{
	complete(r, "error", note, NULL);
}

void command_failed(struct command_run *r, const char *type, enum atom condition, const char *text)
{
	pending_error(r->pending, type, condition, text);
	run_free(r);
}

static void show_form(struct request *rq, const struct command *c)
{
	struct node *n = command_node(rq->a, c, session_id_for(rq, c, clock_wall_ms()), "executing"), *actions, *form;

	actions = node_add(rq->a, n, A_actions, NS_COMMANDS);
	node_set(rq->a, actions, "execute", STR("complete"));
	node_add(rq->a, actions, A_complete, NS_COMMANDS);
	form = node_add(rq->a, n, A_x, NS_DATA);
	node_set(rq->a, form, "type", STR("form"));
	node_add_text(rq->a, form, A_title, NS_DATA, str_c(c->name));
	node_add_text(rq->a, form, A_instructions, NS_DATA, str_c(c->instructions));
	form_field(rq->a, form, "FORM_TYPE", "hidden", NULL, str_c(form_type_of(rq)));
	for (const struct command_field *f = c->fields; f->var; f++) {
		struct node *field = form_field(rq->a, form, f->var, f->type, f->label, STR_NONE);
		if (f->required)
			node_add(rq->a, field, A_required, NS_DATA);
	}
	reply_result(rq, n);
}

/* ---- execution ---- */

static void run(struct request *rq, const struct command *c, struct node *form, struct str session_id)
{
	struct arena *a = arena_new(4096);
	struct command_run *r = ARENA_NEW(a, struct command_run);

	r->a = a;
	r->command = c;
	r->form = form ? node_copy(a, form) : NULL;
	r->session_id = arena_str(a, session_id.n ? session_id : session_id_for(rq, c, clock_wall_ms()));
	r->actor = jid_dup(a, rq->session->jid);
	r->domain = arena_str(a, jid_domain(&rq->to));
	buf_init(&r->failures, 65536);
	r->pending = reply_later(rq);
	c->run(r);
}

/* The first required field without a value, or NULL. */
static const struct command_field *missing(struct request *rq, const struct command *c, const struct node *form)
{
	for (const struct command_field *f = c->fields; f->var; f++)
		if (f->required && !str_trim(form_value(rq->a, form, f->var)).n)
			return f;
	return NULL;
}

static void submit(struct request *rq, const struct command *c, struct node *form, struct str session_id)
{
	const struct command_field *f = missing(rq, c, form);

	if (!str_eq_c(form_type(rq->a, form), form_type_of(rq)))
		reply_error_with(rq, "modify", A_bad_request, A_bad_payload, NS_COMMANDS,
				 "This is not the form of the command");
	else if (f)
		reply_error_with(rq, "modify", A_bad_request, A_bad_payload, NS_COMMANDS,
				 arena_printf(rq->a, "Fill in the field \"%s\"", f->label).p);
	else
		run(rq, c, form, session_id);
}

static void execute(struct request *rq, const struct command *c, struct str session_id)
{
	struct node *form = node_child(rq->child, A_x, NS_DATA);

	if (!c->fields || (c->form_optional && !form))
		run(rq, c, NULL, session_id);
	else if (form && str_eq_c(node_attr(form, "type"), "submit"))
		submit(rq, c, form, session_id);
	else if (form && str_eq_c(node_attr(form, "type"), "cancel"))
		reply_result(rq, command_node(rq->a, c, session_id, "canceled"));
	else if (!session_id.n)
		show_form(rq, c);
	else
		reply_error_with(rq, "modify", A_bad_request, A_bad_payload, NS_COMMANDS, "Send the form filled in");
}

static void command(struct request *rq)
{
	struct str action = node_attr(rq->child, "action"), session_id = node_attr(rq->child, "sessionid");
	const struct command *c = command_find(rq, node_attr(rq->child, "node"));

	if (!c) {
		reply_error(rq, "cancel", A_item_not_found, "There is no such command");
	} else if (session_id.n && !session_id_is_ours(rq, c, session_id)) {
		reply_error_with(rq, "modify", A_bad_request, A_bad_sessionid, NS_COMMANDS,
				 "The form is too old or of another command; begin again");
	} else if (!action.p || str_eq_c(action, "execute") || str_eq_c(action, "complete")) {
		execute(rq, c, session_id);
	} else if (str_eq_c(action, "cancel") && session_id.n) {
		reply_result(rq, command_node(rq->a, c, session_id, "canceled"));
	} else {
		reply_error_with(rq, "modify", A_bad_request,
				 str_eq_c(action, "next") || str_eq_c(action, "prev") || str_eq_c(action, "cancel")
					 ? A_bad_action
					 : A_malformed_action,
				 NS_COMMANDS, "The command has one form: complete it or cancel it");
	}
}

/* ---- disco (XEP-0050 section 2) ---- */

bool adhoc_disco_info(struct request *rq, struct str node)
{
	const struct command *c = command_find(rq, node);
	bool list = str_eq_c(node, COMMANDS);

	if (!c && !list)
		return false;
	struct node *q = node_new(rq->a, A_query, NS_DISCO_INFO), *i = node_add(rq->a, q, A_identity, NS_DISCO_INFO);
	node_set(rq->a, q, "node", node);
	node_set(rq->a, i, "category", STR("automation"));
	node_set(rq->a, i, "type", list ? STR("command-list") : STR("command-node"));
	if (c)
		node_set(rq->a, i, "name", str_c(c->name));
	node_set(rq->a, node_add(rq->a, q, A_feature, NS_DISCO_INFO), "var", STR(COMMANDS));
	node_set(rq->a, node_add(rq->a, q, A_feature, NS_DISCO_INFO), "var", STR("jabber:x:data"));
	reply_result(rq, q);
	return true;
}

bool adhoc_disco_items(struct request *rq, struct str node)
{
	if (!str_eq_c(node, COMMANDS))
		return false;
	struct node *q = node_new(rq->a, A_query, NS_DISCO_ITEMS);
	node_set(rq->a, q, "node", node);
	for (const struct command *c = table_of(rq); c->node; c++) {
		struct node *i = node_add(rq->a, q, A_item, NS_DISCO_ITEMS);
		node_set(rq->a, i, "jid", rq->to.full);
		node_set(rq->a, i, "node", str_c(c->node));
		node_set(rq->a, i, "name", str_c(c->name));
	}
	reply_result(rq, q);
	return true;
}

static const struct handler rows[] = {
	{ IQ_SET, A_command, NS_COMMANDS, TO_HOST, FOR_ADMIN, COMMANDS, command },
	{ IQ_SET, A_command, NS_COMMANDS, TO_NOTIFY, 0, NULL, command },
	{ .fn = NULL },
};
const struct handler_table adhoc_handlers = { "XEP-0050 ad-hoc commands", rows, NULL, NULL };
