/* Which passwords were right lately: entries are HMAC-SHA256 under a random key of this process over account,
 * credentials epoch and password, so neither a password nor anything usable after a restart is in it. Fixed size,
 * expiring (limit auth_cache_ms). Any thread. */
#pragma once
#include "base/str.h"

/* True when this very password was found right for that epoch of the account. */
bool auth_cache_has(uint32_t account_id, uint32_t epoch, struct str prepared);
void auth_cache_put(uint32_t account_id, uint32_t epoch, struct str prepared);
