/* Content on its way to a dialog. Private messages hop to the author's home worker, where his devices get their copies, and back with the outcome. See say.h. */
#include "server/im/say.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/chat.h"
#include "server/im/conv.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/message.h"
#include "server/im/person.h"

struct saying {
	struct arena *a;
	struct say s;
	struct message m;
	uint64_t conv;
	struct str reactions; /* NUL-separated */
	bool moderates;	      /* withdraws what somebody else said */
	unsigned asker;
	say_done_fn *done;
	void *ctx;
	int err;
	uint64_t gid;
};

static void saying_free(void *data)
{
	struct saying *w = data;

	chunk_unref(w->m.payload);
	chunk_unref(w->m.tombstone);
	arena_free(w->a);
	mem_free(w);
}

static void tell(void *data)
{
	struct saying *w = data;

	w->done(w->ctx, w->err, w->gid);
}

/* Back to who asked, in a later step. */
static void finish(struct saying *w, int err, uint64_t gid)
{
	w->err = err;
	w->gid = gid;
	post_to(w->asker, tell, w, saying_free);
}

/* ---- what it names ---- */

static int check_named(struct saying *w, struct txn *t, uint64_t gid, uint32_t *out_author)
{
	struct message_rec m;

	if (message_get(t, gid, &m) || m.conv != w->conv || (m.flags & MESSAGE_RETRACTED))
		return ERR_NOT_FOUND;
	if (out_author)
		*out_author = m.author;
	return 0;
}

/* Only the author corrects (row I14); what somebody else said in a chat is withdrawn by a moderator, which chat_post() checks. */
static int check_references(struct saying *w, struct txn *t)
{
	const struct content *c = &w->s.content;
	uint32_t author = w->s.author;
	int err = 0;

	if (c->edits_gid && (err = check_named(w, t, c->edits_gid, &author)) != 0)
		return err;
	if (author != w->s.author)
		return ERR_FORBIDDEN;
	if (c->reacts_gid && (err = check_named(w, t, c->reacts_gid, NULL)) != 0)
		return err;
	if (c->reply_gid && (err = check_named(w, t, c->reply_gid, NULL)) != 0)
		return err;
	if (c->retracts_gid && (err = check_named(w, t, c->retracts_gid, &author)) != 0)
		return err;
	w->moderates = author != w->s.author;
	return w->moderates && !w->s.chat ? ERR_FORBIDDEN : 0;
}

static void join_reactions(struct saying *w)
{
	const struct content *c = &w->s.content;
	struct str all = STR("");

	for (size_t i = 0; i < c->n_reactions; i++)
		all = arena_cat(w->a, all, i ? str_of("", 1) : STR(""), c->reactions[i], STR_NONE);
	w->reactions = all;
}

/* ---- as a message ---- */

static unsigned flags_of(const struct content *c)
{
	bool about_other = c->edits_gid || c->retracts_gid || c->reacts_gid;

	if (c->is_system)
		return MESSAGE_STORE | MESSAGE_SYSTEM;
	return about_other ? MESSAGE_STORE : MESSAGE_STORE | MESSAGE_COUNTS;
}

static struct str new_id(struct arena *a)
{
	char id[RANDOM_TOKEN];

	random_token(id);
	return arena_str(a, str_of(id, RANDOM_TOKEN - 1));
}

/* by: bare address of the dialog. */
static void make_message(struct saying *w, struct str by)
{
	const struct content *c = &w->s.content;
	struct message *m = &w->m;

	m->type = w->s.chat ? MESSAGE_GROUPCHAT : MESSAGE_CHAT;
	m->id = w->s.origin_id.n ? w->s.origin_id : new_id(w->a);
	m->origin_id = w->s.origin_id;
	m->lang = c->lang;
	m->copy = true;
	if (w->s.state) {
		m->payload = content_codec.print_state(w->s.state == SAY_COMPOSING);
		m->transient_drop = true;
		return;
	}
	m->flags = flags_of(c);
	m->payload = content_codec.print(c, by);
	m->edits_gid = c->edits_gid;
	m->reacts_gid = c->reacts_gid;
	m->reactions = w->reactions;
	m->replaces_gid = c->retracts_gid;
	if (c->retracts_gid)
		m->tombstone = content_codec.print(&(struct content){ .retracted = true }, by);
}

static void private_done(void *ctx, int err, uint64_t gid)
{
	finish(ctx, err, gid);
}

static void on_home(void *data)
{
	struct saying *w = data;

	message_send(NULL, &w->m, NULL, private_done, w);
}

static int start_private(struct saying *w)
{
	struct jid from = person_jid(w->a, w->s.author), to = person_jid(w->a, w->s.to);

	if (!w->s.author || (w->s.content.is_system && !principal_has(&w->s.by, SCOPE_SYSTEM)))
		return ERR_FORBIDDEN;
	if (jid_is_none(&from) || jid_is_none(&to))
		return ERR_NOT_FOUND;
	w->m.from = from;
	w->m.to = to;
	w->m.author = w->s.author;
	make_message(w, jid_bare(&to));
	post_to(person_home(w->s.author), on_home, w, NULL);
	return 0;
}

static void chat_said(void *ctx, int err, uint64_t number, uint64_t gid)
{
	struct saying *w = ctx;

	(void)number;
	w->done(w->ctx, err, gid);
	saying_free(w);
}

static int start_chat(struct saying *w)
{
	struct chat_message cm = {
		.by = w->s.by,
		.number = w->s.chat,
		.author = w->s.author,
		.mentions = w->s.content.mentions,
		.n_mentions = w->s.content.n_mentions,
		.mentions_all = w->s.content.mentions_all,
		.edits_gid = w->s.content.edits_gid,
		.reacts_gid = w->s.content.reacts_gid,
		.reactions = w->reactions,
		.moderates = w->moderates,
	};

	if (!cm.by.account)
		cm.by.account = w->s.author; /* a service speaks with the rights of the person in the chat */
	make_message(w,
		     arena_printf(w->a, "chat%llu@chats.%.*s", (unsigned long long)cm.number, STR_ARG(cm.by.domain)));
	cm.m = w->m;
	chat_post(&cm, NULL, chat_said, w);
	return 0;
}

static bool says_nothing(const struct say *s)
{
	const struct content *c = &s->content;

	return !s->state && !c->text.n && !c->n_files && !c->params.p && !c->retracts_gid && !c->reacts_gid &&
	       !c->forward_gid;
}

static int start(struct saying *w)
{
	int err = says_nothing(&w->s) ? ERR_SYNTAX : may_speak_as(&w->s.by, w->s.author);

	if (err)
		return err;
	w->conv = w->s.chat ? conv_chat(w->s.chat) : conv_private(w->s.author, w->s.to);
	struct txn *t = im_read();
	err = check_references(w, t);
	txn_commit(t);
	if (err)
		return err;
	join_reactions(w);
	return w->s.chat ? start_chat(w) : start_private(w);
}

void say(const struct say *s, say_done_fn *done, void *ctx)
{
	struct saying *w = NEW(struct saying);

	w->a = arena_new(1024);
	w->s = *s;
	w->s.by.domain = arena_str(w->a, s->by.domain);
	w->s.by.name = arena_str(w->a, s->by.name);
	w->s.origin_id = arena_str(w->a, s->origin_id);
	w->s.content.lang = arena_str(w->a, s->content.lang);
	w->done = done;
	w->ctx = ctx;
	w->asker = (unsigned)threads_self();
	int err = start(w);
	if (err)
		finish(w, err, 0);
}
