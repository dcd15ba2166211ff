/*
 * Configuration: a YAML file (libyaml) read into a typed option table. A row names the option by its path
 * ("auth.scram_iterations"), its type, range, default, unit and text; the same table prints the manual. Unknown
 * keys, wrong types and values out of range are errors that name file, line, option and the cure. Lists of strings
 * and lists of maps are supported as rows of their own kind.
 */
#pragma once
#include "base/err.h"

enum conf_kind { CONF_BOOL, CONF_UINT, CONF_STR, CONF_ENUM, CONF_STR_LIST, CONF_MAP_LIST };
struct conf_option {
	const char *path;         /* "auth.scram_iterations"; inside a map list relative to the map */
	enum conf_kind kind;
	size_t offset;            /* of the field in the struct (bool, uint64_t, char *, int, struct conf_list) */
	const char *def;          /* default as text (a list of texts: by commas); NULL required; "" empty, 0, false */
	uint64_t min, max;        /* CONF_UINT; for lists: number of entries; max 0 = no maximum */
	const char *unit;         /* "ms" (30s, 10min are understood too), "bytes" (64K, 1G), ... or NULL */
	const char *choices;      /* CONF_ENUM: "a|b|c" -> 0, 1, 2 */
	const struct conf_option *rows; /* CONF_MAP_LIST: options of one map, ended by path NULL */
	size_t row_size;          /* CONF_MAP_LIST: size of one element struct */
	const char *doc;          /* one sentence for the manual */
	bool reload;              /* takes effect on SIGHUP */
};
struct conf_list { void *v; size_t n; }; /* char *[] for CONF_STR_LIST; structs for CONF_MAP_LIST */

/* Fills target (zeroed by the caller) with defaults, then the file. 0 or error with msg "FILE:LINE: ...". After an
 * error target holds nothing to free. Values that depend on each other, and the mode of the file, are the caller's
 * to check. */
int conf_load(const char *file, const struct conf_option *table, void *target, struct err_msg *msg);
/* The same from memory (tests, fuzzing); name stands for the file in messages. */
int conf_parse(struct str text, const char *name, const struct conf_option *table, void *target, struct err_msg *msg);
/* Frees strings and lists inside target. */
void conf_clear(const struct conf_option *table, void *target);
/* Prints the manual of all options to a FILE*. */
struct _IO_FILE;
void conf_manual(const struct conf_option *table, struct _IO_FILE *out);
