/* server/im/chat: rights of every role (I07), authorship (I14), limits (E03), repeated sends (D05), corrections, reactions, retractions, what a message costs. */
#include "tests/unit/chat_kit.h"
#include "server/im/chat_colour.h"
#include "server/im/event.h"

static struct arena *arena;
static uint64_t chat;

TEST(world_begins)
{
	chat_world();
	arena = arena_new(4096);
}

TEST(a_chat_is_made)
{
	chat = make_chat(false, false);
	struct chat_rec r = rec_of(chat, arena);

	is_int(chat, 1);
	is_str(r.title, STR("Sales"));
	is_int(r.n_members, 3);
	is_int(r.owner, id[A]);
	is_int(r.colour, 1);
	is_int(role_of(chat, A), CHAT_OWNER);
	is_int(role_of(chat, B), CHAT_MEMBER);
	is_int(role_of(chat, OUT), CHAT_NONE);
}

static int create(struct chat_new n)
{
	n.by = n.by.kind ? n.by : person(A);
	n.domain = STR("example.org");
	n.author = n.author ? n.author : id[A];
	return run_chat(create_here, &n);
}

TEST(names_and_pairs_are_unique)
{
	is_int(create((struct chat_new){ .alias = STR("lunch") }), 0);
	uint64_t lunch = answer.number;
	is_str(rec_of(lunch, arena).title, STR("lunch"));
	is_int(create((struct chat_new){ .alias = STR("lunch") }), ERR_EXISTS);
	is_int(create((struct chat_new){ .alias = STR("chat7") }), ERR_SYNTAX);
	is_int(create((struct chat_new){ .title = STR("x"), .entity_type = STR("CRM"), .entity_id = STR("1") }), 0);
	is_int(create((struct chat_new){ .title = STR("x"), .entity_type = STR("CRM"), .entity_id = STR("1") }),
	       ERR_EXISTS);
	is_int(create((struct chat_new){ .title = STR("x"), .entity_type = STR("CRM") }), ERR_SYNTAX);
	is_int(create((struct chat_new){ .title = STR("x"), .colour = STR("darkBlue") }), 0);
	is_str(chat_colour_name(rec_of(answer.number, arena).colour), STR("DARK_BLUE"));
	is_int(create((struct chat_new){ .title = STR("x"), .colour = STR("mauve") }), ERR_SYNTAX);
	is_int(create((struct chat_new){ .title = STR("bad \x01") }), ERR_SYNTAX);
	is_int(create((struct chat_new){ 0 }), 0);
	ok(str_starts(rec_of(answer.number, arena).title, STR("Chat ")), "a title is made");
	is_int(create((struct chat_new){ .title = STR("x"), .author = id[B] }), ERR_FORBIDDEN); /* I14 */
	static const uint32_t nobody[] = { 999 };
	is_int(create((struct chat_new){ .title = STR("x"), .members = nobody, .n_members = 1 }), ERR_NOT_FOUND);
	struct txn *t = im_read();
	is_int(chat_resolve(t, STR("example.org"), STR("lunch")), lunch);
	is_int(chat_resolve(t, STR("example.org"), STR("chat1")), 1);
	is_int(chat_resolve(t, STR("example.org"), STR("chat01")), 0);
	is_int(chat_resolve(t, STR("other.example"), STR("chat1")), 0);
	is_int(chat_resolve(t, STR("example.org"), STR("nothing")), 0);
	txn_commit(t);
}

TEST(people_may_be_kept_from_making_chats)
{
	struct principal admin = person(A), service = { .kind = PRINCIPAL_SERVICE,
							.account = id[A],
							.scopes = SCOPE_CHATS,
							.domain = STR("example.org"),
							.name = STR("api:portal") };

	admin.is_admin = true;
	im.people_make_chats = false; /* chats.people_create no, whatever way the wish comes */
	is_int(create((struct chat_new){ .title = STR("x") }), ERR_FORBIDDEN);
	is_int(create((struct chat_new){ .title = STR("x"), .by = admin }), 0);
	is_int(create((struct chat_new){ .title = STR("x"), .by = service }), 0);
	im.people_make_chats = true;
	is_int(create((struct chat_new){ .title = STR("x") }), 0);
}

TEST(colours)
{
	is_int(chat_colour_index(STR("RED")), 0);
	is_int(chat_colour_index(STR("lightBlue")), chat_colour_index(STR("LIGHT_BLUE")));
	is_int(chat_colour_index(STR("ORANGE")), CHAT_COLOURS);
	is_int(chat_colour_index(STR("")), ERR_SYNTAX);
	is_str(chat_colour_hex(2), STR("4ba984"));
	is_str(chat_colour_hex(200), STR("df532d"));
}

