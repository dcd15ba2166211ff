/*
 * Trees by expat: see treemaker.h. Names become atoms; texts of atoms are static, everything else is copied into the
 * arena. Namespace names that are not atoms are shared within one stanza, so that 4,000 elements under one long URI
 * cost it once. A treemaker is retired after RETIRE_BYTES or RETIRE_UNITS of input (expat keeps every name it ever
 * saw) and after one large stanza (its buffer has grown). Thread: each thread has its own pool.
 */
#include "xml/treemaker.h"
#include "base/buf.h"
#include "base/mem.h"
#include "xml/parser.h"
#include <assert.h>
#include <expat.h>
#include <pthread.h>
#include <string.h>

#define POOL_EACH 4
#define RETIRE_BYTES (1u << 20)
#define RETIRE_UNITS 10000
#define LARGE_BYTES (64u << 10)
#define SEPARATOR '\n' /* the one character that expat itself refuses inside a namespace name (M10, row X13) */
#define SHARED 64

struct treemaker {
	XML_Parser expat;
	enum treemaker_kind kind;
	bool broken, used_up;
	unsigned units;
	size_t fed;
	const char *why;
	/* of the element being parsed */
	struct arena *arena;
	struct node *root, *cur;
	bool complete, too_long;
	struct decl *decls;
	struct buf text;
	bool any_shared;
	struct str shared[SHARED];
};

struct pool {
	struct treemaker *v[TREE_KINDS][POOL_EACH];
	size_t n[TREE_KINDS];
};
static _Thread_local struct pool *pool;
static _Thread_local uint64_t calls;
static pthread_key_t pool_key;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static struct str share_ns(struct treemaker *t, struct str uri)
{
	struct str *slot = &t->shared[str_hash(uri) % SHARED];

	if (!str_eq(*slot, uri))
		*slot = arena_str(t->arena, uri);
	t->any_shared = true;
	return *slot;
}

/* Splits "uri\nname". The namespace comes back as atom or shared copy, the name as a slice of expat's memory. */
static struct str split_name(struct treemaker *t, const char *full, enum ns *out_ns, struct str *out_ns_str)
{
	size_t n = strlen(full);
	const char *sep = memchr(full, SEPARATOR, n);

	*out_ns = NS_NONE;
	*out_ns_str = STR("");
	if (!sep)
		return str_of(full, n);
	struct str uri = str_of(full, (size_t)(sep - full));
	if (uri.n > PARSER_NS_BYTES && !t->too_long) {
		t->too_long = true;
		XML_StopParser(t->expat, XML_FALSE);
	}
	struct node *parent = t->cur;
	if (parent && str_eq(parent->ns_str, uri)) {
		*out_ns = parent->ns;
		*out_ns_str = parent->ns_str;
	} else {
		*out_ns = ns_of(uri);
		*out_ns_str = *out_ns ? ns_str(*out_ns) : share_ns(t, uri);
	}
	return str_of(sep + 1, n - uri.n - 1);
}

static void flush_text(struct treemaker *t)
{
	if (!t->text.n)
		return;
	struct node *n = ARENA_NEW(t->arena, struct node);
	n->text = arena_str(t->arena, buf_str(&t->text));
	n->parent = t->cur;
	if (t->cur->last)
		t->cur->last->next = n;
	else
		t->cur->first = n;
	t->cur->last = n;
	buf_reset(&t->text);
}

static void add_attrs(struct treemaker *t, struct node *n, const char **atts)
{
	for (; *atts; atts += 2) {
		struct attr *at = arena_alloc(t->arena, sizeof *at);
		enum ns ns;
		at->next = NULL;
		at->name = arena_str(t->arena, split_name(t, atts[0], &ns, &at->ns));
		at->value = arena_str(t->arena, str_c(atts[1]));
		if (n->attrs_last)
			n->attrs_last->next = at;
		else
			n->attrs = at;
		n->attrs_last = at;
	}
}

static void on_start(void *ctx, const char *full, const char **atts)
{
	struct treemaker *t = ctx;

	if (t->root && !t->cur) { /* a second element: scanner and expat disagree about the end of the first */
		t->broken = true;
		return;
	}
	struct node *n = ARENA_NEW(t->arena, struct node);
	if (t->cur)
		flush_text(t);
	struct str name = split_name(t, full, &n->ns, &n->ns_str);
	n->name = atom_of(name);
	n->name_str = n->name ? atom_str(n->name) : arena_str(t->arena, name);
	n->parent = t->cur;
	if (!t->cur)
		t->root = n;
	else if (t->cur->last)
		t->cur->last->next = n;
	else
		t->cur->first = n;
	if (t->cur)
		t->cur->last = n;
	add_attrs(t, n, atts);
	t->cur = n;
}

static void on_end(void *ctx, const char *full)
{
	struct treemaker *t = ctx;

	(void)full;
	if (!t->cur) { /* the end tag of the primed parent */
		t->broken = true;
		return;
	}
	flush_text(t);
	t->cur = t->cur->parent;
	if (!t->cur) /* all bytes, no more and no less, belong to this element */
		t->complete =
			(size_t)XML_GetCurrentByteIndex(t->expat) + (size_t)XML_GetCurrentByteCount(t->expat) == t->fed;
}

static void on_text(void *ctx, const char *p, int n)
{
	struct treemaker *t = ctx;

	if (t->cur)
		buf_add(&t->text, p, (size_t)n);
	else
		t->broken = true;
}

