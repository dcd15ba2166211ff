/* Answers from files (RFC 9110 13 and 14): ETag, one range, read in pieces as the client takes them. Worker of the connection. */
#include "base/err.h"
#include "base/mem.h"
#include "bosh/http_impl.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536

struct file_flow {
	int fd;
	uint64_t at, left;
};

static void file_free(struct file_flow *f)
{
	close(f->fd);
	mem_free(f);
}

static void file_gone(struct http_request *rq)
{
	file_free(rq->user);
}

static void file_more(struct http_request *rq)
{
	struct file_flow *f = rq->user;
	int err = 0;

	while (f->left && !err) {
		size_t want = f->left < PIECE ? (size_t)f->left : PIECE;
		struct chunk *c = chunk_alloc(want);
		ssize_t n;
		do
			n = pread(f->fd, c->data, want, (off_t)f->at);
		while (n < 0 && errno == EINTR);
		if (n <= 0) { /* shorter than it was, or the disk fails: http_end cuts the connection */
			chunk_unref(c);
			break;
		}
		c->n = (uint32_t)n;
		err = http_write_chunk(rq, c);
		chunk_unref(c);
		if (err)
			return; /* read again when there is room; or gone() follows */
		f->at += (uint64_t)n;
		f->left -= (uint64_t)n;
	}
	file_free(f);
	http_end(rq);
}

static const struct http_flow file_flow = { file_more, file_gone };

/* One of a list of entity tags, compared weakly (RFC 9110 8.8.3.2). */
static bool tag_listed(struct str list, const char *etag)
{
	struct str part;

	while (list.p && str_split(&list, ',', &part)) {
		part = str_trim(part);
		if (str_eq_c(part, "*"))
			return true;
		if (str_starts(part, STR("W/")))
			part = str_of(part.p + 2, part.n - 2);
		if (str_eq_c(part, etag))
			return true;
	}
	return false;
}

enum range { RANGE_NONE, RANGE_OK, RANGE_BAD };

/* "bytes=A-B", "bytes=A-", "bytes=-N"; anything else, also several ranges, is answered by the whole (14.2). */
static enum range range_of(struct str v, uint64_t size, uint64_t *out_at, uint64_t *out_n)
{
	ptrdiff_t dash;
	uint64_t first, last;

	if (!str_starts(v, STR("bytes=")))
		return RANGE_NONE;
	v = str_of(v.p + 6, v.n - 6);
	dash = str_find(v, '-');
	if (dash < 0 || str_find(v, ',') >= 0)
		return RANGE_NONE;
	struct str a = str_of(v.p, (size_t)dash), b = str_of(v.p + dash + 1, v.n - (size_t)dash - 1);
	if (!a.n) {
		if (str_u64(b, UINT64_MAX, &last))
			return RANGE_NONE;
		if (!last || !size)
			return RANGE_BAD;
		*out_n = last < size ? last : size;
		*out_at = size - *out_n;
		return RANGE_OK;
	}
	last = UINT64_MAX;
	if (str_u64(a, UINT64_MAX, &first) || (b.n && str_u64(b, UINT64_MAX, &last)) || last < first)
		return RANGE_NONE;
	if (first >= size)
		return RANGE_BAD;
	if (last >= size)
		last = size - 1;
	*out_at = first;
	*out_n = last - first + 1;
	return RANGE_OK;
}

static enum range wanted_range(const struct http_request *rq, const struct http_file *f, uint64_t *out_at,
			       uint64_t *out_n)
{
	struct str range = http_header_get(rq, "range"), only_if = http_header_get(rq, "if-range");

	if (!range.p || !str_eq_c(rq->method, "GET"))
		return RANGE_NONE;
	if (only_if.p && (!f->etag || !str_eq_c(only_if, f->etag)))
		return RANGE_NONE;
	return range_of(range, f->size, out_at, out_n);
}

void http_answer_file(struct http_request *rq, const struct http_file *f)
{
	uint64_t at = 0, n = f->size;
	struct str tag = f->etag ? arena_printf(rq->a, "ETag: %s\r\n", f->etag) : STR("");
	struct str lines = arena_printf(rq->a, "Accept-Ranges: bytes\r\n%s%s", tag.p, f->extra ? f->extra : "");
	enum range range = wanted_range(rq, f, &at, &n);

	if (!rq->conn || (f->etag && tag_listed(http_header_get(rq, "if-none-match"), f->etag))) {
		close(f->fd);
		http_answer(rq, 304, NULL, STR_NONE, lines.p);
		return;
	}
	if (range == RANGE_BAD) {
		close(f->fd);
		lines = arena_printf(rq->a, "Content-Range: bytes */%llu\r\n", (unsigned long long)f->size);
		http_answer(rq, 416, "text/plain; charset=utf-8", STR("The file is shorter than that\n"), lines.p);
		return;
	}
	if (range == RANGE_OK)
		lines = arena_printf(rq->a, "%sContent-Range: bytes %llu-%llu/%llu\r\n", lines.p,
				     (unsigned long long)at, (unsigned long long)(at + n - 1),
				     (unsigned long long)f->size);
	struct file_flow *flow = NEW(struct file_flow);
	*flow = (struct file_flow){ .fd = f->fd, .at = at, .left = str_eq_c(rq->method, "HEAD") ? 0 : n };
	rq->user = flow;
	http_begin(rq, range == RANGE_OK ? 206 : 200, f->type, n, lines.p, &file_flow);
}
