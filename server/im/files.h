/*
 * Uploaded files: promised (a slot), received into a temporary name, synced, renamed to their SHA-256 in DATA/files/ab/..., then recorded. Two uploads
 * of the same bytes are one file. Rows W06, W12. A file goes when its message is retracted, or when it is deleted. Knows no HTTP, no XML. Worker
 * threads; syncing, hashing the type and deleting run on helpers.
 */
#pragma once
#include "base/err.h"
#include "server/im/principal.h"
#include "storage/tab_file.h"

/* Makes DATA/files, removes what a crash left half received, and starts to observe messages. Main, before the workers start. */
int files_init(struct err_msg *msg);

/* A promise for one file of exactly that size within limits()->upload_slot_ms. ERR_LIMIT: larger than upload_bytes or beyond the person's quota of the day
 * (upload_day_bytes); ERR_NO_SPACE: the disk is fuller than upload_disk_percent; ERR_SYNTAX: the name. token is valid during the call. owner 0:
 * a service. */
typedef void file_slot_fn(void *ctx, int err, struct str token, uint64_t number);
void file_slot(uint32_t owner, struct str name, struct str type, uint64_t size, file_slot_fn *done, void *ctx);

/* Receiving. One struct per upload; the caller gives pieces in order, then ends or drops it (which removes the temporary file). */
struct file_upload;
/* 0 with *out; ERR_NOT_FOUND: no such promise; ERR_TIMEOUT: too late; ERR_EXISTS: used already (W12: a second PUT), ERR_IO, ERR_NO_SPACE. */
int file_begin(struct str token, struct file_upload **out);
/* What was promised. */
const struct file_rec *file_promised(const struct file_upload *u);
/* ERR_LIMIT: more than promised; ERR_IO, ERR_NO_SPACE. */
int file_write(struct file_upload *u, struct str piece);
/* Another name than the promised one; one that is unfit is ignored. */
void file_rename(struct file_upload *u, struct str name);
/* Syncs, renames, looks at the content, records; frees u. ERR_CONFLICT: fewer bytes than promised, unless may_be_shorter. r is valid during done. */
typedef void file_stored_fn(void *ctx, int err, const struct file_rec *r);
void file_end(struct file_upload *u, bool may_be_shorter, file_stored_fn *done, void *ctx);
void file_drop(struct file_upload *u);

/* Appends the public address of a file: im.http_url, token, percent-encoded name. */
struct buf;
void file_url(struct buf *b, struct str token, struct str name);
/* Opens the bytes for reading: descriptor (the caller's) and record (token, name, type in the arena); ERR_NOT_FOUND. */
struct arena;
int file_open(struct arena *a, struct str token, struct file_rec *out, int *out_fd);
/* True when a browser may show this type in place (short list: pictures, sound, video, plain text; never HTML, SVG, PDF; row W06). */
bool file_may_show(struct str type);
/* Removes record and bytes: by the owner or whoever has SCOPE_ADMIN. ERR_FORBIDDEN, ERR_NOT_FOUND. */
typedef void file_done_fn(void *ctx, int err);
void file_delete(const struct principal *by, uint64_t number, file_done_fn *done, void *ctx);
/* Removes all files that a message brought; it was retracted. */
#define FILES_PER_MESSAGE 64
void file_delete_message(uint64_t gid);
/* The form of a token: 22 URL-safe characters. */
bool file_token_valid(struct str token);
/* files_message.c: ties files to the messages that bring them. files_init() calls it. */
void files_observe_messages(void);
