/* Entity capabilities of our own clients (XEP-0115): which PEP events a session wants (+notify). Home thread of the
 * session. */
#pragma once
#include "server/xmpp/request.h"

/* Hooks; main, once. */
void caps_init(void);
/* Frees this worker's cache. */
void caps_thread_fini(void);
/* Broadcast presence arrived: c is its <c/> or NULL, initial: the session was not available before. Asks the client
 * when its caps are not known; calls pep_send_last() when what it wants becomes known. */
void caps_presence(struct session *s, const struct node *c, bool initial);
/* The session is available again after a restart of the server (its payload as printed): asks, sends no items. */
void caps_restored(struct session *s, struct str payload);
/* An iq result or error to the server: true when it answered our question. */
bool caps_answer(struct request *rq);
/* True when the client wants events of that node / of any node. */
bool caps_wants(const struct session *s, struct str node);
bool caps_wants_any(const struct session *s);

/* XEP-0115 5.4: the disco#info answer makes the verification string whose hash ("sha-1" ...) is ver. False also when
 * the answer is ill-formed (row I12). Any thread. */
bool caps_verify(struct arena *a, const struct node *query, struct str hash, struct str ver);
