/*
 * Bytes to stanzas: expat behind our own counters (rows X01-X16). A scanner sees every byte first: it counts bytes of the
 * stanza, of the token, depth, elements, attributes and namespace declarations, refuses DTD, PI, comments, UTF-16 and feeds expat
 * whole tokens only, so that no expat version can hold a finished stanza back (X07) or re-scan a growing token (X06).
 * Expat objects come from a per-thread pool and go back to it whenever the stream rests between stanzas: an idle stream
 * owns no parser. Pooled parsers are replaced after a bounded amount of input. One thread at a time per parser; a parser may
 * move with its connection while it rests (parser_is_idle).
 */
#pragma once
#include "xml/node.h"

struct parser_limits {
	size_t stanza_bytes; /* one child of the stream */
	size_t token_bytes;  /* one unfinished tag, reference or CDATA section */
	unsigned depth, elements, attributes, namespaces;
};
struct parser_events {
	/* Start tag of the stream (or BOSH body); attributes only, with stream:… resolved. xmlns declarations: header->ns and
	 * parser_content_ns(). The node lives until the callback returns. */
	void (*on_open)(void *ctx, struct node *header);
	/* One complete child of the stream, in the arena given to parser_feed. */
	void (*on_stanza)(void *ctx, struct node *stanza);
	/* End tag of the stream. */
	void (*on_close)(void *ctx);
};
/* Why feeding failed; parser_error_condition() gives the RFC 6120 4.9.3 stream error. */
enum parser_error {
	PARSER_OK = 0,
	PARSER_NOT_WELL_FORMED = -100,
	PARSER_RESTRICTED = -101,   /* DTD, PI, comment: restricted-xml */
	PARSER_ENCODING = -102,     /* UTF-16 or a declared other encoding: unsupported-encoding */
	PARSER_POLICY = -103,       /* a limit: policy-violation */
	PARSER_BAD_NAMESPACE = -104 /* bad-namespace-prefix */
};

struct parser;

/* Limits are copied and may be changed at any time with parser_set_limits (after login). */
struct parser *parser_new(const struct parser_events *ev, void *ctx, const struct parser_limits *limits);
void parser_free(struct parser *p);
void parser_set_limits(struct parser *p, const struct parser_limits *limits);
/* Feeds bytes; stanzas are built in arena (the caller resets it between stanzas inside on_stanza's return, or after the
 * feed). Returns PARSER_OK or a parser_error, which is final. *out_used < n only after parser_stop. */
int parser_feed(struct parser *p, struct arena *a, const char *data, size_t n, size_t *out_used);
/* From inside a callback: stop after this stanza; the rest of the bytes is left to the caller (STARTTLS, SASL restart).
 * The parser accepts no more bytes; free it after parser_feed returned, never inside a callback (X08). */
void parser_stop(struct parser *p);
/* Default namespace declared by the stream header for its content ("jabber:client" expected). */
struct str parser_content_ns(const struct parser *p);
/* True between stanzas with nothing buffered: holds no expat object, may change threads. */
bool parser_is_idle(const struct parser *p);
/* The stream error condition (an atom-like text such as "policy-violation") and an English text saying which limit. */
const char *parser_error_condition(int error);
const char *parser_error_text(const struct parser *p);

/* One whole document (WebSocket frame, BOSH body, import): the same counters and refusals. 0 or a parser_error. */
int parse_document(struct arena *a, struct str bytes, const struct parser_limits *limits, struct node **out_root);
/* Frees this thread's pooled parsers (thread end). */
void parser_pool_clear(void);
