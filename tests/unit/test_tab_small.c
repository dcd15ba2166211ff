/* storage/tab_sm, tab_mam_prefs, tab_org, tab_block: what is put comes back, neighbours stay untouched, damage is not served (D12). */
#include "base/mem.h"
#include "storage/key.h"
#include "storage/tab_block.h"
#include "storage/tab_mam_prefs.h"
#include "storage/tab_org.h"
#include "storage/tab_account.h"
#include "storage/tab_sm.h"
#include "tests/unit/storage_both.h"

#define ID1 "AAAAAAAAAAAAAAAAAAAAAA"
#define ID2 "AAAAAAAAAAAAAAAAAAAAAB"

/* --- resumable sessions --- */

BOTH(sm_round_trip)
{
	static const int8_t priorities[] = { -128, -1, 0, 1, 127 };
	struct sm_rec r = { .account = 7,
			    .credentials_epoch = 3,
			    .full_jid = STR("a@example.org/r"),
			    .expires_ms = 1234567890123,
			    .presence = STR("<show>away</show>") },
		      got;
	struct sm_counters c = { .in = UINT32_MAX, .out_acked = 5, .seen_ms = 99 }, gc;
	struct str queue;
	struct txn *t = txn_write(s);

	is_int(sm_get(t, STR(ID1), &got, &gc, &queue), ERR_NOT_FOUND);
	for (unsigned flags = 0; flags < 128; flags++)
		for (size_t p = 0; p < sizeof(priorities); p++) {
			r.carbons = flags & 1;
			r.is_admin = flags & 2;
			r.wants_roster = flags & 4;
			r.available = flags & 8;
			r.wants_blocklist = flags & 16;
			r.inbox = flags & 32;
			r.follows = flags & 64;
			r.priority = priorities[p];
			sm_put(t, STR(ID1), &r);
			is_int(sm_get(t, STR(ID1), &got, &gc, NULL), 0);
			ok(got.carbons == r.carbons && got.is_admin == r.is_admin &&
				   got.wants_roster == r.wants_roster && got.available == r.available &&
				   got.wants_blocklist == r.wants_blocklist && got.inbox == r.inbox &&
				   got.follows == r.follows && got.priority == r.priority,
			   "flags %u priority %d", flags, r.priority);
		}
	is_int(gc.in, 0);
	is_int(gc.seen_ms, 0);
	is_int(sm_get(t, STR(ID1), &got, &gc, &queue), 0);
	ok(str_empty(queue), "no queue yet");
	sm_put_counters(t, STR(ID1), &c);
	sm_put_queue(t, STR(ID1), STR("<message/>"));
	sm_put(t, STR(ID2), &r);
	is_int(sm_get(t, STR(ID1), &got, &gc, &queue), 0);
	is_int(got.account, 7);
	is_int(got.credentials_epoch, 3);
	is_str(got.full_jid, STR("a@example.org/r"));
	is_int(got.expires_ms, 1234567890123);
	is_str(got.presence, STR("<show>away</show>"));
	is_int(gc.in, UINT32_MAX);
	is_int(gc.out_acked, 5);
	is_int(gc.seen_ms, 99);
	is_str(queue, STR("<message/>"));
	sm_del(t, STR(ID1));
	is_int(sm_get(t, STR(ID1), &got, &gc, &queue), ERR_NOT_FOUND);
	is_int(sm_get(t, STR(ID2), &got, &gc, &queue), 0);
	sm_put(t, STR(ID1), &r);
	is_int(sm_get(t, STR(ID1), &got, &gc, &queue), 0);
	ok(gc.in == 0 && str_empty(queue), "nothing of the former one is left");
	is_int(txn_commit(t), 0);
}

static void sm_one(struct txn *t, int i, uint64_t expires_ms, uint64_t seen_ms)
{
	char id[40];
	struct sm_rec r = { .account = 1, .credentials_epoch = 1, .full_jid = STR("a@b/c"), .expires_ms = expires_ms };

	snprintf(id, sizeof(id), "%022d", i);
	sm_put(t, str_c(id), &r);
	if (seen_ms)
		sm_put_counters(t, str_c(id), &(struct sm_counters){ .seen_ms = seen_ms });
	sm_put_queue(t, str_c(id), STR("q"));
}

static size_t left_in(struct txn *t, enum table tab)
{
	struct scan sc;
	size_t n = 0;

	scan_open(&sc, t, tab, STR_NONE, STR_NONE);
	while (scan_next(&sc))
		n++;
	scan_close(&sc);
	return n;
}

/* The account of sm_one. */
static void sm_account(struct txn *t, uint32_t epoch)
{
	struct account_rec r = { .domain = STR("b"), .local = STR("a"), .credentials_epoch = epoch };

	is_int(account_create(t, &r), 0);
	is_int(r.id, 1);
}

