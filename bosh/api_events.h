/* Event streams of the API (api_events.c). */
#pragma once

/* Registers the observer; main, before the workers start, once. */
void api_events_init(void);
/* Ends this worker's streams: the process stops. Worker. */
void api_events_stop(void);
