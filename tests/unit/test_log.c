/*
 * base/log (row E09): one line per event whatever the values are, the rate limit with its counts, levels.
 */
#include "base/log.h"
#include "base/clock.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static char text[1 << 20];

/* Sends the log to a file from here on / gives what came. */
static int begin(void)
{
	char path[600];
	(void)snprintf(path, sizeof(path), "%s/log", test_tmpdir());
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
	log_to_fd(fd);
	return fd;
}

static struct str end(int fd)
{
	log_to_fd(2);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return str_c(text);
}

static unsigned lines(struct str s)
{
	unsigned n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

/* The line of one value, without time and event. */
static const char *shown(struct str value)
{
	int fd = begin();
	log_info("test.value", LS("v", value));
	struct str line = end(fd);
	const char *at = strstr(text, "test.value v=");
	if (lines(line) != 1 || line.p[line.n - 1] != '\n' || !at)
		return "(not one line)";
	text[line.n - 1] = '\0';
	return at + strlen("test.value v=");
}

TEST(a_line)
{
	clock_set_for_test(1000000, 1795430400123456);
	int fd = begin();
	log_info("conn.open", LU("id", UINT64_MAX), LI("code", -5), LC("ip", "2001:db8::1"), LC("name", NULL),
		 LERR(ERR_BUSY));
	log_warn("plain.event");
	is_str(end(fd),
	       STR("2026-11-23T10:40:00.123Z info conn.open id=18446744073709551615 code=-5 ip=2001:db8::1 name=\"\" "
		   "error=\"in use by another process\"\n2026-11-23T10:40:00.123Z warn plain.event\n"));
	clock_set_for_test(0, 0);
}

TEST(values_cannot_break_out)
{
	log_set_rate(0);
	is_cstr(shown(STR("simple-1_2.3:/@+,[]%")), "simple-1_2.3:/@+,[]%");
	is_cstr(shown(STR("a\n2026 root login ok")), "\"a\\n2026 root login ok\"");
	is_cstr(shown(STR("a\r\x1b[2J\x7f")), "\"a\\u000d\\u001b[2J\\u007f\"");
	is_cstr(shown(str_of("a\0b", 3)), "\"a\\u0000b\"");
	is_cstr(shown(STR("x\" admin=\"yes")), "\"x\\\" admin=\\\"yes\"");
	is_cstr(shown(STR("x=y")), "\"x=y\"");
	is_cstr(shown(STR("back\\n")), "\"back\\\\n\"");
	is_cstr(shown(STR("C1 \xc2\x85 \xc2\x9b")), "\"C1 \\u0085 \\u009b\"");
	is_cstr(shown(STR("bidi \xe2\x80\xae \xe2\x81\xa6 \xd8\x9c \xe2\x80\x8f")),
		"\"bidi \\u202e \\u2066 \\u061c \\u200f\"");
	is_cstr(shown(STR("line \xe2\x80\xa8 \xe2\x80\xa9")), "\"line \\u2028 \\u2029\"");
	is_cstr(shown(STR("bad \xff\xc3 \xed\xa0\x80")), "\"bad \\xff\\xc3 \\xed\\xa0\\x80\"");
	is_cstr(shown(STR("\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0")), "\"\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0\"");
	is_cstr(shown(STR("")), "\"\"");
	log_set_rate(100);
}

TEST(every_byte_pair_stays_one_printable_line)
{
	log_set_rate(0);
	unsigned wrong = 0, pairs = 0, seen = 0;
	int fd = begin();
	for (unsigned i = 0; i < 65536; i += 7, pairs++) {
		char pair[2] = { (char)(i >> 8), (char)i };
		log_info("test.pair", LS("v", str_of(pair, 2)));
	}
	struct str rest = end(fd), line;
	while (str_split(&rest, '\n', &line) && line.n > 0) {
		seen++;
		wrong += !str_starts(line, STR("20")) || !str_utf8_valid(line);
		for (size_t i = 0; i < line.n; i++)
			wrong += (unsigned char)line.p[i] < 0x20 || line.p[i] == 0x7f;
	}
	is_int(wrong, 0);
	is_int(seen, pairs);
	log_set_rate(100);
}

TEST(long_values_are_cut)
{
	static char value[5000];
	log_set_rate(0);
	memset(value, 'v', sizeof(value));
	const char *line = shown(str_of(value, sizeof(value)));
	is_int(strlen(line), 1024 + 5);
	is_cstr(line + 1024 - 2, "vvv...\"");
	is_int(strlen(shown(str_of(value, 1024))), 1024);
	/* Cyrillic: two bytes each, the cut must not fall between them. */
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (i + 1) % 2 ? '\xd1' : '\x8f';
	value[0] = 'a';
	memmove(value + 1, value + 2, sizeof(value) - 2);
	line = shown(str_of(value, 4000));
	ok(str_utf8_valid(str_c(line)), "cut between characters");
	ok(!strstr(line, "\\x"), "and none is shown as broken bytes");
	/* More fields than a line takes: what is there is whole. */
	struct log_field fields[40] = { 0 };
	memset(value, '\x01', sizeof(value));
	for (int i = 0; i < 39; i++)
		fields[i] = (struct log_field)LS("f", str_of(value, 1000));
	int fd = begin();
	log_event(LOG_INFO, "test.long", fields);
	struct str s = end(fd);
	is_int(lines(s), 1);
	ok(s.n <= 8192 && str_ends(s, STR("\\u0001\"\n")), "%zu bytes, the last field is whole", s.n);
	log_set_rate(100);
}

TEST(levels)
{
	int fd = begin();
	is_int(log_set_level(STR("warn")), 0);
	log_info("test.quiet");
	log_warn("test.loud");
	is_int(log_set_level(STR("loudest")), ERR_SYNTAX);
	is_int(log_set_level(STR("debug")), 0);
	log_debug("test.detail");
	is_int(log_set_level(STR("info")), 0);
	log_debug("test.quiet");
	struct str s = end(fd);
	is_int(lines(s), 2);
	ok(strstr(text, " warn test.loud\n") && strstr(text, " debug test.detail\n") && !strstr(text, "quiet"),
	   "as wanted: %s", text);
}

static unsigned count(const char *what)
{
	unsigned n = 0;
	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

TEST(a_flood_of_one_event_is_counted)
{
	log_set_rate(5);
	clock_set_for_test(100000000, 1795430400000000);
	int fd = begin();
	for (int i = 0; i < 20; i++)
		log_info("test.flood", LI("i", i));
	log_info("test.other");
	log_report_dropped(false);
	is_int(lines(end(fd)), 6);
	is_int(count("test.other"), 1);
	fd = begin();
	clock_set_for_test(101000000, 1795430401000000);
	log_info("test.other");
	for (int i = 0; i < 7; i++)
		log_info("test.flood", LI("i", i));
	is_int(lines(end(fd)), 1 + 1 + 5);
	is_int(count(" warn log.dropped event=test.flood count=15\n"), 1);
	/* The end of the process: what the running second dropped is told as well, once. */
	fd = begin();
	log_report_dropped(false);
	is_int(lines(end(fd)), 0);
	fd = begin();
	log_report_dropped(true);
	log_report_dropped(true);
	is_int(lines(end(fd)), 1);
	is_int(count("log.dropped event=test.flood count=2\n"), 1);
	/* A timer tells it without another line being logged. */
	fd = begin();
	for (int i = 0; i < 3; i++)
		log_info("test.flood", LI("i", i));
	clock_set_for_test(102000000, 1795430402000000);
	log_report_dropped(false);
	is_int(lines(end(fd)), 1);
	is_int(count("log.dropped event=test.flood count=3\n"), 1);
	clock_set_for_test(0, 0);
	log_set_rate(100);
}

enum { WRITERS = 4, EACH = 500 };

static void *write_many(void *arg)
{
	for (int i = 0; i < EACH; i++)
		log_info("test.thread", LC("who", (const char *)arg), LI("i", i),
			 LC("pad", "pppppppppppppppppppppppppppppppppppppppp"));
	return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
	pthread_t t[WRITERS];
	static const char *const names[WRITERS] = { "a", "b", "c", "d" };
	log_set_rate(0);
	int fd = begin();
	for (int i = 0; i < WRITERS; i++)
		require(pthread_create(&t[i], NULL, write_many, (void *)(uintptr_t)names[i]) == 0, "thread");
	for (int i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	struct str rest = end(fd), line;
	unsigned whole = 0;
	while (str_split(&rest, '\n', &line))
		whole += str_starts(line, STR("20")) &&
			 str_ends(line, STR(" pad=pppppppppppppppppppppppppppppppppppppppp"));
	is_int(whole, WRITERS * EACH);
	log_set_rate(100);
}
