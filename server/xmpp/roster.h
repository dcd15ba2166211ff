/* The roster's hooks into start and end of the process; its handlers are in handlers.c's list. */
#pragma once

/* Registers pushes and the observer of the structure; main, before the workers start. */
void roster_handlers_init(void);
/* Frees the worker's printed list. */
void roster_thread_fini(void);
