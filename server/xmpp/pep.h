/* Personal eventing (XEP-0163) as other files see it. Home thread of the asker unless said. */
#pragma once
#include "server/xmpp/pep_config.h"
#include "server/xmpp/request.h"
#include "storage/tab_pep.h"

/* Hooks of caps.c and avatar.c; main, once, before the workers start. */
void pep_init(void);
/* Answers disco#info for a node of the addressed account; false when there is no such node (nothing was sent). */
bool pep_disco_info(struct request *rq, struct str node);
/* Adds the nodes that the asker may see as disco items. */
void pep_disco_items(struct request *rq, struct node *query);

/* ---- pep_event.c ---- */

/* What is told about a node. */
enum pep_event_kind { PEP_EVENT_ITEM, PEP_EVENT_RETRACT, PEP_EVENT_PURGE, PEP_EVENT_DELETE };
struct pep_event {
	enum pep_event_kind kind;
	enum pep_access access;
	uint32_t owner;
	struct str bare, node, item, publisher; /* bare: the owner's; all copied */
	struct str payload;                     /* of the item, printed with its namespace; empty: not told */
};
/* Tells everybody who may know and whose client wants the node: once per worker, printed once. Any worker. */
void pep_tell(const struct pep_event *e);
/* Sends the last items of all nodes that the session's client wants, of itself and of everybody it may see. */
void pep_send_last(struct session *s);
/* True when viewer (id and full or bare JID) may know about nodes with access model "presence": visible and not
 * blocked. */
bool pep_may_see(uint32_t viewer, const struct jid *viewer_jid, uint32_t owner, const struct jid *owner_bare);

/* ---- pep.c, for ops of other files (the vCard's picture) ---- */

/* Writer thread: puts an item into a node, made with its default configuration when it is not there. ERR_LIMIT
 * before anything is put. */
int pep_put_item(struct txn *t, uint32_t account, struct str node, struct pep_item *item,
		 const struct pep_config *initial, struct pep_node *out);
