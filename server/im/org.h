/*
 * The company structure (design idea 5): departments and people of each domain as one immutable snapshot, swapped as a whole; every worker holds its own
 * reference. Who sees whom is one function here. Knows no XML.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct org;

/* Reads the structure of all domains; main thread, before the workers start. */
int org_load(struct err_msg *msg);
void org_thread_init(void);
void org_thread_fini(void);
/* This worker's snapshot, never NULL; valid for this loop step (ref it to keep it). */
const struct org *org_current(void);
const struct org *org_ref(const struct org *o);
void org_unref(const struct org *o);
/* True when both are in the structure and the policy (im.visibility) lets viewer see subject. O(1). Nobody sees himself. */
bool org_visible(const struct org *o, uint32_t viewer, uint32_t subject);
