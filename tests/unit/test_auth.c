/* server/im/auth, auth_limit, auth_cache: keys against the RFCs' vectors, fakes, the password cache, the brakes. Rows
 * A07-A11, A16. */
#include "server/im/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/im/auth_limit.h"
#include "tests/lib/im_rig.h"
#include "tests/lib/test.h"

/* The example of an RFC: both signatures follow from the keys and the message. */
static void check_vector(enum hash_kind kind, const char *salt64, const char *message, const char *proof64,
			 const char *verifier64)
{
	uint8_t salt[32], sig[HASH_MAX], proof[HASH_MAX + 3], got[HASH_MAX];
	char text[100];
	struct scram_keys k;
	size_t n = digest_size(kind);
	ptrdiff_t salt_n = base64_decode(str_c(salt64), salt, sizeof(salt));

	auth_make_keys(kind, STR("pencil"), 4096, str_of((char *)salt, (size_t)salt_n), &k);
	is_int(k.iterations, 4096);
	is_int(k.salt_n, salt_n);
	hmac(kind, str_of((char *)k.server_key, n), str_c(message), sig);
	is_str(str_of(text, base64_encode(sig, n, text)), str_c(verifier64));
	hmac(kind, str_of((char *)k.stored_key, n), str_c(message), sig);
	is_int(base64_decode(str_c(proof64), proof, sizeof(proof)), n);
	for (size_t i = 0; i < n; i++)
		proof[i] ^= sig[i];
	digest(kind, str_of((char *)proof, n), got);
	is_mem(got, k.stored_key, n);
}

