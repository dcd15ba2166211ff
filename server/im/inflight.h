/*
 * The delivered cursor (design idea 1, row D03): every stored message for a loaded user is an entry until some session confirmed it
 * (XEP-0198 <a/>, or TCP for clients without). The cursor is the number below which everything is confirmed; entries whose session died
 * are handed to the next session. Written lazily: after a crash a message may come twice with the same stanza-id, never not at all.
 * Home thread of the user.
 */
#pragma once
#include "server/im/session.h"

struct inflight;
/* Frees per-thread state (thread end). */
void inflight_thread_end(void);
/* Writes the cursors of this worker that have moved, without waiting for the timer (orderly stop, row D16). */
void inflight_flush(void);
/* Reads cursor and what lies behind it. */
void inflight_load(struct user *u);
/* Writes the cursor if changed and frees. */
void inflight_unload(struct user *u);
/* A stored message for u exists: not given to anybody yet. False when the load of u has seen it in the log already: then it was handed over, or will be, by
 * deliver_waiting. */
bool inflight_add(struct user *u, uint64_t gid);
/* A session now holds it / has confirmed it / is gone without confirming. */
void inflight_hold(struct user *u, uint64_t gid);
void inflight_confirm(struct user *u, uint64_t gid);
void inflight_drop(struct user *u, uint64_t gid);
/* Numbers that nobody holds, ascending, at most max; returns how many. */
size_t inflight_waiting(const struct user *u, uint64_t *out_gids, size_t max);
uint64_t inflight_cursor(const struct user *u);
