/*
 * One XMPP client stream (RFC 6120) from its first byte to its last: header, features, STARTTLS, login, binding, then stanzas. What is legal in
 * which phase is a table (phase.c). A stream belongs to the worker its connection is attached to; it moves once, after login, to the home of its
 * account. The session (session_xmpp.h) may outlive it (XEP-0198) and be taken over by another stream.
 */
#pragma once
#include "base/mem.h"
#include "server/net/conn.h"
#include "server/xmpp/sasl.h"
#include "xml/node.h"

enum phase {
	PHASE_TLS,      /* encryption is required first: only <starttls/> */
	PHASE_AUTH,     /* SASL or SASL2 */
	PHASE_BIND,     /* logged in: bind a resource or resume */
	PHASE_SESSION,  /* stanzas */
	PHASE_CLOSED,   /* our end tag is sent: everything that comes is ignored */
	PHASES
};
enum stream_security {
	STREAM_STARTTLS,    /* TLS is required before login */
	STREAM_DIRECT_TLS,
	STREAM_LOCAL,       /* loopback without TLS: login in the clear is allowed */
	STREAM_PROXIED,     /* WebSocket, BOSH: security is that of the HTTP connection */
};
/* Settings of a listener, constant while it lives. */
struct stream_listener {
	enum stream_security security;
	struct tls_context *(*tls)(void); /* present context (reload replaces it), a new reference */
};

struct xsession;
struct parser;
struct login;

struct stream {
	struct conn *conn;
	const struct stream_listener *listener;
	struct parser *parser;
	enum phase phase;
	bool header_sent, header_seen;
	bool feeding, want_restart; /* the parser is running; a new one replaces it afterwards */
	bool starting_tls;
	bool secure;
	struct str domain;          /* one of im.domains, fixed by the first header (row A03); p == NULL before */
	struct str from;            /* prepared bare JID of the header's from; owned */
	struct login *login;        /* login.c: exchange in progress and its result */
	unsigned auth_failures;
	struct xsession *xs;        /* PHASE_SESSION */
	struct resume_wait *resume_wait; /* sm.c: a resumption waits for its commit */
	bool paused_for_disk;       /* too many of its stanzas wait for their commit: nothing is read */
	uint64_t slow_since_ms;     /* more output than limit output_bytes waits since then; 0: no */
	struct timer login_timer, idle_timer;
	uint64_t ping_sent_ms;      /* 0: no ping waits for an answer */
	uint64_t created_ms;
	bool preauth_counted;
	struct deferred turn;       /* before the loop sleeps: XEP-0198 <r/> */
	void (*on_moved)(struct stream *st);
};

/* New connection accepted on this worker. Takes over fd. */
void stream_accept(const struct stream_listener *l, int fd);
/* Prints and queues an element (its default namespace is declared when it is not jabber:client). */
void stream_send_node(struct stream *st, const struct node *n);
/* Queues bytes that are complete elements. */
void stream_send(struct stream *st, struct str bytes);
void stream_send_chunk(struct stream *st, struct chunk *c);
/* The same for what may wait a little (conn_write_later). */
void stream_send_later(struct stream *st, struct str bytes);
/* Stream error (RFC 6120 4.9) with a text that tells the person what to do, end tag, orderly close. Sends a header first if none was sent. */
void stream_error(struct stream *st, const char *condition, const char *text);
/* End tag and orderly close. */
void stream_end(struct stream *st);
/* The only place where a phase changes; logs old and new. */
void stream_enter(struct stream *st, enum phase next);
/* After SASL success of RFC 6120: a new header is expected. */
void stream_restart(struct stream *st);
/* Moves the stream to a worker and calls then() there (at once when it is this one). Not from inside a parser callback; input waits in the
 * kernel meanwhile. */
void stream_move(struct stream *st, unsigned worker, void (*then)(struct stream *st));
/* The arena of this worker for the stanza at hand. */
struct arena *stream_arena(void);
/* Ends every stream of this worker with system-shutdown (drain); sessions stay resumable (row D16). */
void stream_shutdown_all(void);
/* Streams of this worker that are open. */
size_t stream_count(void);
/* Makes the limits of the logged-in state count from now on. */
void stream_raise_limits(struct stream *st);
void streams_thread_init(void);
void streams_thread_fini(void);

/* phase.c: what an element may do now. */
void phase_element(struct stream *st, struct node *n);
/* features.c: <stream:features/> of the present phase. */
void features_send(struct stream *st);

/* login.c: SASL (RFC 6120 section 6) and SASL2 (XEP-0388) around sasl.h. */
void login_auth(struct stream *st, struct node *n);
void login_response(struct stream *st, struct node *n);
void login_abort(struct stream *st, struct node *n);
void login_authenticate(struct stream *st, struct node *n);
void login_free(struct stream *st);
/* Fills peer for offers. */
void login_peer(const struct stream *st, struct sasl_peer *out);
