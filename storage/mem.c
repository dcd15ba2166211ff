/*
 * The memory engine for unit tests: per table a treap whose nodes are never changed once shared. A write transaction copies the
 * path it changes, a commit swaps the roots under a mutex, so readers keep their snapshot at no cost. Same rules as LMDB.
 * Nodes and items are counted by reference; any thread may drop the last one.
 */
#include "storage/engine_impl.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

struct item {
	atomic_uint refs;
	uint32_t key_n, value_n;
	uint64_t weight;
	char bytes[];
};
struct node {
	atomic_uint refs;
	struct item *item;
	struct node *left, *right;
};

struct mem_store {
	struct store s;
	pthread_mutex_t lock; /* roots, last, readers */
	struct node *root[TAB_COUNT];
	uint64_t last, readers;
};

struct mem_txn {
	struct txn t;
	struct node *root[TAB_COUNT];
};

struct mem_cursor {
	enum table tab;
	struct item *at;
};

static struct mem_store *store_of(struct store *s)
{
	return (struct mem_store *)(void *)s;
}
static struct mem_txn *txn_of(struct txn *t)
{
	return (struct mem_txn *)(void *)t;
}
static struct str item_key(const struct item *i)
{
	return str_of(i->bytes, i->key_n);
}
static struct str item_value(const struct item *i)
{
	return str_of(i->bytes + i->key_n, i->value_n);
}

static struct item *item_ref(struct item *i)
{
	atomic_fetch_add(&i->refs, 1);
	return i;
}

static void item_unref(struct item *i)
{
	if (i && atomic_fetch_sub(&i->refs, 1) == 1)
		mem_free(i);
}

static struct item *item_new(struct str key, struct str value)
{
	struct item *i = mem_alloc(sizeof(*i) + key.n + value.n);

	atomic_init(&i->refs, 1);
	i->key_n = (uint32_t)key.n;
	i->value_n = (uint32_t)value.n;
	i->weight = str_hash_stable(key); /* the shape depends on the keys only, not on their order */
	memcpy(i->bytes, key.p, key.n);
	if (value.n)
		memcpy(i->bytes + key.n, value.p, value.n);
	return i;
}

static struct node *ref(struct node *n)
{
	if (n)
		atomic_fetch_add(&n->refs, 1);
	return n;
}

static void unref(struct node *n)
{
	while (n && atomic_fetch_sub(&n->refs, 1) == 1) {
		struct node *right = n->right;

		unref(n->left);
		item_unref(n->item);
		mem_free(n);
		n = right;
	}
}

/* Takes over the references to all three. */
static struct node *node_new(struct item *item, struct node *left, struct node *right)
{
	struct node *n = mem_alloc(sizeof(*n));

	atomic_init(&n->refs, 1);
	n->item = item;
	n->left = left;
	n->right = right;
	return n;
}

/* A new tree with the item (taken over) in it; t stays as it is. The result is not shared with anybody yet. */
static struct node *with(struct node *t, struct item *item)
{
	if (!t)
		return node_new(item, NULL, NULL);
	int d = str_cmp(item_key(item), item_key(t->item));

	if (d == 0)
		return node_new(item, ref(t->left), ref(t->right));
	struct node *sub = with(d < 0 ? t->left : t->right, item);
	bool rotate = sub->item->weight > t->item->weight;

	if (d < 0) {
		if (!rotate)
			return node_new(item_ref(t->item), sub, ref(t->right));
		sub->right = node_new(item_ref(t->item), sub->right, ref(t->right));
	} else {
		if (!rotate)
			return node_new(item_ref(t->item), ref(t->left), sub);
		sub->left = node_new(item_ref(t->item), ref(t->left), sub->left);
	}
	return sub;
}

/* One tree of two, all keys of a before those of b; a and b stay. */
static struct node *merged(struct node *a, struct node *b)
{
	if (!a)
		return ref(b);
	if (!b)
		return ref(a);
	if (a->item->weight > b->item->weight)
		return node_new(item_ref(a->item), ref(a->left), merged(a->right, b));
	return node_new(item_ref(b->item), merged(a, b->left), ref(b->right));
}

/* The key is in the tree. */
static struct node *without(struct node *t, struct str key)
{
	int d = str_cmp(key, item_key(t->item));

	if (d == 0)
		return merged(t->left, t->right);
	if (d < 0)
		return node_new(item_ref(t->item), without(t->left, key), ref(t->right));
	return node_new(item_ref(t->item), ref(t->left), without(t->right, key));
}

/* First item with a key >= (or, strict, >) key. */
static struct item *find_ge(struct node *t, struct str key, bool strict)
{
	struct item *best = NULL;

	while (t) {
		int d = str_cmp(key, item_key(t->item));

		if (d == 0 && !strict)
			return t->item;
		if (d < 0) {
			best = t->item;
			t = t->left;
		} else {
			t = t->right;
		}
	}
	return best;
}

static struct item *find_lt(struct node *t, struct str key)
{
	struct item *best = NULL;

	while (t) {
		if (str_cmp(item_key(t->item), key) < 0) {
			best = t->item;
			t = t->right;
		} else {
			t = t->left;
		}
	}
	return best;
}

static struct item *find_end(struct node *t, bool last)
{
	while (t && (last ? t->right : t->left))
		t = last ? t->right : t->left;
	return t ? t->item : NULL;
}

/* --- the engine --- */

static struct txn *begin(struct store *s, bool write)
{
	struct mem_store *m = store_of(s);
	struct mem_txn *x = NEW(struct mem_txn);

