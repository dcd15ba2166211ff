/* XMPP date and time profile (XEP-0082). Any thread. */
#pragma once
#include "base/str.h"

#define DATETIME_MAX 32
/* "2026-11-23T10:15:30.123Z" from wall-clock milliseconds; returns the length. */
size_t datetime_print(uint64_t wall_ms, char out[DATETIME_MAX]);
/* Any legal DateTime of the profile, to milliseconds; 0 or ERR_SYNTAX. */
int datetime_parse(struct str s, uint64_t *out_wall_ms);
