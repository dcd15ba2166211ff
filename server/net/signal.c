/*
 * Signals of the process as events of the main thread, and the datagrams of systemd's notify protocol, written by hand: three lines of
 * text are no reason for a library. Main thread, except service_notify (any thread).
 */
#include "server/net/signal.h"
#include "base/clock.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int signal_fd = -1;
static uint64_t next_tick_ms;

void signal_init(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	int rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert(rc == 0);
	(void)rc;
	signal(SIGPIPE, SIG_IGN); /* errors of writing come as EPIPE */
	if (signal_fd < 0)
		signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	assert(signal_fd >= 0);
}

enum signal_event signal_wait(unsigned interval_ms)
{
	assert(signal_fd >= 0);
	uint64_t now = clock_mono_ms();
	if (next_tick_ms <= now || next_tick_ms > now + interval_ms)
		next_tick_ms = now + interval_ms;
	for (;;) {
		struct pollfd p = { .fd = signal_fd, .events = POLLIN };
		struct signalfd_siginfo info;
		now = clock_mono_ms();
		int n = poll(&p, 1, next_tick_ms > now ? (int)(next_tick_ms - now) : 0);
		if (n > 0 && read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			return info.ssi_signo == SIGHUP ? SIGNAL_RELOAD : SIGNAL_STOP;
		if (n == 0 && clock_mono_ms() >= next_tick_ms) {
			next_tick_ms += interval_ms;
			return SIGNAL_TICK;
		}
	}
}

/* systemd wants the time of the reload in the same datagram (Type=notify-reload). */
static void complete(const char *state, char *out, size_t size)
{
	if (strcmp(state, "RELOADING=1") == 0)
		snprintf(out, size, "%s\nMONOTONIC_USEC=%llu", state, (unsigned long long)clock_mono_us());
	else
		snprintf(out, size, "%s", state);
}

void service_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0'; /* abstract name: its length counts, no NUL behind it */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	char text[512];
	complete(state, text, sizeof(text));
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a, len);
	(void)sent; /* nobody to tell */
	close(fd);
}

unsigned service_watchdog_ms(void)
{
	enum { US_PER_HALF_MS = 2000 };
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	char *end;
	errno = 0;
	unsigned long long us = strtoull(usec, &end, 10);
	if (errno != 0 || *end != '\0' || us == 0 || us / US_PER_HALF_MS > INT32_MAX)
		return 0;
	return us < US_PER_HALF_MS ? 1 : (unsigned)(us / US_PER_HALF_MS);
}
