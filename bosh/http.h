/*
 * HTTP/1.1 on a connection: llhttp in strict mode (row X20), one request at a time per connection (pipelined ones wait), limits http_* of the one
 * table, keep-alive. A request lives from its head to the end of its answer, which may come later. Bodies are collected in rq->body, or given to a
 * sink of the route while they arrive; answers are given whole (http_answer), in pieces (http_begin) or from a file (http_answer_file).
 * Everything about a request is for the worker of its connection.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "server/net/conn.h"

#define HTTP_UNKNOWN UINT64_MAX /* length of a body that comes in chunks */

struct http_conn;
struct http_flow;
struct http_sink;
struct principal;
#define HTTP_PARAMS 4
struct http_header { struct http_header *next; struct str name, value; };
enum http_origin {
	ORIGIN_NONE,    /* no Origin header: not a page of a browser */
	ORIGIN_OWN,     /* a page of the host that was asked */
	ORIGIN_LISTED,  /* a page of one of http.origins */
	ORIGIN_FOREIGN,
};
struct http_request {
	struct http_conn *conn;      /* NULL: the client has gone; answers are dropped */
	struct arena *a;             /* of this request */
	struct str method, query, body;
	struct str path;             /* decoded once and in plain form: no "//", "/./", "/../", "\", no control characters (row W05) */
	struct http_header *headers;
	uint64_t length;             /* of the body as announced; HTTP_UNKNOWN: in chunks */
	const char *ip;              /* of the client; behind a proxy of http.trusted_proxies what that one says (row W03) */
	struct str host;             /* that was asked, with its port */
	enum http_origin origin;
	bool tls;                    /* what the client speaks is https */
	bool is_control;             /* came by the control socket: may do everything */
	bool secure;                 /* by TLS, here or at a trusted proxy, or from this machine */
	bool proxied;                /* by a trusted proxy: TLS, if any, is not the client's */
	bool keep_alive;
	const void *route;           /* of route.c */
	struct str param[HTTP_PARAMS]; /* what stands for {names} in the route's path; percent-decoded with the path */
	struct principal *who;       /* who asks (api_auth.c); NULL before the route is known */
	struct str token;            /* the bearer token as sent */
	void *user;                  /* of the handler, its sink or flow */
	/* of http*.c */
	struct http_kept *kept;      /* http_keep() */
	const struct http_sink *sink;
	const struct http_flow *flow;
	uint64_t began_ms, sent, left; /* left: bytes of the announced answer that are still to come; HTTP_UNKNOWN: in chunks */
	unsigned status;
	bool quiet;                  /* log it only at level debug */
};
typedef void http_handler_fn(struct http_request *rq);

/* Takes a body while it arrives (uploads). No function is called after gone() or after an answer was given. */
struct http_sink {
	/* The head is there. May answer at once to refuse (the connection ends then), or set rq->user. rq->length: what is announced. */
	void (*start)(struct http_request *rq);
	/* A piece, gone after the call. May answer at once to refuse. The sink counts; http_body_bytes does not apply. */
	void (*data)(struct http_request *rq, struct str piece);
	/* The client went, or was too slow, before the body was whole: free rq->user; rq is freed afterwards. */
	void (*gone)(struct http_request *rq);
};
/* Stops / resumes the arriving body (a disk that is slower than the network). A few KiB may still come. */
void http_body_pause(struct http_request *rq);
void http_body_resume(struct http_request *rq);

struct http_listener {
	http_handler_fn *handle;             /* the request is whole */
	/* The head is there: may refuse by answering; returns the sink of the body, NULL: collect it. May be NULL. */
	const struct http_sink *(*head)(struct http_request *rq);
	struct tls_context *(*tls)(void);    /* NULL: plain */
	bool is_control;
};

/* What all listeners share. */
struct http_options {
	char **proxies, **origins;   /* addresses or networks ("10.0.0.0/8"); origins ("https://portal.example.org", "*" for all) */
	size_t n_proxies, n_origins;
	bool access_log;
};
/* 0, or ERR_SYNTAX with the entry that is no address or origin. */
int http_check_options(const struct http_options *o, struct err_msg *msg);
/* Takes over what was checked; the lists are copied. Main, before the workers start and at reload. */
void http_set_options(const struct http_options *o);
/* The origins of http.origins, each behind a blank (for frame-ancestors); at most n - 1 bytes and a NUL. Any worker. */
void http_print_origins(char *out, size_t n);

/* New connection; takes over fd. */
void http_accept(const struct http_listener *l, int fd);
/* Value of a header, case-insensitive, the first of several; p == NULL when absent. */
struct str http_header_get(const struct http_request *rq, const char *name);
/* Ties something to the request: release(data) runs when it is freed. */
void http_keep(struct http_request *rq, void *data, void (*release)(void *data));
/* Value of a query parameter, percent-decoded in the arena; p == NULL when absent. */
struct str http_query(struct http_request *rq, const char *name);
/* A name or value of application/x-www-form-urlencoded (URL standard 5.1) as text in the arena. */
struct str http_form_text(struct arena *a, struct str s);

/* Sends the answer and ends the request (it is freed). extra: further header lines each ended by CRLF, or NULL; a Content-Security-Policy or
 * Cache-Control there replaces the strict default. CORS lines are added for pages of listed origins. */
void http_answer(struct http_request *rq, unsigned status, const char *type, struct str body, const char *extra);

/* An answer in pieces (event streams, long lists). A handler that answers later may set rq->flow itself, to be told when the client goes. */
struct http_flow {
	/* What was queued has left: write more. Never nested in a call of the handler. */
	void (*more)(struct http_request *rq);
	/* The client went before the end of the answer: free rq->user; rq is freed afterwards. */
	void (*gone)(struct http_request *rq);
};
/* Begins it; length: bytes that will come, or HTTP_UNKNOWN. more() is called as soon as the head has left. Only while rq->conn is there. */
void http_begin(struct http_request *rq, unsigned status, const char *type, uint64_t length, const char *extra, const struct http_flow *flow);
/* Queues a piece. ERR_LIMIT: too much waits already (limit http_output_bytes), nothing was queued: come back in more(). ERR_CLOSED: gone() follows. */
int http_write(struct http_request *rq, struct str piece);
int http_write_chunk(struct http_request *rq, struct chunk *c);
/* Ends the answer and the request (freed). When less than announced was written the connection is cut, so that the client notices. */
void http_end(struct http_request *rq);

/* A file: GET and HEAD with ETag, Range (RFC 9110 14.2, one range), If-None-Match, If-Range; read in pieces as the client takes them. */
struct http_file {
	int fd;                      /* taken over */
	uint64_t size;
	const char *type, *etag;     /* etag with its quotes, or NULL */
	const char *extra;           /* as in http_answer */
};
void http_answer_file(struct http_request *rq, const struct http_file *f);

/* Takes a request whose handler runs off this worker / onto the calling one, with its connection. False: the client is leaving, it stays here. */
bool http_detach(struct http_request *rq);
void http_attach(struct http_request *rq);
/* Ends HTTP on the connection and hands it over (RFC 9110 7.8): the caller has written 101 and sets its own events at once. rq is freed. */
struct conn *http_release(struct http_request *rq);
/* The connection of the request, to write 101 to. */
struct conn *http_raw(struct http_request *rq);

/* Connections and requests of this process (metrics). */
struct http_stats { uint64_t connections, requests; };
void http_get_stats(struct http_stats *out);
