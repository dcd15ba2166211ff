/* The company: CSV with line numbers in its errors, import that can be repeated, who sees whom, and what everybody online is pushed (design idea 5). */
#include "base/err.h"
#include "base/mem.h"
#include "server/im/account.h"
#include "server/im/org.h"
#include "server/im/org_import.h"
#include "server/xmpp/roster_view.h"
#include "storage/tab_org.h"
#include "tests/lib/test.h"
#include "tests/lib/world.h"
#include <stdio.h>

static int find(struct str text, const char *part)
{
	char *z = str_dup(text);
	int n = 0;

	for (char *p = z; (p = strstr(p, part)) != NULL; p++)
		n++;
	mem_free(z);
	return n;
}

/* ---- the parser ---- */

struct rows {
	size_t n, last_line;
	char name[100], dept[100];
};

static int on_row(void *ctx, size_t line, const struct str v[COLUMNS], struct err_msg *msg)
{
	struct rows *r = ctx;

	(void)msg;
	r->n++;
	r->last_line = line;
	snprintf(r->name, sizeof r->name, "%.*s", STR_ARG(v[COL_NAME]));
	snprintf(r->dept, sizeof r->dept, "%.*s", STR_ARG(v[COL_DEPT]));
	return 0;
}

static const struct {
	const char *csv;
	int err;
	const char *says; /* part of the message, or the name of the last row */
	size_t rows;
} files[] = {
	{ "login,full_name\na,Anna\n", 0, "Anna", 1 },
	{ "full_name;login\nAnna;a\n\nBoris;b", 0, "Boris", 2 },
	{ "\xef\xbb\xbflogin,full_name\na,\"Ivanov, \"\"Boris\"\"\"\r\n", 0, "Ivanov, \"Boris\"", 1 },
	{ "login,full_name\na,\"two\nlines\"\n", 0, "two\nlines", 1 },
	{ "login,full_name,department\na, Anna , IT \n", 0, "Anna", 1 },
	{ "", ERR_SYNTAX, "empty", 0 },
	{ "login\na\n", ERR_SYNTAX, "line 1", 0 },
	{ "login,full_name,salary\n", ERR_SYNTAX, "line 1: unknown column \"salary\"", 0 },
	{ "login,full_name,login\n", ERR_SYNTAX, "line 1: doubled", 0 },
	{ "login,full_name\na,Anna\nb,\xff\n", ERR_SYNTAX, "line 3: field 2", 1 },
	{ "login,full_name\na,Anna\nb,x\x01\n", ERR_SYNTAX, "line 3: field 2", 1 },
	{ "login,full_name\na,\"Anna\n", ERR_SYNTAX, "line 2", 0 },
	{ "login,full_name\na,An\"na\n", ERR_SYNTAX, "line 2", 0 },
};

TEST(csv_files)
{
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct rows r = { .n = 0 };
		struct err_msg msg = { "" };
		int err = org_csv_parse(str_c(files[i].csv), on_row, &r, &msg);
		const char *got = err ? msg.text : r.name;
		ok(err == files[i].err && strstr(got, files[i].says) && r.n == files[i].rows,
		   "file %zu: %d, %zu rows, %s", i, err, r.n, got);
	}
}

TEST(csv_field_too_long_names_its_line)
{
	char *csv = mem_alloc(3000);
	struct rows r = { .n = 0 };
	struct err_msg msg = { "" };
	int n = snprintf(csv, 3000, "login,full_name\na,");

	memset(csv + n, 'x', 1001);
	csv[n + 1001] = 0;
	is_int(org_csv_parse(str_c(csv), on_row, &r, &msg), ERR_SYNTAX);
	ok(strstr(msg.text, "line 2: field 2") != NULL, "%s", msg.text);
	mem_free(csv);
}

/* ---- import ---- */

#define COMPANY                                                                                                        \
	"1,anna,pw,Anna Petrova,Head office,Director,a@x,,yes\n"                                                       \
	"2,boris,pw,Boris Ivanov,Head office/IT,Engineer,,,no\n"                                                       \
	"3,clara,pw,Clara Zetkin,Head office/IT,Helpdesk,,,no\n"                                                       \
	"4,dora,pw,Dora Branch,Branch/Sales,Seller,,,no\n"                                                             \
	"5,emil,pw,Emil Alone,,Guard,,,no\n"

