/* server/im/archive: the archives of chats (I08, I09): 5 roles x archives x periods, people who were taken out and came again, own words in a chat. */
#include "server/im/archive.h"
#include "tests/unit/chat_kit.h"

static uint64_t open_chat, closed, hiding, gone;

struct reading {
	struct archive_query q;
	size_t n, count;
	uint64_t first;
	int err;
};

static void on_message(void *ctx, const struct message_rec *m)
{
	struct reading *r = ctx;

	if (!r->n++)
		r->first = m->seq;
}

static void read_here(void *arg)
{
	struct reading *r = arg;
	struct archive_page page;
	struct txn *t = im_read();

	r->err = archive_read(t, &r->q, on_message, r, &page);
	r->count = archive_count(t, &r->q, 1000);
	txn_commit(t);
}

static struct reading reading(struct archive_query q)
{
	struct reading r = { .q = q };

	r.q.max = r.q.max ? r.q.max : 1000;
	rig_run(0, read_here, &r);
	is_int(r.count, r.n);
	return r;
}

static uint64_t last_seq(uint64_t chat)
{
	struct txn *t = im_read();
	uint64_t seq = conv_last_seq(t, conv_chat(chat));

	txn_commit(t);
	return seq;
}

static uint64_t wall_of(uint64_t gid)
{
	struct txn *t = im_read();
	struct message_rec m;

	is_int(message_get(t, gid, &m), 0);
	txn_commit(t);
	return m.wall_us;
}

static uint64_t begin[4], middle[4];

/* Each: anna owner, boris manager, clara member, eva banned, outsider nothing; ten messages, the members come after five of them where history hides. */
static uint64_t prepare(int i, bool is_open, bool hides)
{
	struct chat_new n = { .by = person(A),
			      .domain = STR("example.org"),
			      .title = STR("x"),
			      .author = id[A],
			      .open = is_open,
			      .hide_history = hides };

	is_int(run_chat(create_here, &n), 0);
	uint64_t chat = answer.number;
	for (int k = 0; k < 5; k++)
		say(A, chat, "<body/>");
	begin[i] = wall_of(answer.gid);
	is_int(set_role(A, chat, B, CHAT_MANAGER), 0);
	is_int(add(A, chat, C, CHAT_DEFAULT), 0);
	is_int(set_role(A, chat, E, CHAT_OUTCAST), 0);
	middle[i] = wall_of(say(A, chat, "<body/>"));
	for (int k = 0; k < 4; k++)
		say(A, chat, "<body/>");
	return chat;
}

TEST(world_begins)
{
	chat_world();
	open_chat = prepare(0, true, false);
	closed = prepare(1, false, false);
	hiding = prepare(2, false, true);
	gone = prepare(3, true, false);
	is_int(destroy(A, gone), 0);
}

TEST(i08_roles_archives_periods)
{
	const uint64_t chats[] = { open_chat, closed, hiding, gone, 4711 };
	/* per role: error of each chat */
	static const int want[PEOPLE][5] = {
		[A] = { 0, 0, 0, ERR_NOT_FOUND, ERR_NOT_FOUND },
		[B] = { 0, 0, 0, ERR_NOT_FOUND, ERR_NOT_FOUND },
		[C] = { 0, 0, 0, ERR_NOT_FOUND, ERR_NOT_FOUND },
		[E] = { ERR_FORBIDDEN, ERR_FORBIDDEN, ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_NOT_FOUND },
		[OUT] = { ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_NOT_FOUND, ERR_NOT_FOUND, ERR_NOT_FOUND },
	};

	for (int who = 0; who < PEOPLE; who++)
		for (int c = 0; c < 5; c++) {
			uint64_t t0 = c < 4 ? begin[c] : 1, t1 = c < 4 ? middle[c] : 1;
			const struct archive_query periods[] = { { .end_us = t0 },
								 { .start_us = t1 },
								 { .start_us = 0 } };
			for (int p = 0; p < 3; p++) {
				struct archive_query q = periods[p];
				q.reader = id[who];
				q.owner = id[who]; /* does not matter for a chat */
				q.chat = chats[c];
				struct reading r = reading(q);
				is_int(r.err, want[who][c]);
				bool shown = want[who][c] == 0, early = c != 2 || who == A;
				/* a line tells the making, then 5, three lines, 5 */
				size_t all[] = { early ? 6 : 0, 5, 0 };
				if (p < 2)
					is_int(r.n, shown ? all[p] : 0);
				else if (shown && early)
					is_int(r.n, last_seq(chats[c]));
				else if (shown)
					ok(r.first == (who == B ? 7 : 8), "from his floor: %llu",
					   (unsigned long long)r.first);
				else
					is_int(r.n, 0);
			}
		}
}

