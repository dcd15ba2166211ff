/* server/im/inbox: counters read off the log: what counts, own messages, floor, mentions, hidden, pinned, pages, totals, readers (design idea 1). */
#include "server/im/inbox.h"
#include "server/im/conv.h"
#include "storage/tab_chat.h"
#include "storage/tab_notify.h"
#include "tests/lib/im_rig.h"
#include "tests/lib/test.h"

enum { ANNA = 1, BORIS = 2, CLARA = 3 };

static struct txn *t;

TEST(rig_begins)
{
	rig_start(1, NULL);
	message_caches_drop();
	ok(true, "started");
}

static uint64_t say_to(uint64_t conv, uint32_t from, uint32_t to, unsigned flags, const uint32_t *mentions, size_t n)
{
	struct message_rec m = { .conv = conv,
				 .author = from,
				 .recipient = to,
				 .flags = flags,
				 .payload = STR("<body/>"),
				 .mentions = mentions,
				 .n_mentions = n };

	t = txn_write(im.store);
	is_int(message_append(t, &m, 1000000, 100), 0);
	is_int(txn_commit(t), 0);
	return m.gid;
}

static uint64_t say(uint32_t from, uint32_t to, unsigned flags)
{
	return say_to(conv_private(from, to), from, to, flags, NULL, 0);
}

static struct dialog look(uint32_t who, uint64_t conv)
{
	struct dialog d = { 0 };

	t = im_read();
	is_int(inbox_get(t, who, conv, &d), 0);
	txn_commit(t);
	return d;
}

/* ---- changes, on the worker ---- */

struct act {
	uint32_t account;
	uint64_t conv, seq;
	unsigned set, clear;
	bool backwards, read, all;
	int err;
	struct gate gate;
};

static void acted(void *ctx, int err)
{
	struct act *a = ctx;

	a->err = err;
	gate_open(&a->gate);
}

static void do_act(void *arg)
{
	struct act *a = arg;

	if (a->all)
		inbox_read_all(a->account, acted, a);
	else if (a->read)
		inbox_read_to(a->account, a->conv, a->seq, a->backwards, acted, a);
	else
		inbox_set(a->account, a->conv, a->set, a->clear, acted, a);
}

static int act(struct act a)
{
	gate_init(&a.gate);
	rig_run(0, do_act, &a);
	ok(gate_wait(&a.gate), "answered");
	return a.err;
}

#define AB conv_private(ANNA, BORIS)

TEST(what_counts_as_unread)
{
	t = im_read();
	struct dialog d;
	is_int(inbox_get(t, BORIS, AB, &d), ERR_NOT_FOUND);
	txn_commit(t);
	uint64_t first = say(ANNA, BORIS, MESSAGE_COUNTS);
	say(ANNA, BORIS, 0); /* a receipt */
	uint64_t wrong = say(ANNA, BORIS, MESSAGE_COUNTS);
	uint64_t last = say(ANNA, BORIS, MESSAGE_COUNTS);
	say(ANNA, BORIS, MESSAGE_EDIT);
	d = look(BORIS, AB);
	is_int(d.unread, 3);
	is_int(d.first_unread_gid, first);
	is_int(d.last_gid, last);
	is_int(d.peer, ANNA);
	is_int(look(ANNA, AB).unread, 0);
	is_int(look(ANNA, AB).read_gid, last);
	t = txn_write(im.store);
	is_int(message_retract(t, wrong, ANNA, STR("<retracted/>")), 0);
	is_int(txn_commit(t), 0);
	is_int(look(BORIS, AB).unread, 2);
}

TEST(own_receipts_and_edits_do_not_read_but_own_messages_do)
{
	say(BORIS, ANNA, 0); /* his client acknowledges receipt */
	say(BORIS, ANNA, MESSAGE_EDIT);
	is_int(look(BORIS, AB).unread, 2);
	uint64_t mine = say(BORIS, ANNA, MESSAGE_COUNTS);
	is_int(look(BORIS, AB).unread, 0);
	is_int(look(ANNA, AB).unread, 1);
	t = txn_write(im.store);
	is_int(message_retract(t, mine, BORIS, STR("<retracted/>")), 0);
	is_int(txn_commit(t), 0);
	is_int(look(BORIS, AB).unread, 0); /* withdrawn later: what he has read stays read */
	is_int(look(ANNA, AB).unread, 0);
	is_int(look(BORIS, AB).last_gid, mine); /* a tombstone shows */
}

