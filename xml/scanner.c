/*
 * Scanner: see scanner.h. One short function per state, called with the cursor, returning the new cursor; the loop
 * ends with the window or with a result. The window is cut to what the token and unit limits still allow, so the
 * limits cost nothing per byte and the verdict does not depend on how the bytes were segmented.
 */
#include "xml/scanner.h"
#include <assert.h>
#include <string.h>

enum state {
	AT_TEXT,
	AT_LT,
	AT_BANG,
	AT_CDATA_NAME,
	AT_CDATA,
	AT_CDATA_1,
	AT_CDATA_2,
	AT_PI,
	AT_DECL,
	AT_NAME,
	AT_TAG,
	AT_ATTR,
	AT_VALUE,
	AT_SLASH,
	AT_END,
	STATES
};

/* The limit is on the name as it is used (treemaker.c); our printer makes at most six bytes of one. */
#define NS_BYTES_ESCAPED (6 * PARSER_NS_BYTES)
#define MATCH_NO 254 /* an attribute that is no declaration */
#define XMLNS "xmlns"
#define CDATA "CDATA["

struct run {
	struct scanner *s;
	const struct parser_limits *limits;
	const char *end;      /* of the window: data, unit limit, inside a token also the token limit */
	const char *unit_end; /* of the window without the token limit */
	const char *token;    /* where the present token begins in this window */
	int result;
	const char *why;
};

/* Bytes that end a run inside a tag: white space, quotes, = / < > */
static const bool stops[256] = { [' '] = true, ['\t'] = true, ['\n'] = true, ['\r'] = true, ['"'] = true, ['\''] = true,
				 ['='] = true, ['/'] = true,  ['<'] = true,  ['>'] = true,  [0] = true };

static const char *fail(struct run *r, const char *p, int error, const char *why)
{
	r->result = error;
	r->why = why;
	return p;
}

static const char *policy(struct run *r, const char *p, const char *why)
{
	return fail(r, p, PARSER_POLICY, why);
}

static void token_window(struct run *r)
{
	size_t left = r->limits->token_bytes > r->s->token_n ? r->limits->token_bytes - r->s->token_n : 0;
	if ((size_t)(r->unit_end - r->token) > left)
		r->end = r->token + left;
}

static void token_begin(struct run *r, const char *p)
{
	r->s->in_token = true;
	r->s->token_n = 0;
	r->token = p;
	token_window(r);
}

static void token_end(struct run *r, enum state next)
{
	r->s->in_token = false;
	r->s->state = (uint8_t)next;
	r->end = r->unit_end;
}

static const char *at_text(struct run *r, const char *p)
{
	const char *lt = memchr(p, '<', (size_t)(r->end - p));
	if (!lt)
		return r->end;
	token_begin(r, lt);
	r->s->state = AT_LT;
	return lt + 1;
}

static const char *element_begins(struct run *r, const char *p)
{
	struct scanner *s = r->s;

	s->attributes = s->namespaces = 0;
	s->state = AT_NAME;
	if (!s->opened)
		return p;
	if (s->depth >= r->limits->depth)
		return policy(r, p, "elements nested too deep");
	if (s->depth > 0 && ++s->elements > r->limits->elements)
		return policy(r, p, "too many elements in one stanza");
	s->depth++;
	return p;
}

static const char *at_lt(struct run *r, const char *p)
{
	struct scanner *s = r->s;
	bool begun = s->begun;

	s->begun = true;
	s->match = 0;
	switch (*p) {
	case '/':
		s->state = AT_END;
		if (!s->opened)
			return fail(r, p, PARSER_NOT_WELL_FORMED, "end tag before the first element");
		return p + 1;
	case '!': s->state = AT_BANG; return p + 1;
	case '?':
		s->state = AT_PI;
		return begun ? fail(r, p, PARSER_RESTRICTED, "processing instructions are not allowed (RFC 6120 11.1)")
			     : p + 1;
	case 0: return fail(r, p, begun ? PARSER_NOT_WELL_FORMED : PARSER_ENCODING, "NUL byte");
	default:
		return stops[(uint8_t)*p] ? fail(r, p, PARSER_NOT_WELL_FORMED, "no name after <")
					  : element_begins(r, p);
	}
}

