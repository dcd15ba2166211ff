/* /api/v1/stats, sessions, backup, check, audit: what IT asks the running server. Worker of the connection; long work on helpers. */
#include "bosh/api.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/session.h"
#include "server/net/listener.h"
#include "server/net/threads.h"
#include "storage/check.h"
#include "storage/tab_audit.h"
#include "storage/tab_message.h"

/* ---- sessions: the request walks over all workers, each adds its own ---- */

struct walk {
	struct http_request *rq;
	struct buf b;
	size_t n;
	unsigned next, home;
};

static void walk_step(void *data);

static void add_session(struct session *s, void *ctx)
{
	struct walk *w = ctx;
	struct buf *b = &w->b;

	buf_str_add(b, str_c(w->n++ ? ",{\"jid\":" : "{\"jid\":"));
	json_str(b, s->jid.full);
	buf_printf(b, ",\"available\":%s,\"priority\":%d,\"since_ms\":%llu,\"inactive\":%s,\"detached\":%s,",
		   s->available ? "true" : "false", s->priority, (unsigned long long)s->bound_ms,
		   s->inactive ? "true" : "false", s->detached ? "true" : "false");
	s->transport->describe(s, b);
	buf_byte(b, '}');
}

static void walk_end(void *data)
{
	struct walk *w = data;

	buf_lit(&w->b, "]}\n");
	answer_json(w->rq, 200, buf_str(&w->b));
	buf_clear(&w->b);
	mem_free(w);
}

static void walk_step(void *data)
{
	struct walk *w = data;

	session_each(add_session, w);
	if (++w->next < threads_count())
		post_to(w->next, walk_step, w, NULL);
	else
		post_to(w->home, walk_end, w, NULL);
}

static void sessions(struct http_request *rq)
{
	struct walk *w = NEW(struct walk);

	w->rq = rq;
	w->home = (unsigned)threads_self();
	buf_init(&w->b, 256u << 20);
	buf_lit(&w->b, "{\"sessions\":[");
	post_to(0, walk_step, w, NULL);
}

/* ---- stats ---- */

static void stats(struct http_request *rq)
{
	struct store_info si;
	struct writer_stats ws;
	struct listener_stats ls;
	struct buf b;
	struct txn *t = im_read();

	store_get_info(im.store, &si);
	writer_get_stats(im.writer, &ws);
	listener_get_stats(&ls);
	uint64_t messages = message_last_gid(t);
	txn_commit(t);
	buf_init(&b, 65536);
	buf_printf(&b, "{\"uptime_ms\":%llu,\"workers\":%u,\"connections\":%llu,\"accepted\":%llu,\"messages\":%llu",
		   (unsigned long long)(clock_wall_ms() - im.started_ms), threads_count(), (unsigned long long)ls.open,
		   (unsigned long long)ls.accepted, (unsigned long long)messages);
	buf_printf(&b, ",\"readers\":%llu,\"slow_reads\":%llu", (unsigned long long)si.readers,
		   (unsigned long long)si.slow_reads);
	buf_printf(&b,
		   ",\"map_bytes\":%llu,\"used_bytes\":%llu,\"commits\":%llu,\"writes\":%llu,\"writes_failed\":%llu,"
		   "\"storage\":",
		   (unsigned long long)si.map_bytes, (unsigned long long)si.used_bytes, (unsigned long long)ws.commits,
		   (unsigned long long)ws.ops, (unsigned long long)ws.failed);
	int health = writer_health(im.writer);
	json_str(&b, str_c(health ? err_text(health) : "ok"));
	buf_lit(&b, "}\n");
	answer_json(rq, 200, buf_str(&b));
	buf_clear(&b);
}

/* ---- backup and check: on a helper ---- */

struct long_job {
	struct job job;
	struct http_request *rq;
	char *dir;
	int err;
	struct err_msg msg;
	struct check_report report;
};

static void backup_run(struct job *j)
{
	struct long_job *l = list_entry(j, struct long_job, job);

	l->err = store_backup(im.store, l->dir, &l->msg);
}

