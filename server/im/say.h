/*
 * Saying something without a session: API, portal calls, command line. Prints the content and goes the way of all messages: chat_post(), or message_send() on the
 * author's home worker. Knows no XML and no JSON. Worker threads; the callback on the calling worker, exactly once, never nested.
 */
#pragma once
#include "server/im/content.h"
#include "server/im/principal.h"

enum say_state { SAY_NOTHING, SAY_COMPOSING, SAY_PAUSED };
struct say {
	struct principal by;
	uint32_t author;             /* 0: the system (chats only) */
	uint64_t chat;               /* number of the chat, or 0 and */
	uint32_t to;                 /* the person */
	struct content content;      /* edits_gid, retracts_gid, reacts_gid name messages of the same dialog; is_system: a line that does not count */
	struct str origin_id;        /* a repeated one answers with the first number (row D05) */
	enum say_state state;        /* instead of content: a chat state (XEP-0085), not stored */
};
/* err 0 with the number of the entry (0: nothing was stored), ERR_FORBIDDEN (may_speak_as, a block list, no right in the chat), ERR_NOT_FOUND (nobody of that
 * number, no such chat for the author, no such message), ERR_SYNTAX (nothing to say), storage errors. */
typedef void say_done_fn(void *ctx, int err, uint64_t gid);
void say(const struct say *s, say_done_fn *done, void *ctx);
