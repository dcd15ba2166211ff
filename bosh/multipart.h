/*
 * The first file of a multipart/form-data body (RFC 7578), taken while it arrives. Other parts are passed over. Keeps no more than one delimiter and one
 * part's head (limit 4 KiB). Owned by the caller; no I/O. Any thread.
 */
#pragma once
#include "base/buf.h"

#define MULTIPART_DELIMITER_MAX 80
enum multipart_state { MULTIPART_PREAMBLE, MULTIPART_HEAD, MULTIPART_FILE, MULTIPART_OTHER, MULTIPART_DONE, MULTIPART_BAD };
struct multipart {
	enum multipart_state state;
	char delimiter[MULTIPART_DELIMITER_MAX]; /* CR LF "--" boundary */
	size_t delimiter_n;
	struct buf pending;          /* what may be the beginning of a delimiter, or a head */
	bool had_file;
	struct str name, type;       /* of the file, in name_buf; valid from its first byte */
	char name_buf[1024];
	/* Bytes of the file; negative ends the parsing with that error. */
	int (*data)(void *ctx, struct str piece);
	/* The head of the file is read: name and type are known. */
	int (*begin)(void *ctx);
	void *ctx;
};
/* content_type: the request's header. ERR_SYNTAX when it is no multipart/form-data with a boundary of 1 to 70 characters. */
int multipart_init(struct multipart *m, struct str content_type);
/* The next bytes of the body. 0; ERR_SYNTAX; what data or begin returned. */
int multipart_feed(struct multipart *m, struct str piece);
/* 0 when a file was there and its end was seen. */
int multipart_end(const struct multipart *m);
void multipart_clear(struct multipart *m);
