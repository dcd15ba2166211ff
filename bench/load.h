/*
 * The load program: a small epoll-driven XMPP client times thousands, and the works (login, idle, msg, ...) that measure a
 * server with it. Everything runs in one thread; there is one `struct bench` for the whole program. It is self-contained on
 * purpose: it must not share code with the server that it measures.
 */
#pragma once
#include "bench/scan.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum client_state {
	CLIENT_CLOSED,
	CLIENT_CONNECTING,
	CLIENT_HANDSHAKE,
	CLIENT_FEATURES,
	CLIENT_STARTTLS,
	CLIENT_AUTH,
	CLIENT_BIND,
	CLIENT_SM,
	CLIENT_READY,
	CLIENT_CLOSING
};

struct bytes {
	char *p;
	size_t n, cap, off; /* off: bytes at the front that are sent already */
};

/* Keys of one account, derived once (PBKDF2 is slow) and used at every further login with the same salt. */
struct scram_keys {
	char salt[96];
	unsigned iterations;
	unsigned char client[32], stored[32], server[32];
};

struct client {
	enum client_state state;
	int fd;
	unsigned user;          /* number of the account: login is PREFIX + number */
	bool authenticated, want_write, dirty, sm;
	SSL *ssl;
	struct scan scan;
	struct bytes in, out;
	char client_first[128], server_signature[64];
	struct scram_keys keys;
	/* Stream management counters since <enabled/>; unused unless sm. */
	uint32_t sm_in, sm_out, sm_acked;
	unsigned sm_since_request;
};

/* What a work wants to hear; all may be NULL. Set in bench.on. */
struct client_events {
	void (*ready)(struct client *c);                                 /* logged in and bound */
	void (*stanza)(struct client *c, const char *p, size_t n);       /* each stanza of a ready client */
	void (*closed)(struct client *c);                                /* after CLIENT_CLOSING, or unexpectedly */
};

struct options {
	const char *work, *host, *domain, *password, *prefix, *mechanism;
	unsigned port, users, group, pairs, window, count, concurrency, rate, page;
	double seconds, warmup_s, timeout_s, settle_s;
	int pid;
	bool tls, sm, receipts, verbose;
};

struct bench {
	struct options opt;
	int epfd;
	SSL_CTX *tls;
	struct client *clients;
	unsigned n_clients;
	struct client_events on;
	unsigned n_ready, n_lost_connections, n_stanza_errors;
	char first_error[256];
};

extern struct bench bench;

/* ---- client.c: one connection ---- */
/* Allocates n closed clients for accounts 0..n-1. */
void clients_new(unsigned n);
/* Starts connecting and logging in; on.ready follows. */
void client_start(struct client *c);
/* Sends </stream:stream>; on.closed follows when the server closed its side. */
void client_close(struct client *c);
/* Queues bytes; they leave before the loop sleeps, in one write per connection. */
void client_send(struct client *c, const char *p, size_t n);
void client_printf(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a message, presence or iq, counted for stream management (asks for <a/> every 5th). */
void client_stanza(struct client *c, const char *p, size_t n);
/* Handles readiness of the socket; called by the loop. */
void client_event(struct client *c, uint32_t events);
/* Writes what was queued since the last call. */
void clients_flush(void);
/* Remembers the first failure for the report and counts a lost connection. */
void client_fail(struct client *c, const char *why, const char *detail, size_t n);

/* ---- login.c: from the stream header to the bound session ---- */
void login_header(struct client *c);
void login_stanza(struct client *c, const char *p, size_t n);

/* ---- sasl.c ---- */
/* First message of the chosen mechanism as base64 into out; returns its length. */
size_t sasl_start(struct client *c, char *out, size_t max);
/* SCRAM client-final for the server's challenge (base64 slices). 0 when the challenge is unusable. */
size_t sasl_challenge(struct client *c, const char *p, size_t n, char *out, size_t max);
/* Checks the server's signature; true for PLAIN. */
bool sasl_success(struct client *c, const char *p, size_t n);

/* ---- loop.c ---- */
double now_s(void);
/* Runs the loop until done() or the deadline (seconds from now); returns done()'s last value. done may be NULL. */
bool loop_run(bool (*done)(void), double timeout_s);
/* Calls fn on every turn of the loop, with the loop waking at least every period_s seconds; NULL stops it. */
void loop_tick(void (*fn)(void), double period_s);
/* Runs the loop until the server used less than 4 % of a core for 0.3 s, at most max_s. */
void loop_settle(double max_s);
/* Logs users first..first+n-1 in, at most bench.opt.concurrency at a time; false when one failed or time ran out. Sets and
 * clears on.ready. */
bool login_all(unsigned first, unsigned n);
/* Closes users first..first+n-1 in order. */
void close_all(unsigned first, unsigned n);
/* Initial presence of users first..first+n-1. */
void presence_all(unsigned first, unsigned n);

/* ---- meter.c: what the server process used, and samples ---- */
struct meter {
	double t, cpu_s, own_cpu_s;
	uint64_t rss_kb, pss_kb;
};
/* Reads clock, CPU time of all threads of the server process, its memory, and our own CPU time. */
void meter_read(struct meter *out);
/* Samples in microseconds; percentile sorts. */
void samples_add(double us);
void samples_reset(void);
double samples_percentile(double q);
size_t samples_count(void);
/* One field of the JSON object that is printed at the end. */
void result(const char *name, double value);
void result_text(const char *name, const char *value);
/* seconds, ops, ops_per_s, cpu_us_per_op, cpu_cores, load_cores between two readings. */
void result_span(const struct meter *a, const struct meter *b, double ops);
void results_print(void);

/* ---- pairs.c: numbered messages between pairs of users, shared by several works ---- */
struct pair {
	uint32_t sent, received, highest; /* next number to send; distinct ones received; highest received + 1 */
	uint64_t *seen;                   /* bitmap of received numbers */
	size_t seen_bits;
	double *due;                      /* ring of send or due times, by number */
};
#define PAIR_RING 4096
struct pair_totals { uint64_t sent, received, doubled, disordered, receipts; };
extern struct pair *pairs;
extern struct pair_totals pair_totals;
void pairs_new(unsigned n);
/* Sends the next message of pair i (user 2i to user 2i+1); due_s is what latency counts from. */
void pair_send(unsigned i, double due_s);
/* For a stanza at user 2i+1: records it. True when it was a numbered message of pair i seen for the first time. */
bool pair_received(unsigned i, const char *p, size_t n);
/* sent, lost, doubled, disordered as results; true when nothing was wrong. */
bool pairs_report(void);

/* ---- works: one function each; 0 or an exit code ---- */
int work_login(void);
int work_idle(void);
int work_msg(void);
int work_latency(void);
int work_offline(void);
int work_mam(void);
int work_morning(void);
