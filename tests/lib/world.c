/* See world.h. Sessions are touched on their home worker; the test reads what they got after settling. */
#include "tests/lib/world.h"
#include "base/arena.h"
#include "base/mem.h"
#include "server/im/chat.h"
#include "server/im/chat_room.h"
#include "server/im/inflight.h"
#include "server/im/org.h"
#include "server/im/org_import.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/xmpp/content.h"
#include "server/xmpp/roster.h"
#include "storage/tab_account.h"
#include "xml/atom.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { WORKERS = 2 };
#define DOMAIN "example.org"

static struct str or_dash(struct str s)
{
	return s.p ? s : STR("-");
}

static void fake_send(struct session *s, const struct outgoing *o)
{
	static const char *const kinds[] = { "message", "presence", "iq" };
	struct fake *f = (struct fake *)s;
	struct str payload = o->payload ? chunk_str(o->payload) : STR("-");

	buf_printf(&f->got, "%s %.*s %.*s ", kinds[o->kind], STR_ARG(or_dash(o->type)), STR_ARG(or_dash(o->from)));
	buf_str_add(&f->got, payload);
	buf_byte(&f->got, '\n');
}

static void fake_kick(struct session *s, const char *condition, const char *text)
{
	(void)s;
	(void)condition;
	(void)text;
}

static void fake_describe(struct session *s, struct buf *out)
{
	(void)s;
	(void)out;
}

static bool fake_is_full(const struct session *s)
{
	return ((const struct fake *)s)->full;
}

static const struct transport fake_transport = { "fake", fake_send, fake_kick, fake_describe, fake_is_full };

static void worker_start(void *arg)
{
	home_init(*(unsigned *)arg);
	presence_thread_init();
	org_thread_init();
	room_thread_init();
}

static void worker_stop(void *arg)
{
	(void)arg;
	loop_timer_cancel(loop_self(), &home()->dirty_timer);
	room_thread_fini();
	roster_thread_fini();
	org_thread_fini();
	presence_thread_fini();
	peer_thread_end();
	inflight_thread_end();
	home_fini();
}

void world_start(void)
{
	struct err_msg msg;

	atom_init();
	org_init();
	presence_init();
	content_init();
	room_init();
	chat_init();
	roster_handlers_init();
	rig_start(WORKERS, NULL);
	int err = org_load(&msg);
	assert(!err);
	for (unsigned w = 0; w < WORKERS; w++)
		rig_run(w, worker_start, &w);
}

void world_stop(void)
{
	world_settle();
	for (unsigned w = 0; w < WORKERS; w++)
		rig_run(w, worker_stop, NULL);
	rig_stop();
}

void world_settle(void)
{
	rig_settle();
}

uint32_t world_account(const char *local)
{
	struct account_rec r;
	struct txn *t = im_read();
	uint32_t id = account_get(t, STR(DOMAIN), str_c(local), &r) ? 0 : r.id;

	txn_commit(t);
	return id;
}

struct login {
	struct fake *f;
	struct jid jid;
	uint32_t id;
	bool wants_roster, available;
};

static void login_here(void *arg)
{
	struct login *l = arg;
	int err = session_open(&l->f->s, &l->jid, l->id, 0, false, &fake_transport);

	assert(!err);
	l->f->s.wants_roster = l->wants_roster;
	if (l->available)
		presence_set(&l->f->s, NULL, 0);
}

struct fake *world_login(const char *local, const char *resource, bool wants_roster, bool available)
{
	struct arena *a = arena_new(1024);
	struct login l = {
		.f = NEW(struct fake), .id = world_account(local), .wants_roster = wants_roster, .available = available
	};

	assert(l.id);
	buf_init(&l.f->got, 1 << 20);
	l.jid = jid_make(a, str_c(local), STR(DOMAIN), str_c(resource));
	l.f->worker = threads_home(jid_bare(&l.jid));
	rig_run(l.f->worker, login_here, &l);
	arena_free(a);
	world_settle();
	return l.f;
}

static void logout_here(void *arg)
{
	session_close(&((struct fake *)arg)->s);
}

void world_logout(struct fake *f)
{
	rig_run(f->worker, logout_here, f);
	world_settle();
	buf_clear(&f->got);
	mem_free(f);
}

struct str world_got(struct fake *f)
{
	static struct buf last;

	world_settle();
	buf_clear(&last);
	buf_init(&last, 1 << 20);
	buf_str_add(&last, buf_str(&f->got));
	buf_reset(&f->got);
	return last.p ? buf_str(&last) : STR("");
}

/* ---- import ---- */

struct importing {
	struct org_import_request rq;
	struct world_import *out;
	struct gate gate;
};

static void imported(void *ctx, const struct org_import_result *r)
{
	struct importing *i = ctx;

	*i->out = (struct world_import){ .err = r->err,
					 .added = r->added,
					 .changed = r->changed,
					 .unchanged = r->unchanged,
					 .missing = r->missing,
					 .disabled = r->disabled };
	if (r->err)
		snprintf(i->out->text, sizeof i->out->text, "%s", r->msg.text);
	snprintf(i->out->report, sizeof i->out->report, "%.*s", STR_ARG(r->report.p ? r->report : STR("")));
	gate_open(&i->gate);
}

static void import_here(void *arg)
{
	struct importing *i = arg;

	org_import_start(&i->rq, imported, i);
}

void world_import_csv(const char *csv, bool dry_run, bool disable_missing, struct world_import *out)
{
	struct world_import own;
	struct importing i = { .out = out ? out : &own };

	i.rq = (struct org_import_request){ .domain = STR(DOMAIN),
					    .csv = str_c(csv),
					    .actor = STR("test"),
					    .dry_run = dry_run,
					    .disable_missing = disable_missing };
	gate_init(&i.gate);
	rig_run(0, import_here, &i);
	bool came = gate_wait(&i.gate);
	assert(came);
	world_settle();
}

void world_import(const char *rows, bool dry_run, bool disable_missing, struct world_import *out)
{
	char csv[8192];

	snprintf(csv, sizeof csv, "id,login,password,full_name,department,position,email,phone,head\n%s", rows);
	world_import_csv(csv, dry_run, disable_missing, out);
}
