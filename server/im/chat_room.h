/*
 * Who is in a chat right now, mirrored by every worker that needs it: occupants (people with sessions that joined, XEP-0045) with their printed presence, and this
 * worker's own sessions among them or following (docs/web-and-chats.md). What is said goes from done() of its operation, which runs on every worker in
 * commit order, to this worker's sessions. An occupant's home worker decides about his coming and going; the others obey its mail. Knows no XML: the
 * dialect prints presences in the observer. Worker threads; pointers are valid for this loop step.
 */
#pragma once
#include "server/im/chat.h"
#include "server/im/session.h"

struct occupant_session {
	struct occupant_session *next;
	uint64_t session;            /* struct session.number */
	struct jid jid;              /* full */
	struct chunk *presence;      /* printed children of its presence in the room, or NULL */
};
struct occupant {
	uint32_t account;
	uint8_t role;                /* enum chat_role */
	struct str nick;
	struct jid jid;              /* bare */
	struct occupant_session *sessions;
	char bytes[];
};
struct room {
	uint64_t number;
	struct jid jid;              /* chat<N>@chats.DOMAIN */
	struct list seats;           /* struct seat.of_room */
	struct idmap *occupants;     /* account -> struct occupant */
};
/* A session of this worker that gets what is said in the room. */
struct seat {
	struct list of_room, of_session;
	struct session *s;
	struct room *room;
	uint64_t seen;               /* newest seq that it was given or that lay behind it when it came */
	bool joined;                 /* as an occupant; otherwise it only follows */
	struct jid as;               /* bare address by which it joined */
};

enum room_why {
	ROOM_JOINED, ROOM_PRESENCE,  /* came; changed its presence */
	ROOM_LEFT,                   /* on its own, or its session ended */
	ROOM_ROLE,                   /* role changed; session 0 */
	ROOM_REMOVED, ROOM_BANNED,   /* membership was taken: 321, 301 */
	ROOM_DESTROYED,              /* who and session NULL: everybody's seat goes */
};
struct room_change {
	enum room_why why;
	struct room *room;
	const struct occupant *who;  /* as it is after joining or before leaving; NULL: ROOM_DESTROYED */
	const struct occupant_session *session; /* NULL: ROOM_ROLE, ROOM_DESTROYED */
	bool last;                   /* leaving: no other session of the person stays */
	uint32_t actor;              /* who removed; 0: nobody or himself */
	struct str reason;
	struct chunk *presence;      /* leaving: what it said, or NULL */
};
/* Called on every worker; seats of the leaving session are still there. One observer, set once by the dialect. */
typedef void room_observer_fn(const struct room_change *c);
void room_observe(room_observer_fn *fn);
/* Registers session hooks; module start. */
void room_init(void);
void room_thread_init(void);
void room_thread_fini(void);

/* The mirror of a chat, NULL when nobody is in it. */
struct room *room_find(uint64_t number);
void room_each_occupant(const struct room *r, void (*fn)(void *ctx, const struct occupant *o), void *ctx);
/* The seat of a session, NULL when it neither joined nor follows. */
struct seat *room_seat(const struct session *s, uint64_t number);

/* The session (home worker, checked by chat_look in the same t) becomes an occupant, or joins again. Where history ends and live begins: everything up to the
 * returned seat's `seen` is history, later entries will be delivered. Send the others' presences before and history after this call, all in one step: the
 * observer tells this worker's seats (the session's too) before it returns. presence: printed children or NULL. */
struct seat *room_join(struct session *s, struct txn *t, const struct chat_rec *chat, enum chat_role role, const struct jid *as, struct chunk *presence);
/* Another presence of a joined session. */
void room_presence(struct seat *seat, struct chunk *presence);
/* Leaves; the seat stays when the session follows. */
void room_leave(struct seat *seat, struct chunk *presence);
/* The session gets every message of every chat of its person from now on, or no more (web clients). Home worker. */
void room_follow(struct session *s, bool on);

/* One thing said, for done() functions and history. */
struct room_message {
	uint64_t number, gid, seq;   /* gid, seq 0: not stored */
	uint32_t author;             /* 0: the chat itself */
	unsigned flags;
	enum message_type type;
	struct str id, lang;
	struct chunk *payload;
	uint64_t delay_ms;           /* history: when it was said; 0: now */
	bool hold;                   /* may be dropped for inactive clients (XEP-0352) */
};
/* To this worker's seats that have not seen it. */
void room_deliver(const struct room_message *m);
/* To one seat. */
void room_send(struct seat *seat, const struct room_message *m);
/* Sends history to the seat: entries after `after` (and the floor) and not older than since_us, at most the newest max, up to the seat's seen; how many. */
size_t room_history(struct seat *seat, struct txn *t, uint64_t after, uint64_t since_us, size_t max);

/* ---- delivered cursor of a person in a chat (chat_delivered.c); written when the last session leaves, at unload and at the stop ---- */
/* A session confirmed a message (chat and seq of struct outgoing). */
void room_confirmed(struct user *u, uint64_t number, uint64_t seq);
/* Up to where the person's sessions have got the chat: what memory and store know. */
uint64_t room_delivered(struct user *u, struct txn *t, uint64_t number);
/* Where history begins for a session that comes in: that, or up to where it was given the chat itself before it left, confirmed or not. */
uint64_t room_missed_after(const struct session *s, struct txn *t, uint64_t number);
/* Writes what has moved: of one chat; of all users of this worker (orderly stop). */
void room_delivered_write(struct user *u, uint64_t number);
void room_delivered_write_all(struct user *u);
void room_flush(void);
/* Writes and frees: the user is unloaded. */
void room_delivered_forget(struct user *u);
/* Frees per-thread state (thread end). */
void room_delivered_thread_end(void);

/* For done() of chat operations: membership of an account changed; the chat is gone. */
void room_member_changed(uint64_t number, uint32_t account, enum chat_role role, uint32_t actor, struct str reason);
void room_destroyed(uint64_t number, struct str reason);
