/* server/im/chat_room: joining, the seam between history and live, several workers, following, removal, delivered cursors (docs/web-and-chats.md). */
#include "tests/unit/chat_kit.h"

static uint64_t chat;
static struct tap *anna, *boris, *clara;
static struct buf seen[2]; /* what the observer was told, per worker */

static void on_room(const struct room_change *c)
{
	static const char *const names[] = { "joined", "presence", "left", "role", "removed", "banned", "destroyed" };
	struct buf *b = &seen[threads_self()];

	buf_printf(b, "%s", names[c->why]);
	if (c->who)
		buf_printf(b, " %.*s", STR_ARG(c->who->nick));
	if (c->why == ROOM_ROLE)
		buf_printf(b, " %u", c->who->role);
	buf_printf(b, "%s; ", c->last ? " last" : "");
}

static const char *told(unsigned worker)
{
	static char text[4096];

	world_settle();
	snprintf(text, sizeof(text), "%.*s", (int)seen[worker].n, seen[worker].p ? seen[worker].p : "");
	buf_reset(&seen[worker]);
	return text;
}

struct joining {
	struct tap *t;
	const char *as;
	bool history;
	size_t n;
	uint64_t delivered;
};

static void join_here(void *arg)
{
	struct joining *j = arg;
	struct arena *a = arena_new(1024);
	struct txn *t = im_read();
	struct chat_rec r;
	struct chat_member_rec me;
	struct jid as;

	is_int(chat_look(t, chat, j->t->s.user->id, &r, &me), 0);
	is_int(jid_parse(a, str_c(j->as), &as), 0);
	struct seat *seat = room_join(&j->t->s, t, &r, me.role, &as, NULL);
	j->delivered = room_delivered(j->t->s.user, t, chat);
	if (j->history)
		j->n = room_history(seat, t, j->delivered, 0, 100);
	txn_commit(t);
	arena_free(a);
}

static size_t join(struct tap *t, const char *as, bool history)
{
	struct joining j = { t, as, history, 0, 0 };

	rig_run(t->worker, join_here, &j);
	world_settle();
	return j.n;
}

static void leave_here(void *arg)
{
	struct tap *t = arg;

	room_leave(room_seat(&t->s, chat), NULL);
}

static void leave(struct tap *t)
{
	rig_run(t->worker, leave_here, t);
	world_settle();
}

static void follow_here(void *arg)
{
	room_follow(&((struct tap *)arg)->s, true);
}
static void unfollow_here(void *arg)
{
	room_follow(&((struct tap *)arg)->s, false);
}

TEST(world_begins)
{
	chat_world();
	room_observe(on_room);
	buf_init(&seen[0], 1 << 16);
	buf_init(&seen[1], 1 << 16);
	chat = make_chat(false, false);
	anna = tap_open("anna@example.org/a");
	boris = tap_open("boris@example.org/b");
	clara = tap_open("clara@example.org/c");
}

TEST(every_worker_knows_who_is_there)
{
	join(anna, "chat1@chats.example.org", false);
	for (unsigned w = 0; w < 2; w++)
		is_cstr(told(w), "joined anna; ");
	join(boris, "sales@conference.example.org", false);
	for (unsigned w = 0; w < 2; w++)
		is_cstr(told(w), "joined boris; ");
	join(boris, "sales@conference.example.org", false); /* again: no second one */
	told(0), told(1);
	tap_got(anna), tap_got(boris);
	uint64_t gid = say(A, chat, "<body>hi</body>");
	char want[256];
	snprintf(want, sizeof(want), "message groupchat chat1@chats.example.org/anna>- #%llu <body>hi</body>\n",
		 (unsigned long long)gid);
	is_cstr(tap_got(anna), want);
	snprintf(want, sizeof(want), "message groupchat sales@conference.example.org/anna>- #%llu <body>hi</body>\n",
		 (unsigned long long)gid);
	is_cstr(tap_got(boris), want); /* under the address that he joined by */
	is_cstr(boris->last_by, "sales@conference.example.org");
	is_cstr(tap_got(clara), ""); /* a member, but not there */
}

