/*
 * The configuration reader: a YAML document (libyaml) walked beside the option table. Runs at start, on reload and
 * in tests, on one thread; no state. Every message is "FILE:LINE: OPTION: what is wrong and the cure". The depth of
 * the walk is that of the table, never that of the document, so neither deep nesting nor aliases that contain
 * themselves can exhaust the stack.
 */
#include "base/conf_value.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

enum {
	FILE_MAX_BYTES = 1 << 20, /* a configuration of a megabyte is another file given by mistake */
	PATH_MAX_BYTES = 128,
};

struct walk {
	const char *name; /* of the file, for messages */
	yaml_document_t *doc;
	struct err_msg *msg;
};
/* One table being filled: the whole file, or one entry of a map list. */
struct level {
	const struct conf_option *table;
	void *target;
	bool *seen;	   /* by row of the table */
	const char *outer; /* path of the map list with a dot, or "" */
};

__attribute__((format(printf, 5, 6))) static int fail(struct walk *w, int code, size_t line, const char *option,
						      const char *fmt, ...)
{
	char what[400];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(w->msg, code, "%s:%zu: %s%s%s", w->name, line, option, option[0] ? ": " : "", what);
}

static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

static struct str text_of(const yaml_node_t *node)
{
	return str_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

/* `key:` with nothing behind it, or ~, or null. */
static bool is_null(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	struct str s = text_of(node);
	return s.n == 0 || str_eq_c(s, "~") || str_eq_c(s, "null");
}

static const char *describe(const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE	 ? "a list"
	       : node->type == YAML_MAPPING_NODE ? "a group of options"
						 : "a single value";
}

/* ---- unknown keys ---- */

static struct str last_part(struct str path)
{
	for (size_t i = path.n; i > 0; i--) {
		if (path.p[i - 1] == '.')
			return str_of(path.p + i, path.n - i);
	}
	return path;
}

/* The known path nearest to an unknown one; nothing when none is near. */
static struct str nearest(const struct conf_option *table, struct str path)
{
	struct str best = STR_NONE;
	unsigned least = (unsigned)(path.n / 3 < 2 ? 2 : path.n / 3) + 1;
	for (const struct conf_option *o = table; o->path; o++) {
		struct str known = str_c(o->path);
		unsigned d = conf_distance(known, path);
		/* The right name in the wrong group. */
		if (str_eq(last_part(known), last_part(path)))
			d = d < 2 ? d : 2;
		if (d < least) {
			least = d;
			best = known;
		}
		/* A group written wrong: compare with each group of the path. */
		for (size_t i = 0; i < known.n; i++) {
			struct str group = str_of(known.p, i);
			if (known.p[i] == '.' && (d = conf_distance(group, path)) < least) {
				least = d;
				best = group;
			}
		}
	}
	return best;
}

static int unknown(struct walk *w, const struct level *l, const char *path, size_t line)
{
	char option[2 * PATH_MAX_BYTES], shown[CONF_SHOWN];
	struct str near = nearest(l->table, str_c(path));
	(void)snprintf(option, sizeof(option), "%s%s", l->outer, conf_shown(str_c(path), shown));
	if (near.p)
		return fail(w, ERR_SYNTAX, line, option, "unknown option; did you mean `%s%.*s`?", l->outer,
			    STR_ARG(near));
	return fail(w, ERR_SYNTAX, line, option, "unknown option; `vestnikd --options` lists all");
}

/* ---- values ---- */

static int fill(struct walk *w, struct level *l, yaml_node_t *node, const char *prefix);
static int fill_defaults(struct walk *w, struct level *l, size_t line);

static int scalar(struct walk *w, const struct conf_option *o, void *target, const char *option,
		  const yaml_node_t *node)
{
	struct err_msg why;
	if (is_null(node))
		return fail(w, ERR_SYNTAX, line_of(node), option, "has no value; write one or remove the line");
	if (node->type != YAML_SCALAR_NODE)
		return fail(w, ERR_SYNTAX, line_of(node), option, "needs a single value, not %s", describe(node));
	int e = conf_set(o, target, text_of(node), &why);
	return e ? fail(w, e, line_of(node), option, "%s", why.text) : 0;
}

static size_t row_count(const struct conf_option *table)
{
	size_t n = 0;
	while (table[n].path)
		n++;
	return n;
}

/* One entry of a map list. */
static int entry(struct walk *w, const struct conf_option *o, void *element, const char *option, yaml_node_t *node)
{
	char outer[2 * PATH_MAX_BYTES + 2];
	if (node->type != YAML_MAPPING_NODE)
		return fail(w, ERR_SYNTAX, line_of(node), option,
			    "each entry is a group of options such as `- { %s: ... }`", o->rows[0].path);
	(void)snprintf(outer, sizeof(outer), "%s.", option);
	struct level inner = { o->rows, element, mem_zero(row_count(o->rows) * sizeof(bool)), outer };
	int e = fill(w, &inner, node, "");
	if (!e)
		e = fill_defaults(w, &inner, line_of(node));
	mem_free(inner.seen);
	return e;
}

/* A list; a single value counts as a list of one. */
static int list(struct walk *w, const struct conf_option *o, void *target, const char *option, yaml_node_t *node)
{
	struct conf_list *field = conf_field(o, target);
	struct err_msg why;
	if (is_null(node))
		return fail(w, ERR_SYNTAX, line_of(node), option, "has no value; write a list or remove the line");
	bool many = node->type == YAML_SEQUENCE_NODE;
	size_t n = many ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start) : 1;
	int e = conf_check_count(o, n, &why);
	if (e)
		return fail(w, e, line_of(node), option, "%s", why.text);
	size_t size = o->kind == CONF_MAP_LIST ? o->row_size : sizeof(char *);
	field->v = mem_zero(n * size);
	field->n = n; /* zeroed entries are safe to clear, so an error half-way leaks nothing */
	for (size_t i = 0; i < n && !e; i++) {
		yaml_node_t *item = many ? yaml_document_get_node(w->doc, node->data.sequence.items.start[i]) : node;
		char *element = (char *)field->v + i * size;
		if (o->kind == CONF_MAP_LIST) {
			e = entry(w, o, element, option, item);
		} else {
			static const struct conf_option text = { .kind = CONF_STR };
			e = scalar(w, &text, element, option, item);
		}
	}
	return e;
}

