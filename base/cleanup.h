/* The five cleanup attributes; only in straight-line code (config, ctl, API handlers, tests), never with goto. */
#pragma once
#include "base/mem.h"
#include <stdio.h>
#include <unistd.h>

static inline void cleanup_free_p(void *pp) { mem_free(*(void **)pp); }
static inline void cleanup_close_p(int *fd) { if (*fd >= 0) close(*fd); }
static inline void cleanup_fclose_p(FILE **f) { if (*f) fclose(*f); }

#define cleanup_free __attribute__((cleanup(cleanup_free_p)))
#define cleanup_close __attribute__((cleanup(cleanup_close_p)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclose_p)))
#define cleanup_with(fn) __attribute__((cleanup(fn)))
