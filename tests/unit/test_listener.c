/*
 * Listeners over several workers, with clients that are plain blocking sockets of the main thread: rates, full server, descriptors that run
 * out (row E05), sockets from systemd (row D17), unix sockets. What needs another limit of descriptors or number 3 runs in a child.
 */
#include "server/net/listener.h"
#include "base/fault.h"
#include "base/mem.h"
#include "server/net/address.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include "tests/lib/net.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { WORKERS = 3 };

static atomic_uint accepted_by[WORKERS];
static void echo_data(struct conn *c, const char *data, size_t n)
{
	conn_write(c, str_of(data, n));
}
static void echo_closed(struct conn *c, int err)
{
	(void)c;
	(void)err;
}
static const struct conn_events echo = { .on_data = echo_data, .on_closed = echo_closed };
static void accept_echo(void *ctx, int fd)
{
	atomic_fetch_add(&accepted_by[threads_self()], 1);
	conn_new(fd, &echo, ctx, NULL);
}

static int connect_port(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}
static int connect_path(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}
/* One byte there and back: true = served; false = closed or nothing within ms. */
static bool served(int fd, int ms)
{
	char c = 'x';
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return send(fd, &c, 1, MSG_NOSIGNAL) == 1 && poll(&p, 1, ms) == 1 && read(fd, &c, 1) == 1 && c == 'x';
}

static unsigned begin(unsigned workers)
{
	struct err_msg msg = { 0 };
	for (int i = 0; i < WORKERS; i++)
		atomic_store(&accepted_by[i], 0);
	threads_init(workers);
	ok(listener_open("127.0.0.1", 0, accept_echo, NULL, &msg) == 0, "listens %s", msg.text);
	threads_start(NULL, NULL);
	return listener_port(0);
}
/* Connections of the clients are closed first; the servers' ends go with them. */
static void end(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	for (int i = 0; i < 20000 && conn_count() > 0; i++)
		poll(NULL, 0, 1);
	is_int(conn_count(), 0);
	threads_stop();
	listener_free_all();
}

TEST(echo_over_several_workers)
{
	enum { CLIENTS = 200 };
	int fds[CLIENTS];
	struct listener_stats before, after;
	unsigned port = begin(WORKERS), good = 0;
	listener_get_stats(&before);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = connect_port(port);
		good += served(fds[i], 10000);
	}
	is_int(good, CLIENTS);
	listener_get_stats(&after);
	is_int(after.accepted - before.accepted, CLIENTS);
	is_int(after.open, CLIENTS);
	for (int i = 0; i < WORKERS; i++)
		ok(accepted_by[i] > 0, "worker %d has %u", i, accepted_by[i]);
	struct err_msg msg = { 0 };
	is_int(listener_open("127.0.0.1", port, accept_echo, NULL, &msg), ERR_BUSY);
	ok(strstr(msg.text, "in use") != NULL, "%s", msg.text);
	listener_stop_all();
	listener_stop_all();
	int fd = -1;
	for (int i = 0; i < 20000 && (fd = connect_port(port)) >= 0; i++) { /* until it took effect on each worker */
		close(fd);
		poll(NULL, 0, 1);
	}
	is_int(fd, -1);
	ok(served(fds[0], 10000), "what is connected stays");
	end(fds, CLIENTS);
}

TEST(addresses_that_cannot_be_opened)
{
	struct err_msg msg = { 0 };
	threads_init(1);
	is_int(listener_open("192.0.2.1", 5222, accept_echo, NULL, &msg), ERR_NOT_FOUND);
	diag("%s", msg.text);
	ok(strstr(msg.text, "192.0.2.1") != NULL, "the address is named");
	is_int(listener_open("no address", 5222, accept_echo, NULL, &msg), ERR_NOT_FOUND);
	diag("%s", msg.text);
	threads_stop();
	listener_free_all();
}

TEST(any_address_serves_ipv4)
{
	struct err_msg msg = { 0 };
	threads_init(1);
	require(listener_open("*", 0, accept_echo, NULL, &msg) == 0, "listens %s", msg.text);
	threads_start(NULL, NULL);
	int fd = connect_port(listener_port(0));
	ok(served(fd, 10000), "served");
	end(&fd, 1);
}

