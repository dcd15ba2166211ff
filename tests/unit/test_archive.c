/* server/im/archive: pages in both directions, bounds, who may read (I08), with a person, hidden by preferences (XEP-0313 section 6). */
#include "server/im/archive.h"
#include "server/im/account.h"
#include "server/im/conv.h"
#include "server/im/peer.h"
#include "storage/tab_mam_prefs.h"
#include "tests/lib/taps.h"

#define T0 1700000000000000ull
static uint32_t anna, boris, clara, gone;

static void put(uint32_t from, uint32_t to, const char *from_jid, const char *to_jid, unsigned flags)
{
	struct txn *t = txn_write(im.store);
	struct message_rec m = { .conv = conv_private(from, to),
				 .author = from,
				 .recipient = to,
				 .flags = flags | MESSAGE_COUNTS,
				 .payload = STR("<body/>") };

	m.from = str_c(from_jid);
	m.to = str_c(to_jid);
	is_int(message_append(t, &m, T0 + (message_last_gid(t) + 1) * 10, 100), 0);
	is_int(txn_commit(t), 0);
}

/* 1 A>B, 2 B>A/x, 3 A/x>C, 4 A>B, 5 B>C, 6 A>gone, 7 B/y>A, 8 A>A; times T0 + 10 * number */
TEST(world_begins)
{
	message_caches_drop();
	world_start();
	is_int(rig_add("example.org", "anna", "pw"), 0);
	is_int(rig_add("example.org", "boris", "pw"), 0);
	is_int(rig_add("example.org", "clara", "pw"), 0);
	is_int(rig_add("example.org", "gone", "pw"), 0);
	is_int(rig_change(account_disable, "gone", NULL), 0);
	anna = world_account("anna");
	boris = world_account("boris");
	clara = world_account("clara");
	gone = world_account("gone");
	put(anna, boris, "anna@example.org/a", "boris@example.org", 0);
	put(boris, anna, "boris@example.org/b", "anna@example.org/x", 0);
	put(anna, clara, "anna@example.org/x", "clara@example.org", 0);
	put(anna, boris, "anna@example.org/a", "boris@example.org/y", 0);
	put(boris, clara, "boris@example.org/b", "clara@example.org", 0);
	put(anna, gone, "anna@example.org/a", "gone@example.org", 0);
	put(boris, anna, "boris@example.org/y", "anna@example.org", 0);
	put(anna, anna, "anna@example.org/a", "anna@example.org", 0);
}

struct reading {
	struct archive_query q;
	const char *with;
	char out[200];
	size_t n, count, max_count;
	struct archive_page page;
	int err;
};

static void on_message(void *ctx, const struct message_rec *m)
{
	struct reading *r = ctx;

	r->n += (size_t)snprintf(r->out + r->n, sizeof(r->out) - r->n, "%s%llu", r->n ? " " : "",
				 (unsigned long long)m->gid);
}

static void read_here(void *arg)
{
	struct reading *r = arg;
	struct arena *a = arena_new(1024);
	struct txn *t = im_read();

	if (r->with)
		is_int(jid_parse(a, str_c(r->with), &r->q.with), 0);
	r->err = archive_read(t, &r->q, on_message, r, &r->page);
	r->count = archive_count(t, &r->q, r->max_count ? r->max_count : 100);
	txn_commit(t);
	arena_free(a);
}

static struct reading last;

/* Numbers of the page, then "." when the interval ends with it, else "+". */
static const char *page(struct archive_query q, const char *with)
{
	last = (struct reading){ .q = q, .with = with };
	if (!last.q.reader)
		last.q.reader = last.q.owner;
	rig_run(0, read_here, &last);
	snprintf(last.out + last.n, sizeof(last.out) - last.n, "%s", last.page.complete ? "." : "+");
	return last.out;
}
#define PAGE(...) page((struct archive_query){ __VA_ARGS__ }, NULL)
#define WITH(with, ...) page((struct archive_query){ __VA_ARGS__ }, with)

