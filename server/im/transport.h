/*
 * How the messenger hands things to a session without knowing its wire format: a stanza is attributes plus an opaque payload that was
 * printed once and is shared. Implemented by server/xmpp/session_xmpp.c (TCP, WebSocket, BOSH streams) and later by API event
 * streams. All calls on the session's home thread.
 */
#pragma once
#include "base/chunk.h"
#include "xml/jid.h"

struct session;

enum stanza_kind { STANZA_MESSAGE, STANZA_PRESENCE, STANZA_IQ };
enum carbon_kind { CARBON_NONE, CARBON_SENT, CARBON_RECEIVED };

/* One stanza to one session. Everything is borrowed for the duration of the call; payload is referenced if kept. */
struct outgoing {
	enum stanza_kind kind;
	enum carbon_kind carbon;     /* wrap as XEP-0280 carbon */
	struct str from, to;         /* full or bare JIDs as text; to.p == NULL: the session's own full JID */
	struct str type, id, lang;   /* p == NULL: omitted */
	struct chunk *payload;       /* children as printed XML in jabber:client; NULL: none */
	uint64_t gid;                /* number in the store: gets a stanza-id and counts for the delivered cursor; 0: transient */
	struct str by;               /* whose archive the stanza-id belongs to (bare JID) */
	uint64_t chat, seq;          /* chat message: number and seq; what confirms it moves the delivered cursor of that chat (im/chat_room.h); 0: none */
	struct str occupant;         /* XEP-0421 id of its author in the chat; p == NULL: none */
	uint64_t delay_ms;           /* wall clock: adds a delay stamp (XEP-0203); 0: none */
	bool may_wait;               /* nobody waits for it: some milliseconds, to share a write with others (presence of others) */
	bool hold_while_inactive;    /* CSI (XEP-0352): may wait, newest per sender wins (presence) or be dropped (chat state) */
};

struct transport {
	const char *name;            /* "tcp", "ws", "bosh" */
	/* Queues; never fails for the caller: a session that cannot take more is detached or ended by the transport itself. */
	void (*send)(struct session *s, const struct outgoing *o);
	/* Ends the session: condition is an RFC 6120 stream error ("conflict", "not-authorized", ...), text for the person. The
	 * session is closed by the transport some time later (never nested). */
	void (*kick)(struct session *s, const char *condition, const char *text);
	/* Copies what an administrator wants to see: address, TLS version and cipher, resumable or not. */
	void (*describe)(struct session *s, struct buf *out_json_members);
	/* So much is unsent or unconfirmed that what can wait (pushes by the thousand) should. NULL: never. */
	bool (*is_full)(const struct session *s);
};
