/*
 * What somebody outside was promised before a power cut, and whether an image of the disk holds it. Marks are texts:
 *   acked BODY        the server acknowledged a message with this body
 *   sm ID H           it sent <a h='H'/> in the resumable session ID (XEP-0198)
 *   private NAME N    it answered the storing of private XML: text "NAME:N", N rising (XEP-0049)
 *   begin NAME        a backup into directory NAME is about to be asked for
 *   backup NAME       it was reported as done
 *   key N             (programs of control.c) the transaction of key N was committed
 */
#pragma once
#include "base/str.h"

enum verdict {
	KEPT,	 /* it opens and everything is there */
	LOST,	 /* it opens, something is missing */
	CORRUPT, /* it does not open, or reading it fails */
};

/* An image of a data directory of ours (`data` below dir, backups beside it): opened as the daemon does it, read completely, compared with
 * marks[0..n). What is wrong is printed. Any process; leaves nothing open. */
enum verdict promise_store(const char *dir, const struct str *marks, size_t n);
/* An image of control.c's plain LMDB directory. */
enum verdict promise_lmdb(const char *dir, const struct str *marks, size_t n);