TEST(i07_an_outsider_cannot_tell_a_closed_chat_from_none)
{
	const uint64_t both[] = { chat, 4711 };
	struct chat_rec r;
	struct chat_member_rec me;

	for (int i = 0; i < 2; i++) {
		is_int(add(OUT, both[i], OUT, CHAT_DEFAULT), ERR_NOT_FOUND);
		is_int(add(OUT, both[i], E, CHAT_DEFAULT), ERR_NOT_FOUND);
		is_int(take_out(OUT, both[i], B), ERR_NOT_FOUND);
		is_int(set_role(OUT, both[i], B, CHAT_OUTCAST), ERR_NOT_FOUND);
		is_int(destroy(OUT, both[i]), ERR_NOT_FOUND);
		is_int(post(OUT, both[i], (struct chat_message){ .m.flags = MESSAGE_STORE }, "<body/>"), ERR_NOT_FOUND);
		struct chat_change c = chat_change_none;
		c.by = person(OUT);
		c.number = both[i];
		c.title = STR("mine");
		is_int(run_chat(change_here, &c), ERR_NOT_FOUND);
		struct txn *t = im_read();
		is_int(chat_look(t, both[i], id[OUT], &r, &me), ERR_NOT_FOUND);
		txn_commit(t);
	}
}

TEST(members_managers_owner)
{
	is_int(add(B, chat, E, CHAT_DEFAULT), 0);
	is_int(role_of(chat, E), CHAT_MEMBER);
	is_int(take_out(B, chat, E), ERR_FORBIDDEN);
	is_int(set_role(B, chat, E, CHAT_MANAGER), ERR_FORBIDDEN);
	is_int(set_role(A, chat, B, CHAT_MANAGER), 0);
	is_int(set_role(A, chat, C, CHAT_MANAGER), 0);
	is_int(take_out(B, chat, C), ERR_FORBIDDEN); /* his equal */
	is_int(take_out(B, chat, A), ERR_FORBIDDEN);
	is_int(take_out(B, chat, E), 0);
	is_int(take_out(B, chat, E), ERR_NOT_FOUND);
	is_int(take_out(A, chat, A), ERR_CONFLICT); /* the owner hands over first */
	is_int(set_role(B, chat, B, CHAT_OWNER), ERR_FORBIDDEN);
	is_int(set_role(A, chat, C, CHAT_OWNER), 0);
	is_int(role_of(chat, A), CHAT_MANAGER);
	is_int(rec_of(chat, arena).owner, id[C]);
	is_int(set_role(C, chat, A, CHAT_OWNER), 0);
	is_int(set_role(A, chat, C, CHAT_MEMBER), 0);
	is_int(destroy(B, chat), ERR_FORBIDDEN);
}

TEST(banned_people)
{
	is_int(set_role(B, chat, E, CHAT_OUTCAST), 0);
	is_int(add(C, chat, E, CHAT_DEFAULT), ERR_FORBIDDEN); /* a member does not undo it */
	is_int(post(E, chat, (struct chat_message){ .m.flags = MESSAGE_STORE }, "<body/>"), ERR_FORBIDDEN);
	is_int(set_role(B, chat, E, CHAT_NONE), 0);
	is_int(add(C, chat, E, CHAT_DEFAULT), 0);
	is_int(take_out(E, chat, E), 0);
	is_int(role_of(chat, E), CHAT_NONE);
}

TEST(open_chats_are_joined)
{
	uint64_t open = make_chat(true, false);

	is_int(post(E, open, (struct chat_message){ .m.flags = MESSAGE_STORE }, "<body/>"), ERR_FORBIDDEN);
	is_int(add(E, open, OUT, CHAT_DEFAULT), ERR_FORBIDDEN); /* not a member yet */
	is_int(add(E, open, E, CHAT_DEFAULT), 0);
	is_int(add(E, open, E, CHAT_DEFAULT), 0); /* again: nothing happens */
	is_int(rec_of(open, arena).n_members, 4);
	say(E, open, "<body>hi</body>");
	is_int(destroy(A, open), 0);
	is_int(post(E, open, (struct chat_message){ .m.flags = MESSAGE_STORE }, "<body/>"), ERR_NOT_FOUND);
	struct txn *t = im_read();
	struct cursor_rec c;
	is_int(cursor_load(t, id[E], conv_chat(open), &c), ERR_NOT_FOUND);
	txn_commit(t);
}

