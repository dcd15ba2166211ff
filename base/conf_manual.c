/*
 * The manual of all options, printed from the same table that reads them, so that it cannot be wrong. No state.
 *   auth.scram_iterations: 100000
 *       number from 4096 to 1000000
 *       PBKDF2 rounds of new passwords. Taken over on reload.
 */
#include "base/conf_value.h"
#include <stdio.h>

static void print_range(const struct conf_option *o, const char *what, FILE *out)
{
	fputs(what, out);
	if (o->min > 0 || o->max > 0)
		fprintf(out, "%s from %llu", o->kind == CONF_UINT ? "" : ",", (unsigned long long)o->min);
	if (o->max > 0)
		fprintf(out, " to %llu", (unsigned long long)o->max);
}

static void print_kind(const struct conf_option *o, FILE *out)
{
	switch (o->kind) {
	case CONF_BOOL: fputs("true or false", out); break;
	case CONF_UINT:
		print_range(o, "number", out);
		if (o->unit)
			fprintf(out, ", %s", o->unit);
		if (o->unit && str_eq_c(STR("ms"), o->unit))
			fputs(" (or as 500ms, 30s, 10min, 2h, 1d)", out);
		if (o->unit && str_eq_c(STR("bytes"), o->unit))
			fputs(" (or as 64K, 16M, 1G)", out);
		break;
	case CONF_STR: fputs("text", out); break;
	case CONF_ENUM: {
		struct str rest = str_c(o->choices), choice;
		const char *between = "one of ";
		for (; str_split(&rest, '|', &choice); between = ", ")
			fprintf(out, "%s%.*s", between, STR_ARG(choice));
		break;
	}
	case CONF_STR_LIST: print_range(o, "list of texts", out); break;
	case CONF_MAP_LIST: print_range(o, "list of groups, each with the options below", out); break;
	}
}

static void print_table(const struct conf_option *table, const char *outer, FILE *out)
{
	for (const struct conf_option *o = table; o->path; o++) {
		fprintf(out, "%s%s:", outer, o->path);
		if (!o->def)
			fputs(" (required)", out);
		else if (o->def[0] != '\0')
			fprintf(out, o->kind == CONF_STR_LIST ? " [%s]" : " %s", o->def);
		fputs("\n    ", out);
		print_kind(o, out);
		struct str doc = str_c(o->doc);
		doc.n -= str_ends(doc, STR("."));
		fprintf(out, "\n    %.*s. %s\n\n", STR_ARG(doc),
			o->reload ? "Taken over on reload." : "Needs a restart.");
		if (o->kind == CONF_MAP_LIST) {
			char inner[128];
			(void)snprintf(inner, sizeof(inner), "%s%s[].", outer, o->path);
			print_table(o->rows, inner, out);
		}
	}
}

void conf_manual(const struct conf_option *table, FILE *out)
{
	print_table(table, "", out);
}
