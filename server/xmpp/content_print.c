/*
 * Content to payload: the elements of the XEPs, and a body with fallbacks (XEP-0428) for clients that know none of them. Ids that are named are those by which
 * clients know the message: stanza-ids in chats, origin or message ids between two people. Any thread.
 */
#include "server/xmpp/content.h"
#include "base/clock.h"
#include "base/err.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/notify.h"
#include "server/im/opaque.h"
#include "storage/tab_account.h"
#include "xml/build.h"
#include "xml/datetime.h"
#include "xml/print.h"

enum { QUOTE_BYTES = 300 };

struct printing {
	struct arena *a;
	struct node *message;
	const struct content *c;
	struct str by;
	struct txn *t;
	struct buf body;
};

static struct node *add(struct printing *p, enum atom name, enum ns ns)
{
	return node_add(p->a, p->message, name, ns);
}

static struct str opaque(struct printing *p, uint64_t gid)
{
	char id[OPAQUE_LEN];

	opaque_print(gid, id);
	return arena_str(p->a, str_of(id, sizeof id));
}

static struct str first_of(struct str a, struct str b)
{
	return a.n ? a : b;
}

/* How clients name that message. A correction names the message id (XEP-0308 section 3), the others the origin id first (XEP-0424, 0444, 0461). */
static struct str id_of(struct printing *p, uint64_t gid, bool message_id)
{
	struct message_rec m;
	struct str id = STR_NONE;

	if (message_get(p->t, gid, &m) == 0) {
		if (message_id)
			id = first_of(m.id, m.origin_id);
		else if (conv_kind(m.conv) != CONV_CHAT)
			id = first_of(m.origin_id, m.id);
	}
	return id.n ? arena_str(p->a, id) : opaque(p, gid);
}

static size_t points(struct str s)
{
	size_t n = 0, len;
	uint32_t cp;

	while ((len = str_utf8_next(s, &cp)) != 0) {
		s = str_of(s.p + len, s.n - len);
		n++;
	}
	return n;
}

/* The body from byte `from` on says again what elements of that namespace say. */
static void add_fallback(struct printing *p, enum ns what, size_t from)
{
	struct str all = buf_str(&p->body);
	size_t start = points(str_of(all.p, from)), end = points(all);

	if (start == end)
		return;
	struct node *f = node_set(p->a, add(p, A_fallback, NS_FALLBACK), "for", ns_str(what));
	struct node *b = node_add(p->a, f, A_body, NS_FALLBACK);
	node_set_u64(p->a, b, "start", start);
	node_set_u64(p->a, b, "end", end);
}

/* ---- references to other messages ---- */

static void quote(struct printing *p, struct str text)
{
	struct str line, rest = str_utf8_cut(text, QUOTE_BYTES);

	if (!rest.n)
		return;
	while (str_split(&rest, '\n', &line)) {
		buf_lit(&p->body, "> ");
		buf_str_add(&p->body, line);
		buf_byte(&p->body, '\n');
	}
}

/* XEP-0461 with the quote as fallback. */
static void print_reply(struct printing *p)
{
	struct node *n;
	struct message_rec m;
	struct content old;

	if (!p->c->reply_gid)
		return;
	n = add(p, A_reply, NS_REPLY);
	node_set(p->a, n, "id", id_of(p, p->c->reply_gid, false));
	if (message_get(p->t, p->c->reply_gid, &m))
		return;
	struct str to = arena_str(p->a, m.from);
	ptrdiff_t slash = str_find(to, '/');
	if (conv_kind(m.conv) != CONV_CHAT && slash > 0)
		to.n = (size_t)slash;
	if (to.n && (conv_kind(m.conv) != CONV_CHAT || str_starts(to, p->by)))
		node_set(p->a, n, "to", to);
	content_codec.read(p->a, m.payload, &old);
	quote(p, old.text);
	add_fallback(p, NS_REPLY, 0);
}

static void print_retraction(struct printing *p)
{
	struct node *n;

	if (!p->c->retracts_gid)
		return;
	n = add(p, A_retract, NS_RETRACT);
	node_set(p->a, n, "id", id_of(p, p->c->retracts_gid, false));
	if (p->c->text.n)
		return;
	size_t from = p->body.n;
	buf_lit(&p->body, "A message was withdrawn; this client cannot show which.");
	add_fallback(p, NS_RETRACT, from);
	add(p, A_store, NS_HINTS);
}

