/* One option and one text: shared by the YAML reader (conf.c), the defaults and the manual (conf_manual.c). Not for
 * others. */
#pragma once
#include "base/conf.h"

/* The field of an option inside the options struct. */
static inline void *conf_field(const struct conf_option *o, void *target)
{
	return (char *)target + o->offset;
}
/* Sets a field of kind BOOL, UINT, STR or ENUM from text. ERR_SYNTAX or ERR_LIMIT with what is wrong and the cure,
 * without file and option name. A former string is freed. */
int conf_set(const struct conf_option *o, void *target, struct str text, struct err_msg *why);
/* Number of entries allowed? The same errors. */
int conf_check_count(const struct conf_option *o, size_t n, struct err_msg *why);
/* Edit distance (insert, delete, replace, swap of neighbours), for suggestions; long texts compare as far apart. */
unsigned conf_distance(struct str a, struct str b);
/* Up to 60 bytes of a value for a message, control characters replaced. Returns out. */
enum { CONF_SHOWN = 64 };
const char *conf_shown(struct str text, char out[CONF_SHOWN]);