static int apply(struct walk *w, struct level *l, const struct conf_option *o, yaml_node_t *node, size_t line)
{
	char option[2 * PATH_MAX_BYTES];
	(void)snprintf(option, sizeof(option), "%s%s", l->outer, o->path);
	if (l->seen[o - l->table])
		return fail(w, ERR_SYNTAX, line, option, "is given twice; remove one");
	l->seen[o - l->table] = true;
	if (o->kind == CONF_STR_LIST || o->kind == CONF_MAP_LIST)
		return list(w, o, l->target, option, node);
	return scalar(w, o, l->target, option, node);
}

/* Whether some option lies below path. */
static bool is_group(const struct conf_option *table, struct str path)
{
	for (const struct conf_option *o = table; o->path; o++) {
		if (str_starts(str_c(o->path), path) && o->path[path.n] == '.')
			return true;
	}
	return false;
}

static int pair(struct walk *w, struct level *l, const yaml_node_t *key, yaml_node_t *value, const char *prefix)
{
	char path[PATH_MAX_BYTES];
	size_t line = line_of(key);
	if (key->type != YAML_SCALAR_NODE)
		return fail(w, ERR_SYNTAX, line, "", "an option name is a word, not %s", describe(key));
	struct str name = text_of(key);
	int n = snprintf(path, sizeof(path), "%s%s%.*s", prefix, prefix[0] ? "." : "", STR_ARG(name));
	if (n < 0 || (size_t)n >= sizeof(path) || name.n == 0 || str_find(name, '\0') >= 0)
		return unknown(w, l, path, line);
	for (const struct conf_option *o = l->table; o->path; o++) {
		if (strcmp(o->path, path) == 0)
			return apply(w, l, o, value, line);
	}
	if (!is_group(l->table, str_c(path)))
		return unknown(w, l, path, line);
	if (is_null(value))
		return 0; /* a group whose options are all commented out */
	if (value->type != YAML_MAPPING_NODE) {
		char option[2 * PATH_MAX_BYTES];
		(void)snprintf(option, sizeof(option), "%s%s", l->outer, path);
		return fail(w, ERR_SYNTAX, line, option, "is a group of options, not %s; write them indented below it",
			    describe(value));
	}
	return fill(w, l, value, path);
}

