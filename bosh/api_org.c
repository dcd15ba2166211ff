/* POST /api/v1/org/import?domain=D&dry_run=1&disable_missing=1 with CSV as body; GET /api/v1/org: people in order. Worker of the connection. */
#include "bosh/api.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/org_import.h"

static void import_done(void *ctx, const struct org_import_result *r)
{
	struct http_request *rq = ctx;
	struct buf b;

	if (r->err) {
		answer_err(rq, r->err, r->msg.text);
		return;
	}
	buf_init(&b, 64u << 20);
	buf_printf(&b,
		   "{\"added\":%zu,\"changed\":%zu,\"unchanged\":%zu,\"missing\":%zu,\"disabled\":%zu,\"departments_"
		   "added\":%zu,"
		   "\"departments_removed\":%zu,\"report\":",
		   r->added, r->changed, r->unchanged, r->missing, r->disabled, r->departments_added,
		   r->departments_removed);
	json_str(&b, r->report);
	buf_lit(&b, "}\n");
	answer_json(rq, 200, buf_str(&b));
	buf_clear(&b);
}

static bool flag(struct http_request *rq, const char *name)
{
	struct str v = http_query(rq, name);

	return str_eq_c(v, "1") || str_eq_c(v, "true");
}

static void org_import(struct http_request *rq)
{
	struct org_import_request in = { .csv = rq->body,
					 .actor = STR("ctl"),
					 .dry_run = flag(rq, "dry_run"),
					 .disable_missing = flag(rq, "disable_missing") };

	if (api_domain(rq, http_query(rq, "domain"), &in.domain))
		org_import_start(&in, import_done, rq);
}

static void org_list(struct http_request *rq)
{
	const struct org *o = org_current();
	size_t n;
	const struct org_person *const *v = org_people(o, &n);
	struct buf b;

	buf_init(&b, 256u << 20);
	buf_lit(&b, "{\"people\":[");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%s{\"id\":%llu,\"jid\":", i ? "," : "", (unsigned long long)v[i]->number);
		json_str(&b, v[i]->jid.full);
		buf_lit(&b, ",\"full_name\":");
		json_str(&b, v[i]->full_name);
		buf_lit(&b, ",\"department\":");
		json_str(&b, v[i]->dept ? v[i]->dept->path : STR(""));
		buf_lit(&b, ",\"position\":");
		json_str(&b, v[i]->position);
		buf_printf(&b, ",\"head\":%s}", v[i]->head ? "true" : "false");
	}
	buf_lit(&b, "]}\n");
	answer_json(rq, 200, buf_str(&b));
	buf_clear(&b);
}

const struct route org_routes[] = {
	{ "POST", "/api/v1/org/import", ROUTE_CONTROL, org_import },
	{ "GET", "/api/v1/org", ROUTE_CONTROL, org_list },
	{ .path = NULL },
};
