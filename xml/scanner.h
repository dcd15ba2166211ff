/*
 * The counter in front of expat: walks the bytes of one element or header at a time, knows just enough XML to find
 * its end, and enforces every limit and refusal of parser.h while bytes arrive (rows X01-X05, X14, X15). It never
 * looks back: each byte is seen once, whatever the segments. What it lets through is still parsed by expat; what the
 * two would understand differently fails there. Part of parser.c; one thread.
 */
#pragma once
#include "xml/parser.h"

enum scan_result {
	SCAN_MORE,    /* all bytes seen, nothing complete */
	SCAN_DECL,    /* an XML declaration ended */
	SCAN_OPEN,    /* the start tag of the stream ended */
	SCAN_ELEMENT, /* a child of the stream (or the root of a document) ended */
	SCAN_CLOSE,   /* an end tag at stream level ended */
	/* otherwise a negative parser_error */
};

struct scanner {
	uint8_t state;
	uint8_t quote;      /* of the attribute value we are in */
	uint8_t match;      /* how much of "xmlns", "CDATA[", "xml" has matched */
	bool is_ns;         /* the present attribute declares a namespace */
	bool opened;        /* the stream header is over (documents: from the start) */
	bool begun;         /* an XML declaration is no longer allowed */
	bool empty;         /* SCAN_OPEN: it was <stream:stream/> */
	bool in_token;
	uint32_t depth, elements, attributes, namespaces;
	uint32_t ns_bytes;  /* of the namespace URI we are in */
	size_t token_n, unit_n; /* bytes of the present token, of the present element or header */
};

/* document: the first element is an ordinary one and ends with SCAN_ELEMENT. */
void scanner_init(struct scanner *s, bool document);
/* Walks up to n bytes, beginning at '<' or where the last SCAN_MORE ended. *out_used is set for results other than
 * errors; after a result other than SCAN_MORE the counters are ready for the next unit. *out_why: English reason of
 * an error. */
int scanner_run(struct scanner *s, const struct parser_limits *limits, const char *data, size_t n, size_t *out_used,
		const char **out_why);
/* True when nothing has been begun. */
static inline bool scanner_rests(const struct scanner *s) { return s->unit_n == 0; }
