/* Chats: making, changing, ending, and what one may know of them. Members are in chat_member.c, speaking in chat_post.c, the shared way in chat_op.c. */
#include "server/im/chat.h"
#include "base/clock.h"
#include "server/im/chat_colour.h"
#include "server/im/chat_op.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include <string.h>

static const uint8_t default_permission[CHAT_PERMISSIONS] = {
	[CHAT_MAY_ADD] = CHAT_MEMBER,	    [CHAT_MAY_REMOVE] = CHAT_MANAGER,	[CHAT_MAY_RENAME] = CHAT_MANAGER,
	[CHAT_MAY_SETTINGS] = CHAT_MANAGER, [CHAT_MAY_MODERATE] = CHAT_MANAGER, [CHAT_MAY_POST] = CHAT_MEMBER,
};

const struct chat_change chat_change_none = {
	.open = -1,
	.hide_history = -1,
	.no_join_lines = -1,
	.permission = { -1, -1, -1, -1, -1, -1 },
};

/* "chat21": the form that numbers have, so no name may look like it. */
static bool is_number_name(struct str s, uint64_t *out)
{
	return str_starts(s, STR("chat")) && s.n > 4 && str_u64(str_of(s.p + 4, s.n - 4), INT64_MAX, out) == 0;
}

static bool text_fits(struct str s, uint64_t max)
{
	return s.n <= max && str_xml_valid(s);
}

static struct str keep(struct arena *a, struct str s)
{
	return s.p ? arena_str(a, s) : STR_NONE;
}

/* ---- making ---- */

static const uint32_t *keep_ids(struct arena *a, const uint32_t *v, size_t n)
{
	uint32_t *copy = arena_alloc(a, (n + 1) * sizeof *copy);

	for (size_t i = 0; i < n; i++)
		copy[i] = v[i];
	return copy;
}

static int may_create(const struct chat_op *o)
{
	const struct chat_new *n = o->new;

	if (principal_has(&o->by, SCOPE_CHATS) && str_empty(n->message))
		return 0;
	if (o->by.kind == PRINCIPAL_USER && !o->by.is_admin && !im.people_make_chats)
		return ERR_FORBIDDEN; /* chats.people_create */
	return may_speak_as(&o->by, n->author);
}

static int check_new(const struct chat_new *n)
{
	uint64_t number;
	const struct limits *l = limits();

	if (!text_fits(n->title, l->chat_title_bytes) || !text_fits(n->description, l->chat_text_bytes))
		return ERR_SYNTAX;
	if (is_number_name(n->alias, &number))
		return ERR_SYNTAX;
	if (n->colour.n && chat_colour_index(n->colour) < 0)
		return ERR_SYNTAX;
	for (int i = 0; i < 3; i++)
		if (!text_fits(n->entity_data[i], l->chat_text_bytes))
			return ERR_SYNTAX;
	if (!text_fits(n->entity_type, l->chat_title_bytes) || !text_fits(n->entity_id, l->chat_title_bytes))
		return ERR_SYNTAX;
	if (str_empty(n->entity_type) != str_empty(n->entity_id))
		return ERR_SYNTAX;
	return n->n_members + n->n_managers > l->chat_adds ? ERR_LIMIT : 0;
}

static void fill_record(struct chat_op *o)
{
	const struct chat_new *n = o->new;
	int colour = chat_colour_index(n->colour);

	o->chat = (struct chat_rec){
		.domain = n->domain,
		.title = n->title,
		.description = n->description,
		.alias = n->alias,
		.flags = (n->open ? CHAT_IS_OPEN : 0) | (n->hide_history ? CHAT_HIDES_HISTORY : 0),
		.owner = n->owner ? n->owner : n->author,
		.author = n->author,
		.avatar = n->avatar,
		.avatar_type = n->avatar_type,
		.entity_type = n->entity_type,
		.entity_id = n->entity_id,
		.entity_data = { n->entity_data[0], n->entity_data[1], n->entity_data[2] },
		.created_ms = clock_wall_ms(),
		.colour = colour < 0 ? 0 : (uint8_t)colour,
	};
	memcpy(o->chat.permission, default_permission, sizeof default_permission);
	if (str_empty(o->chat.title))
		o->chat.title = n->alias;
}

static int check_people(struct txn *t, struct str domain, const uint32_t *v, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = chat_account_fits(t, domain, v[i]);
	return err;
}

