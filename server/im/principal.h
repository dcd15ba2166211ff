/*
 * Who acts: a person (XMPP session or user token), a service with a scoped token, or the machine's administrator on the control socket. One
 * function says whom a principal may speak as (row I14). Values are copied into operations; slices are borrowed. Any thread.
 */
#pragma once
#include "base/str.h"

enum principal_kind { PRINCIPAL_NONE, PRINCIPAL_USER, PRINCIPAL_SERVICE, PRINCIPAL_CONTROL };
#define SCOPE_READ 1u       /* read what the named person may read: im.dialog.messages.get and the like on behalf of a person */
#define SCOPE_SEND_AS 2u    /* speak as any person of the domain */
#define SCOPE_SYSTEM 4u     /* speak as the system (author 0), notify anybody */
#define SCOPE_ORG 8u        /* change people and departments */
#define SCOPE_ADMIN 16u     /* accounts, sessions, tokens, limits */
#define SCOPE_CHATS 32u     /* create and change any chat */

struct principal {
	enum principal_kind kind;
	uint32_t account;           /* PRINCIPAL_USER; a service: the person it acts for in this call, 0: none */
	unsigned scopes;            /* PRINCIPAL_SERVICE */
	bool is_admin;              /* PRINCIPAL_USER who is administrator */
	struct str domain;          /* the domain it belongs to */
	struct str name;            /* for the audit log: "anna@example.org", "api:portal", "ctl" */
};
/* The one answer about authorship: 0, or ERR_FORBIDDEN when p may not be the author (0: the system). Any thread. */
int may_speak_as(const struct principal *p, uint32_t author);
/* True when the principal has the scope: control has all, administrators SCOPE_ORG, SCOPE_ADMIN and SCOPE_CHATS, people none else. */
bool principal_has(const struct principal *p, unsigned scope);
