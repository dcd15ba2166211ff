/*
 * The company structure as stored (server/im/org.h makes the snapshot people are shown):
 *   ORG  domain NUL 'd' department id -> parent, name
 *   ORG  domain NUL 'p' account id    -> person
 *   ORG  domain NUL 'v'               -> version of the structure, next department id
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

struct org_dept_rec {
	uint32_t id, parent;      /* parent 0: top */
	struct str name;
};
struct org_person_rec {
	uint32_t account;
	uint64_t number;          /* the portal's id (CSV column id); DIALOG_ID */
	uint32_t dept;            /* 0: none */
	bool head;
	struct str full_name, position, email, phone;
};

void org_dept_put(struct txn *t, struct str domain, const struct org_dept_rec *d);
void org_dept_del(struct txn *t, struct str domain, uint32_t id);
/* A fresh department id. */
uint32_t org_next_dept(struct txn *t, struct str domain);
void org_person_put(struct txn *t, struct str domain, const struct org_person_rec *p);
void org_person_del(struct txn *t, struct str domain, uint32_t account);
/* 0, ERR_NOT_FOUND or ERR_CORRUPT. */
int org_person_get(struct txn *t, struct str domain, uint32_t account, struct org_person_rec *out);
/* Every department / person of a domain in order of ids; damaged ones are passed over; false stops. */
void org_dept_each(struct txn *t, struct str domain, bool (*fn)(void *ctx, const struct org_dept_rec *d), void *ctx);
void org_person_each(struct txn *t, struct str domain, bool (*fn)(void *ctx, const struct org_person_rec *p), void *ctx);
/* Version of the structure, 0 when there is none; raise it once per change. */
uint64_t org_version_get(struct txn *t, struct str domain);
void org_version_raise(struct txn *t, struct str domain);
