/*
 * /api/v1/dialogs/D/messages: pages by opaque cursors, say, correct, withdraw, react; who has read; typing. D is a person's number or login, or chatN, seen by the one
 * who speaks or reads. A service speaks as a person ("from", scope send-as) or as the system ("system": true). Rules: im/say.h, im/archive.h. Worker of the connection.
 */
#include "bosh/api.h"
#include "bosh/api_json.h"
#include "base/err.h"
#include "server/im/archive.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/im/org.h"
#include "server/im/person.h"
#include "server/im/say.h"
#include "server/net/limits.h"

static const struct err_words in_words[] = {
	{ ERR_NOT_FOUND, "There is no such dialog or message, or it is closed to you" },
	{ ERR_FORBIDDEN, "Not allowed: the token may not speak as that author, or the author may not do this here" },
	{ ERR_SYNTAX, "There is nothing to say: give text or params" },
	{ 0, NULL },
};

static void answer_failure(struct http_request *rq, int err)
{
	answer_err_words(rq, err, in_words);
}

/* ---- pages ---- */

struct page {
	struct http_request *rq;
	struct txn *t;
	uint32_t me;
	json_t *list;
	struct archive_query q;
	size_t n, max;
	uint64_t first, last;
};

static void add_message(void *ctx, const struct message_rec *m)
{
	struct page *p = ctx;

	if (!p->q.backwards && p->n == p->max)
		return;
	if (!p->first || m->gid < p->first)
		p->first = m->gid;
	if (m->gid > p->last)
		p->last = m->gid;
	if (!api_json_shows(m))
		return;
	json_array_append_new(p->list, api_json_message(p->rq->a, p->t, p->me, m));
	p->n++;
}

/* Corrections and reactions are entries too: reads on until the page is full, a few steps at most. Backwards, each step's messages go in front. */
static int fill(struct page *p, bool *complete)
{
	struct archive_page out = { .complete = false };
	int err = 0;

	for (int step = 0; step < 8 && !out.complete && p->n < p->max && !err; step++) {
		json_t *before = p->list;
		p->list = json_array();
		p->q.max = p->max - p->n;
		err = archive_read(p->t, &p->q, add_message, p, &out);
		if (p->q.backwards) {
			json_array_extend(p->list, before);
			p->q.before_gid = p->first;
		} else {
			json_array_extend(before, p->list);
			json_t *step_list = p->list;
			p->list = before;
			before = step_list;
			p->q.after_gid = p->last;
		}
		json_decref(before);
	}
	*complete = out.complete;
	return err;
}

/* The query of the dialog as `me` reads it. */
static void set_dialog(struct page *p, uint64_t conv)
{
	p->q.reader = p->q.owner = p->me;
	if (conv_kind(conv) == CONV_CHAT)
		p->q.chat = conv_chat_number(conv);
	else
		p->q.with = person_jid(p->rq->a, conv_peer(conv, p->me));
}

static bool read_cursors(struct http_request *rq, struct page *p)
{
	struct str before = http_query(rq, "before"), after = http_query(rq, "after");

	p->q.before_gid = api_gid_parse(before);
	p->q.after_gid = api_gid_parse(after);
	p->q.backwards = !after.p;
	if ((!before.p || p->q.before_gid) && (!after.p || p->q.after_gid))
		return true;
	answer_error(rq, 400, "cursor", "before and after are ids of messages, or what next and previous said");
	return false;
}

