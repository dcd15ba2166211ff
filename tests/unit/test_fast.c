/* FAST (XEP-0484) through server/xmpp/sasl and server/im/fast: each mechanism, rotation, counts, invalidation, limits,
 * epochs (A16). */
#include "server/im/fast.h"
#include "base/list.h"
#include "server/im/auth.h"
#include "storage/tab_account.h"
#include "tests/lib/sasl_client.h"
#include "tests/lib/test.h"

#define AGENT "d4565fa7-4d72-4749-b3d3-740edbf87770"

struct token {
	uint32_t id, epoch;
	const char *agent, *mechanism;
	char text[FAST_TOKEN_LEN + 1];
	uint64_t expires_ms;
	int err;
	struct gate gate;
};

static void issued(void *ctx, int err, struct str token, uint64_t expires_ms)
{
	struct token *t = ctx;

	t->err = err;
	snprintf(t->text, sizeof(t->text), "%.*s", STR_ARG(token));
	t->expires_ms = expires_ms;
	gate_open(&t->gate);
}

static void issue_here(void *arg)
{
	struct token *t = arg;

	fast_issue(t->id, t->epoch, str_c(t->agent), str_c(t->mechanism), issued, t);
}

static int issue(struct token *t, const char *agent, const char *mechanism)
{
	struct auth_account a;

	auth_lookup(STR("example.org"), STR("anna"), &a);
	t->id = a.id;
	t->epoch = a.credentials_epoch;
	t->agent = agent;
	t->mechanism = mechanism;
	gate_init(&t->gate);
	rig_run(0, issue_here, t);
	return gate_wait(&t->gate) ? t->err : 1;
}

static struct str ht_message(struct client *l, const char *user, const char *token, struct str binding)
{
	uint8_t mac[HASH_MAX];

	hmac(HASH_SHA256, str_c(token), arena_cat(l->a, STR("Initiator"), binding, STR_NONE), mac);
	return arena_cat(l->a, str_c(user), str_of("\0", 1), str_of((char *)mac, 32), STR_NONE);
}

static void ht_init(struct client *l, const char *agent)
{
	client_init(l, WITH_TLS | SASL2);
	l->peer.fast = true;
	l->peer.user_agent_id = str_c(agent);
}

/* A whole FAST login with its own struct sasl. */
static const char *ht(const char *agent, const char *user, const char *mechanism, const char *token, int64_t count,
		      bool invalidate, bool *out_rotate)
{
	struct client l;
	static char condition[64];
	uint8_t mac[HASH_MAX];
	struct str binding = strstr(mechanism, "NONE")
				     ? STR_NONE
				     : str_of((char *)(strstr(mechanism, "EXPR") ? sasl_exporter : sasl_endpoint), 32);

	ht_init(&l, agent);
	l.peer.has_fast_count = count >= 0;
	l.peer.fast_count = (uint64_t)count;
	l.peer.fast_invalidate = invalidate;
	const struct sasl_outcome *o = client_begin(&l, mechanism, true, ht_message(&l, user, token, binding));
	if (o->kind == SASL_SUCCESS) {
		hmac(HASH_SHA256, str_c(token), arena_cat(l.a, STR("Responder"), binding, STR_NONE), mac);
		bool proved = o->has_data && str_eq(o->data, str_of((char *)mac, 32)) && o->by_token &&
			      str_eq_c(o->local, user);
		snprintf(condition, sizeof(condition), "%s", proved ? "success" : "bad success");
		if (out_rotate)
			*out_rotate = o->rotate_token;
	} else {
		snprintf(condition, sizeof(condition), "%s", o->condition);
	}
	client_end(&l);
	return condition;
}

TEST(fast_logs_in_with_each_mechanism)
{
	static const char *const mechanisms[] = { "HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE" };
	bool rotate = true;

	sasl_rig_up();
	for (size_t i = 0; i < 3; i++) {
		struct token t;

		is_int(issue(&t, AGENT, mechanisms[i]), 0);
		is_int(strlen(t.text), FAST_TOKEN_LEN);
		is_cstr(ht(AGENT, "anna", mechanisms[i], t.text, -1, false, &rotate), "success");
		ok(!rotate, "a young token stays");
		is_cstr(ht(AGENT, "anna", mechanisms[i], t.text, -1, false, NULL), "success");
		is_cstr(ht(AGENT, "anna", mechanisms[(i + 1) % 3], t.text, -1, false, NULL), "not-authorized");
		is_cstr(ht(AGENT, "boris", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
		is_cstr(ht(AGENT, "nobody", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
		is_cstr(ht("another-agent", "anna", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
		t.text[20] ^= 1;
		is_cstr(ht(AGENT, "anna", mechanisms[i], t.text, -1, false, NULL), "not-authorized");
	}
	struct token t;
	is_int(issue(&t, AGENT, "PLAIN"), ERR_SYNTAX);
	is_int(issue(&t, "", "HT-SHA-256-NONE"), ERR_SYNTAX);
	is_int(issue(&t, "line\nbreak", "HT-SHA-256-NONE"), ERR_SYNTAX);
	rig_stop();
}

TEST(fast_rotation_keeps_the_old_until_the_new_is_used)
{
	struct token one, two, three;
	struct limits lim;
	bool rotate = false;

	sasl_rig_up();
	is_int(issue(&one, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, NULL), "success");
	lim = *limits();
	lim.fast_rotate_ms = 0;
	limits_set(&lim);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, &rotate), "success");
	ok(rotate, "due for a new one");
	is_int(issue(&two, AGENT, "HT-SHA-256-NONE"), 0);
	ok(strcmp(one.text, two.text) != 0, "another token");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, NULL),
		"success"); /* the new one may have got lost */
	is_int(issue(&three, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", two.text, -1, false, NULL),
		"not-authorized"); /* never used, replaced */
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", three.text, -1, false, NULL), "success");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", one.text, -1, false, NULL),
		"not-authorized"); /* void by the use of the newer */
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", three.text, -1, false, NULL), "success");
	rig_stop();
}

TEST(fast_count_stops_replays)
{
	struct token t;

	sasl_rig_up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 5, false, NULL), "success");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 5, false, NULL), "not-authorized");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 4, false, NULL), "not-authorized");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 0, false, NULL), "not-authorized");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, 6, false, NULL), "success");
	rig_stop();
}

