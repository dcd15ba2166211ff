/* Ad-hoc commands of notify.DOMAIN (XEP-0050): the list, confirming, answering, reading, channels. Home thread of the asker. */
#include "base/err.h"
#include "server/im/im.h"
#include "server/im/notify.h"
#include "server/im/opaque.h"
#include "server/xmpp/adhoc_commands.h"
#include "server/xmpp/notify.h"
#include <string.h>

enum { LIST_MAX = 20 };

static uint32_t who(const struct command_run *r)
{
	struct session *s = pending_session(r->pending);

	return s ? s->user->id : 0;
}

static void changed(void *ctx, int err, uint64_t gid)
{
	struct command_run *r = ctx;

	(void)gid;
	if (!err)
		command_done(r, "Done", NULL);
	else
		command_warn(r, notify_refusal(err));
}

/* ---- the list ---- */

struct listing {
	struct arena *a;
	struct node *form;
	size_t n;
};

static bool list_one(void *ctx, const struct notify_rec *rec)
{
	struct listing *l = ctx;
	struct arena *a = l->a;
	char id[OPAQUE_LEN];
	bool open = !(rec->flags & NOTIFY_DONE);

	opaque_print(rec->gid, id);
	const char *label = arena_printf(a, "%.*s", STR_ARG(rec->title.n ? rec->title : STR("Notification"))).p;
	struct node *f = form_field(a, l->form, arena_printf(a, "%.*s", OPAQUE_LEN, id).p, "text-multi", label,
				    arena_str(a, rec->text));
	for (size_t i = 0; open && i < rec->n_buttons; i++)
		form_field_value(a, f, arena_cat(a, arena_printf(a, "%zu ", i + 1), rec->buttons[i].title, STR_NONE));
	return ++l->n < LIST_MAX;
}

static void run_list(struct command_run *r)
{
	struct node *top = node_new(r->a, A_command, NS_COMMANDS);
	struct listing l = { .a = r->a, .form = form_new(r->a, top, "result", "urn:vestnik:notify:0") };
	struct txn *t = im_read();

	notify_each(t, &(struct notify_query){ .account = who(r) }, list_one, &l);
	txn_commit(t);
	node_remove(l.form);
	command_done(r, l.n ? NULL : "There are no notifications", l.n ? l.form : NULL);
}

/* ---- one of them ---- */

/* The notification of the field `id`, or the newest that waits. */
static int find(struct command_run *r, struct notify_rec *out)
{
	struct str id = str_trim(form_value(r->a, r->form, "id"));
	struct txn *t = im_read();
	uint64_t gid;
	int err = !id.n			   ? notify_newest_open(t, who(r), out)
		  : opaque_parse(id, &gid) ? ERR_NOT_FOUND
					   : notify_get(t, who(r), gid, out);

	for (size_t i = 0; !err && i < out->n_buttons; i++)
		out->buttons[i].value = arena_str(r->a, out->buttons[i].value);
	txn_commit(t);
	return err;
}

static void run_confirm(struct command_run *r)
{
	struct notify_rec rec;
	uint64_t number;
	int err = find(r, &rec);

	if (!err && (str_u64(str_trim(form_value(r->a, r->form, "button")), rec.n_buttons, &number) || !number))
		err = ERR_SYNTAX;
	if (err)
		command_warn(r, notify_refusal(err));
	else
		notify_confirm(who(r), rec.gid, rec.buttons[number - 1].value, changed, r);
}

static void run_answer(struct command_run *r)
{
	struct notify_rec rec;
	int err = find(r, &rec);

	if (err)
		command_warn(r, notify_refusal(err));
	else
		notify_answer(who(r), rec.gid, str_trim(form_value(r->a, r->form, "text")), changed, r);
}

static void run_read(struct command_run *r)
{
	notify_mark(who(r), 0, true, true, changed, r);
}

/* ---- channels ---- */

static void run_settings(struct command_run *r)
{
	static const char *const names[] = {
		[NOTIFY_SITE] = "site", [NOTIFY_JABBER] = "jabber", [NOTIFY_PUSH] = "push"
	};
	struct str channel = str_trim(form_value(r->a, r->form, "channel"));
	unsigned c = 0;
	bool on;

	while (c < NOTIFY_CHANNELS && !str_eq_c(channel, names[c]))
		c++;
	if (c == NOTIFY_CHANNELS || form_bool(r->a, r->form, "on", &on))
		command_warn(r, "The channel is site, jabber or push; on is true or false");
	else
		notify_set_wants(who(r), str_trim(form_value(r->a, r->form, "module")),
				 str_trim(form_value(r->a, r->form, "event")), (enum notify_channel)c, on, changed, r);
}

/* ---- the table ---- */

#define ID_FIELD                                                                                                       \
	{                                                                                                              \
		"id", "text-single", "Its id in the list; empty: the newest that waits", false                         \
	}
static const struct command_field confirm_fields[] = { ID_FIELD,
						       { "button", "text-single", "Number of the button", true },
						       { .var = NULL } };
static const struct command_field answer_fields[] = { ID_FIELD,
						      { "text", "text-single", "Your answer", true },
						      { .var = NULL } };
static const struct command_field settings_fields[] = {
	{ "module", "text-single", "Module; empty: all", false },
	{ "event", "text-single", "Event of the module; empty: all", false },
	{ "channel", "text-single", "site, jabber or push", true },
	{ "on", "boolean", "On", true },
	{ .var = NULL },
};
const struct command notify_commands[] = {
	{ "urn:vestnik:notify:0#list", "Show notifications", NULL, NULL, false, run_list },
	{ "urn:vestnik:notify:0#confirm", "Press a button", "Says which button of a notification you press.",
	  confirm_fields, false, run_confirm },
	{ "urn:vestnik:notify:0#answer", "Answer", "Answers a notification that takes a text.", answer_fields, false,
	  run_answer },
	{ "urn:vestnik:notify:0#read", "Mark all as read", NULL, NULL, false, run_read },
	{ "urn:vestnik:notify:0#settings", "Choose channels", "Says where notifications of a module or event arrive.",
	  settings_fields, false, run_settings },
	{ .node = NULL },
};