TEST(reading_forwards_backwards_and_marking)
{
	for (int i = 0; i < 5; i++)
		say(ANNA, BORIS, MESSAGE_COUNTS);
	struct dialog d = look(BORIS, AB);
	uint64_t last = d.last_seq;
	is_int(d.unread, 5);
	is_int(act((struct act){ .account = BORIS, .conv = AB, .read = true, .seq = last - 2 }), 0);
	is_int(look(BORIS, AB).unread, 2);
	is_int(act((struct act){ .account = BORIS, .conv = AB, .read = true, .seq = last - 4 }),
	       0); /* never back by itself */
	is_int(look(BORIS, AB).unread, 2);
	is_int(act((struct act){ .account = BORIS, .conv = AB, .read = true, .seq = last - 3, .backwards = true }), 0);
	d = look(BORIS, AB);
	is_int(d.unread, 4);
	ok(d.flags & DIALOG_MARKED, "marked by hand");
	is_int(act((struct act){ .account = BORIS, .conv = AB, .read = true, .seq = UINT64_MAX }), 0);
	d = look(BORIS, AB);
	is_int(d.unread, 0);
	is_int(d.read_gid, d.last_gid);
	ok(!(d.flags & DIALOG_MARKED), "reading takes the mark away");
	is_int(act((struct act){ .account = CLARA, .conv = AB, .read = true, .seq = 1 }), ERR_NOT_FOUND);
}

TEST(hidden_until_the_next_message)
{
	is_int(act((struct act){ .account = BORIS, .conv = AB, .set = DIALOG_HIDDEN }), 0);
	ok(look(BORIS, AB).flags & DIALOG_HIDDEN, "hidden");
	say(ANNA, BORIS, 0);
	ok(look(BORIS, AB).flags & DIALOG_HIDDEN, "a receipt shows nothing");
	say(ANNA, BORIS, MESSAGE_COUNTS);
	ok(!(look(BORIS, AB).flags & DIALOG_HIDDEN), "a message brings it back");
	ok(!(look(ANNA, AB).flags & DIALOG_HIDDEN), "of the one person only");
}

TEST(chat_floor_and_mentions)
{
	struct chat_rec r = {
		.number = 0, .domain = STR("example.org"), .title = STR("Red"), .permission = { CHAT_MEMBER }
	};
	struct chat_member_rec m = { .account = ANNA, .role = CHAT_OWNER };

	t = txn_write(im.store);
	is_int(chat_rec_create(t, &r), 0);
	chat_member_put(t, &r, &m);
	cursor_touch(t, ANNA, conv_chat(r.number));
	is_int(txn_commit(t), 0);
	uint64_t conv = conv_chat(r.number);
	say_to(conv, ANNA, 0, MESSAGE_COUNTS, NULL, 0);
	say_to(conv, ANNA, 0, MESSAGE_COUNTS | MESSAGE_ALL, NULL, 0);
	t = txn_write(im.store);
	m = (struct chat_member_rec){ .account = CLARA, .role = CHAT_MEMBER, .floor = 2 };
	is_int(chat_rec_get(t, r.number, &r), 0);
	chat_member_put(t, &r, &m);
	cursor_touch(t, CLARA, conv);
	is_int(txn_commit(t), 0);
	is_int(look(CLARA, conv).unread, 0);
	is_int(look(CLARA, conv).last_gid, 0);
	static const uint32_t named[] = { BORIS, CLARA };
	say_to(conv, ANNA, 0, MESSAGE_COUNTS, named, 2);
	say_to(conv, 0, 0, MESSAGE_SYSTEM, NULL, 0);
	say_to(conv, ANNA, 0, MESSAGE_COUNTS | MESSAGE_ALL, NULL, 0);
	say_to(conv, ANNA, 0, MESSAGE_COUNTS, NULL, 0);
	struct dialog d = look(CLARA, conv);
	is_int(d.unread, 3);
	is_int(d.mentions, 2);
	is_int(d.chat, r.number);
	uint32_t who[4];
	t = im_read();
	is_int(inbox_readers(t, conv, 3, who, 4), 1);
	is_int(who[0], ANNA);
	txn_commit(t);
	is_int(act((struct act){ .account = CLARA, .conv = conv, .read = true, .seq = 3 }), 0);
	t = im_read();
	is_int(inbox_readers(t, conv, 3, who, 4), 2);
	is_int(inbox_readers(t, conv, 4, who, 4), 1);
	is_int(inbox_readers(t, conv, 3, who, 1), 1);
	txn_commit(t);
}

