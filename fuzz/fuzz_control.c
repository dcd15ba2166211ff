/*
 * The HTTP side with the rights of the control socket (row X20): request bytes in pieces through llhttp, routes and API functions.
 * What comes back is a row of complete answers whose JSON is JSON: nothing of a request can become a header or break a body.
 * backup and check are left out: they take a path of this machine. First byte: size of the pieces.
 */
#include "bosh/api.h"
#include "bosh/route.h"
#include "fuzz/answers.h"
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

/* Takes one answer off; false when s does not start with one, or its JSON is none. */
static bool take_answer(struct str *s)
{
	struct str head, body;

	if (!answers_take(s, &head, &body))
		return false;
	if (!body.n || !answers_have(head, "application/json"))
		return true;
	json_t *j = json_loadb(body.p, body.n, JSON_DECODE_ANY, NULL);
	json_decref(j);
	return j != NULL;
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
