/*
 * Owner's requests (XEP-0045 section 10): the configuration form as one table of fields, destroying. A chat is usable from its first moment, so the empty
 * form of an "instant room" only gets its result (10.1.2), and cancelling takes back a chat that was just made (10.1.3). Home thread of the asker.
 */
#include "base/clock.h"
#include "base/err.h"
#include "server/im/chat_colour.h"
#include "server/im/conv.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/muc.h"
#include "xml/form.h"

#define CONFIG "http://jabber.org/protocol/muc#roomconfig"
#define OWN "{urn:vestnik:chat:0}"
#define FRESH_MS (10 * 60 * 1000)

/* ---- fields: how each is shown, and what a value does to the change ---- */

struct config {
	struct arena *a;
	const struct chat_rec *rec; /* showing */
	struct chat_change change;  /* reading */
};
struct field {
	const char *var, *type, *label;
	struct str (*show)(struct config *c, const struct field *f);
	int (*read)(struct config *c, const struct field *f,
		    struct str value); /* NULL: cannot be changed, other values are passed over */
	unsigned arg;
	const char *const *options;
};

static int read_boolean(struct str v, bool *out)
{
	*out = str_eq_c(v, "1") || str_eq_c(v, "true");
	return *out || str_eq_c(v, "0") || str_eq_c(v, "false") ? 0 : ERR_SYNTAX;
}

static struct str boolean(bool v)
{
	return v ? STR("1") : STR("0");
}

static struct str show_title(struct config *c, const struct field *f)
{
	(void)f;
	return c->rec->title;
}
static int read_title(struct config *c, const struct field *f, struct str v)
{
	(void)f;
	if (v.n && !str_eq(v, c->rec->title))
		c->change.title = v;
	return 0;
}
static struct str show_description(struct config *c, const struct field *f)
{
	(void)f;
	return c->rec->description;
}
static int read_description(struct config *c, const struct field *f, struct str v)
{
	(void)f;
	c->change.description = v;
	return 0;
}
static struct str show_colour(struct config *c, const struct field *f)
{
	(void)f;
	return chat_colour_name(c->rec->colour);
}
static int read_colour(struct config *c, const struct field *f, struct str v)
{
	(void)f;
	c->change.colour = v;
	return 0;
}
static struct str show_yes(struct config *c, const struct field *f)
{
	(void)c;
	(void)f;
	return STR("1");
}
static struct str show_no(struct config *c, const struct field *f)
{
	(void)c;
	(void)f;
	return STR("0");
}
static struct str show_anyone(struct config *c, const struct field *f)
{
	(void)c;
	(void)f;
	return STR("anyone");
}

static struct str show_number(struct config *c, const struct field *f)
{
	(void)f;
	return arena_printf(c->a, "%llu", (unsigned long long)c->rec->number);
}

static struct str show_max(struct config *c, const struct field *f)
{
	(void)f;
	return arena_printf(c->a, "%llu", (unsigned long long)limits()->chat_members);
}

static struct str show_flag(struct config *c, const struct field *f)
{
	return boolean(c->rec->flags & f->arg);
}

static struct str show_closed(struct config *c, const struct field *f)
{
	(void)f;
	return boolean(!(c->rec->flags & CHAT_IS_OPEN));
}

/* Open means found and joined by everybody, closed neither: of two contradicting fields the one that closes wins. */
static int read_closed(struct config *c, const struct field *f, struct str v)
{
	bool closed;
	int err = read_boolean(v, &closed);

	(void)f;
	if (!err && (closed || c->change.open < 0))
		c->change.open = !closed;
	return err;
}

static int read_public(struct config *c, const struct field *f, struct str v)
{
	bool open;
	int err = read_boolean(v, &open);

	(void)f;
	if (!err && (!open || c->change.open < 0))
		c->change.open = open;
	return err;
}

static int read_hide(struct config *c, const struct field *f, struct str v)
{
	bool on;
	int err = read_boolean(v, &on);

	(void)f;
	if (!err)
		c->change.hide_history = on;
	return err;
}

static int read_join_lines(struct config *c, const struct field *f, struct str v)
{
	bool on;
	int err = read_boolean(v, &on);

	(void)f;
	if (!err)
		c->change.no_join_lines = on;
	return err;
}

/* A permission as a yes/no of XEP-0045: every member has it. "No" leaves a stricter setting as it is. */
static struct str show_all_may(struct config *c, const struct field *f)
{
	return boolean(c->rec->permission[f->arg] <= CHAT_MEMBER);
}