static bool is_new(struct txn *t, const struct chat_op *o, uint32_t account)
{
	struct chat_member_rec m;

	return account && chat_member_get(t, o->number, account, &m) == ERR_NOT_FOUND;
}

static void put_people(struct txn *t, struct chat_op *o)
{
	const struct chat_new *n = o->new;

	if (o->chat.owner)
		chat_member_enter(t, o, o->chat.owner, CHAT_OWNER, false);
	for (size_t i = 0; i < n->n_managers; i++)
		if (is_new(t, o, n->managers[i]))
			chat_member_enter(t, o, n->managers[i], CHAT_MANAGER, false);
	for (size_t i = 0; i < n->n_members; i++)
		if (is_new(t, o, n->members[i]))
			chat_member_enter(t, o, n->members[i], CHAT_MEMBER, false);
	if (is_new(t, o, n->author))
		chat_member_enter(t, o, n->author, CHAT_MEMBER, false);
}

static int first_message(struct txn *t, struct chat_op *o)
{
	const struct chat_new *n = o->new;
	struct content c = { .text = n->message };
	struct str room =
		arena_printf(o->a, "chat%llu@chats.%.*s", (unsigned long long)o->number, STR_ARG(o->chat.domain));
	struct chat_effect *e = chat_did(o, CHAT_DID_MESSAGE);

	e->message.payload = content_codec.print(&c, room);
	struct message_rec m = { .conv = conv_chat(o->number),
				 .author = n->author,
				 .type = MESSAGE_GROUPCHAT,
				 .flags = MESSAGE_COUNTS,
				 .from = room,
				 .to = room,
				 .payload = chunk_str(e->message.payload) };
	int err = message_append(t, &m, clock_wall_us(), limits()->origin_ids);
	e->author = n->author;
	e->message.gid = o->gid = m.gid;
	e->message.seq = m.seq;
	e->message.author = n->author;
	e->message.flags = m.flags;
	e->message.type = MESSAGE_GROUPCHAT;
	return err;
}

static int check_store(struct txn *t, const struct chat_op *o)
{
	const struct chat_new *n = o->new;
	uint64_t max = limits()->chats_per_account, *mine = arena_alloc(o->a, (max + 1) * sizeof *mine);
	int err = check_people(t, n->domain, n->members, n->n_members);

	if (!err)
		err = check_people(t, n->domain, n->managers, n->n_managers);
	if (!err && n->author)
		err = check_people(t, n->domain, &n->author, 1);
	if (!err && o->chat.owner)
		err = check_people(t, n->domain, &o->chat.owner, 1);
	if (!err && o->chat.owner && chat_of_account(t, o->chat.owner, 0, mine, max) >= max)
		err = ERR_LIMIT;
	return err;
}

static int run_create(struct txn *t, struct chat_op *o)
{
	const struct chat_new *n = o->new;
	int err = may_create(o);

	fill_record(o);
	if (!err)
		err = check_store(t, o);
	if (!err)
		err = chat_rec_create(t, &o->chat);
	if (err)
		return err;
	o->number = o->chat.number;
	if (str_empty(o->chat.title))
		o->chat.title = arena_printf(o->a, "Chat %llu", (unsigned long long)o->number);
	if (str_empty(n->colour))
		o->chat.colour = chat_colour_by_number(o->number);
	put_people(t, o);
	chat_rec_put(t, &o->chat);
	chat_did(o, CHAT_DID_CHANGE);
	chat_audit(t, o, "chat.create", o->chat.title);
	err = chat_line(t, o, "create", NULL, 0, STR_NONE);
	return !err && n->message.n ? first_message(t, o) : err;
}

void chat_create(const struct chat_new *n, chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(&n->by, 0, run_create, done, ctx);
	struct chat_new *c = arena_alloc(o->a, sizeof *c);
	int err = check_new(n);

	if (err == ERR_LIMIT)
		limit_hit("chat_adds");
	if (err)
		return chat_op_refuse(o, err);
	*c = *n;
	struct str *const text[] = { &c->domain,    &c->title,		&c->description,    &c->alias,
				     &c->colour,    &c->avatar,		&c->avatar_type,    &c->entity_type,
				     &c->entity_id, &c->entity_data[0], &c->entity_data[1], &c->entity_data[2],
				     &c->message };
	for (size_t i = 0; i < sizeof text / sizeof *text; i++)
		*text[i] = arena_str(o->a, *text[i]);
	c->members = keep_ids(o->a, n->members, n->n_members);
	c->managers = keep_ids(o->a, n->managers, n->n_managers);
	o->new = c;
	o->skip_line = n->skip_join_lines;
	if (!o->by.account)
		o->by.account = n->author; /* the line names who made it */
	chat_op_submit(o);
}

