/*
 * A scanner that finds where stanzas begin and end in a stream of XML, and no more: no entities, no namespaces, no checks.
 * Enough for a load client that talks to servers printing sane XML, and some tens of times faster than a parser.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum scan_found { SCAN_MORE, SCAN_OPEN, SCAN_STANZA, SCAN_CLOSE };

struct scan {
	size_t pos;   /* bytes looked at so far, from the front of the buffer */
	size_t start; /* where the current child of the stream began */
	int depth;    /* 0 outside the stream, 1 between stanzas */
	bool in_tag;
	char quote;   /* of the attribute value we are in, or 0 */
	size_t tag;   /* where the current tag began */
};

void scan_reset(struct scan *s);
/* Looks on in buf[0..n); what was found is buf[*out_start, *out_start + *out_n). */
enum scan_found scan_next(struct scan *s, const char *buf, size_t n, size_t *out_start, size_t *out_n);
/* The first n bytes of the buffer were dropped. */
void scan_shift(struct scan *s, size_t n);

/* Name of the stanza's element is name. */
bool stanza_is(const char *p, size_t n, const char *name);
/* The bytes contain the text. */
bool stanza_has(const char *p, size_t n, const char *text);
/* Value of an attribute of the outermost element, quotes removed; NULL when absent. */
const char *stanza_attr(const char *p, size_t n, const char *name, size_t *out_n);
/* What stands between the first occurrence of `after` and the next `until`; NULL when absent. */
const char *stanza_between(const char *p, size_t n, const char *after, const char *until, size_t *out_n);
