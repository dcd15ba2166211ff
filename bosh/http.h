/*
 * HTTP/1.1 on a connection: llhttp in strict mode (row X20), one request at a time per connection (later ones wait in the kernel), limits http_* of the one
 * table, keep-alive. A request lives from its last byte to its answer, which may come later. Worker of the connection.
 */
#pragma once
#include "base/arena.h"
#include "server/net/conn.h"

struct http_conn;
struct http_header { struct http_header *next; struct str name, value; };
struct http_request {
	struct http_conn *conn;      /* NULL: the client has gone; answers are dropped */
	struct arena *a;             /* of this request */
	struct str method, path, query, body;
	struct http_header *headers;
	const char *ip;
	bool is_control;             /* came by the control socket: may do everything */
	bool keep_alive;
};
typedef void http_handler_fn(struct http_request *rq);
struct http_listener {
	http_handler_fn *handle;
	struct tls_context *(*tls)(void); /* NULL: plain */
	bool is_control;
};

/* New connection; takes over fd. */
void http_accept(const struct http_listener *l, int fd);
/* Value of a header, case-insensitive; p == NULL when absent. */
struct str http_header_get(const struct http_request *rq, const char *name);
/* Value of a query parameter, percent-decoded in the arena; p == NULL when absent. */
struct str http_query(struct http_request *rq, const char *name);
/* Sends the answer and ends the request (it is freed). extra: further header lines each ended by CRLF, or NULL. */
void http_answer(struct http_request *rq, unsigned status, const char *type, struct str body, const char *extra);
/* Connections and requests of this process (metrics). */
struct http_stats { uint64_t connections, requests; };
void http_get_stats(struct http_stats *out);
