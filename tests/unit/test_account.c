/* server/im/account: what each change does to record, audit log and listener; look-alike names (I05); no password in
 * the store (A11). */
#include "server/im/account.h"
#include "base/mem.h"
#include "server/im/auth.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "tests/lib/im_rig.h"
#include "tests/lib/test.h"

struct change {
	void (*fn)(const struct account_op *op, account_done_fn *done, void *ctx);
	struct account_op op;
	struct gate gate;
	int err;
	uint32_t id;
	bool nested, returned;
};

static void change_done(void *ctx, int err, uint32_t id)
{
	struct change *c = ctx;

	c->err = err;
	c->id = id;
	c->nested = !c->returned;
	gate_open(&c->gate);
}

static void change_start(void *arg)
{
	struct change *c = arg;

	c->fn(&c->op, change_done, c);
	c->returned = true;
}

typedef void verb_fn(const struct account_op *op, account_done_fn *done, void *ctx);

static int run(verb_fn *fn, struct account_op op, uint32_t *out_id)
{
	struct change c = { .fn = fn, .op = op };

	gate_init(&c.gate);
	rig_run(0, change_start, &c);
	if (!ok(gate_wait(&c.gate), "an answer comes"))
		return 1;
	ok(!c.nested, "and not nested");
	if (out_id)
		*out_id = c.id;
	return c.err;
}

#define OP(...) ((struct account_op){ .actor = STR("tester"), __VA_ARGS__ })

/* What the listener heard last. */
static struct {
	char bare[128];
	uint32_t id, epoch;
	enum account_change change;
	uint64_t keep_session;
	int worker;
	unsigned calls;
	struct gate gate;
} heard;

static void on_change(struct str bare, uint32_t id, enum account_change change, uint32_t epoch, uint64_t keep)
{
	snprintf(heard.bare, sizeof(heard.bare), "%.*s", STR_ARG(bare));
	heard.id = id;
	heard.change = change;
	heard.epoch = epoch;
	heard.keep_session = keep;
	heard.worker = threads_self();
	heard.calls++;
	gate_open(&heard.gate);
}

static void up(void)
{
	heard.calls = 0;
	gate_init(&heard.gate);
	account_set_listener(on_change);
	rig_start(4, NULL);
}

static void down(void)
{
	rig_stop();
	account_set_listener(NULL);
}

/* The listener is called on the home worker with the change. */
static void listened(const char *bare, enum account_change change, uint32_t id)
{
	if (!ok(gate_wait(&heard.gate), "the listener hears of it"))
		return;
	is_cstr(heard.bare, bare);
	is_int(heard.change, change);
	is_int(heard.id, id);
	is_int(heard.worker, threads_home(str_c(bare)));
}

struct copy {
	bool found, disabled, is_admin, directory_owned;
	uint32_t id, epoch;
	struct scram_keys scram[HASH_KINDS];
};

static struct copy get(const char *local)
{
	struct account_rec rec;
	struct copy c;

	memset(&c, 0, sizeof(c));
	struct txn *t = im_read();

	if (account_get(t, STR("example.org"), str_c(local), &rec) == 0) {
		c.found = true;
		c.disabled = rec.disabled;
		c.is_admin = rec.is_admin;
		c.directory_owned = rec.directory_owned;
		c.id = rec.id;
		c.epoch = rec.credentials_epoch;
		memcpy(c.scram, rec.scram, sizeof(c.scram));
	}
	is_int(txn_commit(t), 0);
	return c;
}

