/* Conversations between two accounts: the id is made of both account ids, counters are read off the log (design idea 1). */
#include "server/im/conv.h"
#include "base/mem.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "storage/tab_chat.h"

uint64_t conv_private(uint32_t a, uint32_t b)
{
	return a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
}

uint32_t conv_peer(uint64_t conv, uint32_t me)
{
	uint32_t hi = (uint32_t)(conv >> 32), lo = (uint32_t)conv;

	return hi == me ? lo : hi;
}

uint64_t conv_floor(struct txn *t, uint64_t conv, uint32_t me)
{
	struct chat_member_rec m;

	if (conv_kind(conv) != CONV_CHAT)
		return 0;
	return chat_member_get(t, conv_chat_number(conv), me, &m) ? 0 : m.floor;
}

#define ABOUT_OTHERS (MESSAGE_EDIT | MESSAGE_REACTION)

static bool shows(unsigned flags)
{
	return (flags & (MESSAGE_COUNTS | MESSAGE_RETRACTED | MESSAGE_SYSTEM)) && !(flags & ABOUT_OTHERS);
}

/* Said by me: what was there then I have read. A receipt, a marker, a correction or a reaction says nothing like that (XEP-0430 section 4); a message that I
 * withdrew later still does, or old ones would become unread again. */
static bool i_spoke(const struct log_entry *e, uint32_t me)
{
	return e->peer == me && (e->flags & (MESSAGE_COUNTS | MESSAGE_RETRACTED)) && !(e->flags & ABOUT_OTHERS);
}

void conv_count(struct txn *t, uint64_t conv, uint32_t me, uint64_t read, uint64_t floor, uint32_t max,
		struct conv_counts *out)
{
	uint64_t behind = read > floor ? read : floor;
	struct log_scan ls;
	struct log_entry e;

	*out = (struct conv_counts){ 0 };
	log_scan_open(&ls, t, me, conv, UINT64_MAX, true);
	while (log_scan_next(&ls, &e) && e.seq > floor) {
		if (!out->newest_gid)
			out->newest_gid = e.gid;
		if (!out->last_gid && shows(e.flags)) {
			out->last_seq = e.seq;
			out->last_gid = e.gid;
		}
		if (!out->own_seq && e.seq > behind && i_spoke(&e, me))
			out->own_seq = e.seq;
		if (e.seq <= behind || out->own_seq ||
		    out->unread == max) { /* only the newest that shows is looked for further back */
			if (out->last_gid)
				break;
			continue;
		}
		if (!(e.flags & MESSAGE_COUNTS))
			continue;
		out->unread++;
		out->mentions += log_mentions(&e, me);
		out->first_unread_gid = e.gid;
	}
	log_scan_close(&ls);
}

uint64_t conv_unread(struct txn *t, uint64_t conv, uint32_t me, uint64_t max)
{
	struct conv_counts c;

	conv_count(t, conv, me, cursor_get(t, me, conv), conv_floor(t, conv, me), (uint32_t)max, &c);
	return c.unread;
}

struct read_op {
	struct write_op op;
	uint32_t me;
	uint64_t conv, gid;
	uint64_t seq; /* result: moved to there; 0: it was there already */
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
	r->seq = inbox_apply_read(t, r->me, r->conv, m.seq) ? m.seq : 0;
	return txn_error(t);
}

static void read_done(struct write_op *op, int err, unsigned worker)
{
	struct read_op *r = (struct read_op *)op;

	(void)worker;
	if (!err && r->seq)
		event_post(&(struct event){ .kind = EVENT_READ,
					    .conv = r->conv,
					    .gid = r->gid,
					    .seq = r->seq,
					    .account = r->me,
					    .author = r->me });
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
