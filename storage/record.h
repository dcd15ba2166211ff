/*
 * Values: 1 byte version, 3 bytes reserved (0), 4 bytes CRC32C of version and content, then fields in a fixed order per version:
 * varints and length-prefixed bytes (row D12). Writing appends to a buf; reading has a sticky error.
 */
#pragma once
#include "base/buf.h"

struct recw { struct buf b; };
/* Starts a record of a version; finish writes the CRC and returns the bytes (valid until the next begin or clear). */
void recw_init(struct recw *w, size_t max_bytes);
void recw_begin(struct recw *w, uint8_t version);
void recw_u64(struct recw *w, uint64_t v);
void recw_str(struct recw *w, struct str s);
struct str recw_finish(struct recw *w);
void recw_clear(struct recw *w);

struct recr { struct str rest; uint8_t version; int err; };
/* Checks length and CRC: 0 or ERR_CORRUPT. */
int recr_open(struct recr *r, struct str value);
/* After an error or at the end these give 0 / NONE; rec->err says so (ERR_CORRUPT when reading past the end). */
uint64_t recr_u64(struct recr *r);
struct str recr_str(struct recr *r);
bool recr_more(const struct recr *r);
