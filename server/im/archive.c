/* Pages of an archive, read off the account's log or a conversation's log by their small entries; bodies are fetched for the page only. */
#include "server/im/archive.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/chat.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "storage/tab_mam_prefs.h"

int archive_may_read(struct txn *t, uint32_t reader, uint32_t owner, uint64_t chat, uint64_t *out_floor)
{
	struct chat_rec r;
	struct chat_member_rec me;

	*out_floor = UINT64_MAX;
	if (chat) {
		int err = chat_look(t, chat, reader, &r, &me);
		if (err)
			return err;
		if (me.role < CHAT_MEMBER)
			return ERR_FORBIDDEN; /* an open chat is read by joining it */
		*out_floor = me.floor;
		return 0;
	}
	if (reader != owner)
		return ERR_FORBIDDEN;
	*out_floor = 0;
	return 0;
}

int archive_may_see(struct txn *t, uint32_t reader, const struct message_rec *m)
{
	uint64_t floor;

	if (conv_kind(m->conv) != CONV_CHAT)
		return archive_has(t, reader, m->gid) ? 0 : ERR_NOT_FOUND;
	int err = archive_may_read(t, reader, 0, conv_chat_number(m->conv), &floor);
	return err ? err : m->seq > floor ? 0 : ERR_NOT_FOUND;
}

/* The walk of a query: bounds as gids, entries filtered by owner's view. */
struct walk {
	struct txn *t;
	const struct archive_query *q;
	uint64_t lo, hi; /* inclusive */
	uint64_t conv;	 /* 0: all */
	uint64_t floor;	 /* of a chat: entries up to this seq are not shown */
	uint32_t author; /* of a chat: only his; 0: all */
	bool nobody;	 /* 'with' is nobody we know: empty */
	struct log_scan ls;
};

static void set_bounds(struct walk *w)
{
	const struct archive_query *q = w->q;

	w->lo = q->after_gid + 1;
	w->hi = q->before_gid ? q->before_gid - 1 : UINT64_MAX - 1;
	if (q->start_us) {
		uint64_t g = message_gid_at(w->t, q->start_us);
		if (g > w->lo)
			w->lo = g;
	}
	if (q->end_us) {
		uint64_t g = message_gid_at(w->t, q->end_us + 1);
		if (g - 1 < w->hi)
			w->hi = g - 1;
	}
}

static void walk_open(struct walk *w, struct txn *t, const struct archive_query *q, uint64_t floor)
{
	*w = (struct walk){ .t = t, .q = q, .floor = floor };
	set_bounds(w);
	if (q->chat)
		w->conv = conv_chat(q->chat);
	if (!jid_is_none(&q->with)) {
		struct jid bare = jid_to_bare(q->with);
		uint32_t peer = im_is_our_domain(jid_domain(&bare)) ? peer_get(&bare)->archived : 0;
		w->nobody = peer == 0;
		if (q->chat)
			w->author = peer;
		else
			w->conv = conv_private(q->owner, peer);
	}
	if (w->lo > w->hi)
		w->nobody = true;
	if (w->nobody)
		return;
	uint64_t from = q->backwards ? (w->hi >= UINT64_MAX - 1 ? UINT64_MAX : w->hi) : w->lo;
	log_scan_open(&w->ls, t, q->owner, w->conv, from, q->backwards);
}

static bool shown(const struct walk *w, const struct log_entry *e)
{
	if (w->q->chat)
		return e->seq > w->floor && (!w->author || e->peer == w->author);
	if (conv_kind(e->conv) == CONV_CHAT)
		return false; /* his own words in a chat: its archive has them, as long as he is in it */
	/* In a conversation's log `peer` is the author; in the account's log INCOMING tells. */
	bool mine = w->conv ? e->peer == w->q->owner : !(e->flags & MESSAGE_INCOMING);

	return !(e->flags & (mine ? MESSAGE_HIDDEN_AUTHOR : MESSAGE_HIDDEN_RECIPIENT));
}

static bool walk_next(struct walk *w, struct log_entry *e)
{
	if (w->nobody)
		return false;
	while (log_scan_next(&w->ls, e)) {
		if (e->gid < w->lo || e->gid > w->hi) {
			if (w->q->backwards ? e->gid < w->lo : e->gid > w->hi)
				return false;
			continue;
		}
		if (shown(w, e))
			return true;
	}
	return false;
}