TEST(fast_invalidate_expiry_and_limits)
{
	struct token t, u;
	struct limits lim;
	char agent[32];

	sasl_rig_up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, true, NULL), "success");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
	lim = *limits();
	lim.fast_token_ms = 0;
	limits_set(&lim);
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "credentials-expired");
	lim.fast_token_ms = 1000000;
	lim.fast_tokens = 2;
	limits_set(&lim);
	is_int(issue(&t, "device-0", "HT-SHA-256-NONE"), 0);
	is_cstr(ht("device-0", "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "success");
	for (int i = 1; i < 8; i++) {
		snprintf(agent, sizeof(agent), "device-%d", i);
		is_int(issue(&u, agent, "HT-SHA-256-NONE"), 0);
	}
	is_cstr(ht("device-0", "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized"); /* gave way */
	is_cstr(ht("device-7", "anna", "HT-SHA-256-NONE", u.text, -1, false, NULL), "success");
	rig_stop();
}

TEST(a16_tokens_die_with_the_epoch)
{
	static void (*const changes[])(const struct account_op *, account_done_fn *, void *) = {
		account_set_password,
		account_revoke,
		account_disable,
		account_remove,
	};
	struct token t;

	sasl_rig_up();
	for (size_t i = 0; i < 4; i++) {
		is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
		is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "success");
		is_int(rig_change(changes[i], "anna", "pencil"), 0);
		is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
		rig_run(0, issue_here, &t); /* with the old epoch: a login that was under way */
		ok(gate_wait(&t.gate), "it is answered");
		ok(t.err == ERR_CONFLICT || t.err == ERR_NOT_FOUND, "no token for the old epoch (%d)", t.err);
		if (changes[i] == account_disable) {
			is_int(rig_change(account_enable, "anna", ""), 0);
			is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
		}
	}
	rig_stop();
}

/* Raises the epoch and touches nothing else. */
struct raise_op {
	struct write_op op;
	uint32_t id;
	struct gate gate;
};

static int raise_apply(struct txn *t, struct write_op *op)
{
	struct account_rec rec;
	int err = account_get_by_id(t, list_entry(op, struct raise_op, op)->id, &rec);

	rec.credentials_epoch++;
	if (!err)
		account_put(t, &rec);
	return err;
}

static void raise_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
}

static void raise_free(struct write_op *op)
{
	gate_open(&list_entry(op, struct raise_op, op)->gate);
}

static void raise_here(void *arg)
{
	im_write(&((struct raise_op *)arg)->op);
}

TEST(a16_the_epoch_alone_voids_tokens)
{
	struct raise_op r = { .op = { .apply = raise_apply, .done = raise_done, .free = raise_free } };
	struct token t;

	sasl_rig_up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	r.id = t.id;
	gate_init(&r.gate);
	rig_run(0, raise_here, &r);
	ok(gate_wait(&r.gate), "raised");
	is_cstr(ht(AGENT, "anna", "HT-SHA-256-NONE", t.text, -1, false, NULL), "not-authorized");
	rig_stop();
}

TEST(fast_needs_its_element_and_an_agent)
{
	struct client l;
	struct token t;

	sasl_rig_up();
	is_int(issue(&t, AGENT, "HT-SHA-256-NONE"), 0);
	ht_init(&l, AGENT);
	l.peer.fast = false;
	ok(failed_as(client_begin(&l, "HT-SHA-256-NONE", true, ht_message(&l, "anna", t.text, STR_NONE)),
		     "malformed-request"),
	   "without <fast/>");
	client_end(&l);
	ht_init(&l, "");
	ok(failed_as(client_begin(&l, "HT-SHA-256-NONE", true, ht_message(&l, "anna", t.text, STR_NONE)),
		     "malformed-request"),
	   "without an agent");
	client_end(&l);
	ht_init(&l, AGENT);
	const struct str malformed[] = { STR(""), STR("\0"), STR("anna"), STR("\0abc"), STR("\xff\0abc") };
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		ok(failed_as(client_begin(&l, "HT-SHA-256-NONE", true, malformed[i]), "malformed-request"),
		   "malformed %zu", i);
	ok(failed_as(client_begin(&l, "HT-SHA-256-NONE", true, str_of("anna\0short", 10)), "not-authorized"),
	   "a proof of another length");
	ok(failed_as(client_begin(&l, "HT-SHA-256-NONE", true, str_of("anna\0", 5)), "not-authorized"),
	   "an empty proof");
	client_end(&l);
	rig_stop();
}
