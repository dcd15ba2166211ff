/* What a process and each worker need before stanzas can flow, and how a worker ends. For main.c and the fuzzers that play a server. */
#pragma once

/* Tables and hooks of all modules; once, before the first thread starts. */
void modules_init(void);
/* On the worker, after its loop exists / before it goes. */
void worker_init(unsigned worker);
void worker_fini(unsigned worker);
