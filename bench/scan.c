/*
 * Finds stanza boundaries. The scanner keeps its place, so that bytes are looked at once however they arrive; it needs the
 * bytes of an unfinished stanza to stay in one buffer, which client.c sees to.
 */
#include "bench/scan.h"
#include <string.h>

void scan_reset(struct scan *s)
{
	memset(s, 0, sizeof *s);
}

void scan_shift(struct scan *s, size_t n)
{
	s->pos -= n;
	s->start = s->start > n ? s->start - n : 0;
	s->tag = s->tag > n ? s->tag - n : 0;
}

/* Moves behind the '>' that ends the current tag; false when it has not arrived. */
static bool scan_tag_end(struct scan *s, const char *buf, size_t n)
{
	while (s->pos < n) {
		if (s->quote) {
			const char *q = memchr(buf + s->pos, s->quote, n - s->pos);
			if (!q) {
				s->pos = n;
				return false;
			}
			s->pos = (size_t)(q - buf) + 1;
			s->quote = 0;
			continue;
		}
		char c = buf[s->pos++];
		if (c == '\'' || c == '"')
			s->quote = c;
		else if (c == '>')
			return true;
	}
	return false;
}

/* Counts the finished tag; what it completes. */
static enum scan_found scan_tag(struct scan *s, const char *buf, size_t *out_start, size_t *out_n)
{
	const char *tag = buf + s->tag;
	bool empty = buf[s->pos - 2] == '/';
	if (tag[1] == '?' || tag[1] == '!')
		return SCAN_MORE;
	if (tag[1] == '/') {
		s->depth--;
	} else {
		if (s->depth == 1)
			s->start = s->tag;
		if (!empty)
			s->depth++;
		if (s->depth == 1 && !empty) {
			*out_start = s->tag;
			*out_n = s->pos - s->tag;
			return SCAN_OPEN;
		}
	}
	if (s->depth == 0)
		return SCAN_CLOSE;
	if (s->depth > 1)
		return SCAN_MORE;
	*out_start = s->start;
	*out_n = s->pos - s->start;
	return SCAN_STANZA;
}

enum scan_found scan_next(struct scan *s, const char *buf, size_t n, size_t *out_start, size_t *out_n)
{
	for (;;) {
		if (!s->in_tag) {
			const char *lt = s->pos < n ? memchr(buf + s->pos, '<', n - s->pos) : NULL;
			if (!lt) {
				s->pos = n;
				return SCAN_MORE;
			}
			s->tag = (size_t)(lt - buf);
			s->pos = s->tag + 1;
			s->in_tag = true;
		}
		if (!scan_tag_end(s, buf, n))
			return SCAN_MORE;
		s->in_tag = false;
		enum scan_found found = scan_tag(s, buf, out_start, out_n);
		if (found != SCAN_MORE)
			return found;
	}
}

bool stanza_is(const char *p, size_t n, const char *name)
{
	size_t k = strlen(name);
	return n > k + 1 && memcmp(p + 1, name, k) == 0 && (p[k + 1] == ' ' || p[k + 1] == '>' || p[k + 1] == '/');
}

bool stanza_has(const char *p, size_t n, const char *text)
{
	return memmem(p, n, text, strlen(text)) != NULL;
}

const char *stanza_attr(const char *p, size_t n, const char *name, size_t *out_n)
{
	size_t k = strlen(name);
	const char *end = p + n;
	for (const char *q = p; q < end && *q != '>'; q++) {
		if (*q == '\'' || *q == '"') {
			const char *e = memchr(q + 1, *q, (size_t)(end - q - 1));
			if (!e)
				return NULL;
			q = e;
		} else if (*q == ' ' && (size_t)(end - q) > k + 3 && memcmp(q + 1, name, k) == 0 && q[k + 1] == '=') {
			const char *v = q + k + 3;
			const char *e = memchr(v, q[k + 2], (size_t)(end - v));
			if (!e)
				return NULL;
			*out_n = (size_t)(e - v);
			return v;
		}
	}
	return NULL;
}

const char *stanza_between(const char *p, size_t n, const char *after, const char *until, size_t *out_n)
{
	const char *a = memmem(p, n, after, strlen(after));
	if (!a)
		return NULL;
	a += strlen(after);
	const char *u = memmem(a, (size_t)(p + n - a), until, strlen(until));
	if (!u)
		return NULL;
	*out_n = (size_t)(u - a);
	return a;
}
