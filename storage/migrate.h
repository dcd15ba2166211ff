/* Schema version of a data directory (row D14): checked and raised when the store opens. */
#pragma once
#include "storage/engine.h"

#define SCHEMA_VERSION 2
/* New store: writes the version and a random server secret. Older: upgrades. Newer: ERR_VERSION with a text. */
int migrate_check(struct store *s, struct err_msg *msg);
/* 32 secret bytes made at creation: fake SCRAM salts, opaque ids. ERR_NOT_FOUND before migrate_check. */
int store_secret(struct store *s, uint8_t out[32]);
