/*
 * Structured log: one line per event, made on the stack and handed over by one write(2), so that lines of several
 * threads never mix (row E09). Any thread. The lock guards only the table of rates. Nothing here allocates: mem.c
 * logs through it when there is no memory left.
 * Line: 2026-11-23T09:00:00.123Z info conn.open id=7 ip=192.0.2.1 name="Anna \"Anja\""
 */
#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 8192,
	VALUE_MAX_BYTES = 1024, /* input bytes of one value; longer ones are cut and end in "..." */
	ESCAPED_MAX = 6,	/* bytes that one byte of a value may become: \u0000 */
	EVENTS_MAX = 512,	/* names that are counted; there are far fewer in the code */
	DEFAULT_RATE = 100,
};

_Atomic enum log_level log_threshold = LOG_INFO;
static const char *const level_names[] = { "debug", "info", "warn", "error" };
static atomic_int out_fd = 2;
static atomic_uint rate_per_s = DEFAULT_RATE;

struct event_rate {
	const char *name; /* a literal of the caller's */
	uint64_t second;  /* monotonic second that the counts are of */
	unsigned lines;
	uint64_t dropped;
};
static pthread_mutex_t rates_lock = PTHREAD_MUTEX_INITIALIZER;
static struct event_rate rates[EVENTS_MAX]; /* open addressing by name */
static atomic_bool any_dropped;		    /* some rate has lines to report */
static _Atomic uint64_t reported_second;

struct line {
	char p[LINE_MAX_BYTES];
	size_t n;
};

/* Adds all or nothing, and leaves room for the line end, so that a full line is still one whole line. */
static void add(struct line *l, const char *p, size_t n)
{
	if (n <= sizeof(l->p) - 1 - l->n) {
		memcpy(l->p + l->n, p, n);
		l->n += n;
	}
}

__attribute__((format(printf, 2, 3))) static void addf(struct line *l, const char *fmt, ...)
{
	char text[64];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		add(l, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Characters that need no quotes around a value. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && (c == '\0' || !strchr("-_.:/@+,[]%", c)))
			return false;
	}
	return s.n > 0;
}

/* What could end the line, move the cursor or turn the text round: C0, DEL, C1, line separators, bidi and other
 * invisible controls (row E09; UAX 9 section 2). */
static bool is_control(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0, 0x1f },	    { 0x7f, 0x9f },	{ 0x61c, 0x61c },   { 0x200e, 0x200f },
		{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	}
	return false;
}

static void add_escaped(struct line *l, struct str s)
{
	while (s.n > 0) {
		uint32_t cp;
		size_t len = str_utf8_next(s, &cp);
		if (len == 0) {
			len = 1;
			addf(l, "\\x%02x", (unsigned)(unsigned char)s.p[0]);
		} else if (cp == '"' || cp == '\\') {
			addf(l, "\\%c", (char)cp);
		} else if (cp == '\n') {
			add(l, "\\n", 2);
		} else if (is_control(cp)) {
			addf(l, "\\u%04x", (unsigned)cp);
		} else {
			add(l, s.p, len);
		}
		s = str_of(s.p + len, s.n - len);
	}
}

/* At most VALUE_MAX_BYTES, not ending inside a character. */
static struct str cut(struct str s)
{
	if (s.n <= VALUE_MAX_BYTES)
		return s;
	s.n = VALUE_MAX_BYTES;
	for (int i = 0; i < 3 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80; i++)
		s.n--;
	return s;
}

static void add_field(struct line *l, const struct log_field *f)
{
	/* Each field is whole or absent: half a value would be read as another one. */
	struct str value = f->kind == LOG_STR ? cut(f->s) : STR_NONE;
	if (strlen(f->key) + ESCAPED_MAX * value.n + 32 > sizeof(l->p) - 1 - l->n)
		return;
	add(l, " ", 1);
	add(l, f->key, strlen(f->key));
	add(l, "=", 1);
	if (f->kind == LOG_UINT) {
		addf(l, "%llu", (unsigned long long)f->u);
	} else if (f->kind == LOG_INT) {
		addf(l, "%lld", (long long)f->u);
	} else if (is_plain(value) && value.n == f->s.n) {
		add(l, value.p, value.n);
	} else {
		add(l, "\"", 1);
		add_escaped(l, value);
		if (value.n < f->s.n)
			add(l, "...", 3);
		add(l, "\"", 1);
	}
}