TEST(add_stores_keys_and_refuses_doubles)
{
	uint32_t id = 0, second = 0;

	up();
	is_int(run(account_add, OP(.local = STR("Anna"), .password = STR("secret"), .is_admin = true), &id), 0);
	struct copy c = get("anna");
	ok(c.found && c.is_admin && !c.disabled && !c.directory_owned && c.id == id, "stored under the prepared name");
	for (unsigned k = 0; k < HASH_KINDS; k++)
		ok(c.scram[k].present && c.scram[k].iterations == 4096, "keys of kind %u", k);
	listened("anna@example.org", ACCOUNT_CREATED, id);
	is_int(run(account_add, OP(.local = STR("anna"), .password = STR("x")), NULL), ERR_EXISTS);
	is_int(run(account_add, OP(.local = STR("ANNA"), .password = STR("x")), NULL), ERR_EXISTS);
	is_int(run(account_add, OP(.domain = STR("other.example"), .local = STR("anna"), .password = STR("x")),
		   &second),
	       0);
	ok(second && second != id, "the other domain has its own anna");
	is_int(run(account_add, OP(.domain = STR("foreign.example"), .local = STR("anna"), .password = STR("x")), NULL),
	       ERR_NOT_FOUND);
	down();
}

TEST(unfit_names_and_passwords)
{
	char big[1100];

	up();
	memset(big, 'x', sizeof(big));
	is_int(run(account_add, OP(.local = STR("")), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("a b")), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("a@b")), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("a/b")), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("a\0b")), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("\xff")), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = str_of(big, 1024)), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("ok"), .password = str_of(big, 1025)), NULL), ERR_SYNTAX);
	is_int(run(account_add, OP(.local = STR("ok"), .password = STR("\x07")), NULL), ERR_SYNTAX);
	ok(!get("ok").found, "nothing was made");
	is_int(run(account_add, OP(.local = STR("ok"), .password = str_of(big, 1024)), NULL), 0);
	is_int(run(account_set_password, OP(.local = STR("ok"), .password = STR("")), NULL), ERR_SYNTAX);
	down();
}

TEST(i05_look_alikes_need_force)
{
	char name[64];

	up();
	is_int(run(account_add, OP(.local = STR("boss"), .password = STR("x")), NULL), 0);
	is_int(run(account_add, OP(.local = STR("b\xd0\xbess"), .password = STR("x")), NULL),
	       ERR_CONFLICT); /* Cyrillic o */
	ok(!get("b\xd0\xbess").found, "nothing was made");
	struct txn *t = im_read();
	is_int(account_look_alike(t, STR("example.org"), STR("b\xd0\xbess"), name, sizeof(name)), ERR_CONFLICT);
	is_cstr(name, "boss");
	is_int(account_look_alike(t, STR("other.example"), STR("b\xd0\xbess"), name, sizeof(name)), 0);
	is_int(account_look_alike(t, STR("example.org"), STR("boss"), name, sizeof(name)), 0); /* itself */
	txn_commit(t);
	is_int(run(account_add, OP(.local = STR("b\xd0\xbess"), .password = STR("x"), .force = true), NULL), 0);
	ok(get("b\xd0\xbess").found, "forced");
	down();
}

TEST(changes_and_their_epochs)
{
	uint32_t id, e;
	struct copy c;

	up();
	is_int(run(account_add, OP(.local = STR("anna"), .password = STR("one"), .directory_owned = true), &id), 0);
	listened("anna@example.org", ACCOUNT_CREATED, id);
	struct copy first = get("anna");
	e = first.epoch;

	is_int(run(account_change_own_password, OP(.local = STR("anna"), .password = STR("two")), NULL), ERR_FORBIDDEN);
	is_int(get("anna").epoch, e);
	is_int(run(account_set_password, OP(.local = STR("anna"), .password = STR("two")), NULL), 0);
	listened("anna@example.org", ACCOUNT_PASSWORD_CHANGED, id);
	c = get("anna");
	ok(c.epoch > e && memcmp(c.scram[1].stored_key, first.scram[1].stored_key, 32) != 0, "new keys, new epoch");
	is_int(heard.epoch, c.epoch);
	e = c.epoch;

	is_int(run(account_disable, OP(.local = STR("anna")), NULL), 0);
	listened("anna@example.org", ACCOUNT_DISABLED, id);
	c = get("anna");
	ok(c.disabled && c.epoch > e, "disabled, new epoch");
	e = c.epoch;
	is_int(run(account_enable, OP(.local = STR("anna")), NULL), 0);
	listened("anna@example.org", ACCOUNT_ENABLED, id);
	ok(!get("anna").disabled && get("anna").epoch == e, "enabled; nobody is thrown out by that");

	is_int(run(account_set_admin, OP(.local = STR("anna"), .is_admin = true), NULL), 0);
	listened("anna@example.org", ACCOUNT_ADMIN_CHANGED, id);
	ok(get("anna").is_admin && get("anna").epoch == e, "administrator now");
	is_int(run(account_revoke, OP(.local = STR("anna")), NULL), 0);
	listened("anna@example.org", ACCOUNT_REVOKED, id);
	ok(get("anna").epoch > e, "revoked: new epoch, the password stays");
	is_mem(get("anna").scram[1].stored_key, c.scram[1].stored_key, 32);

	is_int(run(account_remove, OP(.local = STR("anna")), NULL), 0);
	listened("anna@example.org", ACCOUNT_DELETED, id);
	ok(!get("anna").found, "gone");
	static verb_fn *const verbs[] = { account_set_password,	      account_disable, account_enable,
					  account_set_admin,	      account_remove,  account_revoke,
					  account_change_own_password };
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		is_int(run(verbs[i], OP(.local = STR("anna"), .password = STR("x")), NULL), ERR_NOT_FOUND);
	is_int(heard.calls, 7);
	down();
}

