/* The LD_PRELOAD shim of the fault tests: each call it knows fails at the pass asked for, with the error asked for, and
 * only there; LMDB's own writes and syncs are caught (rows D01-D07 rest on this). */
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *build(void)
{
	const char *b = getenv("BUILD");

	return b ? b : ".";
}

/* What the victim printed, its lines joined by spaces. */
static const char *victim(const char *rule, const char *env, const char *call, int times)
{
	static char out[1000];
	char cmd[4000];
	size_t n;

	snprintf(cmd, sizeof(cmd),
		 "env LD_PRELOAD='%s/tests/lib/fault_preload.so' FAULT_PRELOAD='%s' %s '%s/tests/lib/fault_victim' %s "
		 "%d '%s' 2>&1",
		 build(), rule, env, build(), call, times, test_tmpdir());
	FILE *f = popen(cmd, "r");
	n = f ? fread(out, 1, sizeof(out) - 1, f) : 0;
	out[n] = 0;
	if (!f || pclose(f) != 0)
		return "the victim failed";
	for (size_t i = 0; i < n; i++)
		if (out[i] == '\n')
			out[i] = i + 1 < n ? ' ' : 0;
	return out;
}

TEST(every_call_fails_at_its_pass_and_only_there)
{
	static const struct {
		const char *call, *rule, *want;
	} rows[] = {
		{ "write", "write:2:ENOSPC:1:victim", "ok 8 ENOSPC ok 8" },
		{ "write", "write:1:short:2:victim", "ok 4 ok 4 ok 8" },
		{ "pwrite", "pwrite:3:EIO", "ok 8 ok 8 EIO" },
		{ "writev", "writev:2:EINTR", "ok 8 EINTR ok 8" },
		{ "writev", "writev:1:short", "ok 4 ok 8 ok 8" },
		{ "pwritev", "pwritev:2:EDQUOT:0", "ok 8 EDQUOT EDQUOT" },
		{ "pwritev", "anywrite:2:short", "ok 8 ok 4 ok 8" },
		{ "fdatasync", "fdatasync:2:EIO", "ok 0 EIO ok 0" },
		{ "fsync", "anysync:2:EIO", "ok 0 EIO ok 0" },
		{ "ftruncate", "ftruncate:1:ENOSPC", "ENOSPC ok 0 ok 0" },
		{ "open", "open:2:EMFILE:1:victim.data", "EMFILE ok 0 ok 0" }, /* the victim opens it once before */
		{ "rename", "rename:2:EROFS", "ok 0 EROFS ok 0" },
		{ "accept", "accept:2:EMFILE", "ok 0 EMFILE ok 0" },
		{ "getrandom", "getrandom:3:ENOSYS", "ok 8 ok 8 ENOSYS" },
		{ "malloc", "malloc:2:ENOMEM", "ok 0 ENOMEM ok 0" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		diag("%s", rows[i].rule);
		is_cstr(victim(rows[i].rule, "", rows[i].call, 3), rows[i].want);
	}
}

TEST(a_path_that_does_not_match_is_left_alone)
{
	is_cstr(victim("write:1:EIO:0:other-file", "", "write", 2), "ok 8 ok 8");
	is_cstr(victim("fsync:1:EIO:0", "", "write", 2), "ok 8 ok 8");
}

TEST(lmdb_is_caught)
{
	is_cstr(victim("", "", "lmdb", 3), "ok 0 ok 0 ok 0");
	is_cstr(victim("anywrite:1:ENOSPC:0:victim.mdb", "", "lmdb", 2), "ENOSPC ENOSPC");
	is_cstr(victim("fdatasync:2:EIO:1:victim.mdb", "", "lmdb", 3), "ok 0 EIO ok 0");
	/* A short write is an error to LMDB, and the next transaction works again. */
	is_cstr(victim("anywrite:1:short:1:victim.mdb", "", "lmdb", 3), "EIO ok 0 ok 0");
}

TEST(acts_only_while_the_switch_file_exists_and_tells_what_it_did)
{
	char env[600], line[200] = "";

	snprintf(env, sizeof(env), "FAULT_PRELOAD_WHILE='%s/full' FAULT_PRELOAD_LOG='%s/log'", test_tmpdir(),
		 test_tmpdir());
	is_cstr(victim("write:1:ENOSPC:0:victim", env, "write", 2), "ok 8 ok 8");
	snprintf(line, sizeof(line), "%s/full", test_tmpdir());
	fclose(fopen(line, "w"));
	is_cstr(victim("write:2:ENOSPC:0:victim", env, "write", 2), "ok 8 ENOSPC");
	snprintf(line, sizeof(line), "%s/log", test_tmpdir());
	FILE *f = fopen(line, "r");
	require(f, "there is a log");
	require(fgets(line, sizeof(line), f), "it has a line");
	ok(strncmp(line, "write 2 ENOSPC ", 15) == 0 && strstr(line, "victim.data"),
	   "it names call, pass, error and file: %s", line);
	ok(!fgets(line, sizeof(line), f), "and nothing more");
	fclose(f);
}

TEST(a_mistyped_rule_is_refused)
{
	is_cstr(victim("wriet:1:EIO", "", "write", 1), "the victim failed");
	is_cstr(victim("write:0:EIO", "", "write", 1), "the victim failed");
	is_cstr(victim("write:1:EWHAT", "", "write", 1), "the victim failed");
}