BOTH(sm_expire_void_credentials)
{
	struct txn *t = txn_write(s);
	struct account_rec r;

	sm_account(t, 1);
	sm_one(t, 1, 1000, 1000);
	is_int(sm_expire(t, 100), 0);
	is_int(account_get_by_id(t, 1, &r), 0);
	r.credentials_epoch = 2;
	account_put(t, &r);
	is_int(sm_expire(t, 100), 1);
	is_int(left_in(t, TAB_SM), 0);
	r.credentials_epoch = 1;
	account_put(t, &r);
	sm_one(t, 2, 1000, 1000);
	account_delete(t, 1);
	is_int(sm_expire(t, 100), 1);
	is_int(left_in(t, TAB_SM), 0);
	is_int(txn_commit(t), 0);
}

BOTH(sm_expire_by_time)
{
	struct txn *t = txn_write(s);

	sm_account(t, 1);
	sm_one(t, 1, 100, 0);
	sm_one(t, 2, 100, 90);
	sm_one(t, 3, 100, 200); /* used since */
	sm_one(t, 4, 200, 0);
	sm_one(t, 5, 200, 90);
	is_int(sm_expire(t, 100), 0);
	is_int(sm_expire(t, 200), 2);
	is_int(sm_expire(t, 200), 0);
	is_int(left_in(t, TAB_SM), 3 + 2 + 3);
	is_int(sm_expire(t, 201), 3);
	is_int(left_in(t, TAB_SM), 0);
	for (int i = 0; i < 150; i++)
		sm_one(t, i, 1, 1);
	size_t n, all = 0, calls = 0;
	while ((n = sm_expire(t, 2)) > 0 && calls++ < 10)
		all += n;
	is_int(all, 150);
	is_int(left_in(t, TAB_SM), 0);
	is_int(txn_commit(t), 0);
}

/* --- archiving preferences --- */

BOTH(mam_prefs)
{
	struct mam_prefs *p = NEW(struct mam_prefs), *got = NEW(struct mam_prefs);
	struct txn *t = txn_write(s);
	char jids[MAM_PREFS_MAX][32];

	ok(!mam_prefs_get(t, 1, got) && !mam_prefs_any(t, 1), "none at first");
	for (int def = MAM_ALWAYS; def <= MAM_ROSTER; def++) {
		*p = (struct mam_prefs){ .def = (enum mam_default)def, .n_always = 1, .n_never = 2 };
		p->always[0] = STR("boss@example.org");
		p->never[0] = STR("a@example.org");
		p->never[1] = STR("b@example.org");
		mam_prefs_put(t, 1, p);
		ok(mam_prefs_get(t, 1, got) && mam_prefs_any(t, 1), "set");
		is_int(got->def, def);
		is_int(got->n_always, 1);
		is_int(got->n_never, 2);
		is_str(got->always[0], STR("boss@example.org"));
		is_str(got->never[1], STR("b@example.org"));
	}
	*p = (struct mam_prefs){ .def = MAM_NEVER };
	mam_prefs_put(t, 1, p);
	ok(mam_prefs_get(t, 1, got) && got->n_always == 0 && got->n_never == 0, "empty lists replace full ones");
	ok(!mam_prefs_any(t, 2), "another account has none");
	for (int i = 0; i < MAM_PREFS_MAX; i++) {
		snprintf(jids[i], sizeof(jids[i]), "u%d@example.org", i);
		p->always[i] = p->never[i] = str_c(jids[i]);
	}
	p->n_always = p->n_never = MAM_PREFS_MAX;
	mam_prefs_put(t, 2, p);
	ok(mam_prefs_get(t, 2, got), "as many as there may be");
	is_int(got->n_always, MAM_PREFS_MAX);
	is_str(got->never[MAM_PREFS_MAX - 1], str_c(jids[MAM_PREFS_MAX - 1]));
	struct key k;
	key_init(&k);
	key_u32(&k, 2);
	txn_put(t, TAB_MAM_PREFS, key_str(&k), STR("\1\0\0\0damaged"), 0);
	ok(!mam_prefs_get(t, 2, got), "damage is not served");
	is_int(txn_commit(t), 0);
	mem_free(p);
	mem_free(got);
}

/* --- company structure --- */

struct listing {
	char text[300];
	size_t n;
	int stop_after;
};

static bool list_dept(void *ctx, const struct org_dept_rec *d)
{
	struct listing *l = ctx;

	l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%u<%u:%.*s ", d->id, d->parent,
				 STR_ARG(d->name));
	return --l->stop_after != 0;
}

static bool list_person(void *ctx, const struct org_person_rec *p)
{
	struct listing *l = ctx;

	l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%u=%llu/%u%s:%.*s ", p->account,
				 (unsigned long long)p->number, p->dept, p->head ? "!" : "", STR_ARG(p->full_name));
	return --l->stop_after != 0;
}

static const char *listed(struct txn *t, const char *domain, bool people, int stop_after)
{
	static struct listing l;

	l = (struct listing){ .stop_after = stop_after };
	if (people)
		org_person_each(t, str_c(domain), list_person, &l);
	else
		org_dept_each(t, str_c(domain), list_dept, &l);
	return l.text;
}

