/*
 * The HTTP side with the rights of the control socket (row X20): request bytes in pieces through llhttp, routes and API functions.
 * What comes back is a row of complete answers whose JSON is JSON: nothing of a request can become a header or break a body.
 * backup and check are left out: they take a path of this machine. First byte: size of the pieces.
 */
#include "bosh/api.h"
#include "bosh/route.h"
#include "fuzz/world.h"
#include "server/admin/admin.h"
#include <assert.h>
#include <jansson.h>

static void handle(struct http_request *rq)
{
	if (str_ends(rq->path, STR("/backup")) || str_ends(rq->path, STR("/check")))
		answer_error(rq, 404, "left-out", "Not for the fuzzer");
	else
		route_request(rq);
}

static void do_accept(void *arg)
{
	static const struct http_listener listener = { .handle = handle, .is_control = true };

	(void)arg;
	http_accept(&listener, -1);
}

static bool has(struct str s, const char *text)
{
	return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* Takes one answer off; false when s does not start with one. */
static bool take_answer(struct str *s)
{
	const char *end = s->n ? memmem(s->p, s->n, "\r\n\r\n", 4) : NULL;
	size_t length = 0;

	if (!end || !str_starts(*s, STR("HTTP/1.1 ")))
		return false;
	struct str head = str_of(s->p, (size_t)(end - s->p) + 2);
	const char *field = memmem(head.p, head.n, "Content-Length: ", 16);
	if (field)
		length = (size_t)strtoul(field + 16, NULL, 10);
	*s = str_of(end + 4, s->n - head.n - 2);
	if (s->n == 0 || str_starts(*s, STR("HTTP/1.1 "))) /* of a HEAD request */
		return true;
	if (length > s->n)
		return false;
	json_t *j = has(head, "application/json") ? json_loadb(s->p, length, JSON_DECODE_ANY, NULL) : NULL;
	if (has(head, "application/json") && !j)
		return false;
	json_decref(j);
	*s = str_of(s->p + length, s->n - length);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct route *const tables[] = { page_routes, metrics_routes, org_routes,
						      user_routes, server_routes,  NULL };
	static unsigned inputs;

	if (n < 2)
		return 0;
	if (inputs++ % 500 == 0) {
		if (inputs > 1)
			world_stop();
		route_init(tables);
		world_start();
	}
	world_tick();
	struct conn *c = world_connect(do_accept);
	world_feed(c, str_of((const char *)data + 1, n - 1), 1 + (data[0] >> 1));
	world_feed(c, STR(""), 1);
	struct str out = fake_conn_output(c);
	while (out.n) {
		bool whole = take_answer(&out);
		if (!whole)
			fprintf(stderr, "sent: %.*s\n", STR_ARG(out));
		assert(whole);
	}
	world_hang_up(c);
	return 0;
}
