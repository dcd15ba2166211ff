/* multipart/form-data, one file of it, byte by byte only around line ends. See multipart.h. */
#include "bosh/multipart.h"
#include "base/err.h"
#include "base/mem.h"
#include <string.h>

#define HEAD_MAX 4096
#define BOUNDARY_MAX 70

/* Value of a parameter: name="value" or name=value; NONE. */
static struct str parameter(struct str line, struct str name)
{
	const char *at = line.p, *end = line.p + line.n;

	while ((at = memmem(at, (size_t)(end - at), name.p, name.n))) {
		bool starts = at > line.p && (at[-1] == ' ' || at[-1] == ';' || at[-1] == '\t');
		at += name.n;
		if (!starts || at == end || *at != '=')
			continue;
		at++;
		const char *from = at + (at < end && *at == '"'), *to = from;
		while (to < end && (from > at ? *to != '"' : *to != ';' && *to != ' '))
			to++;
		return str_of(from, (size_t)(to - from));
	}
	return STR_NONE;
}

int multipart_init(struct multipart *m, struct str content_type)
{
	struct str b = parameter(content_type, STR("boundary"));

	if (content_type.n < 19 || !str_ieq(str_of(content_type.p, 19), STR("multipart/form-data")) || !b.n ||
	    b.n > BOUNDARY_MAX)
		return ERR_SYNTAX;
	m->state = MULTIPART_PREAMBLE;
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, b.p, b.n);
	m->delimiter_n = b.n + 4;
	buf_init(&m->pending, HEAD_MAX + MULTIPART_DELIMITER_MAX);
	buf_lit(&m->pending, "\r\n"); /* the first delimiter has no line end in front of it */
	m->had_file = false;
	m->name = m->type = STR_NONE;
	return 0;
}

/* The head of a part as lines: whether it is the file, and what it is called. */
static void read_head(struct multipart *m, struct str head)
{
	struct str line, name = STR_NONE, type = STR_NONE;

	while (head.p && str_split(&head, '\n', &line)) {
		line = str_trim(line);
		if (line.n > 20 && str_ieq(str_of(line.p, 20), STR("content-disposition:")))
			name = parameter(line, STR("filename"));
		else if (line.n > 13 && str_ieq(str_of(line.p, 13), STR("content-type:")))
			type = str_trim(str_of(line.p + 13, line.n - 13));
	}
	m->state = name.p && !m->had_file ? MULTIPART_FILE : MULTIPART_OTHER;
	if (m->state != MULTIPART_FILE || name.n + type.n > sizeof m->name_buf)
		return;
	memcpy(m->name_buf, name.p, name.n);
	if (type.n)
		memcpy(m->name_buf + name.n, type.p, type.n);
	m->name = str_of(m->name_buf, name.n);
	m->type = str_of(m->name_buf + name.n, type.n);
	m->had_file = true;
}

static void keep(struct multipart *m, struct str rest)
{
	struct buf b;

	buf_init(&b, HEAD_MAX + MULTIPART_DELIMITER_MAX);
	buf_str_add(&b, rest);
	buf_clear(&m->pending);
	m->pending = b;
}

/* One step over what is there; returns how much was used, 0: more is needed. */
static size_t step_data(struct multipart *m, struct str s, int *err)
{
	const char *at = memmem(s.p, s.n, m->delimiter, m->delimiter_n);
	size_t sure = at ? (size_t)(at - s.p) : s.n >= m->delimiter_n ? s.n - m->delimiter_n + 1 : 0;

	if (sure && m->state == MULTIPART_FILE)
		*err = m->data(m->ctx, str_of(s.p, sure));
	if (!at || *err)
		return sure;
	if (s.n < sure + m->delimiter_n + 2) /* what follows tells the last one from the others */
		return sure;
	m->state = memcmp(at + m->delimiter_n, "--", 2) == 0 ? MULTIPART_DONE : MULTIPART_HEAD;
	return sure + m->delimiter_n + (m->state == MULTIPART_DONE ? 2 : 0);
}

static size_t step_head(struct multipart *m, struct str s, int *err)
{
	const char *at = memmem(s.p, s.n, "\r\n\r\n", 4);

	if (!at) {
		if (s.n > HEAD_MAX)
			*err = ERR_SYNTAX;
		return 0;
	}
	read_head(m, str_of(s.p, (size_t)(at - s.p)));
	if (m->state == MULTIPART_FILE)
		*err = m->begin(m->ctx);
	return (size_t)(at - s.p) + 4;
}

static int run(struct multipart *m, struct str s)
{
	int err = 0;
	size_t used = 1;

	while (used && !err && m->state != MULTIPART_DONE && s.n) {
		used = m->state == MULTIPART_HEAD ? step_head(m, s, &err) : step_data(m, s, &err);
		s = str_of(s.p + used, s.n - used);
	}
	if (err)
		m->state = MULTIPART_BAD;
	else
		keep(m, m->state == MULTIPART_DONE ? STR("") : s);
	return err;
}

int multipart_feed(struct multipart *m, struct str piece)
{
	int err = 0;

	if (m->state == MULTIPART_BAD)
		return ERR_SYNTAX;
	while (piece.n && !err && m->state != MULTIPART_DONE) {
		size_t room = HEAD_MAX + MULTIPART_DELIMITER_MAX - m->pending.n, n = piece.n < room ? piece.n : room;
		buf_add(&m->pending, piece.p, n);
		piece = str_of(piece.p + n, piece.n - n);
		size_t all;
		char *p = buf_take(&m->pending, &all);
		err = run(m, str_of(p, all));
		mem_free(p);
		if (!err && m->pending.n == HEAD_MAX + MULTIPART_DELIMITER_MAX)
			err = ERR_SYNTAX;
	}
	return err;
}

int multipart_end(const struct multipart *m)
{
	return m->state == MULTIPART_DONE && m->had_file ? 0 : ERR_SYNTAX;
}

void multipart_clear(struct multipart *m)
{
	buf_clear(&m->pending);
}
