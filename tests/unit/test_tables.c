/* The table modules on both engines: what is put comes back, counts and indexes agree, accounts do not see each other. */
#include "storage/check.h"
#include "storage/record.h"
#include "storage/tab_account.h"
#include "storage/tab_audit.h"
#include "storage/tab_block.h"
#include "storage/tab_pep.h"
#include "storage/tab_private.h"
#include "storage/tab_roster.h"
#include "storage/tab_token.h"
#include "storage/tab_vcard.h"
#include "tests/unit/storage_both.h"

static unsigned rows(struct txn *t, enum table tab)
{
	struct scan s;
	unsigned n = 0;

	scan_open(&s, t, tab, STR_NONE, STR_NONE);
	while (scan_next(&s))
		n++;
	scan_close(&s);
	return n;
}

/* --- accounts --- */

static bool collect_names(void *ctx, const struct account_rec *r)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 200 - n, "%.*s ", STR_ARG(r->local));
	return n < 20;
}

BOTH(accounts)
{
	struct account_rec a = { .domain = STR("x.org"), .local = STR("anna"), .is_admin = true, .created_ms = 5 }, r;
	struct txn *t = txn_write(s);
	struct str status;
	uint64_t ms;
	char names[200] = "";

	a.scram[HASH_SHA256] = (struct scram_keys){
		.present = true, .iterations = 4096, .salt_n = 3, .salt = "abc", .stored_key = "S"
	};
	is_int(account_create(t, &a), 0);
	is_int(account_create(t, &a), ERR_EXISTS);
	uint32_t anna = a.id;

	ok(anna > 0, "an id");
	a = (struct account_rec){ .domain = STR("x.org"), .local = STR("bob") };
	is_int(account_create(t, &a), 0);
	ok(a.id > anna, "ids grow");
	a = (struct account_rec){ .domain = STR("x.orga"), .local = STR("anna") };
	is_int(account_create(t, &a), 0);
	is_int(account_get(t, STR("x.org"), STR("anna"), &r), 0);
	is_int(r.id, anna);
	ok(r.is_admin && !r.disabled && !r.directory_owned, "flags");
	is_int(r.scram[HASH_SHA256].iterations, 4096);
	is_mem(r.scram[HASH_SHA256].salt, "abc", 3);
	ok(r.scram[HASH_SHA256].present && !r.scram[HASH_SHA1].present, "only the kinds that were set");
	is_int(account_get_by_id(t, anna, &r), 0);
	is_str(r.local, STR("anna"));
	is_int(account_get(t, STR("x.org"), STR("ann"), &r), ERR_NOT_FOUND);
	is_int(account_get_by_id(t, 999, &r), ERR_NOT_FOUND);
	account_each(t, STR("x.org"), collect_names, names);
	is_cstr(names, "anna bob ");

	is_int(account_get_last_seen(t, anna, &ms, &status), ERR_NOT_FOUND);
	is_int(account_get_delivered(t, anna), 0);
	account_set_delivered(t, anna, 77);
	account_set_last_seen(t, anna, 99, STR("gone"));
	is_int(account_get_delivered(t, anna), 77);
	is_int(account_get_last_seen(t, anna, &ms, &status), 0);
	is_int(ms, 99);
	is_str(status, STR("gone"));

	is_int(account_delete(t, anna), 0);
	is_int(account_get(t, STR("x.org"), STR("anna"), &r), ERR_NOT_FOUND);
	is_int(account_get_by_id(t, anna, &r), ERR_NOT_FOUND);
	is_int(account_delete(t, anna), ERR_NOT_FOUND);
	a = (struct account_rec){ .domain = STR("x.org"), .local = STR("anna") };
	is_int(account_create(t, &a), 0);
	ok(a.id > anna + 2, "an id is never used again");
	is_int(account_get_delivered(t, a.id), 0);
	is_int(account_get_by_id(t, anna, &r),
	       ERR_NOT_FOUND); /* the old id does not lead to the new holder of the name */
	is_int(account_delete(t, anna), ERR_NOT_FOUND);
	is_int(txn_commit(t), 0);

	/* A damaged counter must not start again at 1. */
	t = txn_write(s);
	txn_put(t, TAB_META, STR("next account id"), STR("damaged counter"), 0);
	a = (struct account_rec){ .domain = STR("x.org"), .local = STR("carl") };
	is_int(account_create(t, &a), ERR_CORRUPT);
	txn_abort(t);
}

