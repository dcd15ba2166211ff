/*
 * Streams and documents: the scanner finds the end of each unit (declaration, header, stanza, close), the bytes of an
 * unfinished one are held, a treemaker turns a complete one into a tree. The header is parsed as an empty element of
 * its own (its '>' replaced by '/>'), so it needs no expat object of the stream. Streams that declare exactly the
 * usual two namespaces share the treemakers of the thread; others (rare) prime one of their own for each parser_feed
 * that completes a stanza. Callbacks run outside of expat (row X08); limits live here and survive everything but
 * parser_free (row X09).
 */
#include "xml/parser.h"
#include "base/buf.h"
#include "base/mem.h"
#include "xml/print.h"
#include "xml/scanner.h"
#include "xml/treemaker.h"
#include <assert.h>
#include <string.h>

struct parser {
	struct parser_events ev;
	void *ctx;
	struct parser_limits limits;
	struct scanner scan;
	struct buf hold; /* bytes of the unfinished unit */
	bool usual;	 /* header declared just jabber:client and stream: */
	bool stopped, feeding;
	int error; /* final */
	const char *why;
	struct str content_ns; /* static text or own_text's */
	char *own_text; /* root name, '\0'-separated from own start tag and content namespace; NULL for usual streams */
	struct str root_name, own_tag;
};

static_assert(sizeof(struct parser) < 300, "10,000 idle streams each own one of these and nothing else");

struct parser *parser_new(const struct parser_events *ev, void *ctx, const struct parser_limits *limits)
{
	struct parser *p = NEW(struct parser);

	atom_init();
	p->ev = *ev;
	p->ctx = ctx;
	p->limits = *limits;
	scanner_init(&p->scan, false);
	buf_init(&p->hold, SIZE_MAX / 4); /* the scanner bounds it */
	return p;
}

void parser_free(struct parser *p)
{
	if (!p)
		return;
	assert(!p->feeding);
	buf_clear(&p->hold);
	mem_free(p->own_text);
	mem_free(p);
}

void parser_set_limits(struct parser *p, const struct parser_limits *limits)
{
	p->limits = *limits;
}

void parser_stop(struct parser *p)
{
	p->stopped = true;
}

struct str parser_content_ns(const struct parser *p)
{
	return p->content_ns;
}

bool parser_is_idle(const struct parser *p)
{
	return !p->feeding && scanner_rests(&p->scan);
}

static int fail(struct parser *p, int error, const char *why)
{
	p->error = error;
	p->why = why;
	buf_clear(&p->hold);
	return error;
}

