/* The harness itself: that a wrong value is reported, and that this program would end with 1, is shown by running
 * a copy of this program with TEST_HARNESS_FAIL set and reading its output. */
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(passes)
{
	ok(true, "ok() takes a format: %d", 1);
	is_int(2 + 2, 4);
	is_str(str_of("abc", 2), STR("ab"));
	is_cstr("x", "x");
	is_mem("abc", "abd", 2);
}

TEST(failing_child)
{
	char self[512], cmd[700], line[512];
	int not_ok = 0, lines = 0;

	if (getenv("TEST_HARNESS_FAIL")) {
		is_int(1, 2);
		is_str(STR("a"), STR("b"));
		is_cstr(NULL, "b");
		is_mem("abc", "abd", 3);
		require(false, "leaves the test");
		ok(true, "never reached");
		return;
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	require(n > 0, "own path");
	self[n] = 0;
	snprintf(cmd, sizeof(cmd), "TEST_HARNESS_FAIL=1 '%s' failing_child", self);
	FILE *f = popen(cmd, "r");
	require(f, "child started");
	while (fgets(line, sizeof(line), f)) {
		not_ok += strncmp(line, "not ok ", 7) == 0;
		lines += strncmp(line, "ok ", 3) == 0;
	}
	int status = pclose(f);
	is_int(not_ok, 5);
	is_int(lines, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "exit code 1 after a failure");
}
