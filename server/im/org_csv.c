/* The CSV of HR data, read by libcsv (RFC 4180): header matched by name, every field checked as text that may enter a stanza (row X10). Any thread. */
#include "server/im/org_import.h"
#include <csv.h>
#include <string.h>

#define FIELD_MAX 1000 /* bytes; names longer than this are mistakes */
#define FIELDS_MAX 64

static const char *const columns[COLUMNS] = { "id",	  "login", "password", "full_name", "department",
					      "position", "email", "phone",    "head" };

struct reader {
	org_row_fn *row;
	void *ctx;
	struct err_msg *msg;
	int err;
	size_t line, field;
	bool header_done;
	int map[FIELDS_MAX]; /* field -> column, -1: unknown */
	bool seen[COLUMNS];
	struct buf text[COLUMNS];
};

static int column_of(struct str name)
{
	for (int c = 0; c < COLUMNS; c++)
		if (str_ieq(str_trim(name), str_c(columns[c])))
			return c;
	return -1;
}

static void header_field(struct reader *r, struct str name)
{
	int c = column_of(name);

	if (c < 0 || r->seen[c])
		r->err = err_set(r->msg, ERR_SYNTAX,
				 "line 1: %s column \"%.*s\"; known are "
				 "id,login,password,full_name,department,position,email,phone,head",
				 c < 0 ? "unknown" : "doubled", STR_ARG(str_utf8_cut(name, 60)));
	else
		r->seen[c] = true;
	r->map[r->field] = c;
}

static void on_field(void *p, size_t n, void *ctx)
{
	struct reader *r = ctx;
	struct str s = str_of(p, n);

	if (r->err)
		return;
	if (r->field >= FIELDS_MAX) {
		r->err = err_set(r->msg, ERR_LIMIT, "line %zu: more than %d fields", r->line, FIELDS_MAX);
	} else if (n > FIELD_MAX || !str_xml_valid(s)) {
		r->err = err_set(r->msg, ERR_SYNTAX, "line %zu: field %zu is %s", r->line, r->field + 1,
				 n > FIELD_MAX ? "longer than 1000 bytes" : "not UTF-8 text; save the file as UTF-8");
	} else if (!r->header_done) {
		header_field(r, s);
	} else if (r->map[r->field] >= 0) {
		buf_str_add(&r->text[r->map[r->field]], str_trim(s));
	}
	r->field++;
}

static void give_row(struct reader *r)
{
	struct str v[COLUMNS];
	bool empty = true;

	for (int c = 0; c < COLUMNS; c++) {
		v[c] = buf_str(&r->text[c]);
		if (v[c].n)
			empty = false;
		else
			v[c] = STR("");
	}
	if (!empty)
		r->err = r->row(r->ctx, r->line, v, r->msg);
	for (int c = 0; c < COLUMNS; c++)
		buf_reset(&r->text[c]);
}

static void on_row(int end, void *ctx)
{
	struct reader *r = ctx;

	(void)end;
	if (!r->err && r->header_done)
		give_row(r);
	if (!r->err && !r->header_done && !(r->seen[COL_LOGIN] && r->seen[COL_NAME]))
		r->err = err_set(r->msg, ERR_SYNTAX, "line 1: the columns login and full_name are needed");
	r->header_done = true;
	r->field = 0;
	r->line++;
}

/* Excel of many countries writes semicolons: whichever the header has more of. */
static unsigned char delimiter_of(struct str csv)
{
	size_t commas = 0, semicolons = 0;

	for (size_t i = 0; i < csv.n && csv.p[i] != '\n'; i++) {
		commas += csv.p[i] == ',';
		semicolons += csv.p[i] == ';';
	}
	return semicolons > commas ? ';' : ',';
}

int org_csv_parse(struct str csv, org_row_fn *row, void *ctx, struct err_msg *msg)
{
	struct reader r = { .row = row, .ctx = ctx, .msg = msg, .line = 1 };
	struct csv_parser p;

	if (str_starts(csv, STR("\xef\xbb\xbf")))
		csv = str_of(csv.p + 3, csv.n - 3);
	if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI))
		return err_set(msg, ERR_NOMEM, "out of memory");
	csv_set_delim(&p, delimiter_of(csv));
	for (int c = 0; c < COLUMNS; c++)
		buf_init(&r.text[c], FIELD_MAX + 1);
	bool bad = csv_parse(&p, csv.p, csv.n, on_field, on_row, &r) != csv.n ||
		   (!r.err && csv_fini(&p, on_field, on_row, &r) != 0);
	if (bad && !r.err)
		r.err = err_set(msg, ERR_SYNTAX, "line %zu: a quote is not closed or stands inside a field", r.line);
	if (!r.err && !r.header_done)
		r.err = err_set(msg, ERR_SYNTAX,
				"the file is empty; its first line is id,login,password,full_name,...");
	for (int c = 0; c < COLUMNS; c++)
		buf_clear(&r.text[c]);
	csv_free(&p);
	return r.err;
}
