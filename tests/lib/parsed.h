/*
 * What a parser reported, as text, for the tests and fuzzers of xml/: one line per event ("open <...>", "stanza
 * <...>", "close", "error CONDITION"). Two parses are equal when their texts are. One thread; free with
 * parsed_clear().
 */
#pragma once
#include "xml/parser.h"
#include "xml/print.h"

struct parsed {
	struct parser *parser;
	struct arena *arena;
	struct buf log;
	unsigned opened, stanzas, closed;
	unsigned stop_after; /* parser_stop at the n-th stanza, 0 = never; */
	bool stop_at_open;
	int error;
};

#define PARSED_LIMITS                                                                                              \
	((struct parser_limits){ .stanza_bytes = 262144,                                                           \
				 .token_bytes = 16384,                                                             \
				 .depth = 64,                                                                      \
				 .elements = 4000,                                                                 \
				 .attributes = 64,                                                                 \
				 .namespaces = 16 })
#define PARSED_HEADER                                                                                              \
	"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org'"    \
	" version='1.0'>"

static inline void parsed_on_open(void *ctx, struct node *n)
{
	struct parsed *p = ctx;
	p->opened++;
	buf_lit(&p->log, "open ");
	print_node(&p->log, n, STR(""));
	buf_byte(&p->log, '\n');
	if (p->stop_at_open)
		parser_stop(p->parser);
}

static inline void parsed_on_stanza(void *ctx, struct node *n)
{
	struct parsed *p = ctx;
	p->stanzas++;
	buf_lit(&p->log, "stanza ");
	print_node(&p->log, n, STR("jabber:client"));
	buf_byte(&p->log, '\n');
	if (p->stanzas == p->stop_after)
		parser_stop(p->parser);
	arena_reset(p->arena);
}

static inline void parsed_on_close(void *ctx)
{
	struct parsed *p = ctx;
	p->closed++;
	buf_lit(&p->log, "close\n");
}

static inline void parsed_init(struct parsed *p, struct parser_limits limits)
{
	static const struct parser_events events = { parsed_on_open, parsed_on_stanza, parsed_on_close };
	*p = (struct parsed){ .arena = arena_new(8192) };
	buf_init(&p->log, 64u << 20);
	p->parser = parser_new(&events, p, &limits);
}

/* Feeds and notes an error once. Returns the error of this feed; *out_used may be NULL. */
static inline int parsed_feed(struct parsed *p, struct str bytes, size_t *out_used)
{
	int err = parser_feed(p->parser, p->arena, bytes.p, bytes.n, out_used);
	if (err && !p->error) {
		buf_printf(&p->log, "error %s\n", parser_error_condition(err));
		p->error = err;
	}
	return err;
}

static inline void parsed_clear(struct parsed *p)
{
	parser_free(p->parser);
	arena_free(p->arena);
	buf_clear(&p->log);
}
