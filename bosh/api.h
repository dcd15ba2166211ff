/*
 * The HTTP API: one file and one table per resource (listed in server/admin/control.c). This header is what they share: who asks, how people and dialogs are
 * named, how objects are printed. JSON is jansson's; a json_t handed to answer_value() is taken over. Worker of the connection.
 */
#pragma once
#include "bosh/route.h"
#include "server/im/principal.h"
#include "storage/tab_message.h"
#include <jansson.h>

extern const struct route org_routes[], user_routes[], server_routes[], session_routes[], token_routes[],
	people_routes[], chat_routes[], member_routes[], message_routes[], inbox_routes[], notify_routes[], broadcast_routes[], openapi_routes[], event_routes[];

/* ---- who asks (api_auth.c) ---- */

/* Fills rq->who from the token; false after answering 401 or 403. Called by route.c before the handler or its sink. */
bool api_authorise(struct http_request *rq, const struct route *r);
/* Takes one request off what the token may ask; false after answering 429 (api_rate.c). */
bool api_rate_allows(struct http_request *rq);
/* The person in whose name this runs: of the token, or of Vestnik-As; 0 after answering 400. */
uint32_t api_me(struct http_request *rq);
/* The same for changes in his name: a service needs the scope send-as besides (may_speak_as, row I14); 0 after answering. */
uint32_t api_actor(struct http_request *rq);
/* The one in whose name this runs, 0 for a service that acts for nobody and has the scope; false after answering. */
bool api_viewer(struct http_request *rq, unsigned scope, uint32_t *out);

/* ---- names (api_names.c) ---- */

/* The domain asked for, or the first one; false after answering 404. */
bool api_domain(struct http_request *rq, struct str domain, struct str *out);
/* Account of a person named by number ("47"), login, or address; 0 when there is none. The number is the portal's (org import). */
uint32_t api_account(struct http_request *rq, struct str domain, struct str ref);
/* The same with the answer 404; 0 after it. */
uint32_t api_person_named(struct http_request *rq, struct str ref);
/* The people of a JSON array of numbers or logins, in the arena. False after answering: not an array, somebody unknown, more than max. */
bool api_people(struct http_request *rq, const json_t *list, const char *name, size_t max, uint32_t **out, size_t *out_n);
/* How the API names an account: its number when the structure has it, else its login. A new reference. */
json_t *api_ref(struct arena *a, uint32_t account);
/* {"id": 47, "login": "anna", "jid": ..., "name": ...}; null for 0. A new reference. */
json_t *api_person(struct arena *a, uint32_t account);
/* A dialog as "47", "login", "chat12" or "notify": conversation of `me`, whether it has messages or not. ERR_NOT_FOUND; ERR_SYNTAX. */
int api_dialog(struct http_request *rq, struct str ref, uint32_t me, uint64_t *out_conv);
/* The dialog of the path's {dialog}; false after answering 404. */
bool api_dialog_param(struct http_request *rq, uint32_t me, uint64_t *out_conv);
/* The dialog's name as `me` sees it, the inverse; text in the arena. */
struct str api_dialog_id(struct arena *a, uint64_t conv, uint32_t me);

/* ---- reading what was sent ---- */

/* The body as one JSON object, or NULL after answering 400. Freed with the request. */
json_t *api_body(struct http_request *rq);
/* Members; NONE / the default when absent or of another type. Numbers are taken where text is wanted (ids). */
struct str api_text(struct http_request *rq, const json_t *o, const char *name);
bool api_flag(const json_t *o, const char *name, bool def);
int64_t api_int(const json_t *o, const char *name, int64_t def);
/* Text that people will see: valid XML characters and at most max bytes (row X10). False after answering 400. p == NULL is fine unless needed. */
bool api_check_text(struct http_request *rq, const char *name, struct str s, size_t max, bool needed);
/* A decimal number of a path; false after answering 404. */
bool api_number(struct http_request *rq, struct str s, uint64_t *out);
/* A switch of the query: 1 or true. */
bool api_query_flag(struct http_request *rq, const char *name);
/* A number of the query within [1, max], or the default. */
size_t api_limit(struct http_request *rq, size_t def, size_t max);

/* ---- answers ---- */

/* Prints, sends and frees the value. */
void answer_value(struct http_request *rq, unsigned status, json_t *value);
/* An opaque archive id as JSON text, null for 0 (row I10). */
json_t *api_gid(uint64_t gid);
/* The inverse; 0 when absent or malformed. */
uint64_t api_gid_parse(struct str s);
/* Milliseconds since 1970 as RFC 3339 text. */
json_t *api_time(uint64_t ms);
json_t *api_str(struct str s); /* null for NONE */
/* 204, or the error: a callback of server/im. ctx: the request. */
void api_done(void *ctx, int err);
/* Sends the value, or frees it and sends the error of the transaction. */
void answer_read(struct http_request *rq, int err, json_t *value);
