/* Messages, chats and people as JSON objects. See api_json.h. */
#include "bosh/api_json.h"
#include "base/err.h"
#include "bosh/api.h"
#include "server/im/chat_colour.h"
#include "server/im/content.h"
#include "server/im/conv.h"
#include "server/im/org.h"

const char *const api_roles[] = { "outcast", "none", "member", "manager", "owner" };
const char *const api_permissions[] = { "add", "remove", "rename", "settings", "moderate", "post" };

int api_role(struct str word, enum chat_role *out)
{
	for (enum chat_role r = CHAT_OUTCAST; r <= CHAT_OWNER; r++)
		if (str_eq_c(word, api_roles[r])) {
			*out = r;
			return 0;
		}
	return ERR_SYNTAX;
}

/* ---- people ---- */

json_t *api_json_card(struct arena *a, uint32_t account)
{
	const struct org_person *p = org_person(org_current(), account);
	json_t *o = api_person(a, account);

	if (!json_is_object(o))
		return o;
	json_object_set_new(o, "position", api_str(p ? p->position : STR_NONE));
	json_object_set_new(o, "department", api_str(p && p->dept ? p->dept->path : STR_NONE));
	json_object_set_new(o, "department_id", p && p->dept ? json_integer(p->dept->id) : json_null());
	json_object_set_new(o, "head", json_boolean(p && p->head));
	json_object_set_new(o, "email", api_str(p ? p->email : STR_NONE));
	json_object_set_new(o, "phone", api_str(p ? p->phone : STR_NONE));
	return o;
}

/* ---- messages ---- */

static json_t *refs(struct arena *a, const uint32_t *accounts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, api_ref(a, accounts[i]));
	return list;
}

static json_t *files_of(const struct content *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_files; i++) {
		const struct content_file *f = &c->files[i];
		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}", "url", api_str(f->url), "name",
						api_str(f->name), "type", api_str(f->type), "size", (json_int_t)f->size,
						"width", (json_int_t)f->width, "height", (json_int_t)f->height));
	}
	return list;
}

struct reacting {
	struct arena *a;
	json_t *list;
};

static bool add_reactions(void *ctx, uint32_t account, struct str set)
{
	struct reacting *r = ctx;
	json_t *texts = json_array();
	struct str one;

	while (str_split(&set, '\0', &one))
		if (one.n)
			json_array_append_new(texts, api_str(one));
	json_array_append_new(r->list, json_pack("{s:o, s:o}", "person", api_ref(r->a, account), "reactions", texts));
	return true;
}

/* What portals attach is JSON of theirs; damaged text shows as text. */
static json_t *params_of(struct str params)
{
	json_t *j = params.p ? json_loadb(params.p, params.n, JSON_DECODE_ANY, NULL) : json_null();

	return j ? j : api_str(params);
}

bool api_json_shows(const struct message_rec *m)
{
	if (m->flags & (MESSAGE_EDIT | MESSAGE_REACTION))
		return false;
	return (m->flags & (MESSAGE_COUNTS | MESSAGE_RETRACTED | MESSAGE_SYSTEM)) != 0;
}

static void set_texts(json_t *o, struct arena *a, const struct content *c)
{
	json_object_set_new(o, "text", api_str(c->text.p ? c->text : STR("")));
	json_object_set_new(o, "code", api_str(c->code));
	json_object_set_new(o, "mentions", refs(a, c->mentions, c->n_mentions));
	json_object_set_new(o, "mentions_all", json_boolean(c->mentions_all));
	json_object_set_new(o, "files", files_of(c));
	json_object_set_new(o, "params", params_of(c->params));
}

json_t *api_json_message(struct arena *a, struct txn *t, uint32_t me, const struct message_rec *m)
{
	struct content c, now;
	struct message_rec edit;
	struct reacting r = { a, json_array() };
	bool edited = !(m->flags & MESSAGE_RETRACTED) && m->newest_edit && message_get(t, m->newest_edit, &edit) == 0;

	content_of(a, t, m, &c);
	if (edited)
		content_of(a, t, &edit, &now);
	reaction_each(t, m->gid, add_reactions, &r);
	json_t *o =
		json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "id", api_gid(m->gid), "dialog",
			  api_str(api_dialog_id(a, m->conv, me)), "author",
			  m->author ? api_person(a, m->author) : json_null(), "time", api_time(m->wall_us / 1000),
			  "system", m->author == 0, "edited", edited, "retracted", (m->flags & MESSAGE_RETRACTED) != 0,
			  "reply_to", api_gid(c.reply_gid), "forward_of", api_gid(c.forward_gid), "uuid",
			  m->origin_id.n ? api_str(m->origin_id) : json_null(), "reactions", r.list);
	set_texts(o, a, edited ? &now : &c);
	return o;
}

