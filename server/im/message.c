/*
 * A message from one account to another: checked on the sender's home, appended by the writer, delivered on the recipient's home after the commit
 * (design idea 2). One write_op carries it all the way and is freed by the last completion.
 *
 * Order: what a sender sends to a recipient arrives in that order (RFC 6120 10.1). Stored messages keep the commit order; a transient one that
 * follows a stored one of the same user takes the same way (an op that puts nothing), otherwise it is posted directly.
 */
#include "server/im/message.h"
#include "base/log.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/im/archive.h"
#include "server/im/conv.h"
#include "server/im/deliver.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/im/inflight.h"
#include "server/im/peer.h"
#include "server/net/limits.h"
#include "storage/tab_sm.h"
#include <string.h>

const char *const message_type_names[] = { "normal", "chat", "groupchat", "headline", "error" };

struct message_op {
	struct write_op op;
	struct mail mail; /* the direct way of transient messages */
	struct message m; /* slices point behind the struct */
	uint32_t author, recipient;
	unsigned author_home, recipient_home;
	uint64_t session; /* number of the sender's session; 0: a service */
	struct jid author_bare, recipient_bare;
	struct sm_checkpoint sm;
	message_done_fn *done;
	void *ctx;
	uint64_t gid, seq;
	uint64_t read_seq; /* result: the sender has read up to here; 0: as before */
	bool retracted;	   /* result */
	uint64_t changed;  /* result: the message that was corrected or reacted to */
	bool duplicate;	   /* origin-id seen before: acknowledged again, not delivered again (row D05) */
};

static struct str copy_str(char **to, struct str s)
{
	if (!s.p)
		return s;
	memcpy(*to, s.p, s.n);
	struct str c = str_of(*to, s.n);
	*to += s.n;
	return c;
}

static struct message_op *op_new(const struct message *m, const struct sm_checkpoint *sm)
{
	size_t n = m->from.full.n + m->to.full.n + m->id.n + m->origin_id.n + m->lang.n + m->reactions.n;
	struct message_op *o = mem_zero(sizeof *o + n + 1);
	char *to = (char *)(o + 1);

	o->m = *m;
	o->m.from.full = copy_str(&to, m->from.full);
	o->m.to.full = copy_str(&to, m->to.full);
	o->m.id = copy_str(&to, m->id);
	o->m.origin_id = copy_str(&to, m->origin_id);
	o->m.lang = copy_str(&to, m->lang);
	o->m.reactions = copy_str(&to, m->reactions);
	o->m.payload = m->payload ? chunk_ref(m->payload) : NULL;
	o->m.tombstone = m->tombstone ? chunk_ref(m->tombstone) : NULL;
	o->author_bare = jid_to_bare(o->m.from);
	o->recipient_bare = jid_to_bare(o->m.to);
	if (sm)
		o->sm = *sm;
	return o;
}

static void op_free(struct write_op *op)
{
	struct message_op *o = (struct message_op *)op;

	chunk_unref(o->m.payload);
	chunk_unref(o->m.tombstone);
	mem_free(o);
}

/* What a correction or a reaction makes of the entry: both name a message of this conversation, a correction one of the sender's own (row I14). */
static void judge(struct txn *t, struct message_op *o, struct message_rec *r)
{
	struct message_rec target;
	uint64_t gid = o->m.edits_gid ? o->m.edits_gid : o->m.reacts_gid;

	if (!gid || message_get(t, gid, &target) || target.conv != r->conv ||
	    (target.flags & (MESSAGE_RETRACTED | MESSAGE_EDIT | MESSAGE_REACTION)))
		return;
	if (!o->m.edits_gid) {
		r->flags = (r->flags & ~MESSAGE_COUNTS) | MESSAGE_REACTION;
	} else if (target.author == r->author) {
		r->edits = gid;
		r->newest_edit = target.newest_edit;
		r->flags = (r->flags & ~MESSAGE_COUNTS) | MESSAGE_EDIT;
	}
}

static void apply_change(struct txn *t, struct message_op *o, const struct message_rec *r)
{
	if (r->flags & MESSAGE_EDIT)
		message_set_edit(t, r->edits, r);
	else if (r->flags & MESSAGE_REACTION)
		reaction_put(t, o->m.reacts_gid, o->author, o->m.reactions);
	o->changed = r->flags & MESSAGE_EDIT ? r->edits : r->flags & MESSAGE_REACTION ? o->m.reacts_gid : 0;
}

/* A marker or retraction names a message that must belong to this conversation; a wrong one is ignored, the stanza itself is kept. */
static void apply_reference(struct txn *t, struct message_op *o, uint64_t conv)
{
	struct message_rec target;

	if (o->m.displayed_gid && message_get(t, o->m.displayed_gid, &target) == 0 && target.conv == conv)
		o->read_seq = inbox_apply_read(t, o->author, conv, target.seq) ? target.seq : 0;
	if (o->m.replaces_gid && message_get(t, o->m.replaces_gid, &target) == 0 && target.conv == conv)
		o->retracted = message_retract(t, o->m.replaces_gid, o->author, chunk_str(o->m.tombstone)) == 0;
}

