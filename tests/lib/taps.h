/* Sessions in a world (tests/lib/world.h) that write down each struct outgoing whole, and calls into server/im on their worker. Static inline:
 * include it in the one file that is the test. A line is "KIND[+sent|+received] TYPE FROM>TO #GID PAYLOAD". */
#pragma once
#include "base/arena.h"
#include "base/mem.h"
#include "server/im/message.h"
#include "server/im/presence.h"
#include "tests/lib/test.h"
#include "tests/lib/world.h"
#include <stdio.h>

struct tap {
	struct session s; /* first: the transport gets this */
	struct buf got;
	unsigned worker, n;
	struct str jid;
	const char *local;
	/* of the last message */
	uint64_t last_gid, last_delay_ms;
	char last_by[64], last_id[64], last_lang[8];
	bool last_hold;
	struct buf *also; /* tells the order among several taps: "RESOURCE[+sent|+received] " */
};

static inline void tap_copy(char *to, size_t max, struct str s)
{
	snprintf(to, max, "%.*s", STR_ARG(s.p ? s : STR("-")));
}

static void tap_send(struct session *s, const struct outgoing *o)
{
	static const char *const kinds[] = { "message", "presence", "iq" }, *const carbons[] = { "", "+sent", "+received" };
	struct tap *t = (struct tap *)s;

	t->n++;
	buf_printf(&t->got, "%s%s %.*s %.*s>%.*s #%llu %.*s\n", kinds[o->kind], carbons[o->carbon], STR_ARG(o->type.p ? o->type : STR("-")),
		   STR_ARG(o->from), STR_ARG(o->to.p ? o->to : STR("-")), (unsigned long long)o->gid,
		   STR_ARG(o->payload ? chunk_str(o->payload) : STR("-")));
	if (t->also)
		buf_printf(t->also, "%.*s%s ", STR_ARG(jid_resource(&s->jid)), carbons[o->carbon]);
	if (o->kind != STANZA_MESSAGE)
		return;
	t->last_gid = o->gid;
	t->last_delay_ms = o->delay_ms;
	t->last_hold = o->hold_while_inactive;
	tap_copy(t->last_by, sizeof(t->last_by), o->by);
	tap_copy(t->last_id, sizeof(t->last_id), o->id);
	tap_copy(t->last_lang, sizeof(t->last_lang), o->lang);
}

static void tap_kick(struct session *s, const char *condition, const char *text)
{
	struct tap *t = (struct tap *)s;

	(void)text;
	buf_printf(&t->got, "kicked %s\n", condition);
}

static void tap_describe(struct session *s, struct buf *out)
{
	(void)s;
	(void)out;
}

static const struct transport tap_transport = { "tap", tap_send, tap_kick, tap_describe, NULL };

static void tap_open_here(void *arg)
{
	struct tap *t = arg;
	struct arena *a = arena_new(1024);
	struct jid j;

	is_int(jid_parse(a, t->jid, &j), 0);
	struct str local = jid_local(&j);
	char name[64];
	snprintf(name, sizeof(name), "%.*s", STR_ARG(local));
	is_int(session_open(&t->s, &j, world_account(name), 0, false, &tap_transport), 0);
	arena_free(a);
}

/* "local@example.org/resource"; the text must stay valid. Not available yet. */
static inline struct tap *tap_open(const char *full)
{
	struct tap *t = NEW(struct tap);
	struct str jid = str_c(full);

	t->jid = jid;
	buf_init(&t->got, 1 << 20);
	t->worker = threads_home(str_of(jid.p, (size_t)str_find(jid, '/')));
	rig_run(t->worker, tap_open_here, t);
	return t;
}

static void tap_close_here(void *arg)
{
	session_close(&((struct tap *)arg)->s);
}

static inline void tap_close(struct tap *t)
{
	rig_run(t->worker, tap_close_here, t);
	world_settle();
	buf_clear(&t->got);
	mem_free(t);
}

struct tap_presence {
	struct tap *t;
	int priority;
	bool leave;
	const char *text;
};

static void tap_presence_here(void *arg)
{
	struct tap_presence *p = arg;
	struct chunk *c = p->text ? chunk_of(str_c(p->text)) : NULL;

	if (p->leave)
		presence_clear(&p->t->s, c);
	else
		presence_set(&p->t->s, c, (int8_t)p->priority);
	chunk_unref(c);
}

static inline void tap_present(struct tap *t, int priority, const char *text)
{
	struct tap_presence p = { t, priority, false, text };

	rig_run(t->worker, tap_presence_here, &p);
	world_settle();
}

static inline void tap_leave(struct tap *t, const char *text)
{
	struct tap_presence p = { t, 0, true, text };

	rig_run(t->worker, tap_presence_here, &p);
	world_settle();
}

/* What came since the last call, after settling; valid until the next call. */
static inline const char *tap_got(struct tap *t)
{
	static char text[1 << 16];

	world_settle();
	snprintf(text, sizeof(text), "%.*s", STR_ARG(t->got.p ? buf_str(&t->got) : STR("")));
	buf_reset(&t->got);
	return text;
}
