/*
 * base/conf: what a file gives, what each mistake is answered with (file, line, option, cure), defaults, the
 * manual. Each refused file must also leave nothing behind: AddressSanitizer looks for leaks at exit.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct listener {
	int protocol;
	char *address;
	uint64_t port;
	struct conf_list names;
};
struct options {
	char *data, *greeting;
	struct conf_list domains, listen, groups;
	uint64_t iterations, idle_ms, body_bytes, plain;
	bool push, metrics;
	int level;
};

static const struct conf_option listener_rows[] = {
	{ "protocol", CONF_ENUM, offsetof(struct listener, protocol), NULL, .choices = "xmpp|http",
	  .doc = "What is spoken" },
	{ "address", CONF_STR, offsetof(struct listener, address), "::", .doc = "Address to listen on" },
	{ "port", CONF_UINT, offsetof(struct listener, port), NULL, .min = 1, .max = 65535, .doc = "TCP port" },
	{ "names", CONF_STR_LIST, offsetof(struct listener, names), "", .max = 3, .doc = "Further names" },
	{ 0 },
};
static const struct conf_option table[] = {
	{ "data", CONF_STR, offsetof(struct options, data), NULL, .doc = "Data directory" },
	{ "domains", CONF_STR_LIST, offsetof(struct options, domains), NULL, .min = 1, .max = 3,
	  .doc = "Domains served" },
	{ "listen", CONF_MAP_LIST, offsetof(struct options, listen), "", .max = 4, .rows = listener_rows,
	  .row_size = sizeof(struct listener), .doc = "Listeners." },
	{ "auth.scram_iterations", CONF_UINT, offsetof(struct options, iterations), "100000", 4096, 1000000,
	  .doc = "Rounds of new passwords", .reload = true },
	{ "limits.idle_ms", CONF_UINT, offsetof(struct options, idle_ms), "60000", .min = 1000, .max = 3600000,
	  .unit = "ms" },
	{ "limits.http.body_bytes", CONF_UINT, offsetof(struct options, body_bytes), "1048576", .unit = "bytes" },
	{ "plain", CONF_UINT, offsetof(struct options, plain), "", .doc = "An option" },
	{ "push", CONF_BOOL, offsetof(struct options, push), "true", .doc = "An option" },
	{ "metrics", CONF_BOOL, offsetof(struct options, metrics), "", .doc = "An option" },
	{ "log.level", CONF_ENUM, offsetof(struct options, level), "info", .choices = "debug|info|warn|error" },
	{ "groups", CONF_STR_LIST, offsetof(struct options, groups), "staff, guests", .reload = true },
	{ "greeting", CONF_STR, offsetof(struct options, greeting), "", .doc = "An option" },
	{ 0 },
};

#define LEAST "data: /d\ndomains: [a]\n"

static struct options o;
static struct err_msg msg;

static int parse(const char *text)
{
	conf_clear(table, &o);
	memset(&o, 0, sizeof(o));
	memset(&msg, 0, sizeof(msg));
	return conf_parse(str_c(text), "vestnik.yml", table, &o, &msg);
}

static const char *list_item(struct conf_list l, size_t i)
{
	return i < l.n ? ((char **)l.v)[i] : "(none)";
}

TEST(the_file_of_the_design)
{
	require(parse("data: /var/lib/vestnik\n"
		      "domains: [example.org, \"example.net\"]\n"
		      "listen:\n"
		      "  - { protocol: xmpp, address: \"127.0.0.1\", port: 5222 }   # comment\n"
		      "  - protocol: http\n"
		      "    port: 5280\n"
		      "    names: [a, b]\n"
		      "auth: { scram_iterations: 5000 }\n"
		      "limits:\n"
		      "  idle_ms: 30s\n"
		      "  http: { body_bytes: 64K }\n"
		      "push: off\n"
		      "metrics: Yes\n"
		      "log:\n"
		      "  level: warn\n"
		      "groups: one\n") == 0,
		"accepted: %s", msg.text);
	is_cstr(o.data, "/var/lib/vestnik");
	is_int(o.domains.n, 2);
	is_cstr(list_item(o.domains, 0), "example.org");
	is_cstr(list_item(o.domains, 1), "example.net");
	require(o.listen.n == 2, "two listeners");
	const struct listener *l = o.listen.v;
	is_int(l[0].protocol, 0);
	is_cstr(l[0].address, "127.0.0.1");
	is_int(l[0].port, 5222);
	is_int(l[0].names.n, 0);
	is_int(l[1].protocol, 1);
	is_cstr(l[1].address, "::");
	is_int(l[1].port, 5280);
	is_cstr(list_item(l[1].names, 1), "b");
	is_int(o.iterations, 5000);
	is_int(o.idle_ms, 30000);
	is_int(o.body_bytes, 65536);
	ok(!o.push && o.metrics, "yes and off");
	is_int(o.level, 2);
	is_int(o.groups.n, 1);
	is_cstr(list_item(o.groups, 0), "one");
}

TEST(defaults)
{
	require(parse(LEAST "auth:\n  # scram_iterations: 1\n") == 0, "a group that is empty is fine: %s", msg.text);
	is_int(o.iterations, 100000);
	is_int(o.idle_ms, 60000);
	is_int(o.plain, 0);
	ok(o.push && !o.metrics, "true and empty");
	is_int(o.level, 1);
	is_int(o.listen.n, 0);
	is_int(o.groups.n, 2);
	is_cstr(list_item(o.groups, 0), "staff");
	is_cstr(list_item(o.groups, 1), "guests");
	is_cstr(o.greeting, "");
	is_int(parse(LEAST "groups: []\n"), 0);
	is_int(o.groups.n, 0);
	is_int(parse(LEAST "greeting: \"\"\n"), 0);
	is_int(parse(LEAST "limits.http.body_bytes: 5\nlimits: { idle_ms: 2min }\n"), 0);
	is_int(o.body_bytes, 5);
	is_int(o.idle_ms, 120000);
	is_int(parse(LEAST "plain: 18446744073709551615\n"), 0);
	ok(o.plain == UINT64_MAX, "no maximum");
}

static const struct {
	const char *text;
	int code;
	const char *want;
} mistakes[] = {
	{ "data: /d\n\ndomains: [a]\nauth:\n  scram_iterations: 100\n", ERR_LIMIT,
	  "vestnik.yml:5: auth.scram_iterations: 100 is below the least 4096" },
	{ LEAST "auth: { scram_iterations: 1000001 }\n", ERR_LIMIT,
	  "vestnik.yml:3: auth.scram_iterations: 1000001 is above the most 1000000" },
	{ LEAST "limits: { idle_ms: 2h }\n", ERR_LIMIT,
	  "vestnik.yml:3: limits.idle_ms: 2h is above the most 3600000 ms" },
	{ LEAST "plain: 18446744073709551616000\nauth: { scram_iterations: 99999999999999999999 }\n", ERR_LIMIT,
	  "vestnik.yml:4: auth.scram_iterations: 99999999999999999999 is above the most 1000000" },
	{ LEAST "auth: { scram_iterations: many }\n", ERR_SYNTAX,
	  "vestnik.yml:3: auth.scram_iterations: `many` is no number; write a whole number from 4096 on" },
	{ LEAST "plain: -1\n", ERR_SYNTAX, "vestnik.yml:3: plain: `-1` is no number; write a whole number from 0 on" },
	{ LEAST "plain: 5s\n", ERR_SYNTAX, "vestnik.yml:3: plain: `5s` is no number; write a whole number from 0 on" },
	{ LEAST "limits: { idle_ms: 5K }\n", ERR_SYNTAX,
	  "vestnik.yml:3: limits.idle_ms: `5K` is no number; write a whole number of ms from 1000 on" },
	{ LEAST "push: maybe\n", ERR_SYNTAX, "vestnik.yml:3: push: `maybe` is neither true nor false" },
	{ LEAST "log: { level: wran }\n", ERR_SYNTAX,
	  "vestnik.yml:3: log.level: `wran` is none of debug|info|warn|error; did you mean `warn`?" },
	{ LEAST "log: { level: everything }\n", ERR_SYNTAX,
	  "vestnik.yml:3: log.level: `everything` is none of debug|info|warn|error" },
	{ LEAST "auth: { scram_iteration: 5000 }\n", ERR_SYNTAX,
	  "vestnik.yml:3: auth.scram_iteration: unknown option; did you mean `auth.scram_iterations`?" },
	{ LEAST "scram_iterations: 5000\n", ERR_SYNTAX,
	  "vestnik.yml:3: scram_iterations: unknown option; did you mean `auth.scram_iterations`?" },
	{ LEAST "limtis: { idle_ms: 5000 }\n", ERR_SYNTAX,
	  "vestnik.yml:3: limtis: unknown option; did you mean `limits`?" },
	{ "data: /d\ndomain: [a]\n", ERR_SYNTAX, "vestnik.yml:2: domain: unknown option; did you mean `domains`?" },
	{ LEAST "colour_of_the_sky: blue\n", ERR_SYNTAX,
	  "vestnik.yml:3: colour_of_the_sky: unknown option; `vestnikd --options` lists all" },
	{ LEAST "listen:\n - protocol: xmpp\n   prot: 1\n", ERR_SYNTAX,
	  "vestnik.yml:5: listen.prot: unknown option; did you mean `listen.port`?" },
	{ LEAST "listen:\n - { protocol: xmpp, port: 70000 }\n", ERR_LIMIT,
	  "vestnik.yml:4: listen.port: 70000 is above the most 65535" },
	{ LEAST "listen:\n - { protocol: xmpp, port: 1 }\n - { protocol: http }\n", ERR_SYNTAX,
	  "vestnik.yml:5: listen.port: is missing and has no default; add it (TCP port)" },
	{ LEAST "listen: [5222]\n", ERR_SYNTAX,
	  "vestnik.yml:3: listen: each entry is a group of options such as `- { protocol: ... }`" },
	{ "domains: [a]\n", ERR_SYNTAX, "vestnik.yml:1: data: is missing and has no default; add it (Data directory)" },
	{ "", ERR_SYNTAX, "vestnik.yml:1: data: is missing and has no default; add it (Data directory)" },
	{ "data: /d\ndomains: []\n", ERR_LIMIT, "vestnik.yml:2: domains: 0 entries are fewer than the least 1" },
	{ "data: /d\ndomains: [a, b, c, d]\n", ERR_LIMIT,
	  "vestnik.yml:2: domains: 4 entries are more than the most 3" },
	{ "data: /d\ndomains: [a, [b]]\n", ERR_SYNTAX, "vestnik.yml:2: domains: needs a single value, not a list" },
	{ "data: /d\ndomains: [a, ~]\n", ERR_SYNTAX,
	  "vestnik.yml:2: domains: has no value; write one or remove the line" },
	{ "data: /d\ndomains:\n", ERR_SYNTAX, "vestnik.yml:2: domains: has no value; write a list or remove the line" },
	{ "domains: [a]\ndata:\n", ERR_SYNTAX, "vestnik.yml:2: data: has no value; write one or remove the line" },
	{ "domains: [a]\ndata: { x: y }\n", ERR_SYNTAX,
	  "vestnik.yml:2: data: needs a single value, not a group of options" },
	{ "domains: [a]\ndata: \"a\\0b\"\n", ERR_SYNTAX, "vestnik.yml:2: data: holds a NUL character; remove it" },
	{ LEAST "auth: 5000\n", ERR_SYNTAX,
	  "vestnik.yml:3: auth: is a group of options, not a single value; write them indented below it" },
	{ LEAST "push: true\npush: false\n", ERR_SYNTAX,
	  "vestnik.yml:4: push: is given twice, first in line 3; remove one" },
	{ LEAST "log: {}\npush: on\nlog: { level: info }\n", ERR_SYNTAX,
	  "vestnik.yml:5: log: is given twice, first in line 3; remove one" },
	{ LEAST "log: { level: info }\nlog.level: warn\n", ERR_SYNTAX,
	  "vestnik.yml:4: log.level: is given twice; remove one" },
	{ LEAST "[a]: b\n", ERR_SYNTAX, "vestnik.yml:3: an option name is a word, not a list" },
	{ "- a\n- b\n", ERR_SYNTAX, "vestnik.yml:1: the file is a list; it should hold lines such as `option: value`" },
	{ "just words\n", ERR_SYNTAX,
	  "vestnik.yml:1: the file is a single value; it should hold lines such as `option: value`" },
	{ LEAST "---\npush: true\n", ERR_SYNTAX,
	  "vestnik.yml:4: a second document begins; remove the line `---` before it" },
};

TEST(each_mistake_names_line_option_and_cure)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		is_int(parse(mistakes[i].text), mistakes[i].code);
		is_cstr(msg.text, mistakes[i].want);
		ok(!o.data && !o.domains.v && !o.listen.v && !o.groups.v, "nothing left to free");
	}
}

TEST(what_is_not_yaml)
{
	is_int(parse(LEAST "auth:\n\tscram_iterations: 5000\n"), ERR_SYNTAX);
	ok(strncmp(msg.text, "vestnik.yml:4: not valid YAML: ", 31) == 0 && strstr(msg.text, "spaces instead of tabs"),
	   "%s", msg.text);
	is_int(parse(LEAST "log: { level: info\npush: true\n"), ERR_SYNTAX);
	ok(strncmp(msg.text, "vestnik.yml:", 12) == 0 && strstr(msg.text, "not valid YAML"), "%s", msg.text);
	is_int(parse("data: \xff\n"), ERR_SYNTAX);
	ok(strstr(msg.text, "not valid YAML"), "%s", msg.text);
	is_int(parse("data: *nowhere\n"), ERR_SYNTAX);
	ok(strstr(msg.text, "undefined alias"), "%s", msg.text);
	is_int(conf_parse(STR("x"), "f", table, &o, NULL), ERR_SYNTAX);
}

TEST(hostile_documents_end)
{
	is_int(parse(LEAST "listen: &a [*a]\n"), ERR_SYNTAX);
	is_int(parse(LEAST "log: &a { log: *a }\n"), ERR_SYNTAX);
	static char deep[3001];
	memset(deep, '[', 3000);
	is_int(parse(deep), ERR_SYNTAX);
	/* A long name and a control character do not get into the message. */
	static char longname[1000];
	memset(longname, 'n', 900);
	memcpy(longname + 900, ": 1\n", 5);
	is_int(parse(longname), ERR_SYNTAX);
	ok(strlen(msg.text) < 200 && strstr(msg.text, "nnn...: unknown option"), "%s", msg.text);
	is_int(parse(LEAST "push: \"\\e[2Jx\"\n"), ERR_SYNTAX);
	is_cstr(msg.text, "vestnik.yml:3: push: `?[2Jx` is neither true nor false");
}

