/* storage/tab_chat, tab_cursor: records, names, members, dialogs, reactions; mentions and corrections of tab_message; the step of old stores (D14). */
#include "storage/tab_chat.h"
#include "storage/key.h"
#include "storage/migrate.h"
#include "storage/record.h"
#include "storage/tab_message.h"
#include "tests/unit/storage_both.h"

#define D STR("example.org")

static struct chat_rec sample(const char *title)
{
	return (struct chat_rec){ .domain = D,
				  .title = str_c(title),
				  .description = STR("what for"),
				  .colour = 3,
				  .owner = 5,
				  .author = 6,
				  .permission = { 2, 3, 3, 3, 3, 2 },
				  .entity_data = { STR("a"), STR(""), STR("c") },
				  .created_ms = 77 };
}

BOTH(records_and_names)
{
	struct txn *t = txn_write(s);
	struct chat_rec a = sample("Sales"), b = sample("Office"), r;

	a.alias = STR("sales");
	b.entity_type = STR("CRM");
	b.entity_id = STR("DEAL|7");
	is_int(chat_rec_create(t, &a), 0);
	is_int(chat_rec_create(t, &b), 0);
	is_int(a.number, 1);
	is_int(b.number, 2);
	struct chat_rec again = sample("x");
	again.alias = STR("sales");
	is_int(chat_rec_create(t, &again), ERR_EXISTS);
	again.alias = STR("");
	again.entity_type = STR("CRM");
	again.entity_id = STR("DEAL|7");
	is_int(chat_rec_create(t, &again), ERR_EXISTS);
	is_int(chat_rec_get(t, 1, &r), 0);
	is_str(r.title, STR("Sales"));
	is_str(r.description, STR("what for"));
	is_str(r.entity_data[2], STR("c"));
	is_int(r.permission[CHAT_MAY_REMOVE], 3);
	is_int(r.owner, 5);
	is_int(r.created_ms, 77);
	is_int(r.version, 1);
	is_int(chat_by_name(t, D, STR("sales")), 1);
	is_int(chat_by_name(t, STR("other.example"), STR("sales")), 0);
	is_int(chat_by_entity(t, D, STR("CRM"), STR("DEAL|7")), 2);
	chat_rec_remove(t, 1);
	is_int(chat_rec_get(t, 1, &r), ERR_NOT_FOUND);
	is_int(chat_by_name(t, D, STR("sales")), 0);
	struct chat_rec c = sample("Next");
	c.alias = STR("sales");
	is_int(chat_rec_create(t, &c), 0);
	is_int(c.number, 3); /* a number is never used again */
	is_int(txn_commit(t), 0);
}

static bool count_member(void *ctx, const struct chat_member_rec *m)
{
	*(uint32_t *)ctx += m->account;
	return true;
}

BOTH(members)
{
	struct txn *t = txn_write(s);
	struct chat_rec a = sample("Sales"), b = sample("Office");
	uint64_t of[8];
	uint32_t sum = 0;
	struct chat_member_rec m = { .account = 10, .role = CHAT_MEMBER, .floor = 4, .joined_ms = 9, .invited_by = 2 };

	chat_rec_create(t, &a);
	chat_rec_create(t, &b);
	chat_member_put(t, &a, &m);
	chat_member_put(t, &b, &m);
	chat_member_put(t, &a, &m); /* once */
	is_int(a.n_members, 1);
	is_int(chat_of_account(t, 10, 0, of, 8), 2);
	is_int(of[1], 2);
	is_int(chat_of_account(t, 10, 1, of, 8), 1);
	is_int(chat_of_account(t, 10, 0, of, 1), 1);
	struct chat_member_rec got;
	is_int(chat_member_get(t, 1, 10, &got), 0);
	is_int(got.floor, 4);
	is_int(got.invited_by, 2);
	m.role = CHAT_OUTCAST; /* banned: a row, but no membership */
	chat_member_put(t, &a, &m);
	is_int(a.n_members, 0);
	is_int(chat_of_account(t, 10, 0, of, 8), 1);
	is_int(chat_member_get(t, 1, 10, &got), 0);
	is_int(got.role, CHAT_OUTCAST);
	chat_member_del(t, &a, 10);
	is_int(chat_member_get(t, 1, 10, &got), ERR_NOT_FOUND);
	is_int(got.role, CHAT_NONE);
	chat_member_each(t, 2, count_member, &sum);
	is_int(sum, 10);
	chat_rec_remove(t, 2);
	is_int(chat_of_account(t, 10, 0, of, 8), 0);
	is_int(txn_commit(t), 0);
}

