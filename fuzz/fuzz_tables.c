/* Decoders of the tables (row D12): any content under a right checksum is read or refused as damaged, within its bytes.
 * First byte: which decoder; second: version of the record. */
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "storage/tab_message.h"
#include "storage/tab_org.h"
#include "storage/tab_sm.h"
#include "storage/tab_token.h"
#include <assert.h>

static const char zeros[32];
static size_t value_n;

/* Everything read lies within the value. */
static void fits(struct str s)
{
	volatile char last = s.n ? s.p[s.n - 1] : 0;

	(void)last;
	assert(s.n <= value_n);
}
static bool on_account(void *ctx, const struct account_rec *r)
{
	(void)ctx;
	for (int i = 0; i < HASH_KINDS; i++)
		assert(r->scram[i].salt_n <= sizeof(r->scram[i].salt));
	return true;
}
static bool on_dept(void *ctx, const struct org_dept_rec *d)
{
	(void)ctx;
	fits(d->name);
	return true;
}
static bool on_person(void *ctx, const struct org_person_rec *p)
{
	(void)ctx;
	fits(p->full_name), fits(p->position), fits(p->email), fits(p->phone);
	return true;
}
static bool on_audit(void *ctx, const struct audit_rec *r)
{
	(void)ctx;
	fits(r->actor), fits(r->action), fits(r->target), fits(r->detail);
	return true;
}
static int read_account(struct txn *t)
{
	struct account_rec r;
	int err = account_get(t, STR("d"), STR("l"), &r);

	account_each(t, STR("d"), on_account, NULL);
	return err;
}
static int read_seen(struct txn *t)
{
	struct str status = STR_NONE;
	uint64_t when;
	int err = account_get_last_seen(t, 1, &when, &status);

	if (err == 0)
		fits(status);
	return err;
}
static int read_token(struct txn *t)
{
	struct token_rec r;
	int err = token_get(t, (const uint8_t *)zeros, &r);

	if (err == 0)
		fits(r.agent_id), fits(r.mechanism), fits(r.secret), fits(r.name), fits(r.scope);
	return err;
}
static int read_org(struct txn *t)
{
	struct org_person_rec p;

	org_dept_each(t, STR("d"), on_dept, NULL);
	org_person_each(t, STR("d"), on_person, NULL);
	org_version_get(t, STR("d"));
	return org_person_get(t, STR("d"), 1, &p);
}
static int read_sm(struct txn *t)
{
	struct sm_rec r;
	struct sm_counters c;
	struct str queue;
	int err = sm_get(t, STR("id"), &r, &c, &queue);

	if (err == 0)
		fits(r.full_jid), fits(r.presence), fits(queue);
	sm_expire(t, 1000);
	return err;
}
/* Counters are looked at only beside a state. */
static int read_counters(struct txn *t)
{
	sm_put(t, STR("id"), &(struct sm_rec){ .account = 1 });
	return read_sm(t);
}
static int read_audit(struct txn *t)
{
	return audit_each(t, 0, on_audit, NULL);
}
static int read_message(struct txn *t)
{
	struct message_rec m;
	int err = message_get(t, 1, &m);

	if (err == 0)
		fits(m.payload), fits(m.from), fits(m.to), fits(m.id), fits(m.origin_id), fits(m.lang);
	return err;
}

/* Keys as docs/storage.md tells them. */
static const struct {
	enum table tab;
	struct str key;
	int (*read)(struct txn *t);
} rows[] = {
	{ TAB_MESSAGE, { "\0\0\0\0\0\0\0\1", 8 }, read_message },
	{ TAB_ACCOUNT, { "d\0l", 3 }, read_account },
	{ TAB_ACCOUNT_ID, { "\0\0\0\1s", 5 }, read_seen },
	{ TAB_TOKEN, { "t\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 33 }, read_token },
	{ TAB_ORG, { "d\0d\0\0\0\1", 7 }, read_org },
	{ TAB_ORG, { "d\0p\0\0\0\1", 7 }, read_org },
	{ TAB_ORG, { "d\0v", 3 }, read_org },
	{ TAB_SM, { "id\0", 3 }, read_sm },
	{ TAB_SM, { "id\0c", 4 }, read_counters },
	{ TAB_AUDIT, { "\0\0\0\0\0\0\0\1", 8 }, read_audit },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct recw w;

	if (n < 2)
		return 0;
	recw_init(&w, 1 << 20);
	recw_begin(&w, data[1]);
	buf_add(&w.b, data + 2, n - 2);
	struct str value = recw_finish(&w);
	struct store *s = store_open_mem();
	struct txn *t = txn_write(s);
	size_t row = data[0] % (sizeof(rows) / sizeof(rows[0]));
	value_n = value.n;
	txn_put(t, rows[row].tab, rows[row].key, value, 0);
	int err = rows[row].read(t);
	assert(err == 0 || err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_NOT_FOUND);
	txn_abort(t);
	store_close(s);
	recw_clear(&w);
	return 0;
}