/* --- limits ------------------------------------------------------------------------------------------------------------------ */
static struct limits former;
static void set_limits(struct limits l)
{
	former = *limits();
	limits_set(&l);
}

TEST(one_address_is_refused_above_its_rate)
{
	enum { CLIENTS = 20, BURST = 10 };
	int fds[CLIENTS];
	struct limits l = *limits();
	l.accept_rate_ip = 1;
	l.accept_burst_ip = BURST;
	set_limits(l);
	struct listener_stats before, after;
	unsigned port = begin(WORKERS), good = 0;
	listener_get_stats(&before);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = connect_port(port);
		good += served(fds[i], 10000);
	}
	ok(good >= BURST && good < CLIENTS, "%u of %d", good, CLIENTS); /* one more for each second this takes */
	listener_get_stats(&after);
	is_int(after.refused_rate - before.refused_rate, CLIENTS - good);
	end(fds, CLIENTS);
	limits_set(&former);
}

TEST(above_the_total_rate_they_queue)
{
	enum { CLIENTS = 30 };
	int fds[CLIENTS];
	struct limits l = *limits();
	l.accept_rate = 100;
	l.accept_burst = 10;
	set_limits(l);
	struct listener_stats before, after;
	unsigned port = begin(2), good = 0;
	listener_get_stats(&before);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = connect_port(port);
	for (int i = 0; i < CLIENTS; i++)
		good += served(fds[i], 10000);
	is_int(good, CLIENTS);
	listener_get_stats(&after);
	ok(after.paused > before.paused, "accepting paused");
	is_int(after.refused_rate, before.refused_rate);
	end(fds, CLIENTS);
	limits_set(&former);
}

TEST(a_full_server_refuses)
{
	int fds[12];
	struct limits l = *limits();
	l.connections = 10;
	set_limits(l);
	unsigned port = begin(1), good = 0;
	for (int i = 0; i < 12; i++) {
		fds[i] = connect_port(port);
		good += served(fds[i], 10000);
	}
	is_int(good, 10);
	end(fds, 12);
	limits_set(&former);
}

TEST(connections_in_login_are_counted_per_address)
{
	struct limits l = *limits();
	l.preauth_connections_ip = 3;
	set_limits(l);
	for (int i = 0; i < 3; i++)
		ok(preauth_enter("192.0.2.9"), "below the limit");
	ok(!preauth_enter("192.0.2.9"), "at the limit");
	ok(preauth_enter("192.0.2.10"), "another address");
	preauth_leave("192.0.2.9");
	ok(preauth_enter("192.0.2.9"), "one left");
	for (int i = 0; i < 3; i++) {
		char ip[64];
		snprintf(ip, sizeof(ip), "2001:db8:1:2::%d", i);
		ok(preauth_enter(ip), "one IPv6 subscriber");
	}
	ok(!preauth_enter("2001:db8:1:2:ffff::1"), "the whole /64 is one subscriber");
	ok(preauth_enter("2001:db8:1:3::1"), "the next /64 is another");
	for (int i = 0; i < 10; i++)
		ok(preauth_enter("unix"), "the control socket is not limited");
	address_clear();
	limits_set(&former);
}

TEST(the_table_of_addresses_is_bounded)
{
	struct limits l = *limits();
	l.accept_rate_ip = 1;
	l.accept_burst_ip = 1;
	l.preauth_connections_ip = 1;
	set_limits(l);
	ok(preauth_enter("10.255.255.255"), "in login");
	struct sockaddr_in a = { .sin_family = AF_INET };
	unsigned refused = 0;
	for (uint32_t i = 0; i < 100000; i++) {
		a.sin_addr.s_addr = htonl(0x0a000000U + i);
		refused += !address_accept((struct sockaddr *)&a, 1000);
	}
	is_int(refused, 0);
	ok(!address_accept((struct sockaddr *)&a, 1000), "the last one is remembered");
	a.sin_addr.s_addr = htonl(0x0a000000U);
	ok(address_accept((struct sockaddr *)&a, 1000), "the first one made room");
	ok(!preauth_enter("10.255.255.255"), "one in login never does");
	address_clear();
	limits_set(&former);
}

