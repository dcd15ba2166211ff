/*
 * JSON bodies and queries of the API (rows X10, X20) with the rights of the control socket in the name of anna: first byte the row of the tables, then the query up to a line
 * end, then the body. What comes back is one complete answer whose JSON is JSON.
 */
#include "bosh/api.h"
#include "bosh/route.h"
#include "fuzz/answers.h"
#include "fuzz/world.h"
#include <assert.h>
#include <jansson.h>
#include <string.h>

static const struct route *const tables[] = { people_routes,  chat_routes,    member_routes, message_routes,
					      inbox_routes,   notify_routes,  token_routes,  broadcast_routes,
					      openapi_routes, session_routes, NULL };

static void do_accept(void *arg)
{
	static const struct http_listener listener = { .handle = route_request, .is_control = true };

	(void)arg;
	http_accept(&listener, -1);
}

static const struct route *pick(unsigned k)
{
	size_t n = 0;

	for (size_t t = 0; tables[t]; t++)
		for (const struct route *r = tables[t]; r->path; r++)
			n++;
	k %= n;
	for (size_t t = 0; tables[t]; t++)
		for (const struct route *r = tables[t]; r->path; r++)
			if (k-- == 0)
				return r;
	return NULL;
}

/* {names} become a chat, a person or an id that is none. */
static void put_path(struct buf *b, const char *path)
{
	for (; *path; path++) {
		if (*path != '{') {
			buf_byte(b, *path);
			continue;
		}
		buf_str_add(b, str_c(strncmp(path, "{chat}", 6) == 0 ? "1"
				     : strncmp(path, "{id}", 4) == 0 ? "0123456789abcdef"
								     : "boris"));
		path = strchr(path, '}');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static unsigned inputs;
	struct buf b;

	if (n < 2)
		return 0;
	if (inputs++ % 500 == 0) {
		if (inputs > 1)
			world_stop();
		route_init(tables);
		world_start();
	}
	world_tick();
	const struct route *r = pick(data[0]);
	struct str rest = str_of((const char *)data + 1, n - 1);
	ptrdiff_t end = str_find(rest, '\n');
	struct str body = end < 0 ? rest : str_of(rest.p + end + 1, rest.n - (size_t)end - 1);
	buf_init(&b, 4u << 20);
	buf_printf(&b, "%s ", r->method);
	put_path(&b, r->path);
	buf_byte(&b, '?');
	for (ptrdiff_t i = 0; i < end && i < 1000; i++)
		if (rest.p[i] > ' ' && rest.p[i] < 127 && rest.p[i] != '#')
			buf_byte(&b, rest.p[i]);
	buf_printf(&b, " HTTP/1.1\r\nHost: x\r\nVestnik-As: anna\r\nContent-Length: %zu\r\n\r\n", body.n);
	buf_str_add(&b, body);
	struct conn *c = world_connect(do_accept);
	world_feed(c, buf_str(&b), b.n);
	buf_clear(&b);
	struct str out = fake_conn_output(c), head, answer;
	assert(answers_take(&out, &head, &answer) && !out.n);
	if (answer.n && answers_have(head, "application/json")) {
		json_t *j = json_loadb(answer.p, answer.n, JSON_DECODE_ANY, NULL);
		assert(j);
		json_decref(j);
	}
	world_hang_up(c);
	return 0;
}
