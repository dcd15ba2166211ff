/* The worker threads: one loop and mailbox each; which worker is the home of an account or chat. */
#pragma once
#include "base/str.h"
#include "server/net/mailbox.h"

#define WORKERS_MAX 64

/* Creates n loops and mailboxes (1..64); the threads start with threads_start, which calls init(index) on each first. */
int threads_init(unsigned n);
/* Ties worker i to the i-th CPU that this process may use. Before threads_start; off by default. */
void threads_pin(bool on);
int threads_start(void (*init)(unsigned worker), void (*fini)(unsigned worker));
/* Stops the helpers and all loops, delivers the mail that is still under way, joins; then frees them. Main thread. */
void threads_stop(void);
unsigned threads_count(void);
/* Index of the calling worker; -1 outside. */
int threads_self(void);
struct loop *threads_loop(unsigned worker);
/* True when no worker has been busy with one turn for longer than max_turn_ms (for the watchdog). Main thread. */
bool threads_alive(unsigned max_turn_ms);
/* Home of a bare JID (stable hash). */
unsigned threads_home(struct str bare_jid);
/* Sends mail to a worker (any thread); to itself too: delivered in the next step of its turn, never nested. */
void threads_post(unsigned worker, struct mail *m);

/* Helper threads for what must not run on a loop (PBKDF2, backup, CSV): run() on a helper, then done() on the worker that asked. */
struct job {
	struct mail mail;                 /* internal */
	struct job *next;
	void (*run)(struct job *j);
	void (*done)(struct job *j);
	unsigned worker;
};
int helpers_start(unsigned n);
/* Finishes the jobs that wait, then joins. Main thread, while the workers still run. */
void helpers_stop(void);
/* ERR_LIMIT when too many jobs wait. Worker threads only. */
int helpers_submit(struct job *j);
/* No job waits or runs, and what the last ones were lies in their workers' mailboxes or was taken from there. Any thread. */
bool helpers_idle(void);
