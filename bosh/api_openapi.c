/* GET /api/v1/openapi.json: the description that tests/api/run compares with the route tables and with answers. Worker of the connection. */
#include "bosh/api.h"

static const char text[] =
#include "bosh/openapi_text.h" /* made of bosh/openapi.json */
	;

static void openapi(struct http_request *rq)
{
	answer_json(rq, 200, str_of(text, sizeof text - 1));
}

const struct route openapi_routes[] = {
	{ "GET", "/api/v1/openapi.json", ROUTE_OPEN, openapi },
	{ .path = NULL },
};