static int read_all_may(struct config *c, const struct field *f, struct str v)
{
	bool yes;
	int err = read_boolean(v, &yes);

	if (err)
		return err;
	if (yes && c->rec->permission[f->arg] > CHAT_MEMBER)
		c->change.permission[f->arg] = CHAT_MEMBER;
	else if (!yes && c->rec->permission[f->arg] <= CHAT_MEMBER)
		c->change.permission[f->arg] = CHAT_MANAGER;
	return 0;
}

static struct str show_moderated(struct config *c, const struct field *f)
{
	return boolean(c->rec->permission[f->arg] > CHAT_MEMBER);
}

static int read_moderated(struct config *c, const struct field *f, struct str v)
{
	bool moderated;
	int err = read_boolean(v, &moderated);

	return err ? err : read_all_may(c, f, boolean(!moderated));
}

static const char *const role_names[] = { "member", "manager", "owner", NULL };

static struct str show_permission(struct config *c, const struct field *f)
{
	uint8_t r = c->rec->permission[f->arg];

	return str_c(role_names[r <= CHAT_MEMBER ? 0 : r - CHAT_MEMBER]);
}

static int read_permission(struct config *c, const struct field *f, struct str v)
{
	for (int i = 0; role_names[i]; i++)
		if (str_eq_c(v, role_names[i])) {
			if (!str_eq(v, show_permission(c, f)))
				c->change.permission[f->arg] = CHAT_MEMBER + i;
			return 0;
		}
	return ERR_SYNTAX;
}

/* Never with a password: membership is the key. */
static int read_no_password(struct config *c, const struct field *f, struct str v)
{
	bool on;

	(void)c;
	(void)f;
	return read_boolean(v, &on) || on ? ERR_SYNTAX : 0;
}

static const char *const anyone[] = { "anyone", NULL };
static const char *const colours[] = { "RED",  "GREEN",	  "MINT", "LIGHT_BLUE", "DARK_BLUE", "PURPLE",
				       "AQUA", "PINK",	  "LIME", "BROWN",	"AZURE",     "KHAKI",
				       "SAND", "MARENGO", "GRAY", "GRAPHITE",	NULL };

static const struct field fields[] = {
	{ "muc#roomconfig_roomname", "text-single", "Title", show_title, read_title, 0, NULL },
	{ "muc#roomconfig_roomdesc", "text-single", "Description", show_description, read_description, 0, NULL },
	{ OWN "number", "text-single", "Number of the chat (chat ID of the portal), fixed", show_number, NULL, 0,
	  NULL },
	{ "muc#roomconfig_membersonly", "boolean", "Closed: only who was added may come in", show_closed, read_closed,
	  0, NULL },
	{ "muc#roomconfig_publicroom", "boolean", "Everybody may find it (the opposite of closed)", show_flag,
	  read_public, CHAT_IS_OPEN, NULL },
	{ "muc#roomconfig_persistentroom", "boolean", "It stays when nobody is there, always", show_yes, NULL, 0,
	  NULL },
	{ "muc#roomconfig_enablelogging", "boolean", "It is archived, always", show_yes, NULL, 0, NULL },
	{ "muc#roomconfig_passwordprotectedroom", "boolean", "With a password, never", show_no, read_no_password, 0,
	  NULL },
	{ "muc#roomconfig_whois", "list-single", "Who sees addresses", show_anyone, NULL, 0, anyone },
	{ "muc#roomconfig_maxusers", "text-single", "Most members, fixed by the server", show_max, NULL, 0, NULL },
	{ "muc#roomconfig_moderatedroom", "boolean", "Only managers may write", show_moderated, read_moderated,
	  CHAT_MAY_POST, NULL },
	{ "muc#roomconfig_allowinvites", "boolean", "Members may add people", show_all_may, read_all_may, CHAT_MAY_ADD,
	  NULL },
	{ "muc#roomconfig_changesubject", "boolean", "Members may change the subject: who may write, may", show_all_may,
	  NULL, CHAT_MAY_POST, NULL },
	{ OWN "rename", "list-single", "Who may change the title", show_permission, read_permission, CHAT_MAY_RENAME,
	  role_names },
	{ OWN "remove", "list-single", "Who may remove people", show_permission, read_permission, CHAT_MAY_REMOVE,
	  role_names },
	{ OWN "moderate", "list-single", "Who may take back messages of others", show_permission, read_permission,
	  CHAT_MAY_MODERATE, role_names },
	{ OWN "settings", "list-single", "Who may change these settings", show_permission, read_permission,
	  CHAT_MAY_SETTINGS, role_names },
	{ OWN "hide_history", "boolean", "New members do not see what was written before", show_flag, read_hide,
	  CHAT_HIDES_HISTORY, NULL },
	{ OWN "no_join_lines", "boolean", "No lines about who comes and goes", show_flag, read_join_lines,
	  CHAT_NO_JOIN_LINES, NULL },
	{ OWN "colour", "list-single", "Colour", show_colour, read_colour, 0, colours },
};
#define N_FIELDS (sizeof fields / sizeof *fields)

