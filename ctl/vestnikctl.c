/*
 * vestnikctl: the command line of IT. An HTTP client of the API on the control socket (libcurl), one row per verb; only `check DIR` opens a data directory or
 * backup by itself, read-only. Exit code 0 when the server did it, 1 with one line on stderr when not, 2 for wrong use.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "ctl/show.h"
#include "storage/check.h"
#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct call {
	const char *socket;
	bool json;
	int argc;
	char **argv;			 /* words after the verb */
	const char *password;		 /* --password P */
	const char *domain;		 /* --domain D: default the first of the server */
	const char *name, *scope, *days; /* --name N --scope S --days N: of a token */
	bool dry_run, admin, force, disable_missing;
};

static size_t collect(char *p, size_t size, size_t n, void *ctx)
{
	buf_add(ctx, p, size * n);
	return size * n;
}

static int complain(const char *text)
{
	fprintf(stderr, "vestnikctl: %s\n", text);
	return 1;
}

static int show_error(const struct buf *answer, long status)
{
	json_t *root = json_loadb(answer->p ? answer->p : "", answer->n, 0, NULL);
	const char *text = json_string_value(json_object_get(json_object_get(root, "error"), "text"));
	char line[128];

	if (!text) {
		snprintf(line, sizeof line, "the server answered status %ld", status);
		text = line;
	}
	int code = complain(text);
	json_decref(root);
	return code;
}

/* One request; prints the answer with show (or raw with --json). */
static int request(const struct call *c, const char *method, const char *path, struct str body, const char *type,
		   show_fn *show)
{
	struct buf answer;
	char url[512], header[128];
	long status = 0;
	CURL *h = curl_easy_init();
	struct curl_slist *headers = NULL;

	buf_init(&answer, 512u << 20);
	snprintf(url, sizeof url, "http://localhost%s", path);
	snprintf(header, sizeof header, "Content-Type: %s", type);
	headers = curl_slist_append(NULL, header);
	curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, &answer);
	if (strcmp(method, "POST") == 0) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, body.p ? body.p : "");
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	}
	CURLcode err = curl_easy_perform(h);
	curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	int code = 0;
	if (err) {
		char line[512];
		snprintf(line, sizeof line, "no answer on %s (%s): is vestnikd running, and may you open its socket?",
			 c->socket, curl_easy_strerror(err));
		code = complain(line);
	} else if (status >= 300) {
		code = show_error(&answer, status);
	} else if (c->json || !show) {
		fwrite(answer.p ? answer.p : "", 1, answer.n, stdout);
	} else {
		json_t *root = json_loadb(answer.p ? answer.p : "", answer.n, 0, NULL);
		show(root);
		json_decref(root);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(h);
	buf_clear(&answer);
	return code;
}

/* ---- verbs ---- */

static int read_file(const char *name, struct buf *b)
{
	cleanup_fclose FILE *f = strcmp(name, "-") == 0 ? fdopen(dup(0), "r") : fopen(name, "r");
	char *to;
	size_t n;

	if (!f)
		return -1;
	while ((to = buf_reserve(b, 65536)) && (n = fread(to, 1, 65536, f)) > 0)
		buf_commit(b, n);
	return ferror(f) || !buf_ok(b) ? -1 : 0;
}

static int org_import(const struct call *c)
{
	struct buf csv;
	char path[512];
	char *domain = curl_easy_escape(NULL, c->domain ? c->domain : "", 0);

	buf_init(&csv, 250u << 20);
	if (read_file(c->argv[0], &csv)) {
		fprintf(stderr, "vestnikctl: cannot read %s: %m\n", c->argv[0]);
		buf_clear(&csv);
		curl_free(domain);
		return 1;
	}
	snprintf(path, sizeof path, "/api/v1/org/import?dry_run=%d&disable_missing=%d&domain=%s", c->dry_run,
		 c->disable_missing, domain);
	curl_free(domain);
	int code = request(c, "POST", path, buf_str(&csv), "text/csv", show_import);
	buf_clear(&csv);
	return code;
}

/* The password: option, or first line of standard input (secrets do not belong into argv, so a pipe is the better way). */
static bool take_password(const struct call *c, char *out, size_t max)
{
	if (c->password) {
		snprintf(out, max, "%s", c->password);
		return true;
	}
	if (isatty(0))
		fprintf(stderr, "Password: ");
	if (!fgets(out, (int)max, stdin))
		return false;
	out[strcspn(out, "\r\n")] = '\0';
	return true;
}

