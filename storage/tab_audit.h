/* Administrative acts (AUDIT  number -> record), append-only; each record holds the SHA-256 of the one before it, so that a change of history shows. */
#pragma once
#include "storage/engine.h"

struct audit_rec {
	uint64_t number, time_ms;
	struct str actor, action, target, detail; /* never message text or secrets */
};
/* Assigns the number. Writer thread. */
void audit_add(struct txn *t, const struct audit_rec *r);
/* Walks from a number upwards; false stops. ERR_CORRUPT when a link of the chain is broken. */
int audit_each(struct txn *t, uint64_t from, bool (*fn)(void *ctx, const struct audit_rec *r), void *ctx);