TEST(what_is_not_stored_comes_in_order)
{
	is_int(post(A, chat, (struct chat_message){ .m.transient_drop = true }, "<composing/>"), 0);
	is_cstr(tap_got(boris), "message groupchat sales@conference.example.org/anna>- #0 <composing/>\n");
	ok(boris->last_hold, "may be dropped for an inactive client");
	tap_got(anna);
}

TEST(history_ends_where_live_begins)
{
	for (int i = 0; i < 5; i++)
		say(A, chat, "<body>h</body>");
	tap_got(clara);
	size_t n = join(clara, "chat1@chats.example.org", true);
	ok(n >= 6, "history: %zu", n);
	is_int(clara->n, n); /* nothing twice */
	say(B, chat, "<body>live</body>");
	is_int(clara->n, n + 1);
	tap_got(clara), tap_got(anna), tap_got(boris);
	told(0), told(1);
}

/* A commit whose done() comes after the join: the join has read it already. */
struct seam {
	struct chat_message m;
	struct joining j;
};
static void seam_here(void *arg)
{
	struct seam *s = arg;

	struct txn *t = im_read();
	uint64_t before = conv_last_seq(t, conv_chat(chat)), last = 0;

	txn_commit(t);
	chat_post(&s->m, NULL, on_answer, NULL);
	while (last <= before) { /* until the writer has committed; done() waits for this step to end */
		t = im_read();
		last = conv_last_seq(t, conv_chat(chat));
		txn_commit(t);
	}
	join_here(&s->j);
}

TEST(a_message_that_history_gave_is_not_delivered_again)
{
	struct seam s = {
		.m = { .by = person(A), .number = chat, .author = id[A], .m.flags = MESSAGE_STORE | MESSAGE_COUNTS }
	};

	leave(clara);
	tap_got(clara);
	unsigned before = clara->n;
	s.m.m.payload = chunk_of(STR("<body>seam</body>"));
	s.j = (struct joining){ clara, "chat1@chats.example.org", true, 0, 0 };
	gate_init(&answer.gate);
	rig_run(clara->worker, seam_here, &s);
	ok(gate_wait(&answer.gate), "stored");
	world_settle();
	is_int(clara->n - before, s.j.n);
	ok(strstr(tap_got(clara), "seam") != NULL, "it came once");
	chunk_unref(s.m.m.payload);
	tap_got(anna), tap_got(boris);
	told(0), told(1);
}

struct confirming {
	struct tap *t;
	uint64_t seq;
};
static void confirm_here(void *arg)
{
	struct confirming *c = arg;

	room_confirmed(c->t->s.user, chat, c->seq);
}

static uint64_t delivered(int who)
{
	struct txn *t = im_read();
	struct cursor_rec c;

	cursor_load(t, id[who], conv_chat(chat), &c);
	txn_commit(t);
	return c.delivered;
}

TEST(delivered_cursor_is_written_when_the_last_session_leaves)
{
	struct tap *second = tap_open("clara@example.org/second");
	struct confirming c = { clara, 5 };

	join(second, "chat1@chats.example.org", false);
	rig_run(clara->worker, confirm_here, &c);
	leave(clara);
	is_int(delivered(C), 0);
	tap_close(second);
	is_int(delivered(C), 5);
	ok(strstr(told(0), "left clara last; ") != NULL, "the last one is told");
	told(1);
	size_t n = join(clara, "chat1@chats.example.org", true);
	struct txn *t = im_read();
	is_int(n, conv_last_seq(t, conv_chat(chat)) - 5); /* from there on */
	txn_commit(t);
	tap_got(clara), told(0), told(1);
}

/* The store as it was before the cursor is on its way: who comes back in that moment gets nothing twice. */
static void unload_and_ask_here(void *arg)
{
	struct confirming *c = arg;
	struct txn *t = im_read();

	room_confirmed(c->t->s.user, chat, c->seq);
	room_delivered_forget(c->t->s.user);
	is_int(room_delivered(c->t->s.user, t, chat), c->seq);
	txn_commit(t);
}