static int user_call(const struct call *c, const char *verb, bool with_password)
{
	char path[64], password[1100] = "";

	if (with_password && !take_password(c, password, sizeof password))
		return complain("no password was given");
	json_t *o = json_pack("{s:s, s:b, s:b}", "login", c->argv[0], "admin", c->admin, "force", c->force);
	if (!o)
		return complain("the login is not UTF-8");
	if (password[0])
		json_object_set_new(o, "password", json_string(password));
	char *text = json_dumps(o, 0);
	snprintf(path, sizeof path, "/api/v1/users/%s", verb);
	int code = request(c, "POST", path, str_c(text), "application/json", show_done);
	free(text);
	json_decref(o);
	explicit_bzero(password, sizeof password);
	return code;
}

static int user_add(const struct call *c)
{
	int code = user_call(c, "add", true);

	return code || !c->admin ? code : user_call(c, "admin", false);
}

static int user_passwd(const struct call *c)
{
	return user_call(c, "passwd", true);
}
static int user_disable(const struct call *c)
{
	return user_call(c, "disable", false);
}
static int user_enable(const struct call *c)
{
	return user_call(c, "enable", false);
}
static int user_delete(const struct call *c)
{
	return user_call(c, "delete", false);
}
static int user_admin(const struct call *c)
{
	struct call yes = *c;

	yes.admin = true;
	return user_call(&yes, "admin", false);
}
static int user_logout(const struct call *c)
{
	return user_call(c, "logout", false);
}
static int user_list(const struct call *c)
{
	return request(c, "GET", "/api/v1/users", STR_NONE, "", show_users);
}
static int org_show(const struct call *c)
{
	return request(c, "GET", "/api/v1/org", STR_NONE, "", show_org);
}
static int stats(const struct call *c)
{
	return request(c, "GET", "/api/v1/stats", STR_NONE, "", show_pairs);
}
static int sessions(const struct call *c)
{
	return request(c, "GET", "/api/v1/sessions", STR_NONE, "", show_sessions);
}
static int audit(const struct call *c)
{
	return request(c, "GET", "/api/v1/audit", STR_NONE, "", show_audit);
}

static int token_add(const struct call *c)
{
	if (!c->name || !c->scope)
		return complain("a token needs --name and --scope (of read, send-as, system, org, admin, chats)");
	json_t *o =
		json_pack("{s:s, s:s, s:i}", "name", c->name, "scopes", c->scope, "days", c->days ? atoi(c->days) : 0);
	if (o && c->domain)
		json_object_set_new(o, "domain", json_string(c->domain));
	char *text = o ? json_dumps(o, 0) : NULL;
	if (!text)
		return complain("the name is not UTF-8");
	int code = request(c, "POST", "/api/v1/tokens", str_c(text), "application/json", show_token);
	free(text);
	json_decref(o);
	return code;
}
static int token_list(const struct call *c)
{
	return request(c, "GET", "/api/v1/tokens", STR_NONE, "", show_tokens);
}
static int token_delete(const struct call *c)
{
	char path[256];
	char *id = curl_easy_escape(NULL, c->argv[0], 0);

	snprintf(path, sizeof path, "/api/v1/tokens/%s", id);
	curl_free(id);
	return request(c, "DELETE", path, STR_NONE, "", NULL);
}

static int backup(const struct call *c)
{
	char cwd[2048] = "", dir[4096];

	if (c->argv[0][0] != '/' && !getcwd(cwd, sizeof cwd))
		return complain("the present directory has no name");
	snprintf(dir, sizeof dir, "%s%s%s", cwd, cwd[0] ? "/" : "", c->argv[0]);
	json_t *o = json_pack("{s:s}", "dir", dir);
	char *text = json_dumps(o, 0);
	int code = request(c, "POST", "/api/v1/backup", str_c(text), "application/json", show_done);
	free(text);
	json_decref(o);
	return code;
}

static const char *const table_names[] = {
#define TABLE(id, name, doc) name,
#include "storage/tables.def"
#undef TABLE
};

static int check_dir(const char *dir)
{
	struct store_options o = { .map_bytes = 64u << 20, .max_readers = 126, .read_only = true };
	struct check_report r = { { 0 }, { 0 }, { 0 } };
	struct store *s;
	struct err_msg msg;
	char hash[65] = "";

	if (store_open_lmdb(dir, &o, &s, &msg))
		return complain(msg.text);
	int err = store_check(s, &r);
	store_close(s);
	for (unsigned i = 0; i < TAB_COUNT; i++)
		if (r.records[i] || r.damaged[i])
			printf("%-12s %12llu records, %llu damaged\n", table_names[i], (unsigned long long)r.records[i],
			       (unsigned long long)r.damaged[i]);
	hex_encode(r.hash, 32, hash);
	printf("hash %s\n%s\n", hash, err ? "DAMAGED" : "ok");
	return err ? 1 : 0;
}

