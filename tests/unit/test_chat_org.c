/* server/im/chat_org: department chats and the general chat follow the structure; idempotent; guests stay; what a start costs. */
#include "tests/unit/chat_kit.h"
#include "storage/tab_org.h"

static uint64_t dept_chat(const char *title)
{
	static struct {
		const char *title;
		uint64_t number;
	} look;
	struct txn *t = im_read();

	look.title = title;
	look.number = 0;
	for (uint64_t n = 1; n < 50 && !look.number; n++) {
		struct chat_rec r;
		if (chat_rec_get(t, n, &r) == 0 && str_eq_c(r.title, title))
			look.number = n;
	}
	txn_commit(t);
	return look.number;
}

static void import(const char *rows)
{
	struct world_import out;

	world_import(rows, false, false, &out);
	is_int(out.err, 0);
	world_settle();
}

#define ANNA_IT "1,anna,,Anna A,Company/IT,,,,yes\n"
#define BORIS_IT "2,boris,,Boris B,Company/IT,,,,no\n"
#define CLARA_HR "3,clara,,Clara C,Company/HR,,,,no\n"

TEST(departments_fill_themselves)
{
	chat_world();
	im.chat_departments = true;
	import(ANNA_IT BORIS_IT CLARA_HR);
	uint64_t it = dept_chat("IT"), hr = dept_chat("HR");
	require(it && hr, "both chats are there: %d %d", (int)it, (int)hr);
	is_int(role_of(it, A), CHAT_OWNER); /* the head */
	is_int(role_of(it, B), CHAT_MEMBER);
	is_int(role_of(it, C), CHAT_NONE);
	is_int(role_of(hr, C), CHAT_MEMBER);
	is_int(take_out(B, it, B), ERR_CONFLICT); /* the structure keeps him in */
	is_int(destroy(A, it), ERR_CONFLICT);
}

TEST(people_who_move_are_moved_and_guests_stay)
{
	uint64_t it = dept_chat("IT"), hr = dept_chat("HR");

	is_int(add(A, it, E, CHAT_DEFAULT), 0); /* a guest */
	import("2,boris,,Boris B,Company/HR,,,,yes\n");
	is_int(role_of(it, B), CHAT_NONE);
	is_int(role_of(hr, B), CHAT_OWNER);
	is_int(role_of(it, E), CHAT_MEMBER);
	is_int(take_out(E, it, E), 0);
}

static uint64_t versions(void)
{
	struct txn *t = im_read();
	struct chat_rec r;
	uint64_t sum = 0;

	for (uint64_t n = 1; n < 50; n++)
		if (chat_rec_get(t, n, &r) == 0)
			sum += r.version * n;
	txn_commit(t);
	return sum;
}

static void start_here(void *arg)
{
	(void)arg;
	chat_structure_start();
}

TEST(a_start_changes_nothing)
{
	uint64_t before = versions();

	rig_run(0, start_here, NULL);
	world_settle();
	is_int(versions(), before);
}

static void accounts_here(void *arg)
{
	(void)arg;
	chat_accounts_changed();
}

TEST(the_general_chat_has_everybody)
{
	im.chat_general = true;
	rig_run(0, start_here, NULL); /* another option: looked at again */
	world_settle();
	uint64_t general = dept_chat("General chat");
	require(general, "it is there");
	for (int i = 0; i < PEOPLE; i++)
		is_int(role_of(general, i), CHAT_MEMBER);
	is_int(take_out(B, general, B), ERR_CONFLICT);
	is_int(rig_add("example.org", "new", "pw"), 0);
	rig_run(0, accounts_here, NULL);
	world_settle();
	struct txn *t = im_read();
	struct chat_member_rec m;
	is_int(chat_member_get(t, general, world_account("new"), &m), 0);
	txn_commit(t);
	say(B, general, "<body>hello all</body>");
}

TEST(an_account_that_goes_leaves_its_chats)
{
	uint64_t chat = make_chat(false, false);

	is_int(set_role(A, chat, C, CHAT_MANAGER), 0);
	is_int(rig_change(account_remove, "anna", NULL), 0);
	world_settle();
	is_int(role_of(chat, A), CHAT_NONE);
	is_int(role_of(chat, C), CHAT_OWNER);
	struct arena *a = arena_new(512);
	is_int(rec_of(chat, a).owner, id[C]);
	is_int(rec_of(chat, a).n_members, 2);
	arena_free(a);
}

TEST(world_ends)
{
	world_stop();
	ok(im.store == NULL, "everything is closed");
}