/* --- tokens --- */

static bool count_tokens(void *ctx, const uint8_t hash[32], const struct token_rec *r)
{
	(void)hash;
	(void)r;
	++*(unsigned *)ctx;
	return true;
}

BOTH(tokens)
{
	struct txn *t = txn_write(s);
	struct token_rec r = { .account_id = 5,
			       .kind = TOKEN_FAST,
			       .expires_ms = 10,
			       .credentials_epoch = 3,
			       .agent_id = STR("ag"),
			       .name = STR("n"),
			       .secret = STR("sec") },
			 g;
	uint8_t h[4][32] = { { 1 }, { 2 }, { 3 }, { 4 } };
	unsigned n = 0;

	token_put(t, h[0], &r);
	r.kind = TOKEN_API;
	token_put(t, h[1], &r);
	r.account_id = 6;
	token_put(t, h[2], &r);
	is_int(token_get(t, h[0], &g), 0);
	is_int(g.account_id, 5);
	is_int(g.kind, TOKEN_FAST);
	is_int(g.credentials_epoch, 3);
	is_str(g.agent_id, STR("ag"));
	is_int(token_get(t, h[3], &g), ERR_NOT_FOUND);
	token_each_of_account(t, 5, count_tokens, &n);
	is_int(n, 2);
	token_delete_account(t, 5, TOKEN_FAST);
	is_int(token_get(t, h[0], &g), ERR_NOT_FOUND);
	is_int(token_get(t, h[1], &g), 0);
	token_delete_account(t, 5, TOKEN_ANY); /* A16 */
	is_int(token_get(t, h[1], &g), ERR_NOT_FOUND);
	is_int(token_get(t, h[2], &g), 0);
	token_delete(t, h[2]);
	is_int(rows(t, TAB_TOKEN), 0);
	txn_abort(t);
}

/* --- blocks, audit --- */

static bool join_jids(void *ctx, struct str jid)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 100 - n, "%.*s ", STR_ARG(jid));
	return true;
}

BOTH(blocks)
{
	struct txn *t = txn_write(s);
	char all[100] = "";

	ok(!block_any(t, 1), "none");
	block_put(t, 1, STR("b@x"));
	block_put(t, 1, STR("a@x"));
	block_put(t, 2, STR("c@x"));
	ok(block_any(t, 1) && block_get(t, 1, STR("a@x")) && !block_get(t, 1, STR("c@x")), "own list only");
	block_each(t, 1, join_jids, all);
	is_cstr(all, "a@x b@x ");
	ok(block_del(t, 1, STR("a@x")) && !block_del(t, 1, STR("a@x")), "deleted once");
	ok(!block_get(t, 1, STR("a@x")), "gone");
	txn_abort(t);
}

static bool join_acts(void *ctx, const struct audit_rec *r)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 100 - n, "%llu:%.*s ", (unsigned long long)r->number, STR_ARG(r->action));
	return true;
}

BOTH(audit_chain)
{
	struct txn *t = txn_write(s);
	char all[100] = "", tail[100] = "";
	const char *acts[] = { "add", "disable", "delete", "backup" };

	for (int i = 0; i < 4; i++)
		audit_add(t, &(struct audit_rec){ .time_ms = 1000, .actor = STR("root"), .action = str_c(acts[i]) });
	is_int(audit_each(t, 0, join_acts, all), 0);
	is_cstr(all, "1:add 2:disable 3:delete 4:backup ");
	is_int(audit_each(t, 3, join_acts, tail), 0);
	is_cstr(tail, "3:delete 4:backup ");
	/* Somebody rewrites history with a sound record. */
	struct scan sc;
	struct recw w;

	recw_init(&w, 1000);
	recw_begin(&w, 1);
	recw_str(&w, str_of((char[32]){ 0 }, 32));
	recw_u64(&w, 1000);
	recw_str(&w, STR("root"));
	recw_str(&w, STR("nothing"));
	recw_str(&w, STR(""));
	recw_str(&w, STR(""));
	scan_open(&sc, t, TAB_AUDIT, STR_NONE, STR_NONE);
	scan_next(&sc);
	txn_put(t, TAB_AUDIT, sc.key, recw_finish(&w), 0);
	scan_close(&sc);
	recw_clear(&w);
	all[0] = 0;
	is_int(audit_each(t, 0, join_acts, all), ERR_CORRUPT);
	txn_abort(t);
}