TEST(e03_mass_invitation_is_refused)
{
	static uint32_t many[10000];
	struct act a = { .by = person(A), .number = chat, .v = many, .n = 10000 };

	is_int(run_chat(add_here, &a), ERR_LIMIT);
	is_int(rec_of(chat, arena).n_members, 3);
}

TEST(settings)
{
	struct chat_change c = chat_change_none;

	c.by = person(C);
	c.number = chat;
	c.title = STR("Marketing");
	is_int(run_chat(change_here, &c), ERR_FORBIDDEN);
	c.by = person(B);
	uint64_t version = rec_of(chat, arena).version;
	is_int(run_chat(change_here, &c), 0);
	ok(answer.gid != 0, "a line tells it");
	is_str(rec_of(chat, arena).title, STR("Marketing"));
	ok(rec_of(chat, arena).version > version, "version rises");
	is_int(run_chat(change_here, &c), 0);
	is_int(answer.gid, 0); /* nothing changed: no line */
	c = chat_change_none;
	c.by = person(B);
	c.number = chat;
	c.permission[CHAT_MAY_POST] = CHAT_MANAGER;
	is_int(run_chat(change_here, &c), ERR_FORBIDDEN);
	c.by = person(A);
	is_int(run_chat(change_here, &c), 0);
	is_int(post(C, chat, (struct chat_message){ .m.flags = MESSAGE_STORE }, "<body/>"), ERR_FORBIDDEN);
	c.permission[CHAT_MAY_POST] = CHAT_MEMBER;
	is_int(run_chat(change_here, &c), 0);
	c.title = STR(" ");
	is_int(run_chat(change_here, &c), ERR_SYNTAX);
}

static struct message_rec get(uint64_t gid)
{
	static struct arena *keep;
	struct txn *t = im_read();
	struct message_rec m = { 0 };

	if (!keep)
		keep = arena_new(4096);
	is_int(message_get(t, gid, &m), 0);
	m.payload = arena_str(keep, m.payload);
	m.from = arena_str(keep, m.from);
	txn_commit(t);
	return m;
}

TEST(i14_authors)
{
	struct chat_message m = { .m.flags = MESSAGE_STORE, .author = id[A] };

	is_int(post(B, chat, m, "<body/>"), ERR_FORBIDDEN);
	m.by = (struct principal){
		.kind = PRINCIPAL_SERVICE, .domain = STR("example.org"), .account = id[A], .scopes = SCOPE_CHATS
	};
	m.number = chat;
	m.m.payload = chunk_of(STR("<body/>"));
	is_int(run_chat(post_here, &m), ERR_FORBIDDEN);
	m.by.scopes = SCOPE_SEND_AS;
	is_int(run_chat(post_here, &m), 0);
	is_int(get(answer.gid).author, id[A]);
	is_str(get(answer.gid).from, STR("anna@example.org"));
	m.author = 0;
	is_int(run_chat(post_here, &m), ERR_FORBIDDEN);
	m.by.scopes = SCOPE_SEND_AS | SCOPE_SYSTEM;
	is_int(run_chat(post_here, &m), 0);
	is_int(get(answer.gid).author, 0);
	m.by.domain = STR("other.example");
	is_int(run_chat(post_here, &m), ERR_NOT_FOUND);
	chunk_unref(m.m.payload);
}

TEST(d05_a_repeated_origin_id_is_said_once)
{
	struct chat_message m = { .m.flags = MESSAGE_STORE | MESSAGE_COUNTS, .m.origin_id = STR("o1") };

	is_int(post(B, chat, m, "<body/>"), 0);
	uint64_t first = answer.gid;
	is_int(post(B, chat, m, "<body/>"), 0);
	is_int(answer.gid, first);
}

