/*
 * Message archive management (XEP-0313 v2 with #extended): queries, metadata and preferences of one's own archive, queries of a chat's. Answers are copied from the stored bytes
 * (server/im/archive.h walks and authorises). Home thread.
 */
#include "server/im/archive.h"
#include "base/err.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/message.h"
#include "server/im/opaque.h"
#include "server/im/peer.h"
#include "server/im/person.h"
#include "server/net/limits.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/request.h"
#include "storage/tab_mam_prefs.h"
#include "xml/datetime.h"
#include "xml/form.h"
#include "xml/print.h"
#include "xml/rsm.h"

#define COUNT_MAX 100000 /* a count asked for by max=0 stops here */
#define IDS_MAX 100

struct answer {
	struct request *rq;
	const struct muc_room *room; /* NULL: the asker's own archive */
	struct archive_query q;
	struct str queryid;
	struct buf b;
	struct chunk **results;
	size_t n;
};

static void print_ends(struct buf *b, const struct message_rec *m)
{
	print_attr(b, "from", m->from);
	print_attr(b, "to", m->to);
}

/* In a chat: who said it there, by the name under which the asker knows the chat (XEP-0313 section 6.1.2). */
static void print_occupant(struct buf *b, const struct answer *an, const struct message_rec *m)
{
	struct arena *a = an->rq->a;

	if (m->author)
		print_attr(b, "from", arena_cat(a, an->room->address, STR("/"), chat_nick(a, m->author), STR_NONE));
	else
		print_attr(b, "from", an->room->address);
}

static void print_occupant_end(struct buf *b, const struct answer *an, const struct message_rec *m)
{
	char id[OCCUPANT_ID_LEN];
	struct jid jid;

	if (!m->author)
		return;
	jid = person_jid(an->rq->a, m->author);
	chat_occupant_id(an->room->number, m->author, id);
	buf_printf(b, "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='%.*s'/>", OCCUPANT_ID_LEN, id);
	if (jid_is_none(&jid))
		return;
	buf_lit(b, "<x xmlns='http://jabber.org/protocol/muc#user'><item");
	print_attr(b, "jid", jid.full);
	buf_lit(b, "/></x>");
}

static void print_result(struct buf *b, const struct answer *an, const struct message_rec *m)
{
	char id[OPAQUE_LEN], when[DATETIME_MAX];

	opaque_print(m->gid, id);
	buf_lit(b, "<result xmlns='urn:xmpp:mam:2'");
	print_attr(b, "queryid", an->queryid);
	print_attr(b, "id", str_of(id, OPAQUE_LEN));
	buf_lit(b, "><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'");
	print_attr(b, "stamp", str_of(when, datetime_print(m->wall_us / 1000, when)));
	buf_lit(b, "/><message xmlns='jabber:client'");
	if (an->room)
		print_occupant(b, an, m);
	else
		print_ends(b, m);
	if (m->type != MESSAGE_NORMAL)
		print_attr(b, "type", str_c(message_type_names[m->type]));
	if (m->id.n)
		print_attr(b, "id", m->id);
	if (m->lang.n)
		print_attr(b, "xml:lang", m->lang);
	buf_byte(b, '>');
	buf_str_add(b, m->payload);
	if (an->room)
		print_occupant_end(b, an, m);
	buf_lit(b, "</message></forwarded></result>");
}

static void add_result(void *ctx, const struct message_rec *m)
{
	struct answer *a = ctx;

	buf_reset(&a->b);
	print_result(&a->b, a, m);
	a->results[a->n++] = chunk_of(buf_str(&a->b));
}

static void send_results(struct answer *a, bool flip)
{
	struct session *s = a->rq->session;

	for (size_t i = 0; i < a->n; i++) {
		struct chunk *c = a->results[flip ? a->n - 1 - i : i];
		struct outgoing o = { .kind = STANZA_MESSAGE,
				      .payload = c,
				      .from = a->room ? a->room->address : STR_NONE };
		session_send(s, &o);
		chunk_unref(c);
	}
}

/* ---- reading the query ---- */

static int read_time(struct request *rq, const struct node *form, const char *var, uint64_t *out_us)
{
	struct str v = form_value(rq->a, form, var);
	uint64_t ms;

	if (!v.p)
		return 0;
	if (datetime_parse(v, &ms))
		return ERR_SYNTAX;
	*out_us = ms * 1000;
	return 0;
}

