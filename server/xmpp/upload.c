/*
 * HTTP file upload (XEP-0363): the server itself is the service. A slot is a promise of server/im/files.h; PUT and GET have the same address, which nobody can
 * guess (section 7). The largest size stands in the server's disco#info form (section 4). Home thread of the asker.
 */
#include "server/xmpp/upload.h"
#include "base/err.h"
#include "server/im/files.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/reply.h"
#include "server/xmpp/request.h"
#include "xml/form.h"
#include <string.h>

void upload_disco_form(struct arena *a, struct node *query)
{
	struct node *form = form_new(a, query, "result", "urn:xmpp:http:upload:0");

	form_field(a, form, "max-file-size", NULL, NULL,
		   arena_printf(a, "%llu", (unsigned long long)limits()->upload_bytes));
}

static void too_large(struct pending *p)
{
	pending_error_with(p, "modify", A_not_acceptable, A_file_too_large, NS_HTTP_UPLOAD,
			   "The file is too large, or today's quota is used up");
}

static struct node *slot_node(struct arena *a, struct str url)
{
	struct node *slot = node_new(a, A_slot, NS_HTTP_UPLOAD);

	node_set(a, node_add(a, slot, A_put, NS_HTTP_UPLOAD), "url", url);
	node_set(a, node_add(a, slot, A_get, NS_HTTP_UPLOAD), "url", url);
	return slot;
}

struct asked {
	struct pending *pending;
	size_t n;
	char name[];
};

static void promised(void *ctx, int err, struct str token, uint64_t number)
{
	struct asked *q = ctx;

	(void)number;
	if (err == ERR_LIMIT) {
		too_large(q->pending);
	} else if (err) {
		pending_err(q->pending, err,
			    err == ERR_SYNTAX ? "The name of the file is not one" : "No upload is taken now");
	} else {
		struct arena *a = arena_new(2048);
		struct buf url;
		buf_init(&url, 8192);
		file_url(&url, token, str_of(q->name, q->n));
		pending_result(q->pending, slot_node(a, buf_str(&url)));
		buf_clear(&url);
		arena_free(a);
	}
	mem_free(q);
}

static void request_slot(struct request *rq)
{
	struct str name = node_attr(rq->child, "filename"), type = node_attr(rq->child, "content-type");
	uint64_t size;

	if (!name.n || str_u64(node_attr(rq->child, "size"), UINT64_MAX, &size) || !size) {
		reply_error(rq, "modify", A_bad_request, "A slot needs filename and size");
		return;
	}
	struct asked *q = mem_alloc(sizeof *q + name.n);
	q->pending = reply_later(rq);
	pending_is_fast(q->pending);
	q->n = name.n;
	memcpy(q->name, name.p, name.n);
	file_slot(rq->session->user->id, name, type, size, promised, q);
}

static const struct handler rows[] = {
	{ IQ_GET, A_request, NS_HTTP_UPLOAD, TO_HOST, 0, "urn:xmpp:http:upload:0", request_slot },
	{ .fn = NULL },
};
const struct handler_table upload_handlers = { "XEP-0363 upload", rows, NULL, NULL };
