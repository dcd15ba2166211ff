/* SHA, HMAC, PBKDF2, AES-free helpers over OpenSSL; constant-time compare. Any thread; no state. */
#pragma once
#include "base/str.h"

enum hash_kind { HASH_SHA1, HASH_SHA256, HASH_SHA512, HASH_KINDS };
#define HASH_MAX 64

/* Length in bytes of a digest. */
size_t digest_size(enum hash_kind k);
void digest(enum hash_kind k, struct str data, uint8_t out[HASH_MAX]);
void hmac(enum hash_kind k, struct str key, struct str data, uint8_t out[HASH_MAX]);
/* PBKDF2-HMAC; slow by design, so never on a loop (RFC 8018). */
void pbkdf2(enum hash_kind k, struct str password, struct str salt, uint32_t iterations, uint8_t out[HASH_MAX]);
/* Equal lengths and bytes, in constant time: the only way to compare secrets (row A09). */
bool secret_eq(struct str a, struct str b);
/* Overwrites memory so that the compiler cannot skip it. */
void secret_wipe(void *p, size_t n);
/* CRC32C (Castagnoli, RFC 3720 appendix B.4), by the CPU's instruction when there. crc: 0, or the result over what
 * came before. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same by tables (CPUs without the instruction; the tests compare both). */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);
