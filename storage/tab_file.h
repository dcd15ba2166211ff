/*
 * Uploaded files as stored (the bytes lie in DATA/files, server/im/files.h):
 *   FILE  'n' number             -> file record
 *   FILE  't' token              -> number      the unguessable part of its address
 *   FILE  'h' SHA-256            -> how many records share these bytes
 *   FILE  'd' account, day       -> bytes promised to the person that day (quota)
 *   FILE  'm' gid, number        -> nothing     files that a message brought; they go with it
 *   FILE  's'                    -> bytes of all files
 *   META  "next file id"
 * Writes on the writer thread, reads on any thread; slices as txn_get.
 */
#pragma once
#include "storage/engine.h"

enum file_state { FILE_SLOT, FILE_STORED };
struct file_rec {
	uint64_t number;
	uint8_t state;
	uint32_t owner;
	uint64_t size, created_ms;   /* of a slot: when it was promised */
	struct str token, name, type; /* type: by content once it is stored, as promised before */
	uint8_t hash[32];
	uint32_t width, height;      /* of pictures; 0: unknown */
};

/* Assigns the number. */
void file_create(struct txn *t, struct file_rec *r);
/* 0, ERR_NOT_FOUND, ERR_CORRUPT. */
int file_get(struct txn *t, uint64_t number, struct file_rec *out);
int file_by_token(struct txn *t, struct str token, struct file_rec *out);
/* Slot -> stored; counts a reference to the bytes and their size. */
void file_store(struct txn *t, const struct file_rec *r);
/* Removes the record; true when nobody else has these bytes: the file itself may go. */
bool file_remove(struct txn *t, const struct file_rec *r);
/* Records that share the bytes. */
uint64_t file_sharers(struct txn *t, const uint8_t hash[32]);
uint64_t file_total(struct txn *t);
uint64_t file_day_bytes(struct txn *t, uint32_t account, uint32_t day);
void file_add_day_bytes(struct txn *t, uint32_t account, uint32_t day, uint64_t bytes);
/* Ties a file to the message that brought it; the numbers of a message, at most max. */
void file_tie(struct txn *t, uint64_t gid, uint64_t number);
size_t file_of_message(struct txn *t, uint64_t gid, uint64_t *out, size_t max);
void file_untie(struct txn *t, uint64_t gid, uint64_t number);
/* Slots promised before the time that nobody used, at most max. */
size_t file_old_slots(struct txn *t, uint64_t before_ms, uint64_t *out, size_t max);