TEST(a_failing_accept_pauses_and_goes_on)
{
	struct listener_stats before, after;
	listener_get_stats(&before);
	fault_set("accept", 1, 2);
	unsigned port = begin(1);
	int fd = connect_port(port);
	ok(served(fd, 20000), "served after the pauses");
	listener_get_stats(&after);
	is_int(after.paused - before.paused, 2);
	fault_set("accept", 0, 0);
	end(&fd, 1);
}

/* --- unix ---------------------------------------------------------------------------------------------------------------------- */
TEST(unix_socket_mode_stale_and_busy)
{
	char path[512], *too_long = mem_zero(300);
	struct err_msg msg = { 0 };
	struct stat st;
	snprintf(path, sizeof(path), "%s/control.sock", test_tmpdir());
	/* A stale one: bound, its process gone. */
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	memcpy(a.sun_path, path, strlen(path) < sizeof(a.sun_path) ? strlen(path) : 0);
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(bind(stale, (struct sockaddr *)&a, sizeof(a)) == 0, "a stale socket");
	close(stale);
	threads_init(2);
	mode_t old = umask(0);
	ok(listener_open_unix(path, accept_echo, NULL, &msg) == 0, "opened %s", msg.text);
	umask(old);
	stat(path, &st);
	is_int(st.st_mode & 0777, 0600);
	is_int(listener_open_unix(path, accept_echo, NULL, &msg), ERR_BUSY);
	diag("%s", msg.text);
	threads_start(NULL, NULL);
	int fd = connect_path(path);
	ok(served(fd, 10000), "served");
	char file[512];
	snprintf(file, sizeof(file), "%s/file", test_tmpdir());
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	is_int(listener_open_unix(file, accept_echo, NULL, &msg), ERR_EXISTS);
	ok(stat(file, &st) == 0, "a file is not removed");
	memset(too_long, 'x', 299);
	is_int(listener_open_unix(too_long, accept_echo, NULL, &msg), ERR_LIMIT);
	mem_free(too_long);
	end(&fd, 1);
	ok(stat(path, &st) != 0, "removed at the end");
}

/* --- in a child ------------------------------------------------------------------------------------------------------------------ */
static unsigned workers_of_child;
static void cpu_data(struct conn *c, const char *data, size_t n)
{
	(void)data;
	(void)n;
	struct rusage u;
	char text[32];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the store and the log need descriptors too */
	getrusage(RUSAGE_SELF, &u);
	long us = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000L + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
	snprintf(text, sizeof(text), "%ld", fd >= 0 ? us : -1);
	if (fd >= 0)
		close(fd);
	conn_write(c, str_c(text));
}
static const struct conn_events cpu_events = { .on_data = cpu_data, .on_closed = echo_closed };
static void accept_cpu(void *ctx, int fd)
{
	conn_new(fd, &cpu_events, ctx, NULL);
}
/* CPU time of the child in microseconds, asked for by its unix socket; -1: no answer or no descriptor left. */
static long ask_cpu(const char *path)
{
	char text[32] = "-1";
	int fd = connect_path(path);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (fd < 0 || write(fd, "?", 1) != 1 || poll(&p, 1, 10000) != 1 || read(fd, text, sizeof(text) - 1) <= 0)
		strncpy(text, "-1", sizeof(text));
	if (fd >= 0)
		close(fd);
	return strtol(text, NULL, 10);
}

/* Runs a server until `hold` is closed by the parent; tells its port. */
static void child_server(int tell, int hold, const char *path, unsigned port)
{
	char byte;
	threads_init(workers_of_child);
	unsigned good = listener_open("127.0.0.1", port, accept_echo, NULL, NULL) == 0 &&
			listener_open_unix(path, accept_cpu, NULL, NULL) == 0;
	threads_start(NULL, NULL);
	unsigned answer = good ? listener_port(0) : 0;
	if (write(tell, &answer, sizeof(answer)) != sizeof(answer) || read(hold, &byte, 1) < 0)
		_exit(1);
	threads_stop();
	_exit(0);
}

