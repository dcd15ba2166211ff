/*
 * base/chunk: shared payloads and output queues, compared with a plain string that holds what the queue should hold.
 * AddressSanitizer's leak check at exit proves that every reference was dropped.
 */
#include "base/chunk.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/lib/test.h"
#include <pthread.h>

/* All queued bytes as one text. */
static struct str whole(const struct outq *q, struct buf *b)
{
	static struct iovec iov[4096];
	int n = outq_iov(q, iov, 4096);
	buf_reset(b);
	for (int i = 0; i < n; i++)
		buf_add(b, iov[i].iov_base, iov[i].iov_len);
	return buf_str(b);
}

TEST(chunks_are_counted)
{
	struct chunk *c = chunk_of(STR("payload"));
	is_str(chunk_str(c), STR("payload"));
	is_str(chunk_str(NULL), STR_NONE);
	is_ptr(chunk_ref(c), c);
	is_int(atomic_load(&c->refs), 2);
	chunk_unref(c);
	is_int(atomic_load(&c->refs), 1);
	chunk_unref(c);
	chunk_unref(NULL);
	c = chunk_alloc(3);
	memcpy(c->data, "xyz", 3);
	is_str(chunk_str(c), STR("xyz"));
	chunk_unref(c);
	c = chunk_of(STR_NONE);
	is_int(c->n, 0);
	chunk_unref(c);
}

TEST(small_pieces_become_one_iovec)
{
	struct outq q;
	struct iovec iov[4];
	outq_init(&q, 10000);
	is_int(outq_iov(&q, iov, 4), 0);
	is_int(outq_add(&q, STR("one ")), 0);
	is_int(outq_add(&q, STR("")), 0);
	is_int(outq_add(&q, STR("two")), 0);
	is_int(outq_iov(&q, iov, 4), 1);
	is_str(str_of(iov[0].iov_base, iov[0].iov_len), STR("one two"));
	is_int(q.bytes, 7);
	outq_consume(&q, 2);
	is_int(outq_iov(&q, iov, 4), 1);
	is_str(str_of(iov[0].iov_base, iov[0].iov_len), STR("e two"));
	outq_consume(&q, 5);
	is_int(q.bytes, 0);
	ok(!q.head && !q.tail && !q.block, "a drained queue holds no memory");
	outq_clear(&q);
}

TEST(large_chunks_are_referenced_small_ranges_copied)
{
	struct outq q;
	struct iovec iov[8];
	outq_init(&q, 100000);
	struct chunk *c = chunk_alloc(5000);
	memset(c->data, 'c', 5000);
	is_int(outq_add(&q, STR("<to='a'>")), 0);
	is_int(outq_add_chunk(&q, c, 0, 5000), 0);
	is_int(outq_add(&q, STR("<to='b'>")), 0);
	is_int(outq_add_chunk(&q, c, 10, 20), 0);
	is_int(atomic_load(&c->refs), 2);
	is_int(outq_iov(&q, iov, 8), 3);
	is_ptr(iov[1].iov_base, c->data);
	is_int(iov[1].iov_len, 5000);
	is_str(str_of(iov[2].iov_base, iov[2].iov_len), STR("<to='b'>cccccccccccccccccccc"));
	ok((const char *)iov[2].iov_base == (const char *)iov[0].iov_base + 8, "copying goes on in the same block");
	is_int(outq_iov(&q, iov, 2), 2);
	outq_consume(&q, 8 + 4999);
	is_int(atomic_load(&c->refs), 2);
	outq_consume(&q, 1);
	is_int(atomic_load(&c->refs), 1);
	is_int(q.bytes, 28);
	is_int(outq_add_chunk(&q, c, 1000, 4000), 0);
	outq_clear(&q);
	is_int(atomic_load(&c->refs), 1);
	is_int(q.bytes, 0);
	is_int(q.max_bytes, 100000);
	chunk_unref(c);
}

