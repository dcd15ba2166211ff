/* Where WebSocket and BOSH are (XEP-0156, RFC 6415), in XML and JSON. */
#pragma once
#include "bosh/route.h"

extern const struct route host_meta_routes[];
