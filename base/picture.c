/* Sizes of pictures, read off their headers; nothing is decoded (row W09). Any thread. */
#include "base/picture.h"
#include <string.h>

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static bool jpeg_size(const uint8_t *p, size_t n, uint32_t *w, uint32_t *h)
{
	size_t at = 2;

	while (at + 9 < n && p[at] == 0xff) {
		uint8_t marker = p[at + 1];
		if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
		    marker != 0xcc) { /* a frame header */
			*h = be16(p + at + 5);
			*w = be16(p + at + 7);
			return true;
		}
		at += 2 + (marker == 0xff ? 0 : be16(p + at + 2));
	}
	return false;
}

bool picture_size(struct str bytes, uint32_t *w, uint32_t *h)
{
	const uint8_t *p = (const uint8_t *)bytes.p;

	if (bytes.n >= 24 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0) {
		*w = be16(p + 16) << 16 | be16(p + 18);
		*h = be16(p + 20) << 16 | be16(p + 22);
		return true;
	}
	if (bytes.n >= 10 && (memcmp(p, "GIF87a", 6) == 0 || memcmp(p, "GIF89a", 6) == 0)) {
		*w = (uint32_t)p[7] << 8 | p[6];
		*h = (uint32_t)p[9] << 8 | p[8];
		return true;
	}
	return bytes.n >= 4 && p[0] == 0xff && p[1] == 0xd8 && jpeg_size(p, bytes.n, w, h);
}
