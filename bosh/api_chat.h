/* What api_chat.c and api_member.c share. Worker of the connection. */
#pragma once
#include "bosh/api.h"
#include "storage/tab_chat.h"

/* The error of a change of a chat, with what to do about it. */
void api_chat_error(struct http_request *rq, int err);
/* 204, or the error: a chat_done_fn. ctx: the request. */
void api_chat_done(void *ctx, int err, uint64_t number, uint64_t gid);
/* The chat as the asker may know it, with his membership (role CHAT_NONE: not in it): chat_look(), or for a service with the scope chats any of its domain. */
int api_chat_look(struct http_request *rq, struct txn *t, uint64_t number, struct chat_rec *out, struct chat_member_rec *out_me);
