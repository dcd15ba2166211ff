/*
 * Who is asking: the client behind trusted proxies (row W03) and the page that a browser asks for (rows W01, W02, W04). The lists are one immutable
 * table, replaced as a whole; former ones are kept, as reloads are rare. Any worker.
 */
#include "base/err.h"
#include "base/mem.h"
#include "bosh/http_impl.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>

#define HOPS_MAX 16 /* proxies between a client and us that are looked at */

struct network {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};
struct settings {
	struct settings *former;
	struct network *proxies;
	char **origins;
	size_t n_proxies, n_origins;
	bool access_log;
};
static struct settings none = { .access_log = true };
static _Atomic(struct settings *) present = &none;

/* ---- the lists ---- */

static bool address_of(const char *text, uint8_t out[16])
{
	struct in_addr v4;

	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	if (inet_pton(AF_INET, text, &v4) != 1)
		return false;
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, &v4, 4);
	return true;
}

static int network_of(const char *text, struct network *out)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits;

	if (n >= sizeof address)
		return ERR_SYNTAX;
	memcpy(address, text, n);
	address[n] = '\0';
	if (!address_of(address, out->bytes))
		return ERR_SYNTAX;
	bool v4 = strchr(address, ':') == NULL;
	bits = v4 ? 32 : 128;
	if (slash && str_u64(str_c(slash + 1), bits, &bits))
		return ERR_SYNTAX;
	out->bits = (unsigned)bits + (v4 ? 96 : 0);
	return 0;
}

static bool is_origin(const char *s)
{
	const char *host = strncmp(s, "https://", 8) == 0 ? s + 8 : strncmp(s, "http://", 7) == 0 ? s + 7 : NULL;

	return strcmp(s, "*") == 0 || (host && *host && !strpbrk(host, "/?#@ *"));
}

static void settings_free(struct settings *s)
{
	for (size_t i = 0; i < s->n_origins; i++)
		mem_free(s->origins[i]);
	mem_free(s->origins);
	mem_free(s->proxies);
	mem_free(s);
}

/* NULL with msg when an entry is wrong. */
static struct settings *settings_new(const struct http_options *o, struct err_msg *msg)
{
	struct settings *s = NEW(struct settings);

	s->proxies = mem_zero((o->n_proxies + 1) * sizeof *s->proxies);
	s->origins = mem_zero((o->n_origins + 1) * sizeof(char *));
	s->access_log = o->access_log;
	for (; s->n_proxies < o->n_proxies; s->n_proxies++) {
		const char *text = o->proxies[s->n_proxies];
		if (!network_of(text, &s->proxies[s->n_proxies]))
			continue;
		err_set(msg, ERR_SYNTAX,
			"http.trusted_proxies: \"%s\" is no address (192.0.2.1) or network (10.0.0.0/8)", text);
		settings_free(s);
		return NULL;
	}
	for (; s->n_origins < o->n_origins; s->n_origins++) {
		const char *text = o->origins[s->n_origins];
		s->origins[s->n_origins] = str_dup(str_c(text));
		if (is_origin(text))
			continue;
		mem_free(s->origins[s->n_origins]);
		err_set(msg, ERR_SYNTAX,
			"http.origins: \"%s\" is no origin: write https://portal.example.org, without a path, or *",
			text);
		settings_free(s);
		return NULL;
	}
	return s;
}

int http_check_options(const struct http_options *o, struct err_msg *msg)
{
	struct settings *s = settings_new(o, msg);

	if (s)
		settings_free(s);
	return s ? 0 : ERR_SYNTAX;
}

void http_set_options(const struct http_options *o)
{
	struct settings *s = settings_new(o, NULL);

	if (!s)
		return;
	s->former = atomic_load(&present);
	atomic_store_explicit(&present, s, memory_order_release);
}

static const struct settings *settings(void)
{
	return atomic_load_explicit(&present, memory_order_acquire);
}

bool http_access_log(void)
{
	return settings()->access_log;
}

void http_print_origins(char *out, size_t n)
{
	const struct settings *s = settings();
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < s->n_origins && at + strlen(s->origins[i]) + 2 <= n; i++)
		at += (size_t)snprintf(out + at, n - at, " %s", s->origins[i]);
}

static bool in_network(const uint8_t a[16], const struct network *n)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (memcmp(a, n->bytes, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ n->bytes[whole]) >> (8 - rest)) == 0;
}

bool http_is_proxy(const char *ip)
{
	const struct settings *s = settings();
	uint8_t a[16];

	if (!s->n_proxies || !address_of(ip, a))
		return false;
	for (size_t i = 0; i < s->n_proxies; i++)
		if (in_network(a, &s->proxies[i]))
			return true;
	return false;
}

/* ---- forwarded headers ---- */

struct hops { /* what proxies say, the nearest one last */
	struct str addresses[HOPS_MAX];
	size_t n;
	struct str proto, host;
};

static void add_hop(struct hops *h, struct str address)
{
	if (h->n == HOPS_MAX) { /* the far ones are anybody's invention */
		memmove(h->addresses, h->addresses + 1, (HOPS_MAX - 1) * sizeof *h->addresses);
		h->n--;
	}
	h->addresses[h->n++] = str_trim(address);
}