static void backup_done(struct job *j)
{
	struct long_job *l = list_entry(j, struct long_job, job);

	if (l->err)
		answer_err(l->rq, l->err, l->msg.text);
	else
		answer_json(l->rq, 200, STR("{\"backup\":\"ok\"}\n"));
	mem_free(l->dir);
	mem_free(l);
}

static void check_run(struct job *j)
{
	struct long_job *l = list_entry(j, struct long_job, job);

	l->err = store_check(im.store, &l->report);
}

static const char *const table_names[] = {
#define TABLE(id, name, doc) name,
#include "storage/tables.def"
#undef TABLE
};

static void check_done(struct job *j)
{
	struct long_job *l = list_entry(j, struct long_job, job);
	struct buf b;
	char hash[64];

	buf_init(&b, 65536);
	buf_lit(&b, "{\"tables\":{");
	for (unsigned i = 0; i < TAB_COUNT; i++)
		buf_printf(&b, "%s\"%s\":{\"records\":%llu,\"damaged\":%llu}", i ? "," : "", table_names[i],
			   (unsigned long long)l->report.records[i], (unsigned long long)l->report.damaged[i]);
	hex_encode(l->report.hash, 32, hash);
	buf_printf(&b, "},\"hash\":\"%.64s\",\"ok\":%s}\n", hash, l->err ? "false" : "true");
	answer_json(l->rq, 200, buf_str(&b));
	buf_clear(&b);
	mem_free(l);
}

static void start_job(struct http_request *rq, struct str dir, void (*run)(struct job *j), void (*done)(struct job *j))
{
	struct long_job *l = NEW(struct long_job);

	l->rq = rq;
	l->job.run = run;
	l->job.done = done;
	if (dir.p)
		l->dir = str_dup(dir);
	if (helpers_submit(&l->job) == 0)
		return;
	mem_free(l->dir);
	mem_free(l);
	answer_err(rq, ERR_AGAIN, "The server is busy; repeat in a moment");
}

static void backup(struct http_request *rq)
{
	struct json_body *j = json_parse(rq);

	if (!j)
		return;
	struct str dir = json_get(j, "dir");
	if (!dir.n || dir.p[0] != '/')
		answer_error(rq, 400, "bad_request", "Name an absolute directory that does not exist or is empty");
	else
		start_job(rq, dir, backup_run, backup_done);
	json_free(j);
}

static void check(struct http_request *rq)
{
	start_job(rq, STR_NONE, check_run, check_done);
}

/* ---- audit log ---- */

static bool add_act(void *ctx, const struct audit_rec *r)
{
	struct buf *b = ctx;

	buf_printf(b, "%s{\"number\":%llu,\"time_ms\":%llu,\"actor\":", r->number > 1 ? "," : "",
		   (unsigned long long)r->number, (unsigned long long)r->time_ms);
	json_str(b, r->actor);
	buf_lit(b, ",\"action\":");
	json_str(b, r->action);
	buf_lit(b, ",\"target\":");
	json_str(b, r->target);
	buf_lit(b, ",\"detail\":");
	json_str(b, r->detail);
	buf_byte(b, '}');
	return buf_ok(b);
}

static void audit(struct http_request *rq)
{
	struct buf b;
	struct txn *t = im_read();

	buf_init(&b, 64u << 20);
	buf_lit(&b, "{\"acts\":[");
	int err = audit_each(t, 1, add_act, &b);
	txn_commit(t);
	buf_printf(&b, "],\"chain\":\"%s\"}\n", err ? "broken" : "ok");
	answer_json(rq, 200, buf_str(&b));
	buf_clear(&b);
}

const struct route server_routes[] = {
	{ "GET", "/api/v1/stats", ROUTE_CONTROL, stats },    { "GET", "/api/v1/sessions", ROUTE_CONTROL, sessions },
	{ "POST", "/api/v1/backup", ROUTE_CONTROL, backup }, { "POST", "/api/v1/check", ROUTE_CONTROL, check },
	{ "GET", "/api/v1/audit", ROUTE_CONTROL, audit },    { .path = NULL },
};
