/*
 * The messenger without a network, for unit tests of server/im and of what sits on it: a store, the writer, workers and
 * helpers. The test runs on the main thread and sends functions to a worker; callbacks there copy what they got and
 * open a gate. Two domains: example.org and other.example. PBKDF2 with 4096 iterations.
 */
#pragma once
#include "server/im/im.h"
#include "server/net/limits.h"
#include <semaphore.h>

/* dir NULL: memory engine; else LMDB there, so that a second start finds what the first left. */
void rig_start(unsigned workers, const char *dir);
void rig_stop(void);
/* Runs fn(arg) on a worker and waits for its return (not for what it started). */
void rig_run(unsigned worker, void (*fn)(void *arg), void *arg);

/* Something to wait for. */
struct gate {
	sem_t sem;
};
void gate_init(struct gate *g);
void gate_open(struct gate *g);
/* False after 20 seconds: the test has failed. */
bool gate_wait(struct gate *g);

/* An account, made through account_add; returns its error. */
int rig_add(const char *domain, const char *local, const char *password);
/* Runs one of the verbs of account.h for an account of example.org; returns its error. */
struct account_op;
typedef void rig_verb_fn(const struct account_op *op, void (*done)(void *ctx, int err, uint32_t id), void *ctx);
int rig_change(rig_verb_fn *verb, const char *local, const char *password);
/* Waits until nothing is under way: no job, operation, mail or deferred work, nor what these started. Timers may still wait. */
void rig_settle(void);