TEST(d03_a_cursor_on_its_way_to_the_store_is_known)
{
	struct confirming c = { clara, 6 };

	rig_run(clara->worker, unload_and_ask_here, &c);
	world_settle();
	is_int(delivered(C), 6);
}

static void come_back_here(void *arg)
{
	struct tap *t = arg;
	struct txn *txn = im_read();

	is_int(room_missed_after(&t->s, txn, chat), conv_last_seq(txn, conv_chat(chat)));
	txn_commit(txn);
}

TEST(d03_a_session_that_left_and_lives_gets_nothing_again)
{
	leave(clara);
	rig_run(clara->worker, come_back_here, clara); /* though nothing was confirmed */
	join(clara, "chat1@chats.example.org", false);
	tap_got(clara), told(0), told(1);
}

TEST(roles_and_removal)
{
	is_int(set_role(A, chat, B, CHAT_MANAGER), 0);
	for (unsigned w = 0; w < 2; w++)
		is_cstr(told(w), "role boris 3; ");
	is_int(take_out(A, chat, B), 0);
	for (unsigned w = 0; w < 2; w++)
		is_cstr(told(w), "removed boris last; ");
	tap_got(boris), tap_got(anna), tap_got(clara);
	say(A, chat, "<body>secret</body>");
	is_cstr(tap_got(boris), "");
	ok(tap_got(clara)[0], "the others got it");
	tap_got(anna);
	is_int(set_role(A, chat, C, CHAT_OUTCAST), 0);
	is_cstr(told(0), "banned clara last; ");
	is_cstr(told(1), "banned clara last; ");
	is_int(set_role(A, chat, C, CHAT_MEMBER), 0);
	is_int(add(A, chat, B, CHAT_DEFAULT), 0);
	told(0), told(1), tap_got(anna);
}

TEST(following_without_joining)
{
	struct tap *web = tap_open("clara@example.org/web");

	rig_run(web->worker, follow_here, web);
	say(A, chat, "<body>w</body>");
	ok(strstr(tap_got(web), "chat1@chats.example.org/anna") != NULL, "gets it");
	is_cstr(told(0), ""); /* nobody sees him */
	unsigned before = web->n;
	join(web, "chat1@chats.example.org", false);
	say(A, chat, "<body>once</body>");
	is_int(web->n, before + 1); /* joined and following: once */
	leave(web);
	say(A, chat, "<body>still</body>");
	is_int(web->n, before + 2);
	uint64_t first = chat;
	is_int(take_out(A, chat, C), 0);
	say(A, chat, "<body>no more</body>");
	before = web->n;
	chat = make_chat(false, false); /* clara is a member from the start */
	ok(web->n > before, "a new chat of his is followed at once");
	before = web->n;
	rig_run(web->worker, unfollow_here, web);
	say(A, chat, "<body>x</body>");
	is_int(web->n, before);
	chat = first;
	told(0), told(1);
	tap_close(web);
}

TEST(a_session_that_ends_leaves)
{
	told(0), told(1);
	tap_close(boris);
	tap_close(clara);
	is_cstr(told(0), "");
	struct tap *again = tap_open("boris@example.org/again");
	join(again, "chat1@chats.example.org", false);
	tap_close(again);
	is_cstr(told(1), "joined boris; left boris last; ");
	told(0);
}

TEST(the_end_of_a_chat)
{
	struct tap *b = tap_open("boris@example.org/b2");

	join(b, "chat1@chats.example.org", false);
	told(0), told(1);
	is_int(destroy(A, chat), 0);
	ok(strstr(told(0), "destroyed") != NULL, "told here");
	ok(strstr(told(1), "destroyed") != NULL, "and there");
	ok(room_seat(&b->s, chat) == NULL, "no seat");
	ok(room_seat(&anna->s, chat) == NULL, "no seat");
	tap_close(b);
	tap_close(anna);
}

TEST(world_ends)
{
	world_stop();
	ok(im.store == NULL, "everything is closed");
	buf_clear(&seen[0]);
	buf_clear(&seen[1]);
}
