/*
 * Administration by ad-hoc commands (XEP-0133): one table. Changes go through server/im/account.h as those of the
 * command line do, so they are checked, audited and end sessions alike. Home thread of the administrator.
 */
#include "base/err.h"
#include "server/im/account.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/xmpp/adhoc_commands.h"
#include "storage/tab_account.h"
#include "xml/datetime.h"
#include "xml/print.h"
#include <string.h>

#define ADMIN "http://jabber.org/protocol/admin"
enum { LIST_MAX = 1000 };

static struct node *result_form(struct command_run *r)
{
	struct node *holder = node_new(r->a, A_command, NS_COMMANDS), *form = form_new(r->a, holder, "result", ADMIN);

	node_remove(form);
	return form;
}

/* ---- whom it is about ---- */

static bool read_jids(struct command_run *r, const char *var)
{
	struct str *values;
	size_t n = form_values(r->a, r->form, var, &values);

	r->jids = arena_zero(r->a, (n + 1) * sizeof *r->jids);
	for (size_t i = 0; i < n; i++) {
		struct str text = str_trim(values[i]);
		struct jid j;
		if (!text.n)
			continue;
		if (jid_parse(r->a, text, &j) || !j.local_n || !im_is_our_domain(jid_domain(&j))) {
			command_failed(r, "modify", A_bad_request,
				       arena_printf(r->a, "\"%.*s\" is no address of a person of this server",
						    STR_ARG(text))
					       .p);
			return false;
		}
		r->jids[r->n_jids++] = j;
	}
	if (r->n_jids)
		return true;
	command_failed(r, "modify", A_bad_request, "Name at least one account");
	return false;
}

static const struct {
	int err;
	const char *type;
	enum atom condition;
	const char *text;
} errors[] = {
	{ ERR_SYNTAX, "modify", A_not_acceptable,
	  "the name or the password has characters that are not allowed, or is empty or too long" },
	{ ERR_NOT_FOUND, "cancel", A_item_not_found, "there is no such account" },
	{ ERR_EXISTS, "cancel", A_conflict, "the account exists already" },
	{ ERR_CONFLICT, "cancel", A_conflict, "the name looks like the one of another account" },
	{ ERR_FORBIDDEN, "cancel", A_not_allowed, "the company directory owns this account: change it there" },
	{ ERR_AGAIN, "wait", A_resource_constraint, "the server is busy: repeat in a moment" },
	{ ERR_NO_SPACE, "wait", A_resource_constraint, "the disk of the server is full" },
	{ 0, "wait", A_internal_server_error, "the server could not store the change" },
};

static size_t error_row(int err)
{
	size_t i = 0;

	while (errors[i].err && errors[i].err != err)
		i++;
	return i;
}

/* ---- changes of accounts, one after the other ---- */

typedef void account_verb(const struct account_op *op, account_done_fn *done, void *ctx);
static void change_next(struct command_run *r, account_verb *verb);

static account_verb *verb_of(const struct command_run *r);

static void changed(void *ctx, int err, uint32_t id)
{
	struct command_run *r = ctx;
	size_t row = error_row(err);
	struct jid *j = &r->jids[r->next_jid - 1];

	(void)id;
	if (err) {
		r->n_failed++;
		buf_printf(&r->failures, "%s%.*s: %s", r->failures.n ? "; " : "", STR_ARG(j->full), errors[row].text);
	}
	if (r->next_jid < r->n_jids) {
		change_next(r, verb_of(r));
		return;
	}
	if (!r->n_failed) {
		command_done(r, "Done", NULL);
		return;
	}
	const char *text = arena_str(r->a, buf_str(&r->failures)).p;
	if (r->n_jids == 1)
		command_failed(r, errors[row].type, errors[row].condition, text);
	else
		command_warn(r, text);
}

static void change_next(struct command_run *r, account_verb *verb)
{
	struct jid *j = &r->jids[r->next_jid++];
	struct account_op op = { .domain = jid_domain(j),
				 .local = jid_local(j),
				 .password = form_value(r->a, r->form, "password"),
				 .actor = jid_bare(&r->actor) };

	verb(&op, changed, r);
}

static void change_all(struct command_run *r, const char *var)
{
	if (!read_jids(r, var))
		return;
	for (size_t i = 0; i < r->n_jids; i++) {
		account_verb *verb = verb_of(r);
		if (!jid_bare_eq(&r->jids[i], &r->actor) || (verb != account_remove && verb != account_disable))
			continue;
		command_failed(r, "cancel", A_not_allowed,
			       "You cannot lock yourself out; let another administrator do it");
		return;
	}
	change_next(r, verb_of(r));
}

static void change_many(struct command_run *r)
{
	change_all(r, "accountjids");
}

static void add_user(struct command_run *r)
{
	if (str_eq(form_value(r->a, r->form, "password"), form_value(r->a, r->form, "password-verify")))
		change_all(r, "accountjid");
	else
		command_failed(r, "modify", A_bad_request, "The two passwords differ");
}

