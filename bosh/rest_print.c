/* The shapes of the portal: people, messages, chats, departments (portal-api 1.4). Worker of the connection. */
#include "base/err.h"
#include "bosh/rest.h"
#include "server/im/chat_colour.h"
#include "server/im/content.h"
#include "server/im/conv.h"
#include "server/im/org.h"
#include "server/im/person.h"
#include "server/im/presence.h"

/* ---- people ---- */

/* "Anna Petrova" -> Anna, Petrova: the structure holds full names. */
static void set_names(json_t *o, struct str full)
{
	ptrdiff_t blank = str_find(full, ' ');

	json_object_set_new(o, "name", api_str(full));
	json_object_set_new(o, "first_name", api_str(blank < 0 ? full : str_of(full.p, (size_t)blank)));
	json_object_set_new(o, "last_name",
			    api_str(blank < 0 ? STR("") : str_of(full.p + blank + 1, full.n - (size_t)blank - 1)));
}

static struct str text(struct str s)
{
	return s.p ? s : STR("");
}

json_t *rest_user(const struct rest_call *c, uint32_t account)
{
	const struct org_person *p = org_person(org_current(), account);
	struct jid j = person_jid(c->rq->a, account);
	bool seen = c->me == account || (c->me && presence_may_see(c->me, account));

	if (!account || jid_is_none(&j))
		return json_null();
	bool online = seen && presence_is_available(jid_bare(&j));
	json_t *o = json_pack("{s:o, s:b, s:o, s:o, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:b, s:b, s:b}", "id",
			      rest_id_of_person(c, account), "active", true, "work_position",
			      api_str(text(p ? p->position : STR_NONE)), "color",
			      api_str(arena_cat(c->rq->a, STR("#"), chat_colour_hex(chat_colour_by_number(account)),
						STR_NONE)),
			      "avatar", "", "avatar_hr", "", "gender", "", "extranet", false, "bot", false, "connector",
			      false, "external_auth_id", "default", "status", online ? "online" : "offline", "idle",
			      false, "absent", false, "birthday", false);
	set_names(o, p && p->full_name.n ? p->full_name : jid_local(&j));
	json_object_set_new(o, "login", api_str(jid_local(&j)));
	json_object_set_new(o, "email", api_str(text(p ? p->email : STR_NONE)));
	json_object_set_new(o, "type", json_string("user"));
	json_object_set_new(o, "website", json_string(""));
	json_object_set_new(o, "departments", p && p->dept ? json_pack("[I]", (json_int_t)p->dept->id) : json_array());
	json_object_set_new(o, "phones",
			    p && p->phone.n ? json_pack("{s:o}", "work_phone", api_str(p->phone)) : json_false());
	return o;
}

json_t *rest_department(const struct rest_call *c, const struct org_dept *d)
{
	size_t n;
	const struct org_person *const *all = org_people(org_current(), &n);
	uint32_t head = 0;

	for (size_t i = 0; i < n && !head; i++)
		if (all[i]->dept == d && all[i]->head)
			head = all[i]->account;
	json_t *o = json_pack("{s:I, s:o, s:o, s:o}", "id", (json_int_t)d->id, "name", api_str(d->name), "full_name",
			      api_str(d->path), "manager_user_id", rest_id_of_person(c, head));
	if (rest_yes(c, "USER_DATA", false))
		json_object_set_new(o, "manager_user_data", rest_user(c, head));
	return o;
}

/* ---- messages ---- */

void rest_content(const struct rest_call *c, struct txn *t, const struct message_rec *m, struct content *out)
{
	struct message_rec edit;
	struct content now;

	content_of(c->rq->a, t, m, out);
	if ((m->flags & MESSAGE_RETRACTED) || !m->newest_edit || message_get(t, m->newest_edit, &edit))
		return;
	content_of(c->rq->a, t, &edit, &now);
	out->text = now.text;
	if (now.params.p)
		out->params = now.params;
}

struct likes {
	const struct rest_call *c;
	json_t *list;
};

/* What the portal knows is one "like": any reaction counts as that. */
static bool add_like(void *ctx, uint32_t account, struct str set)
{
	struct likes *l = ctx;

	if (set.n)
		json_array_append_new(l->list, rest_id_of_person(l->c, account));
	return true;
}

