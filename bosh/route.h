/* Routes: which function answers which method and path. Tables of the API files are listed in server/admin/control.c. Worker of the connection. */
#pragma once
#include "bosh/http.h"

enum route_auth {
	ROUTE_OPEN,      /* anybody */
	ROUTE_CONTROL,   /* the control socket only */
	ROUTE_TOKEN,     /* a bearer token with the scope of the row, or the control socket */
};
struct route {
	const char *method, *path;   /* path NULL ends the table; "{name}" is one segment (rq->param), a final "*" the rest */
	enum route_auth auth;
	http_handler_fn *handle;     /* the request is whole */
	unsigned scope;              /* ROUTE_TOKEN: SCOPE_* that is needed; 0: any token */
	const struct http_sink *sink; /* takes the body while it arrives; NULL: it is collected in rq->body (limit http_body_bytes) */
};
/* Sets the tables (NULL-terminated array that stays valid). Main, before the workers start. */
void route_init(const struct route *const *tables);
/* Asked for GET and HEAD of paths that no table knows; false: it does not know them either. Main, before the workers start. */
void route_fallback(bool (*answer)(struct http_request *rq, struct str path));
/* The two hooks of a listener. Unknown paths and methods, missing rights, foreign origins (rows W01, W04) and CORS preflights are answered here. */
const struct http_sink *route_head(struct http_request *rq);
void route_request(struct http_request *rq);

/* JSON answers of the API: {"error": {"code": ..., "text": ...}} for errors. */
void answer_json(struct http_request *rq, unsigned status, struct str json);
void answer_error(struct http_request *rq, unsigned status, const char *code, const char *text);
/* The same with further header lines, each ended by CRLF. */
void answer_error_with(struct http_request *rq, unsigned status, const char *code, const char *text, const char *extra);
/* Status and code that fit an ERR_* code; text NULL: the code's own. */
void answer_err(struct http_request *rq, int err, const char *text);
/* The same with the words of a resource: a table ended by err 0; an error that is not in it gets the code's own text. */
struct err_words { int err; const char *text; };
void answer_err_words(struct http_request *rq, int err, const struct err_words *words);
/* Appends a JSON string with quotes. */
void json_str(struct buf *b, struct str s);
/* Member of the request's JSON body as text; NONE when absent or not a string. The body is parsed once. */
struct json_body;
struct json_body *json_parse(struct http_request *rq);
struct str json_get(const struct json_body *j, const char *name);
bool json_get_bool(const struct json_body *j, const char *name, bool def);
void json_free(struct json_body *j);
