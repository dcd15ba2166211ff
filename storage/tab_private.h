/*
 * Private XML (XEP-0049): one printed element per name and namespace.
 *   PRIVATE  account id 'x' element name NUL namespace -> name, namespace, printed element
 *   PRIVATE  account id 't'                            -> bytes of all elements of the account
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

typedef bool private_each_fn(void *ctx, struct str name, struct str ns, struct str xml); /* false stops */

/* 0, ERR_NOT_FOUND or ERR_CORRUPT. */
int private_get(struct txn *t, uint32_t account, struct str name, struct str ns, struct str *out_xml);
/* Stores or replaces. ERR_LIMIT, before anything is put, when the account would hold more than max_total bytes. */
int private_put(struct txn *t, uint32_t account, struct str name, struct str ns, struct str xml, uint64_t max_total);
/* True when it was there. */
bool private_del(struct txn *t, uint32_t account, struct str name, struct str ns);
/* Bytes held by the account. */
uint64_t private_bytes(struct txn *t, uint32_t account);
void private_each(struct txn *t, uint32_t account, private_each_fn *fn, void *ctx);
void private_delete_account(struct txn *t, uint32_t account);