TEST(every_cut_of_a_good_file_is_accepted_or_explained)
{
	static const char good[] = LEAST
		"listen:\n - { protocol: xmpp, port: 1, names: [x, y] }\nlimits: { idle_ms: 5s }\ngroups: [a, b]\n";
	unsigned wrong = 0;
	for (size_t n = 0; n < sizeof(good); n++) {
		conf_clear(table, &o);
		memset(&o, 0, sizeof(o));
		msg.text[0] = '\0';
		int e = conf_parse(str_of(good, n), "f", table, &o, &msg);
		wrong += e ? strncmp(msg.text, "f:", 2) != 0 : !o.data;
	}
	is_int(wrong, 0);
}

TEST(files)
{
	char path[600];
	conf_clear(table, &o);
	(void)snprintf(path, sizeof(path), "%s/conf.yml", test_tmpdir());
	is_int(conf_load(path, table, &o, &msg), ERR_NOT_FOUND);
	ok(strncmp(msg.text, path, strlen(path)) == 0 && strstr(msg.text, "cannot be opened") &&
		   strstr(msg.text, "-c FILE"),
	   "%s", msg.text);
	is_int(conf_load(test_tmpdir(), table, &o, &msg), ERR_SYNTAX);
	ok(strstr(msg.text, "is a directory") != NULL, "%s", msg.text);
	FILE *f = fopen(path, "w");
	require(f, "file");
	fputs(LEAST "push: false\n", f);
	fclose(f);
	is_int(conf_load(path, table, &o, &msg), 0);
	ok(!o.push, "read");
	conf_clear(table, &o);
	f = fopen(path, "w");
	require(f, "file");
	fputs("data: ?!\n", f);
	for (int i = 0; i < 20000; i++)
		fputs("# a comment of some length, repeated until the file is too large to be one of ours\n", f);
	fclose(f);
	is_int(conf_load(path, table, &o, &msg), ERR_LIMIT);
	ok(strstr(msg.text, "is larger than") != NULL, "%s", msg.text);
}