static bool count_dialog(void *ctx, uint64_t conv, const struct cursor_rec *c)
{
	(void)c;
	*(uint64_t *)ctx += conv;
	return true;
}

BOTH(dialogs)
{
	message_caches_drop();
	struct txn *t = txn_write(s);
	struct message_rec m = { .conv = 9, .author = 1, .recipient = 2, .payload = STR("<body/>") };
	struct cursor_rec c;
	uint64_t sum = 0;

	is_int(cursor_load(t, 1, 9, &c), ERR_NOT_FOUND);
	is_int(message_append(t, &m, 1000, 100), 0);
	is_int(cursor_load(t, 1, 9, &c), 0); /* the first message opens the dialog of both */
	is_int(cursor_load(t, 2, 9, &c), 0);
	m.conv = 2 | 1ull << 62; /* a notification: of its person only */
	is_int(message_append(t, &m, 1000, 100), 0);
	is_int(cursor_load(t, 2, m.conv, &c), 0);
	is_int(cursor_load(t, 1, m.conv, &c), ERR_NOT_FOUND);
	m.conv = 3 | 1ull << 63; /* a chat: by membership */
	m.recipient = 0;
	is_int(message_append(t, &m, 1000, 100), 0);
	is_int(cursor_load(t, 1, m.conv, &c), ERR_NOT_FOUND);
	c = (struct cursor_rec){ .read = 1, .delivered = 2, .flags = 3, .hidden_at = 4 };
	cursor_put(t, 1, 9, &c);
	ok(cursor_set(t, 1, 9, 7), "forward");
	ok(!cursor_set(t, 1, 9, 6), "never back");
	is_int(cursor_load(t, 1, 9, &c), 0);
	is_int(c.read, 7);
	is_int(c.delivered, 2); /* the rest of the row stays */
	is_int(c.flags, 3);
	is_int(c.hidden_at, 4);
	cursor_touch(t, 1, 9);
	is_int(cursor_get(t, 1, 9), 7);
	cursor_each(t, 1, count_dialog, &sum);
	is_int(sum, 9);
	cursor_del(t, 1, 9);
	is_int(cursor_load(t, 1, 9, &c), ERR_NOT_FOUND);
	is_int(txn_commit(t), 0);
	message_caches_drop();
}

BOTH(version_one_of_a_cursor_is_read)
{
	struct txn *t = txn_write(s);
	struct recw w;
	struct key k;
	struct cursor_rec c;

	recw_init(&w, 100);
	recw_begin(&w, 1);
	recw_u64(&w, 42);
	key_init(&k);
	key_u32(&k, 1);
	key_u64(&k, 9);
	txn_put(t, TAB_CURSOR, key_str(&k), recw_finish(&w), 0);
	is_int(cursor_load(t, 1, 9, &c), 0);
	is_int(c.read, 42);
	is_int(c.delivered + c.flags + c.hidden_at, 0);
	recw_clear(&w);
	is_int(txn_commit(t), 0);
}

static uint64_t say(struct txn *t, uint32_t author, unsigned flags, uint64_t edits, uint64_t before)
{
	struct message_rec m = { .conv = 1ull << 63 | 1,
				 .author = author,
				 .flags = flags,
				 .payload = STR("<body/>"),
				 .edits = edits,
				 .newest_edit = before };

	is_int(message_append(t, &m, 1000, 100), 0);
	if (edits)
		is_int(message_set_edit(t, edits, &m), 0);
	return m.gid;
}

static bool count_reaction(void *ctx, uint32_t account, struct str set)
{
	*(uint32_t *)ctx += account * (uint32_t)set.n;
	return true;
}

