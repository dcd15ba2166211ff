/*
 * Texts of error codes, errno mapping, and messages for people. Any thread, no state.
 */
#include "base/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	int code;
	const char *text;
} texts[] = { { 0, "no error" },
#define X(name, number, words) { number, words },
	      ERR_LIST(X)
#undef X
};

static const struct {
	int errnum, code;
} from_errno[] = {
	{ ENOMEM, ERR_NOMEM },
	{ ENOSPC, ERR_NO_SPACE },
	{ EDQUOT, ERR_NO_SPACE },
	{ EFBIG, ERR_NO_SPACE },
	{ EIO, ERR_IO },
	{ ENOENT, ERR_NOT_FOUND },
	{ ENOTDIR, ERR_NOT_FOUND },
	{ EEXIST, ERR_EXISTS },
	{ EACCES, ERR_FORBIDDEN },
	{ EPERM, ERR_FORBIDDEN },
	{ EROFS, ERR_FORBIDDEN },
	{ EAGAIN, ERR_AGAIN },
	{ EINTR, ERR_AGAIN },
	{ EMFILE, ERR_LIMIT },
	{ ENFILE, ERR_LIMIT },
	{ ENOBUFS, ERR_NOMEM },
	{ EPIPE, ERR_CLOSED },
	{ ECONNRESET, ERR_CLOSED },
	{ ECONNREFUSED, ERR_CLOSED },
	{ ECONNABORTED, ERR_CLOSED },
	{ ENOTCONN, ERR_CLOSED },
	{ ETIMEDOUT, ERR_TIMEOUT },
	{ EBUSY, ERR_BUSY },
	{ EADDRINUSE, ERR_BUSY },
	{ ETXTBSY, ERR_BUSY },
	{ EOPNOTSUPP, ERR_UNSUPPORTED },
	{ ENOSYS, ERR_UNSUPPORTED },
	{ EILSEQ, ERR_SYNTAX },
	{ EINVAL, ERR_SYNTAX },
};

const char *err_text(int code)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].code == code)
			return texts[i].text;
	}
	return "unknown error";
}

int err_from_errno(int errnum)
{
	for (size_t i = 0; i < sizeof(from_errno) / sizeof(from_errno[0]); i++) {
		if (from_errno[i].errnum == errnum)
			return from_errno[i].code;
	}
	return ERR_IO;
}

int err_set(struct err_msg *msg, int code, const char *fmt, ...)
{
	if (msg) {
		va_list ap;
		va_start(ap, fmt);
		int n = vsnprintf(msg->text, sizeof(msg->text), fmt, ap);
		va_end(ap);
		if (n >= (int)sizeof(msg->text)) { /* cut: not in the middle of a character */
			char *end = msg->text + sizeof(msg->text) - 1;
			do
				end--;
			while (end > msg->text && ((unsigned char)*end & 0xc0) == 0x80);
			if ((unsigned char)*end >= 0xc0)
				*end = 0;
		}
	}
	return code;
}
