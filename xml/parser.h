/*
 * Bytes to stanzas: expat behind our own counters (rows X01-X16). A scanner sees every byte first, as it arrives: it
 * counts bytes of the stanza, of the token, depth, elements, attributes and namespace declarations and refuses DTD, PI,
 * comments and UTF-16. Expat gets whole stanzas only, one call each, so no expat version can hold a finished stanza
 * back (X07) or re-scan a growing token (X06); errors inside a stanza that only expat sees (unknown entity, bad UTF-8,
 * mismatched tags) are reported when its last byte is there. An unfinished stanza waits as raw bytes, at most
 * limits.stanza_bytes of them. Expat objects belong to the thread, not to streams: an idle stream owns nothing but
 * struct parser, below 300 bytes. White space between stanzas (keep-alive) is skipped; other text there, also a byte
 * order mark, is not-well-formed; an XML declaration behind anything but white space is restricted-xml.
 * One thread at a time per parser; a parser may move with its connection at any time outside of parser_feed.
 */
#pragma once
#include "xml/node.h"

/* All are the largest allowed values. A stanza itself has depth 1; elements counts what is inside it. */
struct parser_limits {
	size_t stanza_bytes; /* one child of the stream, or its header */
	size_t token_bytes;  /* one tag, CDATA section or XML declaration */
	unsigned depth, elements;
	unsigned attributes, namespaces; /* of one element; declarations are not counted as attributes */
};
#define PARSER_NS_BYTES 1024 /* of one namespace name that is used, references resolved */
struct parser_events {
	/* Start tag of the stream, whatever its name and namespace: attributes only, prefixes resolved. xmlns
	 * declarations: header->ns and parser_content_ns(). In the arena given to parser_feed. */
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
/* True between stanzas with nothing buffered. */
bool parser_is_idle(const struct parser *p);
/* The stream error condition (an atom-like text such as "policy-violation") and an English text saying which limit. */
const char *parser_error_condition(int error);
const char *parser_error_text(const struct parser *p);

/* One whole document (WebSocket frame, BOSH body, import): the same counters and refusals. 0 or a parser_error. */
int parse_document(struct arena *a, struct str bytes, const struct parser_limits *limits, struct node **out_root);
/* Frees this thread's pooled parsers now; done at thread end by itself. */
void parser_pool_clear(void);
/* Calls into expat made by this thread so far: what a test can count instead of time (row X06). */
uint64_t parser_expat_calls(void);
