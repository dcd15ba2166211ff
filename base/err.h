/* Error codes: functions that can fail return 0 or one of these; library layers return them and do not log. */
#pragma once
#include "base/str.h"

#define ERR_LIST(X)                                                                                            \
	X(NOMEM, -1, "out of memory")                                                                          \
	X(SYNTAX, -2, "malformed input")                                                                       \
	X(LIMIT, -3, "a limit was reached")                                                                    \
	X(NOT_FOUND, -4, "not found")                                                                          \
	X(EXISTS, -5, "exists already")                                                                        \
	X(FORBIDDEN, -6, "not allowed")                                                                        \
	X(IO, -7, "input/output error")                                                                        \
	X(NO_SPACE, -8, "no space left")                                                                       \
	X(CORRUPT, -9, "damaged data")                                                                         \
	X(VERSION, -10, "made by a newer or foreign version")                                                  \
	X(AGAIN, -11, "not now, try again")                                                                    \
	X(CLOSED, -12, "closed")                                                                               \
	X(AUTH, -13, "authentication failed")                                                                  \
	X(CONFLICT, -14, "conflict with the present state")                                                    \
	X(UNSUPPORTED, -15, "not supported")                                                                   \
	X(TIMEOUT, -16, "timed out")                                                                           \
	X(BUSY, -17, "in use by another process")                                                              \
	X(CRYPTO, -18, "cryptographic operation failed")

enum err {
#define X(name, code, text) ERR_##name = code,
	ERR_LIST(X)
#undef X
};

/* English text of a code; never NULL. */
const char *err_text(int code);
/* Maps errno to a code (ENOSPC, EDQUOT -> NO_SPACE, EIO -> IO, ...). */
int err_from_errno(int errnum);

/* A message for the person who reads it: what happened and what to do. Filled by functions that take one. */
struct err_msg { char text[512]; };
/* Writes the text (cut at the end if longer) and returns code, so `return err_set(msg, ERR_X, ...)` works. msg may
 * be NULL. */
int err_set(struct err_msg *msg, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
