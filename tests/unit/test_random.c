/*
 * base/random (row A12): lengths, alphabet, no repeats, and the end of the process when the kernel refuses.
 */
#include "base/random.h"
#include "base/fault.h"
#include "base/log.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(bytes)
{
	unsigned char a[600], b[600];
	memset(a, 0, sizeof(a));
	random_bytes(a, sizeof(a));
	memcpy(b, a, sizeof(a));
	random_bytes(b, 500); /* more than the kernel gives in one uninterrupted piece */
	ok(memcmp(a, b, 500) != 0, "filled anew");
	ok(memcmp(a + 500, b + 500, 100) == 0, "and not further than asked");
	unsigned ones = 0;
	for (size_t i = 0; i < sizeof(a); i++)
		ones += (unsigned)__builtin_popcount(a[i]);
	ok(ones > 2000 && ones < 2800, "%u of 4800 bits are set", ones);
	random_bytes(a, 0);
	ok(random_u64() != random_u64(), "two numbers differ");
}

TEST(tokens)
{
	static char tokens[500][RANDOM_TOKEN];
	bool well_made = true, differ = true;
	unsigned char last_seen[128] = { 0 };
	for (int i = 0; i < 500; i++) {
		random_token(tokens[i]);
		well_made = well_made && strlen(tokens[i]) == RANDOM_TOKEN - 1;
		for (const char *c = tokens[i]; *c; c++) {
			well_made = well_made &&
				    strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *c);
			last_seen[(unsigned char)*c] = 1;
		}
		for (int k = 0; k < i; k++)
			differ = differ && strcmp(tokens[i], tokens[k]) != 0;
	}
	ok(well_made, "22 URL-safe characters");
	ok(differ, "500 different ones");
	unsigned used = 0;
	for (int i = 0; i < 128; i++)
		used += last_seen[i];
	is_int(used, 64);
}

TEST(no_randomness_no_process)
{
	pid_t pid = fork();
	if (pid == 0) {
		log_to_fd(open("/dev/null", O_WRONLY));
		fault_set("random", 1, 1);
		random_u64();
		_exit(0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "exits instead of going on with weak bytes");
}
