/*
 * Entity capabilities of our own clients (XEP-0115 with the checks of 5.4, row I12). Each worker has a cache of
 * verified answers, keyed by hash algorithm and hash, bounded; an answer that cannot be verified counts for its
 * session only. A cache entry keeps the nodes with +notify and nothing else. Home thread of the session; caps_verify
 * is pure.
 */
#include "server/xmpp/caps.h"
#include "base/crypto.h"
#include "base/hash.h"
#include "base/random.h"
#include "server/xmpp/pep.h"
#include "xml/form.h"
#include "xml/parser.h"
#include <stdlib.h>
#include <string.h>

enum { CACHE_MAX = 500, NODES_MAX = 200, NODES_BYTES_MAX = 16384 };

/* ---- the verification string ---- */

static int by_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The part before the first '<'. */
static struct str head_of(struct str piece)
{
	return str_of(piece.p, (size_t)str_find(piece, '<'));
}

/* Sorting is by what was there before '<' was put behind it: "mam:2" stands before "mam:2#extended". */
static int by_head(const void *a, const void *b)
{
	return str_cmp(head_of(*(const struct str *)a), head_of(*(const struct str *)b));
}

/* Appends sorted pieces, each ending in '<'; false when two are equal and must not be. */
static bool add_sorted(struct buf *b, struct str *v, size_t n, bool unique)
{
	qsort(v, n, sizeof *v, by_head);
	for (size_t i = 0; i < n; i++) {
		if (unique && i && str_eq(v[i], v[i - 1]))
			return false;
		buf_str_add(b, v[i]);
	}
	return true;
}

static bool has_separator(struct str s)
{
	return s.n && str_find(s, '<') >= 0;
}

/* One extended form of 5.4 step 3.6: "FORM_TYPE<var<value<...". Empty when it does not count; false when it is
 * ill-formed. */
static bool form_piece(struct arena *a, const struct node *x, struct str *out)
{
	struct buf b;
	struct str *fields, *values, type = STR_NONE;
	size_t n = 0, count = 0;

	node_each (f, x)
		count++;
	fields = arena_alloc(a, (count + 1) * sizeof *fields);
	node_each (f, x) {
		struct str var = node_attr(f, "var");
		size_t k;
		if (f->name != A_field || !var.n)
			continue;
		if (has_separator(var))
			return false;
		k = form_values(a, x, arena_str(a, var).p, &values);
		for (size_t i = 0; i < k; i++)
			if (has_separator(values[i]))
				return false;
		if (str_eq_c(var, "FORM_TYPE")) {
			for (size_t i = 1; i < k; i++)
				if (!str_eq(values[i], values[0]))
					return false;
			if (k && str_eq_c(node_attr(f, "type"), "hidden"))
				type = values[0];
			continue;
		}
		buf_init(&b, 1u << 20);
		buf_str_add(&b, var);
		buf_byte(&b, '<');
		qsort(values, k, sizeof *values, by_str);
		for (size_t i = 0; i < k; i++) {
			buf_str_add(&b, values[i]);
			buf_byte(&b, '<');
		}
		fields[n++] = arena_str(a, buf_str(&b));
		buf_clear(&b);
	}
	*out = STR_NONE;
	if (!type.p)
		return true;
	buf_init(&b, 1u << 20);
	buf_str_add(&b, type);
	buf_byte(&b, '<');
	add_sorted(&b, fields, n, false);
	*out = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return true;
}

static bool verification_string(struct arena *a, const struct node *query, struct buf *b)
{
	size_t count = 0, ni = 0, nf = 0, nx = 0;
	struct str *identities, *features, *forms, piece;

	node_each (n, query)
		count++;
	identities = arena_alloc(a, (count + 1) * 3 * sizeof *identities);
	features = identities + count + 1;
	forms = features + count + 1;
	node_each (n, query) {
		if (node_is(n, A_identity, NS_DISCO_INFO)) {
			identities[ni++] =
				arena_cat(a, node_attr(n, "category"), STR("/"), node_attr(n, "type"), STR("/"),
					  node_lang(n).p ? node_lang(n) : STR(""), STR("/"),
					  node_attr(n, "name").p ? node_attr(n, "name") : STR(""), STR("<"), STR_NONE);
		} else if (node_is(n, A_feature, NS_DISCO_INFO)) {
			features[nf++] = arena_cat(a, node_attr(n, "var"), STR("<"), STR_NONE);
		} else if (node_is(n, A_x, NS_DATA)) {
			if (!form_piece(a, n, &piece))
				return false;
			if (piece.p)
				forms[nx++] = piece;
		}
	}
	if (!add_sorted(b, identities, ni, true) || !add_sorted(b, features, nf, true))
		return false;
	for (size_t i = 0; i < nx; i++) /* 5.4 step 3.4: two forms of one type */
		for (size_t k = 0; k < i; k++)
			if (str_eq(head_of(forms[i]), head_of(forms[k])))
				return false;
	return add_sorted(b, forms, nx, false);
}

