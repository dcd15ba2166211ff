/*
 * The portal's names: POST or GET /rest/METHOD[.json], each a row of a table (rest_im_*.c) over the same functions of server/im as /api/v1. Parameters come as
 * a JSON object, as a form with PHP's nested keys (USERS[0]=1) or in the query; names in any case. Answers {"result", "time"} or {"error",
 * "error_description"}. docs/rest.md. Worker of the connection.
 */
#pragma once
#include "bosh/api.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "storage/tab_chat.h"

/* Whom a method needs: a person's token is that person; a service names one (USER, FROM_USER_ID, or Vestnik-As) and needs the scope. */
enum rest_who {
	REST_ANYBODY,   /* a service may come without a person */
	REST_READER,    /* a person; SCOPE_READ */
	REST_ACTOR,     /* a person; SCOPE_SEND_AS */
	REST_SPEAKER,   /* FROM_USER_ID 0 or SYSTEM=Y: the system; what may be said is may_speak_as()'s */
};
struct rest_batch;
struct rest_call {
	struct http_request *rq;
	const struct rest_method *method;
	json_t *in;              /* top-level names in upper case; lives as long as the request */
	struct principal by;     /* account: me */
	uint32_t me;             /* who acts; 0: nobody (a service), or the system */
	uint64_t began_us;
	struct rest_batch *batch; /* one command of a batch, or NULL */
};
typedef void rest_fn(struct rest_call *c);
#define REST_NEEDS 3
struct rest_method {
	const char *name;        /* NULL ends the table */
	rest_fn *fn;             /* answers now or later, once */
	enum rest_who who;
	struct { const char *name, *code; } needs[REST_NEEDS]; /* "A|B": one of them; the code of the error when it is missing or empty */
};
extern const struct route rest_routes[];
extern const struct rest_method rest_message_methods[], rest_chat_methods[], rest_dialog_methods[], rest_notify_methods[], rest_recent_methods[],
	rest_search_methods[], rest_user_methods[], rest_file_methods[];

/* ---- dispatch (rest.c) ---- */

/* Ends the call; v is taken over. */
void rest_result(struct rest_call *c, json_t *v);
void rest_error(struct rest_call *c, unsigned status, const char *code, const char *text);
/* By an ERR_* code: ACCESS_ERROR for what is missing and what is forbidden alike (row I07). */
void rest_err(struct rest_call *c, int err);
/* Completions with ctx == the call: true, or the error. */
void rest_done(void *ctx, int err);
void rest_chat_done(void *ctx, int err, uint64_t number, uint64_t gid);
/* The answer is the message's number. */
void rest_message_done(void *ctx, int err, uint64_t gid);
/* Runs a method by name with parameters (batch). */
void rest_run(struct rest_call *c, struct str name);

/* ---- parameters (rest_params.c) ---- */

/* From query, body or both; NULL: neither JSON object nor form. The caller's reference. */
json_t *rest_params(struct http_request *rq);
/* Of a query text alone. */
json_t *rest_params_of_query(struct arena *a, struct str query);
json_t *rest_value(const struct rest_call *c, const char *name); /* borrowed; NULL when absent */
/* Scalars as text ("Y" for true); NONE when absent, null or a list. */
struct str rest_text(const struct rest_call *c, const char *name);
struct str rest_text_of(const struct rest_call *c, const json_t *v);
/* Y, true, 1 / N, false, 0; def otherwise. */
bool rest_yes(const struct rest_call *c, const char *name, bool def);
uint64_t rest_number(const struct rest_call *c, const char *name, uint64_t def);
size_t rest_limit(const struct rest_call *c, size_t def, size_t max);
/* Lists are JSON arrays, PHP arrays (objects) or one scalar; fn gets each value; false stops. */
void rest_each(const struct rest_call *c, const char *name, bool (*fn)(void *ctx, json_t *v), void *ctx);
/* Time as RFC 3339 or Unix seconds, in ms; 0 when absent or malformed. */
uint64_t rest_time(const struct rest_call *c, const char *name);

/* ---- people, dialogs, messages by the portal's numbers (rest_names.c) ---- */

/* Account of a person by number or login; 0 when there is none. */
uint32_t rest_account(const struct rest_call *c, struct str ref);
/* The accounts of a list; false after answering USER_NOT_FOUND. The array lives in the request's arena. */
bool rest_people(struct rest_call *c, const char *name, uint32_t **out, size_t *out_n);
/* DIALOG_ID, else CHAT_ID; false after answering. conv is 0 for what only the system has: a person's dialog without `me`. */
bool rest_dialog(struct rest_call *c, uint64_t *out_conv);
/* Number of the chat named by CHAT_ID, DIALOG_ID or ID; false after answering. */
bool rest_chat(struct rest_call *c, uint64_t *out_number);
/* The chat as the caller may know it: as chat_look() for a person, any of the domain for a service with SCOPE_CHATS. me may be NULL. */
int rest_look(const struct rest_call *c, struct txn *t, uint64_t number, struct chat_rec *out, struct chat_member_rec *out_me);
/* 0 when the caller may read that entry of the conversation (0: any): both ends of a private dialog, members of a chat from their floor on (I08). */
int rest_may_read(const struct rest_call *c, struct txn *t, uint64_t conv, uint64_t seq);
/* The message of a number that the caller may read; ERR_NOT_FOUND, ERR_FORBIDDEN. */
int rest_message_get(const struct rest_call *c, struct txn *t, uint64_t number, struct message_rec *out);
json_t *rest_id_of_message(uint64_t gid);
json_t *rest_id_of_person(const struct rest_call *c, uint32_t account);
json_t *rest_id_of_dialog(const struct rest_call *c, uint64_t conv);

/* ---- printing (rest_print.c) ---- */

/* The portal's user object (portal-api 1.4); null for nobody. */
json_t *rest_user(const struct rest_call *c, uint32_t account);
/* {id, chat_id, author_id, date, text, unread, uuid, replaces, params, disappearing_date}; read_seq: the reader's cursor. */
json_t *rest_message(const struct rest_call *c, struct txn *t, const struct message_rec *m, uint64_t read_seq);
/* The text of a message as it is now, its code and parameters. */
struct content;
void rest_content(const struct rest_call *c, struct txn *t, const struct message_rec *m, struct content *out);
/* id, name, description, owner, color ... of im.dialog.get; me: membership or NULL. */
json_t *rest_chat_object(const struct rest_call *c, const struct chat_rec *r, const struct chat_member_rec *me);
/* A department: id, name, full_name, manager_user_id. */
struct org_dept;
struct org_person;
json_t *rest_department(const struct rest_call *c, const struct org_dept *d);

/* ---- who sees whom (rest_im_user.c) ---- */

/* By the structure's rule; a service without a person sees its domain with SCOPE_READ. A department is seen by who sees somebody in it or below. */
bool rest_may_see(const struct rest_call *c, const struct org_person *p);
bool rest_may_see_department(const struct rest_call *c, const struct org_dept *d);

/* ---- files (rest_im_file.c) ---- */

/* Saves base64 text as a file of who acts (0: a service). ERR_SYNTAX, and as file_slot(). done may run before this returns. */
typedef void rest_saved_fn(struct rest_call *c, int err, uint64_t number);
void rest_save(struct rest_call *c, struct str base64, struct str name, struct str type, rest_saved_fn *done);
/* Hash and type of a saved picture that the caller may use; texts in the arena. ERR_NOT_FOUND, ERR_FORBIDDEN, ERR_SYNTAX: no picture. */
int rest_picture(const struct rest_call *c, struct txn *t, uint64_t number, struct str *out_hash, struct str *out_type);
