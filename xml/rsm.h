/* Result set management (XEP-0059): what was asked, and the answer element. */
#pragma once
#include "xml/build.h"

struct rsm_query {
	bool has_max, has_before, has_after, has_index;
	uint64_t max, index;
	struct str before, after; /* before may be empty: the last page */
};
/* Reads <set/> below parent (absent is fine: all false). 0 or ERR_SYNTAX. */
int rsm_parse(struct arena *a, const struct node *parent, struct rsm_query *out);
/* Adds <set/> with first, last (NONE: omitted), count and index (UINT64_MAX: omitted). Without first no index. */
void rsm_add(struct arena *a, struct node *parent, struct str first, struct str last, uint64_t index, uint64_t count);
