/*
 * Files over HTTP. A PUT goes to an address that im/files.h promised (XEP-0363 section 7) and carries the token in it; a POST to /api/v1/files makes the promise
 * itself, takes the body as it is (?name=) or as multipart/form-data, and answers with address and number. What is given back never runs in a browser: type by
 * content, nosniff, attachment but for a short list, a sandbox (row W06). Bytes go to the disk as they arrive.
 */
#include "bosh/upload.h"
#include "base/err.h"
#include "base/mem.h"
#include "bosh/api.h"
#include "bosh/multipart.h"
#include "server/im/files.h"
#include "server/im/im.h"
#include "server/net/limits.h"

struct transfer {
	struct http_request *rq; /* NULL: the client has gone */
	struct file_upload *file;
	struct multipart parts;
	bool is_api, is_multipart, promised;
	bool is_whole;	  /* the body ended before the promise was made */
	struct buf early; /* of a multipart body: what came before the promise was made */
};

static void transfer_free(struct transfer *x)
{
	if (x->file)
		file_drop(x->file);
	if (x->is_multipart)
		multipart_clear(&x->parts);
	buf_clear(&x->early);
	mem_free(x);
}

/* ---- errors ---- */

static const struct {
	int err;
	unsigned status;
	const char *code, *text;
} refusals[] = {
	{ ERR_NOT_FOUND, 404, "not_found", "No upload was promised at this address" },
	{ ERR_EXISTS, 409, "used", "This address was used already: ask for a new one" },
	{ ERR_TIMEOUT, 410, "late", "The promise is over: ask for a new address" },
	{ ERR_LIMIT, 413, "too_large",
	  "The file is larger than what was promised, than one file may be, or than what is left of today's quota" },
	{ ERR_CONFLICT, 400, "short", "Fewer bytes came than were promised" },
	{ ERR_NO_SPACE, 507, "no_space", "The disk of the server is full: tell your administrator" },
	{ ERR_SYNTAX, 400, "bad_request", "The name of the file or the multipart body is malformed" },
};

static void refuse(struct http_request *rq, int err)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (refusals[i].err == err) {
			answer_error(rq, refusals[i].status, refusals[i].code, refusals[i].text);
			return;
		}
	answer_err(rq, err, NULL);
}

/* Answers and forgets what was received. */
static void abandon(struct transfer *x, int err)
{
	struct http_request *rq = x->rq;

	rq->user = NULL;
	transfer_free(x);
	refuse(rq, err);
}

/* ---- receiving ---- */

static int take_file(void *ctx, struct str piece)
{
	struct transfer *x = ctx;

	return file_write(x->file, piece);
}

static int no_more_to_do(void *ctx)
{
	(void)ctx;
	return 0;
}

static int take(struct transfer *x, struct str piece)
{
	return x->is_multipart ? multipart_feed(&x->parts, piece) : file_write(x->file, piece);
}

static void gone(struct http_request *rq)
{
	struct transfer *x = rq->user;

	if (!x)
		return;
	rq->user = NULL;
	if (x->is_api && !x->promised) {
		x->rq = NULL; /* the promise is on its way: promised() frees it */
		return;
	}
	transfer_free(x);
}

static struct transfer *transfer_new(struct http_request *rq)
{
	struct transfer *x = NEW(struct transfer);

	x->rq = rq;
	buf_init(&x->early, 1u << 20);
	rq->user = x;
	return x;
}

static void put_start(struct http_request *rq)
{
	struct transfer *x = transfer_new(rq);
	int err = file_begin(rq->param[0], &x->file);

	if (!err && rq->length != HTTP_UNKNOWN && rq->length != file_promised(x->file)->size)
		err = rq->length > file_promised(x->file)->size ? ERR_LIMIT : ERR_CONFLICT; /* row W12 */
	if (err)
		abandon(x, err);
}

static void data(struct http_request *rq, struct str piece)
{
	struct transfer *x = rq->user;
	int err;

	if (!x)
		return;
	if (!x->file) { /* a few KiB that came although the body is paused */
		buf_str_add(&x->early, piece);
		err = buf_ok(&x->early) ? 0 : ERR_LIMIT;
	} else {
		err = take(x, piece);
	}
	if (err)
		abandon(x, err);
}

/* ---- whole ---- */

static json_t *file_json(struct http_request *rq, const struct file_rec *r)
{
	struct buf url;

	buf_init(&url, 8192);
	file_url(&url, r->token, r->name);
	json_t *j = json_pack("{s:I, s:o, s:o, s:I, s:o, s:o}", "id", (json_int_t)r->number, "name", api_str(r->name),
			      "type", api_str(r->type), "size", (json_int_t)r->size, "url", api_str(buf_str(&url)),
			      "created", api_time(r->created_ms));
	buf_clear(&url);
	if (r->width)
		json_object_update_new(j, json_pack("{s:i, s:i}", "width", (int)r->width, "height", (int)r->height));
	json_object_set_new(j, "owner", api_person(rq->a, r->owner));
	return j;
}

static void stored(void *ctx, int err, const struct file_rec *r)
{
	struct transfer *x = ctx;
	struct http_request *rq = x->rq;
	bool is_api = x->is_api;

	x->file = NULL; /* ended */
	transfer_free(x);
	if (err)
		refuse(rq, err);
	else if (is_api)
		answer_value(rq, 201, file_json(rq, r));
	else
		http_answer(rq, 201, NULL, STR_NONE, NULL);
}

static void finish(struct transfer *x)
{
	int err = x->is_multipart ? multipart_end(&x->parts) : 0;

	if (err) {
		abandon(x, err);
		return;
	}
	x->rq->user = NULL;
	if (x->is_multipart)
		file_rename(x->file, x->parts.name);
	file_end(x->file, x->is_api, stored, x);
}