/* Writer thread. */
static int apply_message(struct txn *t, struct write_op *op)
{
	struct message_op *o = (struct message_op *)op;

	if (o->m.flags & MESSAGE_STORE) {
		struct message_rec r = {
			.conv = conv_private(o->author, o->recipient),
			.author = o->author,
			.recipient = o->recipient,
			.type = (uint8_t)o->m.type,
			.flags = o->m.flags & ~MESSAGE_STORE,
			.from = o->m.from.full,
			.to = o->m.to.full,
			.id = o->m.id,
			.origin_id = o->m.origin_id,
			.lang = o->m.lang,
			.payload = chunk_str(o->m.payload),
		};
		judge(t, o, &r);
		int err = message_append(t, &r, clock_wall_us(), limits()->origin_ids);
		o->gid = r.gid;
		o->seq = r.seq;
		o->duplicate = err == ERR_EXISTS;
		if (err && err != ERR_EXISTS)
			return err;
		if (!o->duplicate) {
			apply_reference(t, o, r.conv);
			apply_change(t, o, &r);
		}
	}
	if (o->sm.id[0])
		sm_put_counters(t, str_of(o->sm.id, SM_ID_LEN), &o->sm.counters);
	return txn_error(t);
}

static void at_recipient(struct message_op *o)
{
	struct user *u = user_find(jid_bare(&o->recipient_bare));

	if (!u)
		return; /* away: the log keeps it, or it was worth nothing to somebody away */
	if (o->gid && !inflight_add(u, o->gid))
		return; /* came with the load of the user: delivering it here too would double it */
	deliver_message(u, &o->m, o->gid);
}

static void at_author(struct message_op *o, int err)
{
	struct user *u = user_find(jid_bare(&o->author_bare));

	if (u && !err && !o->duplicate && o->m.copy && o->author != o->recipient)
		deliver_sent_carbons(u, session_by_number(o->session), &o->m, o->gid);
	if (u && o->session && u->writing)
		u->writing--;
	if (err == ERR_IO || err == ERR_NO_SPACE)
		log_error("store.refused", LERR(err),
			  LC("text", "a message was refused to its sender: look after the disk of the data directory"));
	o->done(o->ctx, err, o->gid);
}

/* To the observers of one end, on his home. */
static void tell(const struct message_op *o, uint32_t account, uint32_t peer)
{
	uint64_t conv = conv_private(o->author, o->recipient);
	struct event e = { .kind = EVENT_MESSAGE,
			   .conv = conv,
			   .gid = o->gid,
			   .seq = o->seq,
			   .account = account,
			   .author = o->author,
			   .peer = peer,
			   .flags = o->m.flags,
			   .payload = chunk_str(o->m.payload) };

	if (!o->gid)
		return;
	if (!o->changed)
		event_tell(&e); /* a correction is nothing new that shows */
	if (o->retracted || o->changed) {
		e.kind = EVENT_MESSAGE_CHANGED;
		e.gid = o->changed ? o->changed : o->m.replaces_gid;
		event_tell(&e);
	}
	if (o->read_seq && account == o->author) {
		e.kind = EVENT_READ;
		e.seq = o->read_seq;
		event_tell(&e);
	}
}

static void message_committed(struct write_op *op, int err, unsigned worker)
{
	struct message_op *o = (struct message_op *)op;

	bool done = !err && !o->duplicate;

	if (done && worker == o->recipient_home)
		at_recipient(o);
	if (worker == o->author_home)
		at_author(o, err);
	if (done && worker == o->recipient_home)
		tell(o, o->recipient, o->author);
	if (done && worker == o->author_home && o->author && o->author != o->recipient)
		tell(o, o->author, o->recipient);
}

static void transient_arrived(struct mail *mail)
{
	struct message_op *o = list_entry(mail, struct message_op, mail);

	at_recipient(o);
	op_free(&o->op);
}

/* Transient and nothing before it in the writer: straight to the recipient's home. */
static void send_direct(struct message_op *o, struct session *session)
{
	if (session && o->m.copy && o->author != o->recipient)
		deliver_sent_carbons(session->user, session, &o->m, 0);
	o->done(o->ctx, 0, 0);
	o->mail.deliver = transient_arrived;
	threads_post(o->recipient_home, &o->mail);
}

static void send_stored(struct message_op *o, struct session *session)
{
	o->op.apply = apply_message;
	o->op.done = message_committed;
	o->op.free = op_free;
	if (session)
		session->user->writing++;
	im_write_to(&o->op, 1ull << o->author_home | 1ull << o->recipient_home);
}

/* Who speaks: the session's person, m->author, or nobody (a service). */
static uint32_t author_of(const struct session *session, const struct message *m)
{
	return session ? session->user->id : m->author;
}

static bool author_has_prefs(struct session *session, const struct message *m)
{
	struct jid bare = jid_to_bare(m->from);

	if (session)
		return user_peer(session->user)->has_prefs;
	return m->author && peer_get(&bare)->has_prefs;
}

void message_send(struct session *session, const struct message *m, const struct sm_checkpoint *sm,
		  message_done_fn *done, void *ctx)
{
	struct jid to = jid_to_bare(m->to);
	bool has_prefs = author_has_prefs(session, m);
	const struct peer *p = peer_get(&to);
	uint32_t author = author_of(session, m);

	if (!p->id)
		return done(ctx, ERR_NOT_FOUND, 0);
	if (author && p->id != author && peer_blocks(p, &m->from))
		return done(ctx, ERR_FORBIDDEN, 0);
	struct message_op *o = op_new(m, sm);
	o->author = author;
	o->recipient = p->id;
	o->recipient_home = p->home;
	o->author_home = (unsigned)threads_self();
	o->session = session ? session->number : 0;
	o->done = done;
	o->ctx = ctx;
	if ((m->flags & MESSAGE_STORE) && (has_prefs || p->has_prefs))
		o->m.flags |= archive_hidden(o->author, jid_bare(&o->author_bare), o->recipient,
					     jid_bare(&o->recipient_bare));
	if ((m->flags & MESSAGE_STORE) || (session && session->user->writing))
		send_stored(o, session);
	else
		send_direct(o, session);
}