static void set_password(struct command_run *r)
{
	change_all(r, "accountjid");
}

/* ---- ending sessions ---- */

struct kick {
	struct jid jid;
	char bytes[];
};

/* By numbers: the user goes with his last session. */
static void kick_arrived(void *data)
{
	struct kick *k = data;
	struct user *u = user_find(jid_bare(&k->jid));
	uint64_t numbers[1024];
	size_t n = 0;

	if (!u)
		return;
	list_each (s, &u->sessions, struct session, of_user)
		if (n < 1024 && (jid_is_bare(&k->jid) || jid_eq(&s->jid, &k->jid)))
			numbers[n++] = s->number;
	for (size_t i = 0; i < n; i++) {
		struct session *s = session_by_number(numbers[i]);
		if (s)
			s->transport->kick(s, "policy-violation", "An administrator ended the session");
	}
}

static void end_session(struct command_run *r)
{
	if (!read_jids(r, "accountjids"))
		return;
	for (size_t i = 0; i < r->n_jids; i++) {
		struct kick *k = mem_zero(sizeof *k + r->jids[i].full.n);
		memcpy(k->bytes, r->jids[i].full.p, r->jids[i].full.n);
		k->jid = r->jids[i];
		k->jid.full.p = k->bytes;
		post_to(threads_home(jid_bare(&k->jid)), kick_arrived, k, mem_free);
	}
	command_done(r, "Done", NULL);
}

/* ---- questions ---- */

struct people {
	struct command_run *r;
	struct node *field;
	bool disabled;
	uint64_t n, max;
};

static uint64_t list_max(struct command_run *r)
{
	uint64_t n;

	return r->form && str_u64(form_value(r->a, r->form, "max_items"), LIST_MAX, &n) == 0 ? n : LIST_MAX;
}

static bool count_account(void *ctx, const struct account_rec *rec)
{
	struct people *p = ctx;

	if (p->disabled && !rec->disabled)
		return true;
	if (p->field && p->n < p->max)
		form_field_value(p->r->a, p->field, arena_cat(p->r->a, rec->local, STR("@"), rec->domain, STR_NONE));
	p->n++;
	return true;
}

static void count_all(struct people *p)
{
	struct txn *t = im_read();

	account_each(t, p->r->domain, count_account, p);
	txn_commit(t);
}

static void count_online(void *ctx, struct str bare)
{
	struct people *p = ctx;
	size_t local = (size_t)str_find(bare, '@') + 1;

	if (!str_eq(str_of(bare.p + local, bare.n - local), p->r->domain))
		return;
	if (p->field && p->n < p->max)
		form_field_value(p->r->a, p->field, arena_str(p->r->a, bare));
	p->n++;
}

static void answer_number(struct command_run *r, const char *var, uint64_t n)
{
	struct node *form = result_form(r);

	form_field(r->a, form, var, NULL, NULL, arena_printf(r->a, "%llu", (unsigned long long)n));
	command_done(r, NULL, form);
}

static void registered_num(struct command_run *r)
{
	struct people p = { .r = r };

	count_all(&p);
	answer_number(r, "registeredusersnum", p.n);
}

static void disabled_num(struct command_run *r)
{
	struct people p = { .r = r, .disabled = true };

	count_all(&p);
	answer_number(r, "disabledusersnum", p.n);
}

static void online_num(struct command_run *r)
{
	struct people p = { .r = r };

	presence_each_person(count_online, &p);
	answer_number(r, "onlineusersnum", p.n);
}

static void answer_list(struct command_run *r, const char *var, bool online, bool disabled)
{
	struct node *form = result_form(r);
	struct people p = { .r = r,
			    .disabled = disabled,
			    .max = list_max(r),
			    .field = form_field(r->a, form, var, "jid-multi", NULL, STR_NONE) };

	if (online)
		presence_each_person(count_online, &p);
	else
		count_all(&p);
	command_done(r,
		     p.n > p.max ? arena_printf(r->a, "The first %llu of %llu", (unsigned long long)p.max,
						(unsigned long long)p.n)
					   .p
				 : NULL,
		     form);
}

static void registered_list(struct command_run *r)
{
	answer_list(r, "registereduserjids", false, false);
}

static void disabled_list(struct command_run *r)
{
	answer_list(r, "disableduserjids", false, true);
}

static void online_list(struct command_run *r)
{
	answer_list(r, "onlineuserjids", true, false);
}

static void last_login(struct command_run *r)
{
	char when[DATETIME_MAX];
	struct str status;
	uint64_t wall_ms;

	if (!read_jids(r, "accountjid"))
		return;
	struct jid bare = jid_to_bare(r->jids[0]);
	uint32_t id = peer_get(&bare)->archived;
	struct node *form = result_form(r);
	struct txn *t = im_read();
	int err = id ? account_get_last_seen(t, id, &wall_ms, &status) : ERR_NOT_FOUND;

	txn_commit(t);
	if (!id) {
		command_failed(r, "cancel", A_item_not_found, "There is no such account");
		return;
	}
	form_field(r->a, form, "accountjid", "jid-single", NULL, jid_bare(&bare));
	form_field(r->a, form, "lastlogin", NULL, NULL,
		   presence_is_available(jid_bare(&bare)) ? STR("online")
		   : err				  ? STR("never")
			 : arena_str(r->a, str_of(when, datetime_print(wall_ms, when))));
	command_done(r, NULL, form);
}