/* --- roster --- */

static bool join_items(void *ctx, const struct roster_item *i)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 200 - n, "%.*s(%.*s,%u) ", STR_ARG(i->jid), STR_ARG(i->name), i->groups);
	return true;
}

BOTH(roster)
{
	struct txn *t = txn_write(s);
	struct roster_item i = { .jid = STR("bob@x"),
				 .name = STR("Bob"),
				 .group = { STR("A"), STR("B::C") },
				 .groups = 2,
				 .listed = true,
				 .to = true,
				 .ask = true },
			   g;
	char all[200] = "";

	is_int(roster_version(t, 1), 0);
	roster_item_put(t, 1, &i);
	is_int(roster_version(t, 1), 1);
	is_int(roster_version(t, 2), 0);
	is_int(roster_item_get(t, 1, STR("bob@x"), &g), 0);
	is_str(g.jid, STR("bob@x"));
	is_str(g.name, STR("Bob"));
	is_int(g.groups, 2);
	is_str(g.group[1], STR("B::C"));
	ok(g.listed && g.to && g.ask && !g.from && !g.pending_in && !g.approved, "flags");
	is_int(roster_item_get(t, 2, STR("bob@x"), &g), ERR_NOT_FOUND);

	/* A waiting request is no roster item, so the version stays (RFC 6121 3.1.3). */
	i = (struct roster_item){ .jid = STR("eve@x"), .pending_in = true, .request = STR("<status>hi</status>") };
	roster_item_put(t, 1, &i);
	is_int(roster_version(t, 1), 1);
	is_int(roster_item_get(t, 1, STR("eve@x"), &g), 0);
	ok(g.pending_in && !g.listed, "pending");
	is_str(g.request, STR("<status>hi</status>"));
	is_int(roster_item_count(t, 1), 2);
	i.listed = i.from = true;
	i.pending_in = false;
	roster_item_put(t, 1, &i);
	is_int(roster_version(t, 1), 2);
	is_int(roster_item_get(t, 1, STR("eve@x"), &g), 0);
	is_str(g.request, STR(""));
	roster_item_each(t, 1, join_items, all);
	is_cstr(all, "bob@x(Bob,2) eve@x(,0) ");
	/* Nothing left to say: the item goes, and that is seen. */
	i.listed = i.from = false;
	roster_item_put(t, 1, &i);
	is_int(roster_item_get(t, 1, STR("eve@x"), &g), ERR_NOT_FOUND);
	is_int(roster_version(t, 1), 3);
	ok(roster_item_del(t, 1, STR("bob@x")) && !roster_item_del(t, 1, STR("bob@x")), "deleted once");
	is_int(roster_version(t, 1), 4);
	is_int(roster_item_count(t, 1), 0);
	i.listed = true;
	roster_item_put(t, 1, &i);
	roster_delete_account(t, 1);
	is_int(roster_item_count(t, 1), 0);
	is_int(roster_version(t, 1), 6);
	is_int(txn_commit(t), 0);
	t = txn_write(s);
	i.groups = ROSTER_GROUPS_MAX + 1;
	roster_item_put(t, 1, &i);
	is_int(txn_commit(t), ERR_LIMIT);
}

