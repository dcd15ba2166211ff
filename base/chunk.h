/*
 * Shared payload bytes and the output queue made of them.
 * A chunk is read-only after creation and reference-counted atomically, so one printed message can sit in the queues of
 * a thousand connections on several threads. A queue belongs to one thread: small pieces are copied into pooled blocks,
 * large chunks are referenced; a drained queue holds no memory.
 */
#pragma once
#include "base/buf.h"
#include <stdatomic.h>
#include <sys/uio.h>

struct chunk {
	atomic_uint refs;
	uint32_t n;
	char data[];
};

/* New chunk with one reference and a copy of the bytes / with n uninitialised bytes to be filled before sharing. */
struct chunk *chunk_of(struct str s);
struct chunk *chunk_alloc(size_t n);
struct chunk *chunk_ref(struct chunk *c);
/* Drops one reference; NULL is fine. */
void chunk_unref(struct chunk *c);
static inline struct str chunk_str(const struct chunk *c) { return c ? str_of(c->data, c->n) : STR_NONE; }

struct outq {
	struct outq_seg *head, *tail;
	struct outq_block *block; /* where small pieces are copied to; NULL when drained */
	size_t bytes;      /* queued and not yet consumed */
	size_t max_bytes;  /* outq_add fails above this */
};

void outq_init(struct outq *q, size_t max_bytes);
/* Drops everything. */
void outq_clear(struct outq *q);
/* Appends a copy / a range of a chunk by reference (copied when small). 0 or ERR_LIMIT (nothing appended). */
int outq_add(struct outq *q, struct str s);
int outq_add_chunk(struct outq *q, struct chunk *c, size_t off, size_t n);
/* Fills up to max iovecs from the front; returns how many. */
int outq_iov(const struct outq *q, struct iovec *iov, int max);
/* Drops n bytes at the front (n <= bytes). */
void outq_consume(struct outq *q, size_t n);
