/* storage/tab_message: numbers and times that only rise (E10), origin ids (D05), tombstones (I14), walks and cursors. Every test runs on both
 * engines; the writer's caches are dropped before each. */
#include "storage/tab_message.h"
#include "storage/key.h"
#include "tests/unit/storage_both.h"

enum { ANNA = 1, BORIS = 2, CLARA = 3 };
#define CONV(a, b) ((uint64_t)(a) << 32 | (b))
#define HOUR_US (3600ull * 1000000)
#define T0 (1700000000ull * 1000000)
#define MAX_IDS 1000

static struct message_rec of(uint32_t author, uint32_t recipient, const char *origin)
{
	return (struct message_rec){
		.conv = author < recipient ? CONV(author, recipient) : CONV(recipient, author),
		.author = author,
		.recipient = recipient,
		.type = 1,
		.flags = MESSAGE_COUNTS,
		.from = STR("from@example.org/x"),
		.to = STR("to@example.org"),
		.origin_id = origin ? str_c(origin) : STR_NONE,
		.payload = STR("<body>text</body>"),
	};
}

/* Appends in a transaction of its own; the error, and the record as it became. */
static int append(struct store *s, struct message_rec *m, uint64_t now_us)
{
	struct txn *t = txn_write(s);
	int err = message_append(t, m, now_us, MAX_IDS), end = txn_commit(t);

	return err ? err : end;
}

static uint64_t said(struct store *s, uint32_t author, uint32_t recipient, const char *origin, uint64_t now_us,
		     int want)
{
	struct message_rec m = of(author, recipient, origin);

	is_int(append(s, &m, now_us), want);
	return m.gid;
}

BOTH(append_numbers_and_record)
{
	message_caches_drop();
	struct message_rec a = of(ANNA, BORIS, "o1"), b = of(BORIS, ANNA, NULL), c = of(ANNA, CLARA, NULL), got;

	a.id = STR("id1");
	a.lang = STR("ru");
	is_int(append(s, &a, T0), 0);
	is_int(append(s, &b, T0 + 5), 0);
	is_int(append(s, &c, T0 + 9), 0);
	is_int(a.gid, 1);
	is_int(b.gid, 2);
	is_int(c.gid, 3);
	is_int(a.seq, 1);
	is_int(b.seq, 2);
	is_int(c.seq, 1);
	struct txn *t = txn_read(s);

	is_int(message_get(t, 1, &got), 0);
	is_int(got.conv, CONV(ANNA, BORIS));
	is_int(got.seq, 1);
	is_int(got.wall_us, T0);
	is_int(got.author, ANNA);
	is_int(got.recipient, BORIS);
	is_int(got.type, 1);
	is_int(got.flags, MESSAGE_COUNTS);
	is_str(got.from, a.from);
	is_str(got.to, a.to);
	is_str(got.id, STR("id1"));
	is_str(got.origin_id, STR("o1"));
	is_str(got.lang, STR("ru"));
	is_str(got.payload, a.payload);
	is_int(message_get(t, 4, &got), ERR_NOT_FOUND);
	is_int(message_last_gid(t), 3);
	is_int(conv_last_seq(t, CONV(ANNA, BORIS)), 2);
	is_int(conv_last_seq(t, CONV(BORIS, CLARA)), 0);
	txn_abort(t);
}

BOTH(e10_times_rise_when_the_clock_goes_back)
{
	static const uint64_t now[] = { T0, T0, T0 - HOUR_US, T0 - HOUR_US + 1, T0 + 1, T0 + HOUR_US };
	static const uint64_t want[] = { T0, T0 + 1, T0 + 2, T0 + 3, T0 + 4, T0 + HOUR_US };

	message_caches_drop();
	for (size_t i = 0; i < sizeof(now) / sizeof(*now); i++) {
		struct message_rec m = of(ANNA, BORIS, NULL);

		if (i == 3)
			message_caches_drop(); /* as after a restart in the wrong time */
		is_int(append(s, &m, now[i]), 0);
		is_int(m.gid, i + 1);
		is_int(m.seq, i + 1);
		is_int(m.wall_us, want[i]);
	}
}