/* What the author attached (ATTACH, KEYBOARD ...), and what the server knows beside the text. */
static json_t *params_of(const struct rest_call *c, struct txn *t, const struct message_rec *m,
			 const struct content *now)
{
	json_t *o = now->params.p ? json_loadb(now->params.p, now->params.n, 0, NULL) : NULL;
	struct likes l = { c, json_array() };

	if (!json_is_object(o)) {
		json_decref(o);
		o = json_object();
	}
	reaction_each(t, m->gid, add_like, &l);
	if (json_array_size(l.list))
		json_object_set(o, "LIKE", l.list);
	json_decref(l.list);
	if (m->flags & MESSAGE_EDITED)
		json_object_set_new(o, "IS_EDITED", json_string("Y"));
	if (m->flags & MESSAGE_RETRACTED)
		json_object_set_new(o, "IS_DELETED", json_string("Y"));
	if (now->reply_gid)
		json_object_set_new(o, "REPLY_ID", rest_id_of_message(now->reply_gid));
	if (now->forward_gid)
		json_object_set_new(o, "FORWARD_ID", rest_id_of_message(now->forward_gid));
	if (now->code.n)
		json_object_set_new(o, "CODE", api_str(now->code));
	if (now->n_files)
		json_object_set_new(o, "FILES", json_array());
	for (size_t i = 0; i < now->n_files; i++)
		json_array_append_new(json_object_get(o, "FILES"),
				      json_pack("{s:o, s:o, s:o, s:I}", "url", api_str(now->files[i].url), "name",
						api_str(text(now->files[i].name)), "type",
						api_str(text(now->files[i].type)), "size",
						(json_int_t)now->files[i].size));
	return o;
}

json_t *rest_message(const struct rest_call *c, struct txn *t, const struct message_rec *m, uint64_t read_seq)
{
	struct content now;
	bool chat = conv_kind(m->conv) == CONV_CHAT;
	bool unread = m->seq > read_seq && m->author != c->me && (m->flags & MESSAGE_COUNTS);

	rest_content(c, t, m, &now);
	return json_pack("{s:o, s:I, s:o, s:o, s:o, s:b, s:o, s:[], s:o, s:n}", "id", rest_id_of_message(m->gid),
			 "chat_id", chat ? (json_int_t)conv_chat_number(m->conv) : (json_int_t)0, "author_id",
			 rest_id_of_person(c, m->author), "date", api_time(m->wall_us / 1000), "text",
			 api_str(text(now.text)), "unread", unread, "uuid",
			 m->origin_id.n ? api_str(m->origin_id) : json_null(), "replaces", "params",
			 params_of(c, t, m, &now), "disappearing_date");
}

/* ---- chats ---- */

static const char *const roles[] = { "none", "none", "member", "manager", "owner" };

static const char *role_of(unsigned role)
{
	return roles[role <= CHAT_OWNER ? role : CHAT_NONE];
}

static json_t *permissions_of(const struct chat_rec *r)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "manage_users_add", role_of(r->permission[CHAT_MAY_ADD]),
			 "manage_users_delete", role_of(r->permission[CHAT_MAY_REMOVE]), "manage_ui",
			 role_of(r->permission[CHAT_MAY_RENAME]), "manage_settings",
			 role_of(r->permission[CHAT_MAY_SETTINGS]), "manage_messages",
			 role_of(r->permission[CHAT_MAY_MODERATE]), "can_post", role_of(r->permission[CHAT_MAY_POST]));
}

static json_t *restrictions_of(const struct chat_rec *r)
{
	bool general = r->flags & CHAT_IS_GENERAL;

	return json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "avatar", true, "rename", true, "extend",
			 !general, "call", false, "mute", true, "leave", !general, "leave_owner", false, "send", true,
			 "user_list", true);
}

static void set_entity(json_t *o, const struct chat_rec *r)
{
	static const char *const names[] = { "entity_data_1", "entity_data_2", "entity_data_3" };

	json_object_set_new(o, "entity_type", api_str(text(r->entity_type)));
	json_object_set_new(o, "entity_id", api_str(text(r->entity_id)));
	for (int i = 0; i < CHAT_ENTITY_DATA; i++)
		json_object_set_new(o, names[i], api_str(text(r->entity_data[i])));
}

json_t *rest_chat_object(const struct rest_call *c, const struct chat_rec *r, const struct chat_member_rec *me)
{
	bool open = r->flags & CHAT_IS_OPEN;
	json_t *o = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:s, s:I, s:o, s:s}", "id",
			      (json_int_t)r->number, "dialog_id", rest_id_of_dialog(c, conv_chat(r->number)), "name",
			      api_str(r->title), "description", api_str(text(r->description)), "owner",
			      rest_id_of_person(c, r->owner), "color",
			      api_str(arena_cat(c->rq->a, STR("#"), chat_colour_hex(r->colour), STR_NONE)), "type",
			      open ? "open" : "chat", "message_type", open ? "O" : "C", "date_create",
			      api_time(r->created_ms), "role", role_of(me ? me->role : CHAT_NONE), "user_counter",
			      (json_int_t)r->n_members, "author", rest_id_of_person(c, r->author), "color_code", "");

	json_object_set_new(o, "color_code", api_str(chat_colour_name(r->colour)));
	json_object_set_new(o, "avatar", api_str(text(r->avatar)));
	json_object_set_new(o, "extranet", json_false());
	json_object_set_new(o, "permissions", permissions_of(r));
	json_object_set_new(o, "restrictions", restrictions_of(r));
	json_object_set_new(o, "parent_chat_id", json_integer(0));
	json_object_set_new(o, "parent_message_id", json_integer(0));
	json_object_set_new(o, "text_field_enabled", json_true());
	json_object_set_new(o, "public", json_string(""));
	set_entity(o, r);
	return o;
}
