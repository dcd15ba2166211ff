/*
 * Adding a notification: one write appends the message to the person's log `notify` and the record beside it, and takes the place of an earlier one with the same
 * tag. After the commit the person's home hands it to his sessions. Asker's worker, writer (apply), home.
 */
#include "server/im/notify.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/conv.h"
#include "server/im/deliver.h"
#include "server/im/event.h"
#include "server/im/fanout.h"
#include "server/im/inflight.h"
#include "server/im/notify_op.h"
#include "server/net/limits.h"
#include "storage/tab_account.h"
#include <string.h>

struct add_op {
	struct write_op op;
	struct arena *a;
	struct principal by;
	struct notify_rec rec;
	struct jid to, service;
	struct str id; /* of the message */
	struct chunk *payload, *tombstone;
	uint64_t seen_gid; /* the one with the same tag when the payload was printed, 0: none */
	unsigned asker, home;
	notify_done_fn *done;
	void *ctx;
	/* results of apply */
	uint64_t gid, replaced;
	bool duplicate, moved, jabber;
};

struct str notify_address(struct arena *a, struct str domain)
{
	return arena_cat(a, STR("notify."), domain, STR_NONE);
}

void notify_rec_copy(struct arena *a, struct notify_rec *r)
{
	struct str *const texts[] = { &r->module,    &r->event,	   &r->tag,   &r->sub_tag, &r->title,
				      &r->text,	     &r->plain,	   &r->link,  &r->params,  &r->webhook,
				      &r->origin_id, &r->first_id, &r->result };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i]->p)
			*texts[i] = arena_str(a, *texts[i]);
	for (size_t i = 0; i < r->n_buttons; i++) {
		r->buttons[i].title = arena_str(a, r->buttons[i].title);
		r->buttons[i].value = arena_str(a, r->buttons[i].value);
	}
}

/* ---- what may be said ---- */

static bool text_ok(struct str s, size_t max)
{
	return s.n <= max && str_xml_valid(s);
}

static bool texts_ok(const struct notify_new *n)
{
	const struct str keys[] = { n->module, n->event, n->tag, n->sub_tag, n->origin_id };
	const struct str texts[] = { n->title, n->text, n->plain, n->link, n->params, n->webhook };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!text_ok(keys[i], NOTIFY_KEY_BYTES))
			return false;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!text_ok(texts[i], limits()->notify_bytes))
			return false;
	for (size_t i = 0; i < n->n_buttons; i++)
		if (!n->buttons[i].title.n || !text_ok(n->buttons[i].title, NOTIFY_KEY_BYTES) ||
		    !text_ok(n->buttons[i].value, NOTIFY_KEY_BYTES))
			return false;
	return true;
}

static int check(const struct notify_new *n, const struct account_rec *to)
{
	bool system = principal_has(&n->by, SCOPE_SYSTEM);

	if (may_speak_as(&n->by, n->from))
		return ERR_FORBIDDEN;
	if (!system && !(n->by.kind == PRINCIPAL_USER && n->from == n->by.account && n->type == NOTIFY_FROM))
		return ERR_FORBIDDEN;
	if (n->by.domain.n && !str_eq(n->by.domain, to->domain))
		return ERR_NOT_FOUND; /* domains are isolated */
	if (n->type != NOTIFY_CONFIRM && n->type != NOTIFY_FROM && n->type != NOTIFY_SYSTEM)
		return ERR_SYNTAX;
	if (n->n_buttons > NOTIFY_BUTTONS_MAX || (n->type == NOTIFY_CONFIRM && !n->n_buttons))
		return ERR_SYNTAX;
	if ((!n->text.n && !n->title.n) || (n->type == NOTIFY_FROM && !n->from))
		return ERR_SYNTAX;
	return texts_ok(n) ? 0 : ERR_SYNTAX;
}

/* ---- the message ---- */

/* What a plain Jabber client shows; buttons are numbered, a number answers. */
static struct str plain_body(struct arena *a, const struct notify_rec *r)
{
	struct str body = r->plain.n ? r->plain : r->text;

	if (r->title.n)
		body = body.n ? arena_cat(a, r->title, STR("\n"), body, STR_NONE) : r->title;
	if (r->link.n)
		body = arena_cat(a, body, STR("\n"), r->link, STR_NONE);
	for (size_t i = 0; i < r->n_buttons; i++)
		body = arena_cat(a, body, i ? STR(", ") : STR("\n"), arena_printf(a, "%zu ", i + 1),
				 r->buttons[i].title, STR_NONE);
	if (r->n_buttons)
		return arena_cat(a, body, STR(": answer with the number"), STR_NONE);
	if (r->flags & NOTIFY_ANSWER)
		return arena_cat(a, body, STR("\nAnswer with a text"), STR_NONE);
	return body;
}