static struct str unquote(struct str s)
{
	return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? str_of(s.p + 1, s.n - 2) : s;
}

/* RFC 7239: for=192.0.2.60;proto=http;host=example.org, for="[2001:db8::1]:4711" */
static void read_forwarded(struct hops *h, struct str value)
{
	struct str element, pair;

	while (str_split(&value, ',', &element)) {
		struct str address = STR("unknown");
		h->proto = h->host = STR_NONE;
		while (str_split(&element, ';', &pair)) {
			ptrdiff_t eq = str_find(pair, '=');
			if (eq < 0)
				continue;
			struct str key = str_trim(str_of(pair.p, (size_t)eq)),
				   v = unquote(str_trim(str_of(pair.p + eq + 1, pair.n - (size_t)eq - 1)));
			if (str_ieq(key, STR("for")))
				address = v;
			else if (str_ieq(key, STR("proto")))
				h->proto = v;
			else if (str_ieq(key, STR("host")))
				h->host = v;
		}
		add_hop(h, address);
	}
}

static struct str last_of(struct str list)
{
	struct str part = STR_NONE, last = STR_NONE;

	while (list.p && str_split(&list, ',', &part))
		last = str_trim(part);
	return last;
}

static void read_hops(const struct http_request *rq, struct hops *out)
{
	bool standard = http_header_get(rq, "forwarded").p != NULL;
	struct str part, list;

	*out = (struct hops){ 0 };
	for (const struct http_header *h = rq->headers; h; h = h->next) {
		if (standard) {
			if (str_ieq(h->name, STR("forwarded")))
				read_forwarded(out, h->value);
			continue;
		}
		list = h->value;
		if (str_ieq(h->name, STR("x-forwarded-for")))
			while (list.p && str_split(&list, ',', &part))
				add_hop(out, part);
		else if (str_ieq(h->name, STR("x-forwarded-proto")))
			out->proto = last_of(h->value);
		else if (str_ieq(h->name, STR("x-forwarded-host")))
			out->host = last_of(h->value);
	}
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80" -> canonical text; NULL when it is none. */
static const char *canonical(struct arena *a, struct str s)
{
	uint8_t bytes[16];
	char *out = arena_alloc(a, INET6_ADDRSTRLEN);

	if (s.n && s.p[0] == '[') {
		ptrdiff_t end = str_find(s, ']');
		if (end < 0)
			return NULL;
		s = str_of(s.p + 1, (size_t)end - 1);
	} else if (str_find(s, '.') >= 0 && str_find(s, ':') >= 0 && str_find(s, ':') > str_find(s, '.')) {
		s.n = (size_t)str_find(s, ':');
	}
	if (!address_of(arena_str(a, s).p, bytes))
		return NULL;
	if (memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
		inet_ntop(AF_INET, bytes + 12, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN);
	return out;
}

/* From the nearest proxy outwards as long as each is trusted: the first that is not is the client. */
static void behind_proxy(struct http_request *rq, const struct hops *h)
{
	for (size_t i = h->n; i-- > 0;) {
		const char *ip = canonical(rq->a, h->addresses[i]);
		if (!ip)
			return;
		rq->ip = ip;
		if (!http_is_proxy(ip))
			return;
	}
}

/* ---- origin ---- */

/* scheme://host[:port] of a page against the host that was asked; a page without TLS is not our page when we have it. */
static bool is_own(const struct http_request *rq, struct str origin)
{
	if (str_starts(origin, STR("https://")))
		return str_ieq(str_of(origin.p + 8, origin.n - 8), rq->host);
	return !rq->tls && str_starts(origin, STR("http://")) && str_ieq(str_of(origin.p + 7, origin.n - 7), rq->host);
}

static enum http_origin origin_of(const struct http_request *rq)
{
	const struct settings *s = settings();
	struct str origin = http_header_get(rq, "origin");

	if (!origin.p)
		return ORIGIN_NONE;
	if (rq->host.n && is_own(rq, origin))
		return ORIGIN_OWN;
	for (size_t i = 0; i < s->n_origins; i++)
		if (strcmp(s->origins[i], "*") == 0 || str_ieq(origin, str_c(s->origins[i])))
			return ORIGIN_LISTED;
	return ORIGIN_FOREIGN;
}

void http_client_know(struct http_request *rq, const struct conn *c)
{
	rq->host = http_header_get(rq, "host");
	rq->tls = conn_is_tls(c);
	rq->secure = rq->tls || conn_is_loopback(c);
	rq->proxied = http_is_proxy(conn_ip(c));
	if (rq->proxied) {
		struct hops h;
		read_hops(rq, &h);
		behind_proxy(rq, &h);
		rq->tls = str_ieq(h.proto, STR("https"));
		rq->secure = rq->tls ||
			     (!h.n && !h.proto.p && conn_is_loopback(c)); /* the proxy itself asks, from this machine */
		if (h.host.n)
			rq->host = h.host;
	}
	rq->origin = origin_of(rq);
}
