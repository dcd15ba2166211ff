/* server/xmpp/roster_news.c: a new structure reaches everybody online, one new colleague or a company turned upside down; who reads slowly is waited
 * for, and no version is named before all of it was sent (RFC 6121 2.6). */
#include "base/mem.h"
#include "server/xmpp/roster_view.h"
#include "tests/lib/test.h"
#include "tests/lib/world.h"
#include <time.h>

enum { PEOPLE = 1200 };

static struct fake *anna, *boris;

static void company(unsigned people, const char *department)
{
	struct buf b;
	struct world_import r;

	buf_init(&b, 1 << 20);
	buf_lit(&b, "id,login,password,full_name,department,position,email,phone,head\n");
	for (unsigned i = 1; i <= people; i++)
		buf_printf(&b, "%u,p%u,,Person %u,%s,,,,no\n", i, i, i, department);
	char *csv = str_dup(buf_str(&b));
	world_import_csv(csv, false, true, &r);
	is_int(r.err, 0);
	mem_free(csv);
	buf_clear(&b);
}

static unsigned count(struct str text, const char *part)
{
	unsigned n = 0;
	size_t len = strlen(part);

	for (const char *p = text.p, *end = p + text.n; (p = memmem(p, (size_t)(end - p), part, len)) != NULL; p += len)
		n++;
	return n;
}

static char version[64];

static void read_version(void *arg)
{
	char ver[ROSTER_VER_MAX];
	struct fake *f = arg;

	snprintf(version, sizeof version, " ver='%.*s'", STR_ARG(roster_view_version(f->s.user, ver)));
}

static const char *version_of(struct fake *f)
{
	rig_run(f->worker, read_version, f);
	return version;
}

static bool ends_with_version(struct fake *f, struct str got)
{
	const char *at = memrchr(got.p, '\n', got.n - 1);

	return count(str_of(at ? at : got.p, (size_t)(got.p + got.n - (at ? at : got.p))), version_of(f)) == 1;
}

TEST(a_company_turned_upside_down_reaches_everybody)
{
	world_start();
	company(PEOPLE, "North");
	anna = world_login("p1", "r", true, true);
	boris = world_login("p2", "r", true, true);
	world_got(anna);
	world_got(boris);
	company(PEOPLE, "South");
	for (unsigned i = 0; i < 2; i++) {
		struct fake *f = i ? boris : anna;
		struct str got = world_got(f);
		is_int(count(got, "<group>South</group>"), PEOPLE - 1);
		is_int(count(got, version_of(f)), 1);
		ok(ends_with_version(f, got), "only the last push names the new version");
	}
}

TEST(one_new_colleague_is_one_push)
{
	company(PEOPLE + 1, "South");
	struct str got = world_got(anna);
	is_int(count(got, "iq set"), 1);
	is_int(count(got, "jid='p1201@example.org'"), 1);
	ok(ends_with_version(anna, got), "with the new version");
}

static void set_full(void *arg)
{
	struct fake *f = arg;

	f->full = !f->full;
}

static struct buf all;

/* On the worker: a timer there goes on sending meanwhile. */
static void take_here(void *arg)
{
	struct fake *f = arg;

	buf_str_add(&all, buf_str(&f->got));
	buf_reset(&f->got);
}

static void await_version(struct fake *f)
{
	struct timespec now, begin;

	buf_init(&all, 4 << 20);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		rig_run(f->worker, take_here, f);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!(all.n && ends_with_version(f, buf_str(&all))) && now.tv_sec - begin.tv_sec < 20);
	is_int(count(buf_str(&all), "<group>East</group>"), PEOPLE);
	is_int(count(buf_str(&all), "<group>West</group>"), PEOPLE);
	is_int(count(buf_str(&all), version_of(f)), 1);
	buf_clear(&all);
}

TEST(who_reads_slowly_is_waited_for)
{
	world_got(boris);
	rig_run(anna->worker, set_full, anna);
	company(PEOPLE + 1, "East");
	company(PEOPLE + 1, "West");
	is_int(world_got(anna).n, 0);
	struct str got = world_got(boris);
	is_int(count(got, "<group>East</group>"), PEOPLE);
	is_int(count(got, "<group>West</group>"), PEOPLE);
	rig_run(anna->worker, set_full, anna);
	await_version(anna);
}

TEST(world_ends)
{
	rig_run(boris->worker, set_full, boris);
	company(PEOPLE, "North"); /* boris goes while he is waited for */
	world_logout(boris);
	world_logout(anna);
	world_stop();
}
