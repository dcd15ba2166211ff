/* server/options: the least file of the design, what the table cannot say, errors that name file, option and cure; the table's own defaults. */
#include "server/options.h"
#include "base/err.h"
#include "tests/lib/test.h"

#define LEAST "data: /d\ndomains: [example.org]\nlisten:\n  - { protocol: xmpp, address: \"127.0.0.1\", port: 5222 }\n"
#define HEAD "data: /d\ndomains: [example.org]\n"

static struct options o;
static struct err_msg msg;

static int parse(const char *text)
{
	conf_clear(option_table, &o);
	memset(&o, 0, sizeof(o));
	memset(&msg, 0, sizeof(msg));
	return options_parse(str_c(text), &o, &msg);
}

TEST(the_least_that_works)
{
	require(parse(LEAST) == 0, "accepted: %s", msg.text);
	const struct listen_option *l = o.listen.v;
	is_cstr(o.data, "/d");
	is_int(o.domains.n, 1);
	is_cstr(((char **)o.domains.v)[0], "example.org");
	is_int(o.listen.n, 1);
	is_int(l[0].protocol, LISTEN_XMPP);
	is_int(l[0].tls, LISTEN_STARTTLS);
	is_int(l[0].port, 5222);
	is_int(o.scram_iterations, 100000);
	is_int(o.visibility, 0);
	ok(!o.allow_network_fs && !o.directory_passwords, "careful defaults");
	is_cstr(o.tls_certificate, "");
	is_cstr(o.control_socket, "");
#define LIMIT(name, def, least, most, unit, reload, text) ok(o.limits.name == (def), "limit " #name " has its default");
#include "server/net/limits.def"
#undef LIMIT
}

TEST(the_file_of_the_design)
{
	require(parse("data: /var/lib/vestnik\ndomains: [example.org, EXAMPLE.net]\nlisten:\n"
		      "  - { protocol: xmpp, address: \"127.0.0.1\", port: 5222, tls: starttls }        # starttls | "
		      "direct | none\n"
		      "  - { protocol: http, address: \"127.0.0.1\", port: 5280, tls: none }\n"
		      "  - { protocol: xmpp, address: \"::1\", port: 5223, tls: none }\n"
		      "tls: { certificate: cert.pem, key: key.pem }\nauth: { scram_iterations: 4096 }\n"
		      "company: { visibility: branch }\nlimits: { sessions: 3, ping_ms: 10s }\n") == 0,
		"accepted: %s", msg.text);
	is_int(o.listen.n, 3);
	is_cstr(((char **)o.domains.v)[1], "example.net"); /* prepared */
	is_cstr(o.tls_certificate, "cert.pem");
	is_int(o.scram_iterations, 4096);
	is_int(o.visibility, 1);
	is_int(o.limits.sessions, 3);
	is_int(o.limits.ping_ms, 10000);
}

static const struct {
	const char *text, *says;
} bad[] = {
	{ "", "data" },
	{ "domains: [a.b]\nlisten: [{ protocol: http, port: 1, tls: none }]\n", "data" },
	{ "data: /d\nlisten: [{ protocol: http, port: 1, tls: none }]\n", "domains" },
	{ HEAD, "listen" },
	{ HEAD "listen: [{ protocol: xmpp, address: \"0.0.0.0\", port: 5222, tls: none }]\n", "loopback" },
	{ HEAD "listen: [{ protocol: xmpp, port: 5222, tls: none }]\n", "loopback" },
	{ HEAD "listen: [{ protocol: xmpp, address: \"127.0.0.1.example.org\", port: 5222, tls: none }]\n",
	  "loopback" },
	{ HEAD "listen: [{ protocol: xmpp, address: \"::ffff:192.0.2.1\", port: 5222, tls: none }]\n", "loopback" },
	{ HEAD "listen: [{ protocol: http, port: 5280, tls: starttls }]\n", "STARTTLS" },
	{ HEAD "listen: [{ protocol: smtp, port: 25 }]\n", "protocol" },
	{ HEAD "listen: [{ protocol: xmpp, port: 0 }]\n", "port" },
	{ HEAD "listen: [{ protocol: xmpp, port: 65536 }]\n", "port" },
	{ HEAD "listen: [{ protocol: xmpp }]\n", "port" },
	{ LEAST "tls: { certificate: c.pem }\n", "tls.key" },
	{ LEAST "tls: { key: k.pem }\n", "tls.certificate" },
	{ LEAST "auth: { scram_iterations: 4095 }\n", "scram_iterations" },
	{ LEAST "auth: { scram_iterations: many }\n", "scram_iterations" },
	{ LEAST "limits: { sessions: 0 }\n", "sessions" },
	{ LEAST "limits: { sesions: 5 }\n", "sesions" },
	{ LEAST "unknown: 1\n", "unknown" },
	{ LEAST "data: /e\n", "data" },
	{ LEAST "company: { visibility: everybody }\n", "visibility" },
	{ LEAST "workers: 65\n", "workers" },
	{ "data: /d\ndomains: [\"two words\"]\nlisten: [{ protocol: http, port: 1, tls: none }]\n", "two words" },
	{ "data: /d\ndomains: [\"a@b\"]\nlisten: [{ protocol: http, port: 1, tls: none }]\n", "a@b" },
	{ "data: /d\ndomains: []\nlisten: [{ protocol: http, port: 1, tls: none }]\n", "domains" },
	{ HEAD "listen: [\n", ":4: " },
};

TEST(mistakes_are_named)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int err = parse(bad[i].text);
		if (!ok(err < 0 && strstr(msg.text, bad[i].says) && !strchr(msg.text, '\n'), "mistake %zu names %s", i,
			bad[i].says))
			diag("%s: '%s'", err ? err_text(err) : "accepted", msg.text);
	}
	conf_clear(option_table, &o);
}

TEST(a_missing_file)
{
	memset(&o, 0, sizeof(o));
	ok(options_load("/nonexistent/vestnik.yml", &o, &msg) < 0 && strstr(msg.text, "/nonexistent/vestnik.yml"),
	   "names it: %s", msg.text);
	conf_clear(option_table, &o);
}
