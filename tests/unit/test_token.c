/* Tokens of the API (server/im/token.h): scopes, life, revocation and what voids them (rows A11, A12, A16). */
#include "server/im/token.h"
#include "base/arena.h"
#include "server/im/account.h"
#include "server/im/auth.h"
#include "storage/check.h"
#include "tests/lib/im_rig.h"
#include "tests/lib/test.h"

struct issued {
	struct token_new n;
	char text[TOKEN_TEXT_LEN + 1], id[TOKEN_ID_LEN + 1];
	uint64_t expires_ms;
	int err;
	struct gate gate;
};

static void on_issued(void *ctx, int err, struct str text, struct str id, uint64_t expires_ms)
{
	struct issued *i = ctx;

	i->err = err;
	snprintf(i->text, sizeof i->text, "%.*s", STR_ARG(text));
	snprintf(i->id, sizeof i->id, "%.*s", STR_ARG(id));
	i->expires_ms = expires_ms;
	gate_open(&i->gate);
}

static void issue_here(void *arg)
{
	struct issued *i = arg;

	token_issue(&i->n, on_issued, i);
}

static int issue(struct issued *i)
{
	gate_init(&i->gate);
	rig_run(0, issue_here, i);
	return gate_wait(&i->gate) ? i->err : 1;
}

static struct issued service(const char *name, unsigned scopes)
{
	return (struct issued){ .n = { .by = { .kind = PRINCIPAL_CONTROL, .name = STR("ctl") },
				       .domain = STR("example.org"),
				       .name = str_c(name),
				       .scopes = scopes } };
}

static struct issued person(const char *local, uint64_t life_ms)
{
	struct auth_account a;

	auth_lookup(STR("example.org"), str_c(local), &a);
	return (struct issued){ .n = { .domain = STR("example.org"),
				       .name = STR("Firefox"),
				       .account = a.id,
				       .credentials_epoch = a.credentials_epoch,
				       .life_ms = life_ms } };
}

struct asked {
	const char *text;
	struct principal p;
	char name[64];
	int err;
};
static void ask_here(void *arg)
{
	struct asked *q = arg;
	struct arena *a = arena_new(256);

	q->err = token_check(a, str_c(q->text), &q->p);
	snprintf(q->name, sizeof q->name, "%.*s", STR_ARG(q->p.name));
	arena_free(a);
}

static struct asked ask(const char *text)
{
	struct asked q = { .text = text };

	rig_run(0, ask_here, &q);
	return q;
}

struct revocation {
	struct principal by;
	uint32_t account;
	const char *id;
	int err;
	struct gate gate;
};
static void on_revoked(void *ctx, int err)
{
	struct revocation *r = ctx;

	r->err = err;
	gate_open(&r->gate);
}

static void revoke_here(void *arg)
{
	struct revocation *r = arg;

	token_revoke(&r->by, r->account, str_c(r->id), on_revoked, r);
}

static int revoke(struct principal by, uint32_t account, const char *id)
{
	struct revocation r = { .by = by, .account = account, .id = id };

	gate_init(&r.gate);
	rig_run(0, revoke_here, &r);
	return gate_wait(&r.gate) ? r.err : 1;
}

TEST(scopes_by_name)
{
	unsigned bits;
	char text[64];

	is_int(token_scopes_parse(STR("read, send-as system"), &bits), 0);
	is_int(bits, SCOPE_READ | SCOPE_SEND_AS | SCOPE_SYSTEM);
	is_int(token_scopes_print(bits, text, sizeof text), 19);
	is_cstr(text, "read send-as system");
	is_int(token_scopes_parse(STR(""), &bits), ERR_SYNTAX);
	is_int(token_scopes_parse(STR("root"), &bits), ERR_SYNTAX);
	is_int(token_scopes_parse(STR("Read"), &bits), ERR_SYNTAX);
	is_int(token_scopes_parse(STR("org,admin,chats"), &bits), 0);
	is_int(bits, SCOPE_ORG | SCOPE_ADMIN | SCOPE_CHATS);
}