static uint64_t version_in_store(void)
{
	struct txn *t = im_read();
	uint64_t v = org_version_get(t, STR("example.org"));

	txn_commit(t);
	return v;
}

TEST(world_begins)
{
	world_start();
	is_int(world_account("anna"), 0);
}

TEST(dry_run_only_tells)
{
	struct world_import r;

	world_import(COMPANY, true, false, &r);
	is_int(r.err, 0);
	is_int(r.added, 5);
	ok(strstr(r.report, "add boris: Boris Ivanov, Head office/IT"), "%s", r.report);
	is_int(world_account("boris"), 0);
	is_int(version_in_store(), 0);
}

TEST(second_import_changes_nothing)
{
	struct world_import r;

	world_import(COMPANY, false, false, &r);
	is_int(r.err, 0);
	is_int(r.added, 5);
	ok(world_account("boris") != 0, "the account is there");
	uint64_t version = version_in_store();
	world_import(COMPANY, false, true, &r);
	is_int(r.err, 0);
	is_int(r.unchanged, 5);
	is_int(r.added + r.changed + r.missing, 0);
	is_int(version_in_store(), version);
}

TEST(mistakes_name_the_line_and_change_nothing)
{
	static const struct {
		const char *rows, *says;
		int err;
	} bad[] = {
		{ "x,anna,,Anna,,,,,\n", "line 2: id \"x\"", ERR_SYNTAX },
		{ "1,new,,New,,,,,\n1,newer,,Newer,,,,,\n", "line 3: id 1 is used on line 2", ERR_CONFLICT },
		{ "1,new,,New,,,,,\n2,NEW,,Newer,,,,,\n", "line 3: login new is on line 2", ERR_CONFLICT },
		{ "1,a b,,New,,,,,\n", "line 2: login", ERR_SYNTAX },
		{ "1,new,,,,,,,\n", "line 2: full_name is empty", ERR_SYNTAX },
	};
	uint64_t version = version_in_store();

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct world_import r;
		world_import(bad[i].rows, false, true, &r);
		ok(r.err == bad[i].err && strstr(r.text, bad[i].says), "%d %s", r.err, r.text);
	}
	is_int(world_account("new"), 0);
	is_int(version_in_store(), version);
}

/* ---- who sees whom ---- */

static const char *const people[] = { "anna", "boris", "clara", "dora", "emil" };
/* '1': the row sees the column. */
static const char *const matrix[][5] = {
	[VISIBLE_COMPANY] = { "01111", "10111", "11011", "11101", "11110" },
	[VISIBLE_BRANCH] = { "01100", "10100", "11000", "00000", "00000" },
	[VISIBLE_DEPARTMENT] = { "00000", "00100", "01000", "00000", "00000" },
};

struct look {
	uint32_t id[5];
	char row[5][6];
};

static void look_here(void *arg)
{
	struct look *l = arg;

	for (int v = 0; v < 5; v++)
		for (int s = 0; s < 5; s++)
			l->row[v][s] = org_visible(org_current(), l->id[v], l->id[s]) ? '1' : '0';
}

static void set_policy(enum im_visibility policy)
{
	im.visibility = policy;
	org_reload();
	world_settle();
}

TEST(visibility_matrix)
{
	struct look l = { .id = { 0 } };

	for (int i = 0; i < 5; i++)
		l.id[i] = world_account(people[i]);
	for (int policy = VISIBLE_COMPANY; policy <= VISIBLE_DEPARTMENT; policy++) {
		set_policy((enum im_visibility)policy);
		rig_run(1, look_here, &l);
		for (int v = 0; v < 5; v++)
			is_cstr(l.row[v], matrix[policy][v]);
	}
	set_policy(VISIBLE_COMPANY);
}

/* ---- the view ---- */

struct printed {
	struct fake *f;
	struct chunk *c;
	char ver[ROSTER_VER_MAX];
};

static void print_here(void *arg)
{
	struct printed *p = arg;

	p->c = roster_view_print(p->f->s.user);
	struct str v = roster_view_version(p->f->s.user, p->ver);
	p->ver[v.n] = 0;
}

