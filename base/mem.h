/*
 * Heap memory that does not fail half-way through a stanza. When malloc says no, a reserve set aside at start is
 * given back, memory pressure is flagged (the server then refuses new sessions, row E06) and the request is repeated.
 * Only when the reserve is gone too does the process end, with one log line: nothing acknowledged is lost by that.
 * Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Sets the reserve aside; call once at start. Without it an allocation failure ends the process at once. */
void mem_init(size_t reserve_bytes);
/* Uninitialised memory, never NULL; n may be 0. Free with mem_free. */
void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
/* Zeroed memory, never NULL. */
void *mem_zero(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
void *mem_dup(const void *p, size_t n) __attribute__((returns_nonnull));
/* NULL is fine. */
void mem_free(void *p);
/* True from the moment the reserve was touched until mem_relax() could build it up again. */
bool mem_pressure(void);
/* Tries to restore the reserve (called by a timer); true when there is no pressure any more. */
bool mem_relax(void);

#define NEW(T) ((T *)mem_zero(sizeof(T)))
