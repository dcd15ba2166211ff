/* Process signals by signalfd on the main thread, and systemd's notify protocol (READY, STOPPING, RELOADING, WATCHDOG). */
#pragma once
#include <stdbool.h>

enum signal_event { SIGNAL_STOP, SIGNAL_RELOAD, SIGNAL_TICK };
/* Blocks signals in this thread (and those started later). Call first in main. */
void signal_init(void);
/* Waits for the next event: SIGTERM/SIGINT, SIGHUP, or a tick each interval_ms. Main thread. */
enum signal_event signal_wait(unsigned interval_ms);
/* Sends a line such as "READY=1" to $NOTIFY_SOCKET; nothing without it. */
void service_notify(const char *state);
/* Half of $WATCHDOG_USEC in ms, 0 without a watchdog. */
unsigned service_watchdog_ms(void);
