/* What api_notify.c and api_broadcast.c share. Worker of the connection. */
#pragma once
#include "bosh/api.h"
#include "server/im/notify.h"

/* Reads what is to be notified, all but the person. False after answering. */
bool api_notify_read(struct http_request *rq, const json_t *in, struct notify_new *n);
json_t *api_json_notify(struct arena *a, struct txn *t, const struct notify_rec *r);
