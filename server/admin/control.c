/* Composes the HTTP side: which route tables there are, and which listener may use what. Main thread to open, workers to serve. */
#include "server/admin/control.h"
#include "base/mem.h"
#include "bosh/api.h"
#include "bosh/bosh.h"
#include "bosh/host_meta.h"
#include "bosh/rest.h"
#include "bosh/static.h"
#include "bosh/upload.h"
#include "bosh/websocket.h"
#include "server/admin/admin.h"
#include "server/net/listener.h"
#include <unistd.h>

static const struct route *const tables[] = {
	websocket_routes, bosh_routes,	 host_meta_routes, page_routes,	  metrics_routes, org_routes,
	user_routes,	  server_routes, session_routes,   upload_routes, token_routes,	  people_routes,
	chat_routes,	  member_routes, message_routes,   inbox_routes,  notify_routes,  broadcast_routes,
	openapi_routes,	  event_routes,	 rest_routes,	   NULL
};
static char *socket_path;

static void accept_http(void *ctx, int fd)
{
	http_accept(ctx, fd);
}

static struct http_listener *listener_new(struct tls_context *(*tls)(void), bool is_control)
{
	static struct http_listener all[65]; /* as many as options may name, and the socket */
	static unsigned n;
	struct http_listener *l = &all[n < 64 ? n++ : 64];

	l->head = route_head;
	l->handle = route_request;
	l->tls = tls;
	l->is_control = is_control;
	route_init(tables);
	route_fallback(static_answer);
	return l;
}

int control_listen(const char *address, unsigned port, struct tls_context *(*tls)(void), struct err_msg *msg)
{
	return listener_open(address, port, accept_http, listener_new(tls, false), msg);
}

int control_listen_unix(const char *path, struct err_msg *msg)
{
	int err = listener_open_unix(path, accept_http, listener_new(NULL, true), msg);

	if (!err)
		socket_path = str_dup(str_c(path));
	return err;
}

void control_stop(void)
{
	if (socket_path)
		unlink(socket_path);
	mem_free(socket_path);
	socket_path = NULL;
}
