/*
 * Record values (row D12): version, three reserved bytes, CRC32C over those four and the content, then varints (LEB128) and
 * length-prefixed bytes. One thread per recw or recr; slices read point into the value.
 */
#include "storage/record.h"
#include "base/crypto.h"
#include "base/err.h"
#include <endian.h>
#include <string.h>

enum { HEAD = 8, CRC_AT = 4, VARINT_MAX = 10 };

static uint32_t checksum(const char *p, size_t n)
{
	return crc32c(crc32c(0, p, CRC_AT), p + HEAD, n - HEAD);
}

void recw_init(struct recw *w, size_t max_bytes)
{
	buf_init(&w->b, max_bytes);
}

void recw_begin(struct recw *w, uint8_t version)
{
	char head[HEAD] = { (char)version };

	buf_reset(&w->b);
	buf_add(&w->b, head, sizeof(head));
}

static size_t put_varint(char *p, uint64_t v)
{
	size_t n = 0;

	while (v >= 0x80) {
		p[n++] = (char)(v | 0x80);
		v >>= 7;
	}
	p[n++] = (char)v;
	return n;
}

void recw_u64(struct recw *w, uint64_t v)
{
	char p[VARINT_MAX];

	buf_add(&w->b, p, put_varint(p, v));
}

void recw_str(struct recw *w, struct str s)
{
	recw_u64(w, s.n);
	if (s.n)
		buf_add(&w->b, s.p, s.n);
}

struct str recw_finish(struct recw *w)
{
	if (!buf_ok(&w->b))
		return STR_NONE;
	uint32_t crc = checksum(w->b.p, w->b.n);

	memcpy(w->b.p + CRC_AT, &(uint32_t){ htole32(crc) }, sizeof(crc));
	return buf_str(&w->b);
}

void recw_clear(struct recw *w)
{
	buf_clear(&w->b);
}

int recr_open(struct recr *r, struct str value)
{
	uint32_t crc;

	*r = (struct recr){ .err = ERR_CORRUPT };
	if (value.n < HEAD)
		return ERR_CORRUPT;
	memcpy(&crc, value.p + CRC_AT, sizeof(crc));
	if (value.p[1] || value.p[2] || value.p[3] || le32toh(crc) != checksum(value.p, value.n))
		return ERR_CORRUPT;
	*r = (struct recr){ .rest = str_of(value.p + HEAD, value.n - HEAD), .version = (uint8_t)value.p[0] };
	return 0;
}

static uint64_t damaged(struct recr *r)
{
	r->err = ERR_CORRUPT;
	r->rest = STR_NONE;
	return 0;
}

uint64_t recr_u64(struct recr *r)
{
	uint64_t v = 0;

	for (size_t i = 0; i < r->rest.n && i < VARINT_MAX; i++) {
		uint8_t c = (uint8_t)r->rest.p[i];

		if (i == VARINT_MAX - 1 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << (7 * i);
		if (!(c & 0x80)) {
			r->rest = str_of(r->rest.p + i + 1, r->rest.n - i - 1);
			return v;
		}
	}
	return damaged(r);
}

struct str recr_str(struct recr *r)
{
	uint64_t n = recr_u64(r);

	if (r->err)
		return STR_NONE;
	if (n > r->rest.n) {
		damaged(r);
		return STR_NONE;
	}
	struct str s = str_of(r->rest.p, (size_t)n);

	r->rest = str_of(r->rest.p + n, r->rest.n - (size_t)n);
	return s;
}

bool recr_more(const struct recr *r)
{
	return !r->err && r->rest.n > 0;
}
