/* Uploads and downloads: PUT and GET /upload/TOKEN/NAME (XEP-0363), /api/v1/files. Worker of the connection. */
#pragma once
#include "bosh/route.h"

extern const struct route upload_routes[];
