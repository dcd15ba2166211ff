/* A whole server in one fuzzer: one worker, helpers, writer, a memory store, a mock clock and fake connections. Functions run
 * on the fuzzer's main thread and do their work on the worker. */
#pragma once
#include "fuzz/fake_conn.h"

/* Accounts anna, boris, and the administrator root at example.org, each with his name as password. */
void world_start(void);
void world_stop(void);
/* Ten seconds later. */
void world_tick(void);
/* fn(arg) on the worker. */
void world_run(void (*fn)(void *arg), void *arg);
/* Makes a connection by accept(arg) on the worker, which calls conn_new. */
struct conn *world_connect(void (*accept)(void *arg));
/* Hands bytes over in pieces and waits until all they started has come home; false when the server closed meanwhile. */
bool world_feed(struct conn *c, struct str bytes, size_t piece);
/* The client goes; c is freed. */
void world_hang_up(struct conn *c);
