/*
 * Presence by a map that every worker mirrors (design idea 6): bare JID -> available resources with their printed payload. A change is posted once per
 * worker; each writes to its own sessions that may see the person; a login reads the local mirror. Knows no XML.
 * Calls on the home thread of the session named; the mirror belongs to its worker.
 */
#pragma once
#include "server/im/session.h"

/* Registers its session hook; main, once. */
void presence_init(void);
void presence_thread_init(void);
void presence_thread_fini(void);

/* Available presence of a session (payload: printed children; NULL: none). The first one is initial presence (RFC 6121 4.2): the session gets the
 * presences of all it may see and what waited for it. Broadcast to all that may see. */
void presence_set(struct session *s, struct chunk *payload, int8_t priority);
/* The session becomes unavailable (payload with status or NULL): broadcast, and to everybody who got directed presence. Harmless when it is not
 * available. Called by the session_close hook as well. */
void presence_clear(struct session *s, struct chunk *payload);
/* After a restart: the session is available again as it was; only the mirror and others are told, nothing is sent to the session itself. */
void presence_restore(struct session *s, struct chunk *payload, int8_t priority);
/* Directed presence (RFC 6121 4.6): type NONE (available) or "unavailable". ERR_LIMIT above limit directed_presence. */
int presence_direct(struct session *s, const struct jid *to, struct str type, struct str id, struct chunk *payload);
/* A presence stanza of any type from `from` to one address (subscription stanzas of the roster), delivered on its home: to all available resources of a
 * bare JID, or to the one resource. Any worker. */
void presence_post(struct str from, const struct jid *to, struct str type, struct str id, struct chunk *payload);
/* Answers a probe (RFC 6121 4.3) to the asking session by the visibility rule; outsiders learn nothing (row I11). */
void presence_probe(struct session *asker, const struct jid *to);
/* The one question: may the account viewer see presence, vCard and devices of subject: company structure, or a subscription of his own. Any
 * worker. */
bool presence_may_see(uint32_t viewer, uint32_t subject);
/* True when any session of that bare JID is available now (local mirror). */
bool presence_is_available(struct str bare);
/* Runs fn for each available resource of a bare JID in the local mirror (disco, vCard, PEP to interested). */
void presence_each(struct str bare, void (*fn)(void *ctx, struct str resource, int8_t priority, struct chunk *payload), void *ctx);
/* Runs fn for each bare JID that is available now (local mirror). */
void presence_each_person(void (*fn)(void *ctx, struct str bare), void *ctx);
/* Sends one session's presence, or its unavailability, to newly visible / no longer visible people after a change of structure or subscription:
 * `to` (bare) now sees (or no longer sees) `about` (bare). Any worker. */
void presence_reveal(struct str about, struct str to, bool visible);