/* Prints the payload; a tag that is there already makes it a correction of the first message with that tag (XEP-0308). */
static void print(struct add_op *o)
{
	struct content c = { .text = plain_body(o->a, &o->rec), .notify = &o->rec };
	struct notify_rec old;
	struct txn *t = im_read();

	o->seen_gid = notify_rec_by_tag(t, o->rec.to, o->rec.tag);
	if (o->seen_gid && notify_rec_get(t, o->rec.to, o->seen_gid, &old) == 0)
		o->rec.first_id = arena_str(o->a, old.first_id);
	else
		o->rec.first_id = o->id;
	txn_commit(t);
	if (o->seen_gid)
		c.edits_id = o->rec.first_id;
	o->payload = content_codec.print(&c, o->to.full);
}

static struct add_op *op_new(const struct notify_new *n, const struct account_rec *to)
{
	struct arena *a = arena_new(4096);
	struct add_op *o = ARENA_NEW(a, struct add_op);
	char token[RANDOM_TOKEN];

	o->a = a;
	o->rec = (struct notify_rec){ .to = n->to,
				      .from = n->from,
				      .type = n->type,
				      .flags = n->flags & (NOTIFY_SILENT | NOTIFY_FLASH | NOTIFY_ANSWER | NOTIFY_READ),
				      .expires_ms = n->expires_ms,
				      .module = n->module,
				      .event = n->event,
				      .tag = n->tag,
				      .sub_tag = n->sub_tag,
				      .title = n->title,
				      .text = n->text,
				      .plain = n->plain,
				      .link = n->link,
				      .params = n->params,
				      .webhook = n->webhook,
				      .origin_id = n->origin_id,
				      .n_buttons = n->n_buttons };
	memcpy(o->rec.buttons, n->buttons, sizeof o->rec.buttons);
	notify_rec_copy(a, &o->rec);
	random_token(token);
	o->id = arena_str(a, str_c(token));
	o->to = jid_make(a, to->local, to->domain, STR(""));
	o->service = jid_make(a, STR(""), notify_address(a, to->domain), STR(""));
	o->asker = (unsigned)threads_self();
	o->home = threads_home(o->to.full);
	o->tombstone = content_codec.print(&(struct content){ .retracted = true }, o->to.full);
	return o;
}

static void op_free(struct write_op *op)
{
	struct add_op *o = (struct add_op *)op;

	chunk_unref(o->payload);
	chunk_unref(o->tombstone);
	arena_free(o->a);
}

/* ---- writer ---- */

static void drop_oldest(struct txn *t, uint32_t account)
{
	uint64_t oldest;
	size_t max = limits()->notify_kept;

	while (notify_rec_count(t, account, max + 1, &oldest) > max)
		notify_rec_del(t, account, oldest);
}

static int append(struct txn *t, struct add_op *o)
{
	bool site = notify_wants(t, o->rec.to, o->rec.module, o->rec.event, NOTIFY_SITE);
	struct message_rec m = { .conv = conv_notify(o->rec.to),
				 .recipient = o->jabber ? o->rec.to : 0,
				 .type = MESSAGE_CHAT,
				 .flags = site ? MESSAGE_COUNTS : 0,
				 .from = o->service.full,
				 .to = o->to.full,
				 .id = o->id,
				 .payload = chunk_str(o->payload) };
	int err = message_append(t, &m, clock_wall_us(), limits()->origin_ids);

	if (err)
		return err;
	o->gid = o->rec.gid = m.gid;
	o->rec.seq = m.seq;
	o->rec.created_ms = m.wall_us / 1000;
	if (!site)
		o->rec.flags |= NOTIFY_UNCOUNTED;
	notify_rec_put(t, &o->rec);
	return 0;
}

static int apply_add(struct txn *t, struct write_op *op)
{
	struct add_op *o = (struct add_op *)op;
	uint64_t first = notify_rec_by_origin(t, o->rec.to, o->rec.origin_id),
		 old = notify_rec_by_tag(t, o->rec.to, o->rec.tag);

	o->duplicate = first != 0;
	o->moved = !first && old != o->seen_gid;
	o->gid = first;
	if (o->duplicate || o->moved)
		return txn_error(t);
	o->jabber = notify_wants(t, o->rec.to, o->rec.module, o->rec.event, NOTIFY_JABBER);
	o->replaced = old;
	if (old && notify_rec_del(t, o->rec.to, old))
		message_retract(t, old, 0, chunk_str(o->tombstone));
	int err = append(t, o);
	if (!err)
		drop_oldest(t, o->rec.to);
	return err ? err : txn_error(t);
}