TEST(i08_taken_out_and_come_again)
{
	is_int(take_out(A, hiding, C), 0);
	is_int(reading((struct archive_query){ .reader = id[C], .chat = hiding }).err, ERR_NOT_FOUND);
	say(A, hiding, "<body>while he was away</body>");
	uint64_t before = last_seq(hiding);
	is_int(add(A, hiding, C, CHAT_DEFAULT), 0);
	is_int(reading((struct archive_query){ .reader = id[C], .chat = hiding }).first, before + 1); /* a new floor */
	is_int(add(A, hiding, OUT, 0), 0); /* shown to him on purpose */
	is_int(reading((struct archive_query){ .reader = id[OUT], .chat = hiding }).first, 1);
	is_int(take_out(OUT, hiding, OUT), 0); /* left: nothing any more */
	is_int(reading((struct archive_query){ .reader = id[OUT], .chat = hiding }).err, ERR_NOT_FOUND);
}

static int may_see(int who, uint64_t gid)
{
	struct txn *t = im_read();
	struct message_rec m;

	is_int(message_get(t, gid, &m), 0);
	int err = archive_may_see(t, id[who], &m);
	txn_commit(t);
	return err;
}

TEST(i08_one_message)
{
	uint64_t gid = say(B, closed, "<body/>");

	is_int(may_see(A, gid), 0);
	is_int(may_see(B, gid), 0);
	is_int(may_see(E, gid), ERR_FORBIDDEN);
	is_int(may_see(OUT, gid), ERR_NOT_FOUND);
	is_int(may_see(C, 2), 0); /* early one of the open chat */
	uint64_t before = say(A, hiding, "<body/>");
	is_int(add(A, hiding, OUT, CHAT_DEFAULT), 0);
	is_int(may_see(OUT, before), ERR_NOT_FOUND); /* below his floor */
}

TEST(i09_own_words_in_a_chat_are_not_in_the_own_archive)
{
	uint64_t gid = say(B, closed, "<body/>");
	struct txn *t = im_read();

	ok(!archive_has(t, id[B], gid), "not there");
	txn_commit(t);
	is_int(reading((struct archive_query){ .reader = id[B], .owner = id[B] }).n, 0);
	is_int(take_out(A, closed, B), 0);
	is_int(may_see(B, gid), ERR_NOT_FOUND); /* also what he said himself */
}

TEST(pages_and_authors)
{
	struct reading r = reading((struct archive_query){ .reader = id[A], .chat = open_chat });
	size_t all = r.n;

	r = (struct reading){ .q = { .reader = id[A], .chat = open_chat, .max = 3, .backwards = true } };
	rig_run(0, read_here, &r);
	is_int(r.n, 3);
	is_int(r.first, last_seq(open_chat) - 2);
	is_int(r.count, all);
	struct arena *a = arena_new(512);
	struct archive_query q = { .reader = id[A], .chat = open_chat };
	is_int(jid_parse(a, STR("anna@example.org"), &q.with), 0);
	is_int(reading(q).n, 10);
	is_int(jid_parse(a, STR("clara@example.org"), &q.with), 0);
	is_int(reading(q).n, 0);
	arena_free(a);
}

TEST(world_ends)
{
	world_stop();
	ok(im.store == NULL, "everything is closed");
}