/* ---- the list ---- */

struct list {
	uint64_t conv[100];
	size_t n;
	struct dialog last;
};

static void listed(void *ctx, const struct dialog *d)
{
	struct list *l = ctx;

	l->conv[l->n++] = d->conv;
	l->last = *d;
}

static struct list list(struct inbox_query q)
{
	struct list l = { .n = 0 };

	t = im_read();
	is_int(inbox_read(t, &q, listed, &l), 0);
	txn_commit(t);
	return l;
}

TEST(order_pages_and_filters)
{
	enum { ME = 100 };
	for (uint32_t i = 0; i < 10; i++)
		say(200 + i, ME, MESSAGE_COUNTS);
	is_int(act((struct act){ .account = ME, .conv = conv_private(ME, 202), .set = DIALOG_PINNED }), 0);
	is_int(act((struct act){ .account = ME, .conv = conv_private(ME, 205), .set = DIALOG_HIDDEN }), 0);
	is_int(act((struct act){ .account = ME, .conv = conv_private(ME, 209), .read = true, .seq = 1 }), 0);
	struct list l = list((struct inbox_query){ .account = ME, .max = 100 });
	is_int(l.n, 9);
	is_int(conv_peer(l.conv[0], ME), 202);
	is_int(conv_peer(l.conv[1], ME), 209);
	is_int(conv_peer(l.conv[8], ME), 200);
	is_int(list((struct inbox_query){ .account = ME, .max = 100, .unread_only = true }).n, 8);
	is_int(list((struct inbox_query){ .account = ME, .max = 100, .include_hidden = true }).n, 10);
	is_int(list((struct inbox_query){ .account = ME, .max = 100, .skip_private = true }).n, 0);

	struct inbox_query q = { .account = ME, .max = 4 };
	struct list all = { .n = 0 };
	for (int page = 0; page < 3; page++) { /* 4 + 4 + 1 */
		struct list p = list(q);
		for (size_t i = 0; i < p.n; i++)
			all.conv[all.n++] = p.conv[i];
		q.after = true;
		q.after_pinned = p.last.flags & DIALOG_PINNED;
		q.after_gid = p.last.last_gid;
		q.after_conv = p.last.conv;
	}
	is_int(all.n, 9);
	is_mem(all.conv, l.conv, 9 * sizeof *l.conv);
	t = im_read();
	uint64_t now = message_last_gid(t);
	txn_commit(t);
	is_int(list((struct inbox_query){ .account = ME, .max = 100, .since_gid = now }).n, 0);
	say(203, ME, MESSAGE_COUNTS);
	l = list((struct inbox_query){ .account = ME, .max = 100, .since_gid = now });
	ok(l.n == 1 && conv_peer(l.conv[0], ME) == 203, "only what is newer");
	is_int(act((struct act){ .account = ME, .conv = conv_private(ME, 201), .set = DIALOG_MUTED }), 0);
	is_int(list((struct inbox_query){ .account = ME, .max = 100, .since_gid = now }).n, 2);
}

TEST(totals_leave_out_the_muted)
{
	struct inbox_totals s;

	t = im_read();
	is_int(inbox_totals(t, 100, &s), 0);
	is_int(s.unread, 9); /* 10 + 1, less one read and one muted */
	is_int(s.privates, 9);
	is_int(s.dialogs_unread, 8);
	txn_commit(t);
	is_int(act((struct act){ .account = 100, .all = true }), 0);
	t = im_read();
	is_int(inbox_totals(t, 100, &s), 0);
	is_int(s.unread, 0);
	txn_commit(t);
}

TEST(pinned_and_unread_have_a_maximum)
{
	struct limits l = *limits();

	l.pinned = 1;
	l.unread_max = 3;
	limits_set(&l);
	is_int(act((struct act){ .account = 100, .conv = conv_private(100, 203), .set = DIALOG_PINNED }), ERR_LIMIT);
	is_int(act((struct act){ .account = 100, .conv = conv_private(100, 202), .set = DIALOG_PINNED }),
	       0); /* it is already */
	for (int i = 0; i < 5; i++)
		say(204, 100, MESSAGE_COUNTS);
	is_int(look(100, conv_private(100, 204)).unread, 3);
	l.pinned = 45;
	l.unread_max = 10000;
	limits_set(&l);
}

TEST(rig_ends)
{
	rig_stop();
	message_caches_drop();
	ok(true, "stopped");
}
