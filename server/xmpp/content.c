/*
 * What a message says, read from its stored payload: one row per element. Whatever a client may have sent is taken as a claim, nothing fails: what is not
 * understood is left out. The printer, its inverse, is content_print.c. Any thread.
 */
#include "server/xmpp/content.h"
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/notify.h"
#include "server/im/opaque.h"
#include "storage/tab_account.h"
#include "xml/datetime.h"
#include "xml/jid.h"
#include "xml/parser.h"
#include <string.h>

/* Payloads were printed by us after the limits of the stream had been checked: wide bounds that only a damaged record exceeds. */
static const struct parser_limits stored_limits = { 64u << 20, 16u << 20, 1024, 1000000, 10000, 1000 };
enum { FALLBACKS_MAX = 16 };

struct range {
	size_t from, to;
};
struct reading {
	struct arena *a;
	struct content *out;
	const struct node *message;
	struct txn *t; /* opened by the first mention */
	struct str oob_url;
	struct range cut[FALLBACKS_MAX]; /* code points of the body that repeat what elements say (XEP-0428) */
	size_t n_cut;
	size_t max_files, max_mentions;
};

static void read_body(struct reading *r, const struct node *n)
{
	if (!r->out->text.p)
		r->out->text = node_text(r->a, n);
}

static void read_subject(struct reading *r, const struct node *n)
{
	if (!r->out->subject.p)
		r->out->subject = node_text(r->a, n);
}

static void read_reply(struct reading *r, const struct node *n)
{
	r->out->reply_id = node_attr(n, "id");
}

static void read_replace(struct reading *r, const struct node *n)
{
	r->out->edits_id = node_attr(n, "id");
}

static void read_retract(struct reading *r, const struct node *n)
{
	r->out->retracts_id = node_attr(n, "id");
}

static void read_retracted(struct reading *r, const struct node *n)
{
	(void)n;
	r->out->retracted = true;
}

static void read_forward(struct reading *r, const struct node *n)
{
	uint64_t gid;

	if (opaque_parse(node_attr(n, "id"), &gid) == 0)
		r->out->forward_gid = gid;
}

static void read_reactions(struct reading *r, const struct node *n)
{
	size_t max = 0;

	r->out->reacts_id = node_attr(n, "id");
	r->out->n_reactions = 0;
	node_each (c, n)
		max++;
	r->out->reactions = arena_alloc(r->a, (max + 1) * sizeof(struct str));
	node_each (c, n)
		if (node_is(c, A_reaction, NS_REACTIONS))
			r->out->reactions[r->out->n_reactions++] = node_text(r->a, c);
}

/* XEP-0428: only ranges of what we understand are cut off; a fallback without a body element or without a range is about all of it. */
static void read_fallback(struct reading *r, const struct node *n)
{
	static const enum ns known[] = { NS_REPLY, NS_RETRACT, NS_REACTIONS, NS_SIMS, NS_V_NOTIFY };
	enum ns what = ns_of(node_attr(n, "for"));
	const struct node *body = node_child(n, A_body, NS_FALLBACK);
	uint64_t from = 0, to = SIZE_MAX;
	bool ours = false;

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		ours |= known[i] == what;
	if (!ours || r->n_cut == FALLBACKS_MAX)
		return;
	if (!body && node_first(n))
		return; /* of the subject */
	if (body && str_u64(node_attr(body, "start"), SIZE_MAX, &from))
		from = 0;
	if (body && str_u64(node_attr(body, "end"), SIZE_MAX, &to))
		to = SIZE_MAX;
	r->cut[r->n_cut++] = (struct range){ from, to };
}

static size_t count_references(const struct node *message)
{
	size_t n = 0;

	node_each (c, message)
		n += c->ns == NS_REFERENCE;
	return n;
}

static void read_mention(struct reading *r, struct str uri)
{
	struct account_rec rec;
	struct jid j;

	if (!str_starts(uri, STR("xmpp:")))
		return;
	if (jid_parse(r->a, str_of(uri.p + 5, uri.n - 5), &j) || !im.store)
		return;
	if (!r->t)
		r->t = im_read();
	if (account_get(r->t, jid_domain(&j), jid_local(&j), &rec))
		return;
	if (!r->out->mentions)
		r->out->mentions = arena_alloc(r->a, count_references(r->message) * sizeof(uint32_t));
	for (size_t i = 0; i < r->out->n_mentions; i++)
		if (r->out->mentions[i] == rec.id)
			return;
	r->out->mentions[r->out->n_mentions++] = rec.id;
}

