/*
 * Shared payload bytes and output queues: the hot path of fan-out (design idea 4). A chunk may be held by any
 * thread (atomic count). A queue and its blocks belong to one thread at a time; they may move with their
 * connection. Small pieces are copied behind each other into a block, so a turn's worth of small stanzas is one
 * iovec; a large chunk gets a segment that references it, after which copying goes on in the same block. Each
 * segment holds one reference to what its bytes lie in. Spare blocks and segments wait in a short list per thread.
 */
#include "base/chunk.h"
#include "base/err.h"
#include "base/mem.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>

enum {
	COPY_MAX = 1024,    /* a chunk range up to this size is copied: cheaper than an iovec and an atomic count */
	BLOCK_DATA = 4096,  /* with its header not a multiple of 4096, so that blocks do not share cache sets */
	SPARE_BLOCKS = 256, /* per thread: 1 MiB */
	SPARE_SEGS = 1024,
};

struct outq_seg {
	struct outq_seg *next;
	const char *p;
	size_t n;
	struct outq_block *block; /* either this */
	struct chunk *chunk;	  /* or that holds the bytes */
};
struct outq_block {
	struct outq_block *next_spare;
	uint32_t refs; /* one of each segment, one of the queue that fills it */
	uint32_t used;
	struct outq_seg first; /* the segment of the first bytes: mostly the only one */
	char data[BLOCK_DATA];
};

struct spares {
	struct outq_block *blocks;
	struct outq_seg *segs;
	unsigned n_blocks, n_segs;
	bool registered;
};
static _Thread_local struct spares spares;
static pthread_key_t spares_key;
static pthread_once_t spares_once = PTHREAD_ONCE_INIT;

struct chunk *chunk_alloc(size_t n)
{
	assert(n <= UINT32_MAX - sizeof(struct chunk));
	struct chunk *c = mem_alloc(sizeof(*c) + n);
	atomic_init(&c->refs, 1);
	c->n = (uint32_t)n;
	return c;
}

struct chunk *chunk_of(struct str s)
{
	struct chunk *c = chunk_alloc(s.n);
	if (s.n > 0)
		memcpy(c->data, s.p, s.n);
	return c;
}

struct chunk *chunk_ref(struct chunk *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void chunk_unref(struct chunk *c)
{
	if (!c)
		return;
	/* Acquire and release: what other holders read must have been read before the last one frees. */
	unsigned before = atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1)
		mem_free(c);
}

/* At the end of a thread. */
static void free_spares(void *arg)
{
	struct spares *sp = arg;
	while (sp->blocks) {
		struct outq_block *b = sp->blocks;
		sp->blocks = b->next_spare;
		mem_free(b);
	}
	while (sp->segs) {
		struct outq_seg *s = sp->segs;
		sp->segs = s->next;
		mem_free(s);
	}
	*sp = (struct spares){ 0 };
}

static void make_spares_key(void)
{
	int e = pthread_key_create(&spares_key, free_spares);
	assert(e == 0);
	(void)e;
}

static void register_spares(struct spares *sp)
{
	if (sp->registered)
		return;
	pthread_once(&spares_once, make_spares_key);
	sp->registered = pthread_setspecific(spares_key, sp) == 0;
}

static void block_unref(struct outq_block *b)
{
	assert(b->refs > 0);
	if (--b->refs > 0)
		return;
	struct spares *sp = &spares;
	if (sp->n_blocks >= SPARE_BLOCKS) {
		mem_free(b);
		return;
	}
	register_spares(sp);
	b->next_spare = sp->blocks;
	sp->blocks = b;
	sp->n_blocks++;
}

static struct outq_block *block_new(void)
{
	struct spares *sp = &spares;
	struct outq_block *b = sp->blocks;
	if (b) {
		sp->blocks = b->next_spare;
		sp->n_blocks--;
	} else {
		b = mem_alloc(sizeof(*b));
	}
	b->refs = 1;
	b->used = 0;
	return b;
}

static struct outq_seg *seg_new(void)
{
	struct spares *sp = &spares;
	struct outq_seg *s = sp->segs;
	if (!s)
		return mem_alloc(sizeof(*s));
	sp->segs = s->next;
	sp->n_segs--;
	return s;
}

