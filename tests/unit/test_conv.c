/* server/im/conv: ids of private conversations; unread numbers read off the log (design idea 1). */
#include "server/im/conv.h"
#include "tests/lib/im_rig.h"
#include "tests/lib/test.h"

enum { ANNA = 1, BORIS = 2, CLARA = 70000 };

static uint64_t say(uint32_t from, uint32_t to, unsigned flags)
{
	struct txn *t = txn_write(im.store);
	struct message_rec m = { .conv = conv_private(from, to),
				 .author = from,
				 .recipient = to,
				 .flags = flags,
				 .payload = STR("<body/>") };

	is_int(message_append(t, &m, 1000000, 100), 0);
	is_int(txn_commit(t), 0);
	return m.gid;
}

static int unread(uint32_t me, uint32_t other, uint64_t max)
{
	struct txn *t = im_read();
	uint64_t n = conv_unread(t, conv_private(me, other), me, max);

	txn_commit(t);
	return (int)n;
}

static uint64_t cursor(uint32_t me, uint32_t other)
{
	struct txn *t = im_read();
	uint64_t c = cursor_get(t, me, conv_private(me, other));

	txn_commit(t);
	return c;
}

static void up(void)
{
	message_caches_drop();
	im.store = store_open_mem();
}

static void down(void)
{
	store_close(im.store);
	im.store = NULL;
}

TEST(private_ids)
{
	static const uint32_t v[] = { 1, 2, 3, 70000, INT32_MAX, UINT32_MAX };

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		for (size_t k = 0; k < sizeof(v) / sizeof(*v); k++) {
			uint64_t c = conv_private(v[i], v[k]);
			is_int(c, conv_private(v[k], v[i]));
			is_int(conv_peer(c, v[i]), v[k]);
			is_int(conv_peer(c, v[k]), v[i]);
		}
	ok(conv_private(1, 2) != conv_private(1, 3) && conv_private(1, 2) != conv_private(2, 2),
	   "each pair has its own");
}

TEST(unread_counts_what_counts)
{
	up();
	is_int(unread(BORIS, ANNA, 100), 0);
	say(ANNA, BORIS, MESSAGE_COUNTS);
	say(ANNA, BORIS, 0); /* a receipt, a marker */
	uint64_t wrong = say(ANNA, BORIS, MESSAGE_COUNTS);
	say(CLARA, BORIS, MESSAGE_COUNTS); /* another conversation */
	say(ANNA, BORIS, MESSAGE_COUNTS);
	is_int(unread(BORIS, ANNA, 100), 3);
	is_int(unread(ANNA, BORIS, 100), 0);
	is_int(unread(BORIS, CLARA, 100), 1);
	is_int(unread(BORIS, ANNA, 2), 2);
	is_int(unread(BORIS, ANNA, 0), 0);

	struct txn *t = txn_write(im.store);
	is_int(message_retract(t, wrong, ANNA, STR("<retracted/>")), 0);
	is_int(txn_commit(t), 0);
	is_int(unread(BORIS, ANNA, 100), 2);
	down();
}

TEST(own_message_is_a_read_mark)
{
	up();
	say(ANNA, BORIS, MESSAGE_COUNTS);
	say(ANNA, BORIS, MESSAGE_COUNTS);
	is_int(unread(BORIS, ANNA, 100), 2);
	say(BORIS, ANNA, MESSAGE_COUNTS);
	is_int(unread(BORIS, ANNA, 100), 0);
	is_int(unread(ANNA, BORIS, 100), 1);
	say(ANNA, BORIS, MESSAGE_COUNTS);
	is_int(unread(BORIS, ANNA, 100), 1);
	is_int(unread(ANNA, BORIS, 100), 0);
	say(ANNA, ANNA, MESSAGE_COUNTS); /* notes to oneself */
	is_int(unread(ANNA, ANNA, 100), 0);
	down();
}

static struct {
	uint64_t conv, gid;
} mark;

static void mark_here(void *arg)
{
	(void)arg;
	conv_mark_read(BORIS, mark.conv, mark.gid);
}

static void marked(uint32_t other, uint64_t gid, uint64_t want_cursor, int want_unread)
{
	mark.conv = conv_private(BORIS, other);
	mark.gid = gid;
	rig_run(0, mark_here, NULL);
	rig_settle();
	is_int(cursor(BORIS, other), want_cursor);
	is_int(unread(BORIS, other, 100), want_unread);
}

TEST(mark_read)
{
	uint64_t gid[5];

	message_caches_drop();
	rig_start(1, NULL);
	uint64_t foreign = 0;
	for (int i = 0; i < 4; i++)
		foreign = say(CLARA, BORIS, MESSAGE_COUNTS);
	for (int i = 0; i < 5; i++)
		gid[i] = say(ANNA, BORIS, MESSAGE_COUNTS);
	is_int(unread(BORIS, ANNA, 100), 5);
	marked(ANNA, gid[1], 2, 3);
	marked(ANNA, gid[0], 2, 3);  /* never back */
	marked(ANNA, foreign, 2, 3); /* a message of another conversation moves nothing */
	marked(ANNA, 999, 2, 3);     /* nor one that is not there */
	marked(ANNA, gid[4], 5, 0);
	is_int(cursor(ANNA, BORIS), 0);
	is_int(unread(BORIS, CLARA, 100), 4);
	say(ANNA, BORIS, MESSAGE_COUNTS);
	is_int(unread(BORIS, ANNA, 100), 1);
	rig_stop();
	message_caches_drop();
}
