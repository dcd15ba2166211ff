/*
 * What a handler gets: one stanza of one session, the addressee classified, and ways to answer now or later. Handlers are rows of const
 * tables (struct handler), one file per feature; handlers.c lists the tables, disco answers are printed from them (design idea 7).
 * Home thread of the session.
 */
#pragma once
#include "base/mem.h"
#include "server/im/session.h"
#include "storage/writer.h"
#include "xml/build.h"

/* Addressee of a stanza. */
#define TO_NONE 1u      /* no 'to': own account for iq, broadcast for presence */
#define TO_SELF 2u      /* own bare JID */
#define TO_HOST 4u      /* the domain itself */
#define TO_ACCOUNT 8u   /* another person's bare JID (of our domains; the account may not exist) */
#define TO_FULL 16u     /* a full JID of an account */
#define TO_REMOTE 32u   /* a domain that is not ours */
#define TO_CHATS 64u    /* the chat service of one of our domains: chats.DOMAIN or another name of it (docs/web-and-chats.md) */
#define TO_CHAT 128u    /* a chat: local@chats.DOMAIN */
#define TO_OCCUPANT 256u /* somebody in a chat: local@chats.DOMAIN/nick */
#define TO_NOTIFY 512u  /* notify.DOMAIN of the sender's domain (xmpp/notify.c) */
#define TO_OWN (TO_NONE | TO_SELF)

#define IQ_GET 1u
#define IQ_SET 2u

#define FOR_ADMIN 1u    /* flags: only administrators; others get forbidden */

struct xsession; /* session_xmpp.h */

struct request {
	struct xsession *xs;
	struct session *session;   /* the same, as the messenger sees it */
	struct arena *a;           /* of this stanza */
	struct node *stanza;
	struct node *child;        /* iq: the one payload element */
	struct jid to;             /* none when absent */
	unsigned addressee;        /* one TO_* bit */
	unsigned iq_type;          /* IQ_GET or IQ_SET */
	struct str id, type;
	uint32_t sm_number;        /* number of this stanza on the stream (XEP-0198) */
	struct str as;             /* answers come from this address; p == NULL: from 'to' */
};

struct handler {
	unsigned iq_type;          /* IQ_GET | IQ_SET */
	enum atom child;           /* A_NONE: any element of that namespace */
	enum ns ns;
	unsigned to;               /* TO_* bits it answers for */
	unsigned flags;
	const char *feature;       /* disco#info feature or NULL */
	void (*fn)(struct request *rq);
};
/* A feature file exports one of these. */
struct handler_table {
	const char *name;          /* "XEP-0199 ping" */
	const struct handler *rows;/* ended by fn == NULL */
	const char *const *host_features, *const *account_features; /* further disco features, NULL-terminated, or NULL */
};

/* Answers: result with an optional child built in rq->a; error with a defined condition. Printed at once. */
void reply_result(struct request *rq, struct node *child);
/* type: "cancel", "modify", "auth", "wait"; text tells the person what to do (English), may be NULL. */
void reply_error(struct request *rq, const char *type, enum atom condition, const char *text);
/* The same with an application's own condition beside the defined one (XEP-0060 ...). */
void reply_error_with(struct request *rq, const char *type, enum atom condition, enum atom own, enum ns own_ns, const char *text);
/* A result whose children are printed already. */
void reply_printed(struct request *rq, struct str children);
/* Condition and type that fit an ERR_* code of server/im (NOT_FOUND -> item-not-found, NO_SPACE -> resource-constraint/wait ...). */
void reply_err(struct request *rq, int err, const char *text);

/* Answering later (after a commit or a helper job): keeps who asked, id and numbers; the session may be gone by then. The stanza counts as
 * handled for XEP-0198 only when the pending answer was given or dropped. Same worker. */
struct pending *reply_later(struct request *rq);
/* Each of these ends the pending reply. child lives in arena a (any). */
void pending_result(struct pending *p, struct node *child);
void pending_error(struct pending *p, const char *type, enum atom condition, const char *text);
void pending_error_with(struct pending *p, const char *type, enum atom condition, enum atom own, enum ns own_ns, const char *text);
void pending_err(struct pending *p, int err, const char *text);
void pending_drop(struct pending *p);
/* The asking session or NULL when it has gone. */
struct session *pending_session(const struct pending *p);

/* Shorthand for most IQ sets: runs apply() on the writer, then answers an empty result or the error. op is malloc'ed (mem_alloc), its
 * done/free/targets are set here and it is freed afterwards with release (NULL: mem_free). after (may be NULL) runs before
 * the answer when the commit succeeded, e.g. to send pushes; the session may be NULL there. */
void reply_after_write(struct request *rq, struct write_op *op, void (*after)(struct write_op *op, struct session *s),
		       void (*release)(struct write_op *op));

/* The same with a child in the result (built in rq->a; it is printed now and sent after the commit). */
void reply_with_after_write(struct request *rq, struct node *child, struct write_op *op, void (*release)(struct write_op *op));

/* Sends an iq push (type set) with a new id to one session; child built in a. */
void push_iq(struct session *s, struct arena *a, struct node *child);
/* Prints children of a node (or the node itself as only child) into a shared payload chunk. */
struct chunk *payload_of_children(const struct node *stanza);
struct chunk *payload_of_node(const struct node *child);