static const char *at_bang(struct run *r, const char *p)
{
	if (*p == '-')
		return fail(r, p, PARSER_RESTRICTED, "comments are not allowed (RFC 6120 11.1)");
	if (*p != '[')
		return fail(r, p, PARSER_RESTRICTED, "document type declarations are not allowed (RFC 6120 11.1)");
	r->s->state = AT_CDATA_NAME;
	return r->s->depth ? p + 1 : fail(r, p, PARSER_NOT_WELL_FORMED, "character data outside of a stanza");
}

static const char *at_cdata_name(struct run *r, const char *p)
{
	if (*p != CDATA[r->s->match])
		return fail(r, p, PARSER_RESTRICTED, "markup declarations are not allowed (RFC 6120 11.1)");
	if (++r->s->match == sizeof CDATA - 1)
		r->s->state = AT_CDATA;
	return p + 1;
}

static const char *at_cdata(struct run *r, const char *p)
{
	const char *bracket = memchr(p, ']', (size_t)(r->end - p));
	if (!bracket)
		return r->end;
	r->s->state = AT_CDATA_1;
	return bracket + 1;
}

static const char *at_cdata_1(struct run *r, const char *p)
{
	r->s->state = *p == ']' ? AT_CDATA_2 : AT_CDATA;
	return p + 1;
}

static const char *at_cdata_2(struct run *r, const char *p)
{
	if (*p == '>')
		token_end(r, AT_TEXT);
	else if (*p != ']')
		r->s->state = AT_CDATA;
	return p + 1;
}

/* <? is only let through as the very first thing, and only as an XML declaration. */
static const char *at_pi(struct run *r, const char *p)
{
	static const char xml[] = "xml";

	if (r->s->match < 3 ? *p != xml[r->s->match] : !stops[(uint8_t)*p])
		return fail(r, p, PARSER_RESTRICTED, "processing instructions are not allowed (RFC 6120 11.1)");
	if (r->s->match++ == 3)
		r->s->state = AT_DECL;
	return p + 1;
}

static const char *at_decl(struct run *r, const char *p)
{
	const char *gt = memchr(p, '>', (size_t)(r->end - p));
	if (!gt)
		return r->end;
	token_end(r, AT_TEXT);
	r->result = SCAN_DECL;
	return gt + 1;
}

static const char *at_name(struct run *r, const char *p)
{
	while (p < r->end && !stops[(uint8_t)*p])
		p++;
	if (p < r->end)
		r->s->state = AT_TAG;
	return p;
}

static const char *tag_ends(struct run *r, const char *p, bool empty)
{
	struct scanner *s = r->s;

	token_end(r, AT_TEXT);
	if (!s->opened) {
		s->opened = true;
		s->empty = empty;
		r->result = SCAN_OPEN;
	} else if (empty && --s->depth == 0) {
		r->result = SCAN_ELEMENT;
	}
	return p + 1;
}

/* The name of an attribute: is it xmlns or xmlns:something? */
static const char *at_attr(struct run *r, const char *p)
{
	struct scanner *s = r->s;

	if (s->match == 0 && *p != XMLNS[0])
		s->match = MATCH_NO;
	for (; p < r->end && !stops[(uint8_t)*p] && s->match != MATCH_NO; p++) {
		if (s->match == sizeof XMLNS - 1)
			s->is_ns = *p == ':';
		s->match = s->match < sizeof XMLNS - 1 && *p == XMLNS[s->match] ? s->match + 1 : MATCH_NO;
	}
	while (p < r->end && !stops[(uint8_t)*p])
		p++;
	if (p < r->end) {
		s->is_ns = s->is_ns || s->match == sizeof XMLNS - 1;
		s->state = AT_TAG;
	}
	return p;
}