TEST(the_maximum_refuses_whole_pieces)
{
	struct outq q;
	outq_init(&q, 3000);
	struct chunk *c = chunk_alloc(2000);
	memset(c->data, 'x', 2000);
	is_int(outq_add_chunk(&q, c, 0, 2000), 0);
	is_int(outq_add_chunk(&q, c, 0, 1001), ERR_LIMIT);
	is_int(atomic_load(&c->refs), 2);
	is_int(outq_add_chunk(&q, c, 0, 1000), 0);
	is_int(outq_add(&q, STR("y")), ERR_LIMIT);
	is_int(q.bytes, 3000);
	outq_consume(&q, 1);
	is_int(outq_add(&q, STR("y")), 0);
	q.max_bytes = 10; /* lowered while more is queued */
	is_int(outq_add(&q, STR("z")), ERR_LIMIT);
	is_int(q.bytes, 3000);
	outq_clear(&q);
	chunk_unref(c);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

TEST(any_mix_of_pieces_comes_out_in_order)
{
	struct buf model, seen;
	struct outq q;
	uint64_t state = 1;
	bool same = true;
	buf_init(&model, SIZE_MAX);
	buf_init(&seen, SIZE_MAX);
	outq_init(&q, 60000);
	struct chunk *c = chunk_alloc(20000);
	for (size_t i = 0; i < c->n; i++)
		c->data[i] = (char)next_random(&state);
	for (int i = 0; i < 4000; i++) {
		uint64_t r = next_random(&state);
		/* Sizes around the borders: copied or referenced (1024), block (4096), larger than a block. */
		static const size_t tops[] = { 5, 300, 1026, 4100, 9000 };
		size_t n = (size_t)(r >> 8) % tops[r % 5], off = (size_t)(r >> 40) % (c->n - n);
		if (r >> 4 & 1 && model.n > 0) {
			n = (size_t)(r >> 8) % (model.n + 1);
			outq_consume(&q, n);
			buf_consume(&model, n);
		} else {
			int e = r >> 5 & 1 ? outq_add(&q, str_of(c->data + off, n)) : outq_add_chunk(&q, c, off, n);
			same = same && (e == 0) == (model.n + n <= 60000);
			if (e == 0)
				buf_add(&model, c->data + off, n);
		}
		same = same && q.bytes == model.n && str_eq(whole(&q, &seen), buf_str(&model));
		same = same && (model.n > 0 || (!q.head && !q.block));
	}
	ok(same, "4000 random steps agree with a plain string");
	outq_clear(&q);
	is_int(atomic_load(&c->refs), 1);
	chunk_unref(c);
	buf_clear(&model);
	buf_clear(&seen);
}

/* A queue filled on one thread and drained on another, as when a connection moves to its home. */
static void *drain_elsewhere(void *arg)
{
	struct outq *q = arg;
	while (q->bytes > 0)
		outq_consume(q, q->bytes > 1000 ? 1000 : q->bytes);
	return NULL;
}

TEST(a_queue_may_move_to_another_thread)
{
	struct outq q;
	char piece[500];
	memset(piece, 'p', sizeof(piece));
	outq_init(&q, 1000000);
	struct chunk *c = chunk_of(str_of(piece, sizeof(piece)));
	for (int i = 0; i < 1500; i++)
		outq_add(&q, str_of(piece, sizeof(piece)));
	pthread_t t;
	require(pthread_create(&t, NULL, drain_elsewhere, &q) == 0, "thread");
	pthread_join(t, NULL);
	is_int(q.bytes, 0);
	ok(!q.head && !q.block, "drained; its blocks went to the spares of a thread that ended");
	chunk_unref(c);
}

enum { HOLDERS = 4, ROUNDS = 5000 };

static void *hold_and_drop(void *arg)
{
	struct chunk *c = arg;
	for (int i = 0; i < ROUNDS; i++)
		chunk_unref(chunk_ref(c));
	chunk_unref(c);
	return NULL;
}

TEST(references_from_several_threads)
{
	struct chunk *c = chunk_of(STR("shared"));
	pthread_t t[HOLDERS];
	for (int i = 0; i < HOLDERS; i++) {
		chunk_ref(c);
		require(pthread_create(&t[i], NULL, hold_and_drop, c) == 0, "thread");
	}
	for (int i = 0; i < HOLDERS; i++)
		pthread_join(t[i], NULL);
	is_int(atomic_load(&c->refs), 1);
	chunk_unref(c);
}
