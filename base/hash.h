/* Two hash tables (open addressing, grow at 3/4): by string and by 64-bit number. Values are pointers the caller owns.
 * Removing while iterating is allowed for the current entry only. One thread per table. */
#pragma once
#include "base/str.h"

struct hash;   /* string keys; the key bytes belong to the caller and must outlive the entry */
struct idmap;  /* uint64_t keys */

struct hash *hash_new(void);
void hash_free(struct hash *h);
/* NULL when absent. */
void *hash_get(const struct hash *h, struct str key);
/* Inserts or replaces; returns the former value or NULL. On replace the stored key becomes the new one. */
void *hash_put(struct hash *h, struct str key, void *value);
/* Removes; returns the value or NULL. */
void *hash_del(struct hash *h, struct str key);
size_t hash_count(const struct hash *h);
/* Iteration: start with *pos = 0; false at the end. Order is arbitrary. */
bool hash_next(const struct hash *h, size_t *pos, struct str *out_key, void **out_value);

struct idmap *idmap_new(void);
void idmap_free(struct idmap *m);
void *idmap_get(const struct idmap *m, uint64_t key);
void *idmap_put(struct idmap *m, uint64_t key, void *value);
void *idmap_del(struct idmap *m, uint64_t key);
size_t idmap_count(const struct idmap *m);
bool idmap_next(const struct idmap *m, size_t *pos, uint64_t *out_key, void **out_value);
