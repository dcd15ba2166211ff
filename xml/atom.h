/* Element names and namespaces as small integers, interned at parse time from xml/atoms.def, so that dispatch is a
 * table index. Names not in the list are atom 0 and keep their text in the node. The table is built at compile or
 * start time and never changes: any thread. */
#pragma once
#include "base/str.h"

enum atom {
	A_NONE,
#define ATOM(id, text) A_##id,
#define NS(id, text)
#include "xml/atoms.def"
#undef ATOM
#undef NS
	A_COUNT
};
enum ns {
	NS_NONE, /* unknown or no namespace */
#define ATOM(id, text)
#define NS(id, text) NS_##id,
#include "xml/atoms.def"
#undef ATOM
#undef NS
	NS_COUNT
};

/* Builds the lookup tables; call once before the first thread starts. Idempotent. */
void atom_init(void);
/* Atom of a name / namespace, or A_NONE / NS_NONE. */
enum atom atom_of(struct str name);
enum ns ns_of(struct str uri);
/* Text of an atom / namespace; empty for NONE. */
struct str atom_str(enum atom a);
struct str ns_str(enum ns n);
