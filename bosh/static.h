/* Files of a folder over HTTP. The list is made at start and at reload; what is not in it is not there (row W05). Any worker. */
#pragma once
#include "bosh/http.h"

/* Lists the folder ("": none) with everything below it; hidden files, links and the .gz/.br variants of others are no entries. Main, before the
 * workers start and at reload. 0 or an error whose text names the cure. */
int static_init(const char *root, struct err_msg *msg);
/* Answers with the file of that path ("/index.html") in the best encoding; false when there is none: nothing was answered. GET and HEAD only. */
bool static_answer(struct http_request *rq, struct str path);