static void print_reactions(struct printing *p)
{
	if (!p->c->reacts_gid)
		return;
	struct node *n = add(p, A_reactions, NS_REACTIONS);
	node_set(p->a, n, "id", id_of(p, p->c->reacts_gid, false));
	for (size_t i = 0; i < p->c->n_reactions; i++)
		node_add_text(p->a, n, A_reaction, NS_REACTIONS, p->c->reactions[i]);
	if (!p->c->text.n)
		add(p, A_store, NS_HINTS);
}

static void print_references(struct printing *p)
{
	if (p->c->edits_gid)
		node_set(p->a, add(p, A_replace, NS_CORRECT), "id", id_of(p, p->c->edits_gid, true));
	else if (p->c->edits_id.n)
		node_set(p->a, add(p, A_replace, NS_CORRECT), "id", p->c->edits_id);
	if (p->c->forward_gid)
		node_set(p->a, add(p, A_forward, NS_V_FORWARD), "id", opaque(p, p->c->forward_gid));
	print_reply(p);
	print_retraction(p);
	print_reactions(p);
}

/* ---- people ---- */

static void print_mentions(struct printing *p)
{
	struct account_rec r;

	for (size_t i = 0; i < p->c->n_mentions; i++) {
		if (account_get_by_id(p->t, p->c->mentions[i], &r))
			continue;
		struct node *n = add(p, A_reference, NS_REFERENCE);
		node_set(p->a, n, "type", STR("mention"));
		node_set(p->a, n, "uri", arena_printf(p->a, "xmpp:%.*s@%.*s", STR_ARG(r.local), STR_ARG(r.domain)));
	}
	if (p->c->mentions_all)
		add(p, A_all, NS_V_MENTION);
}

/* ---- files ---- */

static void add_text(struct printing *p, struct node *n, enum atom name, enum ns ns, struct str text)
{
	if (text.n)
		node_add_text(p->a, n, name, ns, text);
}

static void add_number(struct printing *p, struct node *n, enum atom name, enum ns ns, uint64_t v)
{
	if (v)
		node_add_text(p->a, n, name, ns, arena_printf(p->a, "%llu", (unsigned long long)v));
}

static void print_sims(struct printing *p, const struct content_file *f)
{
	struct node *ref = node_set(p->a, add(p, A_reference, NS_REFERENCE), "type", STR("data"));
	struct node *sharing = node_add(p->a, ref, A_media_sharing, NS_SIMS),
		    *file = node_add(p->a, sharing, A_file, NS_JINGLE_FILE);
	struct node *sources = node_add(p->a, sharing, A_sources, NS_SIMS),
		    *source = node_add(p->a, sources, A_reference, NS_REFERENCE);

	add_text(p, file, A_media_type, NS_JINGLE_FILE, f->type);
	add_text(p, file, A_name, NS_JINGLE_FILE, f->name);
	add_number(p, file, A_size, NS_JINGLE_FILE, f->size);
	if (f->width && f->height)
		add_text(p, file, A_dimensions, NS_JINGLE_FILE, arena_printf(p->a, "%ux%u", f->width, f->height));
	add_number(p, file, A_id, NS_V_FILE, f->file_id);
	node_set(p->a, source, "type", STR("data"));
	node_set(p->a, source, "uri", f->url);
}

/* XEP-0385 for each; the addresses in the body for all other clients; one file alone is XEP-0066, whose body is the address and nothing else. */
static void print_files(struct printing *p)
{
	size_t from = p->body.n;

	for (size_t i = 0; i < p->c->n_files; i++) {
		print_sims(p, &p->c->files[i]);
		if (p->body.n && p->body.p[p->body.n - 1] != '\n')
			buf_byte(&p->body, '\n');
		buf_str_add(&p->body, p->c->files[i].url);
	}
	add_fallback(p, NS_SIMS, from);
	if (p->c->n_files == 1 && from == 0)
		node_add_text(p->a, add(p, A_x, NS_OOB), A_url, NS_OOB, p->c->files[0].url);
}

