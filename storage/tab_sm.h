/*
 * Resumable sessions over a restart (XEP-0198, rows A17, D17):
 *   SM  resume id      -> who, resource, settings (written at <enable/>)
 *   SM  resume id, 'c' -> counters, rewritten in the commit of each stored message and before each <a/>
 *   SM  resume id, 'q' -> unacknowledged stanzas as printed, written at an orderly stop only
 * Writes on the writer thread, reads on any thread.
 */
#pragma once
#include "storage/engine.h"

#define SM_ID_LEN 22

struct sm_rec {
	uint32_t account, credentials_epoch;
	struct str full_jid;
	uint64_t expires_ms;      /* wall clock; pushed on by the counters */
	bool carbons, is_admin, wants_roster, wants_blocklist, inbox, follows;
	struct str presence;      /* printed payload of the last available presence */
	int8_t priority;
	bool available;
};
struct sm_counters {
	uint32_t in;              /* stanzas of the client that are handled and durable */
	uint32_t out_acked;       /* our stanzas that the client confirmed */
	uint64_t seen_ms;         /* wall clock of the write */
};

void sm_put(struct txn *t, struct str id, const struct sm_rec *r);
void sm_put_counters(struct txn *t, struct str id, const struct sm_counters *c);
void sm_put_queue(struct txn *t, struct str id, struct str bytes);
void sm_del_queue(struct txn *t, struct str id);
/* 0, ERR_NOT_FOUND or ERR_CORRUPT. Counters absent: zeros. queue (may be NULL): empty when there is none. Slices as txn_get. */
int sm_get(struct txn *t, struct str id, struct sm_rec *out, struct sm_counters *out_counters, struct str *out_queue);
void sm_del(struct txn *t, struct str id);
/* Removes states last seen before the time, and those whose account is gone or has newer credentials; returns how many, at most 64. */
size_t sm_expire(struct txn *t, uint64_t before_ms);
