/*
 * Inside of server/im/chat*.c: one change of a chat on its way. run() validates and puts on the writer thread and lists what happened; done() on every worker walks
 * that list in commit order: mirrors (chat_room.h), events, and on the asker the callback. Everything an op needs lives in its arena, which one thread at a time has.
 */
#pragma once
#include "server/im/chat.h"
#include "server/im/chat_room.h"
#include "storage/writer.h"

enum chat_effect_kind {
	CHAT_DID_MEMBER,     /* account has another role now */
	CHAT_DID_CHANGE,     /* the record */
	CHAT_DID_END,        /* destroyed */
	CHAT_DID_MESSAGE,    /* message: said, maybe not stored (gid 0) */
	CHAT_DID_CHANGE_MESSAGE, /* message.gid was corrected, reacted to, retracted */
	CHAT_DID_READ,       /* account has read up to message.seq */
};
struct chat_effect {
	struct chat_effect *next;
	enum chat_effect_kind kind;
	uint64_t number;
	uint32_t account, author;
	uint8_t role;
	struct str reason;
	struct room_message message;
};
struct chat_op;
typedef int chat_run_fn(struct txn *t, struct chat_op *o);
struct chat_op {
	struct write_op op;
	struct arena *a;
	chat_run_fn *run;
	struct principal by;
	uint64_t number;
	chat_done_fn *done;
	void *ctx;
	unsigned asker;
	/* what is asked, in the arena */
	const struct chat_new *new;
	const struct chat_change *change;
	const struct chat_message *post;
	const uint32_t *accounts; size_t n;
	uint32_t account;
	enum chat_role role;
	int hide_history;
	bool skip_line;
	struct str reason;
	struct sm_checkpoint sm;
	/* results of run */
	struct chat_rec chat;        /* copied into the arena */
	uint8_t rank;                /* role of the actor in it; owner for who may change any chat */
	uint64_t gid;
	struct chat_effect *effects, **last_effect;
};

/* A new op; by is copied. */
struct chat_op *chat_op_new(const struct principal *by, uint64_t number, chat_run_fn *run, chat_done_fn *done, void *ctx);
/* The done() of all ops: effects, then the callback on the asker. */
void chat_op_committed(struct write_op *op, int err, unsigned worker);
/* To the writer; done on all workers. */
void chat_op_submit(struct chat_op *o);
/* Calls done with err in the next step of this worker and frees: an error that needs no store. */
void chat_op_refuse(struct chat_op *o, int err);
/* On the writer thread: the chat as the actor may know it, with his rank. ERR_NOT_FOUND, ERR_FORBIDDEN as chat_look. */
int chat_enter(struct txn *t, struct chat_op *o);
/* ERR_FORBIDDEN when the actor's rank is below the permission's. */
int chat_allows(const struct chat_op *o, enum chat_permission p);
struct chat_effect *chat_did(struct chat_op *o, enum chat_effect_kind kind);
/* An audit line when an administrator, a service or the machine's administrator did it to somebody else's chat. */
void chat_audit(struct txn *t, const struct chat_op *o, const char *action, struct str detail);
/* Appends a system line (chat_line.c): code names the row of its table; targets are named in the text, text is the new title and the like. The chat's
 * CHAT_NO_JOIN_LINES silences join and leave lines. */
int chat_line(struct txn *t, struct chat_op *o, const char *code, const uint32_t *targets, size_t n, struct str text);
/* Puts a member with his dialog and floor, takes one out; with their effects. chat_member.c */
void chat_member_enter(struct txn *t, struct chat_op *o, uint32_t account, enum chat_role role, bool hide);
void chat_member_leave(struct txn *t, struct chat_op *o, uint32_t account, bool ban);
/* 0 when the account exists, may log in and belongs to the chat's domain; ERR_NOT_FOUND. */
int chat_account_fits(struct txn *t, struct str domain, uint32_t account);
struct principal chat_principal_copy(struct arena *a, const struct principal *p);
