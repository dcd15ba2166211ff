/* The only source of randomness: getrandom(2) (row A12). Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Fills n bytes; ends the process when the kernel cannot give any. */
void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
/* Writes a token of 128 random bits as 22 URL-safe characters and a NUL. */
#define RANDOM_TOKEN 23
void random_token(char out[RANDOM_TOKEN]);