/* Drops the segment and its hold on the bytes. */
static void seg_free(struct outq_seg *s)
{
	struct outq_block *b = s->block;
	chunk_unref(s->chunk);
	if (!b || s != &b->first) {
		struct spares *sp = &spares;
		if (sp->n_segs < SPARE_SEGS) {
			register_spares(sp);
			s->next = sp->segs;
			sp->segs = s;
			sp->n_segs++;
		} else {
			mem_free(s);
		}
	}
	if (b)
		block_unref(b);
}

static void append(struct outq *q, struct outq_seg *s)
{
	s->next = NULL;
	if (q->tail)
		q->tail->next = s;
	else
		q->head = s;
	q->tail = s;
}

/* Copies n bytes, which fit, into the queue's block. */
static void copy_in(struct outq *q, const char *p, size_t n)
{
	struct outq_block *b = q->block;
	char *to = b->data + b->used;
	memcpy(to, p, n);
	if (q->tail && q->tail->block == b && q->tail->p + q->tail->n == to) {
		q->tail->n += n;
	} else {
		struct outq_seg *s = b->used == 0 ? &b->first : seg_new();
		*s = (struct outq_seg){ .p = to, .n = n, .block = b };
		b->refs++;
		append(q, s);
	}
	b->used += (uint32_t)n;
	q->bytes += n;
}

static void next_block(struct outq *q)
{
	if (q->block)
		block_unref(q->block);
	q->block = block_new();
}

/* Takes over one reference of c. */
static void append_chunk(struct outq *q, struct chunk *c, size_t off, size_t n)
{
	struct outq_seg *s = seg_new();
	*s = (struct outq_seg){ .p = c->data + off, .n = n, .chunk = c };
	append(q, s);
	q->bytes += n;
}

void outq_init(struct outq *q, size_t max_bytes)
{
	*q = (struct outq){ .max_bytes = max_bytes };
}

/* A drained queue holds no memory. */
static void drop_block(struct outq *q)
{
	if (q->block)
		block_unref(q->block);
	q->block = NULL;
}

void outq_clear(struct outq *q)
{
	for (struct outq_seg *s = q->head, *next; s; s = next) {
		next = s->next;
		seg_free(s);
	}
	drop_block(q);
	outq_init(q, q->max_bytes);
}

static bool too_much(const struct outq *q, size_t n)
{
	return q->bytes > q->max_bytes || n > q->max_bytes - q->bytes;
}

int outq_add(struct outq *q, struct str s)
{
	if (too_much(q, s.n))
		return ERR_LIMIT;
	if (s.n == 0)
		return 0;
	if (s.n > BLOCK_DATA) {
		append_chunk(q, chunk_of(s), 0, s.n);
		return 0;
	}
	size_t room = q->block ? BLOCK_DATA - q->block->used : 0;
	if (s.n > room) {
		if (room > 0)
			copy_in(q, s.p, room);
		s = str_of(s.p + room, s.n - room);
		next_block(q);
	}
	copy_in(q, s.p, s.n);
	return 0;
}

int outq_add_chunk(struct outq *q, struct chunk *c, size_t off, size_t n)
{
	assert(off <= c->n && n <= c->n - off);
	if (n <= COPY_MAX)
		return outq_add(q, str_of(c->data + off, n));
	if (too_much(q, n))
		return ERR_LIMIT;
	append_chunk(q, chunk_ref(c), off, n);
	return 0;
}

int outq_iov(const struct outq *q, struct iovec *iov, int max)
{
	int n = 0;
	for (const struct outq_seg *s = q->head; s && n < max; s = s->next)
		iov[n++] = (struct iovec){ .iov_base = (void *)(uintptr_t)s->p, .iov_len = s->n };
	return n;
}

void outq_consume(struct outq *q, size_t n)
{
	assert(n <= q->bytes);
	q->bytes -= n;
	while (n > 0) {
		struct outq_seg *s = q->head;
		if (n < s->n) {
			s->p += n;
			s->n -= n;
			return;
		}
		n -= s->n;
		q->head = s->next;
		seg_free(s);
	}
	if (!q->head) {
		q->tail = NULL;
		drop_block(q);
	}
}
