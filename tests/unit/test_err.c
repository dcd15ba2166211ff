/*
 * base/err: texts, errno, messages.
 */
#include "base/err.h"
#include "tests/lib/test.h"
#include <errno.h>

TEST(every_code_has_its_own_text)
{
	static const int codes[] = {
#define X(name, code, text) ERR_##name,
		ERR_LIST(X)
#undef X
	};
	enum { N = sizeof(codes) / sizeof(codes[0]) };
	bool distinct = true;
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < i; k++)
			distinct =
				distinct && codes[i] != codes[k] && strcmp(err_text(codes[i]), err_text(codes[k])) != 0;
		distinct = distinct && codes[i] < 0;
	}
	ok(distinct, "%d codes", N);
	is_cstr(err_text(ERR_NO_SPACE), "no space left");
	is_cstr(err_text(0), "no error");
	is_cstr(err_text(-999), "unknown error");
	is_cstr(err_text(7), "unknown error");
}

/* Row D06: a full disk and a broken one are told apart. */
TEST(errno_values)
{
	is_int(err_from_errno(ENOSPC), ERR_NO_SPACE);
	is_int(err_from_errno(EDQUOT), ERR_NO_SPACE);
	is_int(err_from_errno(EIO), ERR_IO);
	is_int(err_from_errno(ENOENT), ERR_NOT_FOUND);
	is_int(err_from_errno(EACCES), ERR_FORBIDDEN);
	is_int(err_from_errno(EADDRINUSE), ERR_BUSY);
	is_int(err_from_errno(ECONNRESET), ERR_CLOSED);
	is_int(err_from_errno(EWOULDBLOCK), ERR_AGAIN);
	is_int(err_from_errno(99999), ERR_IO);
}

TEST(messages)
{
	struct err_msg msg;
	is_int(err_set(&msg, ERR_BUSY, "port %d is taken", 5222), ERR_BUSY);
	is_cstr(msg.text, "port 5222 is taken");
	is_int(err_set(NULL, ERR_IO, "nobody reads this"), ERR_IO);
	is_int(err_set(&msg, ERR_IO, "%1000d", 1), ERR_IO);
	is_int(strlen(msg.text), sizeof(msg.text) - 1);
	/* Cut at the end, but never half a character: the text goes into JSON. */
	for (int pad = 505; pad <= 511; pad++) {
		err_set(&msg, ERR_IO, "%*d\u042f\u20ac\U0001f600", pad, 1);
		ok(str_utf8_valid(str_c(msg.text)) && strlen(msg.text) >= (size_t)pad &&
			   strlen(msg.text) + 4 >= sizeof(msg.text) - 1,
		   "cut behind %d bytes: %zu", pad, strlen(msg.text));
	}
}
