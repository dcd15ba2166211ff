/* XMPP over WebSocket (RFC 6455, RFC 7395). Worker of the connection; after login the home of the account. */
#pragma once
#include "bosh/route.h"

/* GET /ws */
extern const struct route websocket_routes[];
