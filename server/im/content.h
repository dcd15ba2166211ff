/*
 * What a message says, without XML: for the API, the inbox, search and notifications. The dialect prints it into a payload and reads it back
 * (server/xmpp/content.c registers both; they are inverse). Slices belong to the arena. Any thread.
 */
#pragma once
#include "base/arena.h"
#include "base/chunk.h"
#include "storage/tab_message.h"

struct content_file {
	struct str url, name, type; /* XEP-0066/0385 and the API */
	uint64_t size, file_id;     /* file_id 0: not one of ours. Read from a payload it is the sender's claim: check it before use */
	uint32_t width, height;     /* images; 0: unknown */
};
struct notify_rec;
struct content {
	struct str text;            /* the body without fallbacks (XEP-0428) */
	struct str lang;            /* of the stanza: content_of() sets it, print leaves it to the record */
	struct str subject;         /* a chat's title or topic changed */
	uint64_t reply_gid;         /* XEP-0461; 0: none */
	uint64_t forward_gid;
	uint64_t edits_gid;         /* XEP-0308: this replaces that one; 0: no */
	uint64_t retracts_gid;      /* XEP-0424, 0425 */
	uint64_t reacts_gid;        /* XEP-0444: reactions is the new set of the author */
	struct str reply_id, edits_id, retracts_id, reacts_id; /* the same as payloads name them: read sets these, content_of() the numbers;
	                                                          print takes edits_id as it is when there is no number */
	struct str *reactions;      size_t n_reactions;
	uint32_t *mentions;         size_t n_mentions;     /* accounts (XEP-0372) */
	bool mentions_all;
	struct content_file *files; size_t n_files;
	struct str code;            /* of a system line: "join", "leave", "title" ... */
	struct str params;          /* what portals attach (ATTACH, KEYBOARD ...): JSON text, opaque here; p == NULL: none */
	const struct notify_rec *notify; /* urn:vestnik:notify:0: what was notified, without its state; NULL: none */
	bool is_system, retracted;
};
/* The printer also sets XEP-0428 fallbacks and the id references of the conversation (by: bare JID of chat or person). Text must be XML characters
 * (str_xml_valid). A new reference. */
typedef struct chunk *content_print_fn(const struct content *c, struct str by);
/* Reads a stored payload; what is not understood is left out, a damaged payload says nothing. */
typedef void content_read_fn(struct arena *a, struct str payload, struct content *out);
/* A chat state (XEP-0085): composing or paused. A new reference. */
typedef struct chunk *content_state_fn(bool composing);
struct content_codec { content_print_fn *print; content_read_fn *read; content_state_fn *print_state; };
/* Set once by the dialect before the workers start. */
extern struct content_codec content_codec;

/* What a stored message says: its payload, with language and tombstone of the record and the messages of its conversation that it names. */
void content_of(struct arena *a, struct txn *t, const struct message_rec *m, struct content *out);
/* The message of the conversation that an id names: a stanza-id of ours, else an origin id or message id. before: only older ones, 0: any; author 0:
 * anybody. Looks back at most limits()->look_back entries. 0 when there is none. */
uint64_t content_find(struct txn *t, uint64_t conv, uint32_t author, struct str id, uint64_t before);