static int hash_by_name(struct str name)
{
	return str_eq_c(name, "sha-1")	   ? HASH_SHA1
	       : str_eq_c(name, "sha-256") ? HASH_SHA256
	       : str_eq_c(name, "sha-512") ? HASH_SHA512
					   : -1;
}

/* A name with the separator in it could make the string of another client (section 8.1). */
static bool attributes_complete(const struct node *query)
{
	node_each (n, query) {
		for (const struct attr *at = n->attrs; at; at = at->next)
			if (has_separator(at->value))
				return false;
		if (node_is(n, A_identity, NS_DISCO_INFO) && (!node_attr(n, "category").p || !node_attr(n, "type").p))
			return false;
		if (node_is(n, A_feature, NS_DISCO_INFO) && !node_attr(n, "var").p)
			return false;
	}
	return true;
}

bool caps_verify(struct arena *a, const struct node *query, struct str hash, struct str ver)
{
	int kind = hash_by_name(hash);
	uint8_t d[HASH_MAX];
	char text[HASH_MAX * 2];
	struct buf b;
	bool fits = false;

	if (kind < 0 || !attributes_complete(query))
		return false;
	buf_init(&b, 1u << 20);
	if (verification_string(a, query, &b) && buf_ok(&b)) {
		digest((enum hash_kind)kind, buf_str(&b), d);
		fits = str_eq(str_of(text, base64_encode(d, digest_size((enum hash_kind)kind), text)), ver);
	}
	buf_clear(&b);
	return fits;
}

/* ---- what clients want ---- */

struct entry {
	struct list link; /* of the cache: the one used longest ago stands first */
	unsigned refs;
	bool cached;
	struct str key;
	size_t n;
	struct str *nodes; /* sorted; behind the struct, as the bytes */
};
struct client {
	struct str key;		  /* what its presence said; owned */
	struct entry *entry;	  /* NULL: not known yet */
	char asked[RANDOM_TOKEN]; /* id of our question; empty: none open */
	bool told;		  /* got the last items of what it wants */
};

static _Thread_local struct hash *cache;
static _Thread_local struct list used;

static void entry_unref(struct entry *e)
{
	if (e && --e->refs == 0)
		mem_free(e);
}

static void uncache(struct entry *e)
{
	hash_del(cache, e->key);
	list_del(&e->link);
	e->cached = false;
	entry_unref(e);
}

static void cache_put(struct entry *e)
{
	if (!cache) {
		cache = hash_new();
		list_init(&used);
	}
	if (hash_get(cache, e->key))
		return;
	if (hash_count(cache) >= CACHE_MAX)
		uncache(list_entry(used.next, struct entry, link));
	hash_put(cache, e->key, e);
	list_add(&used, &e->link);
	e->cached = true;
	e->refs++;
}

static struct entry *cache_get(struct str key)
{
	struct entry *e = cache ? hash_get(cache, key) : NULL;

	if (!e)
		return NULL;
	list_del(&e->link);
	list_add(&used, &e->link);
	e->refs++;
	return e;
}

void caps_thread_fini(void)
{
	if (!cache)
		return;
	list_each_safe (e, &used, struct entry, link)
		uncache(e);
	hash_free(cache);
	cache = NULL;
}

static struct entry *entry_new(struct arena *a, const struct node *query, struct str key)
{
	static const char suffix[] = "+notify";
	struct str *v = arena_alloc(a, NODES_MAX * sizeof *v);
	size_t n = 0, bytes = key.n;

	node_each (f, query) {
		struct str var = node_attr(f, "var");
		if (!node_is(f, A_feature, NS_DISCO_INFO) || !str_ends(var, str_c(suffix)) || n == NODES_MAX)
			continue;
		var.n -= sizeof suffix - 1;
		if (bytes + var.n > NODES_BYTES_MAX)
			continue;
		bytes += var.n;
		v[n++] = var;
	}
	qsort(v, n, sizeof *v, by_str);
	struct entry *e = mem_zero(sizeof *e + n * sizeof *v + bytes);
	char *p = (char *)(e + 1) + n * sizeof *v;
	e->nodes = (struct str *)(void *)(e + 1);
	e->refs = 1;
	e->n = n;
	list_init(&e->link);
	for (size_t i = 0; i < n; i++) {
		memcpy(p, v[i].p, v[i].n);
		e->nodes[i] = str_of(p, v[i].n);
		p += v[i].n;
	}
	memcpy(p, key.p, key.n);
	e->key = str_of(p, key.n);
	return e;
}