BOTH(roster_passes_damage_over)
{
	struct txn *t = txn_write(s);
	struct roster_item i = { .jid = STR("a@x"), .listed = true };
	char all[200] = "", key[100];
	struct scan sc;

	roster_item_put(t, 1, &i);
	i.jid = STR("b@x");
	roster_item_put(t, 1, &i);
	scan_open(&sc, t, TAB_ROSTER, STR_NONE, STR_NONE);
	ok(scan_next(&sc), "the first item");
	size_t n = sc.key.n;

	memcpy(key, sc.key.p, n);
	scan_close(&sc);
	txn_put(t, TAB_ROSTER, str_of(key, n), STR("damaged, not a record"), 0);
	is_int(roster_item_get(t, 1, STR("a@x"), &i), ERR_CORRUPT);
	roster_item_each(t, 1, join_items, all);
	is_cstr(all, "b@x(,0) ");
	is_int(txn_commit(t), 0);
}

/* --- private XML, vCard --- */

static bool join_private(void *ctx, struct str name, struct str ns, struct str xml)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 200 - n, "{%.*s}%.*s=%zu ", STR_ARG(ns), STR_ARG(name), xml.n);
	return true;
}

BOTH(private_xml)
{
	struct txn *t = txn_write(s);
	static char big[2000];
	char all[200] = "";
	struct str v;

	memset(big, 'x', sizeof(big));
	is_int(private_put(t, 1, STR("storage"), STR("ns:a"), STR("<storage/>"), 1000), 0);
	is_int(private_put(t, 1, STR("storage"), STR("ns:b"), STR("<b/>"), 1000), 0);
	is_int(private_put(t, 2, STR("storage"), STR("ns:a"), STR("<other/>"), 1000), 0);
	is_int(private_get(t, 1, STR("storage"), STR("ns:a"), &v), 0);
	is_str(v, STR("<storage/>"));
	is_int(private_get(t, 1, STR("storage"), STR("ns:c"), &v), ERR_NOT_FOUND);
	uint64_t two = private_bytes(t, 1);

	ok(two > 14 && two < 100, "%llu bytes", (unsigned long long)two);
	is_int(private_put(t, 1, STR("big"), STR("n"), str_of(big, 1000), 1000), ERR_LIMIT);
	is_int(private_bytes(t, 1), two);
	is_int(private_put(t, 1, STR("storage"), STR("ns:a"), str_of(big, 800), 1000), 0);
	is_int(private_put(t, 1, STR("storage"), STR("ns:a"), str_of(big, 900), 1000),
	       0); /* replaces, so it still fits */
	is_int(private_put(t, 1, STR("storage"), STR("ns:a"), STR("<storage/>"), 1000), 0);
	is_int(private_bytes(t, 1), two);
	private_each(t, 1, join_private, all);
	is_cstr(all, "{ns:a}storage=10 {ns:b}storage=4 ");
	ok(private_del(t, 1, STR("storage"), STR("ns:a")) && !private_del(t, 1, STR("storage"), STR("ns:a")),
	   "deleted once");
	ok(private_del(t, 1, STR("storage"), STR("ns:b")), "deleted");
	is_int(private_bytes(t, 1), 0);
	is_int(private_put(t, 1, str_of(big, 600), STR("n"), STR("<a/>"), 100000), ERR_LIMIT);
	is_int(private_put(t, 1, STR("a"), str_of(big, 1500), STR("<long-ns/>"), 100000), 0);
	is_int(private_get(t, 1, STR("a"), str_of(big, 1500), &v), 0);
	is_str(v, STR("<long-ns/>"));
	private_delete_account(t, 1);
	is_int(private_get(t, 1, STR("a"), str_of(big, 1500), &v), ERR_NOT_FOUND);
	is_int(private_get(t, 2, STR("storage"), STR("ns:a"), &v), 0);
	is_int(rows(t, TAB_PRIVATE), 2);
	is_int(txn_commit(t), 0);
}

BOTH(vcards)
{
	struct txn *t = txn_write(s);
	struct str v;

	is_int(vcard_get(t, 1, &v), ERR_NOT_FOUND);
	vcard_put(t, 1, STR("<vCard/>"));
	vcard_put(t, 256, STR("<other/>"));
	is_int(vcard_get(t, 1, &v), 0);
	is_str(v, STR("<vCard/>"));
	ok(vcard_del(t, 1) && !vcard_del(t, 1), "deleted once");
	is_int(vcard_get(t, 256, &v), 0);
	is_int(txn_commit(t), 0);
}

