/*
 * /.well-known/host-meta and host-meta.json (XEP-0156 section 3): a browser knows the domain of an address and asks there. Both are public, so any page may
 * read them. The addresses name the host that was asked. Any worker.
 */
#include "bosh/host_meta.h"
#include "base/buf.h"
#include <string.h>

static const struct {
	const char *rel, *scheme, *path;
} links[] = {
	{ "urn:xmpp:alt-connections:websocket", "ws", "/ws" },
	{ "urn:xmpp:alt-connections:xbosh", "http", "/bosh" },
};

static void print_href(struct buf *b, const struct http_request *rq, size_t i)
{
	/* a Host line holds no quotes, brackets or ampersands that would end the attribute: anything else than a name is left out */
	for (size_t k = 0; k < rq->host.n; k++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_", rq->host.p[k]))
			return;
	buf_printf(b, "%s%s://%.*s%s", links[i].scheme, rq->tls ? "s" : "", STR_ARG(rq->host), links[i].path);
}

static void in_xml(struct http_request *rq)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_lit(&b,
		"<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n");
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		buf_printf(&b, "  <Link rel='%s' href='", links[i].rel);
		print_href(&b, rq, i);
		buf_lit(&b, "'/>\n");
	}
	buf_lit(&b, "</XRD>\n");
	http_answer(rq, 200, "application/xrd+xml; charset=utf-8", buf_str(&b), "Access-Control-Allow-Origin: *\r\n");
	buf_clear(&b);
}

static void in_json(struct http_request *rq)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_lit(&b, "{\"links\":[");
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		buf_printf(&b, "%s{\"rel\":\"%s\",\"href\":\"", i ? "," : "", links[i].rel);
		print_href(&b, rq, i);
		buf_lit(&b, "\"}");
	}
	buf_lit(&b, "]}\n");
	http_answer(rq, 200, "application/json", buf_str(&b), "Access-Control-Allow-Origin: *\r\n");
	buf_clear(&b);
}

const struct route host_meta_routes[] = {
	{ "GET", "/.well-known/host-meta", ROUTE_OPEN, in_xml },
	{ "GET", "/.well-known/host-meta.json", ROUTE_OPEN, in_json },
	{ .path = NULL },
};
