/*
 * Structured log: one line per event on stderr, key=value, values escaped (C0, C1, bidi controls, quotes; row E09).
 *   log_info("conn.open", LS("ip", ip), LU("port", port));
 * Never message bodies, passwords or tokens. Rate-limited per event name with a counter of dropped lines. Any thread.
 */
#pragma once
#include "base/err.h"
#include <stdatomic.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_kind { LOG_END, LOG_STR, LOG_UINT, LOG_INT };
struct log_field {
	const char *key;
	enum log_kind kind;
	struct str s;
	uint64_t u;
};
#define LS(k, v) { .key = (k), .kind = LOG_STR, .s = (v) }
#define LC(k, v) { .key = (k), .kind = LOG_STR, .s = str_c(v) }
#define LU(k, v) { .key = (k), .kind = LOG_UINT, .u = (uint64_t)(v) }
#define LI(k, v) { .key = (k), .kind = LOG_INT, .u = (uint64_t)(int64_t)(v) }
#define LERR(e) { .key = "error", .kind = LOG_STR, .s = str_c(err_text(e)) }

/* Lines below this level are not made. Set by log_set_level(). */
extern _Atomic enum log_level log_threshold;
/* The stable event name is "area.what"; fields end with an empty one. Use the macros. */
void log_event(enum log_level level, const char *event, const struct log_field *fields);
#define log_at(level, event, ...)                                                                              \
	do {                                                                                                   \
		if ((level) >= atomic_load_explicit(&log_threshold, memory_order_relaxed))                     \
			log_event((level), (event),                                                            \
				  (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { 0 } });              \
	} while (0)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_at(LOG_ERROR, event, __VA_ARGS__)
/* File descriptor to write to (2 by default) and threshold by name; ERR_SYNTAX for an unknown name. */
void log_to_fd(int fd);
int log_set_level(struct str name);
/* Lines per second of one event name (default 100); further ones are counted. 0 = no limit. */
void log_set_rate(unsigned lines_per_s);
/* Writes a `log.dropped` line for each event that dropped lines in a second that is over (all = also in the running
 * one). Called by each log line; a timer and the end of the process call it so that a count is told even when
 * nothing more is logged. */
void log_report_dropped(bool all);