/* ---- notifications ---- */

static void set_flag(struct printing *p, struct node *n, const char *name, bool on)
{
	if (on)
		node_set(p->a, n, name, STR("true"));
}

static void set_text(struct printing *p, struct node *n, const char *name, struct str v)
{
	if (v.n)
		node_set(p->a, n, name, v);
}

static void print_notify(struct printing *p)
{
	const struct notify_rec *r = p->c->notify;
	char when[DATETIME_MAX];

	if (!r)
		return;
	struct node *n = add(p, A_notify, NS_V_NOTIFY);
	node_set(p->a, n, "type",
		 r->type == NOTIFY_CONFIRM ? STR("confirm")
		 : r->type == NOTIFY_FROM  ? STR("from")
					   : STR("system"));
	set_text(p, n, "module", r->module);
	set_text(p, n, "event", r->event);
	set_text(p, n, "tag", r->tag);
	set_text(p, n, "sub-tag", r->sub_tag);
	set_flag(p, n, "silent", r->flags & NOTIFY_SILENT);
	set_flag(p, n, "flash", r->flags & NOTIFY_FLASH);
	set_flag(p, n, "answer", r->flags & NOTIFY_ANSWER);
	if (r->expires_ms)
		node_set(p->a, n, "expires", arena_str(p->a, str_of(when, datetime_print(r->expires_ms, when))));
	add_text(p, n, A_title, NS_V_NOTIFY, r->title);
	add_text(p, n, A_text, NS_V_NOTIFY, r->text);
	add_text(p, n, A_link, NS_V_NOTIFY, r->link);
	add_text(p, n, A_params, NS_V_NOTIFY, r->params);
	for (size_t i = 0; i < r->n_buttons; i++) {
		struct node *b = node_add_text(p->a, n, A_button, NS_V_NOTIFY, r->buttons[i].title);
		node_set(p->a, b, "value", r->buttons[i].value);
		set_flag(p, b, "accept", r->buttons[i].accept);
	}
}

/* ---- all of it ---- */

static void print_tombstone(struct printing *p)
{
	char when[DATETIME_MAX];

	if (!p->c->retracted)
		return;
	node_set(p->a, add(p, A_retracted, NS_RETRACT), "stamp",
		 arena_str(p->a, str_of(when, datetime_print(clock_wall_ms(), when))));
}

static void print_all(struct printing *p)
{
	const struct content *c = p->c;

	print_references(p);
	buf_str_add(&p->body, c->text);
	print_files(p);
	print_mentions(p);
	if (c->subject.p)
		node_add_text(p->a, p->message, A_subject, NS_CLIENT, c->subject);
	if (c->is_system)
		node_set(p->a, add(p, A_system, NS_V_SYSTEM), "code", c->code);
	if (c->params.p)
		node_add_text(p->a, p->message, A_params, NS_V_PARAMS, c->params);
	print_notify(p);
	print_tombstone(p);
	if (p->body.n)
		node_add_text(p->a, p->message, A_body, NS_CLIENT, arena_str(p->a, buf_str(&p->body)));
}

void content_build(struct arena *a, struct node *message, const struct content *c, struct str by)
{
	struct printing p = { .a = a, .message = message, .c = c, .by = by, .t = im_read() };

	buf_init(&p.body, 64u << 20);
	print_all(&p);
	txn_commit(p.t);
	buf_clear(&p.body);
}

static struct chunk *chunk_of_children(const struct node *message)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	print_children(&b, message);
	struct chunk *payload = chunk_of(buf_str(&b));
	buf_clear(&b);
	return payload;
}

struct chunk *content_print(const struct content *c, struct str by)
{
	struct arena *a = arena_new(4096);
	struct node *message = node_new(a, A_message, NS_CLIENT);

	content_build(a, message, c, by);
	struct chunk *payload = chunk_of_children(message);
	arena_free(a);
	return payload;
}

struct chunk *content_print_state(bool composing)
{
	struct arena *a = arena_new(256);
	struct node *message = node_new(a, A_message, NS_CLIENT);

	node_add(a, message, composing ? A_composing : A_paused, NS_CHATSTATES);
	struct chunk *payload = chunk_of_children(message);
	arena_free(a);
	return payload;
}
