/* Signals as events of the main thread; systemd's notify datagrams, to a path and to an abstract name. */
#include "server/net/signal.h"
#include "tests/lib/test.h"
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

TEST(signals_are_events)
{
	signal_init();
	kill(getpid(), SIGHUP);
	is_int(signal_wait(60000), SIGNAL_RELOAD);
	kill(getpid(), SIGTERM);
	is_int(signal_wait(60000), SIGNAL_STOP);
	kill(getpid(), SIGINT);
	is_int(signal_wait(60000), SIGNAL_STOP);
	is_int(signal_wait(5), SIGNAL_TICK);
	kill(getpid(), SIGPIPE); /* ignored: the process lives */
	is_int(signal_wait(5), SIGNAL_TICK);
}

/* What service_notify sends to a socket of this name (of n bytes). */
static void notify(const char *env, const char *name, size_t n, const char *state, char *out, size_t size)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	memcpy(a.sun_path, name, n);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	out[0] = '\0';
	require(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0, "bound");
	setenv("NOTIFY_SOCKET", env, 1);
	service_notify(state);
	unsetenv("NOTIFY_SOCKET");
	ssize_t got = recv(fd, out, size - 1, MSG_DONTWAIT);
	out[got > 0 ? got : 0] = '\0';
	close(fd);
}

TEST(notify_by_path_and_abstract_name)
{
	char path[256], name[64], got[256];
	snprintf(path, sizeof(path), "%s/notify", test_tmpdir());
	notify(path, path, strlen(path), "READY=1", got, sizeof(got));
	is_cstr(got, "READY=1");
	snprintf(name, sizeof(name), "@vestnik-test-%ld", (long)getpid());
	char abstract[64];
	memcpy(abstract, name, sizeof(name));
	abstract[0] = '\0';
	notify(name, abstract, strlen(name), "STOPPING=1", got, sizeof(got));
	is_cstr(got, "STOPPING=1");
	notify(name, abstract, strlen(name), "RELOADING=1", got, sizeof(got));
	ok(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0 && strtoull(got + 27, NULL, 10) > 0,
	   "with its time: %s", got + 12);
	service_notify("READY=1"); /* nobody asked: nothing happens */
}

TEST(watchdog_interval)
{
	char pid[32];
	is_int(service_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	is_int(service_watchdog_ms(), 15000);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	is_int(service_watchdog_ms(), 15000);
	setenv("WATCHDOG_PID", "1", 1);
	is_int(service_watchdog_ms(), 0); /* meant for another process */
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "30s", 1);
	is_int(service_watchdog_ms(), 0);
	unsetenv("WATCHDOG_USEC");
}
