/*
 * Randomness straight from the kernel (row A12). Any thread. No pool of our own: a pool would have to survive fork
 * and would keep unused secrets in memory, and a call costs well under a microsecond.
 */
#include "base/random.h"
#include "base/fault.h"
#include "base/log.h"
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

void random_bytes(void *p, size_t n)
{
	char *at = p;
	while (n > 0) {
		ssize_t got = fault_hit("random") ? -1 : getrandom(at, n, 0);
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		} else if (got == 0 || errno != EINTR) {
			log_error("random.failed", LI("errno", errno));
			_exit(1);
		}
	}
}

uint64_t random_u64(void)
{
	uint64_t v;
	random_bytes(&v, sizeof(v));
	return v;
}

void random_token(char out[RANDOM_TOKEN])
{
	static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char bits[16];
	random_bytes(bits, sizeof(bits));
	/* 21 characters of 6 bits and one of the last 2 bits: 128 in all. */
	unsigned acc = 0, have = 0;
	size_t o = 0;
	for (size_t i = 0; i < sizeof(bits); i++) {
		acc = (acc << 8 | bits[i]) & 0xffff;
		for (have += 8; have >= 6; have -= 6)
			out[o++] = alphabet[acc >> (have - 6) & 63];
	}
	out[o++] = alphabet[acc << (6 - have) & 63];
	out[o] = '\0';
}
