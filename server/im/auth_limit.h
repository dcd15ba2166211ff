/*
 * Brakes on password guessing (row A10): a delay that doubles per (address, account) and a slow lane for addresses with
 * many failures. Never a lock of an account: its owner at another address notices nothing. Fixed tables in memory,
 * forgotten after 15 minutes. Any thread (one lock per shard). Limits auth_delay_ms, auth_delay_max_ms,
 * auth_failures_ip.
 */
#pragma once
#include "base/str.h"

/* Milliseconds that an attempt must wait before it is verified; <= auth_delay_max_ms. -1: the slow lane of this address
 * is full, refuse without verifying. Each call of an address in the slow lane takes one slot of it. */
int64_t auth_wait_ms(const char *ip, struct str account);
/* Same for the answer to a failure: what is left of the pair's delay; takes no slot. */
uint64_t auth_delay_ms(const char *ip, struct str account);
/* account: bare JID as prepared (or as sent when that failed: unknown names count like known ones). */
void auth_failed(const char *ip, struct str account);
/* Forgives the pair; failures of the address stay counted. */
void auth_succeeded(const char *ip, struct str account);
/* Forgets everything (tests). */
void auth_limit_clear(void);