static int items_of(struct fake *f, const char *part, char *out_ver)
{
	struct printed p = { .f = f };

	rig_run(f->worker, print_here, &p);
	int n = find(chunk_str(p.c), part);
	if (out_ver)
		memcpy(out_ver, p.ver, sizeof p.ver);
	chunk_unref(p.c);
	return n;
}

static struct fake *boris, *dora;

TEST(roster_is_a_view_by_policy)
{
	char company[ROSTER_VER_MAX], department[ROSTER_VER_MAX];

	boris = world_login("boris", "b", true, true);
	dora = world_login("dora", "d", true, true);
	is_int(items_of(boris, "<item ", company), 4);
	is_int(items_of(boris, "jid='boris@", NULL), 0);
	is_int(items_of(boris,
			"<item jid='clara@example.org' name='Clara Zetkin' subscription='both'><group>Head "
			"office::IT</group></item>",
			NULL),
	       1);
	is_int(items_of(boris, "<item jid='emil@example.org' name='Emil Alone' subscription='both'/>", NULL), 1);
	set_policy(VISIBLE_DEPARTMENT);
	is_int(items_of(boris, "<item ", department), 1);
	is_int(items_of(dora, "<item ", NULL), 0);
	ok(strcmp(company, department) != 0, "another policy is another version: %s %s", company, department);
	set_policy(VISIBLE_COMPANY);
}

struct put {
	struct fake *f;
	struct gate gate;
	int err;
};

static void put_done(void *ctx, int err)
{
	struct put *p = ctx;

	p->err = err;
	gate_open(&p->gate);
}

static void put_here(void *arg)
{
	struct put *p = arg;
	struct jid clara = { .full = STR("clara@example.org"), .local_n = 5, .domain_n = 11 };
	struct roster_item i = { .jid = clara.full, .name = STR("Clarissa"), .groups = 1, .group = { STR("Friends") } };

	roster_put(&p->f->s, &clara, &i, put_done, p);
}

TEST(own_name_for_a_colleague)
{
	struct put p = { .f = boris };

	world_got(boris);
	gate_init(&p.gate);
	rig_run(boris->worker, put_here, &p);
	ok(gate_wait(&p.gate) && p.err == 0, "stored");
	is_int(find(world_got(boris),
		    "<item jid='clara@example.org' name='Clarissa' subscription='both'><group>Friends</group></item>"),
	       1);
	is_int(items_of(boris, "<item ", NULL), 4);
	is_int(items_of(boris, "jid='clara@", NULL), 1);
	is_int(items_of(boris, "name='Clarissa'", NULL), 1);
}

/* ---- pushes ---- */

TEST(new_moved_and_gone_people_are_pushed)
{
	struct world_import r;

	world_got(boris);
	world_got(dora);
	world_import("1,anna,pw,Anna Petrova,Head office,Director,a@x,,yes\n"
		     "2,boris,pw,Boris Ivanov,Head office/IT,Engineer,,,no\n"
		     "3,clara,pw,Clara Married,Head office/IT,Helpdesk,,,no\n"
		     "4,dora,pw,Dora Branch,Branch/Sales,Seller,,,no\n"
		     "6,fedor,pw,Fedor New,Branch/Sales,Seller,,,no\n",
		     false, true, &r);
	is_int(r.added, 1);
	is_int(r.changed, 1);
	is_int(r.disabled, 1);
	struct str got = world_got(dora);
	is_int(find(got, "iq set"), 3);
	is_int(find(got, "<item jid='fedor@example.org' name='Fedor New' "
			 "subscription='both'><group>Branch::Sales</group></item>"),
	       1);
	is_int(find(got, "name='Clara Married'"), 1);
	is_int(find(got, "<item jid='emil@example.org' subscription='remove'/>"), 1);
	got = world_got(boris);
	is_int(find(got, "name='Clarissa'"), 1);
	is_int(find(got, "Clara Married"), 0);
	uint64_t version = version_in_store();
	world_import("1,anna,pw,Anna Petrova,Head office,Director,a@x,,yes\n"
		     "2,boris,pw,Boris Ivanov,Head office/IT,Engineer,,,no\n"
		     "3,clara,pw,Clara Married,Head office/IT,Helpdesk,,,no\n"
		     "4,dora,pw,Dora Branch,Branch/Sales,Seller,,,no\n"
		     "6,fedor,pw,Fedor New,Branch/Sales,Seller,,,no\n",
		     false, true, &r);
	is_int(r.missing, 0);
	is_int(version_in_store(), version); /* who left already does not leave again */
	is_str(world_got(dora), STR(""));
}

