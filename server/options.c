/* The option table of the daemon: what vestnik.yml may say, read, checked and printed from here. Main thread. */
#include "server/options.h"
#include "base/mem.h"
#include "server/im/im.h"
#include "xml/jid.h"
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct options, field)
#define LISTEN_AT(field) offsetof(struct listen_option, field)

static const struct conf_option listen_rows[] = {
	{ "protocol", CONF_ENUM, LISTEN_AT(protocol), "xmpp", .choices = "xmpp|http",
	  .doc = "What is spoken on this port" },
	{ "address", CONF_STR, LISTEN_AT(address), "::", .doc = "Address to listen on; :: and 0.0.0.0 mean all" },
	{ "port", CONF_UINT, LISTEN_AT(port), NULL, 1, 65535, .doc = "TCP port" },
	{ "tls", CONF_ENUM, LISTEN_AT(tls), "starttls", .choices = "starttls|direct|none",
	  .doc = "starttls: required before login; direct: from the first byte; none: only on loopback for xmpp" },
	{ .path = NULL },
};

#define PORTAL_AT(field) offsetof(struct portal_key, field)

static const struct conf_option portal_rows[] = {
	{ "issuer", CONF_STR, PORTAL_AT(issuer), NULL, .doc = "Claim iss of the tokens" },
	{ "audience", CONF_STR, PORTAL_AT(audience), "vestnik", .doc = "Claim aud of the tokens" },
	{ "key", CONF_STR, PORTAL_AT(key_file), NULL,
	  .doc = "File with the shared secret (HS256) or the public key in PEM" },
	{ "algorithm", CONF_ENUM, PORTAL_AT(algorithm), "HS256", .choices = "HS256|RS256|ES256",
	  .doc = "The only algorithm taken for this issuer" },
	{ "domain", CONF_STR, PORTAL_AT(domain), "",
	  .doc = "Domain whose logins the claim sub names; empty: the first one" },
	{ .path = NULL },
};

const struct conf_option option_table[] = {
	{ "data", CONF_STR, AT(data), NULL, .doc = "Data directory: everything the server keeps" },
	{ "domains", CONF_STR_LIST, AT(domains), NULL, 1, 100, .doc = "Domains that are served" },
	{ "listen", CONF_MAP_LIST, AT(listen), NULL, 1, 64, .rows = listen_rows,
	  .row_size = sizeof(struct listen_option), .doc = "Ports" },
	{ "tls.certificate", CONF_STR, AT(tls_certificate), "", .reload = true,
	  .doc = "PEM file with the certificate chain; empty: a self-signed pair is made in the data directory" },
	{ "tls.key", CONF_STR, AT(tls_key), "", .reload = true, .doc = "PEM file with the private key" },
	{ "tls.client_ca", CONF_STR, AT(tls_client_ca), "", .reload = true,
	  .doc = "PEM file with the authorities of client certificates (SASL EXTERNAL); empty: none are asked for" },
	{ "auth.scram_iterations", CONF_UINT, AT(scram_iterations), "100000", 4096, 1000000, .unit = "iterations",
	  .doc = "PBKDF2 iterations of new passwords" },
	{ "auth.directory_passwords", CONF_BOOL, AT(directory_passwords), "no", .reload = true,
	  .doc = "Passwords belong to the directory: people cannot change them by XMPP" },
	{ "auth.portal", CONF_MAP_LIST, AT(portal), "", 0, 16, .rows = portal_rows,
	  .row_size = sizeof(struct portal_key), .reload = true,
	  .doc = "Portals whose signed tokens (JWT) log people in: SASL OAUTHBEARER and POST /api/v1/session" },
	{ "company.visibility", CONF_ENUM, AT(visibility), "company", .choices = "company|branch|department",
	  .reload = true, .doc = "Who sees whom: everybody, the own top-level branch, or the own department" },
	{ "chats.departments", CONF_BOOL, AT(chat_departments), "no",
	  .doc = "Each department has a chat that its people are members of, always as the structure says" },
	{ "chats.general", CONF_BOOL, AT(chat_general), "no", .doc = "One chat of each domain has everybody in it" },
	{ "chats.language", CONF_ENUM, AT(chat_language), "en", .choices = "en|ru", .reload = true,
	  .doc = "Language of the lines that chats say about themselves" },
	{ "chats.aliases", CONF_STR_LIST, AT(chat_aliases), "conference", 0, 16,
	  .doc = "Further names of the chat service chats.DOMAIN: the label in front of each domain" },
	{ "chats.people_create", CONF_BOOL, AT(people_make_chats), "yes", .reload = true,
	  .doc = "Everybody may create chats; otherwise administrators and the portal only" },
	{ "workers", CONF_UINT, AT(workers), "0", 0, 64, .unit = "threads",
	  .doc = "Worker threads; 0: one per processor" },
	{ "log.level", CONF_ENUM, AT(log_level), "info", .choices = "debug|info|warn|error", .reload = true,
	  .doc = "Least level that is logged" },
	{ "control.socket", CONF_STR, AT(control_socket), "",
	  .doc = "Unix socket of vestnikctl; empty: control.sock in the data directory" },
	{ "http.url", CONF_STR, AT(http_url), "",
	  .doc = "Address at which clients reach the HTTP side (files), such as https://chat.example.org; empty: made "
		 "of the first http listener" },
	{ "http.trusted_proxies", CONF_STR_LIST, AT(http_proxies), "", 0, 100, .reload = true,
	  .doc = "Proxies whose Forwarded and X-Forwarded-* headers are believed: addresses or networks (10.0.0.0/8)" },
	{ "http.origins", CONF_STR_LIST, AT(http_origins), "", 0, 100, .reload = true,
	  .doc = "Pages of other hosts that may use WebSocket, BOSH and the API: https://portal.example.org; * for "
		 "all" },
	{ "http.web_root", CONF_STR, AT(http_web_root), "",
	  .doc = "Folder with the files of the web client; empty: only the built-in page" },
	{ "http.access_log", CONF_BOOL, AT(http_access_log), "yes", .reload = true,
	  .doc = "Log each request with method, path, status and address" },
	{ "storage.allow_network_fs", CONF_BOOL, AT(allow_network_fs), "no",
	  .doc = "Start although the data directory is on a network file system, where LMDB is not safe" },
	{ "storage.map_mib", CONF_UINT, AT(map_mib), "64", 8, 1048576, .unit = "MiB",
	  .doc = "First size of the map; it grows by itself" },
#define TEXT(x) #x
#define LIMIT(name, def, least, most, unit_, reload_, text)                                                            \
	{ "limits." #name, CONF_UINT,	AT(limits.name),  TEXT(def), least, most,                                      \
	  .unit = unit_,   .doc = text, .reload = reload_ },
#include "server/net/limits.def"
#undef LIMIT
	{ .path = NULL },
};

