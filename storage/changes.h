/* Sees each committed put and delete in commit order (search index, replication). Called by the writer thread after the commit. */
#pragma once
#include "storage/engine.h"

struct change { enum table tab; bool is_delete; struct str key, value; uint64_t txn; };
typedef void changes_fn(void *ctx, const struct change *v, size_t n);
/* Registers before the writer starts; tables: bit mask of tables wanted. */
void store_on_change(struct store *s, uint64_t tables, changes_fn *fn, void *ctx);