bool caps_wants_any(const struct session *s)
{
	const struct client *c = s->caps;

	return c && c->entry && c->entry->n;
}

bool caps_wants(const struct session *s, struct str node)
{
	const struct client *c = s->caps;

	return caps_wants_any(s) && bsearch(&node, c->entry->nodes, c->entry->n, sizeof node, by_str) != NULL;
}

/* ---- asking ---- */

static void ask(struct session *s, struct client *c, const struct node *caps)
{
	struct arena *a = arena_new(1024);
	struct node *q = node_new(a, A_query, NS_DISCO_INFO);

	random_token(c->asked);
	node_set(a, q, "node", arena_cat(a, node_attr(caps, "node"), STR("#"), node_attr(caps, "ver"), STR_NONE));
	struct outgoing o = { .kind = STANZA_IQ,
			      .from = jid_domain(&s->jid),
			      .type = STR("get"),
			      .id = str_c(c->asked),
			      .payload = payload_of_node(q) };
	session_send(s, &o);
	chunk_unref(o.payload);
	arena_free(a);
}

static void tell(struct session *s)
{
	struct client *c = s->caps;

	if (c->told || !c->entry || !s->available)
		return;
	c->told = true;
	pep_send_last(s);
}

static void caps_set(struct session *s, const struct node *caps)
{
	struct client *c = s->caps ? s->caps : (s->caps = NEW(struct client));
	struct str hash = node_attr(caps, "hash"), ver = node_attr(caps, "ver"), node = node_attr(caps, "node");
	struct buf b;

	if (!ver.n || !node.n)
		return;
	buf_init(&b, 65536);
	if (hash.n)
		buf_printf(&b, "%.*s %.*s", STR_ARG(hash), STR_ARG(ver));
	else
		buf_printf(&b, "%.*s#%.*s", STR_ARG(node), STR_ARG(ver)); /* before version 1.4: cannot be verified */
	if (buf_ok(&b) && !str_eq(buf_str(&b), c->key)) {
		mem_free((void *)c->key.p);
		c->key = str_of(str_dup(buf_str(&b)), b.n);
		entry_unref(c->entry);
		c->entry = hash.n ? cache_get(c->key) : NULL;
		c->asked[0] = 0;
		c->told = false;
		if (!c->entry)
			ask(s, c, caps);
	}
	buf_clear(&b);
}

void caps_presence(struct session *s, const struct node *caps, bool initial)
{
	if (caps)
		caps_set(s, caps);
	struct client *c = s->caps;
	if (!c)
		return;
	if (initial)
		c->told = false;
	tell(s);
}

void caps_restored(struct session *s, struct str payload)
{
	static const struct parser_limits limits = { 16777216, 16777216, 512, 100000, 1000, 100 };
	struct arena *a = arena_new(4096);
	struct node *root, *caps = NULL;

	if (!parse_document(a,
			    arena_cat(a, STR("<presence xmlns='jabber:client'>"), payload, STR("</presence>"),
				      STR_NONE),
			    &limits, &root))
		caps = node_child(root, A_c, NS_CAPS);
	if (caps) {
		caps_set(s, caps);
		((struct client *)s->caps)->told = true;
	}
	arena_free(a);
}

bool caps_answer(struct request *rq)
{
	struct client *c = rq->session->caps;
	struct node *q = node_child(rq->stanza, A_query, NS_DISCO_INFO);
	ptrdiff_t space;

	if (!c || !c->asked[0] || !str_eq_c(rq->id, c->asked))
		return false;
	c->asked[0] = 0;
	if (!q || !str_eq_c(rq->type, "result"))
		return true;
	c->entry = entry_new(rq->a, q, c->key);
	space = str_find(c->key, ' ');
	if (space > 0 && caps_verify(rq->a, q, str_of(c->key.p, (size_t)space),
				     str_of(c->key.p + space + 1, c->key.n - (size_t)space - 1)))
		cache_put(c->entry);
	tell(rq->session);
	return true;
}

static void on_session_free(struct session *s)
{
	struct client *c = s->caps;

	if (!c)
		return;
	entry_unref(c->entry);
	mem_free((void *)c->key.p);
	mem_free(c);
	s->caps = NULL;
}

void caps_init(void)
{
	static const struct session_hooks hooks = { .session_free = on_session_free };

	session_add_hooks(&hooks);
}