TEST(own_password)
{
	uint32_t id;

	up();
	is_int(run(account_add, OP(.local = STR("boris"), .password = STR("one")), &id), 0);
	listened("boris@example.org", ACCOUNT_CREATED, id);
	is_int(run(account_change_own_password, OP(.local = STR("boris"), .password = STR("two"), .keep_session = 77),
		   NULL),
	       0);
	listened("boris@example.org", ACCOUNT_PASSWORD_CHANGED, id);
	is_int(heard.keep_session, 77);
	im.directory_owns_passwords = true;
	is_int(run(account_change_own_password, OP(.local = STR("boris"), .password = STR("three")), NULL),
	       ERR_FORBIDDEN);
	is_int(run(account_set_password, OP(.local = STR("boris"), .password = STR("three")), NULL),
	       0); /* administrators may */
	down();
}

static void announce_here(void *arg)
{
	(void)arg;
	account_announce(STR("zoe@example.org"), 9, ACCOUNT_CREATED, 4, 0);
}

TEST(announce_reaches_the_home)
{
	up();
	rig_run(1, announce_here, NULL);
	listened("zoe@example.org", ACCOUNT_CREATED, 9);
	is_int(heard.epoch, 4);
	down();
}

#define CANARY "canary-7c1b-password"

TEST(a11_no_password_in_the_store_and_an_audit_trail)
{
	unsigned tables = 0, audits = 0;

	up();
	is_int(run(account_add, OP(.local = STR("carl"), .password = STR(CANARY)), NULL), 0);
	is_int(run(account_set_password, OP(.local = STR("carl"), .password = STR(CANARY "2")), NULL), 0);
	is_int(run(account_disable, OP(.local = STR("carl")), NULL), 0);
	is_int(run(account_disable, OP(.local = STR("nobody")), NULL), ERR_NOT_FOUND);
	struct txn *t = im_read();
	for (unsigned tab = 0; tab < TAB_COUNT; tab++) {
		struct scan s;
		bool leaked = false;

		scan_open(&s, t, (enum table)tab, STR_NONE, STR_NONE);
		while (scan_next(&s)) {
			leaked |= memmem(s.value.p, s.value.n, CANARY, strlen(CANARY)) != NULL;
			if (tab == TAB_AUDIT) {
				audits++;
				ok(memmem(s.value.p, s.value.n, "tester", 6) &&
					   memmem(s.value.p, s.value.n, "carl@example.org", 16),
				   "record %u says who and whom", audits);
			}
		}
		scan_close(&s);
		if (leaked)
			ok(false, "the password is in table %u", tab);
		tables++;
	}
	txn_commit(t);
	is_int(tables, TAB_COUNT);
	is_int(audits, 3);
	down();
}