static void read_dimensions(struct str s, struct content_file *f)
{
	struct str w;
	uint64_t x, y;

	if (!s.p || !str_split(&s, 'x', &w) || str_u64(w, UINT32_MAX, &x) || str_u64(s, UINT32_MAX, &y))
		return;
	f->width = (uint32_t)x;
	f->height = (uint32_t)y;
}

/* XEP-0385: a file with its first source. */
static void read_sims(struct reading *r, const struct node *sharing)
{
	const struct node *file = node_child(sharing, A_file, NS_JINGLE_FILE),
			  *sources = node_child(sharing, A_sources, NS_SIMS);
	const struct node *source = sources ? node_child(sources, A_reference, NS_REFERENCE) : NULL;
	struct content_file f = { 0 };

	if (!file || !source)
		return;
	f.url = node_attr(source, "uri");
	f.name = node_child_text(r->a, file, A_name, NS_JINGLE_FILE);
	f.type = node_child_text(r->a, file, A_media_type, NS_JINGLE_FILE);
	if (str_u64(node_child_text(r->a, file, A_size, NS_JINGLE_FILE), UINT64_MAX, &f.size))
		f.size = 0;
	if (str_u64(node_child_text(r->a, file, A_id, NS_V_FILE), UINT64_MAX, &f.file_id))
		f.file_id = 0;
	read_dimensions(node_child_text(r->a, file, A_dimensions, NS_JINGLE_FILE), &f);
	if (!r->out->files)
		r->out->files = arena_alloc(r->a, count_references(r->message) * sizeof f);
	r->out->files[r->out->n_files++] = f;
}

static void read_reference(struct reading *r, const struct node *n)
{
	const struct node *sharing = node_child(n, A_media_sharing, NS_SIMS);

	if (sharing)
		read_sims(r, sharing);
	else if (str_eq_c(node_attr(n, "type"), "mention"))
		read_mention(r, node_attr(n, "uri"));
}

static void read_all(struct reading *r, const struct node *n)
{
	(void)n;
	r->out->mentions_all = true;
}

static void read_oob(struct reading *r, const struct node *n)
{
	if (!r->oob_url.p)
		r->oob_url = node_child_text(r->a, n, A_url, NS_OOB);
}

static void read_system(struct reading *r, const struct node *n)
{
	r->out->is_system = true;
	r->out->code = node_attr(n, "code");
}

static void read_params(struct reading *r, const struct node *n)
{
	r->out->params = node_text(r->a, n);
	if (!r->out->params.p)
		r->out->params = STR("");
}

/* ---- notifications ---- */

static bool attr_true(const struct node *n, const char *name)
{
	struct str v = node_attr(n, name);

	return str_eq_c(v, "true") || str_eq_c(v, "1");
}

static void read_button(struct reading *r, const struct node *n, struct notify_rec *out)
{
	if (out->n_buttons == NOTIFY_BUTTONS_MAX)
		return;
	out->buttons[out->n_buttons++] = (struct notify_button){ .title = node_text(r->a, n),
								 .value = node_attr(n, "value"),
								 .accept = attr_true(n, "accept") };
}