TEST(manual)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	require(f, "stream");
	conf_manual(table, f);
	fclose(f);
	ok(strstr(text, "auth.scram_iterations: 100000\n    number from 4096 to 1000000\n    Rounds of new passwords. "
			"Taken over on reload.\n\n"),
	   "a number");
	ok(strstr(text, "data: (required)\n    text\n    Data directory. Needs a restart.\n"), "a required text");
	ok(strstr(text, "log.level: info\n    one of debug, info, warn, error\n"), "choices");
	ok(strstr(text, "listen[].port: (required)\n    number from 1 to 65535\n    TCP port."),
	   "an option of a list entry");
	ok(strstr(text, "listen:\n    list of groups, each with the options below, from 0 to 4\n    Listeners. Needs"),
	   "a list");
	ok(strstr(text, "groups: [staff, guests]\n    list of texts\n"), "a list of texts");
	ok(strstr(text,
		  "limits.idle_ms: 60000\n    number from 1000 to 3600000, ms (or as 500ms, 30s, 10min, 2h, 1d)\n"),
	   "a time");
	free(text);
}

TEST(clearing_twice_is_harmless)
{
	is_int(parse(LEAST), 0);
	conf_clear(table, &o);
	conf_clear(table, &o);
	ok(!o.data && !o.domains.v, "empty");
}