static void whole(struct http_request *rq)
{
	struct transfer *x = rq->user;

	if (x && x->file)
		finish(x);
	else if (x)
		x->is_whole = true; /* promised() goes on */
}

/* ---- the API makes its promise ---- */

static void promised(void *ctx, int err, struct str token, uint64_t number)
{
	struct transfer *x = ctx;

	(void)number;
	x->promised = true;
	if (!x->rq) {
		transfer_free(x); /* the slot expires by itself */
		return;
	}
	if (!err)
		err = file_begin(token, &x->file);
	if (!err && x->early.n)
		err = take(x, buf_str(&x->early));
	buf_reset(&x->early);
	if (err)
		abandon(x, err);
	else if (x->is_whole)
		finish(x);
	else
		http_body_resume(x->rq);
}

static void api_start(struct http_request *rq)
{
	struct str type = http_header_get(rq, "content-type"), name = http_query(rq, "name");
	struct transfer *x = transfer_new(rq);

	x->is_api = true;
	x->is_multipart = multipart_init(&x->parts, type) == 0;
	x->parts.data = take_file;
	x->parts.begin = no_more_to_do;
	x->parts.ctx = x;
	if (rq->length == HTTP_UNKNOWN) {
		rq->user = NULL;
		x->promised = true;
		transfer_free(x);
		answer_error(rq, 411, "length", "Say the length of the body (Content-Length)");
		return;
	}
	http_body_pause(rq);
	file_slot(rq->who->account, name.n ? name : STR("file"), x->is_multipart ? STR("") : type, rq->length, promised,
		  x);
}

/* ---- giving back ---- */

static struct str disposition(struct http_request *rq, const struct file_rec *r)
{
	struct buf b;

	buf_init(&b, 8192);
	buf_str_add(&b, str_c(file_may_show(r->type) ? "inline" : "attachment"));
	buf_lit(&b, "; filename*=UTF-8''"); /* RFC 8187 */
	for (size_t i = 0; i < r->name.n; i++) {
		unsigned char c = (unsigned char)r->name.p[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
			     c == '-' || c == '_';
		buf_printf(&b, plain ? "%c" : "%%%02X", c);
	}
	struct str s = arena_str(rq->a, buf_str(&b));
	buf_clear(&b);
	return s;
}

static void give(struct http_request *rq)
{
	struct file_rec r;
	struct http_file f = { .fd = -1 };
	char hex[17];
	int err = file_open(rq->a, rq->param[0], &r, &f.fd);

	if (err) {
		answer_error(rq, err == ERR_NOT_FOUND ? 404 : 500, "not_found",
			     "There is no file at this address, or not any more");
		return;
	}
	hex_encode(r.hash, 8, hex);
	hex[16] = '\0';
	struct str type = str_eq_c(r.type, "text/plain") ? STR("text/plain; charset=utf-8") : r.type;
	f.size = r.size;
	f.type = arena_printf(rq->a, "%.*s", STR_ARG(type)).p;
	f.etag = arena_printf(rq->a, "\"%s\"", hex).p;
	f.extra = arena_printf(rq->a,
			       "Content-Disposition: %s\r\nContent-Security-Policy: default-src 'none'; sandbox; "
			       "frame-ancestors 'none'\r\n"
			       "Cache-Control: private, max-age=31536000, immutable\r\nCross-Origin-Resource-Policy: "
			       "same-site\r\n",
			       disposition(rq, &r).p)
			  .p;
	http_answer_file(rq, &f);
}

static int find(struct http_request *rq, struct file_rec *out)
{
	struct txn *t = im_read();
	struct str id = rq->param[0];
	uint64_t number = 0;

	for (size_t i = 0; i < id.n && id.n < 19; i++)
		number = id.p[i] >= '0' && id.p[i] <= '9' ? number * 10 + (uint64_t)(id.p[i] - '0') : 0;
	int err = file_get(t, number, out);
	if (!err) {
		out->token = arena_str(rq->a, out->token);
		out->name = arena_str(rq->a, out->name);
		out->type = arena_str(rq->a, out->type);
	}
	txn_commit(t);
	if (!err &&
	    (out->state != FILE_STORED || (out->owner != rq->who->account && !principal_has(rq->who, SCOPE_ADMIN))))
		err = ERR_NOT_FOUND;
	return err;
}

static void show(struct http_request *rq)
{
	struct file_rec r;
	int err = find(rq, &r);

	if (err)
		answer_err(rq, err, "There is no such file of yours");
	else
		answer_value(rq, 200, file_json(rq, &r));
}

static void deleted(void *ctx, int err)
{
	if (err)
		answer_err(ctx, err, NULL);
	else
		http_answer(ctx, 204, NULL, STR_NONE, NULL);
}

static void forget(struct http_request *rq)
{
	struct file_rec r;
	int err = find(rq, &r);

	if (err)
		answer_err(rq, err, "There is no such file of yours");
	else
		file_delete(rq->who, r.number, deleted, rq);
}

static const struct http_sink put_sink = { put_start, data, gone }, api_sink = { api_start, data, gone };

const struct route upload_routes[] = {
	{ "PUT", "/upload/{token}/{name}", ROUTE_OPEN, whole, .sink = &put_sink },
	{ "GET", "/upload/{token}/{name}", ROUTE_OPEN, give },
	{ "POST", "/api/v1/files", ROUTE_TOKEN, whole, .sink = &api_sink },
	{ "GET", "/api/v1/files/{id}", ROUTE_TOKEN, show },
	{ "DELETE", "/api/v1/files/{id}", ROUTE_TOKEN, forget },
	{ .path = NULL },
};