TEST(corrections_reactions_retractions)
{
	uint64_t first = say(B, chat, "<body>one</body>");

	is_int(post(B, chat, (struct chat_message){ .m.flags = MESSAGE_STORE | MESSAGE_COUNTS, .edits_gid = first },
		    "<body>two</body>"),
	       0);
	uint64_t edit = answer.gid;
	is_int(get(first).newest_edit, edit);
	ok(get(edit).flags & MESSAGE_EDIT, "a correction");
	ok(!(get(edit).flags & MESSAGE_COUNTS), "does not count");
	is_int(post(C, chat, (struct chat_message){ .m.flags = MESSAGE_STORE | MESSAGE_COUNTS, .edits_gid = first },
		    "<body>I14</body>"),
	       0);
	is_int(get(first).newest_edit, edit); /* I14: another's words stay a message of their own */
	ok(get(answer.gid).flags & MESSAGE_COUNTS, "counts");
	is_int(post(C, chat,
		    (struct chat_message){
			    .m.flags = MESSAGE_STORE | MESSAGE_COUNTS, .reacts_gid = first, .reactions = STR("+") },
		    "<reactions/>"),
	       0);
	ok(get(answer.gid).flags & MESSAGE_REACTION, "a reaction");
	struct chat_message gone = { .m.flags = MESSAGE_STORE,
				     .m.replaces_gid = first,
				     .m.tombstone = chunk_of(STR("<gone/>")) };
	is_int(post(C, chat, gone, "<retract/>"), 0);
	is_str(get(first).payload, STR("<body>one</body>")); /* not his */
	gone.moderates = true;
	is_int(post(C, chat, gone, "<retract/>"), ERR_FORBIDDEN);
	is_int(post(A, chat, gone, "<retract/>"), 0); /* XEP-0425 */
	is_str(get(first).payload, STR("<gone/>"));
	is_str(get(edit).payload, STR("<gone/>"));
	gone.m.replaces_gid = 999999;
	is_int(post(A, chat, gone, "<retract/>"), ERR_NOT_FOUND);
	chunk_unref(gone.m.tombstone);
}

static size_t rows(enum table tab)
{
	struct txn *t = im_read();
	struct scan s;
	size_t n = 0;

	scan_open(&s, t, tab, STR_NONE, STR_NONE);
	while (scan_next(&s))
		n++;
	scan_close(&s);
	txn_commit(t);
	return n;
}

/* Design idea 1: what a message costs does not depend on how many read it. */
TEST(a_message_to_1000_members_is_one_record)
{
	enum { MEMBERS = 1000, ONLINE = 50 };
	static struct tap *taps[ONLINE];
	static char jids[ONLINE][64];
	size_t before[TAB_COUNT];
	uint64_t big = make_chat(false, false);
	struct txn *t = txn_write(im.store);
	struct chat_rec r;

	is_int(chat_rec_get(t, big, &r), 0);
	chat_rec_copy(arena, &r);
	for (uint32_t i = 0; i < MEMBERS; i++)
		chat_member_put(t, &r, &(struct chat_member_rec){ .account = 100000 + i, .role = CHAT_MEMBER });
	chat_rec_put(t, &r);
	is_int(txn_commit(t), 0);
	for (int i = 0; i < ONLINE; i++) {
		snprintf(jids[i], sizeof(jids[i]), "%s@example.org/r%d", people[i % 3], i / 3);
		if (i / 3 < 16)
			taps[i] = tap_open(jids[i]);
	}
	for (int i = 0; i < TAB_COUNT; i++)
		before[i] = rows((enum table)i);
	say(A, big, "<body>hello</body>");
	for (int i = 0; i < TAB_COUNT; i++) {
		size_t more = i == TAB_MESSAGE || i == TAB_CONV_LOG || i == TAB_ACCOUNT_LOG;
		is_int(rows((enum table)i),
		       before[i] + more); /* the entry of the author's log finds repeated origin ids */
	}
	for (int i = 0; i < ONLINE; i++)
		if (taps[i])
			tap_close(taps[i]);
}

TEST(names_of_people)
{
	char one[OCCUPANT_ID_LEN], two[OCCUPANT_ID_LEN], other[OCCUPANT_ID_LEN];

	chat_occupant_id(1, 2, one);
	chat_occupant_id(1, 2, two);
	chat_occupant_id(2, 2, other);
	is_mem(one, two, OCCUPANT_ID_LEN);
	ok(memcmp(one, other, OCCUPANT_ID_LEN) != 0, "another one in each chat");
}

static bool count_found(void *ctx, const struct chat_rec *r)
{
	(void)r;
	++*(int *)ctx;
	return true;
}

static int found(int viewer, const char *words)
{
	struct txn *t = im_read();
	int n = 0;

	chat_search(t, STR("example.org"), id[viewer], str_c(words), 0, count_found, &n);
	txn_commit(t);
	return n;
}

TEST(search_of_titles)
{
	is_int(create((struct chat_new){ .title = STR("Отдел Продаж Ёлка"), .open = true }), 0);
	is_int(found(OUT, "отдел"), 1);
	is_int(found(OUT, "ПРОДАЖ елка"), 1);
	is_int(found(OUT, "продаж марс"), 0);
	is_int(found(OUT, "marketing"), 0); /* I07: closed */
	is_int(found(B, "marketing"), 1);
}

TEST(world_ends)
{
	arena_free(arena);
	world_stop();
	ok(im.store == NULL, "everything is closed");
}