TEST(keys_fit_rfc5802_and_rfc7677)
{
	check_vector(HASH_SHA1, "QSXCR+Q6sek8bf92",
		     "n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
		     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
		     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
		     "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=");
	check_vector(HASH_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
		     "n=user,r=rOprNGfwEbeRWgbNEkqO,"
		     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
		     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		     "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

static int prepare(const char *password, bool storing, char *out)
{
	size_t n = 0;
	int err = auth_prepare_password(str_c(password), storing, out, &n);

	out[err ? 0 : n] = 0;
	return err;
}

TEST(saslprep)
{
	char out[AUTH_PREPARED_MAX + 1], longest[AUTH_PASSWORD_MAX + 2];

	is_int(prepare("I\xc2\xadX", true, out), 0);
	is_cstr(out, "IX");
	is_int(prepare("\xc2\xaa", true, out), 0);
	is_cstr(out, "a");
	is_int(prepare("\xe2\x85\xa8", true, out), 0);
	is_cstr(out, "IX");
	is_int(prepare("a\xc2\xa0z", true, out), 0);
	is_cstr(out, "a z");
	is_int(prepare("user pass", true, out), 0);
	is_cstr(out, "user pass");
	is_int(prepare("\x07", true, out), ERR_SYNTAX);
	is_int(prepare("\xd8\xa7"
		       "1",
		       true, out),
	       ERR_SYNTAX);
	is_int(prepare("\xc2\xad", true, out), ERR_SYNTAX);
	is_int(prepare("", true, out), ERR_SYNTAX);
	is_int(prepare("\xff\xfe", true, out), ERR_SYNTAX);
	is_int(prepare("\xf0\x9f\x98\x80", true, out),
	       ERR_SYNTAX);				    /* unassigned in Unicode 3.2: not to be stored ... */
	is_int(prepare("\xf0\x9f\x98\x80", false, out), 0); /* ... but may be asked for (RFC 3454 section 7) */
	memset(longest, 'x', sizeof(longest));
	longest[AUTH_PASSWORD_MAX] = 0;
	is_int(prepare(longest, true, out), 0);
	longest[AUTH_PASSWORD_MAX] = 'x';
	longest[AUTH_PASSWORD_MAX + 1] = 0;
	is_int(prepare(longest, true, out), ERR_SYNTAX);
}

TEST(all_kinds_have_their_own_salt)
{
	struct scram_keys k[HASH_KINDS];

	is_int(auth_keys_for_password(STR("Kuchen"), 4096, k), 0);
	for (unsigned i = 0; i < HASH_KINDS; i++) {
		ok(k[i].present, "kind %u is there", i);
		is_int(k[i].iterations, 4096);
		is_int(k[i].salt_n, AUTH_SALT_BYTES);
	}
	ok(memcmp(k[0].salt, k[1].salt, AUTH_SALT_BYTES) && memcmp(k[1].salt, k[2].salt, AUTH_SALT_BYTES),
	   "salts differ");
	is_int(auth_keys_for_password(STR(""), 4096, k), ERR_SYNTAX);
}

/* --- look-ups and checks need the rig --- */

struct check {
	const char *ip, *local, *password;
	struct auth_result r;
	struct gate gate;
	bool cancel;
};

static void check_done(void *ctx, const struct auth_result *r)
{
	struct check *c = ctx;

	c->r = *r;
	gate_open(&c->gate);
}

static void check_start(void *arg)
{
	struct check *c = arg;
	struct auth_check *k =
		auth_check_start(c->ip, STR("example.org"), str_c(c->local), str_c(c->password), check_done, c);

	if (c->cancel)
		auth_check_cancel(k);
}

static int check(const char *ip, const char *local, const char *password, struct auth_result *out)
{
	struct check c = { .ip = ip, .local = local, .password = password };

	gate_init(&c.gate);
	rig_run(0, check_start, &c);
	if (!gate_wait(&c.gate))
		return 1;
	if (out)
		*out = c.r;
	return c.r.err;
}

static struct auth_account lookup(const char *local)
{
	struct auth_account a;

	is_int(auth_lookup(STR("example.org"), str_c(local), &a), 0);
	return a;
}

/* Delays off: what is tested is not how long it takes. */
static void no_delays(void)
{
	struct limits l = *limits();

	l.auth_delay_ms = 0;
	limits_set(&l);
	auth_limit_clear();
	auth_cache_clear();
}

TEST(fakes_are_stable_over_restarts)
{
	char dir[300];
	struct auth_account a, b;

	snprintf(dir, sizeof(dir), "%s", test_tmpdir());
	rig_start(1, dir);
	a = lookup("nobody");
	b = lookup("somebody");
	ok(!a.exists && !a.scram[HASH_SHA256].present, "there is no such account");
	is_int(a.scram[HASH_SHA256].iterations, 4096);
	is_int(a.scram[HASH_SHA256].salt_n, AUTH_SALT_BYTES);
	ok(memcmp(a.scram[HASH_SHA1].salt, a.scram[HASH_SHA256].salt, AUTH_SALT_BYTES), "another salt per kind");
	ok(memcmp(a.scram[HASH_SHA1].salt, b.scram[HASH_SHA1].salt, AUTH_SALT_BYTES), "another salt per name");
	rig_stop();
	rig_start(1, dir);
	b = lookup("nobody");
	for (unsigned k = 0; k < HASH_KINDS; k++) {
		is_mem(b.scram[k].salt, a.scram[k].salt, AUTH_SALT_BYTES);
		is_mem(b.scram[k].stored_key, a.scram[k].stored_key, HASH_MAX);
	}
	rig_stop();
}

TEST(hostile_names_are_just_unknown)
{
	struct auth_account a;
	char big[5000];

	rig_start(1, NULL);
	memset(big, 'x', sizeof(big));
	is_int(auth_lookup(STR("example.org"), str_of(big, sizeof(big)), &a), 0);
	ok(!a.exists, "a name longer than any JID");
	is_int(auth_lookup(STR("example.org"), str_of("a\0b", 3), &a), 0);
	ok(!a.exists, "NUL inside");
	is_int(auth_lookup(STR("example.org"), STR(""), &a), 0);
	ok(!a.exists, "no name");
	rig_stop();
}

TEST(cache_skips_pbkdf2_and_dies_with_the_epoch)
{
	struct auth_result r;
	uint64_t before;

	no_delays();
	rig_start(2, NULL);
	is_int(rig_add("example.org", "anna", "correct horse"), 0);
	before = auth_derivations();
	is_int(check("192.0.2.1", "anna", "correct horse", &r), 0);
	ok(!r.was_cached && r.id != 0 && r.credentials_epoch != 0, "first time: verified");
	is_int(auth_derivations() - before, 1);
	is_int(check("192.0.2.9", "anna", "correct horse", &r), 0);
	ok(r.was_cached, "second time: from the cache");
	is_int(auth_derivations() - before, 1);
	is_int(check("192.0.2.1", "anna", "correct hors", NULL), ERR_AUTH);
	is_int(auth_derivations() - before, 2);
	is_int(check("192.0.2.1", "anna", "correct hors", NULL), ERR_AUTH);
	is_int(auth_derivations() - before, 3); /* wrong ones are never remembered */
	is_int(check("192.0.2.1", "nobody", "correct horse", NULL), ERR_AUTH);
	is_int(auth_derivations() - before, 4); /* A08: an unknown name costs the same */

	auth_cache_clear();
	before = auth_derivations();
	is_int(check("192.0.2.1", "anna", "correct horse", NULL), 0);
	is_int(auth_derivations() - before, 1);
	rig_stop();
}

TEST(a16_password_change_disable_delete_void_the_cache)
{
	struct auth_result r;

	no_delays();
	rig_start(2, NULL);
	is_int(rig_add("example.org", "boris", "one"), 0);
	is_int(check("192.0.2.1", "boris", "one", &r), 0);
	is_int(auth_still_valid(r.id, r.credentials_epoch), 0);
	is_int(rig_change(account_set_password, "boris", "two"), 0);
	is_int(auth_still_valid(r.id, r.credentials_epoch), ERR_AUTH);
	is_int(check("192.0.2.1", "boris", "one", &r), ERR_AUTH);
	is_int(check("192.0.2.1", "boris", "two", &r), 0);
	ok(!r.was_cached, "the new password was verified");
	is_int(auth_still_valid(r.id, r.credentials_epoch), 0);
	is_int(rig_change(account_disable, "boris", ""), 0);
	is_int(check("192.0.2.1", "boris", "two", NULL), ERR_FORBIDDEN);
	is_int(check("192.0.2.1", "boris", "three", NULL), ERR_AUTH); /* a wrong password does not learn that */
	is_int(rig_change(account_enable, "boris", ""), 0);
	is_int(check("192.0.2.1", "boris", "two", NULL), 0);
	is_int(rig_change(account_remove, "boris", ""), 0);
	is_int(auth_still_valid(r.id, r.credentials_epoch), ERR_AUTH);
	is_int(check("192.0.2.1", "boris", "two", NULL), ERR_AUTH);
	rig_stop();
}

TEST(a07_old_keys_are_raised_by_a_right_password)
{
	struct auth_account before, after;
	struct auth_result r;

	no_delays();
	rig_start(2, NULL);
	is_int(rig_add("example.org", "olga", "mushroom"), 0);
	im.scram_iterations = 5000;
	before = lookup("olga");
	is_int(check("192.0.2.1", "olga", "toadstool", NULL), ERR_AUTH);
	rig_settle();
	is_int(lookup("olga").scram[HASH_SHA256].iterations, 4096);
	is_int(check("192.0.2.1", "olga", "mushroom", &r), 0);
	rig_settle();
	after = lookup("olga");
	for (unsigned k = 0; k < HASH_KINDS; k++)
		ok(after.scram[k].present && after.scram[k].iterations == 5000, "kind %u raised", k);
	is_int(after.credentials_epoch, before.credentials_epoch);
	auth_cache_clear();
	is_int(check("192.0.2.1", "olga", "mushroom", &r), 0);
	ok(!r.was_cached, "verified with the new keys");
	is_int(check("192.0.2.1", "olga", "toadstool", NULL), ERR_AUTH);
	rig_stop();
}

TEST(an_account_without_password_lets_nobody_in)
{
	no_delays();
	rig_start(1, NULL);
	is_int(rig_add("example.org", "empty", ""), 0);
	is_int(check("192.0.2.1", "empty", "", NULL), ERR_AUTH);
	is_int(check("192.0.2.1", "empty", "x", NULL), ERR_AUTH);
	ok(lookup("empty").exists && !lookup("empty").scram[HASH_SHA1].present, "it exists with fakes only");
	rig_stop();
}

TEST(cancelled_checks_still_count)
{
	struct check c = { .ip = "192.0.2.50", .local = "carl", .password = "wrong", .cancel = true };
	struct limits l = *limits();

	no_delays();
	rig_start(1, NULL);
	is_int(rig_add("example.org", "carl", "right"), 0);
	l.auth_delay_ms = 60000;
	l.auth_delay_max_ms = 60000;
	limits_set(&l);
	gate_init(&c.gate);
	rig_run(0, check_start, &c);
	rig_settle();
	ok(auth_delay_ms("192.0.2.50", STR("carl@example.org")) > 0, "an abort buys no free guess (row A10)");
	rig_run(0, check_start, &c); /* this one waits on its timer and is dropped there */
	rig_settle();
	is_int(c.r.err, 0); /* done was never called */
	no_delays();
	rig_stop();
}

/* --- the brakes, with the clock in our hand --- */

static uint64_t now_ms = 1000000;

static void tick(uint64_t ms)
{
	now_ms += ms;
	clock_set_for_test(now_ms * 1000, now_ms * 1000);
}

static void brake_limits(void)
{
	struct limits l = *limits();

	l.auth_delay_ms = 250;
	l.auth_delay_max_ms = 15000;
	l.auth_failures_ip = 300;
	limits_set(&l);
	auth_limit_clear();
	tick(1);
}

TEST(a10_delay_doubles_for_the_pair_only)
{
	struct str victim = STR("victim@example.org");
	static const int want[] = { 250, 500, 1000, 2000, 4000, 8000, 15000, 15000 };

	brake_limits();
	is_int(auth_wait_ms("192.0.2.1", victim), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		auth_failed("192.0.2.1", victim);
		is_int(auth_delay_ms("192.0.2.1", victim), want[i]);
		is_int(auth_wait_ms("192.0.2.1", victim), want[i]);
		is_int(auth_wait_ms("192.0.2.2", victim), 0);
		is_int(auth_wait_ms("192.0.2.1", STR("other@example.org")), 0);
		tick((uint64_t)want[i]);
		is_int(auth_wait_ms("192.0.2.1", victim), 0);
	}
	auth_succeeded("192.0.2.1", victim);
	auth_failed("192.0.2.1", victim);
	is_int(auth_delay_ms("192.0.2.1", victim), 250);
	tick(15 * 60 * 1000);
	auth_failed("192.0.2.1", victim);
	is_int(auth_delay_ms("192.0.2.1", victim), 250);
	clock_set_for_test(0, 0);
}

TEST(a10_thousand_guesses_leave_the_owner_alone)
{
	struct str victim = STR("victim@example.org");
	int refused = 0;

	brake_limits();
	log_threshold = LOG_ERROR; /* each refusal logs a warning, which is not what is looked at */
	for (int i = 0; i < 1000; i++) {
		if (auth_wait_ms("192.0.2.1", victim) < 0)
			refused++;
		auth_failed("192.0.2.1", victim);
	}
	ok(refused > 500, "the guesser is mostly refused unverified (%d)", refused);
	is_int(auth_wait_ms("192.0.2.2", victim), 0);
	ok(auth_wait_ms("192.0.2.1", STR("colleague@example.org")) != 0, "its address waits for other accounts, too");
	tick(15001);
	int64_t w = auth_wait_ms("192.0.2.1", STR("colleague@example.org"));
	ok(w >= 0 && w <= 15000, "but is never locked out");
	tick(15 * 60 * 1000);
	is_int(auth_wait_ms("192.0.2.1", victim), 0);
	clock_set_for_test(0, 0);
}

TEST(slow_lane_gives_one_slot_per_delay)
{
	char name[64];

	brake_limits();
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "u%d@example.org", i);
		auth_failed("2001:db8::1", str_c(name));
	}
	is_int(auth_wait_ms("2001:db8::2", STR("a@example.org")), 0); /* same /64: in the lane, first slot is now */
	is_int(auth_wait_ms("2001:db8::3", STR("b@example.org")), 250);
	is_int(auth_wait_ms("2001:db8::4", STR("c@example.org")), 500);
	is_int(auth_wait_ms("2001:db8:0:1::4", STR("c@example.org")), 0);
	is_int(auth_wait_ms("::ffff:192.0.2.7", STR("c@example.org")), 0);
	clock_set_for_test(0, 0);
}

TEST(tables_stay_bounded)
{
	char ip[64], name[64];

	brake_limits();
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
		snprintf(name, sizeof(name), "n%u@example.org", i);
		auth_failed(ip, str_c(name));
	}
	is_int(auth_delay_ms(ip, str_c(name)), 250);
	clock_set_for_test(0, 0);
	auth_limit_clear();
}
