/* Commands of adhoc.c: the table is in admin_commands.c. Home thread of who runs one. */
#pragma once
#include "server/xmpp/request.h"
#include "xml/form.h"

struct command_field {
	const char *var, *type, *label;
	bool required;
};
struct command_run;
struct command {
	const char *node, *name;
	const char *instructions;             /* of the form */
	const struct command_field *fields;   /* ended by var == NULL; NULL: runs at once, without a form */
	bool form_optional;                   /* fields only narrow: runs without a form too */
	void (*run)(struct command_run *r);   /* must end with command_done or command_failed, now or later */
};
extern const struct command admin_commands[]; /* of the domain, for administrators; ended by node == NULL */
extern const struct command notify_commands[]; /* of notify.DOMAIN, for everybody */

/* One execution. Lives until it is answered. */
struct command_run {
	const struct command *command;
	struct pending *pending;
	struct arena *a;                      /* its own */
	struct node *form;                    /* submitted; NULL: none */
	struct str session_id;
	struct jid actor;                     /* full JID of who runs it */
	struct str domain;                    /* of ours, as addressed: numbers, lists and announcements are about it */
	struct jid *jids;                     /* for the command: whom it is about */
	size_t n_jids, next_jid;
	struct buf failures;                  /* for the command */
	size_t n_failed;
};
/* Completed: a note for the person (NULL: none) and a result form (NULL: none; built in r->a). Frees r. */
void command_done(struct command_run *r, const char *note, struct node *result);
/* Completed, but the note says that something went wrong. Frees r. */
void command_warn(struct command_run *r, const char *note);
/* A stanza error with a text. Frees r. */
void command_failed(struct command_run *r, const char *type, enum atom condition, const char *text);
