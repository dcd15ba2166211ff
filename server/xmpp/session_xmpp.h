/*
 * A bound session of an XMPP client: the messenger's session plus what XEP-0198, XEP-0352 and delivery confirmation need. Home thread. Lives while
 * its stream lives, and beyond it when it can be resumed.
 */
#pragma once
#include "server/im/session.h"
#include "server/xmpp/stream.h"
#include "server/im/message.h"
#include "storage/tab_sm.h"

/* One stanza that went out and was not confirmed yet: kept as printed, payload shared. */
struct unacked {
	struct unacked *next;
	uint64_t gid;              /* stored message; 0: transient */
	uint64_t chat, seq;        /* message of a chat; 0: none */
	uint64_t tx_end;           /* without XEP-0198: wire bytes up to its end; 0: not handed to the kernel yet */
	struct chunk *payload;
	uint32_t head_n, tail_n;
	char bytes[];              /* head, tail; none without XEP-0198 */
};
struct unacked_queue {
	struct unacked *first, *last;
	struct unacked *unsent;    /* without XEP-0198: first one whose end on the wire is not known yet */
	size_t n;
};
/* A stanza held back while the client is inactive (XEP-0352): the newest presence of each address. */
struct csi_held {
	struct list link;
	struct chunk *bytes;
	struct str from;
	char from_bytes[];
};

struct xsession {
	struct session s;          /* first member */
	struct stream *stream;     /* NULL: detached */
	struct list pendings;      /* struct pending: answers that come later */
	unsigned slow_pendings;    /* of them, those that do not go straight to the writer */
	unsigned fast_pendings;    /* and those that do */
	unsigned busy;             /* a handler of this session is running: closing waits */
	bool dying;
	struct unacked_queue out;
	/* XEP-0198 */
	bool sm, resumable;
	char sm_id[SM_ID_LEN + 1];
	uint32_t in;               /* stanzas received since <enable/> */
	uint32_t in_saved;         /* durable: what <a/> may say */
	uint32_t in_submitted;     /* on its way to the store */
	uint32_t out_count, out_acked;
	uint32_t uncounted;        /* the oldest of `out`: sent before <enable/>, TCP had not confirmed them */
	unsigned resumes;          /* <resume/>s that wait for their commit: the input of `stream` is held meanwhile */
	bool ack_wanted;           /* <r/> waits for pendings or a commit */
	bool request_sent;         /* our <r/> is not answered yet */
	struct timer expire;
	struct timer save_again;   /* a failed write of state or counters */
	bool state_unsaved;
	/* XEP-0352 */
	struct hash *held;         /* address -> struct csi_held */
	struct list held_order;
};

extern const struct transport xmpp_transport;
/* Per worker: print buffers. */
void xsessions_thread_init(void);
void xsessions_thread_fini(void);

/* Binds a new session for the stream's account; resource may be empty (then one is made). Ends another session of the same name with conflict (RFC
 * 6120 7.7.2.2). 0 or ERR_LIMIT / ERR_SYNTAX. Home thread. */
int xsession_bind(struct stream *st, struct str resource);
/* A new session object without a stream (resumption after a restart uses it); NULL and an error when the messenger refuses. */
struct xsession *xsession_new(const struct jid *jid, uint32_t account, uint32_t epoch, bool is_admin, int *out_err);
/* Takes the oldest kept stanza off: confirmed, or lost with the session. */
void xsession_pop(struct xsession *xs, bool confirmed);
/* The stream is gone (its connection closed): clean = the client ended it. Detaches a resumable session, closes another. */
void xsession_stream_gone(struct xsession *xs, bool clean);
/* Ends and frees, or marks dying while a handler runs. */
void xsession_close(struct xsession *xs);
/* A handler is entered / left. */
void xsession_enter(struct xsession *xs);
void xsession_leave(struct xsession *xs);
/* The connection's output was handed to the kernel: marks and confirms what TCP delivered (promise P4). */
void xsession_drained(struct xsession *xs);
/* A last look at what TCP delivered, before the connection goes. */
void xsession_confirm(struct xsession *xs);
/* Frees every session of this worker without telling anybody: the process ends (their states are saved). */
void xsessions_drop_all(void);
/* Client state (XEP-0352). */
void csi_set(struct xsession *xs, bool inactive);
/* Releases held stanzas. csi.c */
void csi_flush(struct xsession *xs);
/* True when the stanza was kept back. csi.c */
bool csi_hold(struct xsession *xs, const struct outgoing *o, struct str head, struct str tail);
void csi_free(struct xsession *xs);
/* What of a stanza is kept until it is confirmed: struct outgoing's numbers; zeros for others. */
struct kept_id { uint64_t gid, chat, seq; };
/* Writes one printed stanza and keeps it until confirmed. may_wait: it need not go out at once. */
void xsession_write(struct xsession *xs, struct str head, struct chunk *payload, struct str tail, struct kept_id id, bool may_wait);

/* sm.c (XEP-0198) */
void sm_element(struct stream *st, struct node *n);        /* r, a, enable in a session */
/* <resume/> before binding: done gets <resumed/> or <failed/>, maybe after a commit. The session is st->xs when ok. */
typedef void sm_resumed_fn(struct stream *st, struct node *reply, bool ok);
void sm_resume(struct stream *st, struct node *resume, sm_resumed_fn *done);
void sm_resume_forget(struct stream *st);                  /* the stream goes while it waits */
struct node *sm_enable(struct xsession *xs, bool want_resume, struct arena *a);
void sm_after_resume(struct stream *st);                   /* sends again what was not confirmed */
void sm_pending_done(struct xsession *xs);                 /* an answer was given: <a/> may be due */
void sm_checkpoint_for(struct xsession *xs, uint32_t number, struct sm_checkpoint *out);
void sm_saved(struct xsession *xs, uint32_t number);       /* the commit with this checkpoint is done */
void sm_not_saved(struct xsession *xs, uint32_t number);   /* that commit failed: it is tried again while <r/> waits (row D06) */
void sm_drop_uncounted(struct xsession *xs);               /* what was sent before <enable/> waits to be handed out again */
void sm_detach(struct xsession *xs);                       /* starts the time for resuming */
void sm_state_changed(struct xsession *xs);                /* presence, carbons, roster: a crash must not lose them (row D17) */
void sm_credentials_changed(struct xsession *xs);          /* a password change that this session outlives: its state belongs to the new epoch */
void sm_forget(struct xsession *xs);                       /* session ends: removes its state */
void sm_request(struct xsession *xs);                      /* asks for <a/> when due; before the loop sleeps */
void sm_save_for_shutdown(struct xsession *xs);
void sm_thread_init(void);
void sm_thread_fini(void);
