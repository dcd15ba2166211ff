/* The resources of the API: one file each, one table each (listed in server/admin/control.c). */
#pragma once
#include "bosh/route.h"

extern const struct route org_routes[], user_routes[], server_routes[];

/* The domain asked for, or the first one; false after answering 404. */
bool api_domain(struct http_request *rq, struct str domain, struct str *out);