static void message_list(struct http_request *rq)
{
	struct page p = { .rq = rq, .me = api_me(rq) };
	uint64_t conv;
	bool complete;

	if (!p.me || !api_dialog_param(rq, p.me, &conv) || !read_cursors(rq, &p))
		return;
	if (conv_kind(conv) == CONV_NOTIFY) {
		answer_error(rq, 400, "dialog", "Notifications are read at /api/v1/notifications");
		return;
	}
	p.max = api_limit(rq, 50, 200);
	set_dialog(&p, conv);
	p.list = json_array();
	p.t = im_read();
	int err = fill(&p, &complete);
	txn_commit(p.t);
	if (err) {
		json_decref(p.list);
		answer_failure(rq, err);
		return;
	}
	bool back = p.q.backwards;
	answer_value(rq, 200,
		     json_pack("{s:o, s:o, s:o}", "messages", p.list, "previous",
			       api_gid(back && complete ? 0 : p.first), "next",
			       api_gid(back || complete ? 0 : p.last)));
}

/* The message of the path's {id}, if `me` may see it and it is in that dialog. False after answering. */
static bool message_param(struct http_request *rq, struct txn *t, uint32_t me, uint64_t conv, struct message_rec *m)
{
	uint64_t gid = api_gid_parse(rq->param[1]);
	int err = gid ? message_get(t, gid, m) : ERR_NOT_FOUND;

	if (!err)
		err = m->conv != conv ? ERR_NOT_FOUND : archive_may_see(t, me, m);
	if (err)
		answer_failure(rq, err == ERR_FORBIDDEN ? ERR_NOT_FOUND : err);
	return !err;
}

static void message_show(struct http_request *rq)
{
	uint32_t me = api_me(rq);
	uint64_t conv;
	struct message_rec m;

	if (!me || !api_dialog_param(rq, me, &conv))
		return;
	struct txn *t = im_read();
	json_t *o = message_param(rq, t, me, conv, &m) ? api_json_message(rq->a, t, me, &m) : NULL;
	txn_commit(t);
	if (o)
		answer_value(rq, 200, o);
}

static void readers(struct http_request *rq)
{
	uint32_t me = api_me(rq), *v;
	uint64_t conv;
	struct message_rec m;

	if (!me || !api_dialog_param(rq, me, &conv))
		return;
	v = arena_alloc(rq->a, (limits()->readers + 1) * sizeof *v);
	json_t *list = json_array();
	struct txn *t = im_read();
	bool found = message_param(rq, t, me, conv, &m);
	size_t n = found ? inbox_readers(t, conv, m.seq, v, limits()->readers) : 0;
	txn_commit(t);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, api_person(rq->a, v[i]));
	if (found)
		answer_value(rq, 200, json_pack("{s:o}", "readers", list));
	else
		json_decref(list);
}

/* ---- speaking ---- */

struct speaking {
	struct http_request *rq;
	uint32_t me;	 /* whose view the answer has */
	unsigned status; /* 204: nothing to show */
	uint64_t shown;	 /* the message of the answer, 0: the new one */
};

static void spoken(void *ctx, int err, uint64_t gid)
{
	struct speaking *s = ctx;

	if (err) {
		answer_failure(s->rq, err);
		return;
	}
	if (s->status == 204) {
		http_answer(s->rq, 204, NULL, STR_NONE, NULL);
		return;
	}
	struct txn *t = im_read();
	json_t *o = api_json_message_of(s->rq->a, t, s->me, s->shown ? s->shown : gid);
	txn_commit(t);
	answer_value(s->rq, s->status, o);
}

/* Who speaks, and in which dialog of his. False after answering. */
static bool read_speaker(struct http_request *rq, const json_t *in, struct say *s, uint64_t *conv)
{
	struct str from = api_text(rq, in, "from");
	bool system = api_flag(in, "system", false);
	uint32_t view;

	s->by = *rq->who;
	s->author = from.n ? api_account(rq, rq->who->domain, from) : rq->who->account;
	if (from.n && !s->author) {
		answer_error(rq, 400, "people", "from names nobody: give a number or login");
		return false;
	}
	if (!s->author && !system) {
		answer_error(rq, 400, "author", "Say who speaks: from with a number or login, or \"system\": true");
		return false;
	}
	view = s->author;
	if (system)
		s->author = 0;
	if (!api_dialog_param(rq, view, conv))
		return false;
	s->content.is_system = system;
	if (conv_kind(*conv) == CONV_CHAT)
		s->chat = conv_chat_number(*conv);
	else if (conv_kind(*conv) == CONV_PRIVATE && !system)
		s->to = conv_peer(*conv, view);
	if (s->chat || s->to)
		return true;
	answer_error(rq, 400, "dialog",
		     "Speak to a person or to a chat; the system speaks in chats, and to people by notifications");
	return false;
}