BOTH(gid_at)
{
	message_caches_drop();
	struct txn *t = txn_read(s);

	is_int(message_gid_at(t, 0), 1);
	txn_abort(t);
	for (int i = 0; i < 9; i++)
		said(s, ANNA, BORIS, NULL, T0 + 10 * (uint64_t)i, 0);
	t = txn_read(s);
	is_int(message_gid_at(t, 0), 1);
	is_int(message_gid_at(t, T0), 1);
	for (uint64_t i = 0; i < 8; i++) {
		is_int(message_gid_at(t, T0 + 10 * i), i + 1);
		is_int(message_gid_at(t, T0 + 10 * i + 1), i + 2);
	}
	is_int(message_gid_at(t, T0 + 81), 10);
	is_int(message_gid_at(t, UINT64_MAX), 10);
	txn_abort(t);
}

/* --- origin ids --- */

BOTH(d05_same_origin_id_is_stored_once)
{
	message_caches_drop();
	is_int(said(s, ANNA, BORIS, "x", T0, 0), 1);
	is_int(said(s, ANNA, BORIS, "y", T0, 0), 2);
	is_int(said(s, ANNA, BORIS, "x", T0 + 1, ERR_EXISTS), 1);
	is_int(said(s, ANNA, BORIS, NULL, T0 + 1, 0), 3); /* no id: never a copy */
	is_int(said(s, ANNA, BORIS, NULL, T0 + 1, 0), 4);
	is_int(said(s, BORIS, ANNA, "x", T0 + 1, 0), 5); /* another sender */
	is_int(said(s, ANNA, CLARA, "x", T0 + 1, 0), 6); /* another conversation */
	message_caches_drop();				 /* a restart */
	is_int(said(s, ANNA, CLARA, "x", T0 + 2, ERR_EXISTS), 6);
	is_int(said(s, ANNA, BORIS, "x", T0 + 2, ERR_EXISTS), 1);
	is_int(said(s, BORIS, ANNA, "x", T0 + 2, ERR_EXISTS), 5);
	is_int(said(s, ANNA, BORIS, "z", T0 + 2, 0), 7);
	struct txn *t = txn_read(s);

	is_int(message_last_gid(t), 7);
	is_int(conv_last_seq(t, CONV(ANNA, BORIS)), 6);
	txn_abort(t);
}

BOTH(d05_window_of_24_hours)
{
	for (int restart = 0; restart < 2; restart++) {
		uint64_t day = T0 + (uint64_t)restart * 100 * HOUR_US, base = restart ? 2 : 0;

		message_caches_drop();
		is_int(said(s, ANNA, BORIS, "x", day, 0), base + 1);
		if (restart)
			message_caches_drop();
		is_int(said(s, ANNA, BORIS, "x", day - HOUR_US, ERR_EXISTS), base + 1); /* the clock went back */
		is_int(said(s, ANNA, BORIS, "x", day + 24 * HOUR_US - 1, ERR_EXISTS), base + 1);
		if (restart)
			message_caches_drop();
		is_int(said(s, ANNA, BORIS, "x", day + 24 * HOUR_US, 0), base + 2);
		is_int(said(s, ANNA, BORIS, "x", day + 47 * HOUR_US, ERR_EXISTS), base + 2);
	}
}

BOTH(d05_an_aborted_batch_is_forgotten)
{
	message_caches_drop();
	is_int(said(s, ANNA, BORIS, "before", T0, 0), 1);
	struct message_rec a = of(ANNA, BORIS, "lost"), b = of(CLARA, BORIS, "lost"), c = of(ANNA, BORIS, "lost");
	struct txn *t = txn_write(s);

	is_int(message_append(t, &a, T0 + HOUR_US, MAX_IDS), 0);
	is_int(message_append(t, &b, T0 + HOUR_US, MAX_IDS), 0);
	is_int(message_append(t, &c, T0 + HOUR_US, MAX_IDS), ERR_EXISTS); /* within the batch it is seen */
	is_int(c.gid, 2);
	txn_abort(t);

	a = of(ANNA, BORIS, "lost");
	is_int(append(s, &a, T0 + 1), 0);
	is_int(a.gid, 2);
	is_int(a.seq, 2);
	is_int(a.wall_us, T0 + 1);
	is_int(said(s, CLARA, BORIS, "lost", T0 + 2, 0), 3);
	is_int(said(s, ANNA, BORIS, "before", T0 + 3, ERR_EXISTS), 1);
	is_int(said(s, ANNA, BORIS, "lost", T0 + 3, ERR_EXISTS), 2);
}

