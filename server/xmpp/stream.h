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
struct parser_limits;
struct login;
struct stream;

/*
 * What carries a stream: TCP (stream_tcp.c), a WebSocket or a BOSH session (bosh/). The stream calls these on its worker; the carrier calls
 * stream_header, stream_element, stream_peer_ended, stream_drained and at last stream_gone.
 */
struct stream_carrier {
	const char *name;
	/* Queues one complete element, printed for a stream whose default namespace is jabber:client. payload may be NULL, head and tail empty.
	 * ERR_LIMIT: more than limit output_bytes and its grace waits. */
	int (*send)(struct stream *st, struct str head, struct chunk *payload, struct str tail, bool may_wait);
	void (*open)(struct stream *st, const char *id);   /* our header */
	void (*end)(struct stream *st);                    /* our end tag if a header was sent, then an orderly close; stream_gone follows */
	void (*abort)(struct stream *st, int err);         /* at once; stream_gone follows, not nested */
	void (*restart)(struct stream *st);                /* a new header will come */
	void (*limits)(struct stream *st);                 /* stream_limits() has changed: logged in */
	void (*ping)(struct stream *st);                   /* asks the client for a sign of life; NULL: an XMPP ping is sent */
	void (*hold)(struct stream *st, bool on);          /* stops and resumes input; counted */
	void (*charge)(struct stream *st);                 /* one stanza against the rate (row E03) */
	bool (*is_closing)(const struct stream *st);
	size_t (*queued)(const struct stream *st);
	uint64_t (*last_rx)(const struct stream *st);      /* monotonic ms */
	uint64_t (*sent)(const struct stream *st);         /* bytes handed over so far, and of them those the client has (promise P4) */
	uint64_t (*confirmed)(struct stream *st);
	void (*detach)(struct stream *st, unsigned worker); /* off this worker, to go to that one */
	void (*attach)(struct stream *st);                 /* onto the calling one */
};
/* For carriers that keep st->conn, a connection of their own. */
void stream_conn_abort(struct stream *st, int err);
void stream_conn_limits(struct stream *st);
void stream_conn_hold(struct stream *st, bool on);
void stream_conn_charge(struct stream *st);
bool stream_conn_is_closing(const struct stream *st);
size_t stream_conn_queued(const struct stream *st);
uint64_t stream_conn_last_rx(const struct stream *st);
uint64_t stream_conn_sent(const struct stream *st);
uint64_t stream_conn_confirmed(struct stream *st);
void stream_conn_detach(struct stream *st, unsigned worker);
void stream_conn_attach(struct stream *st);
#define STREAM_ON_CONN                                                                                                             \
	.abort = stream_conn_abort, .hold = stream_conn_hold, .charge = stream_conn_charge, .is_closing = stream_conn_is_closing,  \
	.queued = stream_conn_queued, .last_rx = stream_conn_last_rx, .sent = stream_conn_sent, .confirmed = stream_conn_confirmed, \
	.detach = stream_conn_detach, .attach = stream_conn_attach

struct stream {
	const struct stream_carrier *carrier;
	void *link;                 /* the carrier's own */
	struct conn *conn;          /* TCP, WebSocket; NULL: BOSH */
	const struct stream_listener *listener;
	uint64_t id;                /* number of the connection in the log */
	char ip[48];                /* of the client */
	bool loopback;
	bool proxied;               /* TLS, if any, ends at a proxy: there is no channel to bind to */
	struct parser *parser;      /* TCP */
	enum phase phase;
	bool header_sent, header_seen;
	bool feeding, want_restart; /* TCP: the parser is running; a new one replaces it afterwards */
	bool starting_tls;
	bool secure;
	const char *error;          /* condition of the stream error that ended it */
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

/* New TCP connection accepted on this worker. Takes over fd. stream_tcp.c */
void stream_accept(const struct stream_listener *l, int fd);

/* --- for carriers: worker of the stream --- */
/* A stream in its first phase. conn may be NULL (BOSH). ip: of the client. */
struct stream *stream_new(const struct stream_listener *l, const struct stream_carrier *carrier, void *link, struct conn *conn, const char *ip,
			  uint64_t id);
/* When secure, loopback and proxied are set: counts it among the connections of its address that have not logged in; may end it at once. */
void stream_start(struct stream *st);
/* A header came (node with the attributes to, from, version); answers with ours and the features, or with an error. */
void stream_header(struct stream *st, const struct node *header);
/* An element came, in stream_arena(), which is reset. */
void stream_element(struct stream *st, struct node *n);
/* Bytes that are no XML or pass a limit: a parser_error. text may be NULL. */
void stream_bad_input(struct stream *st, int parser_error, const char *text);
/* The client's end tag. */
void stream_peer_ended(struct stream *st);
/* All queued output has left. */
void stream_drained(struct stream *st);
/* The carrier is gone: the session is closed, or waits for a resumption; st is freed. */
void stream_gone(struct stream *st, int err);
/* What one element may be in the present phase (row X09). */
struct parser_limits stream_limits(const struct stream *st);
/* For a carrier whose elements stand alone (RFC 7395 3.3.3): what to insert behind the element name, at *out_at of the first part, so that the
 * element names its namespace; NONE when it does already. */
struct str stream_frame(struct str first, size_t *out_at);

/* --- for the rest of xmpp --- */
/* Prints and queues an element (its default namespace is declared when it is not jabber:client). */
void stream_send_node(struct stream *st, const struct node *n);
/* Queues one complete element, in one or three parts (payload may be NULL). may_wait: it need not go out at once (conn_write_later). */
void stream_send(struct stream *st, struct str element);
void stream_send_parts(struct stream *st, struct str head, struct chunk *payload, struct str tail, bool may_wait);
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
/* The client's TLS session with us; NULL: none, or it ends at a proxy. */
struct tls_session *stream_tls(const struct stream *st);
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
