/*
 * base/fault: which pass fails, and the environment variable.
 */
#include "base/fault.h"
#include "base/log.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first 8 passes of a point, 1 where it fails. */
static const char *passes(const char *point)
{
	static char text[9];
	for (int i = 0; i < 8; i++)
		text[i] = fault_hit(point) ? '1' : '0';
	return text;
}

TEST(passes_n_to_n_plus_count)
{
	is_cstr(passes("read"), "00000000");
	fault_set("read", 3, 2);
	is_cstr(passes("write"), "00000000");
	is_cstr(passes("read"), "00110000");
	is_cstr(passes("read"), "00000000");
	fault_set("read", 1, 1);
	is_cstr(passes("read"), "10000000");
	fault_set("read", 6, 0);
	fault_set("write", 2, 1);
	is_cstr(passes("read"), "00000111");
	is_cstr(passes("read"), "11111111");
	is_cstr(passes("write"), "01000000");
	fault_set("read", 0, 0);
	is_cstr(passes("read"), "00000000");
	fault_set("write", 0, 0);
	ok(!atomic_load(&fault_active), "nothing set: the fast path is back");
	fault_set("write", 0, 0);
}

/* Exit status of a child that starts with this environment: 0 = as wanted. */
static int with_environment(const char *value)
{
	pid_t pid = fork();
	if (pid == 0) {
		log_to_fd(open("/dev/null", O_WRONLY));
		setenv("VESTNIK_FAULT", value, 1);
		fault_init();
		bool right = strcmp(passes("store.sync"), "01000000") == 0 && strcmp(passes("accept"), "00111111") == 0;
		_exit(right ? 0 : 3);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(environment)
{
	is_int(with_environment("store.sync:2,accept:3:0"), 0);
	is_int(with_environment("store.sync:2:1,accept:3:100"), 0);
	is_int(with_environment(""), 3);
	static const char *const bad[] = {
		"read",	      "read:", "read:0",  "read:x",   "read:1:",
		"read:1:2:3", ":1",    "read:-1", "read:1,,", "averyveryverylongpointname:1"
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(with_environment(bad[i]) == 1, "'%s' ends the process", bad[i]);
}