static int fill(struct walk *w, struct level *l, yaml_node_t *node, const char *prefix)
{
	yaml_node_pair_t *first = node->data.mapping.pairs.start, *end = node->data.mapping.pairs.top;
	int e = 0;
	for (yaml_node_pair_t *p = first; p < end && !e; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
		/* The same group twice: libyaml does not mind, but the reader of the file would overlook one. */
		for (yaml_node_pair_t *q = first; q < p; q++) {
			const yaml_node_t *former = yaml_document_get_node(w->doc, q->key);
			char shown[CONF_SHOWN];
			if (key->type == YAML_SCALAR_NODE && former->type == YAML_SCALAR_NODE &&
			    str_eq(text_of(key), text_of(former)))
				return fail(w, ERR_SYNTAX, line_of(key), conf_shown(text_of(key), shown),
					    "is given twice, first in line %zu; remove one", line_of(former));
		}
		e = pair(w, l, key, yaml_document_get_node(w->doc, p->value), prefix);
	}
	return e;
}

/* ---- defaults ---- */

static void default_list(const struct conf_option *o, void *target)
{
	struct conf_list *field = conf_field(o, target);
	struct str rest = str_c(o->def), part;
	if (rest.n == 0)
		return;
	assert(o->kind == CONF_STR_LIST);
	size_t n = 1;
	for (size_t i = 0; i < rest.n; i++)
		n += rest.p[i] == ',';
	char **v = mem_zero(n * sizeof(*v));
	field->v = v;
	while (str_split(&rest, ',', &part))
		v[field->n++] = str_dup(str_trim(part));
}

/* What the file did not say. line: where the missing option would belong. */
static int fill_defaults(struct walk *w, struct level *l, size_t line)
{
	for (const struct conf_option *o = l->table; o->path; o++) {
		if (l->seen[o - l->table])
			continue;
		if (!o->def) {
			char option[2 * PATH_MAX_BYTES];
			(void)snprintf(option, sizeof(option), "%s%s", l->outer, o->path);
			return fail(w, ERR_SYNTAX, line, option, "is missing and has no default; add it (%s)",
				    o->doc ? o->doc : "");
		}
		if (o->kind == CONF_STR_LIST || o->kind == CONF_MAP_LIST) {
			default_list(o, l->target);
		} else if (o->def[0] != '\0' || o->kind == CONF_STR) {
			struct err_msg why;
			int e = conf_set(o, l->target, str_c(o->def), &why);
			assert(e == 0); /* a default of our own table that is out of its own range */
			(void)e;
		}
	}
	return 0;
}

/* ---- document ---- */

static int yaml_failure(struct walk *w, const yaml_parser_t *p)
{
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(w->msg, ERR_NOMEM, "%s: out of memory", w->name);
	const char *problem = p->problem ? p->problem : "not YAML";
	/* What libyaml says about a tab is not what helps. */
	bool tab = strstr(problem, "cannot start any token") != NULL;
	size_t line = p->error == YAML_READER_ERROR ? p->mark.line + 1 : p->problem_mark.line + 1;
	return fail(w, ERR_SYNTAX, line, "", "not valid YAML: %s%s", problem,
		    tab ? "; indent by spaces instead of tabs, and quote texts that begin with a special character"
			: "");
}

