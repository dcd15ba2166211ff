/* Changes of a chat's settings, as occupants hear of them (XEP-0045 10.2.1). Per worker; each tells its own sessions. */
#pragma once
#include "server/im/chat_room.h"

/* Somebody of this worker came in: from now on changes are compared with this. */
void muc_watch(const struct chat_rec *rec);
/* Nobody of this worker is in it any more. */
void muc_watch_forget(uint64_t number);
/* Registers the observer; main, once. */
void muc_watch_init(void);
void muc_watch_thread_fini(void);
/* muc_presence.c: the occupant's role goes by another name now; tells this worker's seats. */
void muc_tell_role(struct room *r, const struct occupant *o);