static bool is_white(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t skip_white(const char *data, size_t n)
{
	size_t i = 0;
	while (i < n && is_white(data[i]))
		i++;
	return i;
}

/* ---- the XML declaration: <?xml version='1.0' encoding='utf-8' standalone='yes'?> ---- */

/* Cuts ` name='value'` off *rest; false when there is none. */
static bool cut_pseudo_attr(struct str *rest, struct str *out_name, struct str *out_value)
{
	size_t i = skip_white(rest->p, rest->n), from = i;
	const char *end;

	if (i == 0)
		return false;
	while (i < rest->n && rest->p[i] >= 'a' && rest->p[i] <= 'z')
		i++;
	*out_name = str_of(rest->p + from, i - from);
	i += skip_white(rest->p + i, rest->n - i);
	if (i == rest->n || rest->p[i] != '=')
		return false;
	i++;
	i += skip_white(rest->p + i, rest->n - i);
	if (i == rest->n || (rest->p[i] != '"' && rest->p[i] != '\''))
		return false;
	end = memchr(rest->p + i + 1, rest->p[i], rest->n - i - 1);
	if (!end)
		return false;
	*out_value = str_of(rest->p + i + 1, (size_t)(end - rest->p) - i - 1);
	*rest = str_of(end + 1, (size_t)(rest->p + rest->n - end) - 1);
	return true;
}

/* XML 1.0, 2.8: version, then perhaps encoding, then perhaps standalone. Ours must be UTF-8 (RFC 6120 11.6). */
static int check_declaration(struct str decl, const char **out_why)
{
	static const char *const order[] = { "version", "encoding", "standalone" };
	struct str rest, name, value;
	size_t at = 0;

	*out_why = "broken XML declaration";
	if (!str_starts(decl, STR("<?xml")) || !str_ends(decl, STR("?>")))
		return PARSER_NOT_WELL_FORMED;
	rest = str_of(decl.p + 5, decl.n - 7);
	while (str_trim(rest).n > 0) {
		if (!cut_pseudo_attr(&rest, &name, &value))
			return PARSER_NOT_WELL_FORMED;
		size_t k = at;
		while (k < 3 && !str_eq_c(name, order[k]))
			k++;
		if (k == 3 || (at == 0 && k != 0) || (k == 0 && !str_eq_c(value, "1.0")))
			return PARSER_NOT_WELL_FORMED;
		if (k == 1 && !str_ieq(value, STR("utf-8"))) {
			*out_why = "only UTF-8 is supported (RFC 6120 11.6)";
			return PARSER_ENCODING;
		}
		if (k == 2 && !str_eq_c(value, "yes") && !str_eq_c(value, "no"))
			return PARSER_NOT_WELL_FORMED;
		at = k + 1;
	}
	return at ? 0 : PARSER_NOT_WELL_FORMED;
}

/* ---- the stream header ---- */

static bool is_usual(const struct decl *decls)
{
	bool client = false, stream = false;
	size_t n = 0;

	for (const struct decl *d = decls; d; d = d->next, n++) {
		client = client || (d->prefix.n == 0 && str_eq(d->uri, ns_str(NS_CLIENT)));
		stream = stream || (str_eq(d->prefix, STR("stream")) && str_eq(d->uri, ns_str(NS_STREAMS)));
	}
	return n == 2 && client && stream;
}

/* Keeps the header's declarations as a start tag `<r xmlns='...' xmlns:p='...'>`, and the names, in one block. */
static void keep_own(struct parser *p, struct str root_name, const struct decl *decls)
{
	struct buf b;
	struct str content = STR_NONE;
	size_t tag_n;

	buf_init(&b, SIZE_MAX / 4);
	buf_lit(&b, "<r");
	for (const struct decl *d = decls; d; d = d->next) {
		buf_str_add(&b, d->prefix.n ? STR(" xmlns:") : STR(" xmlns"));
		buf_str_add(&b, d->prefix);
		buf_lit(&b, "='");
		print_attr_value(&b, d->uri);
		buf_byte(&b, '\'');
		if (!d->prefix.n)
			content = d->uri;
	}
	buf_byte(&b, '>');
	tag_n = b.n;
	buf_str_add(&b, root_name);
	buf_str_add(&b, content);
	p->own_text = buf_take(&b, &(size_t){ 0 });
	p->own_tag = str_of(p->own_text, tag_n);
	p->root_name = str_of(p->own_text + tag_n, root_name.n);
	p->content_ns = str_of(p->root_name.p + root_name.n, content.n);
}

static struct str tag_name(struct str tag, size_t from)
{
	size_t i = from;
	while (i < tag.n && !is_white(tag.p[i]) && tag.p[i] != '/' && tag.p[i] != '>')
		i++;
	return str_of(tag.p + from, i - from);
}

static int header_tree(struct parser *p, struct arena *a, struct str tag, struct node **out, struct decl **out_decls)
{
	size_t inner = tag.n - (p->scan.empty ? 2 : 1);
	char *closed = arena_alloc(a, inner + 2);
	struct treemaker *t = treemaker_take(TREE_PLAIN, STR_NONE);
	int err;

	memcpy(closed, tag.p, inner);
	memcpy(closed + inner, "/>", 2);
	assert(t);
	err = treemaker_parse(t, a, str_of(closed, inner + 2), out, out_decls);
	if (err)
		fail(p, err, treemaker_why(t));
	treemaker_give(t);
	return err;
}

static int take_header(struct parser *p, struct arena *a, struct str tag)
{
	struct node *header;
	struct decl *decls;
	struct str name = tag_name(tag, 1);
	int err = header_tree(p, a, tag, &header, &decls);

	if (err)
		return err;
	p->usual = is_usual(decls) && str_eq(name, STR("stream:stream"));
	if (p->usual) {
		p->root_name = STR("stream:stream");
		p->content_ns = ns_str(NS_CLIENT);
	} else {
		keep_own(p, name, decls);
	}
	p->ev.on_open(p->ctx, header);
	if (p->scan.empty && !p->stopped) {
		p->stopped = true; /* nothing may follow */
		p->ev.on_close(p->ctx);
	}
	return 0;
}

/* ---- stanzas and the end ---- */

/* tree: the treemaker in use during this feed, taken when the first stanza needs it. */
static int take_stanza(struct parser *p, struct arena *a, struct str bytes, struct treemaker **tree)
{
	struct node *stanza;
	int err;

	if (!*tree)
		*tree = treemaker_take(p->usual ? TREE_CLIENT : TREE_OWN, p->own_tag);
	if (!*tree)
		return fail(p, PARSER_NOT_WELL_FORMED, "namespaces of the stream header cannot be used");
	err = treemaker_parse(*tree, a, bytes, &stanza, NULL);
	if (err)
		return fail(p, err, treemaker_why(*tree));
	p->ev.on_stanza(p->ctx, stanza);
	return 0;
}

static int take_close(struct parser *p, struct str tag)
{
	struct str name = tag_name(tag, 2);

	/* Nothing but white space may follow the name. */
	if (!str_eq(name, p->root_name) || str_trim(str_of(name.p + name.n, tag.n - name.n - 3)).n > 0)
		return fail(p, PARSER_NOT_WELL_FORMED, "the end tag does not match the stream");
	p->stopped = true;
	p->ev.on_close(p->ctx);
	return 0;
}

static int take_unit(struct parser *p, struct arena *a, int what, struct str bytes, struct treemaker **tree)
{
	const char *why;
	int err;

	switch (what) {
	case SCAN_DECL: err = check_declaration(bytes, &why); return err ? fail(p, err, why) : 0;
	case SCAN_OPEN: return take_header(p, a, bytes);
	case SCAN_ELEMENT: return take_stanza(p, a, bytes, tree);
	default: return take_close(p, bytes);
	}
}

/* Between units: white space goes, '<' begins one. Returns a parser_error or 0. */
static int between(struct parser *p, const char *data, size_t n, size_t *pos)
{
	*pos += skip_white(data + *pos, n - *pos);
	if (*pos == n || data[*pos] == '<')
		return 0;
	uint8_t c = (uint8_t)data[*pos];
	if (!p->scan.begun && (c == 0xfe || c == 0xff || c == 0))
		return fail(p, PARSER_ENCODING, "only UTF-8 is supported (RFC 6120 11.6)");
	return fail(p, PARSER_NOT_WELL_FORMED,
		    p->scan.opened ? "text between stanzas" : "text before the first element");
}

static int feed(struct parser *p, struct arena *a, const char *data, size_t n, size_t *pos, struct treemaker **tree)
{
	while (*pos < n && !p->stopped) {
		size_t used;
		const char *why;
		if (scanner_rests(&p->scan)) {
			if (between(p, data, n, pos) != 0)
				return p->error;
			if (*pos == n)
				break;
		}
		struct str unit = str_of(data + *pos, 0);
		int what = scanner_run(&p->scan, &p->limits, unit.p, n - *pos, &used, &why);
		if (what < 0)
			return fail(p, what, why);
		unit.n = used;
		*pos += used;
		if (p->hold.n > 0 || what == SCAN_MORE) {
			buf_str_add(&p->hold, unit);
			unit = buf_str(&p->hold);
		}
		if (what == SCAN_MORE)
			break;
		int err = take_unit(p, a, what, unit, tree);
		if (p->hold.p)
			buf_clear(&p->hold);
		if (err)
			return err;
	}
	return 0;
}

int parser_feed(struct parser *p, struct arena *a, const char *data, size_t n, size_t *out_used)
{
	struct treemaker *tree = NULL;
	size_t pos = 0;
	int err = p->error;

	assert(!p->feeding);
	if (!err && n > 0) {
		p->feeding = true;
		err = feed(p, a, data, n, &pos, &tree);
		p->feeding = false;
		treemaker_give(tree);
	}
	if (out_used)
		*out_used = pos;
	return err;
}

/* ---- documents ---- */

int parse_document(struct arena *a, struct str bytes, const struct parser_limits *limits, struct node **out_root)
{
	struct scanner scan;
	size_t pos = 0, used;
	int what = SCAN_MORE, err;
	const char *why;

	atom_init();
	*out_root = NULL;
	if (bytes.n > INT32_MAX)
		return PARSER_POLICY;
	if (bytes.n && ((uint8_t)bytes.p[0] >= 0xfe || bytes.p[0] == 0))
		return PARSER_ENCODING;
	if (str_starts(bytes, STR("\xef\xbb\xbf"))) /* files may begin with it; streams may not */
		pos = 3;
	scanner_init(&scan, true);
	while (what != SCAN_ELEMENT) {
		pos += skip_white(bytes.p + pos, bytes.n - pos);
		if (pos == bytes.n || bytes.p[pos] != '<')
			return PARSER_NOT_WELL_FORMED;
		what = scanner_run(&scan, limits, bytes.p + pos, bytes.n - pos, &used, &why);
		if (what < 0)
			return what;
		if (what == SCAN_DECL && (err = check_declaration(str_of(bytes.p + pos, used), &why)) != 0)
			return err;
		if (what == SCAN_MORE || what == SCAN_CLOSE)
			return PARSER_NOT_WELL_FORMED;
		pos += used;
	}
	if (pos + skip_white(bytes.p + pos, bytes.n - pos) != bytes.n) {
		struct str rest = str_trim(str_of(bytes.p + pos, bytes.n - pos));
		return str_starts(rest, STR("<!")) || str_starts(rest, STR("<?")) ? PARSER_RESTRICTED
										  : PARSER_NOT_WELL_FORMED;
	}
	struct treemaker *t = treemaker_take(TREE_PLAIN, STR_NONE);
	assert(t);
	err = treemaker_parse(t, a, str_of(bytes.p + pos - used, used), out_root, NULL);
	treemaker_give(t);
	return err;
}

/* ---- errors and pool ---- */

const char *parser_error_condition(int error)
{
	switch (error) {
	case PARSER_RESTRICTED: return "restricted-xml";
	case PARSER_ENCODING: return "unsupported-encoding";
	case PARSER_POLICY: return "policy-violation";
	case PARSER_BAD_NAMESPACE: return "bad-namespace-prefix";
	default: return "not-well-formed";
	}
}

const char *parser_error_text(const struct parser *p)
{
	return p->why ? p->why : "";
}

void parser_pool_clear(void)
{
	treemaker_pool_clear();
}

uint64_t parser_expat_calls(void)
{
	return treemaker_calls();
}
