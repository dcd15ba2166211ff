/*
 * Accounts as the CLI, the API, ad-hoc commands and XEP-0077 change them: one way in (design idea 8). Every change is
 * one operation of the writer with its audit record; passwords are turned into SCRAM keys on helper threads first. A
 * change that ends logins (password, disable, delete, revoke) raises credentials_epoch, so tokens and cached passwords
 * are void with the commit, and the listener on the account's home worker ends its sessions (row A16). Calls on worker
 * threads; every callback on the calling worker, exactly once, never nested.
 */
#pragma once
#include "storage/engine.h"

enum account_change {
	ACCOUNT_CREATED,
	ACCOUNT_PASSWORD_CHANGED,
	ACCOUNT_DISABLED,
	ACCOUNT_ENABLED,
	ACCOUNT_DELETED,
	ACCOUNT_REVOKED, /* log out everywhere: sessions and tokens end, the password stays */
	ACCOUNT_ADMIN_CHANGED,
};
/* On the home worker of the account, after the commit. One listener, set once by main before the workers start. epoch
 * is the new one: sessions of an older epoch end. keep_session: number of the session that changed its own password and
 * stays, else 0. */
typedef void account_changed_fn(struct str bare_jid, uint32_t id, enum account_change change,
				uint32_t credentials_epoch, uint64_t keep_session);
void account_set_listener(account_changed_fn *fn);

/* err 0 with the id of the account, or why nothing was changed. */
typedef void account_done_fn(void *ctx, int err, uint32_t id);
struct account_op {
	struct str domain;     /* one of im.domains; empty: the first */
	struct str local;      /* as typed: prepared inside */
	struct str password;   /* create, set password */
	struct str actor;      /* who does it, for the audit log: "ctl", "api:NAME", a JID */
	bool is_admin;	       /* create, set admin */
	bool directory_owned;  /* create */
	bool force;	       /* create although the name looks like another one (row I05) */
	uint64_t keep_session; /* passed to the listener */
};
/* Errors of all: ERR_SYNTAX (name or password unfit), ERR_NOT_FOUND, ERR_EXISTS, ERR_CONFLICT (look-alike name, row
 * I05), ERR_FORBIDDEN (directory owns it), ERR_AGAIN (helpers busy), storage errors. Everything in op is copied. An
 * empty password at creation: nobody can log in by password yet. */
void account_add(const struct account_op *op, account_done_fn *done, void *ctx);
void account_set_password(const struct account_op *op, account_done_fn *done, void *ctx);
void account_disable(const struct account_op *op, account_done_fn *done, void *ctx);
void account_enable(const struct account_op *op, account_done_fn *done, void *ctx);
void account_set_admin(const struct account_op *op, account_done_fn *done, void *ctx);
void account_remove(const struct account_op *op, account_done_fn *done, void *ctx);
void account_revoke(const struct account_op *op, account_done_fn *done, void *ctx);
/* By the person (XEP-0077): refused with ERR_FORBIDDEN when the directory owns the account or
 * im.directory_owns_passwords. */
void account_change_own_password(const struct account_op *op, account_done_fn *done, void *ctx);

/* The same change inside a write_op of the caller (org import): writer thread, the caller has made the keys with
 * auth_keys_for_password (NULL: no password) and tells the listener itself by account_announce. */
struct scram_keys;
int account_add_in(struct txn *t, const struct account_op *op, const struct scram_keys *keys, uint32_t *out_id);
/* ERR_CONFLICT with the name when an account of the domain looks like local (prepared) but is not it; reads all names,
 * so not in a loop. */
int account_look_alike(struct txn *t, struct str domain, struct str local, char *out_name, size_t out_max);
/* Calls the listener on the account's home by mail. Worker threads. */
void account_announce(struct str bare_jid, uint32_t id, enum account_change change, uint32_t credentials_epoch,
		      uint64_t keep_session);