/* ---- requests ---- */

static bool look_settings(struct request *rq, struct muc_room *room)
{
	if (!muc_look(rq, room))
		return false;
	if (muc_may(&room->rec, room->me.role, CHAT_MAY_SETTINGS))
		return true;
	muc_refuse(rq, ERR_FORBIDDEN);
	return false;
}

static void get_form(struct request *rq)
{
	struct node *q = node_new(rq->a, A_query, NS_MUC_OWNER);
	struct muc_room room;

	if (!look_settings(rq, &room))
		return;
	struct config c = { .a = rq->a, .rec = &room.rec };
	struct node *form = form_new(rq->a, q, "form", CONFIG);
	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct field *f = &fields[i];
		struct str v = f->show(&c, f);
		struct node *n = form_field(rq->a, form, f->var, f->type, f->label, v.p ? v : STR(""));
		for (size_t k = 0; f->options && f->options[k]; k++)
			form_field_option(rq->a, n, NULL, str_c(f->options[k]));
	}
	reply_result(rq, q);
}

static void destroy(struct request *rq, const struct muc_room *room, const struct node *d)
{
	struct principal by = muc_principal(rq->session);
	struct str reason = d ? node_child_text(rq->a, d, A_reason, NS_MUC_OWNER) : STR_NONE;

	chat_destroy(&by, room->number, reason, muc_answered, muc_later(rq));
}

/* Nobody said anything in it yet. */
static bool nothing_said(uint64_t number)
{
	struct txn *t = im_read();
	struct log_scan ls;
	struct log_entry e;
	bool found = false;

	log_scan_open(&ls, t, 0, conv_chat(number), 0, false);
	while (!found && log_scan_next(&ls, &e))
		found = e.flags & MESSAGE_COUNTS;
	log_scan_close(&ls);
	txn_commit(t);
	return !found;
}

static void cancel(struct request *rq, const struct muc_room *room)
{
	bool fresh = room->rec.author == rq->session->user->id && room->rec.n_members <= 1 &&
		     clock_wall_ms() - room->rec.created_ms < FRESH_MS && nothing_said(room->number);

	if (fresh)
		destroy(rq, room, NULL);
	else
		reply_result(rq, NULL);
}

static int read_form(struct config *c, const struct node *form)
{
	struct str type = form_type(c->a, form);
	int err = 0;

	if (type.p && !str_eq_c(type, CONFIG))
		return ERR_SYNTAX;
	for (size_t i = 0; !err && i < N_FIELDS; i++) {
		struct str v = form_value(c->a, form, fields[i].var);
		if (v.p && fields[i].read)
			err = fields[i].read(c, &fields[i], v);
	}
	return err;
}

/* True when the form asks for nothing (10.1.2). */
static bool is_empty(const struct node *form)
{
	return node_child(form, A_field, NS_DATA) == NULL;
}

static void submit(struct request *rq, const struct muc_room *room, const struct node *form)
{
	struct config c = { .a = rq->a, .rec = &room->rec, .change = chat_change_none };

	if (is_empty(form)) {
		reply_result(rq, NULL);
		return;
	}
	if (read_form(&c, form)) {
		reply_error(rq, "modify", A_not_acceptable,
			    "The form has a value that the chat cannot take; there are no passwords");
		return;
	}
	c.change.by = muc_principal(rq->session);
	c.change.number = room->number;
	c.change.author = rq->session->user->id;
	chat_change(&c.change, muc_answered, muc_later(rq));
}

static void set_form(struct request *rq)
{
	struct node *d = node_child(rq->child, A_destroy, NS_MUC_OWNER), *form = node_child(rq->child, A_x, NS_DATA);
	struct muc_room room;

	if (d) { /* 10.9: the writer decides who may */
		if (muc_look(rq, &room))
			destroy(rq, &room, d);
		return;
	}
	if (!look_settings(rq, &room))
		return;
	if (!form)
		reply_error(rq, "modify", A_bad_request, "Send the form, or <destroy/>");
	else if (str_eq_c(node_attr(form, "type"), "cancel"))
		cancel(rq, &room);
	else
		submit(rq, &room, form);
}

static const struct handler rows[] = {
	{ IQ_GET, A_query, NS_MUC_OWNER, TO_CHAT, 0, NULL, get_form },
	{ IQ_SET, A_query, NS_MUC_OWNER, TO_CHAT, 0, NULL, set_form },
	{ .fn = NULL },
};
const struct handler_table muc_owner_handlers = { "XEP-0045 owner", rows, NULL, NULL };