static int check(const struct call *c)
{
	if (c->argc)
		return check_dir(c->argv[0]);
	return request(c, "POST", "/api/v1/check", STR("{}"), "application/json", show_check);
}

static const struct verb {
	const char *group, *name;
	int least, most; /* words after the verb */
	int (*run)(const struct call *c);
	const char *usage;
} verbs[] = {
	{ "org", "import", 1, 1, org_import, "org import FILE.csv [--domain D] [--dry-run] [--disable-missing]" },
	{ "org", "show", 0, 0, org_show, "org show" },
	{ "user", "add", 1, 1, user_add, "user add LOGIN[@DOMAIN] [--password P] [--admin] [--force]" },
	{ "user", "passwd", 1, 1, user_passwd, "user passwd LOGIN[@DOMAIN] [--password P]" },
	{ "user", "disable", 1, 1, user_disable, "user disable LOGIN[@DOMAIN]" },
	{ "user", "enable", 1, 1, user_enable, "user enable LOGIN[@DOMAIN]" },
	{ "user", "delete", 1, 1, user_delete, "user delete LOGIN[@DOMAIN]" },
	{ "user", "admin", 1, 1, user_admin, "user admin LOGIN[@DOMAIN]" },
	{ "user", "logout", 1, 1, user_logout, "user logout LOGIN[@DOMAIN]" },
	{ "user", "list", 0, 0, user_list, "user list" },
	{ "token", "add", 0, 0, token_add, "token add --name N --scope SCOPES [--days N] [--domain D]" },
	{ "token", "list", 0, 0, token_list, "token list" },
	{ "token", "delete", 1, 1, token_delete, "token delete ID" },
	{ "stats", NULL, 0, 0, stats, "stats" },
	{ "sessions", NULL, 0, 0, sessions, "sessions" },
	{ "backup", NULL, 1, 1, backup, "backup DIR" },
	{ "check", NULL, 0, 1, check, "check [DIR]" },
	{ "audit", NULL, 0, 0, audit, "audit" },
};

static int usage(void)
{
	fprintf(stderr, "usage: vestnikctl [-s SOCKET] [--json] VERB\n  -s SOCKET   control socket (default "
			"$VESTNIK_SOCKET or /var/lib/vestnik/control.sock)\n\n");
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		fprintf(stderr, "  %s\n", verbs[i].usage);
	return 2;
}

/* Options may stand anywhere; words go to argv. False: unknown option. */
static bool parse(int argc, char **argv, struct call *c)
{
	static const struct {
		const char *name;
		size_t offset;
	} flags[] = {
		{ "--json", offsetof(struct call, json) },
		{ "--dry-run", offsetof(struct call, dry_run) },
		{ "--admin", offsetof(struct call, admin) },
		{ "--force", offsetof(struct call, force) },
		{ "--disable-missing", offsetof(struct call, disable_missing) },
	};

	for (int i = 1; i < argc; i++) {
		bool known = false;
		if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
			c->socket = argv[++i];
		else if (strcmp(argv[i], "--password") == 0 && i + 1 < argc)
			c->password = argv[++i];
		else if (strcmp(argv[i], "--domain") == 0 && i + 1 < argc)
			c->domain = argv[++i];
		else if (strcmp(argv[i], "--name") == 0 && i + 1 < argc)
			c->name = argv[++i];
		else if (strcmp(argv[i], "--scope") == 0 && i + 1 < argc)
			c->scope = argv[++i];
		else if (strcmp(argv[i], "--days") == 0 && i + 1 < argc)
			c->days = argv[++i];
		else if (argv[i][0] != '-' || strcmp(argv[i], "-") == 0)
			c->argv[c->argc++] = argv[i];
		else {
			for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
				if (strcmp(argv[i], flags[f].name) == 0)
					*(bool *)((char *)c + flags[f].offset) = known = true;
			if (!known)
				return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	const char *env = getenv("VESTNIK_SOCKET");
	struct call c = { .socket = env ? env : "/var/lib/vestnik/control.sock", .argv = argv };

	if (!parse(argc, argv, &c))
		return usage();
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		int words = verbs[i].name ? 2 : 1;
		if (c.argc < words || strcmp(c.argv[0], verbs[i].group) ||
		    (verbs[i].name && strcmp(c.argv[1], verbs[i].name)))
			continue;
		c.argc -= words;
		c.argv += words;
		if (c.argc < verbs[i].least || c.argc > verbs[i].most)
			return fprintf(stderr, "usage: vestnikctl %s\n", verbs[i].usage), 2;
		return verbs[i].run(&c);
	}
	return usage();
}
