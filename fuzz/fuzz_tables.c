/* Decoders of the tables (row D12): any content under a right checksum is read or refused as damaged, within its bytes.
 * First byte: which decoder; second: version of the record. */
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "storage/tab_message.h"
#include "storage/tab_notify.h"
#include "storage/tab_org.h"
#include "storage/tab_pep.h"
#include "storage/tab_private.h"
#include "storage/tab_roster.h"
#include "storage/tab_sm.h"
#include "storage/tab_token.h"
#include "storage/tab_vcard.h"
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
static bool on_roster(void *ctx, const struct roster_item *i)
{
	(void)ctx;
	fits(i->jid), fits(i->name), fits(i->request);
	for (unsigned g = 0; g < i->groups; g++)
		fits(i->group[g]);
	return true;
}
static int read_roster(struct txn *t)
{
	struct roster_item i;
	int err = roster_item_get(t, 1, STR("j"), &i);

	roster_item_each(t, 1, on_roster, NULL);
	roster_version(t, 1);
	return err;
}
static bool on_private(void *ctx, struct str name, struct str ns, struct str xml)
{
	(void)ctx;
	fits(name), fits(ns), fits(xml);
	return true;
}
static int read_private(struct txn *t)
{
	struct str xml;

	private_bytes(t, 1);
	private_each(t, 1, on_private, NULL);
	return private_get(t, 1, STR("n"), STR("s"), &xml);
}
static int read_vcard(struct txn *t)
{
	struct str xml = STR_NONE;
	int err = vcard_get(t, 1, &xml);

	fits(xml);
	return err;
}
static bool on_pep_item(void *ctx, const struct pep_item *i)
{
	(void)ctx;
	fits(i->id), fits(i->publisher), fits(i->payload);
	return true;
}
static bool on_pep_node(void *ctx, const struct pep_node *n)
{
	(void)ctx;
	fits(n->name), fits(n->config);
	return true;
}
static int read_pep(struct txn *t)
{
	struct pep_node n = { .account = 1, .number = 1, .name = STR("n") };
	struct pep_item i;
	struct pep_totals x;

	pep_item_each(t, &n, true, on_pep_item, NULL);
	pep_item_get(t, &n, STR("id"), &i);
	pep_account_totals(t, 1, &x);
	pep_node_each(t, 1, on_pep_node, NULL);
	int err = pep_node_get(t, 1, STR("n"), &n);

	/* Writing with counts that mean nothing must end too. */
	i = (struct pep_item){ .id = STR("id"), .payload = STR("p") };
	if (err == 0)
		pep_item_put(t, &n, &i, 1, UINT64_MAX);
	return err;
}

static bool on_notify(void *ctx, const struct notify_rec *r)
{
	const struct str texts[] = { r->module, r->event,  r->tag,     r->sub_tag,   r->title,	  r->text,  r->plain,
				     r->link,	r->params, r->webhook, r->origin_id, r->first_id, r->result };

	(void)ctx;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		fits(texts[i]);
	for (size_t i = 0; i < r->n_buttons; i++)
		fits(r->buttons[i].title), fits(r->buttons[i].value);
	return true;
}
static bool on_channels(void *ctx, struct str module, struct str event, unsigned known, unsigned on)
{
	(void)ctx, (void)module, (void)event, (void)known, (void)on;
	return true;
}
static int read_notify(struct txn *t)
{
	struct notify_rec r;
	unsigned known, on;
	int err = notify_rec_get(t, 1, 1, &r);

	notify_rec_each(t, 1, 0, on_notify, NULL);
	notify_channels_get(t, 1, STR("m"), STR("e"), &known, &on);
	notify_channels_each(t, 1, on_channels, NULL);
	notify_rec_by_tag(t, 1, STR("g"));
	notify_rec_del(t, 1, 1); /* the index entries of any record have keys that fit, or it is refused */
	return txn_error(t) == ERR_LIMIT ? 0 : err;
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
	{ TAB_ROSTER, { "\0\0\0\1ij", 6 }, read_roster },
	{ TAB_ROSTER, { "\0\0\0\1v", 5 }, read_roster },
	{ TAB_PRIVATE, { "\0\0\0\1xn\0s", 8 }, read_private },
	{ TAB_PRIVATE, { "\0\0\0\1t", 5 }, read_private },
	{ TAB_NOTIFY, { "\0\0\0\1n\0\0\0\0\0\0\0\1", 13 }, read_notify },
	{ TAB_NOTIFY, { "\0\0\0\1wm\0e", 8 }, read_notify },
	{ TAB_NOTIFY_KEY, { "tg\0\0\0\0\1", 7 }, read_notify },
	{ TAB_VCARD, { "\0\0\0\1", 4 }, read_vcard },
	{ TAB_PEP_NODE, { "\0\0\0\1nn", 6 }, read_pep },
	{ TAB_PEP_NODE, { "\0\0\0\1t", 5 }, read_pep },
	{ TAB_PEP_ITEM, { "\0\0\0\1\0\0\0\1i\0\0\0\0\0\0\0\1", 17 }, read_pep },
	{ TAB_PEP_ITEM, { "\0\0\0\1\0\0\0\1did", 11 }, read_pep },
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