/* ---- a message to everybody online ---- */

struct announcement {
	struct chunk *payload;
	struct str domain;
	char bytes[];
};

static void announce_arrived(void *data)
{
	struct announcement *n = data;

	list_each_safe (s, &home()->sessions, struct session, of_home) {
		struct outgoing o = {
			.kind = STANZA_MESSAGE, .from = n->domain, .type = STR("headline"), .payload = n->payload
		};
		if (s->available && str_eq(jid_domain(&s->jid), n->domain))
			session_send(s, &o);
	}
}

static void announce_free(void *data)
{
	chunk_unref(((struct announcement *)data)->payload);
	mem_free(data);
}

static void announce(struct command_run *r)
{
	struct node *m = node_new(r->a, A_message, NS_CLIENT), *body = node_add(r->a, m, A_body, NS_CLIENT);
	struct str subject = form_value(r->a, r->form, "subject"), *lines;
	size_t n = form_values(r->a, r->form, "announcement", &lines);

	for (size_t i = 0; i < n; i++) {
		if (i)
			node_append_text(r->a, body, STR("\n"));
		node_append_text(r->a, body, lines[i]);
	}
	if (subject.n)
		node_add_text(r->a, m, A_subject, NS_CLIENT, subject);
	struct announcement *news = mem_zero(sizeof *news + r->domain.n);
	memcpy(news->bytes, r->domain.p, r->domain.n);
	news->domain = str_of(news->bytes, r->domain.n);
	news->payload = payload_of_children(m);
	fanout(announce_arrived, news, announce_free);
	command_done(r, "Sent to everybody online", NULL);
}

/* ---- the table ---- */

static const struct command_field new_user[] = {
	{ "accountjid", "jid-single", "Address", true },
	{ "password", "text-private", "Password", true },
	{ "password-verify", "text-private", "Password again", true },
	{ .var = NULL },
};
static const struct command_field one_password[] = {
	{ "accountjid", "jid-single", "Address", true },
	{ "password", "text-private", "New password", true },
	{ .var = NULL },
};
static const struct command_field many[] = { { "accountjids", "jid-multi", "Addresses", true }, { .var = NULL } };
static const struct command_field one[] = { { "accountjid", "jid-single", "Address", true }, { .var = NULL } };
static const struct command_field how_many[] = { { "max_items", "text-single", "At most so many", false },
						 { .var = NULL } };
static const struct command_field text[] = {
	{ "subject", "text-single", "Subject", false },
	{ "announcement", "text-multi", "Text", true },
	{ .var = NULL },
};

const struct command admin_commands[] = {
	{ ADMIN "#add-user", "Add a person", "The new account and its password.", new_user, false, add_user },
	{ ADMIN "#delete-user", "Delete people", "Their accounts end for good.", many, false, change_many },
	{ ADMIN "#disable-user", "Disable people", "They cannot log in until they are enabled again.", many, false,
	  change_many },
	{ ADMIN "#reenable-user", "Enable people", "They can log in again.", many, false, change_many },
	{ ADMIN "#end-user-session", "End sessions", "Of whole accounts or of single devices.", many, false,
	  end_session },
	{ ADMIN "#change-user-password", "Change a password", "The person is logged out everywhere.", one_password,
	  false, set_password },
	{ ADMIN "#get-user-lastlogin", "When was a person here", "The account.", one, false, last_login },
	{ ADMIN "#get-registered-users-num", "How many accounts", NULL, NULL, false, registered_num },
	{ ADMIN "#get-disabled-users-num", "How many disabled accounts", NULL, NULL, false, disabled_num },
	{ ADMIN "#get-online-users-num", "How many people are online", NULL, NULL, false, online_num },
	{ ADMIN "#get-registered-users-list", "Accounts", "How many to show.", how_many, true, registered_list },
	{ ADMIN "#get-disabled-users-list", "Disabled accounts", "How many to show.", how_many, true, disabled_list },
	{ ADMIN "#get-online-users-list", "People online", "How many to show.", how_many, true, online_list },
	{ ADMIN "#announce", "Tell everybody online", "A message from the server.", text, false, announce },
	{ .node = NULL },
};

static account_verb *verb_of(const struct command_run *r)
{
	static const struct {
		const char *node;
		account_verb *verb;
	} verbs[] = {
		{ ADMIN "#add-user", account_add },
		{ ADMIN "#delete-user", account_remove },
		{ ADMIN "#disable-user", account_disable },
		{ ADMIN "#reenable-user", account_enable },
		{ ADMIN "#change-user-password", account_set_password },
	};

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].node, r->command->node) == 0)
			return verbs[i].verb;
	return NULL;
}
