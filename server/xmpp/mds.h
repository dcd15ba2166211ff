/* Displayed synchronisation (XEP-0490) and the read cursors: what one says the other learns. Home thread of the person. */
#pragma once
#include "xml/jid.h"
#include "xml/node.h"

#define MDS_NODE "urn:xmpp:mds:displayed:0"

/* Registers the observer of read cursors; main, before the workers start. */
void mds_init(void);
/* What the item `id` (address of the dialog) with that payload says: the dialog and the seq up to which it was read; 0: nothing that we know. */
uint64_t mds_target(struct arena *a, uint32_t account, const struct jid *owner, struct str id, const struct node *payload, uint64_t *out_seq);
