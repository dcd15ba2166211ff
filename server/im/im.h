/*
 * The messenger's context: what every module of server/im, server/xmpp and bosh may use. Filled by main.c before the
 * workers start and constant afterwards. Knows no XML and no JSON.
 */
#pragma once
#include "storage/engine.h"
#include "storage/writer.h"

enum im_visibility { VISIBLE_COMPANY, VISIBLE_BRANCH, VISIBLE_DEPARTMENT };

struct im {
	struct store *store;
	struct writer *writer;
	const char *const *domains;       /* prepared; domains[0] is the default of the command line */
	size_t n_domains;
	const char *const *chat_aliases;  /* further labels of the chat service beside "chats": "conference" */
	size_t n_chat_aliases;
	bool people_make_chats;           /* everybody may create chats; otherwise administrators */
	uint32_t scram_iterations;        /* new passwords only */
	enum im_visibility visibility;    /* who sees whom in the company structure, from the next snapshot on (org.h); set by main */
	bool chat_departments, chat_general; /* these chats are made and filled from the structure */
	bool chat_russian;                /* language of the lines that chats say about themselves */
	bool directory_owns_passwords;    /* refuse password changes by clients (XEP-0077) */
	uint8_t secret[32];               /* store_secret() */
	uint64_t started_ms;              /* wall clock */
	const char *data_dir;
	char http_url[512];               /* where browsers reach the HTTP side, no slash at the end */
	char xmpp_port[8];                /* of the first XMPP listener: told on the first page */
};
extern struct im im;

/* True when the domain is one of ours. */
bool im_is_our_domain(struct str domain);
/* A fresh read transaction of this thread; end it with txn_commit in the same loop step (row D08). */
static inline struct txn *im_read(void) { return txn_read(im.store); }
/* Starts / stops the writer with its completions posted into the workers' mailboxes. */
int im_writer_start(void);
void im_writer_stop(void);
/* From now on this worker's ops are freed instead of written, without done(): the last step before the writer stops. */
void im_close_writes(void);
/* Submits an op whose done() runs on the calling worker only. */
void im_write(struct write_op *op);
/* Submits an op whose done() runs on the given workers (bit mask). */
void im_write_to(struct write_op *op, uint64_t workers);
