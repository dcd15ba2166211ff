/* /metrics (OpenMetrics text) from one table, and /health: 200 when the server stores and serves, 503 with the reason otherwise. Any worker. */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "bosh/http.h"
#include "server/admin/admin.h"
#include "server/im/auth.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/net/listener.h"
#include "server/net/threads.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct sample {
	struct store_info store;
	struct writer_stats writer;
	struct listener_stats listener;
	struct http_stats http;
};

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

#define GET(name, expr)                                                                                                \
	static double name(const struct sample *s)                                                                     \
	{                                                                                                              \
		(void)s;                                                                                               \
		return (double)(expr);                                                                                 \
	}
GET(connections, s->listener.open)
GET(accepted, s->listener.accepted)
GET(refused, s->listener.refused_rate + s->listener.refused_full)
GET(paused, s->listener.paused)
GET(commits, s->writer.commits)
GET(writes, s->writer.ops)
GET(failed, s->writer.failed)
GET(queue, s->writer.queue_depth)
GET(commit_seconds, (double)s->writer.commit_us_total / 1e6)
GET(commit_max, (double)s->writer.commit_us_max / 1e6)
GET(map_bytes, s->store.map_bytes)
GET(used_bytes, s->store.used_bytes)
GET(readers, s->store.readers)
GET(slow_reads, s->store.slow_reads)
GET(requests, s->http.requests)
GET(derivations, auth_derivations())
GET(memory, resident_bytes())
GET(pressure, mem_pressure())
GET(uptime, (double)(clock_wall_ms() - im.started_ms) / 1000)
GET(workers, threads_count())

static const struct {
	const char *name, *type, *help;
	double (*get)(const struct sample *s);
} rows[] = {
	{ "vestnik_connections", "gauge", "Open connections", connections },
	{ "vestnik_accepted", "counter", "Connections accepted", accepted },
	{ "vestnik_refused", "counter", "Connections refused by rate or number", refused },
	{ "vestnik_accept_paused", "counter", "Times accepting paused for lack of descriptors", paused },
	{ "vestnik_commits", "counter", "Commits of the store", commits },
	{ "vestnik_writes", "counter", "Write operations", writes },
	{ "vestnik_writes_failed", "counter", "Write operations that failed", failed },
	{ "vestnik_write_queue", "gauge", "Operations waiting for the writer", queue },
	{ "vestnik_commit_seconds", "counter", "Time spent in commits", commit_seconds },
	{ "vestnik_commit_seconds_max", "gauge", "Longest commit", commit_max },
	{ "vestnik_map_bytes", "gauge", "Size of the map", map_bytes },
	{ "vestnik_used_bytes", "gauge", "Used part of the map", used_bytes },
	{ "vestnik_readers", "gauge", "Readers of the store", readers },
	{ "vestnik_slow_reads", "counter", "Read transactions of the store that lasted longer than 100 ms",
	  slow_reads },
	{ "vestnik_http_requests", "counter", "HTTP requests", requests },
	{ "vestnik_password_derivations", "counter", "PBKDF2 computations", derivations },
	{ "vestnik_memory_bytes", "gauge", "Resident memory", memory },
	{ "vestnik_memory_pressure", "gauge", "1 when the memory reserve is in use", pressure },
	{ "vestnik_uptime_seconds", "gauge", "Time since start", uptime },
	{ "vestnik_workers", "gauge", "Worker threads", workers },
};

static void take(struct sample *s)
{
	store_get_info(im.store, &s->store);
	writer_get_stats(im.writer, &s->writer);
	listener_get_stats(&s->listener);
	http_get_stats(&s->http);
}

static void metrics(struct http_request *rq)
{
	struct sample s;
	struct buf b;

	take(&s);
	buf_init(&b, 1u << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *suffix = strcmp(rows[i].type, "counter") == 0 ? "_total" : "";
		buf_printf(&b, "# HELP %s %s\n# TYPE %s %s\n%s%s %.10g\n", rows[i].name, rows[i].help, rows[i].name,
			   rows[i].type, rows[i].name, suffix, rows[i].get(&s));
	}
	buf_lit(&b, "# EOF\n");
	http_answer(rq, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", buf_str(&b), NULL);
	buf_clear(&b);
}

static void health(struct http_request *rq)
{
	int err = writer_health(im.writer);

	if (err == ERR_NO_SPACE)
		answer_error(rq, 503, "storage", "The disk is full: new messages are refused until there is space");
	else if (err)
		answer_error(rq, 503, "storage",
			     "The disk refuses writes: new messages are refused; see the log and the kernel's");
	else if (mem_pressure())
		answer_error(rq, 503, "memory", "Memory is short: new sessions are refused");
	else
		answer_json(rq, 200, STR("{\"status\":\"ok\"}\n"));
}

const struct route metrics_routes[] = {
	{ "GET", "/metrics", ROUTE_OPEN, metrics },
	{ "GET", "/health", ROUTE_OPEN, health },
	{ .path = NULL },
};