static void read_notify(struct reading *r, const struct node *n)
{
	struct notify_rec *out = ARENA_NEW(r->a, struct notify_rec);
	struct str type = node_attr(n, "type");

	out->type = str_eq_c(type, "confirm") ? NOTIFY_CONFIRM : str_eq_c(type, "from") ? NOTIFY_FROM : NOTIFY_SYSTEM;
	if (attr_true(n, "silent"))
		out->flags |= NOTIFY_SILENT;
	if (attr_true(n, "flash"))
		out->flags |= NOTIFY_FLASH;
	if (attr_true(n, "answer"))
		out->flags |= NOTIFY_ANSWER;
	if (datetime_parse(node_attr(n, "expires"), &out->expires_ms))
		out->expires_ms = 0;
	out->module = node_attr(n, "module");
	out->event = node_attr(n, "event");
	out->tag = node_attr(n, "tag");
	out->sub_tag = node_attr(n, "sub-tag");
	out->title = node_child_text(r->a, n, A_title, NS_V_NOTIFY);
	out->text = node_child_text(r->a, n, A_text, NS_V_NOTIFY);
	out->link = node_child_text(r->a, n, A_link, NS_V_NOTIFY);
	out->params = node_child_text(r->a, n, A_params, NS_V_NOTIFY);
	node_each (c, n)
		if (node_is(c, A_button, NS_V_NOTIFY))
			read_button(r, c, out);
	r->out->notify = out;
}

/* ---- the rows, and what is left when all are read ---- */

static const struct {
	enum atom name;
	enum ns ns;
	void (*read)(struct reading *r, const struct node *n);
} rows[] = {
	{ A_body, NS_CLIENT, read_body },
	{ A_subject, NS_CLIENT, read_subject },
	{ A_reply, NS_REPLY, read_reply },
	{ A_replace, NS_CORRECT, read_replace },
	{ A_retract, NS_RETRACT, read_retract },
	{ A_retracted, NS_RETRACT, read_retracted },
	{ A_reactions, NS_REACTIONS, read_reactions },
	{ A_fallback, NS_FALLBACK, read_fallback },
	{ A_reference, NS_REFERENCE, read_reference },
	{ A_all, NS_V_MENTION, read_all },
	{ A_x, NS_OOB, read_oob },
	{ A_forward, NS_V_FORWARD, read_forward },
	{ A_system, NS_V_SYSTEM, read_system },
	{ A_params, NS_V_PARAMS, read_params },
	{ A_notify, NS_V_NOTIFY, read_notify },
};

static void read_element(struct reading *r, const struct node *n)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (node_is(n, rows[i].name, rows[i].ns)) {
			rows[i].read(r, n);
			return;
		}
}

static bool is_cut(const struct reading *r, size_t at)
{
	for (size_t i = 0; i < r->n_cut; i++)
		if (at >= r->cut[i].from && at < r->cut[i].to)
			return true;
	return false;
}

/* Takes the fallback ranges out of the text. Positions are code points (XEP-0426). */
static void cut_fallbacks(struct reading *r)
{
	struct str in = r->out->text;
	char *out = arena_alloc(r->a, in.n + 1);
	size_t n = 0, at = 0, len;
	uint32_t cp;

	if (!r->n_cut || !in.n)
		return;
	for (; (len = str_utf8_next(in, &cp)) != 0; in = str_of(in.p + len, in.n - len), at++) {
		if (is_cut(r, at))
			continue;
		memcpy(out + n, in.p, len);
		n += len;
	}
	r->out->text = n ? str_of(out, n) : STR_NONE;
}

/* XEP-0066 alone: a file when the body is nothing but its address, as clients that upload do. */
static void take_oob(struct reading *r)
{
	if (!r->oob_url.n || r->out->n_files || !str_eq(str_trim(r->out->text), r->oob_url))
		return;
	r->out->files = ARENA_NEW(r->a, struct content_file);
	r->out->files[r->out->n_files++].url = r->oob_url;
	r->out->text = STR_NONE;
}

void content_read_node(struct arena *a, const struct node *message, struct content *out)
{
	struct reading r = { .a = a, .out = out, .message = message };

	*out = (struct content){ 0 };
	node_each (n, message)
		read_element(&r, n);
	cut_fallbacks(&r);
	take_oob(&r);
	if (r.t)
		txn_commit(r.t);
}

static void content_read(struct arena *a, struct str payload, struct content *out)
{
	struct node *message;

	*out = (struct content){ 0 };
	if (!payload.n)
		return;
	struct str doc = arena_cat(a, STR("<message xmlns='jabber:client'>"), payload, STR("</message>"), STR_NONE);
	if (parse_document(a, doc, &stored_limits, &message))
		return;
	content_read_node(a, message, out);
}

void content_init(void)
{
	content_codec = (struct content_codec){ .print = content_print,
						.read = content_read,
						.print_state = content_print_state };
}