TEST(change_of_position_alone_is_no_push)
{
	world_import("4,dora,pw,Dora Branch,Branch/Sales,Head of sales,,,yes\n", false, false, NULL);
	is_str(world_got(boris), STR(""));
}

TEST(a_move_changes_what_both_sides_see)
{
	set_policy(VISIBLE_DEPARTMENT);
	world_got(boris);
	world_got(dora);
	world_import("4,dora,pw,Dora Branch,Head office/IT,Seller,,,no\n", false, false, NULL);
	struct str got = world_got(boris);
	is_int(find(got, "<item jid='dora@example.org' name='Dora Branch'"), 1);
	is_int(find(got, "presence - dora@example.org/d"), 1);
	got = world_got(dora);
	is_int(find(got, "<item jid='boris@example.org' name='Boris Ivanov'"), 1);
	is_int(find(got, "<item jid='fedor@example.org' subscription='remove'/>"), 1);
	is_int(find(got, "presence - boris@example.org/b"), 1);
	world_import("4,dora,pw,Dora Branch,Branch/Sales,Seller,,,no\n", false, false, NULL);
	got = world_got(boris);
	is_int(find(got, "<item jid='dora@example.org' subscription='remove'/>"), 1);
	is_int(find(got, "presence unavailable dora@example.org/d"), 1);
	is_int(find(world_got(dora), "presence unavailable boris@example.org/b"), 1);
	set_policy(VISIBLE_COMPANY);
}

TEST(another_policy_corrects_rosters_and_presences_of_everybody_online)
{
	world_got(boris);
	world_got(dora);
	set_policy(VISIBLE_BRANCH); /* dora is in the other branch */
	struct str got = world_got(boris);
	is_int(find(got, "<item jid='dora@example.org' subscription='remove'/>"), 1);
	is_int(find(got, "presence unavailable dora@example.org/d"), 1);
	is_int(find(got, "<item jid='clara@"), 0);
	got = world_got(dora);
	is_int(find(got, "<item jid='boris@example.org' subscription='remove'/>"), 1);
	is_int(find(got, "<item jid='fedor@"), 0);
	is_int(find(got, "presence unavailable boris@example.org/b"), 1);
	set_policy(VISIBLE_DEPARTMENT);
	got = world_got(boris);
	is_int(find(got, "<item jid='anna@example.org' subscription='remove'/>"), 1);
	is_int(find(got, "presence"), 0);
	set_policy(VISIBLE_COMPANY);
	got = world_got(boris);
	is_int(find(got, "<item jid='dora@example.org' name='Dora Branch' subscription='both'>"), 1);
	is_int(find(got, "presence - dora@example.org/d"), 1);
	is_int(find(world_got(dora), "presence - boris@example.org/b"), 1);
	set_policy(VISIBLE_COMPANY);
	is_str(world_got(boris), STR(""));
}

TEST(disabled_and_deleted_people_leave_the_roster)
{
	uint64_t version = version_in_store();

	world_got(boris);
	is_int(rig_change(account_disable, "anna", ""), 0);
	is_int(find(world_got(boris), "<item jid='anna@example.org' subscription='remove'/>"), 1);
	ok(version_in_store() > version, "another version, so that who was away learns it too");
	is_int(rig_change(account_enable, "anna", ""), 0);
	is_int(find(world_got(boris), "<item jid='anna@example.org' name='Anna Petrova'"), 1);
	is_int(rig_change(account_remove, "anna", ""), 0);
	is_int(find(world_got(boris), "<item jid='anna@example.org' subscription='remove'/>"), 1);
}

TEST(world_ends)
{
	world_logout(boris);
	world_logout(dora);
	world_stop();
	is_ptr(im.store, NULL);
}
