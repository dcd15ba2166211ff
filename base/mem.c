/*
 * Heap memory with an emergency reserve (row E06). Any thread.
 * The reserve is one large block that is never used; giving it back to malloc lets what was begun be finished,
 * while the server sees mem_pressure() and stops taking new work. Only the slow path takes the lock, so an ordinary
 * allocation costs one malloc and one relaxed load. The fault point "malloc" stands for a refusal by the system.
 */
#include "base/mem.h"
#include "base/fault.h"
#include "base/log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;
static void *reserve;	    /* under reserve_lock; NULL when it is spent or was never made */
static size_t reserve_size; /* under reserve_lock */
static atomic_bool pressure;

/* The end: nothing that was acknowledged depends on what is lost here, so leaving is safe. */
static _Noreturn void out_of_memory(size_t n)
{
	log_error("mem.exhausted", LU("bytes", n));
	_exit(1);
}

/* Gives the reserve back to malloc; false when there was none left. */
static bool spend_reserve(void)
{
	pthread_mutex_lock(&reserve_lock);
	bool had = reserve != NULL;
	free(reserve);
	reserve = NULL;
	if (reserve_size > 0)
		atomic_store(&pressure, true);
	pthread_mutex_unlock(&reserve_lock);
	return had;
}

/* p is NULL for a new block; repeats the request that just failed. */
static void *retry(void *p, size_t n)
{
	bool had = spend_reserve();
	/* When another thread spent the reserve a moment ago its bytes serve us as well, so one more try is worth
	 * it even without; an injected fault that lasts ends us here, as a lasting refusal by the system would. */
	if (!had && (!mem_pressure() || fault_hit("malloc")))
		out_of_memory(n);
	void *fresh = realloc(p, n);
	if (!fresh)
		out_of_memory(n);
	return fresh;
}

void mem_init(size_t reserve_bytes)
{
	void *block = reserve_bytes > 0 ? malloc(reserve_bytes) : NULL;
	if (reserve_bytes > 0 && !block)
		out_of_memory(reserve_bytes);
	pthread_mutex_lock(&reserve_lock);
	free(reserve);
	reserve = block;
	reserve_size = reserve_bytes;
	atomic_store(&pressure, false);
	pthread_mutex_unlock(&reserve_lock);
}

void *mem_alloc(size_t n)
{
	n = n > 0 ? n : 1;
	void *p = fault_hit("malloc") ? NULL : malloc(n);
	return p ? p : retry(NULL, n);
}

void *mem_zero(size_t n)
{
	n = n > 0 ? n : 1;
	void *p = fault_hit("malloc") ? NULL : calloc(1, n);
	return p ? p : memset(retry(NULL, n), 0, n);
}

void *mem_realloc(void *p, size_t n)
{
	n = n > 0 ? n : 1;
	void *fresh = fault_hit("malloc") ? NULL : realloc(p, n);
	return fresh ? fresh : retry(p, n);
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

void mem_free(void *p)
{
	free(p);
}

bool mem_pressure(void)
{
	return atomic_load_explicit(&pressure, memory_order_relaxed);
}

bool mem_relax(void)
{
	if (!mem_pressure())
		return true;
	pthread_mutex_lock(&reserve_lock);
	if (!reserve)
		reserve = fault_hit("malloc") ? NULL : malloc(reserve_size);
	if (reserve)
		atomic_store(&pressure, false);
	pthread_mutex_unlock(&reserve_lock);
	return !mem_pressure();
}
