/* See answers.h. */
#include "fuzz/answers.h"
#include "xml/parser.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool answers_have(struct str s, const char *text)
{
	return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

bool answers_take(struct str *s, struct str *out_head, struct str *out_body)
{
	const char *end = s->n ? memmem(s->p, s->n, "\r\n\r\n", 4) : NULL;
	size_t length = 0;

	if (!end || !str_starts(*s, STR("HTTP/1.1 ")))
		return false;
	*out_head = str_of(s->p, (size_t)(end - s->p) + 2);
	*out_body = STR("");
	const char *field = memmem(out_head->p, out_head->n, "Content-Length: ", 16);
	if (field)
		length = (size_t)strtoul(field + 16, NULL, 10);
	*s = str_of(end + 4, s->n - out_head->n - 2);
	if (s->n == 0 || str_starts(*s, STR("HTTP/1.1 "))) /* of a HEAD request */
		return true;
	if (length > s->n)
		return false;
	*out_body = str_of(s->p, length);
	*s = str_of(s->p + length, s->n - length);
	return true;
}

void answers_check_element(struct str s)
{
	static const struct parser_limits limits = { 32 << 20, 16 << 20, 1000, 1000000, 1000, 1000 };
	struct arena *a = arena_new(65536);
	struct node *n;
	int err = parse_document(a, s, &limits, &n);

	if (err)
		fprintf(stderr, "sent: %.*s\n", STR_ARG(s));
	assert(!err);
	arena_free(a);
}