/* "uuid" of the body, or the header Idempotency-Key. */
static bool read_uuid(struct http_request *rq, const json_t *in, struct str *out)
{
	struct str key = http_header_get(rq, "idempotency-key");

	*out = api_text(rq, in, "uuid");
	if (!out->n && key.p)
		*out = key;
	return api_check_text(rq, "uuid", *out, 128, false);
}

/* JSON of the portal's own, kept as text of ASCII characters. */
static struct str params_text(struct http_request *rq, const json_t *in)
{
	json_t *p = json_object_get(in, "params");
	char *text = p && !json_is_null(p) ? json_dumps(p, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	struct str s = text ? arena_str(rq->a, str_c(text)) : STR_NONE;

	free(text);
	return s;
}

static bool read_reference(struct http_request *rq, const json_t *in, const char *name, uint64_t *out)
{
	struct str id = api_text(rq, in, name);

	*out = api_gid_parse(id);
	if (!id.n || *out)
		return true;
	answer_error(rq, 400, "id", arena_printf(rq->a, "%s is the id of a message", name).p);
	return false;
}

static bool read_content(struct http_request *rq, const json_t *in, struct content *c)
{
	c->text = api_text(rq, in, "text");
	c->params = params_text(rq, in);
	c->mentions_all = api_flag(in, "mentions_all", false);
	return api_check_text(rq, "text", c->text, limits()->message_text_bytes, false) &&
	       api_check_text(rq, "params", c->params, limits()->message_text_bytes, false) &&
	       read_reference(rq, in, "reply_to", &c->reply_gid) &&
	       api_people(rq, json_object_get(in, "mentions"), "mentions", limits()->mentions, &c->mentions,
			  &c->n_mentions);
}

/* The dialog in whose name a message may be forwarded must be readable by the author. */
static bool read_forward(struct http_request *rq, const json_t *in, struct say *s)
{
	struct content *c = &s->content, old;
	struct message_rec m;

	if (!read_reference(rq, in, "forward_of", &c->forward_gid))
		return false;
	if (!c->forward_gid)
		return true;
	struct txn *t = im_read();
	int err = message_get(t, c->forward_gid, &m);
	if (!err)
		err = archive_may_see(t, s->author, &m);
	if (!err)
		content_of(rq->a, t, &m, &old);
	struct str text = err ? STR_NONE : arena_str(rq->a, old.text);
	txn_commit(t);
	if (!err && !c->text.n)
		c->text = text;
	if (err)
		answer_failure(rq, ERR_NOT_FOUND);
	return !err;
}

static struct speaking *speaking_new(struct http_request *rq, const struct say *s, unsigned status)
{
	struct speaking *w = ARENA_NEW(rq->a, struct speaking);