static bool is_loopback(const char *address)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return strcmp(address, "::1") == 0 || strcmp(address, "localhost") == 0;
}

/* Prepares a domain in place (RFC 7622 section 3.2); names that no address could have are refused. */
static int prepare_domain(const char *name, char **domain, struct err_msg *msg)
{
	struct arena *a = arena_new(4096);
	struct str in = str_c(*domain), out;
	bool bad = jid_prep_domain(a, in, &out) != 0 || str_find(out, ' ') >= 0 || str_find(out, '@') >= 0 ||
		   str_find(out, '/') >= 0 || out.p[0] == '.' || strstr(*domain, "..") != NULL;

	if (!bad) {
		char *copy = str_dup(out);
		mem_free(*domain);
		*domain = copy;
	}
	arena_free(a);
	return bad ? err_set(msg, ERR_SYNTAX, "%s: domains: \"%s\" is not a domain name", name, *domain) : 0;
}

/* The domain of a portal is one that is served: the first one when none is given. */
static int check_portal(const char *name, const struct options *o, struct portal_key *k, struct err_msg *msg)
{
	char **domains = o->domains.v;
	int err;

	if (!k->domain[0]) {
		mem_free((char *)k->domain);
		k->domain = str_dup(str_c(domains[0]));
	} else if ((err = prepare_domain(name, (char **)&k->domain, msg)) != 0) {
		return err;
	}
	for (size_t i = 0; i < o->domains.n; i++)
		if (strcmp(domains[i], k->domain) == 0)
			return 0; /* public: a domain */
	return err_set(msg, ERR_SYNTAX, "%s: auth.portal: \"%s\" is none of the domains that are served", name,
		       k->domain);
}

struct http_options options_http(const struct options *o)
{
	return (struct http_options){ .proxies = o->http_proxies.v,
				      .n_proxies = o->http_proxies.n,
				      .origins = o->http_origins.v,
				      .n_origins = o->http_origins.n,
				      .access_log = o->http_access_log };
}

static int check_http(const char *name, const struct options *o, struct err_msg *msg)
{
	struct http_options h = options_http(o);
	struct err_msg why = { "" };
	int err = http_check_options(&h, &why);

	return err ? err_set(msg, err, "%s: %s", name, why.text) : 0;
}

static int check(const char *name, const struct options *o, struct err_msg *msg)
{
	char **domains = o->domains.v;

	const struct listen_option *l = o->listen.v;

	if ((o->tls_certificate[0] != '\0') != (o->tls_key[0] != '\0'))
		return err_set(msg, ERR_SYNTAX, "%s: tls.certificate and tls.key go together: give both or none", name);
	for (size_t i = 0; i < o->domains.n; i++) {
		int err = prepare_domain(name, &domains[i], msg);
		if (err)
			return err;
	}
	for (size_t i = 0; i < o->portal.n; i++) {
		int err = check_portal(name, o, &((struct portal_key *)o->portal.v)[i], msg);
		if (err)
			return err;
	}
	for (size_t i = 0; i < o->listen.n; i++) {
		if (l[i].protocol == LISTEN_XMPP && l[i].tls == LISTEN_NONE && !is_loopback(l[i].address))
			return err_set(msg, ERR_SYNTAX,
				       "%s: listen: xmpp without TLS on %s port %u is refused: use tls: starttls or "
				       "direct, or a loopback address",
				       name, l[i].address, (unsigned)l[i].port);
		if (l[i].protocol == LISTEN_HTTP && l[i].tls == LISTEN_STARTTLS)
			return err_set(
				msg, ERR_SYNTAX,
				"%s: listen: http port %u: there is no STARTTLS in HTTP, use tls: direct or none", name,
				(unsigned)l[i].port);
	}
	return check_http(name, o, msg);
}

int options_load(const char *file, struct options *out, struct err_msg *msg)
{
	int err;

	memset(out, 0, sizeof *out);
	err = conf_load(file, option_table, out, msg);
	return err ? err : check(file, out, msg);
}

int options_parse(struct str text, struct options *out, struct err_msg *msg)
{
	int err;

	memset(out, 0, sizeof *out);
	err = conf_parse(text, "vestnik.yml", option_table, out, msg);
	return err ? err : check("vestnik.yml", out, msg);
}
