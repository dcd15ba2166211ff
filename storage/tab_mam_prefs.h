/* Archiving preferences (XEP-0313 section 6): MAM_PREFS  account id -> default and two lists of bare JIDs. Writer / any thread; slices as txn_get. */
#pragma once
#include "storage/engine.h"

enum mam_default { MAM_ALWAYS, MAM_NEVER, MAM_ROSTER };
#define MAM_PREFS_MAX 500 /* JIDs in both lists */
struct mam_prefs {
	enum mam_default def;
	size_t n_always, n_never;
	struct str always[MAM_PREFS_MAX], never[MAM_PREFS_MAX];
};
/* False: none set (everything is archived). */
bool mam_prefs_get(struct txn *t, uint32_t account, struct mam_prefs *out);
void mam_prefs_put(struct txn *t, uint32_t account, const struct mam_prefs *p);
bool mam_prefs_any(struct txn *t, uint32_t account);
