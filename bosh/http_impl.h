/* Inside of bosh/http*.c only: the connection behind a request. Worker of the connection. */
#pragma once
#include "base/buf.h"
#include "bosh/http.h"
#include <llhttp.h>

enum http_at {
	AT_IDLE,      /* not a byte of the next request yet */
	AT_HEAD,
	AT_BODY,
	AT_ANSWERING, /* the handler has it */
	AT_ENDING,    /* refused, or asked to close: nothing is read any more */
};
struct http_conn {
	struct conn *conn;
	const struct http_listener *listener;
	llhttp_t parser;
	struct http_request *rq;     /* being read, or being answered */
	enum http_at state;
	bool held;                   /* reading is paused: the next request waits behind the present one */
	bool half_open;              /* counted by preauth_enter: no whole request yet */
	bool body_paused;
	bool value_ended;            /* of the present header line */
	bool old_version;            /* HTTP/1.0 */
	char last[2];                /* last bytes of the head seen so far: finds bare LF */
	struct buf head, body;       /* url and header text; body */
	struct timer timer;          /* see on_timer */
	size_t n_headers, url_n;
	uint64_t body_n, raw_n;      /* bytes of the body; with its chunk framing */
	uint64_t seen;               /* of body_n or of the output, at the last look of the timer */
	const char *segment_end;     /* of the input being parsed; only compared */
	struct http_mark { size_t name, name_n, value, value_n; } *marks; /* places in head */
};

/* http.c: the request is over and freed; reads the next one, or closes. */
void http_next(struct http_conn *h);
void http_request_free(struct http_request *rq);
/* http_answer.c: an answer in pieces goes on / its client has gone. */
void http_flow_more(struct http_conn *h);
/* http_client.c: fills ip, secure, proxied and origin from the connection and the headers. */
void http_client_know(struct http_request *rq, const struct conn *c);
/* A proxy of the list; whether answers are logged. */
bool http_is_proxy(const char *ip);
bool http_access_log(void);
/* http_path.c: target of the request line into path and query; ERR_SYNTAX when it is not in plain form. */
int http_path_take(struct http_request *rq, struct str target);