/* An archive id that must exist in this archive; otherwise item-not-found (XEP-0313 4.3). */
/* Whether the archive that is asked shows that message. */
static bool shows(const struct answer *an, struct txn *t, uint64_t gid)
{
	struct message_rec m;

	if (!an->room)
		return archive_has(t, an->q.owner, gid);
	return message_get(t, gid, &m) == 0 && m.conv == conv_chat(an->room->number) &&
	       archive_may_see(t, an->q.reader, &m) == 0;
}

static int read_id(struct answer *an, struct txn *t, struct str id, uint64_t *out)
{
	if (!id.p || id.n == 0)
		return 0;
	if (opaque_parse(id, out) || !shows(an, t, *out))
		return ERR_NOT_FOUND;
	return 0;
}

static int read_form(struct answer *an, struct txn *t, const struct node *form)
{
	struct request *rq = an->rq;
	struct archive_query *q = &an->q;
	struct str type = form_type(rq->a, form), with = form_value(rq->a, form, "with");
	uint64_t after = 0, before = 0;
	int err;

	if (type.p && !str_eq_c(type, "urn:xmpp:mam:2"))
		return ERR_SYNTAX;
	if (with.p && jid_parse(rq->a, with, &q->with))
		return ERR_SYNTAX;
	if ((err = read_time(rq, form, "start", &q->start_us)) || (err = read_time(rq, form, "end", &q->end_us)))
		return err;
	if (q->end_us)
		q->end_us += 999; /* whole milliseconds on the wire, microseconds in the store */
	if ((err = read_id(an, t, form_value(rq->a, form, "after-id"), &after)) ||
	    (err = read_id(an, t, form_value(rq->a, form, "before-id"), &before)))
		return err;
	q->after_gid = after;
	q->before_gid = before;
	return 0;
}

static int read_rsm(struct answer *an, struct txn *t, bool *out_count_only)
{
	struct request *rq = an->rq;
	struct archive_query *q = &an->q;
	struct rsm_query r;
	uint64_t gid = 0;
	int err = rsm_parse(rq->a, rq->child, &r);

	if (err)
		return err;
	q->max = r.has_max ? r.max : limits()->mam_page;
	if (q->max > limits()->mam_page_max)
		q->max = limits()->mam_page_max; /* row E08 */
	*out_count_only = r.has_max && r.max == 0;
	q->backwards = r.has_before;
	if (r.has_after) {
		if ((err = read_id(an, t, r.after, &gid)) != 0)
			return err;
		if (gid > q->after_gid)
			q->after_gid = gid;
	}
	if (r.has_before && r.before.n) {
		if ((err = read_id(an, t, r.before, &gid)) != 0)
			return err;
		if (!q->before_gid || gid < q->before_gid)
			q->before_gid = gid;
	}
	return 0;
}

static struct str opaque_str(struct arena *a, uint64_t gid)
{
	char id[OPAQUE_LEN];

	if (!gid)
		return STR_NONE;
	opaque_print(gid, id);
	return arena_str(a, str_of(id, OPAQUE_LEN));
}

static void finish(struct answer *an, const struct archive_page *page, uint64_t count, bool flip)
{
	struct request *rq = an->rq;
	struct node *fin = node_new(rq->a, A_fin, NS_MAM2);

	if (page->complete)
		node_set(rq->a, fin, "complete", STR("true"));
	rsm_add(rq->a, fin, opaque_str(rq->a, flip ? page->last : page->first),
		opaque_str(rq->a, flip ? page->first : page->last), UINT64_MAX, count);
	send_results(an, flip);
	reply_result(rq, fin);
}

/* #extended: exactly these messages, all or none (XEP-0313 4.1.4). */
static int read_ids(struct answer *an, struct txn *t, const struct str *ids, size_t n, struct archive_page *page)
{
	uint64_t gid;
	struct message_rec m;

	if (n > IDS_MAX)
		return ERR_LIMIT;
	*page = (struct archive_page){ .complete = true };
	for (size_t i = 0; i < n; i++) {
		gid = 0;
		if (read_id(an, t, ids[i], &gid) || !gid || message_get(t, gid, &m))
			return ERR_NOT_FOUND;
		if (!page->first)
			page->first = gid;
		page->last = gid;
		add_result(an, &m);
	}
	return 0;
}