	*w = (struct speaking){ .rq = rq, .me = s->author ? s->author : rq->who->account, .status = status };
	return w;
}

static void message_say(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct say s = { .author = 0 };
	uint64_t conv;

	if (!in || !read_speaker(rq, in, &s, &conv) || !read_uuid(rq, in, &s.origin_id) ||
	    !read_content(rq, in, &s.content) || !read_forward(rq, in, &s))
		return;
	say(&s, spoken, speaking_new(rq, &s, 201));
}

/* ---- about a message that is there ---- */

/* The body, who speaks, and the message of the path. 0 after answering. */
static uint64_t read_about(struct http_request *rq, json_t **in, struct say *s)
{
	uint64_t conv, gid = api_gid_parse(rq->param[1]);

	if (!(*in = api_body(rq)) || !read_speaker(rq, *in, s, &conv))
		return 0;
	if (!gid)
		answer_failure(rq, ERR_NOT_FOUND);
	return gid;
}

static void message_edit(struct http_request *rq)
{
	json_t *in;
	struct say s = { .author = 0 };
	uint64_t gid = read_about(rq, &in, &s);

	if (!gid || !read_content(rq, in, &s.content))
		return;
	if (!s.content.text.n && !s.content.params.p) {
		answer_failure(rq, ERR_SYNTAX);
		return;
	}
	s.content.edits_gid = gid;
	struct speaking *w = speaking_new(rq, &s, 200);
	w->shown = gid;
	say(&s, spoken, w);
}

static void message_withdraw(struct http_request *rq)
{
	json_t *in;
	struct say s = { .author = 0 };

	s.content.retracts_gid = read_about(rq, &in, &s);
	if (s.content.retracts_gid)
		say(&s, spoken, speaking_new(rq, &s, 204));
}

static bool read_reactions(struct http_request *rq, const json_t *in, struct content *c)
{
	json_t *list = json_object_get(in, "reactions");
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > 16) {
		answer_error(rq, 400, "reactions",
			     "reactions is a list of at most 16 emoji; an empty one takes them back");
		return false;
	}
	c->reactions = arena_alloc(rq->a, (n + 1) * sizeof *c->reactions);
	c->n_reactions = n;
	for (size_t i = 0; i < n; i++) {
		json_t *v = json_array_get(list, i);
		c->reactions[i] = json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
		if (!api_check_text(rq, "reactions", c->reactions[i], 64, true))
			return false;
	}
	return true;
}

static void message_react(struct http_request *rq)
{
	json_t *in;
	struct say s = { .author = 0 };
	uint64_t gid = read_about(rq, &in, &s);

	if (!gid || !read_reactions(rq, in, &s.content))
		return;
	s.content.reacts_gid = gid;
	struct speaking *w = speaking_new(rq, &s, 200);
	w->shown = gid;
	say(&s, spoken, w);
}

static void typing(struct http_request *rq)
{
	json_t *in = api_body(rq);
	struct say s = { .author = 0 };
	uint64_t conv;

	if (!in || !read_speaker(rq, in, &s, &conv))
		return;
	struct str state = api_text(rq, in, "state");
	s.state = str_eq_c(state, "paused") ? SAY_PAUSED : SAY_COMPOSING;
	if (state.p && s.state == SAY_COMPOSING && !str_eq_c(state, "composing"))
		answer_error(rq, 400, "state", "state is composing or paused");
	else
		say(&s, spoken, speaking_new(rq, &s, 204));
}

const struct route message_routes[] = {
	{ "GET", "/api/v1/dialogs/{dialog}/messages", ROUTE_TOKEN, message_list },
	{ "POST", "/api/v1/dialogs/{dialog}/messages", ROUTE_TOKEN, message_say },
	{ "GET", "/api/v1/dialogs/{dialog}/messages/{id}", ROUTE_TOKEN, message_show },
	{ "PATCH", "/api/v1/dialogs/{dialog}/messages/{id}", ROUTE_TOKEN, message_edit },
	{ "DELETE", "/api/v1/dialogs/{dialog}/messages/{id}", ROUTE_TOKEN, message_withdraw },
	{ "PUT", "/api/v1/dialogs/{dialog}/messages/{id}/reactions", ROUTE_TOKEN, message_react },
	{ "GET", "/api/v1/dialogs/{dialog}/messages/{id}/readers", ROUTE_TOKEN, readers },
	{ "POST", "/api/v1/dialogs/{dialog}/typing", ROUTE_TOKEN, typing },
	{ .path = NULL },
};
