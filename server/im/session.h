/*
 * Live sessions and the users they belong to. A struct user is an account that has at least one session (or a resumable
 * one) and lives on its home worker; nothing here may be touched from another thread: post mail to the home instead.
 */
#pragma once
#include "base/list.h"
#include "server/im/peer.h"
#include "server/im/transport.h"
#include "server/net/threads.h"

struct user {
	uint32_t id;                  /* account id */
	uint32_t credentials_epoch;
	bool is_admin;
	struct jid jid;               /* bare; owned */
	const struct org_person *person; /* in this worker's structure (im/org.c); NULL: not in it */
	struct peer_place peer;       /* himself in the peer cache: user_peer() */
	struct list sessions;         /* struct session.of_user */
	unsigned n_sessions;
	unsigned writing;             /* stored messages of this user that wait for their commit */
	struct inflight *inflight;    /* stored messages on their way to this user, see inflight.h; NULL until loaded */
	struct list link_dirty;       /* of the home: delivered cursor to be written */
	void *roster;                 /* im/roster.c: own items, loaded with the first session */
	void *blocked;                /* im/block.c: own block list, loaded with the first session */
	void *pep;                    /* xmpp/pep.c */
	void *news;                   /* xmpp/roster_news.c: what he has not heard yet of a new structure */
	void *chats;                  /* im/chat_delivered.c: delivered cursors of chats */
};

/* An address that got directed presence (im/presence.c). */
struct directed {
	struct list link;
	struct jid to;
	char bytes[];
};

struct session {
	struct list of_user;
	struct list of_home;          /* all sessions of this worker */
	struct user *user;
	struct jid jid;               /* full; owned */
	uint64_t number;              /* unique in the process; never reused */
	const struct transport *transport;
	uint64_t bound_ms;            /* wall clock */
	/* presence (im/presence.c) */
	bool available;
	int8_t priority;
	struct chunk *presence;       /* payload of the last available presence */
	uint64_t presence_ms;         /* wall clock of the last change */
	struct list directed;         /* addresses that got directed presence (im/presence.c) */
	unsigned n_directed;
	/* what the client asked for */
	bool wants_roster;            /* requested its roster: gets pushes */
	bool carbons;
	bool inactive;                /* CSI */
	bool detached;                /* no connection now, resumable (XEP-0198) */
	bool inbox;                   /* gets pushes of the inbox (web clients) */
	bool wants_blocklist;         /* requested its block list: gets pushes */
	struct str caps_node_ver;     /* "node#ver" of its last presence (XEP-0115); owned; p == NULL: none */
	bool follows;                 /* gets every message of every chat of its person (im/chat_room.h) */
	struct list seats;            /* struct seat.of_session: chats it joined or follows */
	struct idmap *left;          /* chat -> seq up to which it got a chat that it left; NULL: none. im/chat_room.c */
	void *caps;                   /* xmpp/caps.c: which events its client wants */
};

/* Per-worker state. */
struct home {
	unsigned worker;
	struct hash *users;           /* bare JID -> struct user */
	struct list sessions;         /* struct session.of_home */
	size_t n_sessions;
	void *presence;               /* im/presence.c: the mirrored map */
	void *org;                    /* im/org.c: this worker's reference to the structure */
	struct list dirty;            /* users whose delivered cursor changed */
	struct timer dirty_timer;
};
/* This worker's home; call home_init once per worker thread. */
struct home *home(void);
void home_init(unsigned worker);
void home_fini(void);

/* The user if loaded on this (its home) worker, else NULL. */
struct user *user_find(struct str bare);
/* What others see of the user's account (im/peer.h); valid for this loop step. */
static inline const struct peer *user_peer(struct user *u) { return peer_at(&u->peer, &u->jid); }
/* A session by its number on this worker, NULL when it is gone (replies that come later look it up again). */
struct session *session_by_number(uint64_t number);
/* The session with that resource, or NULL. */
struct session *session_find(struct user *u, struct str resource);
/* Creates user (loading its state) and session for a bound resource; s is the caller's memory (first member of a larger struct),
 * zeroed. Fails with ERR_LIMIT when the account has too many sessions and no detached one to give way (row E04). The
 * account must have been verified by the caller; jid is full and prepared. Home thread. */
int session_open(struct session *s, const struct jid *jid, uint32_t account_id, uint32_t credentials_epoch, bool is_admin,
		 const struct transport *t);
/* Ends a session: presence unavailable goes out, undelivered messages are handed on, the user is unloaded with the last one. The
 * caller frees s afterwards. */
void session_close(struct session *s);
/* Unlinks without hooks and presence: the process ends. The caller frees s. */
void session_drop(struct session *s);
/* Runs fn for every session of this worker; fn may close the one it gets. */
void session_each(void (*fn)(struct session *s, void *ctx), void *ctx);
/* Hooks that other modules register once in main (constant table in session.c): user loaded/unloaded, session closed. */
struct session_hooks {
	void (*user_load)(struct user *u);
	void (*user_unload)(struct user *u);
	void (*session_close)(struct session *s); /* before the session leaves its user */
	void (*session_free)(struct session *s);  /* its memory goes: after session_close, or without it when the process ends */
};
void session_add_hooks(const struct session_hooks *h);

/* Sends to one session (counts, then transport->send). */
void session_send(struct session *s, const struct outgoing *o);
