/*
 * Addresses (RFC 7622 as far as libidn's stringprep profiles allow: nodeprep, nameprep, resourceprep): parsed,
 * prepared, compared. A struct jid is a value: one prepared string "local@domain/resource" and two lengths; copying
 * it copies the pointers. ASCII that needs no change takes a fast path; other results are cached per thread. This
 * header is the only one of xml/ that server/im may include.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

#define JID_PART_MAX 1023

struct jid {
	struct str full;    /* prepared; p == NULL: no JID */
	uint16_t local_n;   /* 0 = no local part */
	uint16_t domain_n;
};

/* Parses and prepares; strings go into the arena (or point into `in` when nothing changed: copy with jid_dup to keep).
 * 0 or ERR_SYNTAX. Lengths are checked before and after preparation (row I06). */
int jid_parse(struct arena *a, struct str in, struct jid *out);
/* From parts that are prepared already (database, own domain); resource may be empty. */
struct jid jid_make(struct arena *a, struct str local, struct str domain, struct str resource);
/* Prepares one part alone; 0 or ERR_SYNTAX. */
int jid_prep_local(struct arena *a, struct str in, struct str *out);
int jid_prep_domain(struct arena *a, struct str in, struct str *out);
int jid_prep_resource(struct arena *a, struct str in, struct str *out);

static inline bool jid_is_none(const struct jid *j) { return j->full.p == NULL; }
static inline size_t jid_bare_n(const struct jid *j) { return (j->local_n ? j->local_n + 1u : 0u) + j->domain_n; }
static inline struct str jid_bare(const struct jid *j) { return str_of(j->full.p, jid_bare_n(j)); }
static inline struct str jid_local(const struct jid *j) { return str_of(j->full.p, j->local_n); }
static inline struct str jid_domain(const struct jid *j)
{
	return str_of(j->full.p + (j->local_n ? j->local_n + 1u : 0u), j->domain_n);
}
static inline bool jid_is_bare(const struct jid *j) { return j->full.n == jid_bare_n(j); }
static inline struct str jid_resource(const struct jid *j)
{
	size_t b = jid_bare_n(j);
	return j->full.n > b ? str_of(j->full.p + b + 1, j->full.n - b - 1) : str_of(NULL, 0);
}
/* The bare JID as a struct jid (shares the bytes). */
static inline struct jid jid_to_bare(struct jid j) { j.full.n = jid_bare_n(&j); return j; }
bool jid_eq(const struct jid *a, const struct jid *b);
bool jid_bare_eq(const struct jid *a, const struct jid *b);
/* Copy into an arena / into malloc'ed memory (free .full.p with mem_free). */
struct jid jid_dup(struct arena *a, struct jid j);
struct jid jid_dup_heap(struct jid j);
/* Skeleton for look-alike detection (row I05): equal skeletons are confusable names. */
struct str jid_skeleton(struct arena *a, struct str local);
