/* How large a PNG, GIF or JPEG says it is. Only its header is read, so a bomb costs nothing (row W09). Any thread. */
#pragma once
#include "base/str.h"

/* False when the bytes (the first few KiB are enough) are no such picture or end too early. */
bool picture_size(struct str bytes, uint32_t *w, uint32_t *h);
