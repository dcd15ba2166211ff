/*
 * What happened, told after its commit: inbox pushes, event streams, web hooks and push are observers. An event of a person is told on his
 * home worker, one of a chat on every worker (im/event.c posts it where it must go). Everything is borrowed for the call.
 */
#pragma once
#include "base/str.h"

enum event_kind {
	EVENT_MESSAGE,          /* a new entry that shows: private, chat or notification */
	EVENT_MESSAGE_CHANGED,  /* corrected, reacted to, retracted: gid is the one that changed */
	EVENT_READ,             /* account's read cursor of conv moved to seq */
	EVENT_DIALOG,           /* account pinned, muted, hid, marked conv */
	EVENT_CHAT,             /* title, description, colour, avatar, permissions, kind; created; removed (gone) */
	EVENT_MEMBER,           /* account joined, left, changed role in conv */
	EVENT_NOTIFY,           /* account's notification gid was read, confirmed, answered, deleted */
	EVENT_KINDS
};
struct event {
	enum event_kind kind;
	uint64_t conv, gid, seq;
	uint32_t account;       /* whom it concerns: a person event is told on his home; 0: everybody in conv (every worker) */
	uint32_t author;        /* who did it; 0: the system */
	uint32_t peer;          /* private dialogs: the other one */
	unsigned flags;         /* MESSAGE_* of the entry */
	struct str payload;     /* EVENT_MESSAGE: the printed children, so that observers that look for something need not read the store; NONE when posted */
	bool gone;
};
typedef void event_fn(const struct event *e);
/* Registers an observer for the kinds (bit mask); main, before the workers start. */
void event_observe(unsigned kinds, event_fn *fn);
/* Runs the observers here and now: for done() functions that run on the right worker(s) anyway. */
void event_tell(const struct event *e);
/* Posts it to the home of e->account (or to every worker when 0). Any worker. */
void event_post(const struct event *e);