static int run_query(struct answer *an, struct txn *t, struct archive_page *page, uint64_t *out_count)
{
	struct request *rq = an->rq;
	struct node *form = node_child(rq->child, A_x, NS_DATA);
	struct archive_query *q = &an->q;
	struct str *ids = NULL;
	bool count_only = false;
	int err = form ? read_form(an, t, form) : 0;

	*page = (struct archive_page){ .complete = true };
	*out_count = UINT64_MAX;
	if (!err)
		err = read_rsm(an, t, &count_only);
	size_t n_ids = form ? form_values(rq->a, form, "ids", &ids) : 0;
	an->results = arena_zero(rq->a, ((n_ids > q->max ? n_ids : q->max) + 1) * sizeof *an->results);
	if (err)
		return err;
	if (n_ids)
		return read_ids(an, t, ids, n_ids, page);
	if (count_only) {
		*out_count = archive_count(t, q, COUNT_MAX);
		page->complete = *out_count == 0;
		return 0;
	}
	return archive_read(t, q, add_result, an, page);
}

/* One's own archive, or that of a chat for its members; false: the error was sent. */
static bool which_archive(struct request *rq, struct muc_room *room, struct archive_query *q)
{
	*q = (struct archive_query){ .reader = rq->session->user->id, .owner = rq->session->user->id };
	if (rq->addressee != TO_CHAT)
		return true;
	if (!muc_look_member(rq, room))
		return false;
	q->chat = room->number;
	return true;
}

static void mam_query(struct request *rq)
{
	struct muc_room room;
	struct answer an = { .rq = rq, .queryid = node_attr(rq->child, "queryid") };
	struct archive_page page;
	uint64_t count;

	if (!which_archive(rq, &room, &an.q))
		return;
	an.room = rq->addressee == TO_CHAT ? &room : NULL;
	struct txn *t = im_read();
	buf_init(&an.b, 64u << 20);
	int err = run_query(&an, t, &page, &count);
	int end = txn_commit(t);
	if (!err)
		err = end;
	if (err) {
		for (size_t i = 0; i < an.n; i++)
			chunk_unref(an.results[i]);
		reply_err(rq, err, err == ERR_NOT_FOUND ? "The archive has no message with that id" : NULL);
	} else {
		finish(&an, &page, count, node_child(rq->child, A_flip_page, NS_MAM2) != NULL);
	}
	buf_clear(&an.b);
}

/* <query/> get: the fields we know (XEP-0313 4.1.5). */
static void mam_form(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_MAM2);
	struct node *f = form_new(rq->a, q, "form", "urn:xmpp:mam:2");
	static const struct {
		const char *var, *type;
	} fields[] = {
		{ "with", "jid-single" },	{ "start", "text-single" },    { "end", "text-single" },
		{ "before-id", "text-single" }, { "after-id", "text-single" }, { "ids", "list-multi" },
	};

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		form_field(rq->a, f, fields[i].var, fields[i].type, NULL, STR_NONE);
	reply_result(rq, q);
}

/* ---- metadata ---- */

struct edge {
	struct arena *a;
	struct node *meta;
	enum atom name;
};

static void add_edge(void *ctx, const struct message_rec *m)
{
	struct edge *e = ctx;
	char when[DATETIME_MAX];
	struct node *n = node_add(e->a, e->meta, e->name, NS_MAM2);

	node_set(e->a, n, "id", opaque_str(e->a, m->gid));
	node_set(e->a, n, "timestamp", arena_str(e->a, str_of(when, datetime_print(m->wall_us / 1000, when))));
}

static void mam_metadata(struct request *rq)
{
	struct muc_room room;
	struct archive_query q;
	struct archive_page page;
	struct edge e = { .a = rq->a, .meta = node_new(rq->a, A_metadata, NS_MAM2), .name = A_start };

	if (!which_archive(rq, &room, &q))
		return;
	struct txn *t = im_read();
	q.max = 1;
	archive_read(t, &q, add_edge, &e, &page);
	e.name = A_end;
	q.backwards = true;
	archive_read(t, &q, add_edge, &e, &page);
	txn_commit(t);
	reply_result(rq, e.meta);
}

