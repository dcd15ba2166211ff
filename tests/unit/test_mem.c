/*
 * base/mem: the emergency reserve (row E06). The ends of the process are seen from outside, in a child.
 */
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/lib/test.h"
#include <sys/wait.h>

/* Runs fn in a child; its exit status, or -1 for a signal. What it logged goes to text. */
static int in_child(void (*fn)(void), char *text, size_t size)
{
	int ends[2];
	if (pipe(ends) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		log_to_fd(ends[1]);
		fn();
		_exit(0);
	}
	close(ends[1]);
	size_t n = 0;
	ssize_t got;
	while ((got = read(ends[0], text + n, size - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(ends[0]);
	int status = 0;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST(blocks_are_usable)
{
	char *p = mem_alloc(0);
	ok(p != NULL, "an empty block is not NULL");
	p = mem_realloc(p, 3);
	memcpy(p, "abc", 3);
	p = mem_realloc(p, 100000);
	is_mem(p, "abc", 3);
	cleanup_free char *copy = mem_dup(p, 3);
	is_mem(copy, "abc", 3);
	mem_free(p);
	mem_free(NULL);
	cleanup_free char *z = mem_zero(1000);
	static const char zeros[1000];
	is_mem(z, zeros, 1000);
	char *none = mem_dup(NULL, 0);
	ok(none != NULL, "a copy of nothing is a block");
	mem_free(none);
	struct pair {
		int a, b;
	} *pair = NEW(struct pair);
	is_int(pair->a + pair->b, 0);
	mem_free(pair);
}

TEST(a_refused_request_is_met_from_the_reserve)
{
	mem_init(65536);
	ok(!mem_pressure(), "no pressure at start");
	fault_set("malloc", 2, 1);
	mem_free(mem_alloc(10));
	ok(!mem_pressure(), "first pass does not fail");
	char *p = mem_zero(32);
	static const char zeros[32];
	is_mem(p, zeros, 32);
	ok(mem_pressure(), "pressure after the reserve was touched (row E06)");
	fault_set("malloc", 1, 1);
	ok(!mem_relax(), "the reserve cannot be built while malloc fails");
	ok(mem_pressure(), "pressure stays");
	ok(mem_relax(), "the reserve is built again");
	ok(!mem_pressure(), "and pressure ends");
	fault_set("malloc", 1, 1);
	memset(p, 'x', 32);
	p = mem_realloc(p, 64);
	is_mem(p, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32);
	ok(mem_pressure(), "realloc uses the reserve too");
	fault_set("malloc", 1, 1);
	p = mem_realloc(p, 128);
	is_mem(p, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32);
	ok(mem_relax(), "a single failure without a reserve is retried, then all is well");
	mem_free(p);
	fault_set("malloc", 0, 0);
	mem_init(0);
}

static void refuse_without_reserve(void)
{
	fault_set("malloc", 1, 1);
	mem_free(mem_alloc(777));
}

static void refuse_for_ever(void)
{
	mem_init(65536);
	fault_set("malloc", 1, 0);
	mem_free(mem_alloc(10));
	log_error("test.survived", LU("pressure", mem_pressure()));
	mem_free(mem_alloc(778));
}

TEST(the_process_ends_with_one_line_when_nothing_is_left)
{
	char text[1000];
	is_int(in_child(refuse_without_reserve, text, sizeof(text)), 1);
	ok(strstr(text, " error mem.exhausted bytes=777\n") != NULL, "the line names the size: %s", text);
	is_int(in_child(refuse_for_ever, text, sizeof(text)), 1);
	ok(strstr(text, "test.survived pressure=1\n") != NULL, "the first refusal is survived: %s", text);
	ok(strstr(text, " error mem.exhausted bytes=778\n") != NULL, "the second is the end: %s", text);
}

TEST(cleanup_attributes_run)
{
	int ends[2];
	require(pipe(ends) == 0, "pipe");
	{
		cleanup_close int write_end = ends[1];
		cleanup_free char *p = mem_alloc(10);
		cleanup_close int none = -1;
		ok(write_end >= 0 && p && none < 0, "in scope");
	}
	char c;
	is_int(read(ends[0], &c, 1), 0);
	close(ends[0]);
}
