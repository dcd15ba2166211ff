/* Route tables of the administration files. */
#pragma once
#include "bosh/route.h"

extern const struct route page_routes[], metrics_routes[];