TEST(pages_in_both_directions)
{
	is_cstr(PAGE(.owner = anna, .max = 100), "1 2 3 4 6 7 8.");
	is_int(last.page.first, 1);
	is_int(last.page.last, 8);
	is_int(last.page.n, 7);
	is_int(last.count, 7);
	is_cstr(PAGE(.owner = anna, .max = 7), "1 2 3 4 6 7 8.");
	is_cstr(PAGE(.owner = anna, .max = 3), "1 2 3+");
	is_cstr(PAGE(.owner = anna, .max = 3, .after_gid = 3), "4 6 7+");
	is_cstr(PAGE(.owner = anna, .max = 3, .after_gid = 7), "8.");
	is_cstr(PAGE(.owner = anna, .max = 3, .after_gid = 8), ".");
	is_int(last.page.first, 0);
	is_cstr(PAGE(.owner = anna, .max = 3, .backwards = true), "6 7 8+"); /* the newest, still oldest first */
	is_int(last.page.first, 6);
	is_int(last.page.last, 8);
	is_cstr(PAGE(.owner = anna, .max = 3, .backwards = true, .before_gid = 6), "2 3 4+");
	is_cstr(PAGE(.owner = anna, .max = 3, .backwards = true, .before_gid = 2), "1.");
	is_cstr(PAGE(.owner = anna, .max = 3, .backwards = true, .before_gid = 1), ".");
	is_cstr(PAGE(.owner = anna, .max = 2, .after_gid = 1, .before_gid = 7), "2 3+");
	is_cstr(PAGE(.owner = anna, .max = 2, .after_gid = 1, .before_gid = 7, .backwards = true), "4 6+");
	is_cstr(PAGE(.owner = anna, .max = 9, .after_gid = 6, .before_gid = 2), ".");
	is_cstr(PAGE(.owner = anna, .max = 9, .after_gid = 5), "6 7 8."); /* the number of somebody else's message */
	is_cstr(PAGE(.owner = anna, .max = 0), "+");
	is_cstr(PAGE(.owner = clara, .max = 9), "3 5.");
	is_cstr(PAGE(.owner = 999, .max = 9), ".");
}

TEST(bounds_of_time_are_inclusive)
{
	is_cstr(PAGE(.owner = anna, .max = 9, .start_us = T0 + 20), "2 3 4 6 7 8.");
	is_cstr(PAGE(.owner = anna, .max = 9, .start_us = T0 + 21), "3 4 6 7 8.");
	is_cstr(PAGE(.owner = anna, .max = 9, .end_us = T0 + 40), "1 2 3 4.");
	is_cstr(PAGE(.owner = anna, .max = 9, .end_us = T0 + 39), "1 2 3.");
	is_cstr(PAGE(.owner = anna, .max = 9, .start_us = T0 + 20, .end_us = T0 + 40, .backwards = true), "2 3 4.");
	is_cstr(PAGE(.owner = anna, .max = 2, .start_us = T0 + 20, .end_us = T0 + 40, .backwards = true), "3 4+");
	is_cstr(PAGE(.owner = anna, .max = 9, .end_us = T0 + 9), ".");
	is_cstr(PAGE(.owner = anna, .max = 9, .end_us = T0 + 9, .backwards = true), ".");
	is_cstr(PAGE(.owner = anna, .max = 9, .start_us = T0 + 81), ".");
	is_cstr(PAGE(.owner = anna, .max = 9, .start_us = T0 + 81, .backwards = true), ".");
	is_cstr(PAGE(.owner = anna, .max = 9, .start_us = T0 + 40, .end_us = T0 + 20), ".");
	is_cstr(PAGE(.owner = anna, .max = 9, .end_us = UINT64_MAX - 1), "1 2 3 4 6 7 8.");
	is_cstr(PAGE(.owner = anna, .max = 2, .start_us = T0 + 20, .after_gid = 3), "4 6+");
}

TEST(with_a_person)
{
	is_cstr(WITH("boris@example.org", .owner = anna, .max = 9), "1 2 4 7.");
	is_int(last.count, 4);
	is_cstr(WITH("boris@example.org", .owner = anna, .max = 2, .backwards = true), "4 7+");
	is_cstr(WITH("boris@example.org", .owner = anna, .max = 9, .after_gid = 2, .before_gid = 7), "4.");
	is_cstr(WITH("boris@example.org", .owner = anna, .max = 9, .after_gid = 2, .before_gid = 7, .backwards = true),
		"4.");
	is_cstr(WITH("boris@example.org", .owner = anna, .max = 9, .start_us = T0 + 30), "4 7.");
	is_cstr(WITH("boris@example.org/y", .owner = anna, .max = 9), "4 7.");
	is_cstr(WITH("boris@example.org/y", .owner = anna, .max = 1), "4+");
	is_cstr(WITH("boris@example.org/none", .owner = anna, .max = 9), ".");
	is_cstr(WITH("anna@example.org", .owner = anna, .max = 9), "8.");
	is_cstr(WITH("gone@example.org", .owner = anna, .max = 9), "6."); /* disabled: what was said stays readable */
	is_cstr(WITH("nobody@example.org", .owner = anna, .max = 9), ".");
	is_cstr(WITH("boris@elsewhere.example", .owner = anna, .max = 9), ".");
	is_cstr(WITH("boris@other.example", .owner = anna, .max = 9), ".");
}

