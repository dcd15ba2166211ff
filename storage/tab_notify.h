/*
 * Notifications of people (docs/web-and-chats.md); the message itself lies in the person's log `notify`.
 *   NOTIFY      account 'n' gid                           -> record
 *   NOTIFY      account 'u' gid                           -> nothing: not read yet
 *   NOTIFY      account 'w' module NUL event              -> channels switched by the person
 *   NOTIFY_KEY  't' tag NUL account                       -> gid: a tag stands once per person
 *   NOTIFY_KEY  's' sub-tag NUL account gid               -> nothing
 *   NOTIFY_KEY  'm' module NUL event NUL account gid      -> nothing
 *   NOTIFY_KEY  'o' origin id NUL account                 -> gid
 *   NOTIFY_KEY  'x' expires_ms account gid                -> nothing
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

enum notify_type { NOTIFY_CONFIRM = 1, NOTIFY_FROM = 2, NOTIFY_SYSTEM = 4 }; /* the portal's numbers */
#define NOTIFY_SILENT 1u         /* no sound, no toast */
#define NOTIFY_FLASH 2u          /* shown once, not kept in the list */
#define NOTIFY_ANSWER 4u         /* takes a quick answer */
#define NOTIFY_READ 8u
#define NOTIFY_DONE 16u          /* confirmed or answered: buttons are gone */
#define NOTIFY_UNCOUNTED 32u     /* switched off for the web by the person: in the list, but never unread */
struct notify_button { struct str title, value; bool accept; };
#define NOTIFY_BUTTONS_MAX 8
#define NOTIFY_KEY_BYTES 200     /* tag, sub-tag, module, event, origin id: part of a key, so bounded */

struct notify_rec {              /* as stored; NOTIFY_READ is told by the index */
	uint64_t gid, seq, created_ms, expires_ms;
	uint32_t to, from;
	enum notify_type type;
	unsigned flags;
	struct str module, event, tag, sub_tag, title, text, plain, link, params, webhook, origin_id;
	struct str first_id;         /* message id of the first one with this tag: what clients correct (XEP-0308) */
	struct notify_button buttons[NOTIFY_BUTTONS_MAX]; size_t n_buttons;
	struct str result;           /* value of the pressed button, or the answer */
};

/* Adds or replaces the record and its index entries; unread unless NOTIFY_READ. The texts may not point into the store. */
void notify_rec_put(struct txn *t, const struct notify_rec *r);
/* 0, ERR_NOT_FOUND, ERR_CORRUPT. */
int notify_rec_get(struct txn *t, uint32_t account, uint64_t gid, struct notify_rec *out);
/* Removes the record and its index entries; false when there is none. */
bool notify_rec_del(struct txn *t, uint32_t account, uint64_t gid);
/* The notification with that tag / origin id; 0: none. */
uint64_t notify_rec_by_tag(struct txn *t, uint32_t account, struct str tag);
uint64_t notify_rec_by_origin(struct txn *t, uint32_t account, struct str origin_id);
/* Newest first from before (exclusive; 0: the end); false stops. */
typedef bool notify_rec_fn(void *ctx, const struct notify_rec *r);
void notify_rec_each(struct txn *t, uint32_t account, uint64_t before, notify_rec_fn *fn, void *ctx);
/* How many a person has, counted up to max; the oldest one's number. */
size_t notify_rec_count(struct txn *t, uint32_t account, size_t max, uint64_t *out_oldest);

/* Unread ones, counted up to max; the oldest of them (0: none). */
uint32_t notify_unread_count(struct txn *t, uint32_t account, uint32_t max, uint64_t *out_first);
bool notify_is_read(struct txn *t, uint32_t account, uint64_t gid);
/* True when it changed. */
bool notify_set_read(struct txn *t, uint32_t account, uint64_t gid, bool read);
/* All up to and with gid; returns how many changed. */
size_t notify_set_read_to(struct txn *t, uint32_t account, uint64_t gid);

/* A hit of an index; false stops. */
typedef bool notify_hit_fn(void *ctx, uint32_t account, uint64_t gid);
/* By sub-tag; by tag of everybody; by module and event (empty: any): of one person, or of all (account 0). */
void notify_hits_tag(struct txn *t, struct str tag, uint32_t account, notify_hit_fn *fn, void *ctx);
void notify_hits_sub_tag(struct txn *t, struct str sub_tag, uint32_t account, notify_hit_fn *fn, void *ctx);
void notify_hits_module(struct txn *t, struct str module, struct str event, uint32_t account, notify_hit_fn *fn, void *ctx);
/* Those whose time is over at now_ms. */
void notify_hits_expired(struct txn *t, uint64_t now_ms, notify_hit_fn *fn, void *ctx);

/* Channels of module and event that the person switched: bit per channel, known = switched at all, on = to on. */
void notify_channels_get(struct txn *t, uint32_t account, struct str module, struct str event, unsigned *out_known, unsigned *out_on);
void notify_channels_set(struct txn *t, uint32_t account, struct str module, struct str event, unsigned known, unsigned on);
/* All switches of a person; false stops. */
void notify_channels_each(struct txn *t, uint32_t account, bool (*fn)(void *ctx, struct str module, struct str event, unsigned known, unsigned on), void *ctx);
