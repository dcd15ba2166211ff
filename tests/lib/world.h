/*
 * A messenger with people and no network (on im_rig.h): sessions whose transport writes down what they are sent, one line a stanza:
 * "message|presence|iq TYPE FROM PAYLOAD" with "-" for what is absent. One world per test program. Main thread of the test.
 */
#pragma once
#include "base/buf.h"
#include "server/im/session.h"
#include "tests/lib/im_rig.h"

struct fake {
	struct session s;          /* first: the transport gets this */
	struct buf got;
	unsigned worker;
	bool full;                 /* it reads slowly */
};

/* Two workers, memory store; the roster's pushes are printed by server/xmpp. */
void world_start(void);
void world_stop(void);
/* Waits until everything that was started has reached everybody. */
void world_settle(void);
/* A session of an account of example.org; with pushes of the roster, and presence when available. */
struct fake *world_login(const char *local, const char *resource, bool wants_roster, bool available);
void world_logout(struct fake *f);
/* What f was sent since the last call, after settling; valid until the next call. */
struct str world_got(struct fake *f);
/* Imports a company: rows below the header of design.md section 6. Returns the error; counts in *out when not NULL. */
struct org_import_result;
struct world_import {
	int err;
	size_t added, changed, unchanged, missing, disabled;
	char text[512], report[4096];
};
void world_import(const char *rows, bool dry_run, bool disable_missing, struct world_import *out);
/* The same with the header in the text. */
void world_import_csv(const char *csv, bool dry_run, bool disable_missing, struct world_import *out);
/* 0 when there is none. */
uint32_t world_account(const char *local);
