/* See world.h: the rig of the unit tests with the modules of the daemon on its worker. */
#include "fuzz/world.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/im/account.h"
#include "server/im/org.h"
#include "server/worker.h"
#include "tests/lib/im_rig.h"
#include "xml/parser.h"
#include <assert.h>

static uint64_t now_us = 1800000000000000;

static void start_worker(void *arg)
{
	(void)arg;
	worker_init(0);
}

static void end_worker(void *arg)
{
	(void)arg;
	worker_fini(0);
	parser_pool_clear();
}

struct admin {
	struct account_op op;
	struct gate gate;
};
static void admin_done(void *ctx, int err, uint32_t id)
{
	(void)id;
	assert(!err);
	gate_open(&((struct admin *)ctx)->gate);
}
static void do_add_admin(void *arg)
{
	struct admin *a = arg;

	a->op = (struct account_op){
		.local = STR("root"), .password = STR("root"), .actor = STR("fuzz"), .is_admin = true
	};
	account_add(&a->op, admin_done, a);
}

void world_start(void)
{
	static bool first = true;
	struct admin admin;
	struct err_msg msg;

	if (first) {
		log_threshold = LOG_ERROR + 1;
		modules_init();
	}
	rig_start(1, NULL);
	int err = first ? org_load(&msg) : 0; /* empty, kept for ever */
	assert(!err);
	first = false;
	rig_run(0, start_worker, NULL);
	err = rig_add("example.org", "anna", "anna") | rig_add("example.org", "boris", "boris");
	assert(!err);
	gate_init(&admin.gate);
	rig_run(0, do_add_admin, &admin);
	bool came = gate_wait(&admin.gate);
	assert(came);
}

void world_stop(void)
{
	rig_run(0, end_worker, NULL);
	rig_stop();
}

void world_tick(void)
{
	now_us += 10000000;
	clock_set_for_test(now_us, now_us);
}

void world_run(void (*fn)(void *arg), void *arg)
{
	rig_run(0, fn, arg);
}

struct conn *world_connect(void (*accept)(void *arg))
{
	rig_run(0, accept, NULL);
	return fake_conn_last();
}

struct step {
	struct conn *c;
	struct str bytes;
	size_t piece;
	bool ok;
};

static void do_feed(void *arg)
{
	struct step *s = arg;

	s->ok = true;
	for (size_t at = 0; at < s->bytes.n && s->ok; at += s->piece)
		s->ok = fake_conn_feed(s->c, s->bytes.p + at, s->bytes.n - at < s->piece ? s->bytes.n - at : s->piece);
}

bool world_feed(struct conn *c, struct str bytes, size_t piece)
{
	struct step s = { c, bytes, piece, true };

	rig_run(0, do_feed, &s);
	rig_settle();
	return s.ok;
}

static void do_hang_up(void *arg)
{
	fake_conn_hang_up(arg);
}

static void do_free(void *arg)
{
	fake_conn_free(arg);
}

void world_hang_up(struct conn *c)
{
	rig_run(0, do_hang_up, c);
	rig_settle();
	rig_run(0, do_free, c);
}