BOTH(corrections_go_with_their_message)
{
	message_caches_drop();
	struct txn *t = txn_write(s);
	struct message_rec m;
	uint32_t sum = 0;
	uint64_t first = say(t, 1, MESSAGE_COUNTS, 0, 0), one = say(t, 1, MESSAGE_EDIT, first, 0),
		 two = say(t, 1, MESSAGE_EDIT, first, one);

	is_int(message_get(t, first, &m), 0);
	is_int(m.newest_edit, two);
	ok(m.flags & MESSAGE_EDITED, "is marked as edited");
	ok(m.flags & MESSAGE_COUNTS, "still counts");
	is_int(message_get(t, two, &m), 0);
	is_int(m.edits, first);
	is_int(m.newest_edit, one);
	reaction_put(t, first, 3, STR("ab"));
	reaction_put(t, first, 4, STR("c"));
	reaction_put(t, first, 4, STR(""));
	reaction_each(t, first, count_reaction, &sum);
	is_int(sum, 6);
	is_int(message_retract(t, first, 2, STR("<gone/>")), ERR_FORBIDDEN);
	is_int(message_retract(t, first, 1, STR("<gone/>")), 0);
	const uint64_t all[] = { first, one, two };
	for (int i = 0; i < 3; i++) {
		is_int(message_get(t, all[i], &m), 0);
		is_str(m.payload, STR("<gone/>"));
		ok(m.flags & MESSAGE_RETRACTED, "tombstone");
		ok(!(m.flags & MESSAGE_COUNTS), "does not count");
	}
	sum = 0;
	reaction_each(t, first, count_reaction, &sum);
	is_int(sum, 0);
	is_int(txn_commit(t), 0);
	message_caches_drop();
}

BOTH(mentions_stay_through_a_correction_and_go_with_the_message)
{
	message_caches_drop();
	struct txn *t = txn_write(s);
	static const uint32_t who[] = { 7, 1u << 29 };
	struct message_rec m = { .conv = 5, .author = 1, .payload = STR("x"), .mentions = who, .n_mentions = 2 };
	struct log_scan ls;
	struct log_entry e;

	is_int(message_append(t, &m, 1000, 100), 0);
	struct message_rec edit = { .conv = 5, .author = 1, .payload = STR("y"), .edits = m.gid };
	is_int(message_append(t, &edit, 1000, 100), 0);
	is_int(message_set_edit(t, m.gid, &edit), 0);
	for (int round = 0; round < 2; round++) {
		log_scan_open(&ls, t, 0, 5, 0, false);
		ok(log_scan_next(&ls, &e), "there");
		is_int(log_mentions(&e, 7), !round);
		is_int(log_mentions(&e, 1u << 29), !round);
		ok(!log_mentions(&e, 8), "somebody else");
		log_scan_close(&ls);
		if (!round)
			is_int(message_tombstone(t, m.gid, STR("")), 0);
	}
	is_int(txn_commit(t), 0);
	message_caches_drop();
}

BOTH(old_stores_get_their_dialogs)
{
	message_caches_drop();
	struct txn *t = txn_write(s);
	struct message_rec m = { .conv = 9, .author = 1, .recipient = 2, .payload = STR("<body/>") };
	struct cursor_rec c;
	struct err_msg msg;
	struct recw w;

	for (int i = 0; i < 3; i++)
		message_append(t, &m, 1000, 100);
	cursor_del(t, 1, 9);
	cursor_del(t, 2, 9);
	cursor_set(t, 2, 9, 2);
	recw_init(&w, 100);
	recw_begin(&w, 1);
	recw_u64(&w, 1);
	txn_put(t, TAB_META, STR("schema"), recw_finish(&w), 0);
	recw_clear(&w);
	is_int(txn_commit(t), 0);
	message_caches_drop();
	is_int(migrate_check(s, &msg), 0);
	t = txn_read(s);
	is_int(cursor_load(t, 1, 9, &c), 0);
	is_int(c.read, 0);
	is_int(cursor_load(t, 2, 9, &c), 0);
	is_int(c.read, 2);
	txn_commit(t);
}

BOTH(structure_version)
{
	struct txn *t = txn_write(s);
	uint64_t v, o;

	chat_structure_get(t, D, &v, &o);
	is_int(v + o, 0);
	chat_structure_set(t, D, 12, 3);
	chat_structure_get(t, D, &v, &o);
	is_int(v, 12);
	is_int(o, 3);
	is_int(txn_commit(t), 0);
}