BOTH(d05_a_failed_transaction_teaches_nothing)
{
	message_caches_drop();
	is_int(said(s, ANNA, BORIS, "first", T0, 0), 1);
	struct message_rec m = of(ANNA, BORIS, "second");
	struct txn *t = txn_write(s);

	txn_fail(t, ERR_NO_SPACE);
	is_int(message_append(t, &m, T0 + 1, MAX_IDS), ERR_NO_SPACE);
	is_int(txn_commit(t), ERR_NO_SPACE);
	is_int(said(s, ANNA, BORIS, "first", T0 + 2, ERR_EXISTS), 1);
	is_int(said(s, ANNA, BORIS, "second", T0 + 3, 0), 2);
}

/* Who sent more than the maximum of ids still has his last ones known, and what is remembered stays bounded. */
BOTH(d05_newest_ids_are_kept_beyond_the_maximum)
{
	enum { MAX = 4 };
	char id[16];
	uint64_t gid;

	message_caches_drop();
	struct txn *t = txn_write(s);
	for (int i = 0; i < 25; i++) {
		struct message_rec m = of(ANNA, BORIS, NULL);

		snprintf(id, sizeof(id), "n%d", i);
		m.origin_id = str_c(id);
		is_int(message_append(t, &m, T0 + (uint64_t)i, MAX), 0);
		gid = m.gid;
		m.origin_id = str_c(id);
		is_int(message_append(t, &m, T0 + (uint64_t)i, MAX), ERR_EXISTS);
		is_int(m.gid, gid);
	}
	for (int i = 25 - MAX; i < 25; i++) {
		struct message_rec m = of(ANNA, BORIS, NULL);

		snprintf(id, sizeof(id), "n%d", i);
		m.origin_id = str_c(id);
		is_int(message_append(t, &m, T0 + 100, MAX), ERR_EXISTS);
	}
	struct message_rec old = of(ANNA, BORIS, "n0");

	is_int(message_append(t, &old, T0 + 100, MAX), 0); /* out of memory by then: the maximum is one */
	is_int(txn_commit(t), 0);
}

/* --- retraction --- */

BOTH(i14_retract)
{
	struct message_rec m;
	struct log_scan ls;
	struct log_entry e;

	message_caches_drop();
	uint64_t gid = said(s, ANNA, BORIS, "o", T0, 0);
	said(s, BORIS, ANNA, NULL, T0, 0);
	struct txn *t = txn_write(s);

	is_int(message_retract(t, gid, BORIS, STR("<forged/>")), ERR_FORBIDDEN);
	is_int(message_retract(t, 99, ANNA, STR("<x/>")), ERR_NOT_FOUND);
	is_int(message_get(t, gid, &m), 0);
	is_str(m.payload, STR("<body>text</body>"));
	is_int(message_retract(t, gid, ANNA, STR("<retracted/>")), 0);
	is_int(txn_commit(t), 0);

	t = txn_read(s);
	is_int(message_get(t, gid, &m), 0);
	is_str(m.payload, STR("<retracted/>"));
	is_int(m.flags, MESSAGE_RETRACTED);
	is_int(m.seq, 1);
	is_int(m.wall_us, T0);
	is_str(m.origin_id, STR("o"));
	log_scan_open(&ls, t, BORIS, CONV(ANNA, BORIS), 0, false);
	ok(log_scan_next(&ls, &e), "its place in the log stays");
	is_int(e.gid, gid);
	is_int(e.flags, MESSAGE_RETRACTED);
	log_scan_close(&ls);
	is_int(message_last_gid(t), 2);
	txn_abort(t);
	is_int(said(s, ANNA, BORIS, "o", T0 + 1, ERR_EXISTS), gid); /* a late copy does not bring it back */
}