static void on_decl(void *ctx, const char *prefix, const char *uri)
{
	struct treemaker *t = ctx;

	if (t->cur || t->root)
		return;
	struct decl *d = ARENA_NEW(t->arena, struct decl);
	d->prefix = arena_str(t->arena, str_c(prefix));
	d->uri = arena_str(t->arena, str_c(uri));
	d->next = t->decls;
	t->decls = d;
}

static void treemaker_free(struct treemaker *t)
{
	if (t->expat)
		XML_ParserFree(t->expat);
	buf_clear(&t->text);
	mem_free(t);
}

static enum XML_Status feed(struct treemaker *t, struct str bytes)
{
	calls++;
	t->fed += bytes.n;
	return XML_Parse(t->expat, bytes.p, (int)bytes.n, XML_FALSE);
}

static struct treemaker *treemaker_new(enum treemaker_kind kind, struct str start_tag)
{
	static const XML_Memory_Handling_Suite memory = { mem_alloc, mem_realloc, mem_free };
	static const char separator[] = { SEPARATOR, 0 };
	struct treemaker *t = NEW(struct treemaker);

	t->kind = kind;
	buf_init(&t->text, SIZE_MAX / 4);
	t->expat = XML_ParserCreate_MM("UTF-8", &memory, separator);
	if (!t->expat || feed(t, start_tag) != XML_STATUS_OK) {
		treemaker_free(t);
		return NULL;
	}
#ifdef HAVE_XML_SETREPARSEDEFERRALENABLED
	/* Not needed as only whole elements are fed (M6, row X07); said all the same for whoever feeds less one day. */
	XML_SetReparseDeferralEnabled(t->expat, XML_FALSE);
#endif
	XML_SetUserData(t->expat, t);
	XML_SetElementHandler(t->expat, on_start, on_end);
	XML_SetCharacterDataHandler(t->expat, on_text);
	return t;
}

static void free_pool(void *p)
{
	struct pool *l = p;

	for (int k = 0; k < TREE_KINDS; k++)
		while (l->n[k] > 0)
			treemaker_free(l->v[k][--l->n[k]]);
	mem_free(l);
	pool = NULL;
}

static void make_key(void)
{
	pthread_key_create(&pool_key, free_pool);
}

void treemaker_pool_clear(void)
{
	if (!pool)
		return;
	pthread_setspecific(pool_key, NULL);
	free_pool(pool);
}

struct treemaker *treemaker_take(enum treemaker_kind kind, struct str start_tag)
{
	static const char *const tags[TREE_KINDS] = {
		[TREE_PLAIN] = "<d>",
		[TREE_CLIENT] = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
	};
	if (kind == TREE_OWN)
		return treemaker_new(kind, start_tag);
	if (pool && pool->n[kind] > 0)
		return pool->v[kind][--pool->n[kind]];
	return treemaker_new(kind, str_c(tags[kind]));
}

void treemaker_give(struct treemaker *t)
{
	if (!t)
		return;
	if (t->broken || t->used_up || t->kind == TREE_OWN || t->units >= RETIRE_UNITS || t->fed >= RETIRE_BYTES) {
		treemaker_free(t);
		return;
	}
	if (!pool) {
		pthread_once(&pool_once, make_key);
		pool = NEW(struct pool);
		pthread_setspecific(pool_key, pool);
	}
	if (pool->n[t->kind] == POOL_EACH)
		treemaker_free(t);
	else
		pool->v[t->kind][pool->n[t->kind]++] = t;
}

static int map_error(enum XML_Error e)
{
	switch (e) {
	case XML_ERROR_UNBOUND_PREFIX:
	case XML_ERROR_UNDECLARING_PREFIX:
	case XML_ERROR_RESERVED_PREFIX_XML:
	case XML_ERROR_RESERVED_PREFIX_XMLNS:
	case XML_ERROR_RESERVED_NAMESPACE_URI: return PARSER_BAD_NAMESPACE;
	case XML_ERROR_UNKNOWN_ENCODING:
	case XML_ERROR_INCORRECT_ENCODING: return PARSER_ENCODING;
	default: return PARSER_NOT_WELL_FORMED;
	}
}

static int fail(struct treemaker *t, int error, const char *why)
{
	t->broken = true;
	t->why = why;
	return error;
}

int treemaker_parse(struct treemaker *t, struct arena *a, struct str bytes, struct node **out_root,
		    struct decl **out_decls)
{
	assert(!t->broken && bytes.n <= INT32_MAX);
	t->arena = a;
	t->root = t->cur = NULL;
	t->decls = NULL;
	t->complete = t->too_long = false;
	if (t->any_shared) {
		memset(t->shared, 0, sizeof t->shared);
		t->any_shared = false;
	}
	XML_SetNamespaceDeclHandler(t->expat, out_decls ? on_decl : NULL, NULL);
	enum XML_Status status = feed(t, bytes);
	t->units++;
	if (t->too_long)
		return fail(t, PARSER_POLICY, "namespace name too long");
	if (status != XML_STATUS_OK)
		return fail(t, map_error(XML_GetErrorCode(t->expat)), XML_ErrorString(XML_GetErrorCode(t->expat)));
	if (!t->complete || t->broken)
		return fail(t, PARSER_NOT_WELL_FORMED, "not one whole element");
	if (bytes.n > LARGE_BYTES)
		t->used_up = true;
	*out_root = t->root;
	if (out_decls)
		*out_decls = t->decls;
	return 0;
}

const char *treemaker_why(const struct treemaker *t)
{
	return t->why;
}

uint64_t treemaker_calls(void)
{
	return calls;
}
