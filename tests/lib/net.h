/* Helpers of the tests of server/net: TCP pairs over loopback, a loop that runs until a condition holds. Static inline: include it in the
 * one file that is the test. */
#pragma once
#include "server/net/loop.h"
#include "tests/lib/test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two connected TCP sockets; out[0] is the accepted (server) side. Blocking. */
static inline bool tcp_pair(int out[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	out[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = l >= 0 && bind(l, (struct sockaddr *)&a, n) == 0 && listen(l, 1) == 0 &&
			getsockname(l, (struct sockaddr *)&a, &n) == 0 && connect(out[1], (struct sockaddr *)&a, n) == 0;
	out[0] = good ? accept4(l, NULL, NULL, SOCK_CLOEXEC) : -1;
	close(l);
	return good && out[0] >= 0;
}

struct until {
	struct timer t;
	bool (*done)(void);
	unsigned left_ms;
	bool held;
};
static inline void look_again(struct timer *t)
{
	struct until *u = (struct until *)t;
	u->held = u->done && u->done();
	if (u->held || u->left_ms-- == 0)
		loop_stop(loop_self());
	else
		loop_timer(loop_self(), t, 1);
}
/* Runs this thread's loop until done() holds; false when it does not within ms turns of one millisecond. done NULL: just runs. */
static inline bool run_until(bool (*done)(void), unsigned ms)
{
	struct until u = { .t = { .fire = look_again }, .done = done, .left_ms = ms };
	loop_timer(loop_self(), &u.t, 0);
	loop_run(loop_self());
	return u.held;
}