TEST(a_service_token_says_who_and_what)
{
	rig_start(1, NULL);
	struct issued i = service("portal", SCOPE_SEND_AS | SCOPE_SYSTEM), again = service("portal", SCOPE_READ),
		      bad = service("", SCOPE_READ);
	is_int(issue(&i), 0);
	is_int(strlen(i.text), TOKEN_TEXT_LEN);
	is_int(issue(&again), ERR_EXISTS);
	is_int(issue(&bad), ERR_SYNTAX);
	bad = service("none", 0);
	is_int(issue(&bad), ERR_SYNTAX);
	struct asked q = ask(i.text);
	is_int(q.err, 0);
	is_int(q.p.kind, PRINCIPAL_SERVICE);
	is_int(q.p.scopes, SCOPE_SEND_AS | SCOPE_SYSTEM);
	is_cstr(q.name, "api:portal");
	ok(principal_has(&q.p, SCOPE_SYSTEM) && !principal_has(&q.p, SCOPE_ADMIN), "it has its scopes and no other");
	i.text[20] = i.text[20] == 'x' ? 'y' : 'x';
	is_int(ask(i.text).err, ERR_AUTH);
	is_int(ask("vst-").err, ERR_AUTH);
	is_int(ask("").err, ERR_AUTH);
	rig_stop();
}

TEST(a_persons_token_is_void_with_the_password)
{
	rig_start(1, NULL);
	is_int(rig_add("example.org", "anna", "secret"), 0);
	struct issued i = person("anna", 60000);
	is_int(issue(&i), 0);
	struct asked q = ask(i.text);
	is_int(q.err, 0);
	is_int(q.p.kind, PRINCIPAL_USER);
	is_cstr(q.name, "anna@example.org");
	ok(may_speak_as(&q.p, q.p.account) == 0 && may_speak_as(&q.p, q.p.account + 1) == ERR_FORBIDDEN &&
		   may_speak_as(&q.p, 0) == ERR_FORBIDDEN,
	   "she speaks as herself only (row I14)");
	is_int(rig_change(account_set_password, "anna", "another"), 0);
	is_int(ask(i.text).err, ERR_AUTH);
	is_int(issue(&i), ERR_CONFLICT); /* proved before the change */
	i = person("anna", 60000);
	is_int(issue(&i), 0);
	is_int(rig_change(account_revoke, "anna", NULL), 0);
	is_int(ask(i.text).err, ERR_AUTH);
	i = person("anna", 60000);
	is_int(issue(&i), 0);
	is_int(rig_change(account_disable, "anna", NULL), 0);
	is_int(ask(i.text).err, ERR_AUTH);
	is_int(rig_change(account_enable, "anna", NULL), 0);
	i = person("anna", 60000);
	is_int(issue(&i), 0);
	is_int(rig_change(account_remove, "anna", NULL), 0);
	is_int(ask(i.text).err, ERR_AUTH);
	rig_stop();
}

TEST(revoked_at_once_by_those_who_may)
{
	struct principal nobody = { .kind = PRINCIPAL_USER, .account = 99, .name = STR("x") },
			 ctl = { .kind = PRINCIPAL_CONTROL, .name = STR("ctl") };

	rig_start(1, NULL);
	is_int(rig_add("example.org", "anna", "secret"), 0);
	struct issued s = service("portal", SCOPE_READ), i = person("anna", 60000);
	is_int(issue(&s), 0);
	is_int(issue(&i), 0);
	is_int(revoke(nobody, 0, s.id), ERR_NOT_FOUND);
	is_int(revoke(nobody, 99, i.id), ERR_NOT_FOUND);
	is_int(revoke(ctl, 0, "zzzz"), ERR_NOT_FOUND);
	is_int(ask(s.text).err, 0);
	is_int(revoke(nobody, i.n.account, i.id), 0);
	is_int(ask(i.text).err, ERR_AUTH);
	is_int(revoke(ctl, 0, s.id), 0);
	is_int(ask(s.text).err, ERR_AUTH);
	is_int(revoke(ctl, 0, s.id), ERR_NOT_FOUND);
	rig_stop();
}