	txn_init(&x->t, s, write);
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < TAB_COUNT; i++)
		x->root[i] = ref(m->root[i]);
	x->t.id = m->last + 1;
	m->readers += !write;
	pthread_mutex_unlock(&m->lock);
	return &x->t;
}

static void abort_txn(struct txn *t)
{
	struct mem_store *m = store_of(t->s);
	struct mem_txn *x = txn_of(t);

	for (unsigned i = 0; i < TAB_COUNT; i++)
		unref(x->root[i]);
	pthread_mutex_lock(&m->lock);
	m->readers -= !t->write;
	pthread_mutex_unlock(&m->lock);
	txn_clear(t);
	mem_free(x);
}

static int commit(struct txn *t)
{
	struct mem_store *m = store_of(t->s);
	struct mem_txn *x = txn_of(t);

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < TAB_COUNT; i++) {
		struct node *old = m->root[i];

		m->root[i] = x->root[i];
		x->root[i] = old; /* dropped by abort_txn */
	}
	m->last = t->puts ? t->id : m->last;
	pthread_mutex_unlock(&m->lock);
	abort_txn(t);
	return 0;
}

static int get(struct txn *t, enum table tab, struct str key, struct str *out)
{
	struct item *i = find_ge(txn_of(t)->root[tab], key, false);

	if (!i || !str_eq(item_key(i), key))
		return ERR_NOT_FOUND;
	*out = item_value(i);
	return 0;
}

static void replace(struct mem_txn *x, enum table tab, struct node *root)
{
	struct node *old = x->root[tab];

	x->root[tab] = root;
	unref(old);
}

static int put(struct txn *t, enum table tab, struct str key, struct str value, unsigned flags)
{
	struct mem_txn *x = txn_of(t);
	struct item *last = flags & TXN_APPEND ? find_end(x->root[tab], true) : NULL;

	if (last && str_cmp(key, item_key(last)) <= 0)
		return ERR_CONFLICT;
	replace(x, tab, with(x->root[tab], item_new(key, value)));
	return 0;
}

static int del(struct txn *t, enum table tab, struct str key)
{
	struct mem_txn *x = txn_of(t);
	struct str value;

	if (get(t, tab, key, &value))
		return ERR_NOT_FOUND;
	replace(x, tab, without(x->root[tab], key));
	return 0;
}

static int cursor_open(struct txn *t, enum table tab, struct cursor **out)
{
	struct mem_cursor *c = NEW(struct mem_cursor);

	(void)t;
	c->tab = tab;
	*out = (struct cursor *)(void *)c;
	return 0;
}

static int cursor_move(struct txn *t, struct cursor *cursor, enum cursor_move how, struct str key, struct str *out_key,
		       struct str *out_value)
{
	struct mem_cursor *c = (struct mem_cursor *)(void *)cursor;
	struct node *root = txn_of(t)->root[c->tab];
	struct item *to = NULL;

	switch (how) {
	case CURSOR_SEEK: to = find_ge(root, key, false); break;
	case CURSOR_FIRST: to = find_end(root, false); break;
	case CURSOR_LAST: to = find_end(root, true); break;
	case CURSOR_NEXT: to = c->at ? find_ge(root, item_key(c->at), true) : find_end(root, false); break;
	case CURSOR_PREV: to = c->at ? find_lt(root, item_key(c->at)) : find_end(root, true); break;
	}
	if (!to)
		return ERR_NOT_FOUND;
	/* Kept alive: the item may be deleted while the cursor stands on it. */
	item_ref(to);
	item_unref(c->at);
	c->at = to;
	*out_key = item_key(to);
	*out_value = item_value(to);
	return 0;
}

static void cursor_close(struct txn *t, enum table tab, struct cursor *cursor)
{
	struct mem_cursor *c = (struct mem_cursor *)(void *)cursor;

	(void)t;
	(void)tab;
	item_unref(c->at);
	mem_free(c);
}

static void close_store(struct store *s)
{
	struct mem_store *m = store_of(s);

	assert(m->readers == 0);
	for (unsigned i = 0; i < TAB_COUNT; i++)
		unref(m->root[i]);
	pthread_mutex_destroy(&m->lock);
	store_clear(s);
	mem_free(m);
}

static void info(struct store *s, struct store_info *out)
{
	struct mem_store *m = store_of(s);

	pthread_mutex_lock(&m->lock);
	out->readers = m->readers;
	out->last_txn = m->last;
	pthread_mutex_unlock(&m->lock);
}

static int reader_check(struct store *s)
{
	(void)s;
	return 0;
}

static void reserve(struct store *s, uint64_t bytes)
{
	(void)s;
	(void)bytes;
}

static bool wants_quiet(struct store *s)
{
	(void)s;
	return false;
}

static const struct store_engine mem_engine = {
	.name = "mem",
	.close = close_store,
	.info = info,
	.reader_check = reader_check,
	.reserve = reserve,
	.wants_quiet = wants_quiet,
	.begin = begin,
	.commit = commit,
	.abort = abort_txn,
	.get = get,
	.put = put,
	.del = del,
	.cursor_open = cursor_open,
	.cursor_move = cursor_move,
	.cursor_close = cursor_close,
};

struct store *store_open_mem(void)
{
	struct mem_store *m = NEW(struct mem_store);

	store_init(&m->s, &mem_engine);
	pthread_mutex_init(&m->lock, NULL);
	return &m->s;
}