/* ---- home and asker ---- */

/* With the Jabber channel off only sessions of web clients get it: those that follow the inbox. */
static void to_followers(struct user *u, const struct message *m, uint64_t gid)
{
	struct outgoing o = { .kind = STANZA_MESSAGE,
			      .from = m->from.full,
			      .to = m->to.full,
			      .type = str_c(message_type_names[m->type]),
			      .id = m->id,
			      .payload = m->payload,
			      .gid = gid,
			      .by = u->jid.full };

	list_each_safe (s, &u->sessions, struct session, of_user)
		if (s->inbox)
			session_send(s, &o);
}

static void hand_over(struct add_op *o, enum message_type type)
{
	struct user *u = user_find(o->to.full);
	struct message m = { .type = type, .from = o->service, .to = o->to, .id = o->id, .payload = o->payload };

	if (!u)
		return;
	if (!o->jabber)
		to_followers(u, &m, o->gid);
	else if (!o->gid || inflight_add(u, o->gid))
		deliver_message(u, &m, o->gid);
}

static void at_home(struct add_op *o)
{
	hand_over(o, MESSAGE_CHAT);
	if (o->replaced)
		event_tell(&(struct event){ .kind = EVENT_NOTIFY,
					    .conv = conv_notify(o->rec.to),
					    .gid = o->replaced,
					    .account = o->rec.to,
					    .gone = true });
	event_tell(&(struct event){ .kind = EVENT_MESSAGE,
				    .conv = conv_notify(o->rec.to),
				    .gid = o->gid,
				    .seq = o->rec.seq,
				    .account = o->rec.to,
				    .author = o->rec.from,
				    .flags = o->rec.flags & NOTIFY_UNCOUNTED ? 0 : MESSAGE_COUNTS });
}

static void submit(struct add_op *o);

/* Another one with the same tag came in between: printed again with that one's id. */
static struct add_op *op_again(const struct add_op *old)
{
	struct arena *a = arena_new(4096);
	struct add_op *o = ARENA_NEW(a, struct add_op);

	*o = *old;
	o->a = a;
	o->rec.flags &= ~NOTIFY_UNCOUNTED;
	notify_rec_copy(a, &o->rec);
	o->id = arena_str(a, old->id);
	o->to = jid_dup(a, old->to);
	o->service = jid_dup(a, old->service);
	o->tombstone = chunk_ref(old->tombstone);
	return o;
}

static void added(struct write_op *op, int err, unsigned worker)
{
	struct add_op *o = (struct add_op *)op;

	if (!err && worker == o->home && !o->duplicate && !o->moved)
		at_home(o);
	if (worker != o->asker)
		return;
	if (!err && o->moved)
		submit(op_again(o));
	else
		o->done(o->ctx, err, err ? 0 : o->gid);
}

static void submit(struct add_op *o)
{
	print(o);
	o->op = (struct write_op){ .apply = apply_add, .done = added, .free = op_free };
	im_write_to(&o->op, 1ull << o->asker | 1ull << o->home);
}

/* ---- shown once ---- */

static void flash_arrived(void *data)
{
	hand_over(data, MESSAGE_HEADLINE);
}

static void flash_free(void *data)
{
	op_free(data);
}

static void flash(struct add_op *o)
{
	struct txn *t = im_read();

	o->jabber = notify_wants(t, o->rec.to, o->rec.module, o->rec.event, NOTIFY_JABBER);
	txn_commit(t);
	o->payload = content_codec.print(&(struct content){ .text = plain_body(o->a, &o->rec), .notify = &o->rec },
					 o->to.full);
	post_to(o->home, flash_arrived, o, flash_free);
}

void notify_add(const struct notify_new *n, notify_done_fn *done, void *ctx)
{
	struct account_rec to;
	struct txn *t = im_read();
	int err = account_get_by_id(t, n->to, &to);

	if (!err && to.disabled)
		err = ERR_NOT_FOUND;
	if (!err)
		err = check(n, &to);
	struct add_op *o = err ? NULL : op_new(n, &to);
	txn_commit(t);
	if (err) {
		done(ctx, err, 0);
		return;
	}
	o->done = done;
	o->ctx = ctx;
	if (n->flags & NOTIFY_FLASH) {
		flash(o);
		done(ctx, 0, 0);
		return;
	}
	submit(o);
}
