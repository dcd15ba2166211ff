/*
 * Notifications: a person's conversation `notify` with state per entry, tags and sub-tags (docs/web-and-chats.md; portal-api: CIMNotify). The one way in for API,
 * XMPP (ad-hoc at notify.DOMAIN, answered numbers) and command line. Knows no XML. Worker threads; callbacks on the calling worker, once.
 */
#pragma once
#include "server/im/content.h"
#include "server/im/principal.h"
#include "storage/engine.h"

enum notify_type { NOTIFY_CONFIRM = 1, NOTIFY_FROM = 2, NOTIFY_SYSTEM = 4 }; /* the portal's numbers */
#define NOTIFY_SILENT 1u         /* no sound, no toast */
#define NOTIFY_FLASH 2u          /* shown once, not kept in the list */
#define NOTIFY_ANSWER 4u         /* takes a quick answer */
#define NOTIFY_READ 8u
#define NOTIFY_DONE 16u          /* confirmed or answered: buttons are gone */
struct notify_button { struct str title, value; bool accept; };
#define NOTIFY_BUTTONS_MAX 8
struct notify_new {
	struct principal by;
	uint32_t to, from;           /* accounts; from 0: the system */
	enum notify_type type;
	struct str module, event, tag, sub_tag, title, text, plain, link, params;
	struct notify_button buttons[NOTIFY_BUTTONS_MAX]; size_t n_buttons;
	unsigned flags;
	uint64_t expires_ms;         /* wall clock; 0: never */
	struct str webhook;          /* told about confirm and answer; listed hosts only (W10) */
	struct str origin_id;
};
struct notify_rec {              /* as stored */
	uint64_t gid, seq, created_ms, expires_ms;
	uint32_t to, from;
	enum notify_type type;
	unsigned flags;
	struct str module, event, tag, sub_tag, title, text, plain, link, params, webhook;
	struct notify_button buttons[NOTIFY_BUTTONS_MAX]; size_t n_buttons;
	struct str result;           /* value of the pressed button, or the answer */
};
typedef void notify_done_fn(void *ctx, int err, uint64_t gid);
/* Adds; a tag that is there already is replaced (its entry becomes a tombstone). ERR_FORBIDDEN, ERR_NOT_FOUND (person), ERR_SYNTAX, ERR_LIMIT. */
void notify_add(const struct notify_new *n, notify_done_fn *done, void *ctx);
/* Delete one, or by tag / sub-tag / module (event may be empty): of one person (account) or of everybody (account 0, needs SCOPE_SYSTEM). done's gid: how
 * many went. */
void notify_delete(const struct principal *by, uint32_t account, uint64_t gid, notify_done_fn *done, void *ctx);
enum notify_key { NOTIFY_BY_TAG, NOTIFY_BY_SUB_TAG, NOTIFY_BY_MODULE };
void notify_delete_by(const struct principal *by, uint32_t account, uint32_t author, enum notify_key key, struct str value, struct str event, notify_done_fn *done, void *ctx);
/* The person pressed a button / answered. ERR_CONFLICT: done already; ERR_SYNTAX: no such button. The web hook leaves after the commit. */
void notify_confirm(uint32_t account, uint64_t gid, struct str value, notify_done_fn *done, void *ctx);
void notify_answer(uint32_t account, uint64_t gid, struct str text, notify_done_fn *done, void *ctx);
/* Read or unread: one (gid), or all up to and with it (and_older), gid 0: all. */
void notify_mark(uint32_t account, uint64_t gid, bool read, bool and_older, notify_done_fn *done, void *ctx);
/* Newest first, before gid (0: from the end); filters empty: any. words: in title and text, any case. false stops. Expired ones are passed over. */
struct notify_query { uint32_t account; uint64_t before; enum notify_type type; struct str module, event, tag, words; uint64_t from_ms, to_ms; bool unread_only; uint32_t author; };
void notify_each(struct txn *t, const struct notify_query *q, bool (*fn)(void *ctx, const struct notify_rec *r), void *ctx);
int notify_get(struct txn *t, uint32_t account, uint64_t gid, struct notify_rec *out);
/* Unread ones that count. */
uint32_t notify_unread(struct txn *t, uint32_t account);
/* Per-person settings per module and event and channel. */
enum notify_channel { NOTIFY_SITE, NOTIFY_JABBER, NOTIFY_PUSH, NOTIFY_CHANNELS };
bool notify_wants(struct txn *t, uint32_t account, struct str module, struct str event, enum notify_channel c);
void notify_set_wants(uint32_t account, struct str module, struct str event, enum notify_channel c, bool on, notify_done_fn *done, void *ctx);
