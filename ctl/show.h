/* Printing answers of the API for people. */
#pragma once
#include <jansson.h>

typedef void show_fn(json_t *answer);
show_fn show_import, show_done, show_users, show_org, show_pairs, show_sessions, show_audit, show_check, show_token, show_tokens;