/* ---- preferences ---- */

static const char *const default_names[] = { "always", "never", "roster" };

static void print_list(struct arena *a, struct node *prefs, enum atom name, const struct str *v, size_t n)
{
	struct node *list = node_add(a, prefs, name, NS_MAM2);

	for (size_t i = 0; i < n; i++)
		node_add_text(a, list, A_jid, NS_MAM2, v[i]);
}

static struct node *prefs_node(struct arena *a, const struct mam_prefs *p)
{
	struct node *n = node_new(a, A_prefs, NS_MAM2);

	node_set(a, n, "default", str_c(default_names[p->def]));
	print_list(a, n, A_always, p->always, p->n_always);
	print_list(a, n, A_never, p->never, p->n_never);
	return n;
}

static void prefs_get(struct request *rq)
{
	struct mam_prefs *p = arena_zero(rq->a, sizeof *p);
	struct txn *t = im_read();

	mam_prefs_get(t, rq->session->user->id, p);
	reply_result(rq, prefs_node(rq->a, p));
	txn_commit(t);
}

static int read_list(struct request *rq, enum atom name, struct str *out, size_t *out_n)
{
	struct node *list = node_child(rq->child, name, NS_MAM2);
	struct jid j;

	*out_n = 0;
	for (struct node *n = list ? node_first(list) : NULL; n; n = node_next(n)) {
		if (*out_n == MAM_PREFS_MAX)
			return ERR_LIMIT;
		if (jid_parse(rq->a, node_text(rq->a, n), &j))
			return ERR_SYNTAX;
		out[(*out_n)++] = jid_bare(&j);
	}
	return 0;
}

struct prefs_op {
	struct write_op op;
	uint32_t account;
	struct arena *arena;
	struct mam_prefs prefs;
};

static int apply_prefs(struct txn *t, struct write_op *op)
{
	struct prefs_op *p = (struct prefs_op *)op;

	mam_prefs_put(t, p->account, &p->prefs);
	return txn_error(t);
}

/* After the commit, on the worker of the session: from its answer on, what it sends obeys the new preferences. */
static void free_prefs(struct write_op *op)
{
	peer_forget_all();
	arena_free(((struct prefs_op *)op)->arena);
	mem_free(op);
}

static void prefs_set(struct request *rq)
{
	struct str def = node_attr(rq->child, "default");
	struct mam_prefs *in = arena_zero(rq->a, sizeof *in);
	int err = ERR_SYNTAX;

	for (unsigned i = 0; i < 3; i++)
		if (str_eq_c(def, default_names[i])) {
			in->def = (enum mam_default)i;
			err = 0;
		}
	if (!err)
		err = read_list(rq, A_always, in->always, &in->n_always);
	if (!err)
		err = read_list(rq, A_never, in->never, &in->n_never);
	if (err) {
		reply_err(rq, err, NULL);
		return;
	}
	struct prefs_op *p = NEW(struct prefs_op);
	p->op.apply = apply_prefs;
	p->account = rq->session->user->id;
	p->arena = arena_new(4096);
	p->prefs = *in;
	for (size_t i = 0; i < in->n_always; i++)
		p->prefs.always[i] = arena_str(p->arena, in->always[i]);
	for (size_t i = 0; i < in->n_never; i++)
		p->prefs.never[i] = arena_str(p->arena, in->never[i]);
	reply_with_after_write(rq, prefs_node(rq->a, in), &p->op, free_prefs);
}

static const struct handler rows[] = {
	{ IQ_SET, A_query, NS_MAM2, TO_OWN | TO_CHAT, 0, "urn:xmpp:mam:2", mam_query },
	{ IQ_GET, A_query, NS_MAM2, TO_OWN | TO_CHAT, 0, NULL, mam_form },
	{ IQ_GET, A_metadata, NS_MAM2, TO_OWN | TO_CHAT, 0, "urn:xmpp:mam:2#extended", mam_metadata },
	{ IQ_GET, A_prefs, NS_MAM2, TO_OWN, 0, NULL, prefs_get },
	{ IQ_SET, A_prefs, NS_MAM2, TO_OWN, 0, NULL, prefs_set },
	{ .fn = NULL },
};
const struct handler_table mam_handlers = { "XEP-0313 archive", rows, NULL, NULL };
