/*
 * The company structure (design idea 5): departments and people of each domain as one immutable snapshot, swapped as a whole; every worker holds its own
 * reference. Who sees whom is one function here. Knows no XML.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "xml/jid.h"

struct org;
struct org_dept {
	uint32_t id;
	struct org_dept *parent;     /* NULL: top */
	struct org_dept *branch;     /* its top-level department */
	struct str name;
	struct str path;             /* "Head office::IT::Support": the roster group (XEP-0083) */
};
struct org_person {
	uint32_t account;
	uint64_t number;             /* the portal's id */
	struct org_dept *dept;       /* NULL: none */
	bool head;
	struct jid jid;              /* bare */
	struct str full_name, position, email, phone;
	unsigned domain;             /* number among im.domains */
	size_t index;                /* place in org_people(): order of the domain, then department path, then name */
};

/* Registers its session hook; main, once. */
void org_init(void);
/* Reads the structure of all domains; main thread, before the workers start. */
int org_load(struct err_msg *msg);
/* Reads it again after a change was committed or the policy changed, swaps it on every worker, and calls each worker's observer with the old and the new
 * snapshot. Any thread while the workers run. */
void org_reload(void);
typedef void org_observer_fn(const struct org *before, const struct org *after);
/* Called on every worker after its snapshot was swapped; main, before the workers start; at most 8. */
void org_observe(org_observer_fn *fn);
void org_thread_init(void);
void org_thread_fini(void);

/* This worker's snapshot, never NULL; valid for this loop step (ref it to keep it). */
const struct org *org_current(void);
const struct org *org_ref(const struct org *o);
void org_unref(const struct org *o);
/* Version of a domain's structure (roster versioning). */
uint64_t org_version(const struct org *o, struct str domain);
/* NULL when the account is not in the structure / no person has that number. */
const struct org_person *org_person(const struct org *o, uint32_t account);
const struct org_person *org_person_by_number(const struct org *o, struct str domain, uint64_t number);
/* All people in order; n in *out_n. */
const struct org_person *const *org_people(const struct org *o, size_t *out_n);
const struct org_dept *const *org_depts(const struct org *o, size_t *out_n);
/* Who sees whom: the policy (im.visibility) when the snapshot was built. */
enum im_visibility org_visibility(const struct org *o);
/* True when both are in the structure and its policy lets viewer see subject. O(1). Nobody sees himself. */
bool org_visible(const struct org *o, uint32_t viewer, uint32_t subject);
/* The same for people of that snapshot already looked up. */
bool org_person_visible(const struct org *o, const struct org_person *viewer, const struct org_person *subject);
