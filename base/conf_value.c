/*
 * Texts to typed option fields, with messages that say what would be right. No state; called at start and on reload
 * only.
 */
#include "base/conf_value.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

/* What may stand behind a number, by the unit of its option. */
static const struct {
	const char *unit, *suffix;
	uint64_t factor;
} suffixes[] = {
	{ "bytes", "K", 1024 },
	{ "bytes", "M", 1024 * 1024 },
	{ "bytes", "G", 1024 * 1024 * 1024 },
	{ "bytes", "KiB", 1024 },
	{ "bytes", "MiB", 1024 * 1024 },
	{ "bytes", "GiB", 1024 * 1024 * 1024 },
	{ "ms", "ms", 1 },
	{ "ms", "s", 1000 },
	{ "ms", "min", 60000 },
	{ "ms", "h", 3600000 },
	{ "ms", "d", 86400000 },
};

static const struct {
	const char *word;
	bool value;
} bool_words[] = {
	{ "true", true },   { "yes", true }, { "on", true }, /* YAML 1.1 knows these six */
	{ "false", false }, { "no", false }, { "off", false },
};

const char *conf_shown(struct str text, char out[CONF_SHOWN])
{
	size_t n = text.n < CONF_SHOWN - 4 ? text.n : CONF_SHOWN - 4;
	/* Not into the middle of a character. */
	while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i];
	(void)snprintf(out + n, CONF_SHOWN - n, "%s", n < text.n ? "..." : "");
	return out;
}

unsigned conf_distance(struct str a, struct str b)
{
	enum { MOST = 64 };
	unsigned d[MOST + 1][MOST + 1];
	if (a.n > MOST || b.n > MOST)
		return MOST;
	for (size_t i = 0; i <= a.n; i++) {
		for (size_t k = 0; k <= b.n; k++) {
			if (i == 0 || k == 0) {
				d[i][k] = (unsigned)(i + k);
				continue;
			}
			unsigned best = d[i - 1][k - 1] + (a.p[i - 1] != b.p[k - 1]);
			best = d[i - 1][k] + 1 < best ? d[i - 1][k] + 1 : best;
			best = d[i][k - 1] + 1 < best ? d[i][k - 1] + 1 : best;
			bool swapped = i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1];
			if (swapped && d[i - 2][k - 2] + 1 < best)
				best = d[i - 2][k - 2] + 1;
			d[i][k] = best;
		}
	}
	return d[a.n][b.n];
}

static int set_bool(void *field, struct str text, struct err_msg *why)
{
	char shown[CONF_SHOWN];
	for (size_t i = 0; i < sizeof(bool_words) / sizeof(bool_words[0]); i++) {
		if (str_ieq(text, str_c(bool_words[i].word))) {
			*(bool *)field = bool_words[i].value;
			return 0;
		}
	}
	return err_set(why, ERR_SYNTAX, "`%s` is neither true nor false", conf_shown(text, shown));
}

/* Digits with an optional suffix of the unit. */
static int parse_number(const struct conf_option *o, struct str text, uint64_t *out)
{
	size_t digits = 0;
	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	struct str suffix = str_trim(str_of(text.p + digits, text.n - digits));
	uint64_t factor = suffix.n == 0 ? 1 : 0;
	for (size_t i = 0; o->unit && factor == 0 && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(o->unit, suffixes[i].unit) == 0 && str_eq_c(suffix, suffixes[i].suffix))
			factor = suffixes[i].factor;
	}
	if (factor == 0 || digits == 0)
		return ERR_SYNTAX;
	/* A number too large to hold is above any limit, not nonsense. */
	if (str_u64(str_of(text.p, digits), UINT64_MAX, out) != 0 || __builtin_mul_overflow(*out, factor, out))
		*out = UINT64_MAX;
	return 0;
}

static int set_uint(const struct conf_option *o, uint64_t *field, struct str text, struct err_msg *why)
{
	char shown[CONF_SHOWN];
	uint64_t v = 0, most = o->max > 0 ? o->max : UINT64_MAX;
	const char *unit = o->unit ? o->unit : "", *space = o->unit ? " " : "";
	if (parse_number(o, text, &v) != 0)
		return err_set(why, ERR_SYNTAX, "`%s` is no number; write a whole number%s%s from %llu on",
			       conf_shown(text, shown), o->unit ? " of " : "", unit, (unsigned long long)o->min);
	if (v < o->min)
		return err_set(why, ERR_LIMIT, "%s is below the least %llu%s%s", conf_shown(text, shown),
			       (unsigned long long)o->min, space, unit);
	if (v > most)
		return err_set(why, ERR_LIMIT, "%s is above the most %llu%s%s", conf_shown(text, shown),
			       (unsigned long long)most, space, unit);
	*field = v;
	return 0;
}

static int set_enum(const struct conf_option *o, int *field, struct str text, struct err_msg *why)
{
	char shown[CONF_SHOWN];
	struct str rest = str_c(o->choices), choice, nearest = STR_NONE;
	unsigned least = 3;
	for (int i = 0; str_split(&rest, '|', &choice); i++) {
		if (str_eq(choice, text)) {
			*field = i;
			return 0;
		}
		unsigned d = conf_distance(choice, text);
		if (d < least) {
			least = d;
			nearest = choice;
		}
	}
	if (nearest.p)
		return err_set(why, ERR_SYNTAX, "`%s` is none of %s; did you mean `%.*s`?", conf_shown(text, shown),
			       o->choices, STR_ARG(nearest));
	return err_set(why, ERR_SYNTAX, "`%s` is none of %s", conf_shown(text, shown), o->choices);
}

static int set_str(char **field, struct str text, struct err_msg *why)
{
	if (str_find(text, '\0') >= 0)
		return err_set(why, ERR_SYNTAX, "holds a NUL character; remove it");
	mem_free(*field);
	*field = str_dup(text);
	return 0;
}

int conf_set(const struct conf_option *o, void *target, struct str text, struct err_msg *why)
{
	void *field = conf_field(o, target);
	switch (o->kind) {
	case CONF_BOOL: return set_bool(field, text, why);
	case CONF_UINT: return set_uint(o, field, text, why);
	case CONF_STR: return set_str(field, text, why);
	case CONF_ENUM: return set_enum(o, field, text, why);
	case CONF_STR_LIST:
	case CONF_MAP_LIST: break;
	}
	assert(!"lists are filled by the reader");
	return ERR_SYNTAX;
}

int conf_check_count(const struct conf_option *o, size_t n, struct err_msg *why)
{
	if (n < o->min)
		return err_set(why, ERR_LIMIT, "%zu entries are fewer than the least %llu", n,
			       (unsigned long long)o->min);
	if (o->max > 0 && n > o->max)
		return err_set(why, ERR_LIMIT, "%zu entries are more than the most %llu", n,
			       (unsigned long long)o->max);
	return 0;
}