static void walk_close(struct walk *w)
{
	if (!w->nobody)
		log_scan_close(&w->ls);
}

/* A full JID in 'with' must be one end of the stanza. */
static bool fits(const struct archive_query *q, const struct message_rec *m)
{
	return jid_is_none(&q->with) || jid_is_bare(&q->with) || str_eq(m->from, q->with.full) ||
	       str_eq(m->to, q->with.full);
}

static void give(struct txn *t, const uint64_t *gids, const struct archive_query *q, archive_fn *fn, void *ctx,
		 struct archive_page *out)
{
	for (size_t i = 0; i < out->n; i++) {
		struct message_rec m;
		size_t k = q->backwards ? out->n - 1 - i : i;
		if (message_get(t, gids[k], &m))
			continue;
		if (!out->first)
			out->first = m.gid;
		out->last = m.gid;
		fn(ctx, &m);
	}
}

int archive_read(struct txn *t, const struct archive_query *q, archive_fn *fn, void *ctx, struct archive_page *out)
{
	struct walk w;
	struct log_entry e;
	struct message_rec m;
	uint64_t floor;
	int err = archive_may_read(t, q->reader, q->owner, q->chat, &floor);

	*out = (struct archive_page){ .complete = true };
	if (err)
		return err;
	uint64_t *gids = mem_alloc(q->max * sizeof *gids + 1);
	walk_open(&w, t, q, floor);
	while (walk_next(&w, &e)) {
		if (!jid_is_none(&q->with) && !jid_is_bare(&q->with) && (message_get(t, e.gid, &m) || !fits(q, &m)))
			continue;
		if (out->n == q->max) {
			out->complete = false;
			break;
		}
		gids[out->n++] = e.gid;
	}
	walk_close(&w);
	give(t, gids, q, fn, ctx, out);
	mem_free(gids);
	return txn_error(t);
}

size_t archive_count(struct txn *t, const struct archive_query *q, size_t max)
{
	struct walk w;
	struct log_entry e;
	uint64_t floor;
	size_t n = 0;

	if (archive_may_read(t, q->reader, q->owner, q->chat, &floor))
		return 0;
	walk_open(&w, t, q, floor);
	while (n < max && walk_next(&w, &e))
		n++;
	walk_close(&w);
	return n;
}

bool archive_has(struct txn *t, uint32_t owner, uint64_t gid)
{
	struct log_scan ls;
	struct log_entry e;

	log_scan_open(&ls, t, owner, 0, gid, false);
	bool found = log_scan_next(&ls, &e) && e.gid == gid && conv_kind(e.conv) != CONV_CHAT &&
		     !(e.flags & ((e.flags & MESSAGE_INCOMING) ? MESSAGE_HIDDEN_RECIPIENT : MESSAGE_HIDDEN_AUTHOR));
	log_scan_close(&ls);
	return found;
}

static bool listed(const struct str *list, size_t n, struct str bare)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i], bare))
			return true;
	return false;
}

static bool hides(struct txn *t, uint32_t account, uint32_t other, struct str other_bare)
{
	struct mam_prefs *p;
	bool hide;

	if (!account || !mam_prefs_any(t, account))
		return false;
	p = NEW(struct mam_prefs);
	if (!mam_prefs_get(t, account, p))
		hide = false;
	else if (listed(p->always, p->n_always, other_bare))
		hide = false;
	else if (listed(p->never, p->n_never, other_bare))
		hide = true;
	else
		hide = p->def == MAM_NEVER || (p->def == MAM_ROSTER && !presence_may_see(account, other));
	mem_free(p);
	return hide;
}

unsigned archive_hidden(uint32_t author, struct str author_bare, uint32_t recipient, struct str recipient_bare)
{
	struct txn *t = im_read();
	unsigned flags = 0;

	if (hides(t, author, recipient, recipient_bare))
		flags |= MESSAGE_HIDDEN_AUTHOR;
	if (hides(t, recipient, author, author_bare))
		flags |= MESSAGE_HIDDEN_RECIPIENT;
	txn_commit(t);
	return flags;
}
