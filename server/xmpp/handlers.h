/* The list of all handler tables: what the server can do. Dispatch, disco and entity caps are read off it (design idea 7). */
#pragma once
#include "server/xmpp/request.h"

extern const struct handler_table *const handler_tables[]; /* ended by NULL */
/* Row for an iq: child name and namespace, type, addressee; NULL when there is none. out_exists: some row knows the namespace. */
const struct handler *handler_find(const struct node *child, unsigned iq_type, unsigned addressee, bool *out_exists);
/* Builds the lookup; once before the workers start. */
void handlers_init(void);
/* Calls fn for each disco#info feature of the server (host) or of an account, without repeats. */
void handlers_features(bool account, void (*fn)(void *ctx, const char *feature), void *ctx);
/* <c/> of the server in its stream features (XEP-0115 6.3). disco.c */
void features_caps(struct arena *a, struct node *features);
