/* server/im/presence: the mirror on every worker, directed presence (RFC 6121 4.6) with its limit, who hears of an end, last seen. */
#include "base/clock.h"
#include "storage/tab_account.h"
#include "tests/lib/taps.h"

static struct tap *anna, *boris;

TEST(world_begins)
{
	world_start();
	is_int(rig_add("example.org", "anna", "pw"), 0);
	is_int(rig_add("example.org", "boris", "pw"), 0);
	anna = tap_open("anna@example.org/a");
	boris = tap_open("boris@example.org/b");
}

struct look {
	unsigned n;
	bool there;
	char text[200];
};

static void look_at(void *ctx, struct str resource, int8_t priority, struct chunk *payload)
{
	struct look *l = ctx;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%.*s:%d:%.*s ", STR_ARG(resource), priority,
		 STR_ARG(payload ? chunk_str(payload) : STR("-")));
}

static void look_here(void *arg)
{
	struct look *l = arg;

	l->there = presence_is_available(STR("anna@example.org"));
	presence_each(STR("anna@example.org"), look_at, l);
}

static void mirrored(const char *want)
{
	for (unsigned w = 0; w < threads_count(); w++) {
		struct look l = { .n = 0 };
		rig_run(w, look_here, &l);
		is_cstr(l.text, want);
		is_int(l.there, want[0] != 0);
	}
}

TEST(every_worker_has_the_mirror)
{
	struct tap *second = tap_open("anna@example.org/c");

	mirrored("");
	tap_present(anna, 5, "<show>away</show>");
	mirrored("a:5:<show>away</show> ");
	tap_present(second, -1, NULL);
	mirrored("a:5:<show>away</show> c:-1:- ");
	is_cstr(tap_got(anna),
		"presence - anna@example.org/a>- #0 <show>away</show>\npresence - anna@example.org/c>- #0 -\n");
	tap_present(anna, 0, NULL);
	mirrored("a:0:- c:-1:- ");
	tap_leave(anna, "<status>home</status>");
	mirrored("c:-1:- ");
	is_int(anna->s.available, false);
	tap_leave(anna, NULL); /* twice is harmless */
	mirrored("c:-1:- ");
	tap_close(second); /* a lost session ends its presence */
	mirrored("");
	tap_got(anna);
}

/* The place a caller keeps in the peer cache never outlives the cache. */
static struct peer_place place;

static void look_up(void *arg)
{
	struct arena *a = arena_new(256);
	struct jid j;

	is_int(jid_parse(a, STR("late@example.org"), &j), 0);
	const struct peer *p = peer_at(&place, &j);
	ok(p == peer_get(&j) && p == peer_at(&place, &j), "the entry of the cache");
	*(uint32_t *)arg = p->id;
	arena_free(a);
}

TEST(a_kept_place_in_the_peer_cache_follows_changes)
{
	uint32_t id = 1;

	rig_run(0, look_up, &id);
	is_int(id, 0);
	is_int(rig_add("example.org", "late", "pw"), 0);
	peer_forget_all();
	rig_run(0, look_up, &id);
	ok(id != 0, "the account made since");
}

TEST(strangers_see_nothing)
{
	tap_present(boris, 0, NULL);
	tap_got(boris);
	tap_present(anna, 0, NULL);
	is_cstr(tap_got(boris), "");
	tap_leave(anna, NULL);
	is_cstr(tap_got(boris), "");
}

struct direct {
	const char *to;
	struct str type;
	int err;
};

static void direct_here(void *arg)
{
	struct direct *d = arg;
	struct arena *a = arena_new(1024);
	struct jid to;

	is_int(jid_parse(a, str_c(d->to), &to), 0);
	d->err = presence_direct(&anna->s, &to, d->type, STR_NONE, NULL);
	arena_free(a);
}

static int direct(const char *to, struct str type)
{
	struct direct d = { to, type, 0 };

	rig_run(anna->worker, direct_here, &d);
	world_settle();
	return d.err;
}

TEST(directed_presence)
{
	struct limits l = *limits(), former = l;

	is_int(direct("boris@example.org/b", STR_NONE), 0);
	is_cstr(tap_got(boris), "presence - anna@example.org/a>boris@example.org/b #0 -\n");
	is_int(direct("boris@example.org/none", STR_NONE), 0);
	is_cstr(tap_got(boris), "");
	is_int(direct("boris@example.org/none", STR("unavailable")), 0);
	tap_leave(anna, "<status>bye</status>"); /* never broadcast, but he was told */
	is_cstr(tap_got(boris),
		"presence unavailable anna@example.org/a>boris@example.org/b #0 <status>bye</status>\n");
	tap_leave(anna, NULL);
	is_cstr(tap_got(boris), ""); /* once */

	l.directed_presence = 2;
	limits_set(&l);
	is_int(direct("boris@example.org", STR_NONE), 0);
	is_int(direct("boris@example.org/x", STR_NONE), 0);
	is_int(direct("boris@example.org", STR_NONE), 0); /* known already */
	is_int(direct("boris@example.org/y", STR_NONE), ERR_LIMIT);
	is_int(direct("boris@example.org/x", STR("unavailable")), 0);
	is_int(direct("boris@example.org/y", STR_NONE), 0);
	limits_set(&former);
	tap_got(boris);
}

TEST(last_seen_is_stored)
{
	uint64_t before = clock_wall_ms(), at = 0;
	struct str status;

	tap_present(anna, 0, NULL);
	tap_leave(anna, "<status>gone</status>");
	struct txn *t = im_read();
	is_int(account_get_last_seen(t, world_account("anna"), &at, &status), 0);
	ok(at >= before && at <= clock_wall_ms(), "the time of leaving");
	is_str(status, STR("<status>gone</status>"));
	txn_commit(t);
}

TEST(world_ends)
{
	tap_close(anna);
	tap_close(boris);
	world_stop();
	is_ptr(im.store, NULL);
}
