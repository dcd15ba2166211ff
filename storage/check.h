/* Reads every record of a store or backup: CRC, version, counts per table, a hash over all (vestnikctl check, row D13). */
#pragma once
#include "storage/engine.h"

struct check_report { uint64_t records[TAB_COUNT], damaged[TAB_COUNT]; uint8_t hash[32]; };
/* 0, or ERR_CORRUPT when any record is damaged (the report is filled in both cases). */
int store_check(struct store *s, struct check_report *out);