/* --- walks --- */

static const char *walk(struct txn *t, uint32_t account, uint64_t conv, uint64_t from, bool reverse)
{
	static char out[400];
	size_t n = 0;
	struct log_scan ls;
	struct log_entry e;

	out[0] = 0;
	log_scan_open(&ls, t, account, conv, from, reverse);
	while (log_scan_next(&ls, &e))
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%llu:%u%s", n ? " " : "", (unsigned long long)e.gid,
				      e.peer, e.flags & MESSAGE_INCOMING ? "<" : "");
	log_scan_close(&ls);
	return out;
}

/* 1 A>B, 2 B>A, 3 A>C, 4 A>B, 5 C>B, 6 B>A, 7 A>A */
static void small_world(struct store *s)
{
	static const struct {
		uint32_t from, to;
	} v[] = { { ANNA, BORIS },  { BORIS, ANNA }, { ANNA, CLARA }, { ANNA, BORIS },
		  { CLARA, BORIS }, { BORIS, ANNA }, { ANNA, ANNA } };

	message_caches_drop();
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		is_int(said(s, v[i].from, v[i].to, NULL, T0 + i, 0), i + 1);
}

BOTH(scan_of_an_account)
{
	small_world(s);
	struct txn *t = txn_read(s);

	is_cstr(walk(t, ANNA, 0, 0, false), "1:2 2:2< 3:3 4:2 6:2< 7:1<");
	is_cstr(walk(t, ANNA, 0, UINT64_MAX, true), "7:1< 6:2< 4:2 3:3 2:2< 1:2");
	is_cstr(walk(t, BORIS, 0, 0, false), "1:1< 2:1 4:1< 5:3< 6:1");
	is_cstr(walk(t, CLARA, 0, 0, false), "3:1< 5:2");
	is_cstr(walk(t, ANNA, 0, 4, false), "4:2 6:2< 7:1<"); /* inclusive */
	is_cstr(walk(t, ANNA, 0, 5, false), "6:2< 7:1<");
	is_cstr(walk(t, ANNA, 0, 8, false), "");
	is_cstr(walk(t, ANNA, 0, 4, true), "4:2 3:3 2:2< 1:2");
	is_cstr(walk(t, ANNA, 0, 5, true), "4:2 3:3 2:2< 1:2");
	is_cstr(walk(t, ANNA, 0, 0, true), "");
	is_cstr(walk(t, 9, 0, UINT64_MAX, true), "");
	txn_abort(t);
}

BOTH(scan_of_a_conversation)
{
	small_world(s);
	struct txn *t = txn_read(s);
	uint64_t ab = CONV(ANNA, BORIS);

	is_cstr(walk(t, ANNA, ab, 0, false), "1:1 2:2 4:1 6:2"); /* peer: the author */
	is_cstr(walk(t, ANNA, ab, UINT64_MAX, true), "6:2 4:1 2:2 1:1");
	is_cstr(walk(t, ANNA, ab, 2, false), "2:2 4:1 6:2");
	is_cstr(walk(t, ANNA, ab, 3, false), "4:1 6:2");
	is_cstr(walk(t, ANNA, ab, 7, false), "");
	is_cstr(walk(t, ANNA, ab, 4, true), "4:1 2:2 1:1");
	is_cstr(walk(t, ANNA, ab, 3, true), "2:2 1:1");
	is_cstr(walk(t, ANNA, ab, 100, true), "6:2 4:1 2:2 1:1");
	is_cstr(walk(t, ANNA, ab, 0, true), "");
	is_cstr(walk(t, BORIS, CONV(BORIS, CLARA), 0, false), "5:3");
	is_cstr(walk(t, BORIS, CONV(BORIS, CLARA), 4, true), "");
	is_cstr(walk(t, ANNA, CONV(ANNA, ANNA), 0, false), "7:1");
	is_cstr(walk(t, ANNA, CONV(ANNA, 9), UINT64_MAX, true), "");
	txn_abort(t);
}