static void write_line(enum log_level level, const char *event, const struct log_field *fields)
{
	struct line l;
	uint64_t ms = clock_wall_ms();
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	l.n = strftime(l.p, sizeof(l.p), "%Y-%m-%dT%H:%M:%S", &tm);
	addf(&l, ".%03uZ %s ", (unsigned)(ms % 1000), level_names[level]);
	add(&l, event, strlen(event));
	for (; fields && fields->kind != LOG_END; fields++)
		add_field(&l, fields);
	l.p[l.n++] = '\n';
	/* A full or closed pipe loses the line; a messenger does not stop for its log. */
	while (write(atomic_load(&out_fd), l.p, l.n) < 0 && errno == EINTR)
		;
}

/* Under rates_lock. The entry of an event; NULL when the table is full (such an event is not limited). */
static struct event_rate *find_rate(const char *event)
{
	size_t at = (size_t)str_hash_stable(str_c(event));
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		struct event_rate *r = &rates[(at + i) % EVENTS_MAX];
		if (!r->name)
			r->name = event;
		if (r->name == event || strcmp(r->name, event) == 0)
			return r;
	}
	return NULL;
}

/* Counts a line; true when it may be written. */
static bool admit(const char *event, uint64_t second)
{
	unsigned limit = atomic_load_explicit(&rate_per_s, memory_order_relaxed);
	bool ok = true;
	if (limit == 0)
		return true;
	pthread_mutex_lock(&rates_lock);
	struct event_rate *r = find_rate(event);
	if (r) {
		if (r->second != second) {
			r->second = second;
			r->lines = 0;
		}
		ok = r->lines < limit;
		if (ok) {
			r->lines++;
		} else {
			r->dropped++;
			atomic_store_explicit(&any_dropped, true, memory_order_relaxed);
		}
	}
	pthread_mutex_unlock(&rates_lock);
	return ok;
}

/* The next event with lines to report, from place *at on. */
static bool take_dropped(size_t *at, bool all, uint64_t second, const char **out_name, uint64_t *out_dropped)
{
	bool found = false;
	pthread_mutex_lock(&rates_lock);
	for (; *at < EVENTS_MAX && !found; (*at)++) {
		struct event_rate *r = &rates[*at];
		found = r->dropped > 0 && (all || r->second != second);
		if (found) {
			*out_name = r->name;
			*out_dropped = r->dropped;
			r->dropped = 0;
		} else if (r->dropped > 0) {
			atomic_store(&any_dropped, true); /* later, when its second is over */
		}
	}
	pthread_mutex_unlock(&rates_lock);
	return found;
}

void log_report_dropped(bool all)
{
	uint64_t second = clock_mono_ms() / 1000;
	if (!atomic_load_explicit(&any_dropped, memory_order_relaxed))
		return;
	if (!all && atomic_exchange(&reported_second, second) == second)
		return; /* looked at already in this second */
	atomic_store(&any_dropped, false);
	const char *name;
	uint64_t dropped;
	for (size_t at = 0; take_dropped(&at, all, second, &name, &dropped);) {
		const struct log_field fields[] = { LC("event", name), LU("count", dropped), { 0 } };
		write_line(LOG_WARN, "log.dropped", fields);
	}
}

void log_event(enum log_level level, const char *event, const struct log_field *fields)
{
	log_report_dropped(false);
	if (admit(event, clock_mono_ms() / 1000))
		write_line(level, event, fields);
}

void log_to_fd(int fd)
{
	atomic_store(&out_fd, fd);
}

int log_set_level(struct str name)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (str_eq_c(name, level_names[i])) {
			atomic_store(&log_threshold, (enum log_level)i);
			return 0;
		}
	}
	return ERR_SYNTAX;
}

void log_set_rate(unsigned lines_per_s)
{
	atomic_store(&rate_per_s, lines_per_s);
}