/* --- PEP --- */

static bool join_pep(void *ctx, const struct pep_item *i)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 200 - n, "%.*s=%.*s ", STR_ARG(i->id), STR_ARG(i->payload));
	return true;
}

static const char *items(struct txn *t, const struct pep_node *n, bool newest_first)
{
	static char all[200];

	all[0] = 0;
	pep_item_each(t, n, newest_first, join_pep, all);
	return all;
}

static bool join_nodes(void *ctx, const struct pep_node *node)
{
	char *out = ctx;
	size_t n = strlen(out);

	snprintf(out + n, 200 - n, "%.*s:%.*s:%llu ", STR_ARG(node->name), STR_ARG(node->config),
		 (unsigned long long)node->items);
	return true;
}

static int publish(struct txn *t, struct pep_node *n, const char *id, const char *payload, uint64_t max_items)
{
	struct pep_item i = {
		.id = str_c(id), .payload = str_c(payload), .publisher = STR("me@x"), .published_ms = 42
	};

	return pep_item_put(t, n, &i, max_items, 10000);
}

BOTH(pep)
{
	struct txn *t = txn_write(s);
	struct pep_node n, other, g;
	struct pep_item i;
	struct pep_totals x;
	char all[200] = "";

	is_int(pep_node_get(t, 1, STR("mood"), &n), ERR_NOT_FOUND);
	is_int(pep_node_create(t, 1, STR("mood"), STR("cfg"), 2, &n), 0);
	is_int(pep_node_create(t, 1, STR("mood"), STR("cfg"), 2, &g), ERR_EXISTS);
	is_int(pep_node_create(t, 1, STR("moo"), STR("c2"), 2, &other), 0);
	is_int(pep_node_create(t, 1, STR("third"), STR(""), 2, &g), ERR_LIMIT);
	is_int(publish(t, &n, "a", "1", 10), 0);
	is_int(publish(t, &n, "b", "2", 10), 0);
	is_int(publish(t, &n, "c", "3", 10), 0);
	is_int(publish(t, &other, "a", "x", 10), 0);
	is_cstr(items(t, &n, false), "a=1 b=2 c=3 ");
	is_int(publish(t, &n, "a", "4", 10), 0);
	is_cstr(items(t, &n, false), "b=2 c=3 a=4 ");
	is_cstr(items(t, &n, true), "a=4 c=3 b=2 ");
	is_int(n.items, 3);
	is_int(pep_item_get(t, &n, STR("a"), &i), 0);
	is_str(i.payload, STR("4"));
	is_str(i.publisher, STR("me@x"));
	is_int(i.published_ms, 42);
	is_int(pep_item_get(t, &n, STR("zz"), &i), ERR_NOT_FOUND);
	is_int(publish(t, &n, "d", "5", 2), 0);
	is_cstr(items(t, &n, false), "a=4 d=5 ");
	is_int(pep_item_get(t, &n, STR("c"), &i), ERR_NOT_FOUND);
	is_int(pep_node_get(t, 1, STR("mood"), &g), 0);
	is_int(g.items, 2);
	is_int(g.bytes, n.bytes);
	is_str(g.config, STR("cfg"));
	is_int(pep_node_configure(t, 1, STR("mood"), STR("new config")), 0);
	is_int(publish(t, &n, "d", "6", 1), 0);
	is_cstr(items(t, &n, false), "d=6 ");
	pep_node_each(t, 1, join_nodes, all);
	is_cstr(all, "moo:c2:1 mood:new config:1 ");
	pep_account_totals(t, 1, &x);
	is_int(x.nodes, 2);
	is_int(x.bytes, n.bytes + other.bytes);

	is_int(pep_item_delete(t, &n, STR("d")), 0);
	is_int(pep_item_delete(t, &n, STR("d")), ERR_NOT_FOUND);
	is_int(n.items, 0);
	is_int(n.bytes, 0);
	is_int(publish(t, &n, "e", "7", 5), 0);
	pep_node_purge(t, &n);
	is_cstr(items(t, &n, false), "");
	is_int(pep_node_get(t, 1, STR("mood"), &g), 0);
	is_int(g.items, 0);
	is_int(pep_node_delete(t, 1, STR("mood")), 0);
	is_int(pep_node_delete(t, 1, STR("mood")), ERR_NOT_FOUND);
	is_cstr(items(t, &other, false), "a=x ");
	pep_account_totals(t, 1, &x);
	is_int(x.nodes, 1);
	is_int(x.bytes, other.bytes);
	/* A node made anew is another one. */
	is_int(pep_node_create(t, 1, STR("mood"), STR(""), 2, &g), 0);
	ok(g.number != n.number, "numbers are not used again");
	pep_delete_account(t, 1);
	is_int(rows(t, TAB_PEP_NODE) + rows(t, TAB_PEP_ITEM), 0);
	is_int(txn_commit(t), 0);
}