static int read_document(struct walk *w, yaml_parser_t *parser, const struct conf_option *table, void *target)
{
	yaml_document_t second;
	if (!yaml_parser_load(parser, w->doc))
		return yaml_failure(w, parser);
	struct level top = { table, target, mem_zero(row_count(table) * sizeof(bool)), "" };
	yaml_node_t *root = yaml_document_get_root_node(w->doc);
	int e = 0;
	if (root && root->type != YAML_MAPPING_NODE && !is_null(root))
		e = fail(w, ERR_SYNTAX, line_of(root), "",
			 "the file is %s; it should hold lines such as `option: value`", describe(root));
	else if (root && root->type == YAML_MAPPING_NODE)
		e = fill(w, &top, root, "");
	if (!e)
		e = fill_defaults(w, &top, 1);
	if (!e && root) {
		if (!yaml_parser_load(parser, &second)) {
			e = yaml_failure(w, parser);
		} else {
			const yaml_node_t *more = yaml_document_get_root_node(&second);
			if (more)
				e = fail(w, ERR_SYNTAX, line_of(more), "",
					 "a second document begins; remove the line `---` before it");
			yaml_document_delete(&second);
		}
	}
	mem_free(top.seen);
	yaml_document_delete(w->doc);
	return e;
}

int conf_parse(struct str text, const char *name, const struct conf_option *table, void *target, struct err_msg *msg)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	struct walk w = { name, &doc, msg };
	if (!yaml_parser_initialize(&parser))
		return err_set(msg, ERR_NOMEM, "%s: out of memory", name);
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.n > 0 ? text.p : ""), text.n);
	int e = read_document(&w, &parser, table, target);
	yaml_parser_delete(&parser);
	if (e)
		conf_clear(table, target);
	return e;
}

/* Reads the whole file; *out_text is the caller's to free. */
static int read_file(int fd, const char *file, char **out_text, size_t *out_n, struct err_msg *msg)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(msg, ERR_SYNTAX, "%s: is a directory; give the configuration file itself", file);
	char *text = mem_alloc(FILE_MAX_BYTES + 1);
	size_t n = 0;
	ssize_t got;
	while ((got = read(fd, text + n, FILE_MAX_BYTES + 1 - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		n += got > 0 ? (size_t)got : 0;
		if (got > 0 && n <= FILE_MAX_BYTES)
			continue;
		int e = got < 0 ? err_set(msg, err_from_errno(errno), "%s: cannot be read: %s", file, strerror(errno))
				: err_set(msg, ERR_LIMIT, "%s: is larger than %d bytes; is it the configuration?", file,
					  FILE_MAX_BYTES);
		mem_free(text);
		return e;
	}
	*out_text = text;
	*out_n = n;
	return 0;
}

int conf_load(const char *file, const struct conf_option *table, void *target, struct err_msg *msg)
{
	char *text = NULL;
	size_t n = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		const char *cure = errno == ENOENT   ? "; give its path with -c FILE"
				   : errno == EACCES ? "; make it readable for the user the server runs as"
						     : "";
		return err_set(msg, err_from_errno(errno), "%s: cannot be opened: %s%s", file, strerror(errno), cure);
	}
	int e = read_file(fd, file, &text, &n, msg);
	close(fd);
	if (e)
		return e;
	e = conf_parse(str_of(text, n), file, table, target, msg);
	mem_free(text);
	return e;
}

void conf_clear(const struct conf_option *table, void *target)
{
	for (const struct conf_option *o = table; o->path; o++) {
		void *field = conf_field(o, target);
		if (o->kind == CONF_STR) {
			mem_free(*(char **)field);
			*(char **)field = NULL;
		} else if (o->kind == CONF_STR_LIST || o->kind == CONF_MAP_LIST) {
			struct conf_list *l = field;
			for (size_t i = 0; i < l->n; i++) {
				if (o->kind == CONF_STR_LIST)
					mem_free(((char **)l->v)[i]);
				else
					conf_clear(o->rows, (char *)l->v + i * o->row_size);
			}
			mem_free(l->v);
			*l = (struct conf_list){ 0 };
		}
	}
}