/* ---- changing ---- */

static int check_change(const struct chat_change *c)
{
	const struct limits *l = limits();
	bool bad = (c->title.p && (str_empty(str_trim(c->title)) || !text_fits(c->title, l->chat_title_bytes))) ||
		   !text_fits(c->description, l->chat_text_bytes) || !text_fits(c->subject, l->chat_text_bytes) ||
		   (c->colour.p && chat_colour_index(c->colour) < 0);

	for (int i = 0; i < 3; i++)
		bad = bad || !text_fits(c->entity_data[i], l->chat_text_bytes);
	for (int i = 0; i < CHAT_PERMISSIONS; i++)
		bad = bad || c->permission[i] > CHAT_OWNER || c->permission[i] == CHAT_OUTCAST;
	return bad ? ERR_SYNTAX : 0;
}

/* Owners alone say who may what. The topic is a message (XEP-0045 8.1): who may post may set it. */
static int may_change(const struct chat_op *o)
{
	const struct chat_change *c = o->change;
	bool look = c->description.p || c->colour.p || c->avatar.p || c->entity_data[0].p || c->entity_data[1].p ||
		    c->entity_data[2].p;
	int err = 0;

	if (o->rank < CHAT_MEMBER)
		return ERR_FORBIDDEN;
	if (c->title.p)
		err = chat_allows(o, CHAT_MAY_RENAME);
	if (!err && c->subject.p)
		err = chat_allows(o, CHAT_MAY_POST);
	if (!err && (look || c->open >= 0 || c->hide_history >= 0 || c->no_join_lines >= 0))
		err = chat_allows(o, CHAT_MAY_SETTINGS);
	for (int i = 0; i < CHAT_PERMISSIONS && !err; i++)
		if (c->permission[i] >= 0 && o->rank < CHAT_OWNER)
			err = ERR_FORBIDDEN;
	return err;
}

static bool set_text(struct str *field, struct str value)
{
	if (!value.p || str_eq(*field, value))
		return false;
	*field = value;
	return true;
}

static bool set_flag(unsigned *flags, unsigned bit, int value)
{
	unsigned now = value < 0 ? *flags : value ? *flags | bit : *flags & ~bit;
	bool changed = now != *flags;

	*flags = now;
	return changed;
}

static bool set_settings(struct chat_rec *r, const struct chat_change *c)
{
	bool changed = set_flag(&r->flags, CHAT_IS_OPEN, c->open);

	changed |= set_flag(&r->flags, CHAT_HIDES_HISTORY, c->hide_history);
	changed |= set_flag(&r->flags, CHAT_NO_JOIN_LINES, c->no_join_lines);
	for (int i = 0; i < CHAT_PERMISSIONS; i++) {
		if (c->permission[i] < 0 || c->permission[i] == r->permission[i])
			continue;
		r->permission[i] = (uint8_t)c->permission[i];
		changed = true;
	}
	return changed;
}

static bool set_quiet(struct chat_rec *r, const struct chat_change *c)
{
	int colour = c->colour.p ? chat_colour_index(c->colour) : -1;
	bool changed = colour >= 0 && colour != r->colour;

	if (changed)
		r->colour = (uint8_t)colour;
	for (int i = 0; i < 3; i++)
		changed |= set_text(&r->entity_data[i], c->entity_data[i]);
	return changed;
}

static bool set_subject(struct chat_op *o)
{
	if (!set_text(&o->chat.subject, o->change->subject))
		return false;
	o->chat.subject_author = o->change->author;
	o->chat.subject_ms = clock_wall_ms();
	return true;
}

