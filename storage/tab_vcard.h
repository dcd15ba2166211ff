/* A person's own vCard additions (XEP-0054): VCARD  account id -> printed element. Writer thread writes, any thread reads. */
#pragma once
#include "storage/engine.h"

/* 0, ERR_NOT_FOUND or ERR_CORRUPT; the slice as txn_get. */
int vcard_get(struct txn *t, uint32_t account, struct str *out_xml);
/* The caller keeps the limit (vcard_bytes); above 64 MiB: sticky ERR_LIMIT. */
void vcard_put(struct txn *t, uint32_t account, struct str xml);
/* True when there was one. */
bool vcard_del(struct txn *t, uint32_t account);
