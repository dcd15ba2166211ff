/* Conversations between two accounts: the id is made of both account ids, counters are read off the log (design idea 1). */
#include "server/im/conv.h"
#include "base/mem.h"
#include "server/im/im.h"

uint64_t conv_private(uint32_t a, uint32_t b)
{
	return a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
}

uint32_t conv_peer(uint64_t conv, uint32_t me)
{
	uint32_t hi = (uint32_t)(conv >> 32), lo = (uint32_t)conv;

	return hi == me ? lo : hi;
}

uint64_t conv_unread(struct txn *t, uint64_t conv, uint32_t me, uint64_t max)
{
	uint64_t read = cursor_get(t, me, conv), n = 0;
	struct log_scan ls;
	struct log_entry e;

	log_scan_open(&ls, t, me, conv, UINT64_MAX, true);
	while (n < max && log_scan_next(&ls, &e) && e.seq > read) {
		if (e.peer == me)
			break; /* in a conversation's log peer is the author: what I wrote, I have read up to */
		if (e.flags & MESSAGE_COUNTS)
			n++;
	}
	log_scan_close(&ls);
	return n;
}

struct read_op {
	struct write_op op;
	uint32_t me;
	uint64_t conv, gid;
};

static int apply_read(struct txn *t, struct write_op *op)
{
	struct read_op *r = (struct read_op *)op;
	struct message_rec m;
	int err = message_get(t, r->gid, &m);

	if (err)
		return err;
	if (m.conv != r->conv)
		return ERR_CONFLICT;
	cursor_set(t, r->me, r->conv, m.seq);
	return txn_error(t);
}

static void read_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
}

static void read_free(struct write_op *op)
{
	mem_free(op);
}

void conv_mark_read(uint32_t me, uint64_t conv, uint64_t gid)
{
	struct read_op *r = NEW(struct read_op);

	r->op = (struct write_op){ .apply = apply_read, .done = read_done, .free = read_free };
	r->me = me;
	r->conv = conv;
	r->gid = gid;
	im_write(&r->op);
}
