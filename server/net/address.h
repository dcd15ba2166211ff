/* What one peer address may do: new connections per second, and connections that have not logged in. An IPv4 address, an IPv6 /64 (what
 * one subscriber has) or "unix" is one address. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Charges one new connection against the limits accept_rate_ip and accept_burst_ip; false = refuse. */
bool address_accept(const struct sockaddr *a, uint64_t now_ms);
/* Forgets all addresses (tests, end of the process). */
void address_clear(void);
