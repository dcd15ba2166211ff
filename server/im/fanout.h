/* One message per worker, never one per recipient (design idea 4): runs fn(data) once on every worker. data is reference-counted by the
 * fan-out itself: release(data) runs once, after the last worker. Any worker thread. */
#pragma once
#include <stdint.h>

void fanout(void (*fn)(void *data), void *data, void (*release)(void *data));
/* Runs fn(data) on one worker, later; then release there. */
void post_to(unsigned worker, void (*fn)(void *data), void *data, void (*release)(void *data));