static int run_change(struct txn *t, struct chat_op *o)
{
	const struct chat_change *c = o->change;
	struct chat_rec *r = &o->chat;
	int err = chat_enter(t, o);

	if (!err)
		err = may_change(o);
	if (err)
		return err;
	bool title = set_text(&r->title, c->title), description = set_text(&r->description, c->description),
	     avatar = set_text(&r->avatar, c->avatar);
	bool subject = set_subject(o), settings = set_settings(r, c), quiet = set_quiet(r, c);
	if (avatar)
		set_text(&r->avatar_type, c->avatar_type);
	if (!title && !description && !avatar && !subject && !settings && !quiet)
		return 0;
	chat_rec_put(t, r);
	chat_did(o, CHAT_DID_CHANGE);
	chat_audit(t, o, "chat.change", r->title);
	const struct {
		bool changed;
		const char *code;
		struct str text;
	} lines[] = {
		{ title, "title", r->title },	    { description, "description", STR_NONE },
		{ avatar, "avatar", STR_NONE },	    { settings, "settings", STR_NONE },
		{ subject, "subject", r->subject },
	};
	for (size_t i = 0; i < sizeof lines / sizeof *lines && !err; i++)
		if (lines[i].changed)
			err = chat_line(t, o, lines[i].code, NULL, 0, lines[i].text);
	return err;
}

void chat_change(const struct chat_change *c, chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(&c->by, c->number, run_change, done, ctx);
	struct chat_change *copy = arena_alloc(o->a, sizeof *copy);
	int err = check_change(c);

	if (err)
		return chat_op_refuse(o, err);
	*copy = *c;
	struct str *const text[] = { &copy->title,	    &copy->description,	   &copy->colour,
				     &copy->subject,	    &copy->avatar,	   &copy->avatar_type,
				     &copy->entity_data[0], &copy->entity_data[1], &copy->entity_data[2] };
	for (size_t i = 0; i < sizeof text / sizeof *text; i++)
		*text[i] = keep(o->a, *text[i]);
	o->change = copy;
	o->skip_line = c->skip_line;
	chat_op_submit(o);
}

/* ---- ending ---- */

struct leavers {
	struct txn *t;
	struct chat_op *o;
};

static bool drop_dialog(void *ctx, const struct chat_member_rec *m)
{
	struct leavers *l = ctx;

	if (m->role >= CHAT_MEMBER)
		cursor_del(l->t, m->account, conv_chat(l->o->number));
	return true;
}

static int run_destroy(struct txn *t, struct chat_op *o)
{
	struct leavers l = { t, o };
	int err = chat_enter(t, o);

	if (err)
		return err;
	if (o->rank < CHAT_OWNER)
		return ERR_FORBIDDEN;
	if (o->chat.flags & (CHAT_IS_GENERAL | CHAT_IS_DEPARTMENT))
		return ERR_CONFLICT; /* the structure has it */
	chat_member_each(t, o->number, drop_dialog, &l);
	chat_rec_remove(t, o->number);
	struct chat_effect *e = chat_did(o, CHAT_DID_END);
	e->reason = o->reason;
	chat_audit(t, o, "chat.destroy", o->chat.title);
	return txn_error(t);
}

void chat_destroy(const struct principal *by, uint64_t number, struct str reason, chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(by, number, run_destroy, done, ctx);

	o->reason = keep(o->a, reason);
	chat_op_submit(o);
}

/* ---- knowing ---- */

int chat_look(struct txn *t, uint64_t number, uint32_t viewer, struct chat_rec *out, struct chat_member_rec *out_me)
{
	struct chat_member_rec me = { .account = viewer, .role = CHAT_NONE };
	int err = chat_rec_get(t, number, out);

	if (out_me)
		*out_me = me;
	if (err)
		return err;
	err = chat_member_get(t, number, viewer, &me);
	if (err && err != ERR_NOT_FOUND)
		return err;
	if (out_me)
		*out_me = me;
	if (me.role == CHAT_OUTCAST)
		return ERR_FORBIDDEN; /* XEP-0045 7.2.7; he knows that it exists */
	if (me.role >= CHAT_MEMBER)
		return 0;
	return (out->flags & CHAT_IS_OPEN) && !chat_account_fits(t, out->domain, viewer) ? 0 : ERR_NOT_FOUND;
}

uint64_t chat_resolve(struct txn *t, struct str domain, struct str local)
{
	struct chat_rec r;
	uint64_t number;

	if (!is_number_name(local, &number))
		return chat_by_name(t, domain, local);
	if (local.p[4] == '0')
		return 0; /* one number, one address */
	return chat_rec_get(t, number, &r) == 0 && str_eq(r.domain, domain) ? number : 0;
}
