/* Avatars: PEP (XEP-0084) is where the picture lives; the vCard's PHOTO (0153) and the hash in presence are made of
 * it (0398). */
#pragma once
#include "server/xmpp/pep.h"

/* Own presence on its way out: replaces <x xmlns='vcard-temp:x:update'/> by what is true. Home thread. */
void avatar_into_presence(struct request *rq);
/* The metadata node of that account changed: reads it again and sends the presence of its available sessions again.
 * Home of the account. */
void avatar_changed(struct str bare);
/* The picture as <PHOTO/> of a vCard, in place of its own. Any worker. */
void avatar_into_vcard(struct txn *t, struct arena *a, uint32_t account, struct node *card);
/* XEP-0084 data node: ERR_SYNTAX (not base64), ERR_LIMIT (too large, row W09) or 0. */
int avatar_check_data(struct arena *a, const struct node *data);

/* What setting a vCard does to the picture; made on the home, applied inside the vCard's op. */
struct avatar_change {
	bool any, removed;         /* removed: there is no PHOTO (any more) */
	char id[41];
	struct str data, metadata; /* printed payloads, in the arena */
	bool done;                 /* something was put */
};
/* Takes PHOTO off the card. ERR_SYNTAX / ERR_LIMIT as above. */
int avatar_from_vcard(struct arena *a, struct node *card, struct avatar_change *out);
/* Writer thread. ERR_LIMIT before anything is put. */
int avatar_apply(struct txn *t, uint32_t account, struct str publisher, struct avatar_change *c);
/* After the commit. */
void avatar_tell(uint32_t account, struct str bare, struct str publisher, const struct avatar_change *c);
void avatar_init(void);