static int may_read(uint32_t reader, uint32_t owner)
{
	struct txn *t = im_read();
	uint64_t floor;
	int err = archive_may_read(t, reader, owner, 0, &floor);

	txn_commit(t);
	return err;
}

TEST(i08_nobody_reads_another_archive)
{
	is_int(may_read(anna, anna), 0);
	is_int(may_read(anna, boris), ERR_FORBIDDEN);
	is_cstr(PAGE(.reader = boris, .owner = anna, .max = 9), ".");
	is_int(last.err, ERR_FORBIDDEN);
	is_cstr(WITH("boris@example.org", .reader = boris, .owner = anna, .max = 9), ".");
	is_int(last.err, ERR_FORBIDDEN);
}

struct has {
	uint32_t owner;
	uint64_t gid;
	bool found;
};

static void has_here(void *arg)
{
	struct has *h = arg;
	struct txn *t = im_read();

	h->found = archive_has(t, h->owner, h->gid);
	txn_commit(t);
}

static bool has(uint32_t owner, uint64_t gid)
{
	struct has h = { owner, gid, false };

	rig_run(0, has_here, &h);
	return h.found;
}

TEST(hidden_on_one_side)
{
	put(anna, boris, "anna@example.org/a", "boris@example.org", MESSAGE_HIDDEN_AUTHOR);    /* 9 */
	put(anna, boris, "anna@example.org/a", "boris@example.org", MESSAGE_HIDDEN_RECIPIENT); /* 10 */
	put(boris, anna, "boris@example.org/b", "anna@example.org", MESSAGE_HIDDEN_RECIPIENT); /* 11 */
	is_cstr(PAGE(.owner = anna, .max = 9, .after_gid = 8), "10.");
	is_cstr(PAGE(.owner = boris, .max = 9, .after_gid = 8), "9 11.");
	is_cstr(WITH("boris@example.org", .owner = anna, .max = 9, .after_gid = 8), "10.");
	is_cstr(WITH("anna@example.org", .owner = boris, .max = 9, .after_gid = 8, .backwards = true), "9 11.");
	ok(!has(anna, 9) && has(anna, 10) && !has(anna, 11), "what anna's archive shows");
	ok(has(boris, 9) && !has(boris, 10) && has(boris, 11), "what boris's archive shows");
	ok(!has(clara, 9) && !has(anna, 5) && has(clara, 5) && !has(anna, 999) && !has(anna, 0), "each his own");
}

struct hiding {
	uint32_t author, recipient;
	const char *author_bare, *recipient_bare;
	unsigned flags;
};

static void hide_here(void *arg)
{
	struct hiding *h = arg;

	h->flags = archive_hidden(h->author, str_c(h->author_bare), h->recipient, str_c(h->recipient_bare));
}

static unsigned hidden(void)
{
	struct hiding h = { anna, boris, "anna@example.org", "boris@example.org", 0 };

	rig_run(0, hide_here, &h);
	return h.flags;
}

static void prefs(uint32_t who, enum mam_default def, const char *always, const char *never)
{
	struct mam_prefs *p = NEW(struct mam_prefs);
	struct txn *t = txn_write(im.store);

	p->def = def;
	if (always)
		p->always[p->n_always++] = str_c(always);
	if (never)
		p->never[p->n_never++] = str_c(never);
	mam_prefs_put(t, who, p);
	is_int(txn_commit(t), 0);
	mem_free(p);
}

TEST(preferences_decide_each_side)
{
	is_int(hidden(), 0);
	prefs(anna, MAM_NEVER, NULL, NULL);
	is_int(hidden(), MESSAGE_HIDDEN_AUTHOR);
	prefs(anna, MAM_NEVER, "boris@example.org", NULL);
	is_int(hidden(), 0);
	prefs(anna, MAM_ALWAYS, NULL, "boris@example.org");
	is_int(hidden(), MESSAGE_HIDDEN_AUTHOR);
	prefs(anna, MAM_ALWAYS, "boris@example.org", "boris@example.org");
	is_int(hidden(), 0);
	prefs(boris, MAM_NEVER, "clara@example.org", NULL);
	is_int(hidden(), MESSAGE_HIDDEN_RECIPIENT);
	prefs(anna, MAM_ROSTER, NULL, NULL); /* nobody is in a structure or roster: strangers */
	is_int(hidden(), MESSAGE_HIDDEN_AUTHOR | MESSAGE_HIDDEN_RECIPIENT);
	prefs(boris, MAM_ALWAYS, NULL, NULL);
	is_int(hidden(), MESSAGE_HIDDEN_AUTHOR);
}

TEST(world_ends)
{
	world_stop();
	is_ptr(im.store, NULL);
	message_caches_drop();
}
