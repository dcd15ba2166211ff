/*
 * Notifications: a person's conversation `notify` with state per entry, tags and sub-tags (docs/web-and-chats.md; portal-api: CIMNotify). The one way in for API,
 * XMPP (ad-hoc at notify.DOMAIN, answered numbers) and command line. Knows no XML. Worker threads; callbacks on the calling worker, once.
 */
#pragma once
#include "server/im/content.h"
#include "server/im/principal.h"
#include "storage/tab_notify.h"

struct notify_new {
	struct principal by;
	uint32_t to, from;           /* accounts; from 0: the system */
	enum notify_type type;
	struct str module, event, tag, sub_tag, title, text, plain, link, params;
	struct notify_button buttons[NOTIFY_BUTTONS_MAX]; size_t n_buttons;
	unsigned flags;              /* NOTIFY_SILENT, FLASH, ANSWER, READ */
	uint64_t expires_ms;         /* wall clock; 0: never */
	struct str webhook;          /* told about confirm and answer; listed hosts only (W10) */
	struct str origin_id;        /* a repeated one answers with the first number */
};
typedef void notify_done_fn(void *ctx, int err, uint64_t gid);
/* Adds; a tag that is there already is replaced (its entry becomes a tombstone). A flash one is shown and not kept: gid 0. ERR_FORBIDDEN, ERR_NOT_FOUND
 * (person), ERR_SYNTAX, ERR_LIMIT. A person may notify others only from himself. */
void notify_add(const struct notify_new *n, notify_done_fn *done, void *ctx);
/* Delete one, or by tag / sub-tag / module (event may be empty): of one person (account) or of everybody (account 0, needs SCOPE_SYSTEM). done's gid: how
 * many went. author 0: whoever it is from. */
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
/* The newest one that waits for a button or an answer; ERR_NOT_FOUND. */
int notify_newest_open(struct txn *t, uint32_t account, struct notify_rec *out);
/* Unread ones that count. */
uint32_t notify_unread(struct txn *t, uint32_t account);
/* Per-person settings per module and event and channel. Empty event: of the whole module; both empty: of everything. The most exact one decides; on when nothing
 * is set. */
enum notify_channel { NOTIFY_SITE, NOTIFY_JABBER, NOTIFY_PUSH, NOTIFY_CHANNELS };
bool notify_wants(struct txn *t, uint32_t account, struct str module, struct str event, enum notify_channel c);
void notify_set_wants(uint32_t account, struct str module, struct str event, enum notify_channel c, bool on, notify_done_fn *done, void *ctx);
/* Removes what has expired; each minute, any thread. */
void notify_sweep(void);
/* Who posts to r->webhook after a confirmation ("confirm", value) or an answer ("answer", text); main, once. Borrowed for the call, on a worker. */
typedef void notify_webhook_fn(const struct notify_rec *r, const char *what, struct str value);
void notify_set_webhook(notify_webhook_fn *fn);