/* Closes those that were answered and sets them to -1; returns how many. */
static unsigned close_served(int *fds, int n)
{
	unsigned count = 0;
	for (int i = 0; i < n; i++) {
		char c;
		if (fds[i] < 0 || recv(fds[i], &c, 1, MSG_DONTWAIT) != 1)
			continue;
		count++;
		close(fds[i]);
		fds[i] = -1;
	}
	return count;
}

TEST(descriptors_run_out_and_come_back)
{
	/* Row E05: ulimit 64, 200 connects; the control socket and files still work; no busy loop; service comes back. */
	enum { CLIENTS = 200, HOLD_MS = 500 };
	int fds[CLIENTS], tell[2], hold[2];
	unsigned port = 0, good = 0, rest = 0;
	char path[512];
	snprintf(path, sizeof(path), "%s/full.sock", test_tmpdir());
	require(pipe2(tell, O_CLOEXEC) == 0 && pipe2(hold, O_CLOEXEC) == 0, "pipes");
	workers_of_child = 2;
	pid_t pid = fork();
	if (pid == 0) {
		close(hold[1]);
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 64, 64 });
		child_server(tell[1], hold[0], path, 0);
	}
	close(hold[0]);
	require(read(tell[0], &port, sizeof(port)) == sizeof(port) && port > 0, "the child listens");
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = connect_port(port);
		ok(write(fds[i], "x", 1) == 1, "connected");
	}
	long before = ask_cpu(path);
	ok(before >= 0, "the control socket answers, and files can be opened");
	poll(NULL, 0, HOLD_MS);
	long after = ask_cpu(path);
	ok(after >= 0, "still");
	diag("CPU while full: %ld us in %d ms", after - before, HOLD_MS);
	ok(after - before < HOLD_MS * 1000 / 2, "nothing spins");
	good = close_served(fds, CLIENTS);
	ok(good > 20 && good < 64, "%u were served while full", good);
	/* Those that were served go, so the others have their turn. */
	for (int i = 0; i < 2000 && good + rest < CLIENTS; i++) {
		poll(NULL, 0, 10);
		rest += close_served(fds, CLIENTS);
	}
	is_int(good + rest, CLIENTS);
	close(hold[1]);
	int status = -1;
	waitpid(pid, &status, 0);
	is_int(status, 0);
	close(tell[0]);
	close(tell[1]);
}

TEST(sockets_from_systemd_are_used)
{
	/* Row D17: the socket outlives the server, so its connections wait. */
	int tell[2], hold[2];
	unsigned port = 0;
	char path[512];
	snprintf(path, sizeof(path), "%s/passed.sock", test_tmpdir());
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int passed = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(bind(passed, (struct sockaddr *)&a, n) == 0 && listen(passed, 10) == 0 &&
			getsockname(passed, (struct sockaddr *)&a, &n) == 0,
		"a socket");
	require(pipe2(tell, O_CLOEXEC) == 0 && pipe2(hold, O_CLOEXEC) == 0, "pipes");
	int early = connect_port(ntohs(a.sin_port)); /* before any server runs */
	workers_of_child = WORKERS;
	pid_t pid = fork();
	if (pid == 0) {
		char text[32];
		close(hold[1]);
		int t = fcntl(tell[1], F_DUPFD, 100), h = fcntl(hold[0], F_DUPFD, 100), p = fcntl(passed, F_DUPFD, 100);
		dup2(p, 3);
		snprintf(text, sizeof(text), "%ld", (long)getpid());
		setenv("LISTEN_PID", text, 1);
		setenv("LISTEN_FDS", "1", 1);
		child_server(t, h, path, ntohs(a.sin_port)); /* without taking the socket over: the port is in use */
	}
	close(hold[0]);
	require(read(tell[0], &port, sizeof(port)) == sizeof(port), "the child answers");
	is_int(port, ntohs(a.sin_port));
	ok(served(early, 10000), "who came early is served");
	int fds[20];
	unsigned good = 0;
	for (int i = 0; i < 20; i++) {
		fds[i] = connect_port(port);
		good += served(fds[i], 10000);
		close(fds[i]);
	}
	is_int(good, 20);
	close(early);
	close(hold[1]);
	int status = -1;
	waitpid(pid, &status, 0);
	is_int(status, 0);
	close(passed);
	close(tell[0]);
	close(tell[1]);
}
