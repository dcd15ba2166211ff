/*
 * Files and the messages that brought them: a stored message that names uploads of its author is tied to them after its commit, and its retraction takes them
 * along (D20). Observer of im/event.h; the changes are operations of the writer.
 */
#include "base/arena.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/im/content.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/files.h"
#include "server/im/im.h"
#include "server/net/threads.h"
#include <string.h>

struct tie_op {
	struct write_op op;
	uint64_t gid;
	uint32_t author;
	size_t n;
	char tokens[FILES_PER_MESSAGE][RANDOM_TOKEN];
};

static int apply_tie(struct txn *t, struct write_op *op)
{
	struct tie_op *o = (struct tie_op *)op;

	for (size_t i = 0; i < o->n; i++) {
		struct file_rec r;
		/* Only one's own: quoting another's file does not take it along. */
		if (file_by_token(t, str_c(o->tokens[i]), &r) == 0 && (r.owner == o->author || !r.owner))
			file_tie(t, o->gid, r.number);
	}
	return txn_error(t);
}

static void tie_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
}

static void tie_free(struct write_op *op)
{
	mem_free(op);
}

/* The token in ".../upload/TOKEN/NAME". */
static bool token_of_url(struct str url, char out[RANDOM_TOKEN])
{
	const char *at = memmem(url.p, url.n, "/upload/", 8);

	if (!at || (size_t)(url.p + url.n - at) < 8 + RANDOM_TOKEN)
		return false;
	memcpy(out, at + 8, RANDOM_TOKEN - 1);
	out[RANDOM_TOKEN - 1] = '\0';
	return at[8 + RANDOM_TOKEN - 1] == '/' && file_token_valid(str_c(out));
}

static bool names_upload(struct str payload)
{
	return memmem(payload.p, payload.n, "/upload/", 8) != NULL;
}

static void tie(const struct event *e)
{
	if (e->payload.p && !names_upload(e->payload))
		return; /* nearly all of them */
	struct arena *a = arena_new(4096);
	struct txn *t = im_read();
	struct message_rec m;
	struct content c;
	struct tie_op *o = NULL;

	if (message_get(t, e->gid, &m) == 0 && names_upload(m.payload)) {
		o = NEW(struct tie_op);
		content_of(a, t, &m, &c);
		for (size_t i = 0; i < c.n_files && o->n < FILES_PER_MESSAGE; i++)
			if (token_of_url(c.files[i].url, o->tokens[o->n]))
				o->n++;
	}
	txn_commit(t);
	arena_free(a);
	if (!o)
		return;
	o->op = (struct write_op){ .apply = apply_tie, .done = tie_done, .free = tie_free };
	o->gid = e->gid;
	o->author = e->author;
	im_write(&o->op);
}

static void untie(const struct event *e)
{
	struct txn *t = im_read();
	struct message_rec m;
	uint64_t one;
	bool gone =
		message_get(t, e->gid, &m) == 0 && (m.flags & MESSAGE_RETRACTED) && file_of_message(t, e->gid, &one, 1);

	txn_commit(t);
	if (!gone)
		return;
	file_delete_message(e->gid);
}

/* An event of a chat is told on every worker, one of a private dialog at both ends: each is looked at once. */
static void on_event(const struct event *e)
{
	if (conv_kind(e->conv) == CONV_CHAT ? threads_self() != 0 : e->account != e->author)
		return;
	if (e->kind == EVENT_MESSAGE)
		tie(e);
	else
		untie(e);
}

void files_observe_messages(void)
{
	event_observe(1u << EVENT_MESSAGE | 1u << EVENT_MESSAGE_CHANGED, on_event);
}
