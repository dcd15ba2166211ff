/* Chats in a world (tests/lib/taps.h): calls on a worker that wait for their answer. Static inline: include it in the one file that is the test. */
#pragma once
#include "server/im/account.h"
#include "server/im/chat.h"
#include "server/im/chat_room.h"
#include "server/im/conv.h"
#include "tests/lib/taps.h"

enum { A, B, C, E, OUT, PEOPLE };
static const char *const people[PEOPLE] = { "anna", "boris", "clara", "eva", "outsider" };
static uint32_t id[PEOPLE];

static struct chat_answer {
	int err;
	uint64_t number, gid;
	unsigned n;
	struct gate gate;
} answer;

static inline void on_answer(void *ctx, int err, uint64_t number, uint64_t gid)
{
	(void)ctx;
	answer.err = err;
	answer.number = number;
	answer.gid = gid;
	answer.n++;
	gate_open(&answer.gate);
}

static inline struct principal person(int who)
{
	return (struct principal){ .kind = PRINCIPAL_USER, .account = id[who], .domain = STR("example.org"), .name = str_c(people[who]) };
}
static const struct principal machine = { .kind = PRINCIPAL_CONTROL, .name = { "ctl", 3 } };

static inline int run_chat(void (*fn)(void *), void *arg)
{
	gate_init(&answer.gate);
	answer.n = 0;
	rig_run(1, fn, arg);
	ok(gate_wait(&answer.gate), "an answer comes");
	world_settle();
	is_int(answer.n, 1);
	return answer.err;
}

struct act {
	struct principal by;
	uint64_t number;
	const uint32_t *v;
	size_t n;
	int hide;
	enum chat_role role;
	bool quiet;
};
static inline void create_here(void *arg) { chat_create(arg, on_answer, NULL); }
static inline void change_here(void *arg) { chat_change(arg, on_answer, NULL); }
static inline void post_here(void *arg) { chat_post(arg, NULL, on_answer, NULL); }
static inline void add_here(void *arg)
{
	struct act *a = arg;
	chat_add(&a->by, a->number, a->v, a->n, a->hide, a->quiet, on_answer, NULL);
}
static inline void remove_here(void *arg)
{
	struct act *a = arg;
	chat_remove(&a->by, a->number, a->v[0], a->quiet, STR("why"), on_answer, NULL);
}
static inline void role_here(void *arg)
{
	struct act *a = arg;
	chat_set_role(&a->by, a->number, a->v[0], a->role, STR_NONE, on_answer, NULL);
}
static inline void destroy_here(void *arg)
{
	struct act *a = arg;
	chat_destroy(&a->by, a->number, STR("over"), on_answer, NULL);
}

static inline int add(int by, uint64_t number, int who, int hide)
{
	struct act a = { .by = person(by), .number = number, .v = &id[who], .n = 1, .hide = hide };
	return run_chat(add_here, &a);
}
static inline int take_out(int by, uint64_t number, int who)
{
	struct act a = { .by = person(by), .number = number, .v = &id[who], .n = 1 };
	return run_chat(remove_here, &a);
}
static inline int set_role(int by, uint64_t number, int who, enum chat_role role)
{
	struct act a = { .by = person(by), .number = number, .v = &id[who], .n = 1, .role = role };
	return run_chat(role_here, &a);
}
static inline int destroy(int by, uint64_t number)
{
	struct act a = { .by = person(by), .number = number };
	return run_chat(destroy_here, &a);
}
/* Owned by anna, with boris and clara; its number. */
static inline uint64_t make_chat(bool open, bool hides)
{
	struct chat_new n = { .by = person(A), .domain = STR("example.org"), .title = STR("Sales"), .author = id[A], .open = open, .hide_history = hides,
			      .members = &id[B], .n_members = 2 };
	is_int(run_chat(create_here, &n), 0);
	return answer.number;
}
static inline int post(int who, uint64_t number, struct chat_message more, const char *payload)
{
	more.by = person(who);
	more.number = number;
	more.author = more.author ? more.author : id[who];
	more.m.payload = chunk_of(str_c(payload));
	int err = run_chat(post_here, &more);
	chunk_unref(more.m.payload);
	return err;
}
static inline uint64_t say(int who, uint64_t number, const char *payload)
{
	is_int(post(who, number, (struct chat_message){ .m.flags = MESSAGE_STORE | MESSAGE_COUNTS }, payload), 0);
	return answer.gid;
}
static inline void chat_world(void)
{
	message_caches_drop();
	world_start();
	for (int i = 0; i < PEOPLE; i++) {
		is_int(rig_add("example.org", people[i], "pw"), 0);
		id[i] = world_account(people[i]);
	}
}
static inline int role_of(uint64_t number, int who)
{
	struct txn *t = im_read();
	struct chat_member_rec m;

	chat_member_get(t, number, id[who], &m);
	txn_commit(t);
	return m.role;
}
static inline struct chat_rec rec_of(uint64_t number, struct arena *a)
{
	struct txn *t = im_read();
	struct chat_rec r;

	if (chat_rec_get(t, number, &r) == 0)
		chat_rec_copy(a, &r);
	txn_commit(t);
	return r;
}