BOTH(org_departments)
{
	struct str d = STR("example.org");
	struct txn *t = txn_write(s);

	is_int(org_version_get(t, d), 0);
	is_int(org_next_dept(t, d), 1);
	is_int(org_next_dept(t, d), 2);
	org_version_raise(t, d);
	is_int(org_version_get(t, d), 1);
	is_int(org_next_dept(t, d), 3);
	is_int(org_version_get(t, d), 1);
	is_int(org_next_dept(t, STR("other.example")), 1);
	is_int(org_version_get(t, STR("other.example")), 0);
	org_dept_put(t, d, &(struct org_dept_rec){ 300, 1, STR("IT") });
	org_dept_put(t, d, &(struct org_dept_rec){ 1, 0, STR("Head office") });
	org_dept_put(t, d, &(struct org_dept_rec){ 2, 1, STR("Sales") });
	org_dept_put(t, STR("example.or"), &(struct org_dept_rec){ 9, 0, STR("not ours") });
	org_person_put(t, d, &(struct org_person_rec){ .account = 5, .full_name = STR("Anna") });
	is_cstr(listed(t, "example.org", false, 0), "1<0:Head office 2<1:Sales 300<1:IT ");
	is_cstr(listed(t, "example.org", false, 2), "1<0:Head office 2<1:Sales ");
	org_dept_put(t, d, &(struct org_dept_rec){ 2, 300, STR("Support") });
	org_dept_del(t, d, 1);
	is_cstr(listed(t, "example.org", false, 0), "2<300:Support 300<1:IT ");
	is_cstr(listed(t, "example", false, 0), "");
	is_cstr(listed(t, "example.org", true, 0), "5=0/0:Anna ");
	is_int(txn_commit(t), 0);
}

BOTH(org_people)
{
	struct str d = STR("example.org");
	struct org_person_rec p = { .account = 70000,
				    .number = 1ull << 40,
				    .dept = 3,
				    .head = true,
				    .full_name = STR("Борис"),
				    .position = STR("Chief"),
				    .email = STR("b@example.org"),
				    .phone = STR("+7 1") },
			      got;
	struct txn *t = txn_write(s);

	is_int(org_person_get(t, d, 70000, &got), ERR_NOT_FOUND);
	org_person_put(t, d, &p);
	org_person_put(t, d, &(struct org_person_rec){ .account = 2, .number = 8, .full_name = STR("Anna") });
	org_person_put(t, STR("other.example"), &(struct org_person_rec){ .account = 3, .full_name = STR("Carl") });
	is_int(org_person_get(t, d, 70000, &got), 0);
	is_int(got.account, 70000);
	ok(got.number == 1ull << 40 && got.dept == 3 && got.head, "number, department, head");
	is_str(got.full_name, p.full_name);
	is_str(got.position, p.position);
	is_str(got.email, p.email);
	is_str(got.phone, p.phone);
	is_int(org_person_get(t, d, 3, &got), ERR_NOT_FOUND);
	is_cstr(listed(t, "example.org", true, 0), "2=8/0:Anna 70000=1099511627776/3!:Борис ");
	is_cstr(listed(t, "example.org", true, 1), "2=8/0:Anna ");

	struct key k;
	key_init(&k);
	key_strz(&k, d);
	key_u8(&k, 'p');
	key_u32(&k, 2);
	txn_put(t, TAB_ORG, key_str(&k), STR("\1\0\0\0damaged"), 0);
	is_int(org_person_get(t, d, 2, &got), ERR_CORRUPT);
	is_cstr(listed(t, "example.org", true, 0), "70000=1099511627776/3!:Борис ");
	org_person_del(t, d, 70000);
	is_cstr(listed(t, "example.org", true, 0), "");
	is_cstr(listed(t, "other.example", true, 0), "3=0/0:Carl ");
	is_int(txn_commit(t), 0);
}

/* --- block lists --- */

static bool list_jid(void *ctx, struct str jid)
{
	struct listing *l = ctx;

	l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%.*s ", STR_ARG(jid));
	return --l->stop_after != 0;
}

BOTH(block_list)
{
	struct listing l = { .n = 0 }, one = { .stop_after = 1 };
	struct txn *t = txn_write(s);

	ok(!block_any(t, 1), "empty");
	block_put(t, 1, STR("b@example.org"));
	block_put(t, 1, STR("a@example.org/x"));
	block_put(t, 1, STR("b@example.org"));
	block_put(t, 2, STR("spam.example"));
	ok(block_any(t, 1) && block_any(t, 2) && !block_any(t, 3), "who has a list");
	ok(block_get(t, 1, STR("b@example.org")) && !block_get(t, 1, STR("a@example.org")) &&
		   !block_get(t, 2, STR("b@example.org")),
	   "exact texts of one account");
	block_each(t, 1, list_jid, &l);
	is_cstr(l.text, "a@example.org/x b@example.org ");
	block_each(t, 1, list_jid, &one);
	is_cstr(one.text, "a@example.org/x ");
	ok(block_del(t, 1, STR("b@example.org")), "was there");
	ok(!block_del(t, 1, STR("b@example.org")), "is not any more");
	ok(block_any(t, 1), "one is left");
	ok(block_del(t, 1, STR("a@example.org/x")) && !block_any(t, 1), "none is left");
	is_int(txn_commit(t), 0);
}
