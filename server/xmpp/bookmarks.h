/*
 * Bookmarks as the server keeps them (XEP-0402, with XEP-0048 for older clients): what a person stored, joined with the chats he is in. Membership is never
 * copied: a chat he is in is in the list because he is in it. Home thread of the person.
 */
#pragma once
#include "server/xmpp/request.h"

#define BOOKMARKS_NODE "urn:xmpp:bookmarks:1"
#define BOOKMARKS_OLD_NODE "storage:bookmarks"

/* Registers the observer of members and chats; main, once. */
void bookmarks_init(void);
/* Answers a read of one's own bookmarks node, new or old form; false: another node (nothing was sent). */
bool bookmarks_get(struct request *rq, const struct node *items);
/* Publishing the old node, or <storage/> of private XML (XEP-0049): taken apart into the items of the new one. */
void bookmarks_set_old(struct request *rq, const struct node *storage);
/* <storage/> as XEP-0048 has it, in rq->a. */
struct node *bookmarks_old(struct request *rq);
/* Retracting the bookmark of a chat that one is in: it stays, without autojoin. False: an ordinary item. */
bool bookmarks_retract(struct request *rq, struct str node, struct str id);