BOTH(pep_limits)
{
	static char big[6000], id[2][700];
	struct txn *t = txn_write(s);
	struct pep_node n;
	struct pep_item i = { .id = STR("x") }, g;
	struct pep_totals x;

	memset(big, 'x', sizeof(big));
	is_int(pep_node_create(t, 1, STR("n"), STR("cfg"), 10, &n), 0);
	i.payload = str_of(big, 6000);
	is_int(pep_item_put(t, &n, &i, 10, 5000), ERR_LIMIT);
	pep_account_totals(t, 1, &x);
	is_int(x.bytes, 0);
	i.payload = str_of(big, 4000);
	is_int(pep_item_put(t, &n, &i, 10, 5000), 0);
	is_int(pep_item_put(t, &n, &i, 10, 5000), 0); /* replaces */
	i.id = STR("y");
	is_int(pep_item_put(t, &n, &i, 10, 5000), ERR_LIMIT);
	/* Ids too long for a key, differing at the end only; then dropped by max_items. */
	i.payload = STR("p");
	for (int k = 0; k < 2; k++) {
		memset(id[k], 'i', 700);
		id[k][699] = (char)('0' + k);
		i.id = str_of(id[k], 700);
		is_int(pep_item_put(t, &n, &i, 10, 50000), 0);
	}
	is_int(n.items, 3);
	is_int(pep_item_get(t, &n, str_of(id[1], 700), &g), 0);
	is_str(g.id, str_of(id[1], 700));
	is_int(publish(t, &n, "z", "last", 1), 0);
	is_int(n.items, 1);
	is_int(rows(t, TAB_PEP_ITEM), 2);
	is_int(txn_commit(t), 0);
}

/* Everything these modules store is a record: the check finds nothing to complain about. */
BOTH(all_values_are_records)
{
	struct check_report r;
	struct txn *t = txn_write(s);
	struct account_rec a = { .domain = STR("x.org"), .local = STR("anna") };
	struct pep_node n;
	uint64_t total = 0;

	is_int(account_create(t, &a), 0);
	account_set_delivered(t, a.id, 7);
	account_set_last_seen(t, a.id, 7, STR(""));
	token_put(t, (uint8_t[32]){ 1 }, &(struct token_rec){ .account_id = a.id, .kind = TOKEN_API });
	block_put(t, a.id, STR("b@x"));
	audit_add(t, &(struct audit_rec){ .action = STR("add") });
	roster_item_put(t, a.id, &(struct roster_item){ .jid = STR("b@x"), .listed = true });
	is_int(private_put(t, a.id, STR("a"), STR("b"), STR("<a/>"), 1000), 0);
	vcard_put(t, a.id, STR("<vCard/>"));
	is_int(pep_node_create(t, a.id, STR("n"), STR(""), 5, &n), 0);
	is_int(publish(t, &n, "i", "p", 1), 0);
	is_int(account_create(t, &(struct account_rec){ .domain = STR("x.org"), .local = STR("bob") }), 0);
	is_int(account_delete(t, a.id), 0);
	is_int(txn_commit(t), 0);
	is_int(store_check(s, &r), 0);
	for (unsigned i = 0; i < TAB_COUNT; i++)
		total += r.records[i];
	ok(total > 15, "%llu records", (unsigned long long)total);
}
