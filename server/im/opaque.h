/* Opaque archive ids (row I10): a keyed permutation of the global number, 16 hex digits; says nothing about order or size. Any thread. */
#pragma once
#include "base/str.h"

#define OPAQUE_LEN 16
void opaque_init(const uint8_t secret[32]);
void opaque_print(uint64_t gid, char out[OPAQUE_LEN]);
/* 0 or ERR_SYNTAX. */
int opaque_parse(struct str s, uint64_t *out_gid);
/* The same for numbers below 2^52, as a number below 2^52: what portals take for the id of a message (doubles hold it exactly). gid above: 0. 0 stays 0. */
uint64_t opaque_number(uint64_t gid);
/* The inverse; 0 for 0 and for what no number gives. */
uint64_t opaque_number_parse(uint64_t number);