static const char *at_tag(struct run *r, const char *p)
{
	struct scanner *s = r->s;

	switch (*p) {
	case ' ':
	case '\t':
	case '\n':
	case '\r':
	case '=':
		while (++p < r->end && (*p == ' ' || *p == '='))
			;
		return p;
	case '>': return tag_ends(r, p, false);
	case '/': s->state = AT_SLASH; return p + 1;
	case '"':
	case '\'':
		s->quote = (uint8_t)*p;
		s->state = AT_VALUE;
		s->ns_bytes = 0;
		if (s->is_ns ? ++s->namespaces > r->limits->namespaces : ++s->attributes > r->limits->attributes)
			return policy(r, p, s->is_ns ? "too many namespace declarations" : "too many attributes");
		return p + 1;
	case '<':
	case 0: return fail(r, p, PARSER_NOT_WELL_FORMED, "broken tag");
	default:
		s->match = 0;
		s->is_ns = false;
		s->state = AT_ATTR;
		return at_attr(r, p);
	}
}

static const char *at_value(struct run *r, const char *p)
{
	struct scanner *s = r->s;
	const char *q = memchr(p, s->quote, (size_t)(r->end - p)), *to = q ? q : r->end;

	if (s->is_ns) {
		s->ns_bytes += (uint32_t)(to - p);
		if (s->ns_bytes > NS_BYTES_ESCAPED)
			return policy(r, p, "namespace name too long");
	}
	if (!q)
		return to;
	s->is_ns = false;
	s->state = AT_TAG;
	return q + 1;
}

static const char *at_slash(struct run *r, const char *p)
{
	return *p == '>' ? tag_ends(r, p, true) : fail(r, p, PARSER_NOT_WELL_FORMED, "broken tag");
}

static const char *at_end(struct run *r, const char *p)
{
	struct scanner *s = r->s;
	const char *gt = memchr(p, '>', (size_t)(r->end - p));

	if (!gt)
		return r->end;
	token_end(r, AT_TEXT);
	if (s->depth == 0)
		r->result = SCAN_CLOSE;
	else if (--s->depth == 0)
		r->result = SCAN_ELEMENT;
	return gt + 1;
}

static const char *(*const steps[STATES])(struct run *, const char *) = {
	[AT_TEXT] = at_text,   [AT_LT] = at_lt,		  [AT_BANG] = at_bang,	     [AT_CDATA_NAME] = at_cdata_name,
	[AT_CDATA] = at_cdata, [AT_CDATA_1] = at_cdata_1, [AT_CDATA_2] = at_cdata_2, [AT_PI] = at_pi,
	[AT_DECL] = at_decl,   [AT_NAME] = at_name,	  [AT_TAG] = at_tag,	     [AT_ATTR] = at_attr,
	[AT_VALUE] = at_value, [AT_SLASH] = at_slash,	  [AT_END] = at_end,
};

void scanner_init(struct scanner *s, bool document)
{
	*s = (struct scanner){ .state = AT_TEXT, .opened = document };
}

int scanner_run(struct scanner *s, const struct parser_limits *limits, const char *data, size_t n, size_t *out_used,
		const char **out_why)
{
	size_t left = limits->stanza_bytes > s->unit_n ? limits->stanza_bytes - s->unit_n : 0;
	const char *p = data;
	struct run r = { .s = s, .limits = limits, .token = data };

	r.end = r.unit_end = data + (n < left ? n : left);
	if (s->in_token)
		token_window(&r);
	while (p < r.end && !r.result)
		p = steps[s->state](&r, p);
	*out_used = (size_t)(p - data);
	*out_why = r.why;
	if (r.result) {
		s->unit_n = 0;
		s->elements = 0;
		return r.result;
	}
	/* At a limit and not complete: the next byte would be too many, so there is no need to wait for it. */
	s->unit_n += (size_t)(p - data);
	if (s->in_token)
		s->token_n += (size_t)(p - r.token);
	if (s->in_token && s->token_n >= limits->token_bytes)
		return policy(&r, p, "tag or CDATA section too long"), *out_why = r.why, r.result;
	if (s->unit_n >= limits->stanza_bytes)
		return policy(&r, p, "stanza too large"), *out_why = r.why, r.result;
	assert(*out_used == n);
	return SCAN_MORE;
}