json_t *api_json_message_of(struct arena *a, struct txn *t, uint32_t me, uint64_t gid)
{
	struct message_rec m;

	return gid && message_get(t, gid, &m) == 0 ? api_json_message(a, t, me, &m) : json_null();
}

/* ---- chats ---- */

static json_t *permissions_of(const struct chat_rec *c)
{
	json_t *o = json_object();

	for (size_t i = 0; i < CHAT_PERMISSIONS; i++)
		json_object_set_new(o, api_permissions[i],
				    json_string(
					    api_roles[c->permission[i] <= CHAT_OWNER ? c->permission[i] : CHAT_OWNER]));
	return o;
}

static json_t *entity_of(const struct chat_rec *c)
{
	json_t *data = json_array();

	if (!c->entity_type.n) {
		json_decref(data);
		return json_null();
	}
	for (size_t i = 0; i < CHAT_ENTITY_DATA; i++)
		json_array_append_new(data, api_str(c->entity_data[i]));
	return json_pack("{s:o, s:o, s:o}", "type", api_str(c->entity_type), "id", api_str(c->entity_id), "data", data);
}

static const struct {
	unsigned flag;
	const char *name;
} chat_flags[] = {
	{ CHAT_HIDES_HISTORY, "hide_history" },
	{ CHAT_NO_JOIN_LINES, "no_join_lines" },
	{ CHAT_IS_GENERAL, "general" },
	{ CHAT_IS_DEPARTMENT, "department" },
};

json_t *api_json_chat(struct arena *a, const struct chat_rec *c, const struct chat_member_rec *me)
{
	unsigned long long n = c->number;
	json_t *o = json_pack("{s:I, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "id", (json_int_t)n, "dialog",
			      api_str(arena_printf(a, "chat%llu", n)), "jid",
			      api_str(arena_printf(a, "chat%llu@chats.%.*s", n, STR_ARG(c->domain))), "title",
			      api_str(c->title), "description", api_str(c->description), "type",
			      c->flags & CHAT_IS_OPEN ? "open" : "closed", "colour",
			      api_str(chat_colour_name(c->colour)), "colour_hex", api_str(chat_colour_hex(c->colour)));

	json_object_set_new(o, "owner", c->owner ? api_ref(a, c->owner) : json_null());
	json_object_set_new(o, "author", c->author ? api_ref(a, c->author) : json_null());
	json_object_set_new(o, "members", json_integer(c->n_members));
	json_object_set_new(o, "created", api_time(c->created_ms));
	json_object_set_new(o, "avatar", c->avatar.n ? api_str(c->avatar) : json_null());
	json_object_set_new(o, "subject", c->subject.n ? api_str(c->subject) : json_null());
	json_object_set_new(o, "alias", c->alias.n ? api_str(c->alias) : json_null());
	json_object_set_new(o, "entity", entity_of(c));
	json_object_set_new(o, "permissions", permissions_of(c));
	for (size_t i = 0; i < sizeof chat_flags / sizeof *chat_flags; i++)
		json_object_set_new(o, chat_flags[i].name, json_boolean(c->flags & chat_flags[i].flag));
	json_object_set_new(o, "role",
			    me && me->role >= CHAT_MEMBER && me->role <= CHAT_OWNER ? json_string(api_roles[me->role])
										    : json_null());
	return o;
}

json_t *api_json_member(struct arena *a, const struct chat_member_rec *m)
{
	json_t *o = api_person(a, m->account);

	if (json_is_object(o)) {
		json_object_set_new(o, "role", json_string(api_roles[m->role <= CHAT_OWNER ? m->role : CHAT_NONE]));
		json_object_set_new(o, "joined", api_time(m->joined_ms));
	}
	return o;
}