BOTH(d12_damaged_entries_are_passed_over)
{
	struct key k;

	small_world(s);
	struct txn *t = txn_write(s);

	key_init(&k);
	key_u64(&k, CONV(ANNA, BORIS));
	key_u64(&k, 2);
	txn_put(t, TAB_CONV_LOG, key_str(&k), STR("\1\0\0\0rubbish"), 0);
	key_init(&k);
	key_u32(&k, ANNA);
	key_u64(&k, 3);
	txn_put(t, TAB_ACCOUNT_LOG, key_str(&k), STR("\1\0\0\0rubbish"), 0);
	is_int(txn_commit(t), 0);
	t = txn_read(s);
	is_cstr(walk(t, ANNA, CONV(ANNA, BORIS), 0, false), "1:1 4:1 6:2");
	is_cstr(walk(t, ANNA, CONV(ANNA, BORIS), UINT64_MAX, true), "6:2 4:1 1:1");
	is_cstr(walk(t, ANNA, 0, 0, false), "1:2 2:2< 4:2 6:2< 7:1<");
	txn_abort(t);
}

/* --- cursor, find --- */

BOTH(cursor_forward_only)
{
	struct txn *t = txn_write(s);

	is_int(cursor_get(t, ANNA, 5), 0);
	ok(!cursor_set(t, ANNA, 5, 0), "0 is where it starts");
	ok(cursor_set(t, ANNA, 5, 3), "forward");
	ok(!cursor_set(t, ANNA, 5, 3), "not to where it is");
	ok(!cursor_set(t, ANNA, 5, 2), "not back");
	ok(cursor_set(t, ANNA, 5, 4), "forward again");
	ok(cursor_set(t, ANNA, 6, 9), "another conversation has its own");
	ok(cursor_set(t, BORIS, 5, 1), "another person too");
	is_int(txn_commit(t), 0);
	t = txn_read(s);
	is_int(cursor_get(t, ANNA, 5), 4);
	is_int(cursor_get(t, ANNA, 6), 9);
	is_int(cursor_get(t, BORIS, 5), 1);
	txn_abort(t);
}

BOTH(find_by_either_id)
{
	message_caches_drop();
	struct message_rec a = of(ANNA, BORIS, "origin"), b = of(BORIS, ANNA, "origin"), c = of(ANNA, BORIS, NULL),
			   d = of(ANNA, BORIS, NULL);

	a.id = STR("attr");
	c.id = STR("twice");
	d.id = STR("twice");
	is_int(append(s, &a, T0) | append(s, &b, T0) | append(s, &c, T0) | append(s, &d, T0), 0);
	struct txn *t = txn_read(s);
	uint64_t conv = CONV(ANNA, BORIS);

	is_int(message_find(t, conv, ANNA, STR("origin"), 100), a.gid);
	is_int(message_find(t, conv, ANNA, STR("attr"), 100), a.gid);
	is_int(message_find(t, conv, BORIS, STR("origin"), 100), b.gid);
	is_int(message_find(t, conv, BORIS, STR("attr"), 100), 0); /* somebody else's (I14) */
	is_int(message_find(t, conv, ANNA, STR("twice"), 100), d.gid);
	is_int(message_find(t, conv, ANNA, STR("none"), 100), 0);
	is_int(message_find(t, CONV(ANNA, CLARA), ANNA, STR("attr"), 100), 0);
	is_int(message_find(t, conv, ANNA, STR("attr"), 3), 0); /* it is the fourth */
	is_int(message_find(t, conv, ANNA, STR("attr"), 4), a.gid);
	is_int(message_find(t, conv, ANNA, STR("twice"), 0), 0);
	is_int(message_find(t, conv, BORIS, STR(""), 100), 0); /* an absent id is nobody's */
	txn_abort(t);
}
